//! What can be wrong with a model's output.

/// Why a text is no meaning: the first thing that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing, or only white space.
    #[error("there is no meaning")]
    Empty,
    /// Longer than [`super::MAX_BYTES`].
    #[error("it is longer than {} bytes", super::MAX_BYTES)]
    Long,
    /// More than [`super::MAX_NODES`] slots or nodes.
    #[error("it has more than {} slots or nodes", super::MAX_NODES)]
    Nodes,
    /// Deeper than [`super::MAX_DEPTH`].
    #[error("it is nested deeper than {} levels", super::MAX_DEPTH)]
    Deep,
    /// It does not begin with an intent.
    #[error("it does not begin with an intent")]
    NoIntent,
    /// A word where none may be.
    #[error("`{0}` stands outside of slots")]
    Outside(String),
    /// A mark where it may not be.
    #[error("`{0}` stands in a wrong place")]
    Misplaced(String),
    /// A slot without words.
    #[error("slot {0} has no value")]
    NoValue(String),
    /// The end comes too early.
    #[error("`{0}` is not closed")]
    Open(String),
}
