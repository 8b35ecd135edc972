//! Speech models when labels are scarce, as a library: what the `auricle` command does, without its arguments and
//! its printing.
//!
//! - [`models`]: a name, a folder or a file becomes a recogniser, an assessor, an extractor.
//! - [`train()`]: a recipe becomes a run: weights, logs, a report. [`AnyTrainer`] drives whichever task it names.
//! - [`adapt`]: sentences of a new domain become an adapted recogniser.
//! - [`Teacher`]: a model of any kind labels speech; self-training and maps of difficulty use it.
//!
//! Long work tells what it does through [`Events`]; [`Silent`] listens to nothing.

#![deny(clippy::print_stdout, clippy::print_stderr)] // whoever calls this decides what is printed

pub mod adapt;
mod any_trainer;
mod average;
mod data;
mod error;
mod events;
mod import;
mod keys;
pub mod latents;
pub mod models;
mod probe;
mod pronunciations;
mod report;
mod run;
mod self_training;
mod shipped;
mod smoke;
mod teacher;
mod train;
mod training;

pub use any_trainer::AnyTrainer;
pub use average::average;
pub use data::utterances;
pub use error::{Error, Result};
pub use events::{Events, Silent};
pub use import::{Imported, import};
pub use keys::RECIPE_KEYS;
pub use probe::{Probe, Replayed, aligner, probe, rehearse, replay};
pub use pronunciations::Pronunciations;
pub use report::write_run_report;
pub use smoke::smoke;
pub use teacher::Teacher;
pub use train::train;
pub use training::Training;
