//! Products of a few rows with a matrix: bound by reading the matrix, which is read once.

use super::math::fma;
use super::simd;

/// Rows of the matrix that are added at once: each saves a pass over the result.
const UNROLL: usize = 4;

simd! {
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
