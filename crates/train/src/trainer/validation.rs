//! Validation: scores, the best checkpoints, early stopping.

use super::Trainer;
use crate::{Metric, Task, TrainError};

impl<T: Task> Trainer<T> {
    /// Validates, keeps the best checkpoints; true where patience is exhausted.
    pub(super) fn validate(&mut self) -> Result<bool, TrainError> {
        if self.validation.is_empty() {
            return Ok(false);
        }
        // What is validated is what would be exported.
        self.swap_average();
        let metrics = self.validation_metrics();
        self.swap_average();
        let metrics = metrics?;
        let step = self.progress.step;
        let all: Vec<(&str, f64)> = metrics.iter().map(|m| (m.name, m.value)).collect();
        self.log.scalars(step, &all)?;
        self.log.validation(step, &all);
        let names = self.task.selection();
        let value = |name: &&str| metrics.iter().find(|m| m.name == *name).map(|m| m.value);
        let score: Vec<f64> = names.iter().filter_map(value).collect();
        if score.is_empty() || score.iter().any(|value| !value.is_finite()) {
            return Ok(false);
        }
        if let (Some(curriculum), Some(first)) = (&self.curriculum, score.first()) {
            curriculum.validated(&mut self.progress.stage, *first);
        }
        let improved = self.progress.best.first().is_none_or(|(best, _)| score < *best);
        self.progress.stale = if improved { 0 } else { self.progress.stale + 1 };
        let keep = self.recipe.train.keep_best.max(1);
        let best = &self.progress.best;
        let rank = best.iter().position(|(best, _)| score < *best).unwrap_or(best.len());
        if rank < keep {
            self.progress.best.insert(rank, (score, step));
            self.progress.best.truncate(keep);
            self.save(&self.best_path(step))?;
        }
        Ok(self.recipe.train.patience.is_some_and(|patience| self.progress.stale >= patience))
    }

    /// Validation scores of the model as it is.
    pub fn validation_metrics(&mut self) -> Result<Vec<Metric>, TrainError> {
        for batch in self.validation_batches() {
            self.task.validate(&batch?)?;
        }
        Ok(self.task.finish_validation())
    }

    /// Exchanges the trained weights and their moving average, where the recipe asks for one.
    pub(super) fn swap_average(&mut self) {
        if let Some(mut average) = self.average.take() {
            self.task.map_model(&mut |model| average.swap(model));
            self.average = Some(average);
        }
    }
}
