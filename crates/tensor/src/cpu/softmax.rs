//! Softmax of a row, its logarithm, and their gradients.

use std::mem::MaybeUninit;

use super::elementwise::scale;
use super::math::exp;
use super::reduce::{dot_inline, map_sum, max, sum};
use super::{simd, written};

/// `x ← exp(x) / Σ exp(x)`; gives `ln Σ exp(x)`. An empty row or one of −∞ becomes 0, with −∞.
pub fn softmax(x: &mut [f32]) -> f32 {
    let (top, total) = exponentials(x);
    if total != 0.0 {
        scale(x, 1.0 / total);
    }
    top + total.ln()
}

/// Softmax of the rows of `x`; gives `y` back, written.
pub fn softmax_rows<'a>(y: &'a mut [MaybeUninit<f32>], x: &[f32], width: usize) -> &'a mut [f32] {
    assert!(y.len() == x.len() && x.len().is_multiple_of(width.max(1)));
    let width = width.max(1);
    for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
        softmax(y.write_copy_of_slice(x));
    }
    // SAFETY: `y` is whole rows, and each was written.
    unsafe { written(y) }
}

/// Softmax of the first `length(i)` elements of row `i` of `x`, 0 behind them; gives `y` back, written.
pub fn masked_softmax_rows<'a>(
    y: &'a mut [MaybeUninit<f32>],
    x: &[f32],
    width: usize,
    length: impl Fn(usize) -> usize,
) -> &'a mut [f32] {
    assert!(y.len() == x.len() && x.len().is_multiple_of(width.max(1)));
    let width = width.max(1);
    for (i, (y, x)) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)).enumerate() {
        let length = length(i).min(width);
        let (seen, hidden) = y.split_at_mut(length);
        softmax(seen.write_copy_of_slice(&x[..length]));
        hidden.fill(MaybeUninit::new(0.0));
    }
    // SAFETY: `y` is whole rows, and each was written.
    unsafe { written(y) }
}

/// Logarithm of the softmax of the rows of `x`; gives `y` back, written.
pub fn log_softmax_rows<'a>(y: &'a mut [MaybeUninit<f32>], x: &[f32], width: usize) -> &'a mut [f32] {
    assert!(y.len() == x.len() && x.len().is_multiple_of(width.max(1)));
    let width = width.max(1);
    for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
        log_softmax(y, x, log_sum_exp(x));
    }
    // SAFETY: `y` is whole rows, of which each element was written.
    unsafe { written(y) }
}

simd! {
    /// `x ← exp(x − max x)`; gives the largest element and the sum. An empty row or one of −∞ becomes 0, with −∞ and 0.
    pub fn exponentials(x: &mut [f32]) -> (f32, f32) {
        let top = max(x);
        if top == f32::NEG_INFINITY && !x.iter().any(|x| x.is_nan()) {
            x.fill(0.0);
            return (top, 0.0);
        }
        (top, map_sum(x, |x| exp::<FMA>(x - top)))
    }

    /// The largest element and `Σ exp(x − largest)`.
    pub fn exp_sum(x: &[f32]) -> (f32, f32) {
        let top = max(x);
        (top, sum(x, |x| exp::<FMA>(x - top)))
    }

    /// `ln Σ exp(x)`.
    pub fn log_sum_exp(x: &[f32]) -> f32 {
        let top = max(x);
        if top == f32::NEG_INFINITY && !x.iter().any(|x| x.is_nan()) {
            return f32::NEG_INFINITY;
        }
        top + sum(x, |x| exp::<FMA>(x - top)).ln()
    }

    /// `g ← y·(g − Σ y·g)·scale`, the gradient of `softmax(x·scale)` with result `y`.
    pub fn softmax_backward(g: &mut [f32], y: &[f32], scale: f32) {
        let mean = dot_inline::<FMA>(y, g);
        for (g, &y) in g.iter_mut().zip(y) {
            *g = (*g - mean) * y * scale;
        }
    }

    /// `y ← x − log_sum_exp`. A row of −∞ stays one.
    pub fn log_softmax(y: &mut [MaybeUninit<f32>], x: &[f32], log_sum_exp: f32) {
        // −∞ − (−∞) would be NaN.
        let log_sum_exp = if log_sum_exp == f32::NEG_INFINITY { 0.0 } else { log_sum_exp };
        for (y, &x) in y.iter_mut().zip(x) {
            y.write(x - log_sum_exp);
        }
    }

    /// `g ← g − exp(y)·Σ g`, the gradient of log-softmax with result `y`; 0 where `y` is a row of −∞.
    pub fn log_softmax_backward(g: &mut [f32], y: &[f32]) {
        if y.iter().all(|&y| y == f32::NEG_INFINITY) {
            return g.fill(0.0);
        }
        let total = sum(g, |g| g);
        for (g, &y) in g.iter_mut().zip(y) {
            *g -= exp::<FMA>(y) * total;
        }
    }

    /// `x ← exp(x − shift)`.
    pub fn exp_shifted(x: &mut [f32], shift: f32) {
        for x in x {
            *x = exp::<FMA>(*x - shift);
        }
    }
}
