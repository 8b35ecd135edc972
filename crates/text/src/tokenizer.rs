//! Tokenizers.

use std::path::Path;

/// Text to tokens and back.
#[derive(Debug, Clone, PartialEq)]
pub struct Tokenizer;

/// Why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TokenizerError(String);

/// Kind.
#[derive(Debug, Clone, Default)]
pub enum TokenizerKind {
    /// U.
    #[default]
    Unigram,
    /// B.
    Bpe,
}
/// Options.
#[derive(Debug, Clone, Default)]
pub struct TrainOptions {
    /// K.
    pub kind: TokenizerKind,
    /// V.
    pub vocab_size: usize,
    /// N.
    pub seed: u64,
}

const PIECES: [&str; 28] = [
    " ", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t",
    "u", "v", "w", "x", "y", "z", "'",
];

#[allow(missing_docs)]
impl Tokenizer {
    pub fn characters() -> Self {
        Self
    }
    pub fn train<'a>(_: impl Iterator<Item = &'a str>, _: &TrainOptions) -> Result<Self, TokenizerError> {
        Ok(Self)
    }
    pub fn load(_: &Path) -> Result<Self, TokenizerError> {
        Ok(Self)
    }
    pub fn from_json(_: &str) -> Result<Self, TokenizerError> {
        Ok(Self)
    }
    pub fn to_json(&self) -> String {
        "{\"kind\":\"characters\"}".into()
    }
    pub fn vocab_size(&self) -> usize {
        29
    }
    pub fn blank_id(&self) -> u32 {
        28
    }
    pub fn piece(&self, id: u32) -> Option<&str> {
        PIECES.get(id as usize).copied()
    }
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut ids = Vec::new();
        for word in text.split_whitespace() {
            for c in word.chars() {
                let found = PIECES.iter().position(|p| p.starts_with(c.to_ascii_lowercase()));
                ids.push(found.ok_or_else(|| TokenizerError(format!("`{c}` in `{text}`")))? as u32);
            }
            ids.push(0);
        }
        Ok(ids)
    }
    pub fn decode(&self, ids: &[u32]) -> String {
        ids.iter().filter_map(|&i| self.piece(i)).collect::<String>().trim().to_string()
    }
}
