//! Recipes, the trainer, schedules, checkpoints, logs and reports.
//!
//! The trainer knows nothing of any one model: it drives a [`Task`].

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
pub mod log;
mod optimizer;
mod pending;
mod precision;
pub mod recipe;
pub mod report;
pub mod schedule;
mod self_training;
mod task;
mod task_kind;
mod trainer;
mod validation;

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
pub use optimizer::{AdamW, AdamWConfig, Group};
pub use precision::Precision;
pub use self_training::{Labelled, Refine, SelfTrainingConfig, select};
pub use task::{Draw, Metric, Prepare, StepOutput, Task, Wave};
pub use task_kind::{TaskKind, UnknownTask};
pub use trainer::{Outcome, Trainer, subset};
pub use validation::Validation;
