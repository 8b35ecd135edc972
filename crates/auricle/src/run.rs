//! One run of a recipe, in a folder of its own.

use crate::error::Doing as _;
use crate::latents::Loaded;
use crate::{AnyTrainer, Error, Result, Training, write_run_report};
use auricle_io::{atomic_write, remove_unfinished};
use auricle_train::files::RunLock;
use auricle_train::log::RunLog;
use auricle_train::{Outcome, Recipe};
use std::path::Path;

/// Trains a resolved recipe in a run directory and writes its report.
pub fn train(recipe: &Recipe, run: &Path, training: Training<'_>) -> Result<Outcome> {
    train_loaded(recipe, run, training, None)
}

/// The same with what a LaSyn recipe names in files, where that is in memory already.
pub fn train_loaded(
    recipe: &Recipe,
    run: &Path,
    training: Training<'_>,
    loaded: Option<Loaded>,
) -> Result<Outcome> {
    let last = run.join("checkpoints/last.safetensors");
    if last.exists() && !training.resume {
        return Err(occupied(run));
    }
    std::fs::create_dir_all(run.join("checkpoints")).map_err(Error::io(run))?;
    let _lock = RunLock::acquire(run).map_err(Error::io(run))?;
    remove_unfinished(&run.join("checkpoints")).map_err(Error::io(run))?;
    let quiet = !training.events.shows_training();
    let mut log = RunLog::open(run, recipe.train.steps, quiet)?;
    if !last.exists() {
        // A run that was killed before its first checkpoint begins anew, and its log with it.
        log.resume_from(0)?;
    }
    let mut trainer = AnyTrainer::build(recipe, run, log, last.exists(), loaded, training.events)?;
    if last.exists() {
        trainer.resume(&last)?;
    }
    // Only now: another recipe than the run's is refused above, and its own stays on record.
    let resolved = toml::to_string(recipe).doing("recipe")?;
    let path = run.join("recipe.resolved.toml");
    atomic_write(&path, resolved.as_bytes()).map_err(Error::io(&path))?;
    let outcome = trainer.run(training.stop)?;
    write_run_report(run, recipe)?;
    Ok(outcome)
}

/// A folder that holds a run already.
pub fn occupied(run: &Path) -> Error {
    Error::Refused(format!(
        "{} holds a run already; --resume goes on with it, --run NAME starts another",
        run.display()
    ))
}
