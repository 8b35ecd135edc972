//! From a recipe to a trainer of its task.

use crate::lasyn::Latents;
use anyhow::{Context as _, Result, bail};
use auricle_asr::{CtcConfig, CtcTask};
use auricle_audio::MelConfig;
use auricle_augment::{Libraries, NoiseSource};
use auricle_cca_mdd::{CcaMddConfig, CcaMddTask, Confusions, NearWords};
use auricle_data::Utterance;
use auricle_lasyn::{LasynConfig, LasynTask, SynthesisConfig, SynthesisTask};
use auricle_mmi::{MmiAugment, MmiConfig, MmiTask};
use auricle_nn::params::NamedTensors;
use auricle_nn::weights::{self, Metadata};
use auricle_spiral::{SpiralAugment, SpiralConfig, SpiralTask};
use auricle_text::Tokenizer;
use auricle_train::log::RunLog;
use auricle_train::{
    AugmentConfig, Capsule, NoiseLibrary, Outcome, Precision, Recipe, Trainer, Wave, recipe,
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
    /// Builds the task, reads the manifests. A run that goes on from a checkpoint (`resumes`) does not
    /// need the pre-trained weights that it once started from.
    pub fn build(recipe: &Recipe, run: &Path, log: RunLog, resumes: bool) -> Result<Self> {
        let device = recipe.train.device()?;
        let train = manifests(&recipe.data.train)?;
        let validation = manifests(&recipe.data.validation)?;
        let libraries = libraries(recipe)?;
        let pretrained = |source: Option<&Path>| -> Result<Option<NamedTensors>> {
            let source = source.filter(|_| !resumes);
            Ok(source.map(load_model).transpose()?.map(|(tensors, _)| tensors))
        };
        if recipe.train.precision != Precision::F32
            && !matches!(recipe.task.as_str(), "spiral" | "ctc" | "mmi")
        {
            bail!("recipe: tasks of kind `{}` compute in f32; take train.precision out", recipe.task);
        }
        match recipe.task.as_str() {
            "spiral" => {
                let config: SpiralConfig = recipe::parse(&recipe.model, "model")?;
                let augment: SpiralAugment = recipe::parse(&recipe.augment, "augment")?;
                let pretrained = pretrained(config.init_from.as_deref())?;
                let task = SpiralTask::new(recipe, config, augment, pretrained, libraries, &device)?;
                Ok(Self::Spiral(Box::new(Trainer::new(task, recipe.clone(), run, train, validation, log)?)))
            }
            "ctc" => {
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
            "cca_mdd" => {
                let config: CcaMddConfig = recipe::parse(&recipe.model, "model")?;
                let augment: AugmentConfig = recipe::parse(&recipe.augment, "augment")?;
                let pretrained = pretrained(config.init_from.as_deref())?;
                let others = (NearWords::of(&train), Confusions::of(&train));
                let task = CcaMddTask::new(recipe, config, augment, pretrained, libraries, others, &device)?;
                Ok(Self::CcaMdd(Box::new(Trainer::new(task, recipe.clone(), run, train, validation, log)?)))
            }
            "lasyn" => {
                let config: LasynConfig = recipe::parse(&recipe.model, "model")?;
                let augment: AugmentConfig = recipe::parse(&recipe.augment, "augment")?;
                let Latents { base, tokenizer, synthesizer, train } =
                    crate::lasyn::prepare(&config, train, &validation, &device)?;
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
            "lasyn_synthesizer" => {
                let config: SynthesisConfig = recipe::parse(&recipe.model, "model")?;
                let augment: AugmentConfig = recipe::parse(&recipe.augment, "augment")?;
                let (base, bank, words) =
                    crate::lasyn::prepare_synthesis(&config, &[&train, &validation], &device)?;
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
            "mmi" => {
                let config: MmiConfig = recipe::parse(&recipe.model, "model")?;
                let augment: MmiAugment = recipe::parse(&recipe.augment, "augment")?;
                let pretrained = pretrained(config.init_from.as_deref())?;
                let task = MmiTask::new(recipe, config, augment, &train, pretrained, libraries, &device)?;
                Ok(Self::Mmi(Box::new(Trainer::new(task, recipe.clone(), run, train, validation, log)?)))
            }
            other => bail!(
                "recipe: unknown task `{other}`; known are `spiral`, `ctc`, `cca_mdd`, `lasyn`, `lasyn_synthesizer` and `mmi`"
            ),
        }
    }

    /// Goes on from a checkpoint.
    pub fn resume(&mut self, path: &Path) -> Result<()> {
        Ok(each!(self, trainer => trainer.resume(path))?)
    }

    /// Trains until done or asked to stop.
    pub fn run(&mut self, stop: &AtomicBool) -> Result<Outcome> {
        Ok(each!(self, trainer => trainer.run(stop))?)
    }

    /// Runs the longest batch once; its loss.
    pub fn dry_run(&mut self) -> Result<f64> {
        Ok(each!(self, trainer => trainer.dry_run())?)
    }

    /// One whole step on the longest batch, with the update of the weights.
    pub fn rehearse(&mut self) -> Result<()> {
        Ok(each!(self, trainer => trainer.rehearse())?)
    }

    /// Runs a failure capsule's batch again: loss and parameters with non-finite gradients.
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

/// All utterances of several manifests (or of anything [`auricle_data::read_any`] reads), for training.
pub fn manifests(paths: &[PathBuf]) -> Result<Vec<Utterance>> {
    let all = auricle_data::read_all(paths)?;
    // Said now and not when a loader meets the file in the middle of an epoch.
    if let Some(bad) = all.iter().find(|u| u.duration_secs <= 0.0) {
        let lists: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        bail!(
            "manifest {}: utterance {} ({}) has no duration; `auricle data check --fix` mends or drops it",
            lists.join(" or "),
            bad.id,
            bad.audio.display()
        );
    }
    Ok(all)
}

/// The recordings that the recipe's perturbations draw from.
fn libraries(recipe: &Recipe) -> Result<Libraries> {
    let front_end: MelConfig = match recipe.model.get("front_end") {
        Some(table) => table.clone().try_into().context("model.front_end")?,
        None => MelConfig::default(),
    };
    let library = |paths: &[PathBuf]| -> Result<Option<Arc<dyn NoiseSource + Send + Sync>>> {
        if paths.is_empty() {
            return Ok(None);
        }
        let recordings = manifests(paths)?;
        Ok(Some(Arc::new(NoiseLibrary::new(recordings, front_end.sample_rate, recipe.data.cache_mib))))
    };
    Ok(Libraries { noise: library(&recipe.data.noise)?, rooms: library(&recipe.data.rirs)? })
}

/// Exported weights named by a file, a folder with `model.safetensors`, or a shipped name.
pub fn load_model(name: &Path) -> Result<(NamedTensors, Metadata)> {
    let path = find_model(name)?;
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    weights::from_bytes(&bytes).with_context(|| path.display().to_string())
}

/// Where a model's weights are.
pub fn find_model(name: &Path) -> Result<PathBuf> {
    let in_folder = |folder: &Path| folder.join("model.safetensors");
    if name.is_file() {
        return Ok(name.to_path_buf());
    }
    if name.is_dir() && in_folder(name).is_file() {
        return Ok(in_folder(name));
    }
    let mut looked = vec![name.to_path_buf()];
    for root in model_roots() {
        let candidate = in_folder(&root.join(name));
        if candidate.is_file() {
            return Ok(candidate);
        }
        looked.push(candidate);
    }
    let looked: Vec<String> = looked.iter().map(|path| path.display().to_string()).collect();
    bail!("no model `{}`; looked for {}", name.display(), looked.join(", "))
}

/// Folders that hold shipped models: `$AURICLE_MODELS`, `models/pretrained` below the working
/// directory and below every folder above the program.
pub fn model_roots() -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = std::env::var_os("AURICLE_MODELS").map(PathBuf::from).into_iter().collect();
    roots.push(PathBuf::from("models/pretrained"));
    if let Ok(program) = std::env::current_exe() {
        roots.extend(program.ancestors().skip(1).map(|folder| folder.join("models/pretrained")));
    }
    roots
}
