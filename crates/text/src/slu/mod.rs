//! Spoken language understanding: meanings, how a sequence model writes them, and how good they are.
//!
//! | Corpora | Meaning | As a model writes it |
//! |---|---|---|
//! | SLURP, HWU64 | [`Frame`] with a scenario | `<scn:alarm> <act:query> <slot:event_name> dance class </slot>` |
//! | Snips, Fluent Speech Commands, orders | [`Frame`] | `<int:orderDrink> <slot:size> large </slot> <slot:coffeeDrink> latte </slot>` |
//! | STOP and other TOP-style corpora | [`Tree`] | `[IN:GET_EVENT [SL:DATE_TIME tonight ] ]` |
//!
//! Slots stand in the order of the sentence. What begins with `<` or `[` and the closing `</slot>` and
//! `]` are *marks*: one token each, which [`marks`] lists for a tokenizer.
//!
//! A model's output may be anything. It always gets a score: [`Frame::read`] says what is wrong ([`Fault`])
//! and keeps the intent, trees are compared token by token ([`evaluate_trees`]); time and memory are bounded.

mod evaluate;
mod faults;
mod frame;
mod lexer;
mod scores;
mod tree;

pub use evaluate::{
    FrameReport, Kind, LabelErrors, Rate, SluReport, TreeReport, Understood, evaluate, evaluate_frames,
    evaluate_trees,
};
pub use faults::Fault;
pub use frame::{Entity, Frame, Intent};
pub use lexer::marks;
pub use scores::{Counts, LabelCounts, char_distance, distance_counts, span_counts, total, word_distance};
pub use tree::{Node, Tree};

/// The longest meaning that is read, in bytes; the longest of SLURP and STOP have some 600.
pub const MAX_BYTES: usize = 16 << 10;
/// The most slots of a meaning, and the most nodes of a tree.
pub const MAX_NODES: usize = 512;
/// The deepest tree that is read; the deepest of STOP have some 10 levels.
pub const MAX_DEPTH: usize = 64;

/// Why a meaning cannot be written, or references not be scored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SluError {
    /// A name with white space or a bracket, or none.
    #[error(
        "`{0}` is no name of an intent or slot: use letters, digits and `_`, without white space and brackets"
    )]
    Name(String),
    /// A value without words, with other white space than single spaces, or with a mark in it.
    #[error("slot {slot} has the value `{value}`: give it words with single spaces between them and no mark")]
    Value {
        /// The slot.
        slot: String,
        /// Its value.
        value: String,
    },
    /// More than can be read back.
    #[error("a meaning with {what} above {limit} cannot be read back; split the utterance")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A reference that is no meaning.
    #[error(
        "utterance {id}: its meaning `{meaning}` cannot be a reference: {fault}; correct it in the manifest"
    )]
    Reference {
        /// The utterance.
        id: String,
        /// The beginning of its meaning.
        meaning: String,
        /// What is wrong.
        fault: Fault,
    },
    /// Nothing to score.
    #[error("there is no utterance to score")]
    Nothing,
}

#[cfg(test)]
mod tests;
