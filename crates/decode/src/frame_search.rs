//! Beam search frame by frame, for decoders that write while somebody speaks.

use crate::attention::{BeamConfig, Hypothesis, weighted};
use crate::prefix::{self, Entry, open_tokens};
use std::cmp::Ordering;
use std::sync::Arc;

/// Tokens of a frame less probable than this (ln) are not looked at.
const LEAST_TOKEN: f32 = -8.0;

/// A sequence of tokens, with the frames at which they begin.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prefix {
    /// Tokens.
    pub tokens: Vec<u32>,
    /// The frame at which each was first in the beam.
    pub start_frames: Vec<usize>,
}

/// What scores the next token: a decoder and its state after the prefixes that it has read.
pub trait PrefixScorer {
    /// The state after a prefix.
    type State: Clone + Default;
    /// Why it may fail.
    type Error;

    /// Scores the token after each prefix, were it to begin at `frame` (`None`: the end).
    ///
    /// A prefix comes with the state before its last token was read. Gives for each log-probabilities `[classes]` of the
    /// next token, and the state after the prefix.
    ///
    /// # Errors
    /// Its own.
    #[allow(clippy::type_complexity)] // a row and a state per prefix
    fn score(
        &mut self,
        prefixes: &[(&Prefix, &Self::State)],
        frame: Option<usize>,
    ) -> Result<Vec<(Arc<[f32]>, Self::State)>, Self::Error>;

    /// The same number for all frames at which it scores tokens alike: scores for one hold for the others.
    fn cache_key(&self, frame: usize) -> usize;
}

/// What the search keeps of a prefix.
#[derive(Clone)]
struct Scores<S> {
    start_frames: Vec<usize>,
    /// Sum of the decoder's ln p of the tokens.
    decoder: f64,
    /// The decoder's state before the last token was read.
    state: S,
    cached: Option<Cached<S>>,
}

/// The decoder's scores of the token after a prefix, for all frames of a cache key.
#[derive(Clone)]
struct Cached<S> {
    key: usize,
    row: Arc<[f32]>,
    /// Its state after the prefix.
    state: S,
}

/// CTC prefix beam search in which a decoder scores every token when CTC begins it: triggered attention decoding (Moritz,
/// Hori, Le Roux, "Streaming automatic speech recognition with the transformer model", ICASSP 2020).
///
/// The score of a prefix is `λ·ln p_CTC(tokens, frames so far) + (1 − λ)·Σ ln p_decoder + bonus·tokens`. A frame is used
/// once and in order: whatever pieces frames come in, the search is the same. A token keeps the score it got when it was
/// first begun; what can't be among the best after a frame is given up, so that nothing grows with the time but the
/// prefixes.
///
/// # Differences from the paper
/// One score prunes, instead of CTC's first and the joint one after.
pub struct FrameSearch<S> {
    config: BeamConfig,
    blank: u32,
    frame: usize,
    beam: Vec<Entry<Scores<S>>>,
}

impl<S: Clone + Default> FrameSearch<S> {
    /// A search at the beginning of an utterance.
    pub fn new(config: BeamConfig, blank: u32) -> Self {
        let start = Scores { start_frames: Vec::new(), decoder: 0.0, state: S::default(), cached: None };
        Self { config, blank, frame: 0, beam: vec![Entry::start(start)] }
    }

    /// The frame that comes next.
    pub fn frame(&self) -> usize {
        self.frame
    }

    /// The best tokens so far.
    pub fn best(&self) -> &[u32] {
        self.beam.first().map_or(&[], |best| &best.tokens)
    }

    /// The prefixes in the beam, best first, with their scores so far.
    pub fn prefixes(&self) -> impl Iterator<Item = (Prefix, f64)> {
        self.beam.iter().map(|entry| (prefix_of(entry), self.score(entry, 0.0)))
    }

    /// Takes CTC's log-probabilities `[classes]` of the next frame.
    ///
    /// # Errors
    /// Those of the decoder.
    pub fn push<D: PrefixScorer<State = S>>(&mut self, row: &[f32], decoder: &mut D) -> Result<(), D::Error> {
        let frame = self.frame;
        self.frame += 1;
        let open = open_tokens(row, self.blank, LEAST_TOKEN);
        if !open.is_empty() {
            self.refresh(frame, decoder)?;
        }
        let longest = self.config.max_tokens;
        let next = prefix::advance(&self.beam, row, self.blank, &open, |entry, id| {
            let Scores { start_frames, decoder, cached, .. } = &entry.hypothesis;
            let cached = cached.as_ref().filter(|_| entry.tokens.len() < longest)?;
            Some(Scores {
                start_frames: start_frames.iter().copied().chain([frame]).collect(),
                decoder: decoder + f64::from(cached.row[id as usize]),
                state: cached.state.clone(),
                cached: None,
            })
        });
        self.beam = prefix::prune(next, self.config.beam, |entry| self.score(entry, 0.0));
        Ok(())
    }

    /// Ends the utterance: the best sequences, best first, with the decoder's score of their end.
    ///
    /// # Errors
    /// Those of the decoder.
    pub fn finish<D: PrefixScorer<State = S>>(self, decoder: &mut D) -> Result<Vec<Hypothesis>, D::Error> {
        let prefixes: Vec<Prefix> = self.beam.iter().map(prefix_of).collect();
        let states = self.beam.iter().map(|entry| &entry.hypothesis.state);
        let ends = decoder.score(&prefixes.iter().zip(states).collect::<Vec<_>>(), None)?;
        let ended = self.beam.iter().zip(ends).map(|(entry, (row, _))| Hypothesis {
            tokens: entry.tokens.clone(),
            score: self.score(entry, f64::from(row[self.blank as usize])),
        });
        let mut found: Vec<Hypothesis> = ended.collect();
        found.sort_by(|a, b| order((a.score, &a.tokens), (b.score, &b.tokens)));
        Ok(found)
    }

    /// Has the decoder score what may come after the prefixes whose cached scores are not of this frame.
    fn refresh<D: PrefixScorer<State = S>>(&mut self, frame: usize, decoder: &mut D) -> Result<(), D::Error> {
        let key = decoder.cache_key(frame);
        let is_stale = |entry: &Entry<Scores<S>>| {
            entry.hypothesis.cached.as_ref().is_none_or(|cached| cached.key != key)
        };
        let stale: Vec<usize> = (0..self.beam.len()).filter(|&i| is_stale(&self.beam[i])).collect();
        if stale.is_empty() {
            return Ok(());
        }
        let prefixes: Vec<Prefix> = stale.iter().map(|&i| prefix_of(&self.beam[i])).collect();
        let states = stale.iter().map(|&i| &self.beam[i].hypothesis.state);
        let scored = decoder.score(&prefixes.iter().zip(states).collect::<Vec<_>>(), Some(frame))?;
        for (i, (row, state)) in stale.into_iter().zip(scored) {
            self.beam[i].hypothesis.cached = Some(Cached { key, row, state });
        }
        Ok(())
    }

    fn score(&self, entry: &Entry<Scores<S>>, end: f64) -> f64 {
        let lambda = self.config.ctc_weight;
        weighted(lambda, entry.score.total())
            + (1.0 - lambda) * (entry.hypothesis.decoder + end)
            + self.config.length_bonus * entry.tokens.len() as f64
    }
}

fn prefix_of<S>(entry: &Entry<Scores<S>>) -> Prefix {
    Prefix { tokens: entry.tokens.clone(), start_frames: entry.hypothesis.start_frames.clone() }
}

/// Better first; equal scores by the smaller tokens.
fn order((a, at): (f64, &[u32]), (b, bt): (f64, &[u32])) -> Ordering {
    b.total_cmp(&a).then_with(|| at.cmp(bt))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctc::tests::{CLASSES, outputs, random_frames};
    use std::convert::Infallible;

    const BLANK: u32 = 2;

    /// A decoder that prefers tokens by what it has read and by the frame; its state is what it has read.
    #[derive(Default)]
    struct Scripted {
        weight: f32,
        period: usize,
        asked: Vec<(Prefix, Option<usize>)>,
    }

    impl PrefixScorer for Scripted {
        type State = Vec<u32>;
        type Error = Infallible;

        fn score(
            &mut self,
            prefixes: &[(&Prefix, &Vec<u32>)],
            frame: Option<usize>,
        ) -> Result<Vec<(Arc<[f32]>, Vec<u32>)>, Infallible> {
            let score = |(prefix, before): &(&Prefix, &Vec<u32>)| {
                let read: Vec<u32> = before.iter().copied().chain(prefix.tokens.last().copied()).collect();
                assert_eq!(read, prefix.tokens, "the state is of what was read");
                assert_eq!(prefix.tokens.len(), prefix.start_frames.len());
                assert!(
                    prefix.start_frames.is_sorted()
                        && prefix.start_frames.iter().all(|&s| frame.is_none_or(|t| s < t))
                );
                let seed = prefix.tokens.iter().fold(7, |sum, &t| sum * 31 + t as usize);
                let seed = seed + frame.map_or(0, |frame| 1 + self.cache_key(frame));
                let row: Vec<f32> = (0..CLASSES).map(|c| -self.weight * ((seed + c) % 3) as f32).collect();
                (Arc::from(row), read)
            };
            let scored = prefixes.iter().map(score).collect();
            self.asked.extend(prefixes.iter().map(|(prefix, _)| ((*prefix).clone(), frame)));
            Ok(scored)
        }

        fn cache_key(&self, frame: usize) -> usize {
            frame / self.period.max(1)
        }
    }

    fn search(config: &BeamConfig, ctc: &[f32], decoder: &mut Scripted) -> Vec<Hypothesis> {
        let mut search = FrameSearch::new(config.clone(), BLANK);
        for row in ctc.chunks_exact(CLASSES) {
            let Ok(()) = search.push(row, decoder);
        }
        let Ok(found) = search.finish(decoder);
        found
    }

    /// With CTC alone and a wide beam every output has the sum over all of its paths.
    #[test]
    fn a_wide_beam_sums_over_all_paths() {
        let config = BeamConfig { beam: 1000, ctc_weight: 1.0, length_bonus: 0.0, max_tokens: 9 };
        for seed in 0..10 {
            let ctc = random_frames(seed, 6);
            let all = outputs(&ctc, BLANK);
            let found = search(&config, &ctc, &mut Scripted::default());
            assert_eq!(found.len(), all.len());
            for Hypothesis { tokens, score } in &found {
                assert!((score.exp() - all[tokens]).abs() < 1e-6, "{tokens:?}");
            }
            assert!(found.is_sorted_by(|a, b| a.score >= b.score));
        }
    }

    /// Every token has the score that the decoder gave it when it was begun, the end one of its own.
    #[test]
    fn the_decoder_is_asked_where_ctc_begins() {
        // Certain frames: 0 0 blank 1 blank 1.
        let path = [0, 0, 2, 1, 2, 1];
        let row = |best: usize| (0..CLASSES).map(move |c| if c == best { 0.0 } else { -7.0f32 });
        let ctc: Vec<f32> = path.into_iter().flat_map(row).collect();
        let config = BeamConfig { beam: 1, ctc_weight: 0.5, ..BeamConfig::default() };
        let mut decoder = Scripted { weight: 0.01, ..Scripted::default() };
        let found = search(&config, &ctc, &mut decoder);
        assert_eq!(found[0].tokens, [0, 1, 1]);
        let (last, frame) = decoder.asked.last().unwrap();
        assert_eq!((last.start_frames.as_slice(), frame), ([0, 3, 5].as_slice(), &None));
        // Scores that hold for two frames are asked for once.
        let mut pairs = Scripted { weight: 0.01, period: 2, ..Scripted::default() };
        search(&config, &ctc, &mut pairs);
        assert!(pairs.asked.len() < decoder.asked.len());
    }

    /// The decoder decides between what sounds alike, and the bonus between the shorter and the longer.
    #[test]
    fn decoder_bonus_and_limit_decide() {
        let ctc = random_frames(3, 12);
        let mut lengths = Vec::new();
        for bonus in [-4.0, 0.0, 4.0] {
            let config = BeamConfig { beam: 50, ctc_weight: 0.5, length_bonus: bonus, max_tokens: 8 };
            let found = search(&config, &ctc, &mut Scripted { weight: 1.0, ..Scripted::default() });
            lengths.push(found[0].tokens.len());
            assert!(found.iter().all(|hypothesis| hypothesis.tokens.len() <= 8));
        }
        assert!(lengths[0] < lengths[1] && lengths[1] < lengths[2], "{lengths:?}");
        let alone = BeamConfig { beam: 50, ctc_weight: 1.0, ..BeamConfig::default() };
        let both = BeamConfig { ctc_weight: 0.3, ..alone.clone() };
        let of = |config: &BeamConfig| {
            search(config, &ctc, &mut Scripted { weight: 3.0, ..Scripted::default() })[0].tokens.clone()
        };
        assert_ne!(of(&alone), of(&both));
    }

    #[test]
    fn nothing_said_is_nothing_written() {
        let found = search(&BeamConfig::default(), &[], &mut Scripted::default());
        assert!(found[0].tokens.is_empty());
    }
}
