//! Softmax of a row, its logarithm, and their gradients.

use super::math::exp;
use super::reduce::{dot_inline, max, sum};
use super::simd;

simd! {
    /// `x ← exp(x) / Σ exp(x)`; gives `ln Σ exp(x)`. An empty row or one of −∞ becomes 0, with −∞.
    pub fn softmax(x: &mut [f32]) -> f32 {
        let top = max(x);
        if top == f32::NEG_INFINITY && !x.iter().any(|x| x.is_nan()) {
            x.fill(0.0);
            return f32::NEG_INFINITY;
        }
        for x in x.iter_mut() {
            *x = exp::<FMA>(*x - top);
        }
        let total = sum(x, |x| x);
        let scale = 1.0 / total;
        for x in x.iter_mut() {
            *x *= scale;
        }
        top + total.ln()
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

    /// `y ← x − log_sum_exp`.
    pub fn log_softmax(y: &mut [f32], x: &[f32], log_sum_exp: f32) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = x - log_sum_exp;
        }
    }

    /// `g ← g − exp(y)·Σ g`, the gradient of log-softmax with result `y`.
    pub fn log_softmax_backward(g: &mut [f32], y: &[f32]) {
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
