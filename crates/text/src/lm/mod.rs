//! N-gram language models of words, characters or tokens.
//!
//! Trained with interpolated modified Kneser–Ney smoothing (Chen & Goodman 1999) and read from and written to
//! ARPA files, so models of other toolkits can be used. A decoder asks for one unit after the other and keeps
//! a [`State`], which is a number.

mod arpa;
mod corpus;
mod pack;
mod prune;
mod sentences;
mod train;
mod trie;

pub use corpus::{Corpus, CorpusConfig, CorpusReport, Vocabulary};
pub use prune::{Prune, Pruned};
pub use sentences::sentences;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::PathBuf;
use trie::Trie;

/// The longest n-gram.
pub const MAX_ORDER: usize = 10;

/// Stands for the unknown unit, the begin and the end of a sentence.
const SPECIAL: [&str; 3] = ["<unk>", "<s>", "</s>"];
const UNKNOWN: u32 = 0;
const BEGIN: u32 = 1;
const END: u32 = 2;

/// What a model is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Words, between white space.
    #[default]
    Word,
    /// Characters; white space between words is `▁`.
    Character,
}

impl Unit {
    /// The units of a text. Tokens come from a [`Tokenizer`](crate::Tokenizer) instead.
    pub fn split(self, text: &str) -> Vec<String> {
        let words = text.split_whitespace();
        match self {
            Self::Word => words.map(str::to_owned).collect(),
            Self::Character => words.collect::<Vec<_>>().join("▁").chars().map(String::from).collect(),
        }
    }
}

/// How a model is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LmConfig {
    /// Longest n-gram, 1–10. Default: 3.
    pub order: usize,
    /// Units seen less often are the unknown one. Default: 1.
    pub min_count: usize,
    /// An n-gram goes if the log-likelihood of the text falls by less than this many nats without it;
    /// 0 keeps all. Default: 0.
    pub prune_nats: f64,
}

impl Default for LmConfig {
    fn default() -> Self {
        Self { order: 3, min_count: 1, prune_nats: 0.0 }
    }
}

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LmError {
    /// A setting out of range.
    #[error("language model: `{setting}` is {value}, not {range}")]
    Config {
        /// Its name.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// What is allowed.
        range: &'static str,
    },
    /// No unit to learn from.
    #[error("language model: there is no text to learn from; give a file with a sentence a line")]
    NoText,
    /// A unit that an ARPA file cannot hold.
    #[error("language model: `{0}` cannot be a unit: it is empty or has white space in it")]
    Unit(String),
    /// A mark of sentences among the units.
    #[error(
        "language model: `{0}` marks the beginning or end of a sentence and cannot be a unit; remove it from the text"
    )]
    Mark(String),
    /// N-grams too long to be counted on disk.
    #[error(
        "language model: n-grams of {order} out of {units} units do not fit into 128 bits; \
         lower the order, or choose fewer units"
    )]
    TooLong {
        /// The longest.
        order: usize,
        /// Units of the model.
        units: usize,
    },
    /// A file that is no ARPA model.
    #[error("{path}, line {line}: {reason}")]
    Arpa {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A packed model that is damaged.
    #[error("{path}: the packed language model is damaged: {reason}; get or pack it again")]
    Packed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// The longest known context, as a decoder keeps it with a hypothesis. Equal states have the same future.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State(u32);

/// The number of a unit in a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId(u32);

/// A back-off n-gram model.
///
/// ```
/// use auricle_text::lm::{LmConfig, NgramLm, Unit};
/// let text = ["wake me up", "wake me at five"];
/// let lm = NgramLm::train(text.iter().map(|line| Unit::Word.split(line)), &LmConfig::default())?;
/// let (wake, state) = lm.score(lm.begin(), lm.unit("wake"));
/// let (me, state) = lm.score(state, lm.unit("me"));
/// let (cat, _) = lm.score(state, lm.unit("cat"));
/// assert!(wake > -0.7 && me > -0.7 && cat < -2.0);
/// # Ok::<(), auricle_text::lm::LmError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct NgramLm {
    order: usize,
    units: Vec<String>,
    index: HashMap<String, u32>,
    trie: Trie,
}

/// What a model makes of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Perplexity {
    /// Sentences.
    pub sentences: usize,
    /// Units, without the ends of sentences.
    pub units: usize,
    /// Those that the model does not know.
    pub unknown: usize,
    /// Natural logarithm of the probability of all, ends and unknown ones too.
    pub log_probability: f64,
    /// The same without unknown ones.
    pub known_log_probability: f64,
}

impl NgramLm {
    /// Learns from sentences, which are lists of units. Deterministic; the order of sentences does not
    /// matter but for rounding.
    ///
    /// The probability of a unit that was never seen is what smoothing leaves for it: the share of one of V
    /// + 2 units (V known ones, unknown, end) of the uniform distribution below unigrams.
    ///
    /// # Errors
    /// A setting is out of range, there is no unit, or one has white space in it.
    pub fn train<S: AsRef<str>>(
        sentences: impl IntoIterator<Item = Vec<S>>,
        config: &LmConfig,
    ) -> Result<Self, LmError> {
        train::train(sentences, config)
    }

    /// The length of the longest n-gram.
    pub fn order(&self) -> usize {
        self.order
    }

    /// Number of n-grams of all lengths.
    pub fn ngram_count(&self) -> usize {
        self.trie.len()
    }

    /// The units, the first three being those for unknown ones, begin and end.
    pub fn units(&self) -> &[String] {
        &self.units
    }

    /// The number of a unit; that of the unknown one where the model does not have it. The marks of
    /// sentences are no units of a text.
    pub fn unit(&self, unit: &str) -> UnitId {
        let known = self.index.get(unit).copied().filter(|id| !matches!(*id, BEGIN | END));
        UnitId(known.unwrap_or(UNKNOWN))
    }

    /// Whether a number is that of unknown units.
    pub fn is_unknown(&self, unit: UnitId) -> bool {
        unit.0 == UNKNOWN
    }

    /// The begin of a sentence.
    pub fn begin(&self) -> State {
        State(self.trie.find(0, BEGIN).unwrap_or(0))
    }

    /// No context: in the middle of a text of which nothing is known.
    pub fn middle(&self) -> State {
        State::default()
    }

    /// ln p(unit | state), and the state behind it. Backs off as far as need be: ln p(w|h) = ln b(h) + ln p(w|h').
    pub fn score(&self, state: State, unit: UnitId) -> (f32, State) {
        let (log10, next) = self.trie.next(state.0, unit.0);
        (log10 * std::f32::consts::LN_10, State(next))
    }

    /// ln p(end of the sentence | state).
    pub fn end(&self, state: State) -> f32 {
        self.trie.next(state.0, END).0 * std::f32::consts::LN_10
    }

    /// The probability of a sentence from begin to end.
    pub fn sentence<S: AsRef<str>>(&self, units: &[S]) -> Perplexity {
        let mut sums = Perplexity { sentences: 1, units: units.len(), ..Perplexity::default() };
        let mut state = self.begin();
        let mut add = |log: f32, known: bool| {
            sums.log_probability += f64::from(log);
            if known {
                sums.known_log_probability += f64::from(log);
            } else {
                sums.unknown += 1;
            }
        };
        for unit in units {
            let unit = self.unit(unit.as_ref());
            let (log, next) = self.score(state, unit);
            add(log, !self.is_unknown(unit));
            state = next;
        }
        add(self.end(state), true);
        sums
    }
}

impl Perplexity {
    /// exp(−ln p/(units + sentences)), unknown units at their probability.
    pub fn perplexity(&self) -> f64 {
        (-self.log_probability / (self.units + self.sentences).max(1) as f64).exp()
    }

    /// The same without unknown units.
    pub fn known_perplexity(&self) -> f64 {
        (-self.known_log_probability / (self.units - self.unknown + self.sentences).max(1) as f64).exp()
    }
}

impl std::ops::AddAssign for Perplexity {
    fn add_assign(&mut self, other: Self) {
        self.sentences += other.sentences;
        self.units += other.units;
        self.unknown += other.unknown;
        self.log_probability += other.log_probability;
        self.known_log_probability += other.known_log_probability;
    }
}

#[cfg(test)]
mod tests;
