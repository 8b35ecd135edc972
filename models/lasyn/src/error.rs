//! What can go wrong.

/// Why latents cannot be made or used.
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
}
