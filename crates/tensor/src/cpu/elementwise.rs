//! Element-wise kernels.

use std::mem::MaybeUninit;

use super::math::{self, fma, normal_cdf};
use super::{simd, written};
use crate::options::dropout;

/// `y = x·Φ(x)`; gives `y` back, written.
pub fn gelu<'a>(y: &'a mut [MaybeUninit<f32>], x: &[f32]) -> &'a mut [f32] {
    assert_eq!(y.len(), x.len());
    gelu_into(y, x);
    // SAFETY: there are as many results as elements, and each was written.
    unsafe { written(y) }
}

simd! {
    /// `y = x·Φ(x)`.
    pub fn gelu_into(y: &mut [MaybeUninit<f32>], x: &[f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            y.write(math::gelu::<FMA>(x));
        }
    }

    /// `x ← x·Φ(x)`, to the bit what [`gelu`] gives.
    pub fn gelu_in_place(x: &mut [f32]) {
        for x in x {
            *x = math::gelu::<FMA>(*x);
        }
    }

    /// `g ← g·(Φ(x) + x·φ(x))`.
    pub fn gelu_backward(g: &mut [f32], x: &[f32]) {
        // 1/√(2π)
        const DENSITY_AT_ZERO: f32 = 0.398_942_3;
        // Below, the slope is less than 10⁻¹⁷ and counts as 0: gradients must not become subnormal numbers, with which a
        // product of matrices takes twenty times as long.
        const FLAT: f32 = -9.0;
        for (g, &x) in g.iter_mut().zip(x) {
            let (cdf, density) = normal_cdf::<FMA>(x);
            let slope = fma::<FMA>(x * DENSITY_AT_ZERO, density, cdf);
            *g *= if x < FLAT { 0.0 } else { slope };
        }
    }

    /// Keeps `x·scale` where the random word of a lane reaches `threshold`, else 0.
    ///
    /// `first` is the lane of the first element.
    pub fn dropout(x: &mut [f32], key: u64, first: u32, threshold: u32, scale: f32) {
        for (lane, x) in (first..).zip(x.iter_mut()) {
            *x = if dropout::bits(key, lane) >= threshold { *x * scale } else { 0.0 };
        }
    }

    /// `y ← y + x`.
    pub fn add(y: &mut [f32], x: &[f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y += x;
        }
    }

    /// `y ← y + a·x`.
    pub fn add_scaled(y: &mut [f32], a: f32, x: &[f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = fma::<FMA>(a, x, *y);
        }
    }

    /// `y ← a·y`.
    pub fn scale(y: &mut [f32], a: f32) {
        for y in y {
            *y *= a;
        }
    }
}
