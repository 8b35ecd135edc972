//! How a tokenizer spells the words of a language model.

use auricle_text::lm::{NgramLm, UnitId};
use auricle_text::{Tokenizer, is_apostrophe, nfc};
use std::collections::{BTreeMap, HashSet};

/// Begins a word in sub-words, and is a unit of models of tokens and characters.
const SPACE: char = '\u{2581}';

/// Why a language model is of no use to a search for words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WordLmError {
    /// Its units are tokens or characters.
    #[error(
        "this is a language model of tokens or characters (it has `{unit}`); this search needs one of words: `auricle lm train` without --tokenizer and --units"
    )]
    OtherUnits {
        /// A unit that is no word.
        unit: String,
    },
    /// The tokenizer can spell few of its words or none: another script, another case.
    #[error(
        "the tokenizer of the recogniser can spell only {spelt} of the language model's {words} words (not `{example}`): are they of the same language and script?"
    )]
    Unspellable {
        /// Words that can be spelt.
        spelt: usize,
        /// Words of the model.
        words: usize,
        /// A word that cannot.
        example: String,
    },
}

/// How many words of a language model a tokenizer can spell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spelling {
    /// Words of the model, without marks such as `<unk>`.
    pub words: usize,
    /// Those that can be spelt, perhaps in another case: they can be written.
    pub spelt: usize,
    /// A word that cannot.
    pub example: Option<String>,
}

/// The words of a language model that a tokenizer can spell, as it spells them.
pub(crate) struct SpelledWords {
    /// Sorted by spelling, for looking up beginnings.
    words: Vec<(String, UnitId)>,
    spelling: Spelling,
}

impl SpelledWords {
    pub fn new(lm: &NgramLm, tokenizer: &Tokenizer) -> Result<Self, WordLmError> {
        let alphabet = Alphabet::of(tokenizer);
        let mut spelling = Spelling { words: 0, spelt: 0, example: None };
        // By spelling: whether the model has it just so, and its probability.
        let mut found: BTreeMap<String, (bool, f32, UnitId)> = BTreeMap::new();
        // The first three are the unknown word and the marks of sentences.
        for word in lm.units().iter().skip(3).filter(|word| !is_tag(word)) {
            if word.contains(SPACE) {
                return Err(WordLmError::OtherUnits { unit: word.clone() });
            }
            spelling.words += 1;
            let Some(spelt) = alphabet.spell(word) else {
                spelling.example.get_or_insert_with(|| word.clone());
                continue;
            };
            spelling.spelt += 1;
            let unit = lm.unit(word);
            let own = (spelt == *word, lm.score(lm.middle(), unit).0, unit);
            match found.get_mut(&spelt) {
                Some(other) if (own.0, own.1) > (other.0, other.1) => *other = own,
                Some(_) => {}
                None => {
                    found.insert(spelt, own);
                }
            }
        }
        if 2 * spelling.spelt < spelling.words || spelling.words == 0 {
            let Spelling { words, spelt, example } = spelling;
            return Err(WordLmError::Unspellable { spelt, words, example: example.unwrap_or_default() });
        }
        let words = found.into_iter().map(|(word, (.., unit))| (word, unit)).collect();
        Ok(Self { words, spelling })
    }

    pub fn spelling(&self) -> &Spelling {
        &self.spelling
    }

    /// The unit of a word as it is spelt.
    pub fn unit(&self, word: &str) -> Option<UnitId> {
        let at = self.words.binary_search_by(|(other, _)| other.as_str().cmp(word)).ok()?;
        Some(self.words[at].1)
    }

    /// Whether a word begins so.
    pub fn begins(&self, prefix: &str) -> bool {
        let at = self.words.partition_point(|(word, _)| word.as_str() < prefix);
        self.words.get(at).is_some_and(|(word, _)| word.starts_with(prefix))
    }
}

/// `<unk>`, `<sil>`, `[noise]`: no words.
fn is_tag(word: &str) -> bool {
    word.starts_with('<') && word.ends_with('>') || word.starts_with('[') && word.ends_with(']')
}

/// What words are spelt with.
struct Alphabet {
    /// Pieces without the space before or behind them.
    pieces: HashSet<String>,
    longest: usize,
    has_upper: bool,
    has_lower: bool,
}

impl Alphabet {
    fn of(tokenizer: &Tokenizer) -> Self {
        let of_piece = |id| tokenizer.piece(id).map(|piece| piece.trim_matches([' ', SPACE]).to_owned());
        let pieces =
            (0..tokenizer.vocab_size() as u32).filter_map(of_piece).filter(|piece| !piece.is_empty());
        let pieces: HashSet<String> = pieces.collect();
        let has = |test: fn(char) -> bool| pieces.iter().any(|piece| piece.chars().any(test));
        let (has_upper, has_lower) = (has(char::is_uppercase), has(char::is_lowercase));
        let longest = pieces.iter().map(String::len).max().unwrap_or(0);
        Self { pieces, longest, has_upper, has_lower }
    }

    /// A word as the pieces can spell it: as it is, else with plain apostrophes and in the only case that they have.
    fn spell(&self, word: &str) -> Option<String> {
        if self.can_spell(word) {
            return Some(word.to_owned());
        }
        let plain: String = word.chars().map(|c| if is_apostrophe(c) { '\'' } else { c }).collect();
        let cased = match (self.has_upper, self.has_lower) {
            (false, true) => plain.to_lowercase().replace("i\u{307}", "i"),
            (true, false) => plain.to_uppercase(),
            _ => plain,
        };
        let cased = nfc(&cased).into_owned();
        self.can_spell(&cased).then_some(cased)
    }

    /// Whether pieces in a row are the word.
    fn can_spell(&self, word: &str) -> bool {
        // Where a row of pieces may end.
        let mut reached = vec![false; word.len() + 1];
        reached[0] = true;
        for (start, _) in word.char_indices() {
            if !reached[start] {
                continue;
            }
            let ends = word[start..].char_indices().map(|(at, c)| start + at + c.len_utf8());
            for end in ends.take_while(|end| end - start <= self.longest) {
                reached[end] |= self.pieces.contains(&word[start..end]);
            }
        }
        reached[word.len()] && !word.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_text::TrainOptions;
    use auricle_text::lm::LmConfig;

    fn lm(sentences: &[&str]) -> NgramLm {
        let units = sentences.iter().map(|s| s.split(' ').collect::<Vec<_>>());
        NgramLm::train(units, &LmConfig { order: 2, ..LmConfig::default() }).unwrap()
    }

    fn spelled(sentences: &[&str], tokenizer: &Tokenizer) -> Result<SpelledWords, String> {
        SpelledWords::new(&lm(sentences), tokenizer).map_err(|error| error.to_string())
    }

    #[test]
    fn words_are_spelt_in_the_case_of_the_tokenizer() {
        let characters = Tokenizer::characters();
        let capitals = lm(&["THE CAT'S HAT", "THE \u{c9}T\u{c9}"]);
        let words = SpelledWords::new(&capitals, &characters).unwrap();
        assert_eq!(words.unit("cat's"), Some(capitals.unit("CAT'S")));
        assert_eq!((words.unit("THE"), words.unit("été")), (None, None));
        let Spelling { words: all, spelt, example } = words.spelling();
        assert_eq!((*all, *spelt, example.as_deref()), (4, 3, Some("\u{c9}T\u{c9}")));
        assert!(words.begins("ca") && !words.begins("cb"));
        // Of a model in both cases, the word that is spelt as it stands.
        let both = lm(&["The cat", "the Paris", "The The"]);
        let words = SpelledWords::new(&both, &characters).unwrap();
        assert_eq!(words.unit("the"), Some(both.unit("the")));
        assert_eq!(words.unit("paris"), Some(both.unit("Paris")));
    }

    #[test]
    fn subwords_spell_what_they_are_pieces_of() {
        let options = TrainOptions { vocab_size: 14, ..TrainOptions::default() };
        let tokenizer = Tokenizer::train(["пора домой", "мода дома"].into_iter(), &options).unwrap();
        let words = spelled(&["ДОМА ПОРА", "дом ром"], &tokenizer).unwrap();
        assert!(words.unit("дома").is_some() && words.unit("ром").is_some());
        let error = spelled(&["the cat"], &tokenizer).err().unwrap();
        assert!(error.contains("only 0 of the language model's 2 words (not `cat`)"), "{error}");
    }

    #[test]
    fn other_scripts_and_other_units_are_named() {
        let characters = Tokenizer::characters();
        let error = spelled(&["пора домой", "пора a"], &characters).err().unwrap();
        assert!(error.contains("only 1 of the language model's 3 words"), "{error}");
        let error = spelled(&["▁ the ▁ c a t"], &characters).err().unwrap();
        assert!(error.contains("model of tokens or characters"), "{error}");
        assert!(spelled(&["<sil> [noise]"], &characters).is_err(), "nothing but tags");
    }
}
