//! Sums in a fixed order: 32 running sums, whatever the width of the machine's vectors.

use rayon::prelude::*;

use super::elementwise;
use super::math::fma;
use super::simd;

const LANES: usize = 32;

/// `Σ f(xᵢ)`.
#[inline(always)]
pub fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += f(x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane += f(x);
    }
    fold(lanes)
}

/// `xᵢ ← f(xᵢ)`; gives their sum.
#[inline(always)]
pub fn map_sum(x: &mut [f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (chunks, rest) = x.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *x = f(*x);
            *lane += *x;
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *x = f(*x);
        *lane += *x;
    }
    fold(lanes)
}

/// `Σ aᵢ·bᵢ`.
#[inline(always)]
pub fn dot_inline<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane = fma::<FMA>(a, b, *lane);
        }
    }
    for ((lane, &a), &b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane = fma::<FMA>(a, b, *lane);
    }
    fold(lanes)
}

/// The largest element, −∞ where there is none; NaN is passed over.
#[inline(always)]
pub fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = if x > *lane { x } else { *lane };
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = if x > *lane { x } else { *lane };
    }
    lanes.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

#[inline(always)]
fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

simd! {
    /// `Σ aᵢ·bᵢ`.
    pub fn dot(a: &[f32], b: &[f32]) -> f32 {
        dot_inline::<FMA>(a, b)
    }
}

/// Elements of the rows of `width` whose columns one task sums: many rows, so that adding the partial sums is cheap beside
/// making them.
pub fn column_piece(width: usize) -> usize {
    let width = width.max(1);
    width * (4 * super::PIECE / width).max(16)
}

/// Sums of the columns of a row-major matrix.
pub fn column_sums(x: &[f32], width: usize, sums: &mut [f32]) {
    sums.fill(0.0);
    if width == 0 {
        return;
    }
    let piece = column_piece(width);
    let partial = |x: &[f32]| {
        let mut sums = vec![0.0; width];
        x.chunks_exact(width).for_each(|row| elementwise::add(&mut sums, row));
        sums
    };
    let partials: Vec<Vec<f32>> = x.par_chunks(piece).map(partial).collect();
    partials.iter().for_each(|partial| elementwise::add(sums, partial));
}
