//! What can go wrong in recognition.

use auricle_audio::AudioError;
use auricle_nn::StoredError;

/// Why there is no transcript.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecogniseError {
    /// Weights that no recogniser can be made of.
    #[error(transparent)]
    Stored(#[from] StoredError),
    /// Sound that cannot be used, or a front end that cannot be had.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// An utterance that cannot be transcribed.
    #[error("{id}: {reason}")]
    Utterance {
        /// Its id.
        id: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A device that fails.
    #[error("the device failed: {0}")]
    Device(String),
}
