//! Layer norm and RMS norm, a row at a time.

use std::mem::MaybeUninit;

use super::math::fma;
use super::reduce::{dot_inline, sum};
use super::{simd, written};

/// Layer norm of the rows of `x`; gives `y` back, written.
pub fn layer_norm<'a>(
    y: &'a mut [MaybeUninit<f32>],
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    epsilon: f32,
) -> &'a mut [f32] {
    let width = gamma.len();
    assert!(y.len() == x.len() && x.len().is_multiple_of(width) && beta.len() == width);
    layer_norm_into(y, x, gamma, beta, epsilon);
    // SAFETY: `y` is whole rows, of which each element was written.
    unsafe { written(y) }
}

/// [`layer_norm`] over what `y` holds.
pub fn layer_norm_over(y: &mut [f32], x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) {
    // SAFETY: the same elements; the kernel writes nothing but numbers.
    let y = unsafe { &mut *(std::ptr::from_mut(y) as *mut [MaybeUninit<f32>]) };
    layer_norm_into(y, x, gamma, beta, epsilon);
}

/// RMS norm of the rows of `x`; gives `y` back, written.
pub fn rms_norm<'a>(y: &'a mut [MaybeUninit<f32>], x: &[f32], gamma: &[f32], epsilon: f32) -> &'a mut [f32] {
    assert!(y.len() == x.len() && x.len().is_multiple_of(gamma.len()));
    rms_norm_into(y, x, gamma, epsilon);
    // SAFETY: `y` is whole rows, of which each element was written.
    unsafe { written(y) }
}

simd! {
    /// [`layer_norm`]
    pub fn layer_norm_into(y: &mut [MaybeUninit<f32>], x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) {
        let width = gamma.len();
        for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let (mean, rate) = moments(x, epsilon);
            for (((y, &x), &gamma), &beta) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
                y.write(fma::<FMA>((x - mean) * rate, gamma, beta));
            }
        }
    }

    /// Gradients of layer norm: `g` becomes that of `x`; those of `gamma` and `beta` are added up.
    pub fn layer_norm_backward(
        g: &mut [f32], x: &[f32], gamma: &[f32], gamma_grad: &mut [f32], beta_grad: &mut [f32], epsilon: f32,
    ) {
        let width = gamma.len();
        let share = 1.0 / width as f32;
        for (g, x) in g.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let (mean, rate) = moments(x, epsilon);
            for ((((g, &x), &gamma), gamma_grad), beta_grad) in
                g.iter_mut().zip(x).zip(gamma).zip(gamma_grad.iter_mut()).zip(beta_grad.iter_mut())
            {
                *gamma_grad = fma::<FMA>(*g, (x - mean) * rate, *gamma_grad);
                *beta_grad += *g;
                *g *= gamma;
            }
            let level = sum(g, |g| g) * share;
            // Σ g·(x − mean)·rate, without a buffer for the normalised row.
            let slope = (dot_inline::<FMA>(g, x) - mean * level * width as f32) * rate * share;
            for (g, &x) in g.iter_mut().zip(x) {
                *g = rate * (*g - level - (x - mean) * rate * slope);
            }
        }
    }

    /// [`rms_norm`]
    pub fn rms_norm_into(y: &mut [MaybeUninit<f32>], x: &[f32], gamma: &[f32], epsilon: f32) {
        let width = gamma.len();
        for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let rate = 1.0 / (sum(x, |x| x * x) / width as f32 + epsilon).sqrt();
            for ((y, &x), &gamma) in y.iter_mut().zip(x).zip(gamma) {
                y.write(x * rate * gamma);
            }
        }
    }

    /// Gradients of RMS norm: `g` becomes that of `x`; that of `gamma` is added up.
    pub fn rms_norm_backward(g: &mut [f32], x: &[f32], gamma: &[f32], gamma_grad: &mut [f32], epsilon: f32) {
        let width = gamma.len();
        for (g, x) in g.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let rate = 1.0 / (sum(x, |x| x * x) / width as f32 + epsilon).sqrt();
            for (((g, &x), &gamma), gamma_grad) in g.iter_mut().zip(x).zip(gamma).zip(gamma_grad.iter_mut()) {
                *gamma_grad = fma::<FMA>(*g, x * rate, *gamma_grad);
                *g *= gamma;
            }
            let slope = dot_inline::<FMA>(g, x) * rate * rate / width as f32;
            for (g, &x) in g.iter_mut().zip(x) {
                *g = rate * (*g - x * slope);
            }
        }
    }
}

/// The mean of a row and the inverse of its standard deviation, in two passes.
#[inline(always)]
fn moments(x: &[f32], epsilon: f32) -> (f32, f32) {
    let share = 1.0 / x.len() as f32;
    let mean = sum(x, |x| x) * share;
    let variance = sum(x, |x| (x - mean) * (x - mean)) * share;
    (mean, 1.0 / (variance + epsilon).sqrt())
}
