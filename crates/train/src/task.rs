//! What the trainer drives.

use crate::report::Section;
use crate::{Group, Item, TrainError};
use auricle_data::Utterance;
use auricle_nn::params::NamedTensors;
use auricle_rng::Key;
use burn::module::Module;
use burn::tensor::Gradients;
use std::sync::Arc;

/// Where a batch's randomness comes from.
#[derive(Debug, Clone, Copy)]
pub enum Draw {
    /// Training: `epoch` is the key of (seed, epoch); `batch` the index in the epoch's plan.
    Train {
        /// Key of seed and epoch; per-utterance draws add the utterance's id.
        epoch: Key,
        /// Per-batch draws add this number.
        batch: u64,
    },
    /// Validation: always the same draws.
    Validation,
}

impl Draw {
    /// The key for draws that belong to one utterance.
    pub fn utterance(self, id: &str) -> Key {
        match self {
            Self::Train { epoch, .. } => epoch.utterance(id),
            Self::Validation => Key::new(0).epoch(u64::MAX).utterance(id),
        }
    }

    /// The key for draws that belong to a place for text: that of an utterance `text:<place>`, as it was when text
    /// stood among the utterances, so that runs of then can be repeated.
    pub fn text(self, place: usize) -> Key {
        self.utterance(&format!("text:{place}"))
    }

    /// The key for draws that belong to the whole batch.
    pub fn batch(self) -> Key {
        match self {
            Self::Train { epoch, batch } => epoch.step(batch),
            Self::Validation => Key::new(0).epoch(u64::MAX),
        }
    }

    /// Whether this is training.
    pub fn is_training(self) -> bool {
        matches!(self, Self::Train { .. })
    }
}

/// Turns waveforms, and places for text where the task has some, into a batch; runs on loader threads.
pub trait Prepare: Send + Sync + 'static {
    /// A batch in host memory.
    type Batch: Send + 'static;

    /// Samples per second the task wants.
    fn sample_rate(&self) -> u32;

    /// Longer utterances are cropped to this many seconds in training, where they are.
    fn crop_secs(&self) -> Option<f64> {
        None
    }

    /// Seconds that the sentences of each place for text are expected to take: an epoch has these places beside its
    /// utterances, and the batch plan deals them as [`Item::Text`]. Default: none.
    fn text_secs(&self) -> &[f64] {
        &[]
    }

    /// Whether an utterance can be used, as far as its manifest entry tells: why not, in words. One that cannot ends
    /// the training before it has begun.
    ///
    /// # Errors
    /// The reason.
    fn check(&self, utterance: &Utterance) -> Result<(), String> {
        let _ = utterance;
        Ok(())
    }

    /// Why the loss of an utterance would be left out (a text with more tokens than CTC has frames for), in words;
    /// `None` where it counts. Such utterances are not trained on, and the user is told.
    fn cannot_align(&self, utterance: &Utterance) -> Option<String> {
        let _ = utterance;
        None
    }

    /// Front end, perturbation, padding to at least `padded_secs` (so that batches of one bucket
    /// have one shape): a pure function of its arguments. What is padded never changes a result.
    ///
    /// A task without [`Self::text_secs`] meets speech only; [`Item::speech`] gives its waves.
    ///
    /// # Errors
    /// Data that no batch can be made of, with the name of the utterance.
    fn prepare(&self, items: &[Item], padded_secs: f64, draw: Draw) -> Result<Self::Batch, TrainError>;
}

/// The result of one forward and backward pass.
pub struct StepOutput {
    /// The loss.
    pub loss: f64,
    /// Further scalars for the log.
    pub metrics: Vec<Metric>,
    /// Gradients; the trainer collects those of [`Task::model`].
    pub gradients: Gradients,
}

/// A named number.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Its name, as in the log.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
}

/// A training objective: model, loss, validation.
pub trait Task {
    /// What is trained.
    type Model: Module;
    /// Its loader side.
    type Prepare: Prepare;

    /// The loader side, shared by the threads.
    fn preparer(&self) -> Arc<Self::Prepare>;

    /// The trained module.
    fn model(&self) -> &Self::Model;

    /// Replaces the trained module by a function of itself (by value, so that updates are in place).
    fn map_model(&mut self, update: &mut dyn FnMut(Self::Model) -> Self::Model);

    /// Called before each optimiser step's first forward pass with the number of steps done.
    fn begin_step(&mut self, step: u64) {
        let _ = step;
    }

    /// Whether a batch has nothing to teach at optimiser step `step`: it is passed over and does not count.
    fn skips(&self, batch: &<Self::Prepare as Prepare>::Batch, step: u64) -> bool {
        let _ = (batch, step);
        false
    }

    /// Forward and backward on one batch in training mode, at optimiser step `step`.
    fn forward_backward(
        &mut self,
        batch: &<Self::Prepare as Prepare>::Batch,
        step: u64,
        draw: Draw,
    ) -> Result<StepOutput, TrainError>;

    /// The optimiser group of a parameter in step `step`.
    fn group(&self, name: &str, step: u64) -> Group;

    /// Adds one validation batch to the task's tallies.
    fn validate(&mut self, batch: &<Self::Prepare as Prepare>::Batch) -> Result<(), TrainError>;

    /// The scores of the validation batches since the last call.
    fn finish_validation(&mut self) -> Vec<Metric>;

    /// What the user should know before the training begins: settings of no effect, weights that were not used.
    fn warnings(&self) -> &[String] {
        &[]
    }

    /// Whether there is a [`Self::report`] to be had.
    fn reports(&self) -> bool {
        false
    }

    /// What the last validation was like in more than numbers, for the run's report.
    fn report(&self) -> Vec<Section> {
        Vec::new()
    }

    /// Names of the scores that select the best checkpoint, lower is better; each further one decides
    /// where those before it are equal.
    fn selection(&self) -> &'static [&'static str];

    /// State beside the model's parameters that training needs to go on (an EMA teacher).
    fn state(&self) -> NamedTensors {
        NamedTensors::new()
    }

    /// Restores [`Self::state`].
    fn load_state(&mut self, state: NamedTensors) -> Result<(), TrainError> {
        let _ = state;
        Ok(())
    }

    /// What a consumer of the final weights needs, `(tensors, metadata)`: the exported model.
    fn export(&self) -> Result<(NamedTensors, auricle_nn::weights::Metadata), TrainError>;
}
