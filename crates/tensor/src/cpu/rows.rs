//! Products of a few rows with a matrix: bound by reading the matrix, which is read once.

use super::math::fma;
use super::simd;

/// Rows of the matrix that are added at once: each saves a pass over the result.
const UNROLL: usize = 4;

/// Columns of half-precision weights that are widened at once.
const WIDENED: usize = 64;

/// The value of half-precision bits that are no infinity and no NaN; a loop over it is vectorised.
#[inline(always)]
pub fn half_value(bits: u16) -> f32 {
    // The exponent's bias is 127 in single and 15 in half precision.
    let scale = f32::from_bits((127 + 127 - 15) << 23);
    let magnitude = f32::from_bits((u32::from(bits) & 0x7fff) << 13) * scale;
    f32::from_bits(magnitude.to_bits() | (u32::from(bits) & 0x8000) << 16)
}

/// A matrix in blocks of `WIDENED` columns, all rows of a block one after the other: memory is then read in one
/// go, which the machine foresees, while the sums of a block stay in registers.
pub fn tiled(weight: &[u16], width: usize) -> Vec<u16> {
    let mut blocks = Vec::with_capacity(weight.len());
    for column in (0..width).step_by(WIDENED) {
        for row in weight.chunks_exact(width) {
            blocks.extend_from_slice(&row[column..(column + WIDENED).min(width)]);
        }
    }
    blocks
}

/// [`add_product`] with weights in half precision, [`tiled`]: the same operations on the same values.
pub fn add_product_of_half(out: &mut [f32], x: &[f32], weight: &[u16], width: usize) {
    let input = weight.len() / width;
    for column in (0..width).step_by(WIDENED) {
        let columns = WIDENED.min(width - column);
        let block = &weight[column * input..][..columns * input];
        #[cfg(target_arch = "x86_64")]
        if columns == WIDENED && super::level() == super::Level::Avx512 {
            // SAFETY: the level was measured to be available on this machine.
            unsafe { avx512::add_block_of_half(out, x, block, column, width) };
            continue;
        }
        add_block_of_half(out, x, block, column, width);
    }
}

/// [`add_block_of_half`] for whole blocks, by the conversion that the machine has.
#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::WIDENED;
    use std::arch::x86_64::{
        _mm256_loadu_si256, _mm512_cvtph_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps,
        _mm512_setzero_ps, _mm512_storeu_ps,
    };

    const LANES: usize = 16;
    const VECTORS: usize = WIDENED / LANES;

    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
    pub fn add_block_of_half(out: &mut [f32], x: &[f32], block: &[u16], column: usize, width: usize) {
        let input = block.len() / WIDENED;
        let mut out = out.chunks_mut(4 * width);
        let mut x = x.chunks(4 * input.max(1));
        while let (Some(out), Some(x)) = (out.next(), x.next()) {
            match out.len() / width {
                1 => add::<1>(out, x, block, column, width),
                2 => add::<2>(out, x, block, column, width),
                3 => add::<3>(out, x, block, column, width),
                _ => add::<4>(out, x, block, column, width),
            }
        }
    }

    /// `R` rows, whose sums stay in registers.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
    fn add<const R: usize>(out: &mut [f32], x: &[f32], block: &[u16], column: usize, width: usize) {
        let input = block.len() / WIDENED;
        let (mut sums, mut rows) = ([[_mm512_setzero_ps(); VECTORS]; R], [&x[..0]; R]);
        for (r, (sums, row)) in sums.iter_mut().zip(&mut rows).enumerate() {
            *row = &x[r * input..][..input];
            for (sum, out) in sums.iter_mut().zip(out[r * width + column..][..WIDENED].chunks_exact(LANES)) {
                // SAFETY: `LANES` values are read, as many as `out` has.
                *sum = unsafe { _mm512_loadu_ps(out.as_ptr()) };
            }
        }
        for (k, weights) in block.chunks_exact(WIDENED).enumerate() {
            let mut wide = [_mm512_setzero_ps(); VECTORS];
            for (wide, half) in wide.iter_mut().zip(weights.chunks_exact(LANES)) {
                // SAFETY: `LANES` values of 16 bits are read, as many as `half` has.
                *wide = _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(half.as_ptr().cast()) });
            }
            for (sums, row) in sums.iter_mut().zip(&rows) {
                let a = _mm512_set1_ps(row[k]);
                for (sum, &w) in sums.iter_mut().zip(&wide) {
                    *sum = _mm512_fmadd_ps(a, w, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (sum, out) in sums.iter().zip(out[r * width + column..][..WIDENED].chunks_exact_mut(LANES)) {
                // SAFETY: `LANES` values are written, as many as `out` has.
                unsafe { _mm512_storeu_ps(out.as_mut_ptr(), *sum) };
            }
        }
    }
}

simd! {
    /// A block of [`add_product_of_half`]: the columns from `column` on.
    pub fn add_block_of_half(out: &mut [f32], x: &[f32], block: &[u16], column: usize, width: usize) {
        let columns = WIDENED.min(width - column);
        let input = block.len() / columns;
        let mut first = 0;
        for tile in block.chunks(UNROLL * columns) {
            let count = tile.len() / columns;
            let mut wide = [[0f32; WIDENED]; UNROLL];
            for (wide, row) in wide.iter_mut().zip(tile.chunks_exact(columns)) {
                for (w, &bits) in wide.iter_mut().zip(row) {
                    *w = half_value(bits);
                }
            }
            for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(input)) {
                let out = &mut out[column..][..columns];
                let x = &x[first..][..count];
                if let (&[a, b, c, d], [w0, w1, w2, w3]) = (x, &wide) {
                    for ((((y, &w0), &w1), &w2), &w3) in out.iter_mut().zip(w0).zip(w1).zip(w2).zip(w3) {
                        *y = fma::<FMA>(d, w3, fma::<FMA>(c, w2, fma::<FMA>(b, w1, fma::<FMA>(a, w0, *y))));
                    }
                } else {
                    for (&a, w) in x.iter().zip(&wide) {
                        for (y, &w) in out.iter_mut().zip(w) {
                            *y = fma::<FMA>(a, w, *y);
                        }
                    }
                }
            }
            first += count;
        }
    }

    /// `out += x·weight` with `weight [x.len()/rows, width]`; per row in a fixed order.
    pub fn add_product(out: &mut [f32], x: &[f32], weight: &[f32], width: usize) {
        let input = weight.len() / width;
        let mut first = 0;
        while first < input {
            let count = UNROLL.min(input - first);
            let block = &weight[first * width..][..count * width];
            for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(input)) {
                let x = &x[first..][..count];
                if let &[a, b, c, d] = x {
                    let (w0, rest) = block.split_at(width);
                    let (w1, rest) = rest.split_at(width);
                    let (w2, w3) = rest.split_at(width);
                    for ((((y, &w0), &w1), &w2), &w3) in out.iter_mut().zip(w0).zip(w1).zip(w2).zip(w3) {
                        *y = fma::<FMA>(d, w3, fma::<FMA>(c, w2, fma::<FMA>(b, w1, fma::<FMA>(a, w0, *y))));
                    }
                } else {
                    for (&a, w) in x.iter().zip(block.chunks_exact(width)) {
                        for (y, &w) in out.iter_mut().zip(w) {
                            *y = fma::<FMA>(a, w, *y);
                        }
                    }
                }
            }
            first += count;
        }
    }
}
