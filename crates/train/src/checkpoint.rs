//! Checkpoints: everything a run needs to go on as if it had never stopped.

use crate::TrainError;
use crate::files::atomic_write;
use auricle_nn::params::NamedTensors;
use auricle_nn::weights::{self, Metadata, Precision};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Where a run stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Optimiser steps done.
    pub step: u64,
    /// Epoch the next batch belongs to.
    pub epoch: u64,
    /// Index of the next batch in the epoch's plan.
    pub batch: u64,
    /// Seconds of audio trained on.
    pub audio_secs: f64,
    /// Best validation scores so far, best first, with their steps.
    pub best: Vec<(f64, u64)>,
    /// Validations since the last improvement.
    pub stale: u64,
    /// Updates each parameter has had.
    pub updates: BTreeMap<String, u64>,
    /// Hash of the resolved recipe.
    pub recipe_hash: String,
}

/// A checkpoint in memory.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Where the run stands.
    pub progress: Progress,
    /// The trained parameters.
    pub model: NamedTensors,
    /// Moments of the optimiser.
    pub optimizer: NamedTensors,
    /// Further state of the task.
    pub task: NamedTensors,
}

const PARTS: [&str; 3] = ["model.", "optimizer.", "task."];

impl Checkpoint {
    /// Writes one file, atomically: either the old or the new one is there, never a part.
    pub fn write(&self, path: &Path) -> Result<(), TrainError> {
        let mut all = NamedTensors::new();
        for (prefix, part) in PARTS.iter().zip([&self.model, &self.optimizer, &self.task]) {
            all.extend(part.iter().map(|(name, data)| (format!("{prefix}{name}"), data.clone())));
        }
        let fail = |reason: String| TrainError::Checkpoint { path: path.to_path_buf(), reason };
        let progress = serde_json::to_string(&self.progress).map_err(|e| fail(e.to_string()))?;
        let metadata =
            Metadata::from([("progress".into(), progress), ("format".into(), "auricle-checkpoint-1".into())]);
        let bytes = weights::to_bytes(&all, &metadata, Precision::F32).map_err(|e| fail(e.to_string()))?;
        atomic_write(path, &bytes).map_err(TrainError::io(path))
    }

    /// Reads a file that [`Self::write`] made.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let fail = |reason: String| TrainError::Checkpoint { path: path.to_path_buf(), reason };
        let bytes = std::fs::read(path).map_err(TrainError::io(path))?;
        let (all, metadata) = weights::from_bytes(&bytes).map_err(|e| fail(e.to_string()))?;
        let progress = metadata.get("progress").ok_or_else(|| {
            fail(
                "holds no training state; give the run's checkpoints/last.safetensors, not an exported model"
                    .into(),
            )
        })?;
        let progress =
            serde_json::from_str(progress).map_err(|e| fail(format!("damaged training state: {e}")))?;
        let mut parts = [NamedTensors::new(), NamedTensors::new(), NamedTensors::new()];
        for (name, data) in all {
            let found = PARTS
                .iter()
                .zip(&mut parts)
                .find_map(|(prefix, part)| Some((name.strip_prefix(prefix)?, part)));
            match found {
                Some((rest, part)) => part.insert(rest.to_string(), data),
                None => return Err(fail(format!("unknown tensor `{name}`"))),
            };
        }
        let [model, optimizer, task] = parts;
        Ok(Self { progress, model, optimizer, task })
    }
}
