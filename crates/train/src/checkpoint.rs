//! Checkpoints: everything a run needs to go on as if it had never stopped.

use crate::TrainError;
use crate::curriculum::Stage;
use crate::files::write_weights;
use crate::inputs::Inputs;
use auricle_nn::params::NamedTensors;
use auricle_nn::weights::{self, Metadata, Precision};
use burn::tensor::TensorData;
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
    pub best: Vec<(Vec<f64>, u64)>,
    /// Validations since the last improvement.
    pub stale: u64,
    /// Where the curriculum stands.
    #[serde(default)]
    pub stage: Stage,
    /// Updates each parameter has had.
    pub updates: BTreeMap<String, u64>,
    /// Hash of the resolved recipe.
    pub recipe_hash: String,
    /// Digests of the lists and files that are trained on. Empty in checkpoints of earlier versions.
    #[serde(default)]
    pub inputs: Inputs,
}

/// A checkpoint in memory.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Where the run stands.
    pub progress: Progress,
    /// The trained parameters.
    pub model: NamedTensors,
    /// Their moving average, where the recipe asks for one.
    pub average: NamedTensors,
    /// Moments of the optimiser.
    pub optimizer: NamedTensors,
    /// Further state of the task.
    pub task: NamedTensors,
}

const PARTS: [&str; 4] = ["model.", "average.", "optimizer.", "task."];

/// Value of the metadata's `format`.
const FORMAT: &str = "auricle-checkpoint-1";

impl Checkpoint {
    /// Writes one file, atomically: either the old or the new one is there, never a part.
    pub fn write(&self, path: &Path) -> Result<(), TrainError> {
        let mut all = BTreeMap::<String, &TensorData>::new();
        for (prefix, part) in PARTS.iter().zip([&self.model, &self.average, &self.optimizer, &self.task]) {
            all.extend(part.iter().map(|(name, data)| (format!("{prefix}{name}"), data)));
        }
        let tensors = all.iter().map(|(name, data)| (name, *data));
        let fail = |reason: String| TrainError::Checkpoint { path: path.to_path_buf(), reason };
        // TOML and not JSON: numbers must come back to the last bit, which serde_json does not promise.
        let progress = toml::to_string(&self.progress).map_err(|e| fail(e.to_string()))?;
        let digest = digest(&progress, tensors.clone());
        let metadata = [("format", FORMAT.to_string()), ("digest", digest), ("progress", progress)];
        let metadata: Metadata = metadata.map(|(name, value)| (name.to_string(), value)).into();
        write_weights(path, tensors, &metadata, Precision::F32)
    }

    /// Reads a file that [`Self::write`] made.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let fail = |reason: String| TrainError::Checkpoint { path: path.to_path_buf(), reason };
        let bytes = std::fs::read(path).map_err(TrainError::io(path))?;
        let damaged = |e: &dyn std::fmt::Display| {
            fail(format!(
                "{e}; put back a copy of it, or copy a best-step-*.safetensors beside it over it to go on from \
                 there"
            ))
        };
        let (all, metadata) = weights::from_bytes(&bytes).map_err(|e| damaged(&e))?;
        drop(bytes);
        let progress = metadata.get("progress").ok_or_else(|| {
            fail(
                "holds no training state; give the run's checkpoints/last.safetensors, not an exported model"
                    .into(),
            )
        })?;
        if metadata.get("digest") != Some(&digest(progress, &all)) {
            return Err(damaged(&"damaged: its content is not what was written"));
        }
        let progress = toml::from_str(progress).map_err(|e| damaged(&e))?;
        let mut parts: [NamedTensors; 4] = std::array::from_fn(|_| NamedTensors::new());
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
        let [model, average, optimizer, task] = parts;
        Ok(Self { progress, model, average, optimizer, task })
    }
}

/// Of everything that a checkpoint says: safetensors alone would not notice a changed weight.
fn digest<'t>(progress: &str, tensors: impl IntoIterator<Item = (&'t String, &'t TensorData)>) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(progress.as_bytes());
    for (name, data) in tensors {
        hasher.update(format!("\n{name} {:?}\n", data.shape().to_vec()).as_bytes());
        hasher.update(data.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Checkpoint {
        let tensors = |value: f32| {
            NamedTensors::from([("a".to_string(), TensorData::new(vec![value, 0.5, -2.0], [3, 1]))])
        };
        let progress = Progress {
            step: 7,
            // Numbers that a careless reader of decimals gets wrong in the last bit.
            audio_secs: 0.1 + 0.7,
            best: vec![
                (vec![0.3333333333333333], 3),
                (vec![9.313225746154785e-10, 1.0], 6),
                (vec![1.0 / 49.0], 7),
            ],
            updates: BTreeMap::from([("stages.0.w".to_string(), 7)]),
            ..Progress::default()
        };
        Checkpoint {
            progress,
            model: tensors(1.0),
            average: tensors(4.0),
            optimizer: tensors(2.0),
            task: tensors(3.0),
        }
    }

    #[test]
    fn what_is_read_is_what_was_written_to_the_last_bit() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        let mut checkpoint = sample();
        checkpoint.progress.best.extend((1..500).map(|i| (vec![f64::from(i).ln() / 7.0], 1)));
        checkpoint.write(&a).unwrap();
        let back = Checkpoint::read(&a).unwrap();
        assert_eq!(back.progress, checkpoint.progress);
        back.write(&b).unwrap();
        assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
    }

    /// Whatever byte is lost or changed, the checkpoint is refused, or it still says the same.
    #[test]
    fn no_damage_goes_unnoticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        sample().write(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            std::fs::write(&path, &changed).unwrap();
            match Checkpoint::read(&path) {
                Err(error) => assert!(error.to_string().contains(&path.display().to_string()), "{error}"),
                Ok(read) => {
                    assert_eq!(read.progress, sample().progress, "byte {at}");
                    let parts =
                        |c: &Checkpoint| [&c.model, &c.optimizer, &c.task].map(|part| digest("", part));
                    assert_eq!(parts(&read), parts(&sample()), "byte {at}");
                }
            }
            std::fs::write(&path, &bytes[..at]).unwrap();
            assert!(Checkpoint::read(&path).is_err(), "cut at {at}");
        }
    }
}
