//! CTC decoding with a word language model and its vocabulary.

use crate::ctc::log_add;
use crate::{TimedToken, log_softmax};
use auricle_text::Tokenizer;
use auricle_text::lm::{NgramLm, State};
use std::collections::HashMap;

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
    /// The words, sorted, for looking up beginnings.
    words: Vec<String>,
}

#[derive(Clone)]
struct Hypothesis {
    /// ln p of all alignments that end in a blank, and in the last token.
    blank: f64,
    token: f64,
    /// Sum of λ·ln p_LM and bonuses of the words that are complete.
    words: f64,
    state: State,
    /// What there is of the word that is not complete.
    begun: String,
    /// Frame at which each token was most probable to begin.
    starts: Vec<usize>,
}

impl Hypothesis {
    fn acoustic(&self) -> f64 {
        log_add(self.blank, self.token)
    }

    fn score(&self) -> f64 {
        self.acoustic() + self.words
    }
}

impl WordLm {
    /// A model whose units are words.
    pub fn new(lm: NgramLm, config: WordLmConfig) -> Self {
        // The first three are the unknown word and the marks of sentences.
        let mut words: Vec<String> = lm.units().iter().skip(3).cloned().collect();
        words.sort_unstable();
        Self { lm, config, words }
    }

    /// The most probable tokens of frames of logits `[T, classes]`, with frames and confidences.
    pub fn decode(&self, logits: &[f32], tokenizer: &Tokenizer) -> Vec<TimedToken> {
        let classes = tokenizer.vocab_size();
        let blank = tokenizer.blank_id();
        let pieces: Vec<&str> = (0..classes as u32).map(|id| tokenizer.piece(id).unwrap_or("")).collect();
        let start = Hypothesis {
            blank: 0.0,
            token: f64::NEG_INFINITY,
            words: 0.0,
            state: self.lm.begin(),
            begun: String::new(),
            starts: Vec::new(),
        };
        let mut beam: Vec<(Vec<u32>, Hypothesis)> = vec![(Vec::new(), start)];
        let mut posteriors: Vec<f32> = Vec::with_capacity(logits.len());
        for (t, row) in logits.chunks_exact(classes.max(1)).enumerate() {
            let frame = log_softmax(row);
            beam = self.step(t, beam, &frame, blank, &pieces);
            posteriors.extend(frame);
        }
        let finished = beam.into_iter().map(|(tokens, hypothesis)| {
            let last = self.complete(&hypothesis).map_or(f64::NEG_INFINITY, |(words, state)| {
                words + self.config.lm_weight * f64::from(self.lm.end(state))
            });
            (hypothesis.acoustic() + last, tokens, hypothesis)
        });
        let best = finished.max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(&a.1)));
        let Some((_, tokens, hypothesis)) = best else { return Vec::new() };
        timed(&tokens, &hypothesis.starts, &posteriors, classes)
    }

    fn step(
        &self,
        t: usize,
        beam: Vec<(Vec<u32>, Hypothesis)>,
        frame: &[f32],
        blank: u32,
        pieces: &[&str],
    ) -> Vec<(Vec<u32>, Hypothesis)> {
        let mut next: HashMap<Vec<u32>, Hypothesis> = HashMap::new();
        let open: Vec<u32> = (0..frame.len() as u32)
            .filter(|&id| id != blank && frame[id as usize] > self.config.least_token)
            .collect();
        let at = |id: u32| f64::from(frame[id as usize]);
        for (tokens, hypothesis) in beam {
            let all = hypothesis.acoustic();
            let last = tokens.last().copied();
            for &id in &open {
                // A repeated token without a blank between is the same token.
                let from = if last == Some(id) { hypothesis.blank } else { all };
                if from == f64::NEG_INFINITY {
                    continue;
                }
                let Some(grown) = self.grow(&hypothesis, pieces[id as usize]) else { continue };
                let mut longer = tokens.clone();
                longer.push(id);
                let score = from + at(id);
                let entry = next.entry(longer).or_insert_with(|| {
                    let mut starts = hypothesis.starts.clone();
                    starts.push(t);
                    Hypothesis { blank: f64::NEG_INFINITY, token: f64::NEG_INFINITY, starts, ..grown }
                });
                entry.token = log_add(entry.token, score);
            }
            let stay = last.map_or(f64::NEG_INFINITY, |id| hypothesis.token + at(id));
            let entry = next.entry(tokens).or_insert_with(|| Hypothesis {
                blank: f64::NEG_INFINITY,
                token: f64::NEG_INFINITY,
                ..hypothesis.clone()
            });
            entry.blank = log_add(entry.blank, all + at(blank));
            entry.token = log_add(entry.token, stay);
        }
        let mut kept: Vec<(Vec<u32>, Hypothesis)> = next.into_iter().collect();
        kept.sort_by(|a, b| b.1.score().total_cmp(&a.1.score()).then_with(|| a.0.cmp(&b.0)));
        kept.truncate(self.config.beam.max(1));
        kept
    }

    /// A hypothesis with another piece of text; `None` where no word of the model begins like that.
    fn grow(&self, hypothesis: &Hypothesis, piece: &str) -> Option<Hypothesis> {
        let mut grown = hypothesis.clone();
        for character in piece.chars() {
            // A space ends a word; `▁` begins one.
            if character == ' ' || character == '\u{2581}' {
                let (words, state) = self.complete(&grown)?;
                (grown.words, grown.state) = (words, state);
                grown.begun.clear();
            } else {
                grown.begun.push(character);
            }
        }
        (grown.begun.is_empty() || self.begins(&grown.begun)).then_some(grown)
    }

    /// Score and state after the word that has begun ends; `None` where it is no word.
    fn complete(&self, hypothesis: &Hypothesis) -> Option<(f64, State)> {
        if hypothesis.begun.is_empty() {
            return Some((hypothesis.words, hypothesis.state));
        }
        let unit = self.lm.unit(&hypothesis.begun);
        if self.lm.is_unknown(unit) {
            return None;
        }
        let (score, state) = self.lm.score(hypothesis.state, unit);
        let own = self.config.lm_weight * f64::from(score) + self.config.word_bonus;
        Some((hypothesis.words + own, state))
    }

    fn begins(&self, prefix: &str) -> bool {
        let at = self.words.partition_point(|word| word.as_str() < prefix);
        self.words.get(at).is_some_and(|word| word.starts_with(prefix))
    }
}

/// Tokens from where they begin to where the next one does, as long as they are probable.
fn timed(tokens: &[u32], starts: &[usize], posteriors: &[f32], classes: usize) -> Vec<TimedToken> {
    let frames = posteriors.len() / classes.max(1);
    tokens
        .iter()
        .zip(starts)
        .enumerate()
        .map(|(i, (&id, &start))| {
            let limit = starts.get(i + 1).copied().unwrap_or(frames).max(start + 1);
            let at = |t: usize| posteriors[t * classes + id as usize].exp();
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
        let tokens = model.decode(logits, &tokenizer);
        tokenizer.decode(&tokens.iter().map(|t| t.id).collect::<Vec<_>>()).trim().to_string()
    }

    #[test]
    fn only_words_of_the_model_are_written_and_likely_ones_rather() {
        let lm = lm(&["the cat sat", "the cat sat", "the hat sat", "a cat ran"], 2);
        let model = WordLm::new(lm, WordLmConfig { least_token: -20.0, ..WordLmConfig::default() });
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
        let model = WordLm::new(lm, config);
        let logits = spoken("to be or not ", &[]);
        let tokenizer = Tokenizer::characters();
        let greedy = crate::greedy(&logits, tokenizer.vocab_size(), tokenizer.blank_id());
        let found = model.decode(&logits, &tokenizer);
        let times = |tokens: &[TimedToken]| tokens.iter().map(|t| (t.id, t.start_frame)).collect::<Vec<_>>();
        assert_eq!(times(&greedy), times(&found));
        assert!(model.decode(&[], &tokenizer).is_empty());
    }
}
