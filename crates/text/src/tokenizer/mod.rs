//! Text to tokens and back.

mod bpe;
mod options;
mod sentencepiece;
mod subwords;
mod unigram;

use crate::normalise;
use auricle_io::{Budget, atomic_write, open};
use options::Options;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use subwords::{Piece, PieceKind, Subwords, UNKNOWN};

/// How [`Tokenizer::train`] chooses sub-words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenizerKind {
    /// Unigram language model: the most probable segmentation (Kudo, arXiv 1804.10959).
    #[default]
    Unigram,
    /// Byte-pair encoding: merges in the order of their frequency (Sennrich et al., arXiv 1508.07909).
    Bpe,
}

/// What [`Tokenizer::train`] is to make.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// Algorithm. Default: unigram.
    pub kind: TokenizerKind,
    /// Number of tokens, blank, unknown and marks included. Default: 256.
    pub vocab_size: usize,
    /// Words that are one token each, such as those of [`slu::marks`](crate::slu::marks); they stand right
    /// behind blank and unknown, in this order. With any, texts are learnt from as they are, not normalised.
    /// Default: none.
    pub marks: Vec<String>,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self { kind: TokenizerKind::default(), vocab_size: 256, marks: Vec::new() }
    }
}

/// Why a text or a tokenizer file is not usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A character that the vocabulary cannot spell.
    #[error(
        "the tokenizer has no `{character}` (in `{text}`); learn one from these texts (`auricle tokenizer train TEXTS --out tokenizer.json`, then `--set model.tokenizer=tokenizer.json`), or write this text otherwise"
    )]
    Unspellable {
        /// The character.
        character: char,
        /// The text.
        text: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file that is no tokenizer.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Contents that make no tokenizer.
    #[error("tokenizer: {0}")]
    Invalid(String),
    /// The training text does not allow such a vocabulary.
    #[error("cannot train a vocabulary of {wanted}: {reason}")]
    Untrainable {
        /// Size asked for.
        wanted: usize,
        /// Why not.
        reason: String,
    },
}

/// The largest tokenizer file that is read: real ones have below 10 MB.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Characters of [`Tokenizer::characters`], by id.
const CHARACTERS: [&str; 28] = [
    " ", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t",
    "u", "v", "w", "x", "y", "z", "'",
];

/// A tokenizer for CTC: its vocabulary has a blank.
///
/// | kind | ids | blank | words |
/// |---|---|---|---|
/// | characters | space, a–z, `'` = 0–27 | 28 | a space after *every* word |
/// | sub-words | pieces, `▁` begins a word | 0 | |
#[derive(Debug, Clone, PartialEq)]
pub struct Tokenizer(Kind);

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Characters,
    Subwords(Subwords),
}

/// The file: JSON, readable by people.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Stored {
    Characters,
    Unigram {
        pieces: Vec<Piece>,
        #[serde(default, skip_serializing_if = "Options::is_default")]
        options: Options,
    },
    Bpe {
        pieces: Vec<Piece>,
        #[serde(default, skip_serializing_if = "Options::is_default")]
        options: Options,
    },
}

impl Tokenizer {
    /// The 28 characters of LibriSpeech's transcripts and the blank (SPIRAL's character head).
    pub fn characters() -> Self {
        Self(Kind::Characters)
    }

    /// Learns sub-words from texts, which are [normalised](crate::normalise()) first, if there are no
    /// [marks](TrainOptions::marks).
    ///
    /// Deterministic: the same texts in any order give the same tokenizer. Id 0 is the blank, id 1
    /// stands for unknown characters.
    ///
    /// # Errors
    /// No text, or a size below the number of characters or above what the text has.
    pub fn train<'a>(
        texts: impl Iterator<Item = &'a str>,
        options: &TrainOptions,
    ) -> Result<Self, TokenizerError> {
        let untrainable = |reason: String| TokenizerError::Untrainable { wanted: options.vocab_size, reason };
        let marks: BTreeSet<&str> = options.marks.iter().map(String::as_str).collect();
        if marks.len() != options.marks.len()
            || marks.iter().any(|m| m.is_empty() || m.contains(char::is_whitespace))
        {
            return Err(untrainable("marks must be different words, without white space".into()));
        }
        let mut words = BTreeMap::<String, u64>::new();
        for text in texts {
            let text = if marks.is_empty() { Cow::Owned(normalise(text)) } else { Cow::Borrowed(text) };
            for word in text.split_whitespace().filter(|word| !marks.contains(word)) {
                *words.entry(format!("{}{word}", subwords::SPACE)).or_default() += 1;
            }
        }
        if words.is_empty() {
            return Err(untrainable("there is no text".into()));
        }
        let words: Vec<(String, u64)> = words.into_iter().collect();
        let specials = [
            Piece { text: "<blank>".into(), score: 0.0, kind: PieceKind::Control },
            Piece { text: "<unk>".into(), score: 0.0, kind: PieceKind::Unknown },
        ];
        let specials = specials.into_iter().chain(options.marks.iter().map(|mark| Piece::mark(mark)));
        let specials: Vec<Piece> = specials.collect();
        let size = options.vocab_size.saturating_sub(specials.len());
        let learnt = match options.kind {
            TokenizerKind::Unigram => unigram::train(&words, size),
            TokenizerKind::Bpe => bpe::train(&words, size),
        };
        let learnt = learnt.map_err(untrainable)?;
        let normal = learnt.into_iter().map(|(text, score)| Piece { text, score, kind: PieceKind::Normal });
        let pieces = specials.into_iter().chain(normal).collect();
        let subwords = Subwords::new(options.kind, pieces, Options::default());
        Ok(Self(Kind::Subwords(subwords.map_err(TokenizerError::Invalid)?)))
    }

    /// Reads a file that [`Self::save`] wrote, or a SentencePiece `.model` (unigram or BPE).
    ///
    /// Of a `.model`, id 0 becomes the blank, as in SPIRAL's program, so it must be a special piece.
    /// A vocabulary in capitals is read as lower case.
    ///
    /// User-defined symbols, white space behind words, a missing dummy prefix, kept spaces and the character maps by
    /// name (`nmt_nfkc`, `nfkc`, `nmt_nfkc_cf`, `nfkc_cf`, `identity`) give SentencePiece's ids.
    ///
    /// # Differences from SentencePiece
    /// Models with byte fallback, with a character map of their own, with spaces that are not `▁`, and models of words
    /// or characters are refused. Control characters that its `nmt_` maps remove stay. There is no sampling.
    ///
    /// # Errors
    /// Names the file and what is wrong.
    pub fn load(path: &Path) -> Result<Self, TokenizerError> {
        let io = |source| TokenizerError::Io { path: path.to_owned(), source };
        let file = |reason: String| TokenizerError::File { path: path.to_owned(), reason };
        let mut budget = Budget::new("the tokenizer", MAX_FILE_BYTES);
        let read = open(path).and_then(|reader| budget.read_to_end(reader));
        let bytes = read.map_err(|error| match error.kind() {
            ErrorKind::FileTooLarge => file(error.to_string()),
            _ => io(error),
        })?;
        if path.extension().is_some_and(|extension| extension == "model") {
            let subwords = sentencepiece::parse(&bytes).map_err(file)?;
            return Ok(Self(Kind::Subwords(subwords)));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| file("not a text file".into()))?;
        Self::from_json(text).map_err(|error| file(error.to_string()))
    }

    /// Writes the tokenizer as JSON.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), TokenizerError> {
        atomic_write(path, self.to_json().as_bytes())
            .map_err(|source| TokenizerError::Io { path: path.to_owned(), source })
    }

    /// The tokenizer as JSON, as it stands in the metadata of weights.
    pub fn to_json(&self) -> String {
        let stored = match &self.0 {
            Kind::Characters => Stored::Characters,
            Kind::Subwords(subwords) => {
                let (pieces, options) = (subwords.pieces().to_vec(), subwords.options().clone());
                match subwords.kind() {
                    TokenizerKind::Unigram => Stored::Unigram { pieces, options },
                    TokenizerKind::Bpe => Stored::Bpe { pieces, options },
                }
            }
        };
        // Strings and finite numbers always have a JSON form.
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// A tokenizer from [`Self::to_json`].
    ///
    /// # Errors
    /// Text that describes no tokenizer.
    pub fn from_json(text: &str) -> Result<Self, TokenizerError> {
        let stored: Stored =
            serde_json::from_str(text).map_err(|error| TokenizerError::Invalid(error.to_string()))?;
        let (kind, pieces, options) = match stored {
            Stored::Characters => return Ok(Self::characters()),
            Stored::Unigram { pieces, options } => (TokenizerKind::Unigram, pieces, options),
            Stored::Bpe { pieces, options } => (TokenizerKind::Bpe, pieces, options),
        };
        Ok(Self(Kind::Subwords(Subwords::new(kind, pieces, options).map_err(TokenizerError::Invalid)?)))
    }

    /// Number of tokens, blank included.
    pub fn vocab_size(&self) -> usize {
        match &self.0 {
            Kind::Characters => CHARACTERS.len() + 1,
            Kind::Subwords(subwords) => subwords.pieces().len(),
        }
    }

    /// The id of CTC's blank.
    pub fn blank_id(&self) -> u32 {
        match self.0 {
            Kind::Characters => CHARACTERS.len() as u32,
            Kind::Subwords(_) => subwords::BLANK,
        }
    }

    /// The string of a token; none for the blank and beyond the vocabulary.
    pub fn piece(&self, id: u32) -> Option<&str> {
        match &self.0 {
            Kind::Characters => CHARACTERS.get(id as usize).copied(),
            Kind::Subwords(subwords) => subwords.piece(id),
        }
    }

    /// How language models of tokens write one: without white space, the character between words as `▁`.
    pub fn unit(&self, id: u32) -> Option<String> {
        self.piece(id).map(|piece| match piece {
            " " => subwords::SPACE.to_string(),
            piece if piece.contains(char::is_whitespace) => "<unk>".to_owned(),
            piece => piece.to_owned(),
        })
    }

    /// Tokens of a text; white space only separates words.
    ///
    /// # Errors
    /// A character that the vocabulary cannot spell, where it has no token for unknown ones.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let unspellable = |character| TokenizerError::Unspellable { character, text: text.to_owned() };
        match &self.0 {
            Kind::Subwords(subwords) => subwords.encode(text).map_err(unspellable),
            Kind::Characters => {
                let mut ids = Vec::with_capacity(text.len() + 1);
                for word in text.split_whitespace() {
                    for character in word.chars() {
                        ids.push(match character {
                            'a'..='z' => character as u32 - 'a' as u32 + 1,
                            '\'' => 27,
                            other => return Err(unspellable(other)),
                        });
                    }
                    ids.push(0);
                }
                Ok(ids)
            }
        }
    }

    /// The text of tokens, without blanks; an id beyond the vocabulary reads as an unknown token, `⁇`.
    pub fn decode(&self, ids: &[u32]) -> String {
        let size = self.vocab_size();
        let spell = |&id: &u32| self.piece(id).unwrap_or(if id as usize >= size { UNKNOWN } else { "" });
        let joined: String = ids.iter().map(spell).collect();
        let words: Vec<&str> = joined.split([' ', subwords::SPACE]).filter(|word| !word.is_empty()).collect();
        words.join(" ")
    }
}
