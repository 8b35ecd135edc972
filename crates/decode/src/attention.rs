//! Beam search for attention decoders, with the CTC scores of the same frames.

use crate::TokenLm;
use crate::ctc::log_add;
use ndarray::{ArrayView1, ArrayView2};
use std::cmp::Ordering;

/// How to search.
#[derive(Debug, Clone, PartialEq)]
pub struct BeamConfig {
    /// Hypotheses kept at every length. Default: 8.
    pub beam: usize,
    /// Weight λ of the CTC prefix score; `1 − λ` weighs the decoder. Default: 0.3.
    pub ctc_weight: f64,
    /// Added per token: attention decoders like short outputs. Default: 0.
    pub length_bonus: f64,
    /// Longest output. Default: 1,000.
    pub max_tokens: usize,
}

impl Default for BeamConfig {
    fn default() -> Self {
        Self { beam: 8, ctc_weight: 0.3, length_bonus: 0.0, max_tokens: 1000 }
    }
}

/// A token sequence and its score.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// Tokens, without begin and end.
    pub tokens: Vec<u32>,
    /// Weighted log-probability with the language model's and the length bonus.
    pub score: f64,
}

#[derive(Clone)]
struct Partial {
    tokens: Vec<u32>,
    decoder: f64,
    /// Weighted already.
    lm: f64,
    ctc: Option<CtcPrefix>,
    score: f64,
}

/// Searches for the best sequences, best first: `(1 − λ)·ln p_decoder + λ·ln p_CTC + w·ln p_LM + bonus·tokens`.
///
/// `ctc` are log-probabilities `[frames, classes]` (`None` or no frame: no CTC score). `next` gets the sequences so far, and the
/// frames at which CTC begins their last tokens (0 for none; with a weight of 0, too), and gives log-probabilities
/// `[classes]` of the next token of each. `blank` ends a sequence, if with it the sequence is among the best at its length.
/// The search ends when no unfinished sequence can overtake the best finished one (its score only falls, but for the
/// bonus), or at the longest output; equal scores go to the smaller tokens.
///
/// # Errors
/// Those of `next`.
pub fn beam_search<E>(
    config: &BeamConfig,
    classes: usize,
    blank: u32,
    ctc: Option<ArrayView2<'_, f32>>,
    lm: Option<&TokenLm>,
    mut next: impl FnMut(&[Vec<u32>], &[usize]) -> Result<Vec<Vec<f32>>, E>,
) -> Result<Vec<Hypothesis>, E> {
    let beam = config.beam.max(1);
    let prefixes = ctc.filter(|ctc| !ctc.is_empty()).map(|ctc| CtcPrefixes::new(ctc, blank));
    let lambda = if prefixes.is_some() { config.ctc_weight } else { 0.0 };
    let start = prefixes.as_ref().map(CtcPrefixes::start);
    let mut open = vec![Partial { tokens: Vec::new(), decoder: 0.0, lm: 0.0, ctc: start, score: 0.0 }];
    let mut done: Vec<Hypothesis> = Vec::new();
    for length in 0..=config.max_tokens {
        let sequences: Vec<Vec<u32>> = open.iter().map(|partial| partial.tokens.clone()).collect();
        let start_frames: Vec<usize> =
            open.iter().map(|partial| partial.ctc.as_ref().map_or(0, |ctc| ctc.start_frame)).collect();
        let scores = next(&sequences, &start_frames)?;
        let (mut grown, mut ended): (Vec<Partial>, Vec<Hypothesis>) = (Vec::new(), Vec::new());
        for (partial, row) in open.iter().zip(&scores) {
            let language = lm.map_or_else(|| vec![0.0; classes], |lm| lm.next(&partial.tokens, blank));
            let decoder = partial.decoder + f64::from(row[blank as usize]);
            let aligned = partial.ctc.as_ref().map_or(0.0, CtcPrefix::whole);
            let bonus = config.length_bonus * partial.tokens.len() as f64;
            let fluent = partial.lm + language[blank as usize];
            let score = (1.0 - lambda) * decoder + weighted(lambda, aligned) + fluent + bonus;
            if score > f64::NEG_INFINITY {
                ended.push(Hypothesis { tokens: partial.tokens.clone(), score });
            }
            // The CTC prefix score is dear: only the best candidates of the others get one.
            let fused =
                |token: u32| (1.0 - lambda) * f64::from(row[token as usize]) + language[token as usize];
            for token in best_tokens(classes, blank, 2 * beam, fused) {
                let decoder = partial.decoder + f64::from(row[token as usize]);
                let ctc = match (&prefixes, &partial.ctc) {
                    (Some(prefixes), Some(prefix)) => Some(prefixes.extend(prefix, &partial.tokens, token)),
                    _ => None,
                };
                let aligned = ctc.as_ref().map_or(0.0, |prefix| prefix.score);
                let mut tokens = partial.tokens.clone();
                tokens.push(token);
                let bonus = config.length_bonus * tokens.len() as f64;
                let lm = partial.lm + language[token as usize];
                let score = (1.0 - lambda) * decoder + weighted(lambda, aligned) + lm + bonus;
                if score > f64::NEG_INFINITY {
                    grown.push(Partial { tokens, decoder, lm, ctc, score });
                }
            }
        }
        let order =
            |a: f64, at: &[u32], b: f64, bt: &[u32]| -> Ordering { b.total_cmp(&a).then_with(|| at.cmp(bt)) };
        grown.sort_by(|a, b| order(a.score, &a.tokens, b.score, &b.tokens));
        grown.truncate(beam);
        ended.sort_by(|a, b| order(a.score, &a.tokens, b.score, &b.tokens));
        // Where every token costs a little, the end of nothing would be better than any whole sentence. What is as long
        // as it may be has to end.
        let last = length == config.max_tokens;
        let better = |end: &Hypothesis| grown.iter().filter(|partial| partial.score > end.score).count();
        let among_best = |(i, end): (usize, Hypothesis)| (last || i + better(&end) < beam).then_some(end);
        done.extend(ended.into_iter().enumerate().filter_map(among_best));
        done.sort_by(|a, b| order(a.score, &a.tokens, b.score, &b.tokens));
        done.truncate(beam);
        if last {
            break;
        }
        open = grown;
        let best_open = open.first().map_or(f64::NEG_INFINITY, |partial| partial.score);
        let left = (config.max_tokens.saturating_sub(open.first().map_or(0, |p| p.tokens.len()))) as f64;
        let reach = best_open + config.length_bonus.max(0.0) * left;
        if open.is_empty() || done.first().is_some_and(|best| best.score >= reach) {
            break;
        }
    }
    if done.is_empty() {
        done.extend(open.into_iter().map(|Partial { tokens, score, .. }| Hypothesis { tokens, score }));
    }
    Ok(done)
}

/// `λ·x`, and 0 for λ = 0 even where x is −∞.
pub(crate) fn weighted(lambda: f64, x: f64) -> f64 {
    if lambda == 0.0 { 0.0 } else { lambda * x }
}

fn best_tokens(classes: usize, blank: u32, count: usize, score: impl Fn(u32) -> f64) -> Vec<u32> {
    let mut tokens: Vec<(u32, f64)> = (0..classes as u32).map(|token| (token, score(token))).collect();
    tokens.retain(|(token, score)| *token != blank && !score.is_nan());
    tokens.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    tokens.truncate(count);
    tokens.into_iter().map(|(token, _)| token).collect()
}

/// Forward variables of a prefix: log-probability that it was read from the first t frames, ending in
/// its last token or in a blank.
#[derive(Clone)]
struct CtcPrefix {
    token: Vec<f64>,
    blank: Vec<f64>,
    /// `ln P(prefix, …)`: the probability of all outputs that begin with it.
    score: f64,
    /// The frame at which the last token most probably begins.
    start_frame: usize,
}

impl CtcPrefix {
    /// `ln P(prefix)` as the whole output.
    fn whole(&self) -> f64 {
        match (self.token.last(), self.blank.last()) {
            (Some(&token), Some(&blank)) => log_add(token, blank),
            _ => 0.0,
        }
    }
}

/// CTC prefix scores (Watanabe et al. 2017, "Hybrid CTC/Attention", algorithm 2).
struct CtcPrefixes<'a> {
    ctc: ArrayView2<'a, f32>,
    blank: u32,
    /// Score of the best path up to each frame, whatever it reads.
    best: Vec<f64>,
}

impl<'a> CtcPrefixes<'a> {
    fn new(ctc: ArrayView2<'a, f32>, blank: u32) -> Self {
        let mut sum = 0.0;
        let top = |row: ArrayView1<'_, f32>| f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let add = |row: ArrayView1<'_, f32>| {
            sum += top(row);
            sum
        };
        let best = ctc.outer_iter().map(add).collect();
        Self { ctc, blank, best }
    }

    fn row(&self, t: usize, class: u32) -> f64 {
        f64::from(self.ctc[[t, class as usize]])
    }

    fn frames(&self) -> usize {
        self.ctc.nrows()
    }

    fn start(&self) -> CtcPrefix {
        let mut sum = 0.0;
        let blank = (0..self.frames())
            .map(|t| {
                sum += self.row(t, self.blank);
                sum
            })
            .collect();
        CtcPrefix { token: vec![f64::NEG_INFINITY; self.frames()], blank, score: 0.0, start_frame: 0 }
    }

    fn extend(&self, prefix: &CtcPrefix, tokens: &[u32], token: u32) -> CtcPrefix {
        let frames = self.frames();
        let mut ends = CtcPrefix {
            token: vec![f64::NEG_INFINITY; frames],
            blank: vec![f64::NEG_INFINITY; frames],
            score: f64::NEG_INFINITY,
            start_frame: 0,
        };
        // Beginning late is less probable only because more frames were read: how far below the best path is it?
        let mut least_below = f64::NEG_INFINITY;
        let repeated = tokens.last() == Some(&token);
        for t in 0..frames {
            // What the prefix had reached before frame t, from where the token can begin.
            let before = match t.checked_sub(1) {
                Some(t) if repeated => prefix.blank[t],
                Some(t) => log_add(prefix.blank[t], prefix.token[t]),
                None if tokens.is_empty() => 0.0,
                None => f64::NEG_INFINITY,
            };
            let (stay, rest) = match t.checked_sub(1) {
                Some(t) => (ends.token[t], log_add(ends.blank[t], ends.token[t])),
                None => (f64::NEG_INFINITY, f64::NEG_INFINITY),
            };
            ends.token[t] = log_add(stay, before) + self.row(t, token);
            ends.blank[t] = rest + self.row(t, self.blank);
            let begins = before + self.row(t, token);
            ends.score = log_add(ends.score, begins);
            if begins - self.best[t] > least_below {
                (least_below, ends.start_frame) = (begins - self.best[t], t);
            }
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::by_frame;
    use crate::ctc::tests::{CLASSES, outputs, random_frames as frames};
    use std::convert::Infallible;

    const BLANK: u32 = 2;

    #[test]
    fn prefix_scores_are_sums_over_all_paths() {
        let ctc = frames(7, 6);
        let all = outputs(&ctc, BLANK);
        let prefixes = CtcPrefixes::new(by_frame(&ctc, CLASSES), BLANK);
        for output in [vec![0], vec![1, 1], vec![0, 1, 0], vec![1, 1, 0]] {
            let (mut prefix, mut tokens) = (prefixes.start(), Vec::new());
            for &token in &output {
                prefix = prefixes.extend(&prefix, &tokens, token);
                tokens.push(token);
            }
            let begins: f64 = all.iter().filter(|(o, _)| o.starts_with(&output)).map(|(_, p)| p).sum();
            assert!((prefix.score.exp() - begins).abs() < 1e-6, "{output:?}");
            assert!((prefix.whole().exp() - all[&output]).abs() < 1e-6, "{output:?}");
        }
        assert!((prefixes.start().whole().exp() - all[&vec![]]).abs() < 1e-6);
    }

    /// With CTC alone and a wide beam, the search finds the most probable output of all.
    #[test]
    fn a_wide_beam_finds_the_best_output() {
        for seed in 0..20 {
            let ctc = frames(seed, 5);
            let best = outputs(&ctc, BLANK).into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            let config = BeamConfig { beam: 50, ctc_weight: 1.0, length_bonus: 0.0, max_tokens: 5 };
            let even = |sequences: &[Vec<u32>], _: &[usize]| -> Result<Vec<Vec<f32>>, Infallible> {
                Ok(sequences.iter().map(|_| vec![0.0; CLASSES]).collect())
            };
            let Ok(found) = beam_search(&config, CLASSES, BLANK, Some(by_frame(&ctc, CLASSES)), None, even);
            assert_eq!(found[0].tokens, best.0, "seed {seed}");
            assert!((found[0].score - best.1.ln()).abs() < 1e-5);
        }
    }

    /// A decoder that says 0 1 0 and ends; the bonus decides about a longer one that is less probable.
    #[test]
    fn length_is_rewarded_as_asked() {
        let script = |sequences: &[Vec<u32>], _: &[usize]| -> Result<Vec<Vec<f32>>, Infallible> {
            let row = |tokens: &Vec<u32>| match tokens.as_slice() {
                [] => vec![-0.1, -9.0, -9.0],
                [0] => vec![-9.0, -1.5, -0.3],
                [0, 1] => vec![-9.0, -9.0, -0.1],
                _ => vec![-9.0, -9.0, -0.1],
            };
            Ok(sequences.iter().map(row).collect())
        };
        let search = |bonus: f64| {
            let config = BeamConfig { beam: 4, ctc_weight: 0.3, length_bonus: bonus, max_tokens: 6 };
            let Ok(found) = beam_search(&config, CLASSES, BLANK, None, None, script);
            found[0].tokens.clone()
        };
        assert_eq!(search(0.0), [0]);
        assert_eq!(search(2.0), [0, 1]);
    }

    #[test]
    fn no_output_is_longer_than_allowed() {
        let never = |sequences: &[Vec<u32>], _: &[usize]| -> Result<Vec<Vec<f32>>, Infallible> {
            Ok(sequences.iter().map(|_| vec![-0.1, -3.0, f32::NEG_INFINITY]).collect())
        };
        let config = BeamConfig { max_tokens: 7, ..BeamConfig::default() };
        let Ok(found) = beam_search(&config, CLASSES, BLANK, None, None, never);
        assert_eq!(found[0].tokens, [0; 7]);
        // An end that is never among the best counts where nothing else is allowed, with its score.
        let unlikely = |sequences: &[Vec<u32>], _: &[usize]| -> Result<Vec<Vec<f32>>, Infallible> {
            Ok(sequences.iter().map(|_| vec![-0.5, -0.25, -9.0]).collect())
        };
        let config = BeamConfig { beam: 2, ctc_weight: 0.0, max_tokens: 3, ..config };
        let Ok(found) = beam_search(&config, CLASSES, BLANK, None, None, unlikely);
        assert_eq!((found[0].tokens.as_slice(), found[0].score), (&[1, 1, 1][..], -9.75));
    }

    /// Where CTC is certain, tokens begin where it says so; after long silences, too.
    #[test]
    fn tokens_begin_where_ctc_says() {
        let path = [BLANK, 0, 0, BLANK, BLANK, BLANK, 0, 1, BLANK, BLANK];
        let ctc: Vec<f32> = path
            .iter()
            .flat_map(|&best| (0..3).map(move |c| if c == best { 0.7f32.ln() } else { 0.15f32.ln() }))
            .collect();
        let prefixes = CtcPrefixes::new(by_frame(&ctc, CLASSES), BLANK);
        let (mut prefix, mut begun) = (prefixes.start(), Vec::new());
        for tokens in [vec![0], vec![0, 0], vec![0, 0, 1]] {
            prefix = prefixes.extend(&prefix, &tokens[..tokens.len() - 1], tokens[tokens.len() - 1]);
            begun.push(prefix.start_frame);
        }
        assert_eq!(begun, [1, 6, 7]);
    }

    /// Every token costs more than ending at once would, all tokens together: the sequence is read to its end nevertheless.
    #[test]
    fn the_end_has_to_be_better_than_going_on() {
        let script = |sequences: &[Vec<u32>], _: &[usize]| -> Result<Vec<Vec<f32>>, Infallible> {
            let row = |tokens: &Vec<u32>| match tokens.len() {
                9 => vec![-9.0, -9.0, -0.1],
                _ => vec![-1.5, -1.6, -4.0],
            };
            Ok(sequences.iter().map(row).collect())
        };
        let config = BeamConfig { beam: 2, ctc_weight: 0.0, length_bonus: 0.0, max_tokens: 20 };
        let Ok(found) = beam_search(&config, CLASSES, BLANK, None, None, script);
        assert_eq!(found[0].tokens, [0; 9]);
    }
}
