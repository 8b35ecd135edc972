//! Batches: which items share one, and the threads that prepare them ahead of the training.

use super::Trainer;
use crate::items::Items;
use crate::{Draw, Prepare, Task, TrainError};
use auricle_data::{Batch, BatchConfig, BatchPlan, load_ordered, plan};
use auricle_rng::Key;

/// Batches prepared ahead of the one in use, at least; more where there are more threads.
const LOOK_AHEAD: usize = 4;

type BatchOf<T> = <<T as Task>::Prepare as Prepare>::Batch;
/// Index in the epoch's plan, seconds of audio, batch.
type Loaded<T> = Result<(u64, f64, BatchOf<T>), TrainError>;

impl<T: Task> Trainer<T> {
    /// The batch plan of an epoch: a pure function of recipe, epoch and, with a curriculum, its stage. Its indices are
    /// those of [`Self::training_utterances`], and after them the task's places for text.
    pub fn plan(&self, epoch: u64) -> BatchPlan {
        let key = Key::new(self.recipe.seed).epoch(epoch);
        let secs = self.train.secs();
        let Some(curriculum) = &self.curriculum else { return plan(&secs, &self.recipe.batch, key) };
        let chosen = curriculum.choose(&self.progress.stage, key);
        let secs: Vec<f64> = chosen.iter().map(|&i| secs[i]).collect();
        let mut plan = plan(&secs, &self.recipe.batch, key);
        for batch in &mut plan.batches {
            batch.indices.iter_mut().for_each(|i| *i = chosen[*i]);
        }
        plan
    }

    /// Prepared batches of an epoch from a position on; O(1) to start anywhere.
    pub(super) fn batches(
        &self,
        epoch: u64,
        from: u64,
    ) -> Result<impl Iterator<Item = Loaded<T>> + use<T>, TrainError> {
        let batches = self.plan(epoch).batches;
        if batches.is_empty() {
            return Err(TrainError::Data("the batch plan is empty".into()));
        }
        let key = Key::new(self.recipe.seed).epoch(epoch);
        Ok(self
            .load(&self.train, batches, from as usize, move |index| Draw::Train { epoch: key, batch: index }))
    }

    /// Prepared batches of the validation set, shortest first.
    pub(super) fn validation_batches(&self) -> impl Iterator<Item = Result<BatchOf<T>, TrainError>> + use<T> {
        let config = BatchConfig { shuffle: false, ..self.recipe.batch.clone() };
        let batches = plan(&self.validation.secs(), &config, Key::new(0)).batches;
        let loaded = self.load(&self.validation, batches, 0, |_| Draw::Validation);
        loaded.map(|loaded| loaded.map(|(_, _, batch)| batch))
    }

    /// Batches in the order of the plan, prepared by the recipe's threads.
    fn load<D: Fn(u64) -> Draw + Send + Sync + 'static>(
        &self,
        items: &Items,
        batches: Vec<Batch>,
        from: usize,
        draw: D,
    ) -> impl Iterator<Item = Loaded<T>> + use<T, D> {
        let jobs: Vec<(usize, Batch)> = batches.into_iter().enumerate().skip(from).collect();
        let (preparer, store, items) = (self.task.preparer(), self.store.clone(), items.clone());
        let workers = self.recipe.data.workers.max(1);
        let work = move |(index, batch): (usize, Batch)| -> Loaded<T> {
            let index = index as u64;
            let rows = items.load(&batch, &store)?;
            let samples: usize = crate::Item::speech(&rows).iter().map(|wave| wave.samples.len()).sum();
            let secs = samples as f64 / f64::from(preparer.sample_rate());
            Ok((index, secs, preparer.prepare(&rows, batch.padded_secs, draw(index))?))
        };
        let loader = load_ordered(jobs.into_iter(), workers, LOOK_AHEAD.max(2 * workers), work);
        loader.map(|item| item.map_err(|e| TrainError::Data(e.to_string())).and_then(|inner| inner))
    }

    /// The longest batch of the first epoch.
    pub(super) fn longest(&self) -> Result<(BatchOf<T>, Draw), TrainError> {
        let plan = self.plan(0);
        let longest = plan.longest().ok_or_else(|| TrainError::Data("the batch plan is empty".into()))?;
        let rows = self.train.load(longest, &self.store)?;
        let draw = Draw::Train { epoch: Key::new(self.recipe.seed), batch: 0 };
        Ok((self.task.preparer().prepare(&rows, longest.padded_secs, draw)?, draw))
    }
}
