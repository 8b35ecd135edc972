//! What can go wrong.

use auricle_asr::RecogniseError;
use auricle_audio::AudioError;
use auricle_nn::StoredError;

/// Why latents cannot be made or used, or a model cannot read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LasynError {
    /// A bank that cannot be read, or does not fit the model.
    #[error("bank of latents: {0}")]
    Bank(String),
    /// Texts that cannot be used.
    #[error("texts: {0}")]
    Text(String),
    /// A recording that cannot be used.
    #[error("utterance {id}: {reason}")]
    Speech {
        /// The utterance's id.
        id: String,
        /// Why not.
        reason: String,
    },
    /// A model that cannot be cut.
    #[error("model: {0}")]
    Model(String),
    /// Weights that no model can be made of.
    #[error("model: {0}")]
    Stored(#[from] StoredError),
    /// Sound that cannot be used, or a front end that cannot be had.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// A device that fails.
    #[error("the device failed: {0}")]
    Device(String),
}

impl From<RecogniseError> for LasynError {
    fn from(error: RecogniseError) -> Self {
        match error {
            RecogniseError::Stored(error) => Self::Stored(error),
            RecogniseError::Audio(error) => Self::Audio(error),
            RecogniseError::Device(reason) => Self::Device(reason),
            error => Self::Model(error.to_string()),
        }
    }
}

#[cfg(feature = "train")]
impl From<LasynError> for auricle_train::TrainError {
    fn from(error: LasynError) -> Self {
        Self::Task(error.to_string())
    }
}
