//! From a recipe to a trainer of its task.

use crate::error::Doing as _;
use crate::latents::{self, Latents, Loaded};
use crate::models;
use crate::{Error, Events, Result};
use auricle_asr::{CtcConfig, CtcTask, Pretrained};
use auricle_audio::MelConfig;
use auricle_augment::{Libraries, NoiseSource};
use auricle_cca_mdd::{CcaMddConfig, CcaMddTask, Confusions, NearWords};
use auricle_data::Utterance;
use auricle_lasyn::{LasynConfig, LasynTask, SynthesisConfig, SynthesisTask};
use auricle_mmi::{MmiAugment, MmiConfig, MmiTask};
use auricle_nn::params::NamedTensors;
use auricle_nn::weights::Metadata;
use auricle_spiral::{SpiralAugment, SpiralConfig, SpiralTask};
use auricle_text::Tokenizer;
use auricle_train::log::RunLog;
use auricle_train::{
    AugmentConfig, Capsule, NoiseLibrary, Outcome, Precision, Recipe, Selection, Task, TaskKind, TooLong,
    Trainer, recipe,
};
use std::path::Path;
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
    /// Phones by LF-MMI.
    Mmi(Box<Trainer<MmiTask>>),
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
            AnyTrainer::Mmi($trainer) => $body,
        }
    };
}

impl AnyTrainer {
    /// Reads the lists and builds the task. A run that goes on from a checkpoint (`resumes`) does not need the
    /// pre-trained weights that it once started from; `loaded` stands for what a LaSyn recipe names in files.
    ///
    /// # Errors
    /// A recipe, data or weights that cannot be used.
    pub(crate) fn build(
        recipe: &Recipe,
        run: &Path,
        log: RunLog,
        resumes: bool,
        loaded: Option<Loaded>,
        events: &dyn Events,
    ) -> Result<Self> {
        recipe.validate()?;
        if recipe.train.precision != Precision::F32 && !recipe.task.takes_precision() {
            return Error::refused(format!(
                "recipe: tasks of kind `{}` compute in f32; take train.precision out",
                recipe.task
            ));
        }
        let device = recipe.train.device()?;
        let too_long = match recipe.task {
            TaskKind::Spiral => TooLong::Cropped,
            _ => TooLong::LeftOut,
        };
        // Before any task is made: none may learn from what is not selected.
        let selection = Selection::read(recipe, too_long)?;
        let libraries = libraries(recipe, &selection)?;
        let weights = |source: Option<&Path>| source.filter(|_| !resumes).map(models::load).transpose();
        let tensors = |source| -> Result<Option<NamedTensors>> {
            Ok(weights(source)?.map(|(tensors, _): (NamedTensors, Metadata)| tensors))
        };
        let augment = || recipe::parse::<AugmentConfig>(&recipe.augment, "augment");
        let trainer = match recipe.task {
            TaskKind::Spiral => {
                let config: SpiralConfig = recipe::parse(&recipe.model, "model")?;
                let augment: SpiralAugment = recipe::parse(&recipe.augment, "augment")?;
                let pretrained = tensors(config.init_from.as_deref())?;
                let task = SpiralTask::new(recipe, config, augment, pretrained, libraries, &device)?;
                Self::Spiral(trainer(task, recipe, run, selection, log)?)
            }
            TaskKind::Ctc => {
                let config: CtcConfig = recipe::parse(&recipe.model, "model")?;
                let tokenizer = match &config.tokenizer {
                    Some(path) => Tokenizer::load(path)?,
                    None => Tokenizer::characters(),
                };
                let pretrained = weights(config.init_from.as_deref())?;
                let pretrained = pretrained.map(|(tensors, metadata)| Pretrained::new(tensors, &metadata));
                let task =
                    CtcTask::new(recipe, config, augment()?, tokenizer, pretrained, libraries, &device)?;
                Self::Ctc(trainer(task, recipe, run, selection, log)?)
            }
            TaskKind::CcaMdd => {
                let config: CcaMddConfig = recipe::parse(&recipe.model, "model")?;
                let pretrained = tensors(config.init_from.as_deref())?;
                let others = (NearWords::of(selection.train()), Confusions::of(selection.train()));
                let task =
                    CcaMddTask::new(recipe, config, augment()?, pretrained, libraries, others, &device)?;
                Self::CcaMdd(trainer(task, recipe, run, selection, log)?)
            }
            TaskKind::Lasyn => {
                let config: LasynConfig = recipe::parse(&recipe.model, "model")?;
                let Latents { base, tokenizer, synthesizer } =
                    latents::prepare(&config, &selection, loaded, &device, events)?;
                let pretrained = tensors(config.init_from.as_deref())?;
                let task = LasynTask::new(
                    recipe,
                    config,
                    augment()?,
                    base,
                    tokenizer,
                    pretrained,
                    synthesizer,
                    libraries,
                    &device,
                )?;
                Self::Lasyn(trainer(task, recipe, run, selection, log)?)
            }
            TaskKind::LasynSynthesizer => {
                let config: SynthesisConfig = recipe::parse(&recipe.model, "model")?;
                let (base, bank, words) = latents::prepare_synthesis(
                    &config,
                    &[selection.train(), selection.validation()],
                    &device,
                )?;
                let task =
                    SynthesisTask::new(recipe, config, augment()?, base, bank, words, libraries, &device)?;
                Self::Synthesis(trainer(task, recipe, run, selection, log)?)
            }
            TaskKind::Mmi => {
                let config: MmiConfig = recipe::parse(&recipe.model, "model")?;
                let augment: MmiAugment = recipe::parse(&recipe.augment, "augment")?;
                let pretrained = tensors(config.init_from.as_deref())?;
                let train = selection.train();
                let task = MmiTask::new(recipe, config, augment, train, pretrained, libraries, &device)?;
                Self::Mmi(trainer(task, recipe, run, selection, log)?)
            }
            TaskKind::Custom => {
                return Error::refused(
                    "recipe: a task of kind `custom` is the caller's own: build its `auricle_train::Trainer`",
                );
            }
        };
        each!(&trainer, trainer => trainer.warnings()).iter().for_each(|warning| events.warning(warning));
        Ok(trainer)
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
    pub fn replay(&mut self, capsule: &Capsule) -> Result<(f64, Vec<String>)> {
        Ok(each!(self, trainer => trainer.replay(capsule))?)
    }

    /// The utterances that are trained on.
    pub fn training_utterances(&self) -> &[Utterance] {
        each!(self, trainer => trainer.training_utterances())
    }

    /// The selected utterances that are not trained on because the task cannot align them, with the reason.
    pub fn cannot_align(&self) -> &[String] {
        each!(self, trainer => trainer.cannot_align())
    }

    /// The first epoch's batch plan.
    pub fn plan(&self) -> auricle_data::BatchPlan {
        each!(self, trainer => trainer.plan(0))
    }

    /// Number of trained values.
    pub fn parameters(&self) -> usize {
        each!(self, trainer => auricle_nn::params::count(trainer.task().model()))
    }
}

fn trainer<T: Task>(
    task: T,
    recipe: &Recipe,
    run: &Path,
    selection: Selection,
    log: RunLog,
) -> Result<Box<Trainer<T>>> {
    Ok(Box::new(Trainer::new(task, recipe.clone(), run, selection, log)?))
}

/// The recordings that the recipe's perturbations draw from.
fn libraries(recipe: &Recipe, selection: &Selection) -> Result<Libraries> {
    let front_end: MelConfig = match recipe.model.get("front_end") {
        Some(table) => table.clone().try_into().doing("model.front_end")?,
        None => MelConfig::default(),
    };
    let library = |recordings: &[Utterance]| -> Option<Arc<dyn NoiseSource + Send + Sync>> {
        let library = || NoiseLibrary::new(recordings.to_vec(), front_end.sample_rate, recipe.data.cache_mib);
        (!recordings.is_empty()).then(|| Arc::new(library()) as Arc<dyn NoiseSource + Send + Sync>)
    };
    Ok(Libraries { noise: library(selection.noise()), rooms: library(selection.rirs()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Silent;
    use auricle_train::Prepare as _;

    /// A task that learns of its data beforehand learns of what is selected: with few labels, of few.
    #[test]
    fn prompts_are_corrupted_by_what_is_selected_only() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = auricle_data::builtin::extract(&folder.path().join("corpus")).unwrap();
        // Near words are those of utterances whose word boundaries are known.
        let mut all = crate::utterances(&[corpus.train]).unwrap();
        for utterance in &mut all {
            let phones = utterance.phones.as_ref().map_or(0, Vec::len);
            utterance.extra.insert("word_phones".into(), serde_json::json!([phones]));
        }
        let list = folder.path().join("words.jsonl");
        auricle_data::Manifest::write(&list, &all).unwrap();
        let mut recipe: Recipe = toml::from_str(auricle_recipes::MDD).unwrap();
        recipe.data.train = vec![list];
        recipe.data.validation = vec![corpus.dev];
        recipe.data.subset_minutes = Some(0.5);
        let log = RunLog::open(folder.path(), 1, true).unwrap();
        let built = AnyTrainer::build(&recipe, folder.path(), log, false, None, &Silent).unwrap();
        let AnyTrainer::CcaMdd(trainer) = built else { panic!("another task") };
        let chosen = trainer.training_utterances();
        let secs: f64 = chosen.iter().map(|u| u.duration_secs).sum();
        assert!((1.0..=30.0).contains(&secs), "{secs}");
        let preparer = trainer.task().preparer();
        assert!(preparer.sample_rate() > 0);
        let (near, confusions) = preparer.corruptions();
        assert_eq!((near, confusions), (&NearWords::of(chosen), &Confusions::of(chosen)));
        assert_ne!(near, &NearWords::of(&all), "words of utterances that are withheld");
        assert_ne!(confusions, &Confusions::of(&all), "labels of utterances that are withheld");
    }
}
