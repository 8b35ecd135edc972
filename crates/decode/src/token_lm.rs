//! A language model of a decoder's own tokens.

use auricle_text::Tokenizer;
use auricle_text::lm::{NgramLm, UnitId};

/// Why a language model is of no use to a decoder of tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenLmError {
    /// It was learnt on other units, such as words.
    #[error(
        "the language model knows {known} of {tokens} tokens; learn one with `auricle lm train --tokenizer`"
    )]
    OtherUnits {
        /// Tokens that it knows.
        known: usize,
        /// Tokens that there are.
        tokens: usize,
    },
}

/// An n-gram model of tokens for shallow fusion: its weighted `ln p(token | tokens before)` is added to what
/// the decoder gives (arXiv 1503.03535, §4.1).
///
/// It is learnt on tokens of the same tokenizer: `auricle lm train --tokenizer`.
pub struct TokenLm {
    lm: NgramLm,
    /// Per token id; the blank ends a sequence.
    units: Vec<Option<UnitId>>,
    weight: f64,
}

impl TokenLm {
    /// Default weight.
    pub const WEIGHT: f64 = 0.3;

    /// `weight` scales the log-probabilities.
    ///
    /// # Errors
    /// A model that knows none of the tokens: it was learnt on other units, such as words.
    pub fn new(lm: NgramLm, tokenizer: &Tokenizer, weight: f64) -> Result<Self, TokenLmError> {
        let unit = |id| tokenizer.unit(id).map(|unit| lm.unit(&unit));
        let units: Vec<Option<UnitId>> = (0..tokenizer.vocab_size() as u32).map(unit).collect();
        // Single letters may be words too; a model of tokens knows most of them.
        let known = units.iter().flatten().filter(|&&unit| !lm.is_unknown(unit)).count();
        if 2 * known < units.iter().flatten().count() {
            return Err(TokenLmError::OtherUnits { known, tokens: units.len() });
        }
        Ok(Self { lm, units, weight })
    }

    /// Weighted `ln p` of every next token after `tokens`; that of the end stands at `blank`.
    pub(crate) fn next(&self, tokens: &[u32], blank: u32) -> Vec<f64> {
        let unknown = self.lm.unit("");
        let mut state = self.lm.begin();
        for &token in tokens {
            let unit = self.units.get(token as usize).copied().flatten().unwrap_or(unknown);
            state = self.lm.score(state, unit).1;
        }
        let score = |(id, unit): (usize, &Option<UnitId>)| {
            let log = match unit {
                _ if id == blank as usize => self.lm.end(state),
                Some(unit) => self.lm.score(state, *unit).0,
                None => self.lm.score(state, unknown).0,
            };
            self.weight * f64::from(log)
        };
        self.units.iter().enumerate().map(score).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BeamConfig, beam_search};
    use auricle_text::lm::LmConfig;
    use std::convert::Infallible;

    fn learnt(tokenizer: &Tokenizer, texts: &[&str], weight: f64) -> Result<TokenLm, TokenLmError> {
        let units = |text: &&str| -> Vec<String> {
            let ids = tokenizer.encode(text).unwrap();
            ids.into_iter().map(|id| tokenizer.unit(id).unwrap()).collect()
        };
        let config = LmConfig { order: 4, ..LmConfig::default() };
        let lm = NgramLm::train(texts.iter().map(units), &config).unwrap();
        TokenLm::new(lm, tokenizer, weight)
    }

    const PANGRAM: &str = "the quick brown fox jumps over a lazy dog's";

    #[test]
    fn what_was_learnt_is_more_probable_and_ends_are_ends() {
        let tokenizer = Tokenizer::characters();
        let lm = learnt(&tokenizer, &[PANGRAM, "the dog"], 1.0).unwrap();
        let blank = tokenizer.blank_id();
        let tokens = tokenizer.encode("the").unwrap();
        let row = lm.next(&tokens[..2], blank);
        let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        assert_eq!(Some(best as u32), tokens.get(2).copied(), "after `th` comes `e`");
        let (ended, begun) = (tokenizer.encode("the dog").unwrap(), tokenizer.encode("the").unwrap());
        let end = |tokens: &[u32]| lm.next(tokens, blank)[blank as usize];
        assert!(end(&ended) > end(&begun) + 1.0, "{} against {}", end(&ended), end(&begun));
    }

    #[test]
    fn a_model_of_words_is_refused() {
        let tokenizer = Tokenizer::characters();
        let lm = NgramLm::train([vec!["the", "dog"]], &LmConfig::default()).unwrap();
        let error = TokenLm::new(lm, &tokenizer, 0.3).err().unwrap().to_string();
        assert!(error.contains("lm train --tokenizer"), "{error}");
    }

    /// The decoder leaves `e` or `a` open; the language model decides, as far as its weight goes.
    #[test]
    fn fusion_decides_what_the_decoder_leaves_open() {
        let tokenizer = Tokenizer::characters();
        let classes = tokenizer.vocab_size();
        let blank = tokenizer.blank_id();
        let (right, wrong) = (tokenizer.encode("the").unwrap(), tokenizer.encode("tha").unwrap());
        let next = |sequences: &[Vec<u32>], _: &[usize]| -> Result<Vec<Vec<f32>>, Infallible> {
            let row = |tokens: &Vec<u32>| {
                let mut row = vec![-20.0; classes];
                match right.get(tokens.len()) {
                    Some(&token) if tokens.len() == 2 => {
                        row[token as usize] = -0.8;
                        row[wrong[2] as usize] = -0.6;
                    }
                    Some(&token) => row[token as usize] = 0.0,
                    None => row[blank as usize] = 0.0,
                }
                row
            };
            Ok(sequences.iter().map(row).collect())
        };
        let search = |lm: Option<&TokenLm>| {
            let config = BeamConfig { beam: 4, ctc_weight: 0.0, length_bonus: 0.0, max_tokens: 8 };
            let Ok(found) = beam_search(&config, classes, blank, None, lm, next);
            found[0].tokens.clone()
        };
        assert_eq!(search(None), wrong);
        assert_eq!(search(Some(&learnt(&tokenizer, &[PANGRAM, "the dog"], 0.5).unwrap())), right);
        assert_eq!(search(Some(&learnt(&tokenizer, &[PANGRAM, "the dog"], 0.01).unwrap())), wrong);
    }
}
