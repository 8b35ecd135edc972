//! Matrix products of operands that are rounded to bf16 when they are packed, summed in single precision.
//!
//! Both operands become pairs of neighbouring terms of the sums: a word holds the even term in its low half and the odd one
//! in its high half. Where it is worth it, AVX512-BF16 multiplies sixteen words at once, and adds the odd product first, then
//! the even one, each with one rounding. Products of bf16 numbers are exact in single precision: ordinary instructions that
//! add them in the same order give the same bits. (Below 10⁻³⁸ they need not: AVX512-BF16 has no subnormal results. Subnormal
//! operands are zeros for both.) On Intel's machines ordinary instructions are the faster ones: two vectors of 16 products in
//! every cycle, beside one of 32 in every other cycle.
//!
//! Sums are cut into blocks of [`DEPTH`] terms that are added in order; threads divide the result, not the sums.

use std::cell::Cell;
use std::ops::Range;
#[cfg(target_arch = "x86_64")]
use std::sync::OnceLock;

use rayon::prelude::*;

use super::tile::{COLUMNS, Left, ROWS, Right, Tile, UNIT, tile};
use super::view::{Threads, View, ViewMut};
use super::{elementwise, simd};

/// Terms of a block of the sums. A longer block reads and writes the result less often; its 48 KiB of words of a panel of
/// columns, or twice as much of terms, come from the second-level cache.
const DEPTH: usize = 512;

/// Panels that are packed together: longer runs of neighbouring elements.
const PANELS: usize = 4;

/// Rows and columns of the result that a task computes.
const TASK: [usize; 2] = [128, 8 * COLUMNS];

/// Words of working memory that a thread keeps for its next product.
const KEPT: usize = 1 << 20;

/// The word of an even and an odd term: rounded to the nearest, ties to even; NaN stays NaN, subnormals become 0.
#[inline(always)]
fn pair(even: f32, odd: f32) -> u32 {
    rounded(even) >> 16 | (rounded(odd) & 0xffff_0000)
}

/// Bits of which the upper half is the rounded number.
#[inline(always)]
fn rounded(x: f32) -> u32 {
    let bits = x.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    let near = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    let near = if magnitude < 0x0080_0000 { bits & 0x8000_0000 } else { near };
    if magnitude > 0x7f80_0000 { bits | 0x0040_0000 } else { near }
}

simd! {
    /// Words of two rows of terms that lie side by side.
    pub fn pack_columns(words: &mut [u32], even: &[f32], odd: &[f32]) {
        for ((word, &even), &odd) in words.iter_mut().zip(even).zip(odd) {
            *word = pair(even, odd);
        }
    }

    /// Words of one row of terms.
    pub fn pack_row(words: &mut [u32], terms: &[[f32; 2]]) {
        for (word, &[even, odd]) in words.iter_mut().zip(terms) {
            *word = pair(even, odd);
        }
    }

    /// The terms of words, `[pairs, width]`: of each row of words the odd ones, then the even ones.
    pub fn terms(terms: &mut [f32], words: &[u32], width: usize) {
        for (terms, words) in terms.chunks_exact_mut(2 * width).zip(words.chunks_exact(width)) {
            let (odd, even) = terms.split_at_mut(width);
            for ((odd, even), &word) in odd.iter_mut().zip(even).zip(words) {
                *odd = f32::from_bits(word & 0xffff_0000);
                *even = f32::from_bits(word << 16);
            }
        }
    }
}

/// How `tile[i][j] ← Σ a[p][i]·b[p][j]` is computed over words `p`, of which `a` has [`ROWS`] a step and `b` [`COLUMNS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    /// By AVX512-BF16.
    #[cfg(target_arch = "x86_64")]
    Words,
    /// By ordinary instructions, term by term.
    Terms,
}

fn kernel() -> Kernel {
    #[cfg(target_arch = "x86_64")]
    {
        static KERNEL: OnceLock<Kernel> = OnceLock::new();
        *KERNEL.get_or_init(|| if is_native() && !is_intel() { Kernel::Words } else { Kernel::Terms })
    }
    #[cfg(not(target_arch = "x86_64"))]
    Kernel::Terms
}

/// Whether this machine multiplies bf16 itself.
#[cfg(target_arch = "x86_64")]
fn is_native() -> bool {
    super::level() == super::Level::Avx512 && is_x86_feature_detected!("avx512bf16")
}

/// Whether Intel made this machine.
#[cfg(target_arch = "x86_64")]
fn is_intel() -> bool {
    let name = std::arch::x86_64::__cpuid(0);
    [name.ebx, name.edx, name.ecx].map(u32::to_le_bytes).concat() == b"GenuineIntel"
}

/// A tile of terms, of which the first `columns` are wanted.
fn tile_of_terms(out: &mut Tile, columns: usize, a: &[f32], b: &[f32]) {
    let left = Left { data: a, start: 0, row: 1, outer: 2 * ROWS, inner: ROWS };
    let right = Right { data: b, start: 0, outer: 2 * COLUMNS, inner: COLUMNS };
    tile(out, ROWS, columns.next_multiple_of(UNIT), [a.len() / (2 * ROWS), 2], left, right);
}

/// A tile of words, on a machine that multiplies them.
#[cfg(target_arch = "x86_64")]
fn tile_of_words(out: &mut Tile, a: &[u32], b: &[u32]) {
    assert!(is_native());
    // SAFETY: the machine has the instructions (just measured).
    unsafe { native(out, a, b) }
}

/// [`Kernel::Words`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
fn native(tile: &mut Tile, a: &[u32], b: &[u32]) {
    use std::arch::x86_64::{
        __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_ps,
        _mm512_storeu_ps,
    };
    /// The same bits, as pairs of bf16.
    #[inline(always)]
    fn pairs(words: __m512i) -> __m512bh {
        // SAFETY: both are 64 bytes without invalid values.
        unsafe { std::mem::transmute(words) }
    }
    const VECTORS: usize = COLUMNS / 16;
    let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
    let (a, b) = (a.as_chunks::<ROWS>().0, b.as_chunks::<COLUMNS>().0);
    for (a, b) in a.iter().zip(b) {
        // SAFETY: the row has 48 words.
        let right = [0, 1, 2].map(|v| unsafe { _mm512_loadu_si512(b.as_ptr().add(16 * v).cast()) });
        for (sums, &a) in sums.iter_mut().zip(a) {
            let left = pairs(_mm512_set1_epi32(a as i32));
            for (sum, &right) in sums.iter_mut().zip(&right) {
                *sum = _mm512_dpbf16_ps(*sum, left, pairs(right));
            }
        }
    }
    for (tile, sums) in tile.iter_mut().zip(&sums) {
        for (v, &sum) in sums.iter().enumerate() {
            // SAFETY: the row has 48 numbers.
            unsafe { _mm512_storeu_ps(tile.as_mut_ptr().add(16 * v), sum) };
        }
    }
}

/// An operand in panels of `width` rows (of the left) or columns (of the right), each `[pairs, width]`, filled up with zeros.
struct Packed<'a> {
    words: &'a [u32],
    width: usize,
    pairs: usize,
}

impl Packed<'_> {
    fn panel(&self, index: usize, pairs: &Range<usize>) -> &[u32] {
        &self.words[(index * self.pairs + pairs.start) * self.width..][..pairs.len() * self.width]
    }
}

/// Packs an operand whose rows are to lie side by side in panels of `width` (of the right operand, its transpose).
fn pack<'a>(x: View<'_>, width: usize, memory: &'a mut Vec<u32>, threads: Threads) -> Packed<'a> {
    let [rows, depth] = x.size();
    let pairs = depth.div_ceil(2);
    let panel = pairs * width;
    let len = rows.div_ceil(width) * panel;
    // What stays from the last product is overwritten, but where the last panel is filled up.
    memory.truncate(len);
    let kept = memory.len();
    memory.resize(len, 0);
    memory[(len - panel).min(kept)..kept].fill(0);
    let fill = |(index, words): (usize, &mut [u32])| {
        let first = index * PANELS * width;
        let count = (PANELS * width).min(rows - first);
        match x.row(first) {
            Some(_) => {
                for (panel, words) in words.chunks_exact_mut(panel).enumerate() {
                    let rows =
                        (panel * width..count.min((panel + 1) * width)).filter_map(|i| x.row(first + i));
                    pack_by_rows(words, width, rows.map(|row| &row[..depth]));
                }
            }
            None => pack_by_columns(words, [pairs, width], |k| &x.column(k)[first..first + count], depth),
        }
    };
    match threads {
        Threads::One => memory.chunks_mut(PANELS * panel).enumerate().for_each(fill),
        Threads::All => memory.par_chunks_mut(PANELS * panel).enumerate().for_each(fill),
    }
    Packed { words: memory, width, pairs }
}

/// Rows of terms: the words of one are `width` apart.
fn pack_by_rows<'a>(words: &mut [u32], width: usize, rows: impl Iterator<Item = &'a [f32]>) {
    const STEP: usize = 64;
    let mut some = [0u32; STEP];
    for (i, row) in rows.enumerate() {
        let (whole, rest) = row.as_chunks::<2>();
        for (block, terms) in whole.chunks(STEP).enumerate() {
            pack_row(&mut some[..terms.len()], terms);
            let to = words[block * STEP * width + i..].iter_mut().step_by(width);
            to.zip(&some[..terms.len()]).for_each(|(to, &word)| *to = word);
        }
        if let &[last] = rest {
            words[whole.len() * width + i] = pair(last, 0.0);
        }
    }
}

/// Terms of rows side by side, step by step, cut into panels.
fn pack_by_columns<'a>(
    words: &mut [u32],
    [pairs, width]: [usize; 2],
    terms: impl Fn(usize) -> &'a [f32],
    depth: usize,
) {
    let none = [0.0; PANELS * COLUMNS];
    for p in 0..pairs {
        let even = terms(2 * p);
        let odd = if 2 * p + 1 < depth { terms(2 * p + 1) } else { &none[..even.len()] };
        let panels = words.chunks_exact_mut(pairs * width);
        for ((words, even), odd) in panels.zip(even.chunks(width)).zip(odd.chunks(width)) {
            pack_columns(&mut words[p * width..][..even.len()], even, odd);
        }
    }
}

thread_local! {
    /// Memory for operands; taken while a product runs, because a thread that waits for others may start another one.
    static MEMORY: Cell<[Vec<u32>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
    /// Memory for terms of a task, which starts no other.
    static TERMS: Cell<[Vec<f32>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
}

/// `out ← alpha·a·b`, or `out ← out + alpha·a·b` where `accumulate`. No size is 0.
pub fn gemm(out: ViewMut<'_>, accumulate: bool, alpha: f32, [a, b]: [View<'_>; 2], threads: Threads) {
    product(kernel(), out, accumulate, alpha, [a, b.t()], threads);
}

fn product(
    kernel: Kernel,
    mut out: ViewMut<'_>,
    accumulate: bool,
    alpha: f32,
    [a, b]: [View<'_>; 2],
    threads: Threads,
) {
    let mut memory = MEMORY.take();
    let [left, right] = &mut memory;
    let ([rows, depth], [columns, _]) = (a.size(), b.size());
    let (a, b) = (pack(a, ROWS, left, threads), pack(b, COLUMNS, right, threads));
    let task = |out: &mut ViewMut<'_>, [first_row, first_column]: [usize; 2], rows: usize, columns: usize| {
        let mut result: Tile = [[0.0; COLUMNS]; ROWS];
        let [mut left, mut right] = TERMS.take();
        for start in (0..depth).step_by(DEPTH) {
            let pairs = start / 2..(start + DEPTH).min(depth).div_ceil(2);
            let panel = 2 * pairs.len() * ROWS;
            if kernel == Kernel::Terms {
                left.resize(rows.div_ceil(ROWS) * panel, 0.0);
                right.resize(2 * pairs.len() * COLUMNS, 0.0);
                for (row, left) in left.chunks_exact_mut(panel).enumerate() {
                    terms(left, a.panel(first_row / ROWS + row, &pairs), ROWS);
                }
            }
            for column in (0..columns).step_by(COLUMNS) {
                let b = b.panel((first_column + column) / COLUMNS, &pairs);
                if kernel == Kernel::Terms {
                    terms(&mut right, b, COLUMNS);
                }
                let width = COLUMNS.min(columns - column);
                for row in (0..rows).step_by(ROWS) {
                    match kernel {
                        Kernel::Terms => {
                            let left = &left[row / ROWS * panel..][..panel];
                            tile_of_terms(&mut result, width, left, &right);
                        }
                        #[cfg(target_arch = "x86_64")]
                        Kernel::Words => {
                            tile_of_words(&mut result, a.panel((first_row + row) / ROWS, &pairs), b);
                        }
                    }
                    for (i, sums) in result.iter().enumerate().take(rows - row) {
                        let sums = &sums[..width];
                        if accumulate || start > 0 {
                            elementwise::add_scaled(
                                &mut out.row(row + i)[column..column + width],
                                alpha,
                                sums,
                            );
                        } else {
                            out.set(row + i, column, sums, alpha);
                        }
                    }
                }
            }
        }
        TERMS.set([left, right]);
    };
    let out = out.share();
    let across = columns.div_ceil(TASK[1]);
    let run = |index: usize| {
        let first = [index / across * TASK[0], index % across * TASK[1]];
        let size = [TASK[0].min(rows - first[0]), TASK[1].min(columns - first[1])];
        // SAFETY: tasks have parts of the result of their own, and `out` is borrowed until all are done.
        let mut out = unsafe { ViewMut::part(out, first, size) };
        task(&mut out, first, size[0], size[1]);
    };
    let tasks = 0..rows.div_ceil(TASK[0]) * across;
    match threads {
        Threads::One => tasks.for_each(run),
        Threads::All => tasks.into_par_iter().for_each(run),
    }
    if memory.iter().all(|words| words.capacity() <= KEPT) {
        MEMORY.set(memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(n: usize, step: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * step + 11) % 1009) as f32 / 500.0 - 1.0 + (i % 7) as f32 * 1e-3).collect()
    }

    #[test]
    fn words_are_rounded_to_the_nearest_even() {
        for bits in
            (0..=u32::MAX).step_by(7919).chain([0, 1, 0x7f80_0000, 0xff80_0000, 0x7f7f_ffff, 0x7fff_ffff])
        {
            let x = f32::from_bits(bits);
            let got = f32::from_bits(rounded(x) & 0xffff_0000);
            let want = half::bf16::from_f32(x).to_f32();
            let flushed = if x.abs() < f32::MIN_POSITIVE { 0.0f32.copysign(x) } else { want };
            assert!(got.to_bits() == flushed.to_bits() || (got.is_nan() && x.is_nan()), "{x:e}: {got:e}");
        }
    }

    /// All forms of operands, odd sizes, strides, factors; every kernel, with one and more threads, has the same bits.
    #[test]
    fn products_are_those_of_rounded_operands_whoever_computes_them() {
        let kernels = [
            Kernel::Terms,
            #[cfg(target_arch = "x86_64")]
            Kernel::Words,
        ];
        #[cfg(target_arch = "x86_64")]
        let kernels = if is_native() { &kernels[..] } else { &kernels[..1] };
        if kernels.len() < 2 {
            eprintln!("skipped: this machine does not multiply bf16");
        }
        for [m, k, n] in [
            [1, 1, 1],
            [15, 17, 31],
            [16, 257, 16],
            [31, 16, 257],
            [257, 600, 50],
            [130, 5, 401],
            [8, 511, 48],
        ] {
            let (a, b) = (wave(m.max(k) * (m.max(k) + 3), 37), wave(k.max(n) * (k.max(n) + 3), 41));
            let round = |x: f32| f64::from(half::bf16::from_f32(x).to_f32());
            for form in 0..4 {
                let a_view =
                    if form & 1 > 0 { View::new(&a, k, m, m + 3).t() } else { View::new(&a, m, k, k + 3) };
                let b_view =
                    if form & 2 > 0 { View::new(&b, n, k, k + 3).t() } else { View::new(&b, k, n, n + 3) };
                let at_a =
                    |i: usize, p: usize| if form & 1 > 0 { a[p * (m + 3) + i] } else { a[i * (k + 3) + p] };
                let at_b =
                    |p: usize, j: usize| if form & 2 > 0 { b[j * (k + 3) + p] } else { b[p * (n + 3) + j] };
                for (accumulate, alpha) in [(false, 1.0), (true, -0.5)] {
                    let run = |kernel: Kernel, threads| {
                        let mut out = vec![0.25; m * (n + 1)];
                        product(
                            kernel,
                            ViewMut::new(&mut out, m, n, n + 1),
                            accumulate,
                            alpha,
                            [a_view, b_view.t()],
                            threads,
                        );
                        out
                    };
                    let got = run(Kernel::Terms, Threads::One);
                    for i in 0..m {
                        for j in 0..n {
                            let sum: f64 = (0..k).map(|p| round(at_a(i, p)) * round(at_b(p, j))).sum();
                            let want = f64::from(alpha) * sum + if accumulate { 0.25 } else { 0.0 };
                            let got = f64::from(got[i * (n + 1) + j]);
                            assert!(
                                (got - want).abs() < 1e-6 * k as f64,
                                "[{m}, {k}, {n}] {form}: {got} {want}"
                            );
                        }
                        assert_eq!(got[i * (n + 1) + n], 0.25, "beyond the result");
                    }
                    for threads in [1, 2, 3] {
                        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                        for &kernel in kernels.iter() {
                            let got_there = pool.install(|| run(kernel, Threads::All));
                            assert!(got_there == got, "{kernel:?}, {threads} threads");
                        }
                    }
                }
            }
        }
    }
}
