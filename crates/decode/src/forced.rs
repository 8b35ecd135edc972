//! Where the tokens of a known transcript were said.

use crate::ctc::contiguous;
use ndarray::ArrayView2;
use std::ops::Range;

/// What infinite scores count.
const LIMIT: f64 = 1e300;

/// The frames of every token on the best path of CTC that reads `target` (Viterbi).
///
/// `scores` are logits or log-probabilities, `[frames, classes]`. Between the ranges are blanks. None where no
/// path of that many frames reads the target: a frame for every token, and a blank between equal neighbours. Scores that are
/// no numbers are as bad as can be.
///
/// # Panics
/// Where a token or the blank is not a class.
pub fn forced_alignment(
    scores: ArrayView2<'_, f32>,
    blank: u32,
    target: &[u32],
) -> Option<Vec<Range<usize>>> {
    let frames = scores.nrows();
    let repeats = target.windows(2).filter(|pair| pair[0] == pair[1]).count();
    if target.len() + repeats > frames {
        return None;
    }
    if target.is_empty() {
        return Some(Vec::new());
    }
    // Blank, token, blank, …, blank.
    let states = 2 * target.len() + 1;
    let token = |s: usize| if s % 2 == 1 { target[s / 2] } else { blank };
    let skips = |s: usize| s % 2 == 1 && s > 1 && token(s) != token(s - 2);
    // How many states back the best way into a state comes from, per frame.
    let mut back = vec![0u8; frames * states];
    let mut best = vec![f64::NEG_INFINITY; states];
    let mut now = best.clone();
    for (t, row) in scores.outer_iter().enumerate() {
        let row = contiguous(row);
        for s in 0..states {
            let (from, step) = match t {
                0 => (if s < 2 { 0.0 } else { f64::NEG_INFINITY }, 0),
                _ => (0..=2.min(s))
                    .filter(|&step| step < 2 || skips(s))
                    .map(|step| (best[s - step], step as u8))
                    .reduce(|a, b| if b.0 > a.0 { b } else { a })
                    .unwrap_or((f64::NEG_INFINITY, 0)),
            };
            // Finite, so that a path through impossible frames is worse than another, and better than none.
            let score = f64::from(row[token(s) as usize]);
            now[s] = from + if score.is_nan() { -LIMIT } else { score.clamp(-LIMIT, LIMIT) };
            back[t * states + s] = step;
        }
        std::mem::swap(&mut best, &mut now);
    }
    let mut state = if best[states - 2] >= best[states - 1] { states - 2 } else { states - 1 };
    let mut ranges = vec![0..0; target.len()];
    for t in (0..frames).rev() {
        if state % 2 == 1 {
            let range = &mut ranges[state / 2];
            *range = t..if range.end == 0 { t + 1 } else { range.end };
        }
        state -= usize::from(back[t * states + state]);
    }
    Some(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{by_frame, greedy};
    use proptest::prelude::*;

    /// The best score of all paths that read the target, by trying every path.
    fn best_of_all(scores: &[f32], classes: usize, target: &[u32]) -> Option<f32> {
        let frames = scores.len() / classes;
        (0..classes.pow(frames as u32))
            .filter_map(|mut code| {
                let path: Vec<usize> = (0..frames)
                    .map(|_| {
                        let class = code % classes;
                        code /= classes;
                        class
                    })
                    .collect();
                let certain: Vec<f32> = path
                    .iter()
                    .flat_map(|&own| (0..classes).map(move |c| if c == own { 0.0 } else { -9.0 }))
                    .collect();
                let read: Vec<u32> =
                    greedy(by_frame(&certain, classes), 0).iter().map(|token| token.id).collect();
                let sum = || path.iter().enumerate().map(|(t, &c)| scores[t * classes + c]).sum::<f32>();
                (read == target).then(sum)
            })
            .reduce(f32::max)
    }

    proptest! {
        #[test]
        fn the_path_is_the_best_of_all(
            scores in prop::collection::vec(-4.0f32..4.0, 0..=15),
            target in prop::collection::vec(1u32..3, 0..4),
        ) {
            let scores = &scores[..scores.len() / 3 * 3];
            let found = forced_alignment(by_frame(scores, 3), 0, &target);
            let best = best_of_all(scores, 3, &target);
            prop_assert_eq!(found.is_some(), best.is_some());
            if let (Some(ranges), Some(best)) = (found, best) {
                let mut path = vec![0usize; scores.len() / 3];
                let mut end = 0;
                for (range, &token) in ranges.iter().zip(&target) {
                    prop_assert!(range.start >= end && range.end > range.start);
                    end = range.end;
                    path[range.clone()].fill(token as usize);
                }
                let score: f32 = path.iter().enumerate().map(|(t, &c)| scores[t * 3 + c]).sum();
                prop_assert!((score - best).abs() < 1e-4, "{} {}", score, best);
            }
        }
    }

    #[test]
    fn scores_that_are_no_numbers_are_the_worst() {
        let mut scores = vec![0.0; 4 * 3];
        (scores[1], scores[4], scores[7], scores[11]) = (f32::NAN, f32::NEG_INFINITY, 1.0, 1.0);
        assert_eq!(forced_alignment(by_frame(&scores, 3), 0, &[1, 2]), Some(vec![2..3, 3..4]));
        // Class 2 can be nowhere, and has to be twice.
        let scores: Vec<f32> =
            (0..5).flat_map(|t| [0.0, if t == 2 { f32::INFINITY } else { 0.0 }, f32::NEG_INFINITY]).collect();
        let found = forced_alignment(by_frame(&scores, 3), 0, &[2, 1, 2]).unwrap();
        assert!(found.iter().all(|range| range.start < range.end) && found[1].contains(&2), "{found:?}");
        assert_eq!(forced_alignment(by_frame(&[], 3), 0, &[1]), None);
        assert_eq!(forced_alignment(by_frame(&scores, 3), 0, &[]), Some(vec![]));
    }
}
