//! What a run keeps on disk to go on from, and what it leaves of a batch that went wrong.

use super::Trainer;
use crate::average::MovingAverage;
use crate::capsule::weights_hash;
use crate::{Capsule, Checkpoint, Progress, Task, TrainError};
use auricle_nn::params;
use std::path::{Path, PathBuf};

impl<T: Task> Trainer<T> {
    /// Goes on from a checkpoint of the same recipe and the same data.
    ///
    /// # Errors
    /// A file that is no checkpoint; one of another recipe, or of lists or files that have changed since.
    pub fn resume(&mut self, path: &Path) -> Result<(), TrainError> {
        let checkpoint = Checkpoint::read(path)?;
        let fail = |reason: String| TrainError::Checkpoint { path: path.to_path_buf(), reason };
        if checkpoint.progress.recipe_hash != self.recipe.hash() {
            return Err(fail(
                "was made by another recipe; undo the change or start a new run directory".into(),
            ));
        }
        let changed = self.progress.inputs.changed_since(&checkpoint.progress.inputs);
        if !changed.is_empty() {
            return Err(fail(format!(
                "was trained on other data: {} changed since, and a run that went on would be neither the old one nor \
                 a new one; put back what was there, or start a new run directory with --run",
                changed.join(", ")
            )));
        }
        let device = self.recipe.train.device()?.without_autodiff();
        let mut tensors = checkpoint.model;
        self.put_weights(&mut tensors).map_err(|error| fail(error.to_string()))?;
        self.task.load_state(checkpoint.task)?;
        if let Some(average) = &mut self.average {
            average.load(checkpoint.average)?;
        }
        self.optimizer.load_state(checkpoint.optimizer, &checkpoint.progress.updates, &device);
        self.log.resume_from(checkpoint.progress.step)?;
        let inputs = std::mem::take(&mut self.progress.inputs);
        self.progress = Progress { inputs, ..checkpoint.progress };
        Ok(())
    }

    /// Saves a batch whose loss or gradient is not finite: the error that says so.
    pub(super) fn capsule(&self, what: &str, batch: u64) -> Result<TrainError, TrainError> {
        let state = self.checkpoint();
        let plan = self.plan(self.progress.epoch);
        let dealt = plan.batches.get(batch as usize).ok_or_else(|| {
            TrainError::Data(format!("the {what} of batch {batch}, which is not in the plan, is not finite"))
        })?;
        let (utterances, texts) = self.train.names(dealt)?;
        let capsule = Capsule {
            what: what.to_string(),
            step: self.progress.step,
            epoch: self.progress.epoch,
            batch,
            seed: self.recipe.seed,
            padded_secs: dealt.padded_secs,
            weights_hash: weights_hash(&state.model),
            utterances,
            texts,
        };
        let folder = capsule.write(&self.run, &self.recipe, &state)?;
        Ok(TrainError::NonFinite { step: self.progress.step, what: what.to_string(), capsule: folder })
    }

    fn checkpoint(&self) -> Checkpoint {
        let (optimizer, updates) = self.optimizer.state();
        let progress = Progress { updates, ..self.progress.clone() };
        let average = self.average.as_ref().map(MovingAverage::collect).unwrap_or_default();
        let model = params::collect(self.task.model());
        Checkpoint { progress, model, average, optimizer, task: self.task.state() }
    }

    pub(super) fn save(&self, path: &Path) -> Result<(), TrainError> {
        self.checkpoint().write(path)
    }

    /// Writes the last checkpoint, then drops the best ones that it does not name.
    ///
    /// Not before: a killed run goes on from the last checkpoint on disk and needs those it names.
    pub(super) fn save_last(&mut self) -> Result<(), TrainError> {
        // First the log: a run that goes on from a checkpoint finds every line up to its step.
        self.log.sync()?;
        self.save(&self.checkpoint_path("last"))?;
        let named: Vec<PathBuf> = self.progress.best.iter().map(|(_, step)| self.best_path(*step)).collect();
        let folder = self.run.join("checkpoints");
        for entry in std::fs::read_dir(&folder).map_err(TrainError::io(&folder))? {
            let entry = entry.map_err(TrainError::io(&folder))?;
            let is_best = entry.file_name().to_string_lossy().starts_with("best-step-");
            if is_best && !named.contains(&entry.path()) {
                std::fs::remove_file(entry.path()).map_err(TrainError::io(entry.path()))?;
            }
        }
        Ok(())
    }

    fn checkpoint_path(&self, name: &str) -> PathBuf {
        self.run.join("checkpoints").join(format!("{name}.safetensors"))
    }

    pub(super) fn best_path(&self, step: u64) -> PathBuf {
        self.checkpoint_path(&format!("best-step-{step:08}"))
    }
}
