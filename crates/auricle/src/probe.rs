//! A look at a training before it is started, and at a batch that ended one.

use crate::error::Doing as _;
use crate::{AnyTrainer, Error, Events, Result};
use auricle_asr::{Aligner, CtcConfig};
use auricle_text::Tokenizer;
use auricle_train::log::{RunLog, peak_memory_mib};
use auricle_train::{Capsule, Recipe, TaskKind, recipe};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What a training would be like.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Trained values.
    pub parameters: usize,
    /// Bytes of weights, gradients, the optimiser's moments and, where there is one, a teacher.
    pub state_bytes: usize,
    /// Whether a teacher is among them.
    pub has_teacher: bool,
    /// Utterances that are trained on.
    pub utterances: usize,
    /// Hours of them.
    pub hours: f64,
    /// Batches in the first epoch.
    pub batches: u64,
    /// Share of padding in these batches.
    pub padding_waste: f64,
    /// Utterances that CTC cannot align, with the reason: they are left out. `None` where the task has no such limit.
    pub cannot_align: Option<Vec<String>>,
    /// Loss of the longest batch.
    pub loss: f64,
    /// Seconds that its forward and backward pass took.
    pub secs: f64,
    /// Peak memory of the process before and after that batch, in MiB, where the system tells.
    pub memory_mib: Option<(f64, f64)>,
}

/// A folder that is removed again.
struct Scratch(PathBuf);

impl Scratch {
    fn new(what: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("auricle-{what}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        Ok(Self(folder))
    }

    /// A trainer that writes nowhere else.
    fn trainer(&self, recipe: &Recipe, resumes: bool, events: &dyn Events) -> Result<AnyTrainer> {
        let log = RunLog::open(&self.0, recipe.train.steps, true)?;
        AnyTrainer::build(recipe, &self.0, log, resumes, None, events)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// Reads everything that a recipe names, plans the first epoch and runs its longest batch once; changes nothing.
///
/// # Errors
/// Whatever would stop the training at its start.
pub fn probe(recipe: &Recipe, events: &dyn Events) -> Result<Probe> {
    let scratch = Scratch::new("dry-run")?;
    let mut trainer = scratch.trainer(recipe, false, events)?;
    let plan = trainer.plan();
    let has_teacher = recipe.task == TaskKind::Spiral;
    let copies = if has_teacher { 5 } else { 4 };
    let parameters = trainer.parameters();
    let chosen = trainer.training_utterances();
    let cannot_align = (!has_teacher).then(|| trainer.cannot_align().to_vec());
    let (utterances, hours) = (chosen.len(), chosen.iter().map(|u| u.duration_secs).sum::<f64>() / 3600.0);
    let before = peak_memory_mib();
    let started = Instant::now();
    let loss = trainer.dry_run()?;
    Ok(Probe {
        parameters,
        state_bytes: parameters * size_of::<f32>() * copies,
        has_teacher,
        utterances,
        hours,
        batches: plan.batches.len() as u64,
        padding_waste: plan.padding_waste,
        cannot_align,
        loss,
        secs: started.elapsed().as_secs_f64(),
        memory_mib: before.zip(peak_memory_mib()),
    })
}

/// Says which utterances a CTC recipe cannot spell or align.
///
/// # Errors
/// A recipe of another task, a tokenizer that cannot be read.
pub fn aligner(recipe: &Recipe) -> Result<Aligner> {
    if recipe.task != TaskKind::Ctc {
        return Error::refused(format!("alignment needs a recipe of task `ctc`, not `{}`", recipe.task));
    }
    let config: CtcConfig = recipe::parse(&recipe.model, "model")?;
    let tokenizer = match &config.tokenizer {
        Some(path) => Tokenizer::load(path).doing(path.display())?,
        None => Tokenizer::characters(),
    };
    Ok(Aligner::new(config, tokenizer))
}

/// One whole step of a recipe on its longest batch, update of the weights included; `begin` is called when everything
/// has been read.
///
/// # Errors
/// Whatever would stop the training.
pub fn rehearse(recipe: &Recipe, events: &dyn Events, begin: impl FnOnce()) -> Result<()> {
    let scratch = Scratch::new("rehearsal")?;
    let mut trainer = scratch.trainer(recipe, false, events)?;
    begin();
    trainer.rehearse()
}

/// What a batch that was saved when its loss or gradient was not finite gives now.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// The batch.
    pub capsule: Capsule,
    /// Its loss.
    pub loss: f64,
    /// Parameters whose gradient is not finite.
    pub bad: Vec<String>,
}

/// Runs such a batch again.
///
/// # Errors
/// A capsule that is damaged, audio that is gone.
pub fn replay(folder: &Path, events: &dyn Events) -> Result<Replayed> {
    let (capsule, recipe, _) = Capsule::read(folder)?;
    let scratch = Scratch::new("replay")?;
    let mut trainer = scratch.trainer(&recipe, true, events)?;
    trainer.resume(&folder.join("checkpoint.safetensors"))?;
    let (loss, bad) = trainer.replay(&capsule)?;
    Ok(Replayed { capsule, loss, bad })
}
