//! The recipe: one schema for every task.

use crate::curriculum::CurriculumConfig;
use crate::self_training::SelfTrainingConfig;
use crate::{AdamWConfig, Precision, TaskKind, TrainError, recipe, schedule::Schedule};
use auricle_data::BatchConfig;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A recipe, resolved: bases merged, overrides applied.
///
/// `model` and `augment` belong to the task, which reads and checks them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What is trained: `spiral`, `ctc`, `cca_mdd`, `lasyn`, `lasyn_synthesizer` or `mmi`.
    pub task: TaskKind,
    /// One sentence on what this recipe is for. Default: none.
    #[serde(default)]
    pub description: String,
    /// Seed of every random decision. Default: 1.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Manifests and limits.
    pub data: DataConfig,
    /// Batch plan.
    #[serde(default)]
    pub batch: BatchConfig,
    /// Optimiser.
    #[serde(default)]
    pub optimizer: AdamWConfig,
    /// Learning-rate schedule.
    pub schedule: Schedule,
    /// Training loop.
    pub train: TrainConfig,
    /// Licence and provenance in the metadata of the exported weights.
    #[serde(default)]
    pub about: AboutConfig,
    /// The task's model.
    #[serde(default)]
    pub model: toml::Table,
    /// The task's perturbations.
    #[serde(default)]
    pub augment: toml::Table,
}

impl Recipe {
    /// Reads and checks a recipe file, its bases and overrides (see [`recipe::load`]).
    ///
    /// # Errors
    /// Files that cannot be read, unknown keys, values of another type or out of their range.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self, TrainError> {
        let recipe: Self = recipe::parse(&recipe::load(path, overrides)?, &path.display().to_string())?;
        recipe.validate()?;
        Ok(recipe)
    }

    /// What the recipe is for: its description, or else the name of its task.
    pub fn title(&self) -> &str {
        if self.description.is_empty() { self.task.name() } else { &self.description }
    }

    /// Hash of everything that changes what a step computes; how often is logged, validated or
    /// saved, how many threads load, and how many steps are run, may differ between resumed runs.
    pub fn hash(&self) -> String {
        let mut same = self.clone();
        same.description.clear();
        same.about = AboutConfig::default();
        same.data.workers = 0;
        same.data.cache_mib = 0;
        same.train = TrainConfig {
            steps: 0,
            accumulate: self.train.accumulate,
            clip_norm: self.train.clip_norm,
            log_every: 0,
            // A curriculum moves on by validations.
            validate_every: self.train.curriculum.as_ref().map_or(0, |_| self.train.validate_every),
            checkpoint_every: 0,
            keep_best: 0,
            export: Export::Best,
            ema: self.train.ema,
            patience: None,
            self_training: None,
            curriculum: self.train.curriculum.clone(),
            gradient_checkpointing: false,
            precision: self.train.precision,
            device: String::new(),
        };
        // Serialising a plain struct of numbers and strings cannot fail; an empty text would only
        // make every recipe look alike, which the shape checks of loading still catch.
        let text = toml::to_string(&same).unwrap_or_default();
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}

fn default_seed() -> u64 {
    1
}

/// Manifests and limits. Paths are relative to the working directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Training manifests.
    pub train: Vec<PathBuf>,
    /// Validation manifests. Default: none.
    #[serde(default)]
    pub validation: Vec<PathBuf>,
    /// Shorter utterances are left out of training. Default: 0.
    #[serde(default)]
    pub min_secs: f64,
    /// Longer utterances are left out of training (SPIRAL crops instead). Default: 30.
    #[serde(default = "default_max_secs")]
    pub max_secs: f64,
    /// Only this many minutes of the training data, chosen by the seed. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subset_minutes: Option<f64>,
    /// Noise manifests for multi-condition training. Default: none.
    #[serde(default)]
    pub noise: Vec<PathBuf>,
    /// Manifests of room impulse responses, for `augment.reverb`. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rirs: Vec<PathBuf>,
    /// Decoded audio kept in memory, in MiB. Default: 4096.
    #[serde(default = "default_cache_mib")]
    pub cache_mib: usize,
    /// Loader threads, at most [`auricle_data::MAX_WORKERS`]. Default: 1.
    #[serde(default = "default_workers")]
    pub workers: usize,
}

fn default_max_secs() -> f64 {
    30.0
}

fn default_cache_mib() -> usize {
    4096
}

fn default_workers() -> usize {
    1
}

/// Which weights a run gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Export {
    /// Those with the best validation score.
    #[default]
    Best,
    /// Those of the last step.
    Last,
    /// The mean of the best checkpoints.
    Average,
}

/// What the exported weights say of themselves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AboutConfig {
    /// Licence of the weights. Default: none stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Data and training in a sentence. Default: made from the recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<String>,
}

/// The training loop.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Optimiser steps.
    pub steps: u64,
    /// Batches per optimiser step. Default: 1.
    #[serde(default = "one")]
    pub accumulate: u64,
    /// Global gradient-norm limit. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Steps between log lines. Default: 10.
    #[serde(default = "ten")]
    pub log_every: u64,
    /// Steps between validations. Default: 500.
    #[serde(default = "five_hundred")]
    pub validate_every: u64,
    /// Steps between checkpoints. Default: 500.
    #[serde(default = "five_hundred")]
    pub checkpoint_every: u64,
    /// Best checkpoints kept. Default: 1.
    #[serde(default = "one_usize")]
    pub keep_best: usize,
    /// Which weights the run exports: `best` (by validation), `last`, or the `average` of the best
    /// `keep_best`. Default: `best`.
    #[serde(default)]
    pub export: Export,
    /// Momentum of a moving average of the weights, which is then what is validated and exported.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<f64>,
    /// Stop after this many validations without improvement. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
    /// Self-training: rounds of training on pseudo-labels of the model itself. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_training: Option<SelfTrainingConfig>,
    /// Training that starts with easy utterances and adds harder ones. Default: all utterances in every epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curriculum: Option<CurriculumConfig>,
    /// Recompute cheap activations in the backward pass instead of keeping them. Default: false.
    #[serde(default)]
    pub gradient_checkpointing: bool,
    /// Number format in which encoders compute, `f32` or `bf16` (see [`Precision`]). Default: `f32`.
    #[serde(default, skip_serializing_if = "Precision::is_single")]
    pub precision: Precision,
    /// Device name. Default: `cpu`.
    #[serde(default = "cpu")]
    pub device: String,
}

impl TrainConfig {
    /// The device that models are built on: it records gradients.
    ///
    /// # Errors
    /// A device that is unknown or not in this build, or that lacks the precision.
    pub fn device(&self) -> Result<Device, TrainError> {
        self.precision.check_name(&self.device)?;
        let device = auricle_tensor::device(&self.device).map_err(|e| TrainError::Task(e.to_string()))?;
        self.precision.check(&self.device, &device)?;
        let device = device.autodiff();
        Ok(if self.gradient_checkpointing { device.gradient_checkpointing() } else { device })
    }
}

fn one() -> u64 {
    1
}

fn one_usize() -> usize {
    1
}

fn ten() -> u64 {
    10
}

fn five_hundred() -> u64 {
    500
}

fn cpu() -> String {
    "cpu".into()
}
