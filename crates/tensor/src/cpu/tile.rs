//! Matrix products with few columns and a reduction over two nested strides, without packing.
//!
//! Also for operands that were packed before (`bf16`).
//!
//! A general product first copies its operands into packed panels. For the overlapping windows of a
//! convolution with few channels per group that copy costs as much as the product, so here both
//! operands are read where they lie: the left one element by element (broadcast), the right one in vectors.

use super::math::fma;
#[cfg(target_arch = "x86_64")]
use super::{Level, level};

/// Columns of a tile: the right operand's rows are read in multiples of [`UNIT`] up to this.
pub const COLUMNS: usize = 48;

/// Columns are taken in multiples of this.
pub const UNIT: usize = 16;

/// Rows of a tile.
pub const ROWS: usize = 8;

/// The result of a tile.
pub type Tile = [[f32; COLUMNS]; ROWS];

/// Where the left operand's elements lie: element `(i, (o, p))` at `start + i·row + o·outer + p·inner`.
#[derive(Debug, Clone, Copy)]
pub struct Left<'a> {
    /// The memory.
    pub data: &'a [f32],
    /// Index of the first element.
    pub start: usize,
    /// Distance of rows.
    pub row: usize,
    /// Distance of outer steps of the reduction.
    pub outer: usize,
    /// Distance of inner steps of the reduction.
    pub inner: usize,
}

/// Where the right operand's elements lie: element `((o, p), j)` at `start + o·outer + p·inner + j`.
#[derive(Debug, Clone, Copy)]
pub struct Right<'a> {
    /// The memory.
    pub data: &'a [f32],
    /// Index of the first element.
    pub start: usize,
    /// Distance of outer steps of the reduction.
    pub outer: usize,
    /// Distance of inner steps of the reduction.
    pub inner: usize,
}

/// `tile[i][j] ← Σ_{o < outer, p < inner} left(i, (o, p)) · right((o, p), j)` for `i < rows`, `j < columns`.
///
/// # Panics
/// Where `columns` is no multiple of [`UNIT`] or exceeds [`COLUMNS`], `rows` exceeds [`ROWS`], or an operand ends early.
pub fn tile(
    out: &mut Tile,
    rows: usize,
    columns: usize,
    [outer, inner]: [usize; 2],
    left: Left<'_>,
    right: Right<'_>,
) {
    assert!(rows <= ROWS && columns <= COLUMNS && columns.is_multiple_of(UNIT), "tile {rows} × {columns}");
    if rows == 0 || columns == 0 || outer == 0 || inner == 0 {
        return *out = [[0.0; COLUMNS]; ROWS];
    }
    let (last_outer, last_inner) = (outer - 1, inner - 1);
    let left_end = left.start + (rows - 1) * left.row + last_outer * left.outer + last_inner * left.inner + 1;
    let right_end = right.start + last_outer * right.outer + last_inner * right.inner + columns;
    assert!(left_end <= left.data.len() && right_end <= right.data.len(), "an operand of a tile ends early");
    #[cfg(target_arch = "x86_64")]
    {
        let vectors = columns / UNIT;
        // SAFETY: the machine has the instructions (measured), and the last element read of either operand lies
        // inside (asserted above); all other indices are smaller.
        unsafe {
            match (level(), rows == ROWS, vectors) {
                (Level::Avx512, true, 3) => return avx512::<ROWS, 3>(out, 0, outer, inner, left, right),
                (Level::Avx512, true, 2) => return avx512::<ROWS, 2>(out, 0, outer, inner, left, right),
                (Level::Avx512, true, _) => return avx512::<ROWS, 1>(out, 0, outer, inner, left, right),
                (Level::Avx512, false, _) => {
                    for row in 0..rows {
                        match vectors {
                            3 => avx512::<1, 3>(out, row, outer, inner, left, right),
                            2 => avx512::<1, 2>(out, row, outer, inner, left, right),
                            _ => avx512::<1, 1>(out, row, outer, inner, left, right),
                        }
                    }
                    return;
                }
                (Level::Avx2, _, _) => {
                    for column in (0..columns).step_by(UNIT) {
                        let right = Right { start: right.start + column, ..right };
                        let mut row = 0;
                        while row + 4 <= rows {
                            avx2::<4>(out, row, column, outer, inner, left, right);
                            row += 4;
                        }
                        for row in row..rows {
                            avx2::<1>(out, row, column, outer, inner, left, right);
                        }
                    }
                    return;
                }
                (Level::Baseline, _, _) => {}
            }
        }
    }
    portable(out, rows, columns, outer, inner, left, right);
}

fn portable(
    out: &mut Tile,
    rows: usize,
    columns: usize,
    outer: usize,
    inner: usize,
    left: Left<'_>,
    right: Right<'_>,
) {
    const FMA: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
    const BAND: usize = 4;
    *out = [[0.0; COLUMNS]; ROWS];
    // The sums of a band and a strip fit registers.
    for first in (0..rows).step_by(BAND) {
        let band = BAND.min(rows - first);
        for column in (0..columns).step_by(UNIT) {
            let mut sums = [[0f32; UNIT]; BAND];
            for (o, p) in (0..outer).flat_map(|o| (0..inner).map(move |p| (o, p))) {
                let at = right.start + o * right.outer + p * right.inner + column;
                let right: &[f32] = &right.data[at..at + UNIT];
                let at = left.start + first * left.row + o * left.outer + p * left.inner;
                for (i, sums) in sums.iter_mut().enumerate().take(band) {
                    let left = left.data[at + i * left.row];
                    for (sum, &right) in sums.iter_mut().zip(right) {
                        *sum = fma::<FMA>(left, right, *sum);
                    }
                }
            }
            for (out, sums) in out[first..].iter_mut().zip(&sums).take(band) {
                out[column..column + UNIT].copy_from_slice(sums);
            }
        }
    }
}

/// Rows `first..first + R` of a tile of `16·V` columns.
///
/// # Safety
/// Every element that the strides reach must lie inside the operands' data.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512<const R: usize, const V: usize>(
    out: &mut Tile,
    first: usize,
    outer: usize,
    inner: usize,
    left: Left<'_>,
    right: Right<'_>,
) {
    use std::arch::x86_64::{
        _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    };
    let mut sums = [[_mm512_setzero_ps(); V]; R];
    // SAFETY: the caller answers for the reads; rows of the tile are 48 floats, `16·V ≤ 48`.
    unsafe {
        let a = left.data.as_ptr().add(left.start + first * left.row);
        let b = right.data.as_ptr().add(right.start);
        for o in 0..outer {
            let (mut a, mut b) = (a.add(o * left.outer), b.add(o * right.outer));
            for _ in 0..inner {
                let mut vectors = [_mm512_setzero_ps(); V];
                for (j, vector) in vectors.iter_mut().enumerate() {
                    *vector = _mm512_loadu_ps(b.add(16 * j));
                }
                for (i, sums) in sums.iter_mut().enumerate() {
                    let factor = _mm512_set1_ps(*a.add(i * left.row));
                    for (sum, &vector) in sums.iter_mut().zip(&vectors) {
                        *sum = _mm512_fmadd_ps(factor, vector, *sum);
                    }
                }
                (a, b) = (a.wrapping_add(left.inner), b.wrapping_add(right.inner));
            }
        }
        for (out, sums) in out[first..].iter_mut().zip(&sums) {
            for (j, &sum) in sums.iter().enumerate() {
                _mm512_storeu_ps(out.as_mut_ptr().add(16 * j), sum);
            }
        }
    }
}

/// Rows `first..first + R`, columns `column..column + 16` of a tile; `right` starts at the column.
///
/// # Safety
/// Every element that the strides reach must lie inside the operands' data.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const R: usize>(
    out: &mut Tile,
    first: usize,
    column: usize,
    outer: usize,
    inner: usize,
    left: Left<'_>,
    right: Right<'_>,
) {
    use std::arch::x86_64::{
        _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
    };
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    // SAFETY: the caller answers for the reads; `column + 16 ≤ 48`, the length of a row of the tile.
    unsafe {
        let a = left.data.as_ptr().add(left.start + first * left.row);
        let b = right.data.as_ptr().add(right.start);
        for o in 0..outer {
            let (mut a, mut b) = (a.add(o * left.outer), b.add(o * right.outer));
            for _ in 0..inner {
                let vectors = [_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8))];
                for (i, sums) in sums.iter_mut().enumerate() {
                    let factor = _mm256_set1_ps(*a.add(i * left.row));
                    sums[0] = _mm256_fmadd_ps(factor, vectors[0], sums[0]);
                    sums[1] = _mm256_fmadd_ps(factor, vectors[1], sums[1]);
                }
                (a, b) = (a.wrapping_add(left.inner), b.wrapping_add(right.inner));
            }
        }
        for (out, sums) in out[first..].iter_mut().zip(&sums) {
            _mm256_storeu_ps(out.as_mut_ptr().add(column), sums[0]);
            _mm256_storeu_ps(out.as_mut_ptr().add(column + 8), sums[1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_gives_the_same_tile() {
        let wave = |n: usize| (0..n).map(|i| ((i * 37 + 11) % 101) as f32 / 50.0 - 1.0).collect::<Vec<_>>();
        let (a, b) = (wave(400), wave(2000));
        let left = Left { data: &a, start: 3, row: 7, outer: 11, inner: 2 };
        let right = Right { data: &b, start: 5, outer: 200, inner: 50 };
        for rows in 0..=ROWS {
            for columns in [0, 16, 32, 48] {
                let (mut got, mut want) = ([[9.0; COLUMNS]; ROWS], [[9.0; COLUMNS]; ROWS]);
                tile(&mut got, rows, columns, [5, 4], left, right);
                portable(&mut want, rows, columns, 5, 4, left, right);
                #[cfg(target_arch = "x86_64")]
                let mut narrow = [[9.0; COLUMNS]; ROWS];
                for i in 0..rows {
                    #[cfg(target_arch = "x86_64")]
                    if level() != Level::Baseline {
                        for column in (0..columns).step_by(UNIT) {
                            let right = Right { start: right.start + column, ..right };
                            // SAFETY: the operands are longer than what the strides reach.
                            unsafe { avx2::<1>(&mut narrow, i, column, 5, 4, left, right) };
                        }
                        assert!((0..columns).all(|j| (narrow[i][j] - want[i][j]).abs() < 1e-5));
                    }
                    for j in 0..columns {
                        assert!((got[i][j] - want[i][j]).abs() < 1e-5, "[{i}][{j}] of {rows} × {columns}");
                    }
                }
            }
        }
    }
}
