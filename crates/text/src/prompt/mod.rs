//! What a learner is to say, in phones.

mod nearest;

use crate::g2p::{G2p, G2pError};
use crate::lexicon::{Lexicon, Pronunciation};
use crate::normalise::{folded, is_apostrophe, is_inside_words, is_sentence_mark};
use crate::numbers;
use crate::phones::Phone;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Where the pronunciations of a word come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The lexicon.
    Lexicon,
    /// A lexicon laid over it, alone or together with it.
    Overlay,
    /// The letter-to-sound model: a guess, to be shown as one.
    LetterToSound,
}

/// A word of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptWord {
    /// As looked up: lower case, numbers in words.
    pub text: String,
    /// Bytes of the prompt it was made of; the words of a number share theirs.
    pub span: Range<usize>,
    /// All accepted pronunciations, the usual one first; at least one, none of them empty.
    pub pronunciations: Vec<Pronunciation>,
    /// Where they come from.
    pub source: Source,
}

/// A text with the canonical phones of its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// Words in order; at least one.
    pub words: Vec<PromptWord>,
}

/// Why a text is no prompt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// No word.
    #[error("the prompt has no words; write what is to be said")]
    Empty,
    /// Too many characters.
    #[error("the prompt has more than {0} characters; split it")]
    Characters(usize),
    /// Too many words.
    #[error("the prompt has more than {0} words; split it")]
    Words(usize),
    /// A number that is not spelt out here.
    #[error("`{0}` can be said in several ways or is above 9999; write it in words")]
    Number(String),
    /// A sign that is said, but how is not known.
    #[error("`{sign}` in `{token}`: write it as a word")]
    Sign {
        /// The sign.
        sign: char,
        /// Where it stands.
        token: String,
    },
    /// A word that no lexicon has, without a letter-to-sound model.
    #[error("`{0}` is in no lexicon and there is no letter-to-sound model; add it to a lexicon")]
    Unknown(String),
    /// A word that the letter-to-sound model cannot read.
    #[error(transparent)]
    LetterToSound(#[from] G2pError),
}

/// What turns words into phones, and how much text it takes.
#[derive(Debug, Clone)]
pub struct Pronouncer {
    lexicon: Lexicon,
    overlays: Vec<Lexicon>,
    letter_to_sound: Option<G2p>,
    /// The most words of a prompt. Default: 100.
    pub max_words: usize,
    /// The most characters of a prompt. Default: 1000.
    pub max_characters: usize,
    /// Pronunciations taken from the letter-to-sound model. Default: 1: what it is less sure of is
    /// mostly wrong, and a wrong alternative hides mistakes.
    pub letter_to_sound_best: usize,
}

impl Pronouncer {
    /// Looks words up in a lexicon, then asks the letter-to-sound model if there is one.
    pub fn new(lexicon: Lexicon, letter_to_sound: Option<G2p>) -> Self {
        Self {
            lexicon,
            overlays: vec![],
            letter_to_sound,
            max_words: 100,
            max_characters: 1000,
            letter_to_sound_best: 1,
        }
    }

    /// Lays a lexicon over what is there: its words replace others, or add to them
    /// ([`Lexicon::adds`]).
    #[must_use]
    pub fn with_overlay(mut self, overlay: Lexicon) -> Self {
        self.overlays.push(overlay);
        self
    }

    /// Pronunciations of one word as it is written in lexicons, without the letter-to-sound model.
    fn look_up(&self, word: &str) -> Option<(Vec<Pronunciation>, Source)> {
        let mut found: Vec<Pronunciation> = Vec::new();
        let mut source = Source::Lexicon;
        let mut replaced = false;
        for overlay in self.overlays.iter().rev() {
            let over = overlay.lookup(word);
            if over.is_empty() {
                continue;
            }
            source = Source::Overlay;
            // What the lower layers have comes first, as the usual.
            found.splice(0..0, over.iter().cloned());
            if !overlay.adds(word) {
                replaced = true;
                break;
            }
        }
        if !replaced {
            found.splice(0..0, self.lexicon.lookup(word).iter().cloned());
        }
        let mut seen = Vec::with_capacity(found.len());
        for pronunciation in found {
            if !seen.contains(&pronunciation) {
                seen.push(pronunciation);
            }
        }
        (!seen.is_empty()).then_some((seen, source))
    }

    /// The phones of a text.
    ///
    /// Words are what stands between white space and punctuation; hyphens part words that no
    /// lexicon has whole. Whole numbers up to 9999 are spelt out, also as `1,234`.
    ///
    /// # Errors
    /// There is no word, too much of them, a larger or another number, a sign that is spoken
    /// (`%`, `$`, …), or a word that neither lexicon nor model can pronounce.
    pub fn prompt(&self, text: &str) -> Result<Prompt, PromptError> {
        if text.chars().nth(self.max_characters).is_some() {
            return Err(PromptError::Characters(self.max_characters));
        }
        let mut words = Vec::new();
        let mut start = 0;
        for token in text.split(char::is_whitespace) {
            if !is_sentence_mark(token) {
                self.token(token, start, &mut words)?;
            }
            if words.len() > self.max_words {
                return Err(PromptError::Words(self.max_words));
            }
            start += token.len() + text[start + token.len()..].chars().next().map_or(0, char::len_utf8);
        }
        if words.is_empty() { Err(PromptError::Empty) } else { Ok(Prompt { words }) }
    }

    /// Words of what stands between white space, from byte `start` of the prompt.
    fn token(&self, token: &str, start: usize, words: &mut Vec<PromptWord>) -> Result<(), PromptError> {
        if let Some(sign) = token.chars().find(|c| is_spoken_sign(*c)) {
            return Err(PromptError::Sign { sign, token: token.into() });
        }
        // Abbreviations and compounds as the lexicon has them: "a.m.", "x-ray".
        let inner = token.trim_matches(|c: char| !c.is_alphanumeric() && c != '.' && !is_apostrophe(c));
        if inner.trim_end_matches('.').contains(['.', '-']) {
            for whole in [inner, inner.trim_matches('.')] {
                if let Some((pronunciations, source)) = self.look_up(whole) {
                    let from = start + (whole.as_ptr() as usize - token.as_ptr() as usize);
                    let (text, span) = (folded(whole), from..from + whole.len());
                    words.push(PromptWord { text, span, pronunciations, source });
                    return Ok(());
                }
            }
        }
        let number = inner.trim_matches(|c: char| !c.is_alphanumeric());
        if number.starts_with(|c: char| c.is_numeric()) {
            return self.number(number, start + (number.as_ptr() as usize - token.as_ptr() as usize), words);
        }
        let mut from = None;
        for (at, c) in token.char_indices().chain([(token.len(), ' ')]) {
            if c.is_alphanumeric() || is_apostrophe(c) || is_inside_words(c) {
                from.get_or_insert(at);
            } else if let Some(from) = from.take() {
                self.word(&token[from..at], start + from, words)?;
            }
        }
        Ok(())
    }

    fn number(&self, token: &str, start: usize, words: &mut Vec<PromptWord>) -> Result<(), PromptError> {
        let digits = match token.split_once(',') {
            Some((thousands, rest)) if thousands.len() == 1 && rest.len() == 3 => {
                format!("{thousands}{rest}")
            }
            _ => token.to_string(),
        };
        let spelt = numbers::spell(&digits).ok_or_else(|| PromptError::Number(token.into()))?;
        for word in spelt {
            words.push(self.pronounce(word, start..start + token.len())?);
        }
        Ok(())
    }

    /// A word of letters, digits and apostrophes.
    fn word(&self, written: &str, start: usize, words: &mut Vec<PromptWord>) -> Result<(), PromptError> {
        let bare = written.trim_matches(is_apostrophe);
        if bare.is_empty() {
            return Ok(());
        }
        if bare.chars().any(char::is_numeric) {
            return Err(PromptError::Number(written.into()));
        }
        // An apostrophe at an edge may be a quotation mark or belong to the word: "'tis", "dogs'".
        let from = start + (bare.as_ptr() as usize - written.as_ptr() as usize);
        let at_one_edge = written.starts_with(is_apostrophe) != written.ends_with(is_apostrophe);
        let word = if at_one_edge && self.look_up(written).is_some() {
            self.pronounce(written, start..start + written.len())?
        } else {
            self.pronounce(bare, from..from + bare.len())?
        };
        words.push(word);
        Ok(())
    }

    fn pronounce(&self, word: &str, span: Range<usize>) -> Result<PromptWord, PromptError> {
        let text = folded(word);
        if let Some((pronunciations, source)) = self.look_up(&text) {
            return Ok(PromptWord { text, span, pronunciations, source });
        }
        let model = self.letter_to_sound.as_ref().ok_or_else(|| PromptError::Unknown(text.clone()))?;
        let pronunciations = model.pronounce(&text, self.letter_to_sound_best)?;
        Ok(PromptWord { text, span, pronunciations, source: Source::LetterToSound })
    }
}

impl Prompt {
    /// Canonical phones: the usual pronunciation of each word.
    pub fn phones(&self) -> Vec<Phone> {
        self.phones_of(&[])
    }

    /// Phones with pronunciation `choice[w]` for word w; the usual one where `choice` is too short
    /// or the word has fewer.
    pub fn phones_of(&self, choice: &[usize]) -> Vec<Phone> {
        self.chosen(choice).flatten().copied().collect()
    }

    /// Where the phones of each word stand in [`Prompt::phones_of`] the same choice.
    pub fn boundaries(&self, choice: &[usize]) -> Vec<Range<usize>> {
        let mut start = 0;
        let ranges = self.chosen(choice).map(|phones| {
            let range = start..start + phones.len();
            start = range.end;
            range
        });
        ranges.collect()
    }

    fn chosen<'a>(&'a self, choice: &'a [usize]) -> impl Iterator<Item = &'a Pronunciation> {
        self.words.iter().enumerate().filter_map(|(w, word)| {
            let chosen = choice.get(w).and_then(|c| word.pronunciations.get(*c));
            chosen.or_else(|| word.pronunciations.first())
        })
    }
}

/// Signs that are read aloud; all others only part words.
fn is_spoken_sign(c: char) -> bool {
    matches!(c, '%' | '$' | '€' | '£' | '¥' | '&' | '+' | '=' | '@' | '#' | '°' | '½' | '¼' | '¾')
}

#[cfg(test)]
mod tests;
