//! Letter to sound: pronunciations of words that no lexicon has.
//!
//! A joint-sequence model (after Bisani & Ney, Speech Communication 2008): a word and its phones are
//! one sequence of *graphones*, pieces of one or two letters with up to two phones. Their pieces are
//! found by EM over all ways to cut the words of a lexicon; then an n-gram model with Kneser–Ney
//! smoothing over the best cuts is estimated, pruned and quantised. A beam search over the letters of
//! a new word gives its n best pronunciations.

mod decode;
mod graphone;
mod ngram;
mod smooth;
mod store;

use crate::lexicon::{Lexicon, Pronunciation};
use crate::normalise::folded;
use graphone::Graphone;
use ngram::Ngrams;
use serde::{Deserialize, Serialize};

/// The longest word that is pronounced, in letters.
pub const MAX_LETTERS: usize = 64;

/// The most graphones; the CMU dictionary has some 750. Bounds the work of the search.
const MAX_GRAPHONES: usize = 4096;

/// How a model is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct G2pConfig {
    /// Longest n-gram, 2–10. Default: 7.
    pub order: usize,
    /// Rounds of EM, 1–100. Default: 8.
    pub em_rounds: usize,
    /// Words with a graphone seen less often are left out, as abbreviations and spelling mistakes are.
    /// Default: 2.
    pub min_graphone_count: usize,
    /// An n-gram goes if the log-likelihood of the lexicon falls by less than this many nats without
    /// it; 0 keeps all. Default: 1, which gives a model of below 2 MB for the CMU dictionary.
    pub prune_nats: f64,
}

impl Default for G2pConfig {
    fn default() -> Self {
        Self { order: 7, em_rounds: 8, min_graphone_count: 2, prune_nats: 1.0 }
    }
}

/// Why there is no model or no pronunciation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum G2pError {
    /// A setting out of range.
    #[error("letter to sound: `{setting}` is {value}, not {range}")]
    Config {
        /// Its name.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// What is allowed.
        range: &'static str,
    },
    /// A lexicon without words of letters that align with their phones.
    #[error("letter to sound: no word of the lexicon can be learnt from; give one with words of a–z and '")]
    Untrainable,
    /// A word that cannot be read.
    #[error(
        "`{word}` has `{character}`, which has no sound of its own; spell it in a–z or add it to a lexicon"
    )]
    Character {
        /// The word.
        word: String,
        /// What is no letter.
        character: char,
    },
    /// A word of no letter or of too many.
    #[error("a word of {0} letters cannot be pronounced: 1 to {MAX_LETTERS} can")]
    Length(usize),
    /// The model knows no way to read the word.
    #[error("no pronunciation of `{0}` found; add it to a lexicon")]
    Unpronounceable(String),
    /// Bytes that are no model.
    #[error("letter-to-sound model: {0}")]
    Stored(String),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A letter-to-sound model.
///
/// ```
/// use auricle_text::{G2p, G2pConfig, Lexicon};
/// let lexicon = Lexicon::parse("a AE\nat AE T\nad AE D\nbat B AE T\ntab T AE B\nbad B AE D\n", "example")?;
/// let model = G2p::train(&lexicon, &G2pConfig { prune_nats: 0.0, min_graphone_count: 1, ..G2pConfig::default() })?;
/// let best = model.pronounce("dad", 1)?;
/// assert_eq!(best[0].iter().map(|phone| phone.name()).collect::<Vec<_>>(), ["d", "ae", "d"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct G2p {
    graphones: Vec<Graphone>,
    ngrams: Ngrams,
    index: decode::Index,
}

/// A pronunciation with its probability.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The phones.
    pub phones: Pronunciation,
    /// Natural logarithm of the joint probability of letters and phones.
    pub log_probability: f32,
}

impl G2p {
    /// Learns from every word of a lexicon that has only letters of [a–z] and apostrophes.
    ///
    /// Deterministic. Takes some seconds of one core for the CMU dictionary.
    ///
    /// # Errors
    /// A setting is out of range, or there is no word to learn from.
    pub fn train(lexicon: &Lexicon, config: &G2pConfig) -> Result<Self, G2pError> {
        let range = |setting, value: f64, ok: bool, range| {
            if ok { Ok(()) } else { Err(G2pError::Config { setting, value, range }) }
        };
        range("order", config.order as f64, (2..=10).contains(&config.order), "2 to 10")?;
        range("em_rounds", config.em_rounds as f64, (1..=100).contains(&config.em_rounds), "1 to 100")?;
        let prune = config.prune_nats;
        range("prune_nats", prune, prune.is_finite() && prune >= 0.0, "0 or more")?;
        let pairs: Vec<(Vec<u8>, Vec<u8>)> = lexicon
            .iter()
            .filter_map(|(word, pronunciations)| {
                let letters: Vec<u8> = word.chars().map(letter).collect::<Option<_>>()?;
                (letters.len() <= MAX_LETTERS).then_some((letters, pronunciations))
            })
            .flat_map(|(letters, pronunciations)| {
                pronunciations.iter().map(move |pronunciation| {
                    (letters.clone(), pronunciation.iter().map(|phone| phone.index() as u8).collect())
                })
            })
            .collect();
        let (graphones, sequences) = graphone::align_all(&pairs, config.em_rounds, config.min_graphone_count);
        if sequences.is_empty() {
            return Err(G2pError::Untrainable);
        }
        let ngrams = smooth::estimate(&sequences, graphones.len(), config.order, prune);
        Ok(Self::assemble(graphones, ngrams))
    }

    fn assemble(graphones: Vec<Graphone>, ngrams: Ngrams) -> Self {
        let index = decode::Index::new(&graphones);
        Self { graphones, ngrams, index }
    }

    /// The `n` most probable pronunciations of a word, the best first; fewer if there are no more.
    ///
    /// # Errors
    /// A character has no sound of its own (letters with accents are read as without), the word is
    /// empty or too long, or nothing in the model reads it.
    pub fn pronounce(&self, word: &str, n: usize) -> Result<Vec<Pronunciation>, G2pError> {
        Ok(self.candidates(word, n)?.into_iter().map(|candidate| candidate.phones).collect())
    }

    /// [`G2p::pronounce`] with probabilities.
    ///
    /// # Errors
    /// As there.
    pub fn candidates(&self, word: &str, n: usize) -> Result<Vec<Candidate>, G2pError> {
        let mut letters = Vec::new();
        for c in folded(word).chars() {
            let plain = letter(c).or_else(|| letter(unaccented(c)));
            letters.push(plain.ok_or_else(|| G2pError::Character { word: word.into(), character: c })?);
            if letters.len() > MAX_LETTERS {
                return Err(G2pError::Length(word.chars().count()));
            }
        }
        if letters.is_empty() {
            return Err(G2pError::Length(0));
        }
        let candidates = self.search(&letters, n.max(1));
        if candidates.is_empty() {
            return Err(G2pError::Unpronounceable(word.into()));
        }
        Ok(candidates)
    }

    /// Number of n-grams of all orders.
    pub fn ngram_count(&self) -> usize {
        self.ngrams.len()
    }

    /// Number of graphones.
    pub fn graphone_count(&self) -> usize {
        self.graphones.len()
    }
}

impl std::fmt::Debug for G2p {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "G2p({} graphones, {} n-grams)", self.graphone_count(), self.ngram_count())
    }
}

/// Number of letters: a–z and the apostrophe.
const LETTERS: usize = 27;

fn letter(c: char) -> Option<u8> {
    match c {
        'a'..='z' => Some(c as u8 - b'a'),
        '\'' => Some(26),
        _ => None,
    }
}

/// The letter without its accent, where English reads it so.
pub(crate) fn unaccented(c: char) -> char {
    match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' => 'a',
        'ç' | 'ć' | 'č' => 'c',
        'ď' => 'd',
        'è'..='ë' | 'ē' | 'ę' | 'ě' => 'e',
        'ğ' => 'g',
        'ì'..='ï' | 'ī' | 'ı' => 'i',
        'ł' => 'l',
        'ñ' | 'ń' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ō' | 'ő' => 'o',
        'ř' => 'r',
        'ś' | 'ş' | 'š' => 's',
        'ť' => 't',
        'ù'..='ü' | 'ū' | 'ů' | 'ű' => 'u',
        'ý' | 'ÿ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        other => other,
    }
}

#[cfg(test)]
mod tests;
