//! A search for words: every word of a lexicon, in the order that a language model of words makes probable.
//!
//! The best path through (prefix tree of the lexicon) × (states of an n-gram model) is found frame by frame by passing tokens;
//! nothing is composed beforehand, so that lexicon, language model and acoustic model are free of each other. With an infinite
//! beam the search is exact.
//!
//! The score of a path of words w₁…w_N, pronunciations q and phones over frames is
//!
//! ```text
//! Σ outputs of the acoustic model + ln of the topology's transitions
//!   + Σ_i [ λ·ln P(w_i | w_1…w_{i−1}) + ln P(q_i | w_i) + bonus ] + λ·ln P(end | w_1…w_N)
//!   + Σ over the N + 1 places before, between and behind words [ ln p where there is silence, ln(1 − p) where not ]
//! ```
//!
//! Where no word is said the language model, which is one of sentences, is not asked.

mod decoder;
mod endpoint;
mod found_word;
mod history;
mod hotwords;
mod lattice;
mod rescore;
mod token;
mod tree;
mod word_search;

pub use decoder::{SearchConfig, Silence, WordDecoder};
pub use endpoint::{EndRule, EndRules};
pub use found_word::FoundWord;
pub use hotwords::Hotword;
pub use lattice::{Lattice, LatticeArc, WordSequence};
pub use tree::{Coverage, Entry, LexiconTree};
pub use word_search::{Found, WordSearch};

/// Why there is no search, or it does not go on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// No word to recognise.
    #[error(
        "the lexicon is empty, so there is no word to recognise; give one with the words of the language model"
    )]
    EmptyLexicon,
    /// Lexicon and language model are of different languages or scripts.
    #[error(
        "the lexicon has no word of the language model (lexicon: `{lexicon}` …, model: `{model}` …): are they of the same language?"
    )]
    NoSharedWord {
        /// A word of the lexicon.
        lexicon: String,
        /// A word of the language model.
        model: String,
    },
    /// A pronunciation that cannot be.
    #[error("a pronunciation of `{0}` has no phone, or its log-weight is no number ≤ 0; correct the lexicon")]
    Pronunciation(String),
    /// More pronunciations than a tree holds.
    #[error("the lexicon has more than {0} pronunciations; leave out rare words")]
    TooManyPronunciations(usize),
    /// A phone that the acoustic model has not, or that stands for silence.
    #[error(
        "the lexicon has the phone number {phone}, the acoustic model {units} units, and silence is no phone of a word; use the lexicon that the model was trained with"
    )]
    Phone {
        /// The phone.
        phone: u16,
        /// Units of the acoustic model.
        units: usize,
    },
    /// A setting out of range.
    #[error("search: `{setting}` is {value}, not {range}")]
    Config {
        /// Its name.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// What is allowed.
        range: &'static str,
    },
    /// An expected phrase that is none, or a boost out of range.
    #[error(
        "the hotword `{phrase}` with boost {boost} has no word, or a boost that is not 0 to 1000; correct it"
    )]
    Hotword {
        /// The phrase.
        phrase: String,
        /// Its boost.
        boost: f32,
    },
    /// An expected word that cannot be recognised.
    #[error("the hotword `{phrase}`: the decoder has no word `{word}`; add its pronunciation to the lexicon")]
    HotwordUnknown {
        /// The phrase.
        phrase: String,
        /// The word.
        word: String,
    },
    /// More words in expected phrases than are reasonable.
    #[error("the hotwords have more than {0} words; leave some out")]
    TooManyHotwords(usize),
    /// A lattice that a larger language model makes too large.
    #[error(
        "with this language model the lattice has more than {0} arcs; make it with a smaller `lattice_beam`"
    )]
    LatticeSize(usize),
    /// Scores of another acoustic model.
    #[error(
        "frames have {has} scores, the acoustic model {needs} outputs; decode with the model that they are of"
    )]
    Width {
        /// Scores of a frame.
        has: usize,
        /// Outputs of the acoustic model.
        needs: usize,
    },
    /// A score that is none.
    #[error(
        "frame {frame}, output {output}: the score is {value}; the acoustic model or its input is broken"
    )]
    Score {
        /// Frame, from 0, since the beginning of the utterance.
        frame: usize,
        /// Output.
        output: usize,
        /// What is there.
        value: f32,
    },
}

#[cfg(test)]
mod tests;
