//! The training loop.

mod dealing;
mod export;
mod fitness;
mod state;
mod validation;

use crate::average::MovingAverage;
use crate::curriculum::Curriculum;
use crate::items::Items;
use crate::log::RunLog;
use crate::pending::Pending;
use crate::{
    AdamW, AudioStore, Capsule, Draw, GradientSet, Prepare, Progress, Recipe, Selection, StepOutput, Task,
    TrainError,
};
use auricle_data::Utterance;
use auricle_rng::Key;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All steps done.
    Finished,
    /// No improvement for `train.patience` validations.
    EarlyStopped,
    /// Asked to stop; a checkpoint was written, `--resume` goes on.
    Interrupted,
}

/// Drives a task through its recipe in a run directory.
pub struct Trainer<T: Task> {
    task: T,
    recipe: Recipe,
    run: PathBuf,
    train: Items,
    validation: Items,
    store: Arc<AudioStore>,
    optimizer: AdamW,
    average: Option<MovingAverage<T::Model>>,
    progress: Progress,
    curriculum: Option<Curriculum>,
    log: RunLog,
    warnings: Vec<String>,
    cannot_align: Vec<String>,
}

impl<T: Task> Trainer<T> {
    /// A trainer at step 0, of what was selected before the task was made.
    ///
    /// # Errors
    /// A recipe out of its ranges; utterances that the task cannot use; nothing to train on.
    pub fn new(
        task: T,
        recipe: Recipe,
        run: &Path,
        selection: Selection,
        log: RunLog,
    ) -> Result<Self, TrainError> {
        recipe.validate()?;
        let left_out = selection.left_out();
        let (train, validation, inputs) = selection.into_parts();
        let preparer = task.preparer();
        fitness::check(&recipe, &train, &validation, |utterance| preparer.check(utterance))?;
        let (train, cannot_align) = fitness::aligned(train, |u| preparer.cannot_align(u));
        let (_, unaligned) = fitness::aligned(validation.clone(), |u| preparer.cannot_align(u));
        let mut warnings = recipe.warnings();
        warnings.extend(fitness::warnings(&recipe, left_out, &cannot_align, &unaligned));
        warnings.extend(task.warnings().iter().cloned());
        let train = Items::new(train, preparer.text_secs(), preparer.crop_secs());
        if train.is_empty() {
            return Err(fitness::nothing_left(left_out, &cannot_align));
        }
        let curriculum = recipe.train.curriculum.as_ref();
        let curriculum = curriculum
            .map(|config| Curriculum::new(config, train.speech(), train.texts(), Key::new(recipe.seed)))
            .transpose()?;
        let store = Arc::new(AudioStore::new(preparer.sample_rate(), recipe.data.cache_mib));
        let progress = Progress { recipe_hash: recipe.hash(), inputs, ..Progress::default() };
        let optimizer = AdamW::new(recipe.optimizer.clone());
        let average = recipe.train.ema.map(|momentum| MovingAverage::new(momentum, task.model()));
        Ok(Self {
            validation: Items::new(validation, &[], preparer.crop_secs()),
            task,
            recipe,
            run: run.to_path_buf(),
            train,
            store,
            optimizer,
            average,
            progress,
            curriculum,
            log,
            warnings,
            cannot_align,
        })
    }

    /// Where the run stands.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The task.
    pub fn task(&self) -> &T {
        &self.task
    }

    /// The utterances that are trained on.
    pub fn training_utterances(&self) -> &[Utterance] {
        self.train.speech()
    }

    /// What the user should know before the training begins.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The selected utterances that are not trained on because the task cannot align them, with the reason.
    pub fn cannot_align(&self) -> &[String] {
        &self.cannot_align
    }

    /// Trains to the recipe's last step, to early stopping, or until `stop` is set.
    pub fn run(&mut self, stop: &AtomicBool) -> Result<Outcome, TrainError> {
        if self.recipe.train.patience.is_some_and(|patience| self.progress.stale >= patience) {
            return self.finish(Outcome::EarlyStopped);
        }
        let mut pending = Pending::default();
        self.log.start(self.progress.step, self.progress.audio_secs);
        while self.progress.step < self.recipe.train.steps {
            let epoch = self.progress.epoch;
            let mut idle = self.progress.batch == 0;
            for loaded in self.batches(epoch, self.progress.batch)? {
                let (index, secs, batch) = match loaded {
                    // Nothing of a new step has been done yet: the steps up to here are kept, and the
                    // run can go on when the file is mended.
                    Err(error) if pending.batches == 0 && self.progress.step > 0 => {
                        self.save_last()?;
                        return Err(error);
                    }
                    loaded => loaded?,
                };
                if self.task.skips(&batch, self.progress.step) {
                    self.progress.batch = index + 1;
                    continue;
                }
                idle = false;
                self.micro_step(&batch, index, &mut pending)?;
                self.progress.batch = index + 1;
                self.progress.audio_secs += secs;
                if pending.batches < self.recipe.train.accumulate {
                    continue;
                }
                self.optimizer_step(std::mem::take(&mut pending))?;
                let step = self.progress.step;
                let last = step >= self.recipe.train.steps;
                let mut stale = false;
                if last || step.is_multiple_of(self.recipe.train.validate_every) {
                    stale = self.validate()?;
                }
                let asked = stop.load(Ordering::Relaxed);
                if last || asked || stale || step.is_multiple_of(self.recipe.train.checkpoint_every) {
                    self.save_last()?;
                }
                match (last, stale, asked) {
                    (true, _, _) => break,
                    (_, true, _) => return self.finish(Outcome::EarlyStopped),
                    (_, _, true) => return Ok(Outcome::Interrupted),
                    _ => {}
                }
            }
            if idle {
                let step = self.progress.step;
                return Err(TrainError::Data(format!("no batch has anything to teach at step {step}")));
            }
            if self.progress.step < self.recipe.train.steps {
                self.progress.epoch += 1;
                self.progress.batch = 0;
                if let Some(curriculum) = &self.curriculum {
                    curriculum.next_epoch(&mut self.progress.stage);
                }
            }
        }
        self.finish(Outcome::Finished)
    }

    fn micro_step(
        &mut self,
        batch: &<T::Prepare as Prepare>::Batch,
        index: u64,
        pending: &mut Pending,
    ) -> Result<(), TrainError> {
        let step = self.progress.step;
        if pending.batches == 0 {
            self.task.begin_step(step);
        }
        let draw = Draw::Train { epoch: Key::new(self.recipe.seed).epoch(self.progress.epoch), batch: index };
        let StepOutput { loss, metrics, mut gradients } = self.task.forward_backward(batch, step, draw)?;
        if !loss.is_finite() {
            return Err(self.capsule("loss", index)?);
        }
        let gradients = GradientSet::collect(self.task.model(), &mut gradients);
        // Each batch by itself: in a sum of several, the guilty one could not be named.
        if self.recipe.train.accumulate > 1 && !gradients.norm().is_finite() {
            return Err(self.capsule("gradient", index)?);
        }
        pending.add(loss, metrics, gradients);
        Ok(())
    }

    fn optimizer_step(&mut self, mut pending: Pending) -> Result<(), TrainError> {
        let step = self.progress.step;
        if pending.batches > 1 {
            pending.gradients.scale(1.0 / pending.batches as f64);
        }
        let norm = pending.gradients.norm();
        if !norm.is_finite() {
            return Err(self.capsule("gradient", self.progress.batch.saturating_sub(1))?);
        }
        if let Some(limit) = self.recipe.train.clip_norm {
            pending.gradients.clip(norm, limit);
        }
        let lr = self.recipe.schedule.lr_at(step, self.recipe.optimizer.lr);
        let groups: std::collections::BTreeMap<String, crate::Group> =
            pending.gradients.names().map(|name| (name.to_string(), self.task.group(name, step))).collect();
        let frozen = crate::Group { lr_scale: 0.0, weight_decay: 0.0, frozen: true };
        let (optimizer, average) = (&mut self.optimizer, &mut self.average);
        let mut gradients = Some(std::mem::take(&mut pending.gradients));
        let group = |name: &str| groups.get(name).copied().unwrap_or(frozen);
        self.task.map_model(&mut |model| {
            let gradients = gradients.take().unwrap_or_default();
            match average {
                Some(average) => average.step(optimizer, model, gradients, lr, &group, step),
                None => optimizer.step(model, gradients, lr, &group),
            }
        });
        self.progress.step += 1;
        let step = self.progress.step;
        self.log.advance(step, self.progress.audio_secs, pending.loss());
        if step.is_multiple_of(self.recipe.train.log_every) || step == 1 {
            let epoch = self.progress.epoch as f64;
            let own = [
                ("train/loss", pending.loss()),
                ("train/grad_norm", norm),
                ("train/lr", lr),
                ("train/epoch", epoch),
            ];
            let task = pending.metrics();
            let stage = self.curriculum.is_some().then_some(("train/stage", self.progress.stage.bin as f64));
            let all = own.into_iter().chain(stage).chain(task.iter().map(|m| (m.name, m.value)));
            self.log.scalars(step, &all.collect::<Vec<_>>())?;
        }
        if step.is_multiple_of(self.recipe.train.log_every) {
            self.log.speed(step, self.progress.audio_secs)?;
        }
        Ok(())
    }

    /// Runs the longest batch once, forward and backward, without updating anything.
    pub fn dry_run(&mut self) -> Result<f64, TrainError> {
        let (batch, draw) = self.longest()?;
        Ok(self.task.forward_backward(&batch, 0, draw)?.loss)
    }

    /// One whole step on the longest batch: forward, backward, update of the weights and of what averages them.
    pub fn rehearse(&mut self) -> Result<(), TrainError> {
        let (batch, _) = self.longest()?;
        let mut pending = Pending::default();
        self.micro_step(&batch, 0, &mut pending)?;
        self.optimizer_step(pending)?;
        // A task may average its own weights when the next step begins.
        self.task.begin_step(self.progress.step);
        Ok(())
    }

    /// Runs a failure capsule's batch again; the trainer must have resumed its checkpoint.
    pub fn replay(&mut self, capsule: &Capsule) -> Result<(f64, Vec<String>), TrainError> {
        crate::capsule::replay(&mut self.task, capsule)
    }
}
