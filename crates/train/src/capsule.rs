//! Failure capsules: the first bad batch, kept so that it can be reproduced.

use crate::{AudioStore, Checkpoint, Draw, GradientSet, Item, Prepare as _, Recipe, Task, TrainError};
use auricle_data::Utterance;
use auricle_io::atomic_write;
use auricle_nn::params;
use auricle_rng::Key;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A folder that reproduces one batch: `capsule.json`, `recipe.resolved.toml`,
/// `checkpoint.safetensors` (the state before the step).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Capsule {
    /// What was not finite.
    pub what: String,
    /// Optimiser step.
    pub step: u64,
    /// Epoch of the batch.
    pub epoch: u64,
    /// Index of the batch in the epoch's plan.
    pub batch: u64,
    /// Seed of the run: with epoch and batch, the key of every draw.
    pub seed: u64,
    /// Length that the batch was padded to.
    pub padded_secs: f64,
    /// blake3 of the weights before the step.
    pub weights_hash: String,
    /// The batch's utterances.
    pub utterances: Vec<Utterance>,
    /// The batch's places for text, see [`Prepare::text_secs`](crate::Prepare::text_secs).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<usize>,
}

impl Capsule {
    /// Writes the folder `<run>/capsule-step-<N>` and returns it.
    pub fn write(&self, run: &Path, recipe: &Recipe, state: &Checkpoint) -> Result<PathBuf, TrainError> {
        let folder = run.join(format!("capsule-step-{}", self.step));
        std::fs::create_dir_all(&folder).map_err(TrainError::io(&folder))?;
        let json = serde_json::to_vec_pretty(self).map_err(|e| TrainError::Data(e.to_string()))?;
        let toml = toml::to_string(recipe).map_err(|e| TrainError::Recipe(e.to_string()))?;
        for (name, bytes) in [("capsule.json", json), ("recipe.resolved.toml", toml.into_bytes())] {
            let path = folder.join(name);
            atomic_write(&path, &bytes).map_err(TrainError::io(&path))?;
        }
        state.write(&folder.join("checkpoint.safetensors"))?;
        Ok(folder)
    }

    /// The rows of the batch, with their samples at a sampling rate.
    fn items(&self, sample_rate: u32) -> Result<Vec<Item>, TrainError> {
        let store = AudioStore::new(sample_rate, 0);
        let speech = self.utterances.iter().map(|utterance| store.wave(utterance).map(Item::Speech));
        speech.chain(self.texts.iter().map(|&place| Ok(Item::Text(place)))).collect()
    }

    /// Reads a capsule folder: the capsule, its recipe, its checkpoint.
    pub fn read(folder: &Path) -> Result<(Self, Recipe, Checkpoint), TrainError> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).map_err(TrainError::io(&path))
        };
        let bad = |e: String| TrainError::Data(format!("capsule {}: {e}", folder.display()));
        let capsule: Self = serde_json::from_str(&read("capsule.json")?).map_err(|e| bad(e.to_string()))?;
        let recipe: Recipe =
            toml::from_str(&read("recipe.resolved.toml")?).map_err(|e| bad(e.to_string()))?;
        Ok((capsule, recipe, Checkpoint::read(&folder.join("checkpoint.safetensors"))?))
    }
}

/// A digest of named parameters.
pub(crate) fn weights_hash(tensors: &params::NamedTensors) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, data) in tensors {
        hasher.update(name.as_bytes());
        hasher.update(data.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Runs the capsule's batch again on a task that holds the capsule's weights.
///
/// Returns the loss and the names of parameters with non-finite gradients.
pub(crate) fn replay<T: Task>(task: &mut T, capsule: &Capsule) -> Result<(f64, Vec<String>), TrainError> {
    let found = weights_hash(&params::collect(task.model()));
    if found != capsule.weights_hash {
        return Err(TrainError::Data(format!(
            "the weights are not those of the capsule (hash {found}, expected {}); its checkpoint was changed",
            capsule.weights_hash
        )));
    }
    let draw = Draw::Train { epoch: Key::new(capsule.seed).epoch(capsule.epoch), batch: capsule.batch };
    let preparer = task.preparer();
    let items = capsule.items(preparer.sample_rate())?;
    let batch = preparer.prepare(&items, capsule.padded_secs, draw)?;
    let mut output = task.forward_backward(&batch, capsule.step, draw)?;
    let gradients = GradientSet::collect(task.model(), &mut output.gradients);
    Ok((output.loss, gradients.non_finite()))
}
