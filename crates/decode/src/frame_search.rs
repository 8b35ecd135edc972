//! Beam search frame by frame, for decoders that write while somebody speaks.

use crate::attention::{BeamConfig, Hypothesis, weighted};
use crate::ctc::log_add;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

/// Tokens of a frame less probable than this (ln) are not looked at.
const LEAST_TOKEN: f32 = -8.0;

/// A sequence of tokens, with the frames at which they were begun.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Begun {
    /// Tokens.
    pub tokens: Vec<u32>,
    /// The frame at which each was first kept.
    pub starts: Vec<usize>,
}

/// What tells the next token: a decoder and what it remembers of the sequences that it read.
pub trait NextToken {
    /// What is remembered of a sequence.
    type State: Clone + Default;
    /// Why it may fail.
    type Error;

    /// Log-probabilities `[classes]` of the token after each sequence, were it to begin at `frame` (`None`: the end), of
    /// the state that each had before its last token was read; and the state after.
    ///
    /// # Errors
    /// Its own.
    #[allow(clippy::type_complexity)] // a row and a state per sequence
    fn next(
        &mut self,
        sequences: &[(&Begun, &Self::State)],
        frame: Option<usize>,
    ) -> Result<Vec<(Arc<[f32]>, Self::State)>, Self::Error>;

    /// The same number for all frames at which it tells tokens alike: what it said for one holds for the others.
    fn same_as(&self, frame: usize) -> usize;
}

/// A sequence in the beam.
#[derive(Clone)]
struct Kept<S> {
    begun: Begun,
    /// ln p of all alignments that end in a blank, and in the last token.
    blank: f64,
    token: f64,
    /// Sum of the decoder's ln p of the tokens.
    decoder: f64,
    /// The decoder's state before the last token was read.
    before: S,
    /// What it told last, for which frame, and its state then.
    told: Option<(usize, Arc<[f32]>, S)>,
}

impl<S> Kept<S> {
    fn ctc(&self) -> f64 {
        log_add(self.blank, self.token)
    }
}

/// CTC prefix beam search in which a decoder scores every token when CTC begins it: triggered attention decoding (Moritz,
/// Hori, Le Roux, "Streaming automatic speech recognition with the transformer model", ICASSP 2020).
///
/// `λ·ln p_CTC(tokens, frames so far) + (1 − λ)·Σ ln p_decoder + bonus·tokens`. A frame is used once and in order: whatever
/// pieces frames come in, the search is the same. A token keeps the score it got when it was first begun; what can't be
/// among the best after a frame is given up, so that nothing grows with the time but the sequences.
///
/// # Differences from the paper
/// One score prunes, instead of CTC's first and the joint one after.
pub struct FrameSearch<S> {
    config: BeamConfig,
    blank: u32,
    frame: usize,
    beam: Vec<Kept<S>>,
}

impl<S: Clone + Default> FrameSearch<S> {
    /// A search at the beginning of an utterance.
    pub fn new(config: BeamConfig, blank: u32) -> Self {
        let start = Kept {
            begun: Begun::default(),
            blank: 0.0,
            token: f64::NEG_INFINITY,
            decoder: 0.0,
            before: S::default(),
            told: None,
        };
        Self { config, blank, frame: 0, beam: vec![start] }
    }

    /// The frame that comes next.
    pub fn frame(&self) -> usize {
        self.frame
    }

    /// The best tokens so far.
    pub fn best(&self) -> &[u32] {
        self.beam.first().map_or(&[], |best| &best.begun.tokens)
    }

    /// The sequences that are kept, best first, with their scores so far.
    pub fn sequences(&self) -> impl Iterator<Item = (&Begun, f64)> {
        self.beam.iter().map(|kept| (&kept.begun, self.score(kept, 0.0)))
    }

    /// Takes CTC's log-probabilities `[classes]` of the next frame.
    ///
    /// # Errors
    /// Those of the decoder.
    pub fn push<N: NextToken<State = S>>(&mut self, row: &[f32], decoder: &mut N) -> Result<(), N::Error> {
        let frame = self.frame;
        self.frame += 1;
        let open: Vec<u32> =
            (0..row.len() as u32).filter(|&id| id != self.blank && row[id as usize] > LEAST_TOKEN).collect();
        let at = |id: u32| f64::from(row[id as usize]);
        if !open.is_empty() {
            self.ask(frame, decoder)?;
        }
        let mut next: HashMap<Vec<u32>, Kept<S>> = HashMap::new();
        let beam = std::mem::take(&mut self.beam);
        // Sequences that stay come first: one that another grows into keeps its own beginnings.
        for kept in &beam {
            let tokens = &kept.begun.tokens;
            let stay = tokens.last().map_or(f64::NEG_INFINITY, |&id| kept.token + at(id));
            let blank = kept.ctc() + at(self.blank);
            next.insert(tokens.clone(), Kept { blank, token: stay, ..kept.clone() });
        }
        for kept in beam.iter().filter(|kept| kept.begun.tokens.len() < self.config.max_tokens) {
            let Some((_, told, state)) = &kept.told else { continue };
            let Begun { tokens, starts } = &kept.begun;
            for &id in &open {
                // A repeated token without a blank between is the same token.
                let from = if tokens.last() == Some(&id) { kept.blank } else { kept.ctc() };
                if from == f64::NEG_INFINITY {
                    continue;
                }
                let score = from + at(id);
                let longer: Vec<u32> = tokens.iter().copied().chain([id]).collect();
                let entry = next.entry(longer.clone()).or_insert_with(|| Kept {
                    begun: Begun { tokens: longer, starts: starts.iter().copied().chain([frame]).collect() },
                    blank: f64::NEG_INFINITY,
                    token: f64::NEG_INFINITY,
                    decoder: kept.decoder + f64::from(told[id as usize]),
                    before: state.clone(),
                    told: None,
                });
                entry.token = log_add(entry.token, score);
            }
        }
        let scored = next.into_values().map(|kept| (self.score(&kept, 0.0), kept));
        let mut kept: Vec<(f64, Kept<S>)> = scored.filter(|(score, _)| *score > f64::NEG_INFINITY).collect();
        kept.sort_by(|a, b| order((a.0, &a.1.begun.tokens), (b.0, &b.1.begun.tokens)));
        kept.truncate(self.config.beam.max(1));
        self.beam = kept.into_iter().map(|(_, kept)| kept).collect();
        Ok(())
    }

    /// Ends the utterance: the best sequences, best first, with the decoder's score of their end.
    ///
    /// # Errors
    /// Those of the decoder.
    pub fn finish<N: NextToken<State = S>>(self, decoder: &mut N) -> Result<Vec<Hypothesis>, N::Error> {
        let sequences: Vec<(&Begun, &S)> = self.beam.iter().map(|kept| (&kept.begun, &kept.before)).collect();
        let ends = decoder.next(&sequences, None)?;
        let ended = self.beam.iter().zip(ends).map(|(kept, (row, _))| Hypothesis {
            tokens: kept.begun.tokens.clone(),
            score: self.score(kept, f64::from(row[self.blank as usize])),
        });
        let mut found: Vec<Hypothesis> = ended.collect();
        found.sort_by(|a, b| order((a.score, &a.tokens), (b.score, &b.tokens)));
        Ok(found)
    }

    /// Has the decoder tell what may come after the sequences it has not told of for this frame.
    fn ask<N: NextToken<State = S>>(&mut self, frame: usize, decoder: &mut N) -> Result<(), N::Error> {
        let same = decoder.same_as(frame);
        let stale = |kept: &Kept<S>| kept.told.as_ref().is_none_or(|(told_for, ..)| *told_for != same);
        let asked: Vec<usize> = (0..self.beam.len()).filter(|&i| stale(&self.beam[i])).collect();
        let of = |&i: &usize| (&self.beam[i].begun, &self.beam[i].before);
        let sequences: Vec<(&Begun, &S)> = asked.iter().map(of).collect();
        if sequences.is_empty() {
            return Ok(());
        }
        let told = decoder.next(&sequences, Some(frame))?;
        for (i, (row, state)) in asked.into_iter().zip(told) {
            self.beam[i].told = Some((same, row, state));
        }
        Ok(())
    }

    fn score(&self, kept: &Kept<S>, end: f64) -> f64 {
        let lambda = self.config.ctc_weight;
        weighted(lambda, kept.ctc())
            + (1.0 - lambda) * (kept.decoder + end)
            + self.config.length_bonus * kept.begun.tokens.len() as f64
    }
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

    /// A decoder that prefers what it is told to by the tokens and the frame; it remembers what it read.
    #[derive(Default)]
    struct Told {
        weight: f32,
        period: usize,
        asked: Vec<(Begun, Option<usize>)>,
    }

    impl NextToken for Told {
        type State = Vec<u32>;
        type Error = Infallible;

        fn next(
            &mut self,
            sequences: &[(&Begun, &Vec<u32>)],
            frame: Option<usize>,
        ) -> Result<Vec<(Arc<[f32]>, Vec<u32>)>, Infallible> {
            let tell = |(begun, before): &(&Begun, &Vec<u32>)| {
                let read: Vec<u32> = before.iter().copied().chain(begun.tokens.last().copied()).collect();
                assert_eq!(read, begun.tokens, "the state is of what was read");
                assert_eq!(begun.tokens.len(), begun.starts.len());
                assert!(
                    begun.starts.is_sorted() && begun.starts.iter().all(|&s| frame.is_none_or(|t| s < t))
                );
                let seed = begun.tokens.iter().fold(7, |sum, &t| sum * 31 + t as usize);
                let seed = seed + frame.map_or(0, |frame| 1 + self.same_as(frame));
                let row: Vec<f32> = (0..CLASSES).map(|c| -self.weight * ((seed + c) % 3) as f32).collect();
                (Arc::from(row), read)
            };
            let told = sequences.iter().map(tell).collect();
            self.asked.extend(sequences.iter().map(|(begun, _)| ((*begun).clone(), frame)));
            Ok(told)
        }

        fn same_as(&self, frame: usize) -> usize {
            frame / self.period.max(1)
        }
    }

    fn search(config: &BeamConfig, ctc: &[f32], decoder: &mut Told) -> Vec<Hypothesis> {
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
            let found = search(&config, &ctc, &mut Told::default());
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
        let mut decoder = Told { weight: 0.01, ..Told::default() };
        let found = search(&config, &ctc, &mut decoder);
        assert_eq!(found[0].tokens, [0, 1, 1]);
        let (last, frame) = decoder.asked.last().unwrap();
        assert_eq!((last.starts.as_slice(), frame), ([0, 3, 5].as_slice(), &None));
        // A decoder that tells two frames alike is asked once for both.
        let mut pairs = Told { weight: 0.01, period: 2, ..Told::default() };
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
            let found = search(&config, &ctc, &mut Told { weight: 1.0, ..Told::default() });
            lengths.push(found[0].tokens.len());
            assert!(found.iter().all(|hypothesis| hypothesis.tokens.len() <= 8));
        }
        assert!(lengths[0] < lengths[1] && lengths[1] < lengths[2], "{lengths:?}");
        let alone = BeamConfig { beam: 50, ctc_weight: 1.0, ..BeamConfig::default() };
        let both = BeamConfig { ctc_weight: 0.3, ..alone.clone() };
        let of = |config: &BeamConfig| {
            search(config, &ctc, &mut Told { weight: 3.0, ..Told::default() })[0].tokens.clone()
        };
        assert_ne!(of(&alone), of(&both));
    }

    #[test]
    fn nothing_said_is_nothing_written() {
        let found = search(&BeamConfig::default(), &[], &mut Told::default());
        assert!(found[0].tokens.is_empty());
    }
}
