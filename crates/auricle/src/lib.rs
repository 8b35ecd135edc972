//! Speech models for scarce labels, as a library: everything that the `auricle` command does, except for its arguments
//! and its printing.
//!
//! - [`models`]: loads a recogniser, an assessor or an extractor by name, folder or file.
//! - [`train()`]: runs a recipe and writes weights, logs and a report. [`AnyTrainer`] runs the task that it names.
//! - [`adapt`]: adapts a recogniser to a new domain with sentences of text.
//! - [`Teacher`]: labels speech with a model of any kind, for self-training and measures of difficulty.
//!
//! The folder `examples` has a program for each: `transcribe`, `score_stream`, `adapt`, and `train_custom_task` for a task
//! of your own.
//!
//! ```no_run
//! use auricle::asr::{TranscribeConfig, transcribe};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let recogniser = auricle::models::recogniser("asr-en-small".as_ref(), &auricle::tensor::device("cpu")?)?;
//! let recordings = auricle::data::read_any("talk.wav".as_ref())?;
//! transcribe(&recogniser, &recordings, &TranscribeConfig::default(), |_, transcript| {
//!     println!("{}", transcript?.text);
//!     Ok::<(), Box<dyn std::error::Error>>(())
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! Long work tells what it does through [`Events`]; [`Silent`] listens to nothing.

#![deny(clippy::print_stdout, clippy::print_stderr)] // whoever calls this decides what is printed

pub mod adapt;
mod any_trainer;
mod average;
mod difficulty;
mod error;
mod events;
mod import;
mod keys;
pub mod latents;
pub mod models;
mod probe;
mod pronunciations;
mod recordings;
mod report;
mod run;
mod self_training;
mod shipped;
mod smoke;
mod teacher;
mod train;
mod training_options;
mod utterances;

// One dependency is enough: these are the parts that the library's own functions speak in.
pub use auricle_asr as asr;
pub use auricle_audio as audio;
pub use auricle_cca_mdd as cca_mdd;
pub use auricle_data as data;
pub use auricle_lasyn as lasyn;
pub use auricle_nn as nn;
pub use auricle_spiral as spiral;
pub use auricle_tensor as tensor;
pub use auricle_text as text;
pub use auricle_train as training;

pub use any_trainer::AnyTrainer;
pub use average::average;
pub use difficulty::difficulty;
pub use error::{Error, Result};
pub use events::{Events, Silent};
pub use import::{Imported, import};
pub use keys::RECIPE_KEYS;
pub use probe::{Probe, Replayed, aligner, probe, rehearse, replay};
pub use pronunciations::Pronunciations;
pub use recordings::Recordings;
pub use report::{ComparedRun, RecipeDifference, RunComparison, RunScore, compare_runs, write_run_report};
pub use smoke::smoke;
pub use teacher::Teacher;
pub use train::train;
pub use training_options::Training;
pub use utterances::utterances;
