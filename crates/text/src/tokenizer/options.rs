//! What a SentencePiece model does to a text before it is split.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization as _;

/// SentencePiece's map of characters, by its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CharacterMap {
    /// Texts stay as they are.
    #[default]
    Identity,
    /// Unicode's normal form KC.
    Nfkc,
    /// The same with case folded.
    NfkcCf,
}

/// How texts become what is split into pieces. The defaults are those of this crate's own tokenizers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Options {
    /// A space before the first word, or behind the last one. Default: true.
    pub dummy_prefix: bool,
    /// The space of a word stands behind it. Default: false.
    pub space_behind: bool,
    /// Spaces in a row, at the begin and at the end stay. Default: false.
    pub keep_spaces: bool,
    /// User-defined pieces are found inside words, too. Default: false: they are whole words.
    pub symbols_anywhere: bool,
    /// Default: none.
    pub characters: CharacterMap,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dummy_prefix: true,
            space_behind: false,
            keep_spaces: false,
            symbols_anywhere: false,
            characters: CharacterMap::Identity,
        }
    }
}

impl Options {
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// A text with its characters mapped, but for the `symbols` in it, of which the longest counts.
    pub fn mapped<'t>(&self, text: &'t str, symbols: &[&str]) -> Cow<'t, str> {
        if self.characters == CharacterMap::Identity
            || text.is_ascii() && self.characters == CharacterMap::Nfkc
        {
            return text.into();
        }
        let mut out = String::with_capacity(text.len());
        let (mut from, mut at) = (0, 0);
        while let Some(c) = text[at..].chars().next() {
            match longest_prefix(&text[at..], symbols) {
                Some(symbol) => {
                    self.map(&text[from..at], &mut out);
                    out.push_str(symbol);
                    at += symbol.len();
                    from = at;
                }
                None => at += c.len_utf8(),
            }
        }
        self.map(&text[from..], &mut out);
        out.into()
    }

    fn map(&self, text: &str, out: &mut String) {
        if self.characters != CharacterMap::NfkcCf {
            return out.extend(text.nfkc());
        }
        let mut folded = String::with_capacity(text.len());
        for c in text.nfkc() {
            match c {
                'ß' | 'ẞ' => folded.push_str("ss"),
                'ς' => folded.push('σ'),
                c => folded.extend(c.to_lowercase()),
            }
        }
        out.extend(folded.nfkc());
    }
}

/// The longest of the symbols that a text begins with.
pub(super) fn longest_prefix<'s>(text: &str, symbols: &[&'s str]) -> Option<&'s str> {
    symbols.iter().copied().filter(|symbol| text.starts_with(symbol)).max_by_key(|symbol| symbol.len())
}
