//! The training loop.

mod export;
mod select;
mod validation;

pub use select::subset;

use crate::average::MovingAverage;
use crate::capsule::weights_hash;
use crate::curriculum::Curriculum;
use crate::log::RunLog;
use crate::pending::Pending;
use crate::{
    AdamW, AudioStore, Capsule, Checkpoint, Draw, GradientSet, Prepare, Progress, Recipe, StepOutput, Task,
    TrainError,
};
use auricle_data::{BatchPlan, MAX_WORKERS, Utterance, load_ordered, plan};
use auricle_nn::params;
use auricle_rng::Key;
use select::{check, select};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Batches prepared ahead of the one in use, at least; more where there are more threads.
const LOOK_AHEAD: usize = 4;

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
    train: Arc<Vec<Utterance>>,
    validation: Arc<Vec<Utterance>>,
    store: Arc<AudioStore>,
    optimizer: AdamW,
    average: Option<MovingAverage<T::Model>>,
    progress: Progress,
    curriculum: Option<Curriculum>,
    log: RunLog,
}

type Loaded<T> = Result<(u64, f64, <<T as Task>::Prepare as Prepare>::Batch), TrainError>;

impl<T: Task> Trainer<T> {
    /// A trainer at step 0. The utterances are filtered and reduced as the recipe says.
    pub fn new(
        task: T,
        recipe: Recipe,
        run: &Path,
        train: Vec<Utterance>,
        validation: Vec<Utterance>,
        log: RunLog,
    ) -> Result<Self, TrainError> {
        if recipe.data.workers > MAX_WORKERS {
            let workers = recipe.data.workers;
            return Err(TrainError::Recipe(format!("data.workers: {workers} is above {MAX_WORKERS}")));
        }
        let preparer = task.preparer();
        let train = select(train, &recipe, preparer.crop_secs().is_some());
        check(&train, &validation, |utterance| preparer.check(utterance))?;
        if train.is_empty() {
            return Err(TrainError::Data(
                "no training utterance is left after data.min_secs and data.max_secs".into(),
            ));
        }
        let curriculum = recipe.train.curriculum.as_ref();
        let curriculum =
            curriculum.map(|config| Curriculum::new(config, &train, Key::new(recipe.seed))).transpose()?;
        let store = Arc::new(AudioStore::new(task.preparer().sample_rate(), recipe.data.cache_mib));
        let progress = Progress { recipe_hash: recipe.hash(), ..Progress::default() };
        let optimizer = AdamW::new(recipe.optimizer.clone());
        let (train, validation) = (Arc::new(train), Arc::new(validation));
        let average = recipe.train.ema.map(|momentum| MovingAverage::new(momentum, task.model()));
        let run = run.to_path_buf();
        Ok(Self {
            task,
            recipe,
            run,
            train,
            validation,
            store,
            optimizer,
            average,
            progress,
            curriculum,
            log,
        })
    }

    /// Goes on from a checkpoint of the same recipe.
    pub fn resume(&mut self, path: &Path) -> Result<(), TrainError> {
        let checkpoint = Checkpoint::read(path)?;
        if checkpoint.progress.recipe_hash != self.recipe.hash() {
            return Err(TrainError::Checkpoint {
                path: path.to_path_buf(),
                reason: "was made by another recipe; undo the change or start a new run directory".into(),
            });
        }
        let device = self.recipe.train.device()?.without_autodiff();
        let mut tensors = checkpoint.model;
        self.put_weights(&mut tensors).map_err(|error| TrainError::Checkpoint {
            path: path.to_path_buf(),
            reason: error.to_string(),
        })?;
        self.task.load_state(checkpoint.task)?;
        if let Some(average) = &mut self.average {
            average.load(checkpoint.average)?;
        }
        self.optimizer.load_state(checkpoint.optimizer, &checkpoint.progress.updates, &device);
        self.log.resume_from(checkpoint.progress.step).map_err(TrainError::io(&self.run))?;
        self.progress = checkpoint.progress;
        Ok(())
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
        &self.train
    }

    /// The batch plan of an epoch: a pure function of recipe, epoch and, with a curriculum, its stage.
    pub fn plan(&self, epoch: u64) -> BatchPlan {
        let key = Key::new(self.recipe.seed).epoch(epoch);
        let Some(curriculum) = &self.curriculum else {
            let durations: Vec<f64> = self.train.iter().map(|u| self.batch_secs(u)).collect();
            return plan(&durations, &self.recipe.batch, key);
        };
        let chosen = curriculum.choose(&self.progress.stage, key);
        let durations: Vec<f64> = chosen.iter().map(|&i| self.batch_secs(&self.train[i])).collect();
        let mut plan = plan(&durations, &self.recipe.batch, key);
        for batch in &mut plan.batches {
            batch.indices.iter_mut().for_each(|i| *i = chosen[*i]);
        }
        plan
    }

    /// Seconds an utterance takes in a batch: tasks may crop.
    fn batch_secs(&self, utterance: &Utterance) -> f64 {
        self.task
            .preparer()
            .crop_secs()
            .map_or(utterance.duration_secs, |crop| utterance.duration_secs.min(crop))
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

    /// Prepared batches of an epoch from a position on; O(1) to start anywhere.
    fn batches(&self, epoch: u64, from: u64) -> Result<impl Iterator<Item = Loaded<T>> + use<T>, TrainError> {
        let batches = self.plan(epoch).batches;
        if batches.is_empty() {
            return Err(TrainError::Data("the batch plan is empty".into()));
        }
        let key = Key::new(self.recipe.seed).epoch(epoch);
        let jobs: Vec<_> = batches.into_iter().enumerate().skip(from as usize).collect();
        let (preparer, store, train) = (self.task.preparer(), self.store.clone(), self.train.clone());
        let workers = self.recipe.data.workers.max(1);
        let work = move |(index, batch): (usize, auricle_data::Batch)| -> Loaded<T> {
            let waves = batch
                .indices
                .iter()
                .filter_map(|&i| train.get(i))
                .map(|u| store.wave(u))
                .collect::<Result<Vec<_>, _>>()?;
            let secs = waves.iter().map(|wave| wave.samples.len() as f64).sum::<f64>()
                / f64::from(preparer.sample_rate());
            let draw = Draw::Train { epoch: key, batch: index as u64 };
            Ok((index as u64, secs, preparer.prepare(&waves, batch.padded_secs, draw)?))
        };
        let loader = load_ordered(jobs.into_iter(), workers, LOOK_AHEAD.max(2 * workers), work);
        Ok(loader.map(|item| item.map_err(|e| TrainError::Data(e.to_string())).and_then(|inner| inner)))
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
            self.log.scalars(step, &all.collect::<Vec<_>>()).map_err(TrainError::io(&self.run))?;
        }
        if step.is_multiple_of(self.recipe.train.log_every) {
            self.log.speed(step, self.progress.audio_secs).map_err(TrainError::io(&self.run))?;
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

    fn longest(&self) -> Result<(<T::Prepare as Prepare>::Batch, Draw), TrainError> {
        let plan = self.plan(0);
        let longest = plan.longest().ok_or_else(|| TrainError::Data("the batch plan is empty".into()))?;
        let waves = longest
            .indices
            .iter()
            .filter_map(|&i| self.train.get(i))
            .map(|u| self.store.wave(u))
            .collect::<Result<Vec<_>, _>>()?;
        let draw = Draw::Train { epoch: Key::new(self.recipe.seed), batch: 0 };
        Ok((self.task.preparer().prepare(&waves, longest.padded_secs, draw)?, draw))
    }

    /// Runs a failure capsule's batch again; the trainer must have resumed its checkpoint.
    pub fn replay(
        &mut self,
        capsule: &Capsule,
        waves: &[crate::Wave],
    ) -> Result<(f64, Vec<String>), TrainError> {
        crate::capsule::replay(&mut self.task, capsule, waves)
    }

    fn capsule(&self, what: &str, batch: u64) -> Result<TrainError, TrainError> {
        let state = self.checkpoint();
        let plan = self.plan(self.progress.epoch);
        let (indices, padded_secs) =
            plan.batches.get(batch as usize).map(|b| (b.indices.clone(), b.padded_secs)).unwrap_or_default();
        let capsule = Capsule {
            what: what.to_string(),
            step: self.progress.step,
            epoch: self.progress.epoch,
            batch,
            seed: self.recipe.seed,
            padded_secs,
            weights_hash: weights_hash(&state.model),
            utterances: indices.iter().filter_map(|&i| self.train.get(i).cloned()).collect(),
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

    fn save(&self, path: &Path) -> Result<(), TrainError> {
        self.checkpoint().write(path)
    }

    /// Writes the last checkpoint, then drops the best ones that it does not name.
    ///
    /// Not before: a killed run goes on from the last checkpoint on disk and needs those it names.
    fn save_last(&self) -> Result<(), TrainError> {
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

    fn best_path(&self, step: u64) -> PathBuf {
        self.checkpoint_path(&format!("best-step-{step:08}"))
    }
}
