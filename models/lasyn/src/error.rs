//! What can go wrong.

/// Why latents cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum LasynError {
    /// A bank that cannot be read, or does not fit the model.
    #[error("bank of latents: {0}")]
    Bank(String),
    /// Texts that cannot be used.
    #[error("texts: {0}")]
    Text(String),
    /// A model that cannot be cut.
    #[error("model: {0}")]
    Model(String),
}
