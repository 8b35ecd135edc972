//! From a recipe to a trainer of its task.

use crate::error::Doing as _;
use crate::latents::{self, Latents};
use crate::models;
use crate::{Error, Events, Result, utterances};
use auricle_asr::{CtcConfig, CtcTask};
use auricle_audio::MelConfig;
use auricle_augment::{Libraries, NoiseSource};
use auricle_cca_mdd::{CcaMddConfig, CcaMddTask, Confusions, NearWords};
use auricle_data::Utterance;
use auricle_lasyn::{LasynConfig, LasynTask, SynthesisConfig, SynthesisTask};
use auricle_nn::params::NamedTensors;
use auricle_spiral::{SpiralAugment, SpiralConfig, SpiralTask};
use auricle_text::Tokenizer;
use auricle_train::log::RunLog;
use auricle_train::{
    AugmentConfig, Capsule, NoiseLibrary, Outcome, Precision, Recipe, TaskKind, Trainer, Wave, recipe,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A trainer of whichever task the recipe names.
pub enum AnyTrainer {
    /// SPIRAL pre-training.
    Spiral(Box<Trainer<SpiralTask>>),
    /// CTC fine-tuning.
    Ctc(Box<Trainer<CtcTask>>),
    /// Mispronunciation detection and diagnosis.
    CcaMdd(Box<Trainer<CcaMddTask>>),
    /// Speech and text as latents.
    Lasyn(Box<Trainer<LasynTask>>),
    /// A synthesizer of latents.
    Synthesis(Box<Trainer<SynthesisTask>>),
}

/// Calls the same method on whichever trainer it is.
macro_rules! each {
    ($self:expr, $trainer:ident => $body:expr) => {
        match $self {
            AnyTrainer::Spiral($trainer) => $body,
            AnyTrainer::Ctc($trainer) => $body,
            AnyTrainer::CcaMdd($trainer) => $body,
            AnyTrainer::Lasyn($trainer) => $body,
            AnyTrainer::Synthesis($trainer) => $body,
        }
    };
}

impl AnyTrainer {
    /// Builds the task, reads the manifests. A run that goes on from a checkpoint (`resumes`) does not
    /// need the pre-trained weights that it once started from.
    ///
    /// # Errors
    /// A recipe, data or weights that cannot be used.
    pub fn build(
        recipe: &Recipe,
        run: &Path,
        log: RunLog,
        resumes: bool,
        events: &dyn Events,
    ) -> Result<Self> {
        let device = recipe.train.device()?;
        let train = utterances(&recipe.data.train)?;
        let validation = utterances(&recipe.data.validation)?;
        let libraries = libraries(recipe)?;
        let pretrained = |source: Option<&Path>| -> Result<Option<NamedTensors>> {
            let source = source.filter(|_| !resumes);
            Ok(source.map(models::load).transpose()?.map(|(tensors, _)| tensors))
        };
        if recipe.train.precision != Precision::F32 && !recipe.task.takes_precision() {
            return Error::refused(format!(
                "recipe: tasks of kind `{}` compute in f32; take train.precision out",
                recipe.task
            ));
        }
        match recipe.task {
            TaskKind::Spiral => {
                let config: SpiralConfig = recipe::parse(&recipe.model, "model")?;
                let augment: SpiralAugment = recipe::parse(&recipe.augment, "augment")?;
                let pretrained = pretrained(config.init_from.as_deref())?;
                let task = SpiralTask::new(recipe, config, augment, pretrained, libraries, &device)?;
                Ok(Self::Spiral(Box::new(Trainer::new(task, recipe.clone(), run, train, validation, log)?)))
            }
            TaskKind::Ctc => {
                let config: CtcConfig = recipe::parse(&recipe.model, "model")?;
                let augment: AugmentConfig = recipe::parse(&recipe.augment, "augment")?;
                let tokenizer = match &config.tokenizer {
                    Some(path) => Tokenizer::load(path)?,
                    None => Tokenizer::characters(),
                };
                let pretrained = pretrained(config.init_from.as_deref())?;
                let task = CtcTask::new(recipe, config, augment, tokenizer, pretrained, libraries, &device)?;
                Ok(Self::Ctc(Box::new(Trainer::new(task, recipe.clone(), run, train, validation, log)?)))
            }
            TaskKind::CcaMdd => {
                let config: CcaMddConfig = recipe::parse(&recipe.model, "model")?;
                let augment: AugmentConfig = recipe::parse(&recipe.augment, "augment")?;
                let pretrained = pretrained(config.init_from.as_deref())?;
                let others = (NearWords::of(&train), Confusions::of(&train));
                let task = CcaMddTask::new(recipe, config, augment, pretrained, libraries, others, &device)?;
                Ok(Self::CcaMdd(Box::new(Trainer::new(task, recipe.clone(), run, train, validation, log)?)))
            }
            TaskKind::Lasyn => {
                let config: LasynConfig = recipe::parse(&recipe.model, "model")?;
                let augment: AugmentConfig = recipe::parse(&recipe.augment, "augment")?;
                let Latents { base, tokenizer, synthesizer, train } =
                    latents::prepare(&config, train, &validation, &device, events)?;
                let pretrained = pretrained(config.init_from.as_deref())?;
                let task = LasynTask::new(
                    recipe,
                    config,
                    augment,
                    base,
                    tokenizer,
                    pretrained,
                    synthesizer,
                    libraries,
                    &device,
                )?;
                Ok(Self::Lasyn(Box::new(Trainer::new(task, recipe.clone(), run, train, validation, log)?)))
            }
            TaskKind::LasynSynthesizer => {
                let config: SynthesisConfig = recipe::parse(&recipe.model, "model")?;
                let augment: AugmentConfig = recipe::parse(&recipe.augment, "augment")?;
                let (base, bank, words) =
                    latents::prepare_synthesis(&config, &[&train, &validation], &device)?;
                let task =
                    SynthesisTask::new(recipe, config, augment, base, bank, words, libraries, &device)?;
                Ok(Self::Synthesis(Box::new(Trainer::new(
                    task,
                    recipe.clone(),
                    run,
                    train,
                    validation,
                    log,
                )?)))
            }
            TaskKind::Custom => Error::refused(
                "recipe: a task of kind `custom` is the caller's own: build its `auricle_train::Trainer`",
            ),
        }
    }

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    /// A checkpoint that cannot be read or is another recipe's.
    pub fn resume(&mut self, path: &Path) -> Result<()> {
        Ok(each!(self, trainer => trainer.resume(path))?)
    }

    /// Trains until done or asked to stop.
    ///
    /// # Errors
    /// Data that cannot be read, a loss that is not finite, files that cannot be written.
    pub fn run(&mut self, stop: &AtomicBool) -> Result<Outcome> {
        Ok(each!(self, trainer => trainer.run(stop))?)
    }

    /// Runs the longest batch once; its loss.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn dry_run(&mut self) -> Result<f64> {
        Ok(each!(self, trainer => trainer.dry_run())?)
    }

    /// One whole step on the longest batch, with the update of the weights.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn rehearse(&mut self) -> Result<()> {
        Ok(each!(self, trainer => trainer.rehearse())?)
    }

    /// Runs a failure capsule's batch again: loss and parameters with non-finite gradients.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn replay(&mut self, capsule: &Capsule, waves: &[Wave]) -> Result<(f64, Vec<String>)> {
        Ok(each!(self, trainer => trainer.replay(capsule, waves))?)
    }

    /// Samples per second that the task wants.
    pub fn sample_rate(&self) -> u32 {
        use auricle_train::{Prepare as _, Task as _};
        each!(self, trainer => trainer.task().preparer().sample_rate())
    }

    /// The utterances that are trained on.
    pub fn training_utterances(&self) -> &[Utterance] {
        each!(self, trainer => trainer.training_utterances())
    }

    /// The first epoch's batch plan.
    pub fn plan(&self) -> auricle_data::BatchPlan {
        each!(self, trainer => trainer.plan(0))
    }

    /// Number of trained values.
    pub fn parameters(&self) -> usize {
        use auricle_train::Task as _;
        each!(self, trainer => auricle_nn::params::count(trainer.task().model()))
    }
}

/// The recordings that the recipe's perturbations draw from.
fn libraries(recipe: &Recipe) -> Result<Libraries> {
    let front_end: MelConfig = match recipe.model.get("front_end") {
        Some(table) => table.clone().try_into().doing("model.front_end")?,
        None => MelConfig::default(),
    };
    let library = |paths: &[PathBuf]| -> Result<Option<Arc<dyn NoiseSource + Send + Sync>>> {
        if paths.is_empty() {
            return Ok(None);
        }
        let recordings = utterances(paths)?;
        Ok(Some(Arc::new(NoiseLibrary::new(recordings, front_end.sample_rate, recipe.data.cache_mib))))
    };
    Ok(Libraries { noise: library(&recipe.data.noise)?, rooms: library(&recipe.data.rirs)? })
}
