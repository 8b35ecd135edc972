//! SPIRAL: self-supervised perturbation-invariant representation learning (arXiv 2201.10207).
//!
//! A student sees a perturbed utterance (masked, perhaps noisy), a teacher sees the clean one,
//! shifted in position; at every 80 ms position the student must tell the teacher's output from
//! that of other positions of the same utterance. The teacher is a moving average of the student.
//!
//! # Differences from the paper
//!
//! Formulas and constants are those of the published program. Three faults of its data loading are
//! not reproduced: each utterance of each epoch draws its own noise (there, all workers repeat the
//! same draws every epoch); the front end runs on each utterance by itself, not on the padded row,
//! so that a batch cannot change an utterance's features; resuming does not advance the teacher
//! a second time. A layer that layer drop leaves out of a step has no gradient and stays as it is
//! (there, its gradient is zero and its moments still move it). [`SpiralConfig::center_targets`] is
//! an addition, off by default.
//!
//! Training is behind the feature `train`, which is on by default; an [`Extractor`] does without the trainer.

#[cfg(feature = "train")]
mod batch;
mod config;
mod extract;
pub mod import;
#[cfg(feature = "train")]
mod loss;
mod model;
#[cfg(feature = "train")]
mod task;

#[cfg(feature = "train")]
pub use batch::{SpiralBatch, SpiralPrepare};
pub use config::{SpiralAugment, SpiralConfig};
pub use extract::{ExtractConfig, ExtractError, Extraction, Extractor, Representation};
#[cfg(feature = "train")]
pub use loss::draw_negatives;
pub use model::{Predictor, Student, Trunk};
#[cfg(feature = "train")]
pub use task::{SpiralTask, start_from};
