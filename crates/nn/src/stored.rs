//! Models from exported weights: what the metadata says of them, and the network with its values.
//!
//! The metadata of an exported model has its `kind`, its configuration as JSON in `config`, and what else belongs to
//! it. A file may come from a stranger: descriptions are checked before anything is made by them.

use crate::params::{self, LoadError, NamedTensors};
use crate::streaming::StreamingError;
use crate::weights::Metadata;
use crate::{ConfigError, Initializer};
use auricle_rng::{Key, Purpose};
use burn::module::Module;
use burn::tensor::Device;
use serde::de::DeserializeOwned;

/// Why no model can be made of stored weights.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoredError {
    /// A field of the metadata that every model has.
    #[error(
        "these weights carry no `{0}`: not a model of auricle; give a run's folder or its model.safetensors"
    )]
    Missing(String),
    /// Another kind of model.
    #[error("these weights are a `{found}` model; {advice}")]
    Kind {
        /// What they are.
        found: String,
        /// What is needed instead.
        advice: String,
    },
    /// A field of the metadata that cannot be read.
    #[error("{field}: {reason}")]
    Description {
        /// Its name.
        field: String,
        /// What is wrong.
        reason: String,
    },
    /// A configuration that no model can have.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Tensors that do not fit the configuration.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A model that cannot run on a stream.
    #[error(transparent)]
    Streaming(#[from] StreamingError),
}

impl StoredError {
    /// A field of the metadata and what is wrong with it.
    pub fn description(field: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Description { field: field.into(), reason: reason.to_string() }
    }
}

/// A field of the metadata.
///
/// # Errors
/// It is not there.
pub fn field<'m>(metadata: &'m Metadata, name: &str) -> Result<&'m str, StoredError> {
    metadata.get(name).map(String::as_str).ok_or_else(|| StoredError::Missing(name.into()))
}

/// Checks the `kind` of a model.
///
/// # Errors
/// It has none, or another; `advice` says what is needed.
pub fn check_kind(metadata: &Metadata, kinds: &[&str], advice: &str) -> Result<(), StoredError> {
    let found = field(metadata, "kind")?;
    if kinds.contains(&found) {
        return Ok(());
    }
    Err(StoredError::Kind { found: found.into(), advice: advice.into() })
}

/// A field of the metadata that is JSON.
///
/// # Errors
/// It is not there or something else.
pub fn json<T: DeserializeOwned>(metadata: &Metadata, name: &str) -> Result<T, StoredError> {
    serde_json::from_str(field(metadata, name)?).map_err(|error| StoredError::description(name, error))
}

/// Makes a network of `parameters` values and loads it with what stands under `prefix`.
///
/// # Errors
/// Fewer values than the network needs, which are counted before it is made, or others.
pub fn build<M: Module>(
    parameters: usize,
    prefix: &str,
    tensors: &mut NamedTensors,
    device: &Device,
    make: impl FnOnce(&mut Initializer<'_>) -> M,
) -> Result<M, LoadError> {
    params::check_count(tensors, parameters)?;
    let mut stream = Key::new(0).stream(Purpose::Init);
    let model = make(&mut Initializer::new(&mut stream, device));
    params::load(model, prefix, tensors)
}
