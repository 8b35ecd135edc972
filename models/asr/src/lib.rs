//! CTC speech recognition on a SPIRAL encoder (arXiv 2201.10207 §3.3, fine-tuning).
//!
//! The encoder is the pre-trained student's; a [head](auricle_nn::CtcHead) on top of it predicts
//! characters at 50 Hz or sub-words at 12.5 Hz. For the first updates only the head learns.
//!
//! Training is behind the feature `train`, which is on by default; recognition does without the trainer.

mod aligner;
#[cfg(feature = "train")]
mod batch;
mod config;
mod error;
mod model;
mod recogniser;
#[cfg(feature = "train")]
mod report;
mod stored;
#[cfg(feature = "train")]
mod task;
mod transcribe;

pub use aligner::Aligner;
#[cfg(feature = "train")]
pub use batch::{CtcBatch, CtcPrepare};
pub use config::CtcConfig;
pub use error::RecogniseError;
pub use model::CtcModel;
pub use recogniser::{Recogniser, Recognition};
#[cfg(feature = "train")]
pub use report::word_errors;
pub use stored::Stored;
#[cfg(feature = "train")]
pub use task::{CtcTask, Pretrained};
pub use transcribe::{TranscribeConfig, transcribe};
