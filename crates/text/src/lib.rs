//! Transcripts: normalisation, tokenizers, language models, edit alignment, error rates; phones and what
//! learners make of them; meanings and how well they are understood.
//!
//! # Nomenclature
//! A *piece* is a string of the vocabulary, a *token* its number. The *reference* is what should
//! have been recognised, the *hypothesis* what was.

mod align;
pub mod asr;
mod g2p;
mod hypotheses;
mod kneser_ney;
mod lexicon;
pub mod lm;
pub mod mdd;
mod normalise;
mod numbers;
pub mod phone_lm;
pub mod phones;
mod prompt;
mod report;
mod score;
pub mod slu;
mod spoken;
mod tokenizer;
pub mod units;

pub use align::{Alignment, Edit, align};
pub use asr::{AsrError, AsrEvaluation, AsrScores, BootstrapUnit};
pub use g2p::{Candidate, G2p, G2pConfig, G2pError};
pub use hypotheses::{HypothesesError, read_hypotheses, text_line};
pub use lexicon::{Lexicon, LexiconError, Pronunciation};
pub use normalise::{Oddity, is_apostrophe, is_sentence_mark, nfc, normalise, oddities};
pub use phones::{Perceived, Phone, Slot};
pub use prompt::{Prompt, PromptError, PromptWord, Pronouncer, Source};
pub use report::{
    Breakdown, Confusion, Differences, SpeakerErrors, WordCount, breakdown, differences, report,
};
pub use score::{ErrorCounts, Paired, Scored, bootstrap_interval, cer, pair, wer};
pub use spoken::spoken;
pub use tokenizer::{Tokenizer, TokenizerError, TokenizerKind, TrainOptions};
