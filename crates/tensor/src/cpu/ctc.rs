//! The forward-backward recursion of CTC in log space.

use super::elementwise;
use super::math::{exp_f64, ln_add};
use super::simd;
use super::softmax::{exp_shifted, exp_sum};

/// Stands for ln 0: finite, so that differences of two are 0 and not NaN.
const LOG_ZERO: f64 = -1e300;

/// One utterance.
#[derive(Debug, Clone, Copy)]
pub struct Utterance<'a> {
    /// Logits of its valid frames, `[T, V]`.
    pub logits: &'a [f32],
    /// Size `V` of the vocabulary.
    pub vocabulary: usize,
    /// Its tokens.
    pub target: &'a [u32],
    /// The blank.
    pub blank: u32,
}

/// Whether a target can be emitted in a number of frames: every token one frame, and a blank between equal neighbours.
pub fn is_possible(target: &[u32], frames: usize) -> bool {
    let repeats = target.windows(2).filter(|pair| pair[0] == pair[1]).count();
    target.len() + repeats <= frames
}

/// `−ln p(target)`, or `None` where the target cannot be emitted; where `grad` is given (`[T, V]`), the gradient with
/// respect to the logits goes there: the softmax minus the probability of being in a state that emits the token.
pub fn loss(utterance: Utterance<'_>, grad: Option<&mut [f32]>) -> Option<f64> {
    let Utterance { logits, vocabulary, target, blank } = utterance;
    let frames = logits.len() / vocabulary;
    if !is_possible(target, frames) {
        return None;
    }
    if frames == 0 {
        return Some(0.0);
    }
    let states = 2 * target.len() + 1;
    let token = |s: usize| (if s % 2 == 1 { target[s / 2] } else { blank }) as usize;
    // 0 where a state may be entered from two before it, else ln 0.
    let skip: Vec<f64> = (0..states)
        .map(|s| if s % 2 == 1 && s > 1 && token(s) != token(s - 2) { 0.0 } else { LOG_ZERO })
        .collect();
    // The largest logit of each frame, and the sum of the exponentials relative to it.
    let sums: Vec<(f32, f32)> = logits.chunks_exact(vocabulary).map(exp_sum).collect();
    let emit = |t: usize, into: &mut [f64]| {
        let logits = &logits[t * vocabulary..][..vocabulary];
        let log_sum = f64::from(sums[t].0) + f64::from(sums[t].1).ln();
        for (s, into) in into.iter_mut().enumerate() {
            // NaN passes through a clamp.
            *into = (f64::from(logits[token(s)]) - log_sum).clamp(-1e200, 0.0);
        }
    };

    // Two states of ln 0 before the first, so that "two before" always exists.
    let width = states + 2;
    let mut alphas = vec![LOG_ZERO; frames * width];
    let mut emitted = vec![0.0; states];
    emit(0, &mut emitted);
    alphas[2..width.min(4)].copy_from_slice(&emitted[..states.min(2)]);
    for t in 1..frames {
        emit(t, &mut emitted);
        let (before, now) = alphas[(t - 1) * width..(t + 1) * width].split_at_mut(width);
        advance(&mut now[2..], before, &skip, &emitted);
    }
    let last = &alphas[(frames - 1) * width + 2..];
    let score = match states {
        1 => last[0],
        _ => ln_add::<true>(last[states - 1], last[states - 2], LOG_ZERO),
    };
    // A chain of zero probabilities is as impossible as one that is too long.
    if score < -1e150 {
        return None;
    }
    if let Some(grad) = grad {
        // beta, reversed in states and without the emission of its own frame, obeys the recursion of alpha.
        let skip_back: Vec<f64> =
            (0..states).rev().map(|s| if s + 2 < states { skip[s + 2] } else { LOG_ZERO }).collect();
        let mut beta = vec![LOG_ZERO; width];
        beta[2..width.min(4)].fill(0.0);
        let mut entered = vec![LOG_ZERO; width];
        let mut occupied = vec![0.0; states];
        let none = vec![0.0; states];
        for t in (0..frames).rev() {
            if t + 1 < frames {
                emit(t + 1, &mut emitted);
                for (s, entered) in entered[2..].iter_mut().enumerate() {
                    *entered = beta[s + 2] + emitted[states - 1 - s];
                }
                advance(&mut beta[2..], &entered, &skip_back, &none);
            }
            let alpha = &alphas[t * width + 2..][..states];
            for (s, occupied) in occupied.iter_mut().enumerate() {
                *occupied = alpha[s] + beta[2 + states - 1 - s] - score;
            }
            let total = exponentials(&mut occupied);
            let row = &mut grad[t * vocabulary..][..vocabulary];
            row.copy_from_slice(&logits[t * vocabulary..][..vocabulary]);
            exp_shifted(row, sums[t].0);
            elementwise::scale(row, 1.0 / sums[t].1);
            for (s, occupied) in occupied.iter().enumerate() {
                row[token(s)] -= (occupied / total) as f32;
            }
        }
    }
    Some(-score)
}

simd! {
    /// `now[s] ← ln(e^before[s+2] + e^before[s+1] + e^(before[s] + skip[s])) + emitted[s]`, where `before` has two states more.
    pub fn advance(now: &mut [f64], before: &[f64], skip: &[f64], emitted: &[f64]) {
        let n = now.len();
        let (stay, step, leap) = (&before[2..][..n], &before[1..][..n], &before[..n]);
        let (skip, emitted) = (&skip[..n], &emitted[..n]);
        for s in 0..n {
            now[s] = ln_add::<FMA>(stay[s], step[s], leap[s] + skip[s]) + emitted[s];
        }
    }

    /// `x ← eˣ` for logarithms of probabilities; gives the sum.
    pub fn exponentials(x: &mut [f64]) -> f64 {
        for x in x.iter_mut() {
            // Rounding can lift a probability of 1 a little above.
            *x = exp_f64::<FMA>(x.min(0.0));
        }
        x.iter().sum()
    }
}

/// Multiplies the gradients of each utterance by that of its loss.
pub fn scale_rows(grad: &mut [f32], losses: &[f32]) {
    if let Some(len) = grad.len().checked_div(losses.len()).filter(|&len| len > 0) {
        grad.chunks_exact_mut(len).zip(losses).for_each(|(grad, &loss)| elementwise::scale(grad, loss));
    }
}
