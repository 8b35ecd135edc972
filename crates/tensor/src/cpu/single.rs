//! Matrix products in single precision, each row of which is what it is without the others.
//!
//! The sum of element `(i, j)` is cut into equal blocks of at most [`BLOCK`] terms: inside a block the terms are added one
//! after the other to 0 (with fused multiply-add where the machine has it), and the sums of the blocks are added in
//! order, the first to what was there before. Neither the number of rows and columns nor that of the threads has a part in this.
//!
//! The crate `gemm` computes the blocks. It cuts and orders sums by the size of the whole product in four cases, each of which is kept
//! from it here:
//!
//! | gemm's case | instead |
//! |---|---|
//! | more terms than a block: how it cuts them depends on rows, columns and the machine's caches | blocks are cut here |
//! | one row: the order of sums is that of vectors | [`row`] where the matrix is dense, else the row twice |
//! | one column: likewise | the transposed product, with the column twice |
//! | up to 256 elements whose terms lie side by side in both operands: many running sums | the left operand is copied in another order |
//!
//! One or two terms are gemm's fifth case; it multiplies and adds without fusing the two, whatever the number of rows.

use gemm::Parallelism;

use super::view::{Threads, View, ViewMut};
use super::{elementwise, rows};

/// Most terms of a block. `gemm` cuts none that is as short as this: its own blocks have 512 terms or more.
pub const BLOCK: usize = 512;

/// Up to so many elements `gemm` may compute with several running sums each.
const FEW: usize = 256;

/// `out ← alpha·a·b`, or `out ← out + alpha·a·b` where `accumulate`. No size is 0.
pub fn gemm(mut out: ViewMut<'_>, accumulate: bool, alpha: f32, [a, b]: [View<'_>; 2], threads: Threads) {
    let ([rows, depth], [_, columns]) = (a.size(), b.size());
    if rows > 1 && columns > 1 {
        if rows * columns > FEW || !(a.has_terms_in_row() && b.t().has_terms_in_row()) {
            return blocks(out, accumulate, alpha, [a, b], threads);
        }
        let copy: Vec<f32> = (0..depth).flat_map(|p| (0..rows).map(move |i| a.at(i, p))).collect();
        return blocks(out, accumulate, alpha, [View::new(&copy, depth, rows, rows).t(), b], threads);
    }
    if rows == 1
        && depth > 2
        && fuses_as_gemm()
        && let (Some(x), Some(matrix)) = (a.row(0), b.together())
    {
        return row(out, accumulate, alpha, &x[..depth], matrix);
    }
    // A vector times a matrix; a column is the transpose of one.
    let [vector, matrix] = if rows == 1 { [a, b] } else { [b.t(), a.t()] };
    let twice: Vec<f32> = (0..depth).flat_map(|p| [vector.at(0, p); 2]).collect();
    let len = matrix.size()[1];
    // Of a matrix with one column, that column twice as well.
    let matrix = if len == 1 { matrix.repeated() } else { matrix };
    let width = len.max(2);
    let mut both = vec![0.0; 2 * width];
    if accumulate {
        (0..rows).for_each(|i| both[i * columns..][..columns].copy_from_slice(out.row(i)));
    }
    let vector = View::new(&twice, depth, 2, 2).t();
    blocks(ViewMut::new(&mut both, 2, width, width), accumulate, alpha, [vector, matrix], threads);
    (0..rows).for_each(|i| out.set(i, 0, &both[i * columns..][..columns], 1.0));
}

/// One row times a dense matrix, which is read once, in the order in which it lies.
fn row(mut out: ViewMut<'_>, accumulate: bool, alpha: f32, x: &[f32], matrix: &[f32]) {
    let columns = matrix.len() / x.len();
    let step = block(x.len());
    let mut sums = vec![0.0; columns];
    for (i, (x, matrix)) in x.chunks(step).zip(matrix.chunks(step * columns)).enumerate() {
        sums.fill(0.0);
        rows::add_product(&mut sums, x, matrix, columns);
        if accumulate || i > 0 {
            elementwise::add_scaled(out.row(0), alpha, &sums);
        } else {
            out.set(0, 0, &sums, alpha);
        }
    }
}

/// Whether our kernels and those of `gemm` agree on whether to fuse multiplications and additions. They do not where `AURICLE_SIMD`
/// limits ours.
fn fuses_as_gemm() -> bool {
    #[cfg(target_arch = "x86_64")]
    return super::level() != super::Level::Baseline || !is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    cfg!(target_arch = "aarch64")
}

/// Terms of a block of a sum of `depth`.
fn block(depth: usize) -> usize {
    depth.div_ceil(depth.div_ceil(BLOCK))
}

/// The blocks of terms one after the other.
fn blocks(mut out: ViewMut<'_>, accumulate: bool, alpha: f32, [a, b]: [View<'_>; 2], threads: Threads) {
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::All => Parallelism::Rayon(0),
    };
    let [rows, depth] = a.size();
    let columns = b.size()[1];
    let step = block(depth);
    for first in (0..depth).step_by(step) {
        let terms = first..(first + step).min(depth);
        let count = terms.len();
        let ((a, [a_row, a_column]), (b, [b_column, b_row])) =
            (a.terms(&terms).strided(), b.t().terms(&terms).strided());
        let (out, out_row) = out.strided();
        // SAFETY: the constructors of the views checked that every element lies in their memory; `out` is borrowed
        // mutably, so it overlaps neither `a` nor `b`, and its rows do not overlap (columns ≤ row_stride).
        unsafe {
            gemm::gemm(
                rows,
                columns,
                count,
                out,
                1,
                out_row as isize,
                accumulate || first > 0,
                a.as_ptr(),
                a_column as isize,
                a_row as isize,
                b.as_ptr(),
                b_column as isize,
                b_row as isize,
                1.0,
                alpha,
                false,
                false,
                false,
                parallelism,
            );
        }
    }
}
