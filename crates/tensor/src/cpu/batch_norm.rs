//! Normalisation of channels over the frames of a batch.

use super::math::fma;
use super::simd;

/// Rows whose sums are added up in single precision before they go into double precision.
pub const ROWS: usize = 32;

simd! {
    /// Adds the rows of `x` (negative values as 0 where `relu`) and their squares to the sums.
    pub fn moments(x: &[f32], relu: bool, sum: &mut [f32], squares: &mut [f32]) {
        let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
        let width = sum.len();
        let squares = &mut squares[..width];
        for row in x.chunks_exact(width) {
            for c in 0..width {
                // NaN must not become 0.
                let v = if row[c] < floor { floor } else { row[c] };
                sum[c] += v;
                squares[c] = fma::<FMA>(v, v, squares[c]);
            }
        }
    }

    /// `y = (relu(x) − mean)·rate`.
    pub fn normalise(y: &mut [f32], x: &[f32], relu: bool, mean: &[f32], rate: &[f32]) {
        let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
        let width = mean.len();
        let rate = &rate[..width];
        for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            for c in 0..width {
                let v = if x[c] < floor { floor } else { x[c] };
                y[c] = (v - mean[c]) * rate[c];
            }
        }
    }

    /// `y = (relu(x) − mean)·rate + scale·residual`.
    pub fn normalise_add(
        y: &mut [f32],
        x: &[f32],
        residual: &[f32],
        relu: bool,
        mean: &[f32],
        rate: &[f32],
        scale: f32,
    ) {
        let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
        let width = mean.len();
        let rate = &rate[..width];
        let rows = y.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(residual.chunks_exact(width));
        for ((y, x), residual) in rows {
            for c in 0..width {
                let v = if x[c] < floor { floor } else { x[c] };
                y[c] = fma::<FMA>(scale, residual[c], (v - mean[c]) * rate[c]);
            }
        }
    }

    /// Adds the rows of the gradient `g`, and of its product with `relu(x)`, to the sums.
    pub fn gradient_sums(g: &[f32], x: &[f32], relu: bool, sum: &mut [f32], products: &mut [f32]) {
        let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
        let width = sum.len();
        let products = &mut products[..width];
        for (g, x) in g.chunks_exact(width).zip(x.chunks_exact(width)) {
            for c in 0..width {
                let v = if x[c] < floor { floor } else { x[c] };
                sum[c] += g[c];
                products[c] = fma::<FMA>(g[c], v, products[c]);
            }
        }
    }

    /// `g ← (g·rate + slope·relu(x) + shift)`, 0 where the ReLU is.
    pub fn gradient(g: &mut [f32], x: &[f32], relu: bool, rate: &[f32], slope: &[f32], shift: &[f32]) {
        let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
        let width = rate.len();
        let (slope, shift) = (&slope[..width], &shift[..width]);
        for (g, x) in g.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            for c in 0..width {
                let v = fma::<FMA>(slope[c], x[c], fma::<FMA>(g[c], rate[c], shift[c]));
                g[c] = if x[c] > floor { v } else { 0.0 };
            }
        }
    }
}
