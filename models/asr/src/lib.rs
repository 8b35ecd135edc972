//! CTC speech recognition on a SPIRAL encoder (arXiv 2201.10207 §3.3, fine-tuning).
//!
//! The encoder is the pre-trained student's; a [head](auricle_nn::CtcHead) on top of it predicts
//! characters at 50 Hz or sub-words at 12.5 Hz. For the first updates only the head learns.

mod aligner;
mod batch;
mod config;
mod model;
mod recogniser;
mod report;
mod stored;
mod task;
mod transcribe;

pub use aligner::Aligner;
pub use batch::{CtcBatch, CtcPrepare};
pub use config::CtcConfig;
pub use model::CtcModel;
pub use recogniser::{Recogniser, Recognition};
pub use stored::Stored;
pub use task::{CtcTask, Pretrained};
pub use transcribe::{TranscribeConfig, transcribe};
