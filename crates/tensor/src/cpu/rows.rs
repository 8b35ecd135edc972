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

/// A matrix in tiles of `UNROLL` rows by `WIDENED` columns, one after the other: memory is then read in one go,
/// which the machine foresees.
pub fn tiled(weight: &[u16], width: usize) -> Vec<u16> {
    let mut tiles = Vec::with_capacity(weight.len());
    for block in weight.chunks(UNROLL * width.max(1)) {
        for column in (0..width).step_by(WIDENED) {
            for row in block.chunks_exact(width) {
                tiles.extend_from_slice(&row[column..(column + WIDENED).min(width)]);
            }
        }
    }
    tiles
}

simd! {
    /// [`add_product`] with weights in half precision, [`tiled`]: the same operations on the same values.
    pub fn add_product_of_half(out: &mut [f32], x: &[f32], weight: &[u16], width: usize) {
        let input = weight.len() / width;
        let mut rest = weight;
        let mut first = 0;
        while first < input {
            let count = UNROLL.min(input - first);
            let mut column = 0;
            while column < width {
                let columns = WIDENED.min(width - column);
                let (tile, after) = rest.split_at(count * columns);
                rest = after;
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
                column += columns;
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
