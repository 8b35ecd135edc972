//! Recipes, the trainer, schedules, checkpoints, logs and reports.
//!
//! The trainer knows nothing of any one model: it drives a [`Task`].

#![deny(clippy::print_stdout, clippy::print_stderr)] // they panic where nobody reads

mod acoustics;
mod audio_store;
mod average;
mod capsule;
mod checkpoint;
mod config;
mod curriculum;
mod error;
pub mod files;
mod gradients;
mod held;
mod inputs;
mod items;
mod limits;
pub mod log;
mod optimizer;
mod pending;
mod precision;
mod range;
pub mod recipe;
pub mod report;
pub mod schedule;
mod selection;
mod self_training;
mod task;
mod task_kind;
mod trainer;
mod validation;
mod wave;

pub use acoustics::{Acoustics, AugmentConfig, FeatureBatch};
pub use audio_store::{AudioStore, NoiseLibrary};
pub use average::mean_of_weights;
pub use capsule::Capsule;
pub use checkpoint::{Checkpoint, Progress};
pub use config::{AboutConfig, DataConfig, Export, Recipe, TrainConfig};
pub use curriculum::{BinOrder, Curriculum, CurriculumConfig, KnownError, Stage};
pub use error::TrainError;
pub use gradients::GradientSet;
pub use held::Held;
pub use inputs::Inputs;
pub use items::Item;
pub use optimizer::{AdamW, AdamWConfig, Group};
pub use precision::Precision;
pub use range::{check_masks, within};
pub use selection::{LeftOut, Selection, TooLong, read_speech, subset};
pub use self_training::{Labelled, Refine, SelfTrainingConfig, select};
pub use task::{Draw, Metric, Prepare, StepOutput, Task};
pub use task_kind::{TaskKind, UnknownTask};
pub use trainer::{Outcome, Trainer};
pub use validation::Validation;
pub use wave::Wave;
