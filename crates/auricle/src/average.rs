//! The mean of several models' weights.

use crate::error::Doing as _;
use crate::{Error, Result, models};
use auricle_nn::params::NamedTensors;
use auricle_nn::weights::Metadata;
use auricle_train::TrainError;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Sizes of tensors by name.
type Shapes = BTreeMap<String, Vec<usize>>;

/// The mean of models of one configuration, or of checkpoints of one run; the metadata are the first one's.
///
/// # Errors
/// Models that cannot be read, or differ in kind, configuration, vocabulary or tensors.
pub fn average(names: &[PathBuf]) -> Result<(NamedTensors, Metadata)> {
    let mut first: Option<(Shapes, Metadata)> = None;
    let models = names.iter().map(|model| {
        let checked = load_exported(model).and_then(|(tensors, metadata)| {
            let shapes: Shapes =
                tensors.iter().map(|(name, data)| (name.clone(), data.shape().to_vec())).collect();
            let (expected, described) = first.get_or_insert_with(|| (shapes.clone(), metadata.clone()));
            let other = |what: &str| {
                Error::refused(format!("{} has {what} than {}", model.display(), names[0].display()))
            };
            for field in ["kind", "config", "tokenizer"] {
                if settings(described.get(field)) != settings(metadata.get(field)) {
                    return other(&format!("another {field}"));
                }
            }
            if *expected != shapes {
                return other("other tensors");
            }
            Ok(tensors)
        });
        checked.map_err(|error| TrainError::Task(error.to_string()))
    });
    let mean = auricle_train::mean_of_weights(models)?.unwrap_or_default();
    Ok((mean, first.map(|(_, metadata)| metadata).unwrap_or_default()))
}

/// A field of the metadata without what says where training began: runs that go on from each other differ in it.
fn settings(field: Option<&String>) -> Option<serde_json::Value> {
    let text = field?;
    let mut value = serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::String(text.clone()));
    if let Some(config) = value.as_object_mut() {
        for beginning in ["init_from", "init_head", "freeze_encoder_steps"] {
            config.remove(beginning);
        }
    }
    Some(value)
}

/// The weights of a model, or of a run's checkpoint under the names of that run's model.
fn load_exported(path: &Path) -> Result<(NamedTensors, Metadata)> {
    let (mut tensors, metadata) = models::load(path)?;
    if !metadata.contains_key("progress") {
        return Ok((tensors, metadata));
    }
    let run = path.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    let (exported, metadata) = models::load(run).doing_with(|| {
        format!(
            "{} is a checkpoint; its names and configuration come from the finished run's model",
            path.display()
        )
    })?;
    let mut named = NamedTensors::new();
    for name in exported.into_keys() {
        let places = [format!("model.{name}"), format!("model.trunk.{name}"), format!("task.{name}")];
        let Some(data) = places.iter().find_map(|place| tensors.remove(place)) else {
            return Error::refused(format!("{} has no tensor for `{name}`", path.display()));
        };
        named.insert(name, data);
    }
    Ok((named, metadata))
}
