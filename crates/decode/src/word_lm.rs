//! CTC decoding with a word language model and its vocabulary.

use crate::ctc::contiguous;
use crate::prefix::{self, Entry, open_tokens};
use crate::spelling::{SpelledWords, Spelling, WordLmError};
use crate::{TimedToken, by_frame, log_softmax};
use auricle_text::Tokenizer;
use auricle_text::lm::{NgramLm, State, UnitId};
use ndarray::ArrayView2;

/// How to search.
#[derive(Debug, Clone, PartialEq)]
pub struct WordLmConfig {
    /// Prefixes kept after every frame. Default: 32.
    pub beam: usize,
    /// Weight λ of `ln p(word | words before)`. Default: 0.8.
    pub lm_weight: f64,
    /// Added per word: language models like short sentences. Default: 2.
    pub word_bonus: f64,
    /// Tokens of a frame less probable than this (ln) are not looked at. Default: −8.
    pub least_token: f32,
}

impl Default for WordLmConfig {
    fn default() -> Self {
        Self { beam: 32, lm_weight: 0.8, word_bonus: 2.0, least_token: -8.0 }
    }
}

/// A word language model as a decoder uses it: only its words can be written.
///
/// Prefix beam search (arXiv 1408.2873): `ln p_CTC(tokens) + λ·ln p_LM(words) + bonus·words`, the sum over all
/// alignments of a token sequence; the language model's score is added where a word ends.
pub struct WordLm {
    lm: NgramLm,
    config: WordLmConfig,
    words: SpelledWords,
    tokenizer: Tokenizer,
}

/// What the search keeps of a prefix.
#[derive(Clone)]
struct Hypothesis {
    /// Sum of λ·ln p_LM and bonuses of the words that are complete.
    words: f64,
    state: State,
    /// What there is of the word that is not complete.
    partial_word: String,
    /// The frame at which each token was first in the beam.
    start_frames: Vec<usize>,
}

impl WordLm {
    /// A model whose units are words, for a recogniser with a tokenizer.
    ///
    /// Where a word cannot be spelt as the model has it, it is written in the case that the tokenizer has and with
    /// plain apostrophes: n-gram models of LibriSpeech are in capitals. Of words that become one, the one the
    /// tokenizer spells as it is counts, else the more probable.
    ///
    /// # Errors
    /// A model of tokens or characters; one of whose words the tokenizer can spell less than half.
    pub fn new(lm: NgramLm, tokenizer: &Tokenizer, config: WordLmConfig) -> Result<Self, WordLmError> {
        let words = SpelledWords::new(&lm, tokenizer)?;
        Ok(Self { lm, config, words, tokenizer: tokenizer.clone() })
    }

    /// How many of the model's words can be written.
    pub fn spelling(&self) -> &Spelling {
        self.words.spelling()
    }

    /// The most probable tokens of frames of logits `[frames, classes]` of the tokenizer's classes, with frames and
    /// confidences.
    pub fn decode(&self, logits: ArrayView2<'_, f32>) -> Vec<TimedToken> {
        let (classes, blank) = (self.tokenizer.vocab_size(), self.tokenizer.blank_id());
        let pieces: Vec<&str> =
            (0..classes as u32).map(|id| self.tokenizer.piece(id).unwrap_or_default()).collect();
        let start = Hypothesis {
            words: 0.0,
            state: self.lm.begin(),
            partial_word: String::new(),
            start_frames: Vec::new(),
        };
        let mut beam = vec![Entry::start(start)];
        let mut posteriors: Vec<f32> = Vec::with_capacity(logits.len());
        for (t, row) in logits.outer_iter().enumerate() {
            let row = log_softmax(&contiguous(row));
            let open = open_tokens(&row, blank, self.config.least_token);
            let grow =
                |entry: &Entry<Hypothesis>, id: u32| self.grow(&entry.hypothesis, pieces[id as usize], t);
            let next = prefix::advance(&beam, &row, blank, &open, grow);
            beam =
                prefix::prune(next, self.config.beam, |entry| entry.score.total() + entry.hypothesis.words);
            posteriors.extend(row);
        }
        let finished = beam.into_iter().map(|entry| {
            let last = self.complete(&entry.hypothesis).map_or(f64::NEG_INFINITY, |(words, state)| {
                words + self.config.lm_weight * f64::from(self.lm.end(state))
            });
            (entry.score.total() + last, entry)
        });
        let best = finished.max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.tokens.cmp(&a.1.tokens)));
        let Some((_, best)) = best else { return Vec::new() };
        timed(&best.tokens, &best.hypothesis.start_frames, by_frame(&posteriors, classes))
    }

    /// A hypothesis with another piece of text, which begins at `frame`; `None` where no word of the model begins
    /// like that.
    fn grow(&self, hypothesis: &Hypothesis, piece: &str, frame: usize) -> Option<Hypothesis> {
        let mut grown = hypothesis.clone();
        for character in piece.chars() {
            // A space ends a word; `▁` begins one.
            if character == ' ' || character == '\u{2581}' {
                let (words, state) = self.complete(&grown)?;
                (grown.words, grown.state) = (words, state);
                grown.partial_word.clear();
            } else {
                grown.partial_word.push(character);
            }
        }
        grown.start_frames.push(frame);
        (grown.partial_word.is_empty() || self.words.begins(&grown.partial_word)).then_some(grown)
    }

    /// Score and state after the word that has begun ends; `None` where it is no word.
    fn complete(&self, hypothesis: &Hypothesis) -> Option<(f64, State)> {
        if hypothesis.partial_word.is_empty() {
            return Some((hypothesis.words, hypothesis.state));
        }
        let unit: UnitId = self.words.unit(&hypothesis.partial_word)?;
        let (score, state) = self.lm.score(hypothesis.state, unit);
        let own = self.config.lm_weight * f64::from(score) + self.config.word_bonus;
        Some((hypothesis.words + own, state))
    }
}

/// Tokens from where they begin to where the next one does, as long as they are probable.
fn timed(tokens: &[u32], start_frames: &[usize], posteriors: ArrayView2<'_, f32>) -> Vec<TimedToken> {
    let frames = posteriors.nrows();
    tokens
        .iter()
        .zip(start_frames)
        .enumerate()
        .map(|(i, (&id, &start))| {
            let limit = start_frames.get(i + 1).copied().unwrap_or(frames).max(start + 1);
            let at = |t: usize| posteriors[[t, id as usize]].exp();
            let mut end = start + 1;
            while end < limit && at(end) > 0.5 {
                end += 1;
            }
            let confidence = (start..end).map(at).sum::<f32>() / (end - start) as f32;
            TimedToken { id, start_frame: start, end_frame: end, confidence }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_text::lm::LmConfig;

    fn lm(sentences: &[&str], order: usize) -> NgramLm {
        let units = sentences.iter().map(|s| s.split(' ').collect::<Vec<_>>());
        NgramLm::train(units, &LmConfig { order, ..LmConfig::default() }).unwrap()
    }

    /// Logits of characters, one a frame with a blank after each; `doubt` of them goes to another letter.
    fn spoken(text: &str, doubt: &[(usize, char, f32)]) -> Vec<f32> {
        let tokenizer = Tokenizer::characters();
        let classes = tokenizer.vocab_size();
        let id =
            |c: char| tokenizer.encode(&c.to_string()).map_or(0, |ids| if c == ' ' { 0 } else { ids[0] });
        let mut logits = Vec::new();
        for (i, c) in text.chars().enumerate() {
            let mut row = vec![-12.0f32; classes];
            row[id(c) as usize] = 0.0;
            for &(_, other, logit) in doubt.iter().filter(|(at, ..)| *at == i) {
                row[id(other) as usize] = logit;
            }
            logits.extend(row);
            let mut pause = vec![-12.0f32; classes];
            pause[tokenizer.blank_id() as usize] = 0.0;
            logits.extend(pause);
        }
        logits
    }

    fn read(model: &WordLm, logits: &[f32]) -> String {
        let tokenizer = Tokenizer::characters();
        let tokens = model.decode(by_frame(logits, tokenizer.vocab_size()));
        tokenizer.decode(&tokens.iter().map(|t| t.id).collect::<Vec<_>>()).trim().to_string()
    }

    #[test]
    fn only_words_of_the_model_are_written_and_likely_ones_rather() {
        let lm = lm(&["the cat sat", "the cat sat", "the hat sat", "a cat ran"], 2);
        let model = WordLm::new(
            lm,
            &Tokenizer::characters(),
            WordLmConfig { least_token: -20.0, ..WordLmConfig::default() },
        )
        .unwrap();
        // What was heard is a word: it stays.
        assert_eq!(read(&model, &spoken("the cat ", &[])), "the cat");
        // "tha cat" is no sentence of words; e was the second choice.
        assert_eq!(read(&model, &spoken("tha cat ", &[(2, 'e', -4.0)])), "the cat");
        // "hat" and "cat" sound alike: after "the", a cat is more probable, unless the sound is sure.
        assert_eq!(read(&model, &spoken("the hat ", &[(4, 'c', -0.2)])), "the cat");
        assert_eq!(read(&model, &spoken("the hat ", &[(4, 'c', -5.0)])), "the hat");
    }

    #[test]
    fn without_weight_it_is_ctc_over_the_vocabulary() {
        let lm = lm(&["to be or not to be"], 1);
        let config = WordLmConfig { lm_weight: 0.0, word_bonus: 0.0, ..WordLmConfig::default() };
        let model = WordLm::new(lm, &Tokenizer::characters(), config).unwrap();
        let logits = spoken("to be or not ", &[]);
        let tokenizer = Tokenizer::characters();
        let greedy = crate::greedy(by_frame(&logits, tokenizer.vocab_size()), tokenizer.blank_id());
        let found = model.decode(by_frame(&logits, tokenizer.vocab_size()));
        let times = |tokens: &[TimedToken]| tokens.iter().map(|t| (t.id, t.start_frame)).collect::<Vec<_>>();
        assert_eq!(times(&greedy), times(&found));
        assert!(model.decode(by_frame(&[], tokenizer.vocab_size())).is_empty());
    }

    /// LibriSpeech's own models are in capitals.
    #[test]
    fn a_model_in_capitals_writes_the_same() {
        let texts = ["the cat sat", "the cat sat", "it's a hat", "don't sit"];
        let config = WordLmConfig { least_token: -20.0, ..WordLmConfig::default() };
        let model =
            |texts: &[&str]| WordLm::new(lm(texts, 2), &Tokenizer::characters(), config.clone()).unwrap();
        let upper: Vec<String> =
            texts.iter().map(|text| text.to_uppercase().replace('\'', "\u{2019}")).collect();
        let upper: Vec<&str> = upper.iter().map(String::as_str).collect();
        for (text, doubt) in
            [("the cat ", vec![]), ("tha cat ", vec![(2, 'e', -4.0)]), ("don't sit ", vec![])]
        {
            let logits = spoken(text, &doubt);
            assert_eq!(
                model(&texts).decode(by_frame(&logits, 29)),
                model(&upper).decode(by_frame(&logits, 29)),
                "{text}"
            );
            assert!(!read(&model(&upper), &logits).is_empty());
        }
    }
}
