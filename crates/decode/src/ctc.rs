//! Best-path decoding of CTC.

use ndarray::{ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A token with the frames it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TimedToken {
    /// Token.
    pub id: u32,
    /// First frame of its run.
    pub start_frame: usize,
    /// Frame after the last one of its run.
    pub end_frame: usize,
    /// Mean posterior probability over the run, in [0, 1].
    pub confidence: f32,
}

/// The best path: the best class of every frame, runs merged, blanks removed.
///
/// `scores` are logits or log-probabilities, `[frames, classes]`; equal scores go to the
/// lower class, NaN is never the best.
pub fn greedy(scores: ArrayView2<'_, f32>, blank: u32) -> Vec<TimedToken> {
    let mut tokens: Vec<TimedToken> = Vec::new();
    let mut previous = blank;
    for (frame, row) in scores.outer_iter().enumerate() {
        let (best, probability) = best_class(&contiguous(row));
        let id = best as u32;
        if id != blank {
            match tokens.last_mut() {
                Some(token) if id == previous => {
                    let frames = (token.end_frame - token.start_frame) as f32;
                    token.confidence = (token.confidence * frames + probability) / (frames + 1.0);
                    token.end_frame = frame + 1;
                }
                _ => tokens.push(TimedToken {
                    id,
                    start_frame: frame,
                    end_frame: frame + 1,
                    confidence: probability,
                }),
            }
        }
        previous = id;
    }
    tokens
}

/// Values in a row as `[frames, classes]`, without a copy; values after the last whole frame are left out.
///
/// ```
/// assert_eq!(auricle_decode::by_frame(&[0.0; 7], 3).dim(), (2, 3));
/// ```
pub fn by_frame(values: &[f32], classes: usize) -> ArrayView2<'_, f32> {
    let frames = values.len().checked_div(classes).unwrap_or(0);
    let whole = values.get(..frames * classes).unwrap_or_default();
    ArrayView2::from_shape((frames, classes), whole).unwrap_or_else(|_| ArrayView2::from(&[[]; 0]))
}

/// A frame as a slice; a copy only where its values do not lie side by side.
pub(crate) fn contiguous(row: ArrayView1<'_, f32>) -> Cow<'_, [f32]> {
    match row.to_slice() {
        Some(row) => row.into(),
        None => row.to_vec().into(),
    }
}

/// The best class of a row and its softmax probability.
fn best_class(row: &[f32]) -> (usize, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    for (class, &score) in row.iter().enumerate() {
        if score > best.1 {
            best = (class, score);
        }
    }
    let sum: f32 = row.iter().filter(|s| !s.is_nan()).map(|s| (s - best.1).exp()).sum();
    (best.0, if sum.is_finite() && sum > 0.0 { 1.0 / sum } else { 0.0 })
}

/// `ln softmax` of a row of logits.
pub fn log_softmax(row: &[f32]) -> Vec<f32> {
    let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum = top + row.iter().map(|x| (x - top).exp()).sum::<f32>().ln();
    row.iter().map(|x| x - sum).collect()
}

/// `ln(eᵃ + eᵇ)`.
pub(crate) fn log_add(a: f64, b: f64) -> f64 {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    if high == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Of the searches' tests.
    pub(crate) const CLASSES: usize = 3;

    /// Log-probabilities of random frames.
    pub(crate) fn random_frames(seed: u64, count: usize) -> Vec<f32> {
        let mut state = seed;
        let mut rows = Vec::new();
        for _ in 0..count {
            let mut row: Vec<f64> = (0..CLASSES)
                .map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    (state >> 40) as f64 / (1u64 << 24) as f64 + 0.05
                })
                .collect();
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|x| *x = (*x / sum).ln());
            rows.extend(row.iter().map(|&x| x as f32));
        }
        rows
    }

    /// Probabilities of all outputs, by running through all paths.
    pub(crate) fn outputs(ctc: &[f32], blank: u32) -> std::collections::BTreeMap<Vec<u32>, f64> {
        let count = ctc.len() / CLASSES;
        let mut all = std::collections::BTreeMap::new();
        for path in 0..CLASSES.pow(count as u32) {
            let classes: Vec<u32> =
                (0..count).map(|t| (path / CLASSES.pow(t as u32) % CLASSES) as u32).collect();
            let score: f64 =
                classes.iter().enumerate().map(|(t, &c)| f64::from(ctc[t * CLASSES + c as usize])).sum();
            let mut output = classes.clone();
            output.dedup();
            output.retain(|&c| c != blank);
            *all.entry(output).or_insert(0.0) += score.exp();
        }
        all
    }

    /// Rows that are certain of the given classes.
    fn certain(path: &[usize], classes: usize) -> Vec<f32> {
        path.iter().flat_map(|&best| (0..classes).map(move |c| if c == best { 0.0 } else { -40.0 })).collect()
    }

    #[test]
    fn runs_merge_unless_a_blank_parts_them() {
        let tokens = greedy(by_frame(&certain(&[0, 2, 2, 0, 2, 1, 1, 1, 0], 3), 3), 0);
        let spans: Vec<_> = tokens.iter().map(|t| (t.id, t.start_frame, t.end_frame)).collect();
        assert_eq!(spans, [(2, 1, 3), (2, 4, 5), (1, 5, 8)]);
        assert!(tokens.iter().all(|t| (t.confidence - 1.0).abs() < 1e-6));
    }

    #[test]
    fn confidence_is_the_mean_posterior() {
        // Posteriors of class 1: 0.8 and 0.6.
        let scores = [0.2f32.ln(), 0.8f32.ln(), 0.4f32.ln() + 7.0, 0.6f32.ln() + 7.0];
        let tokens = greedy(by_frame(&scores, 2), 0);
        assert!((tokens[0].confidence - 0.7).abs() < 1e-6);
    }

    #[test]
    fn views_of_any_layout_are_read() {
        let scores = ndarray::arr2(&[[0.0f32, 3.0, 1.0], [2.0, 0.0, 1.0]]);
        let turned = scores.t().as_standard_layout().into_owned();
        assert_eq!(greedy(scores.view(), 0), greedy(turned.t(), 0));
        assert_eq!(by_frame(&[1.0; 5], 0).dim(), (0, 0));
        assert!(greedy(by_frame(&[], 4), 0).is_empty());
    }

    proptest! {
        /// Collapsing any path gives what the definition of CTC's map says.
        #[test]
        fn as_the_definition(path in prop::collection::vec(0usize..4, 0..40)) {
            let mut expected: Vec<usize> = path.clone();
            expected.dedup();
            expected.retain(|&c| c != 3);
            let got: Vec<usize> = greedy(by_frame(&certain(&path, 4), 4), 3).iter().map(|t| t.id as usize).collect();
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn anything_is_decoded(scores in prop::collection::vec(prop::num::f32::ANY, 0..60), classes in 1usize..5) {
            for token in greedy(by_frame(&scores, classes), 0) {
                prop_assert!((0.0..=1.0).contains(&token.confidence) && (token.id as usize) < classes);
            }
        }
    }
}
