//! Matrix products on strided views.

use super::view::{Threads, View, ViewMut};
use super::{bf16, single};
use crate::options::Products;

/// `a·b` in new memory.
pub fn product(a: View<'_>, b: View<'_>, products: Products, threads: Threads) -> Vec<f32> {
    let ([rows, depth], [_, columns]) = (a.size(), b.size());
    if depth == 0 {
        return vec![0.0; rows * columns];
    }
    let mut data: Vec<f32> = Vec::with_capacity(rows * columns);
    let out = ViewMut::unwritten(&mut data.spare_capacity_mut()[..rows * columns], rows, columns);
    gemm(out, false, 1.0, a, b, products, threads);
    // SAFETY: a product that does not accumulate writes every element, and reads none of them before.
    unsafe { data.set_len(rows * columns) };
    data
}

/// `out ← alpha·a·b`, or `out ← out + alpha·a·b` where `accumulate`.
///
/// A row of the result is the same bits whatever the number of rows and of threads.
pub fn gemm(
    mut out: ViewMut<'_>,
    accumulate: bool,
    alpha: f32,
    a: View<'_>,
    b: View<'_>,
    products: Products,
    threads: Threads,
) {
    let ([rows, depth], [b_rows, columns]) = (a.size(), b.size());
    assert!(
        out.size() == [rows, columns] && depth == b_rows,
        "gemm: {:?} from [{rows}, {depth}] × [{b_rows}, {columns}]",
        out.size()
    );
    if rows == 0 || columns == 0 {
        return;
    }
    if depth == 0 {
        if !accumulate {
            (0..rows).for_each(|i| out.row(i).fill(0.0));
        }
        return;
    }
    match products {
        Products::Single => single::gemm(out, accumulate, alpha, [a, b], threads),
        Products::Bf16 => bf16::gemm(out, accumulate, alpha, [a, b], threads),
    }
}
