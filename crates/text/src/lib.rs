//! Transcripts: normalisation, tokenizers, edit alignment, error rates.
//!
//! # Nomenclature
//! A *piece* is a string of the vocabulary, a *token* its number. The *reference* is what should
//! have been recognised, the *hypothesis* what was.

mod align;
mod normalise;
mod score;
mod tokenizer;

pub use align::{Alignment, Edit, align};
pub use normalise::{Oddity, normalise, oddities};
pub use score::{ErrorCounts, Scored, bootstrap_interval, cer, report, wer};
pub use tokenizer::{Tokenizer, TokenizerError, TokenizerKind, TrainOptions};
