//! Single-precision kernels on slices.
//!
//! A kernel is written once, as a loop that the compiler vectorises, and compiled three times: for AVX-512, for AVX2
//! with fused multiply-add, and for the baseline of the target. Which one runs is decided at run time (`simd!`),
//! so one binary serves every machine of an architecture.
//!
//! Work is cut into pieces by the size of the data alone, and partial sums are added in the order of the
//! pieces: results do not depend on the number of threads.

// All unsafe code of the crate is below this module; each use says why it is sound.
#![allow(unsafe_code)]

pub mod math;

pub mod attention;
pub mod batch_norm;
pub mod bf16;
pub mod contrastive;
pub mod conv;
pub mod ctc;
pub mod elementwise;
pub mod gemm;
pub mod mmi;
pub mod norm;
pub mod optimizer;
pub mod reduce;
pub mod rows;
mod single;
pub mod softmax;
mod tile;
pub mod view;

use std::mem::MaybeUninit;

use rayon::prelude::*;

/// Elements of one piece of element-wise work: 64 KiB, small enough for a second-level cache.
pub const PIECE: usize = 16 * 1024;

/// Defines functions compiled for several instruction sets, of which the best is chosen at run time.
///
/// Inside the body `FMA` is a constant: whether the instruction set has a fused multiply-add.
macro_rules! simd {
    ($($(#[$meta:meta])* pub fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $output:ty)? $body:block)*) => { $(
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        pub fn $name($($arg: $type),*) $(-> $output)? {
            #[inline(always)]
            fn body<const FMA: bool>($($arg: $type),*) $(-> $output)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                fn avx512($($arg: $type),*) $(-> $output)? { body::<true>($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $type),*) $(-> $output)? { body::<true>($($arg),*) }
                match $crate::cpu::level() {
                    // SAFETY: the level was measured to be available on this machine.
                    $crate::cpu::Level::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::cpu::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::cpu::Level::Baseline => {}
                }
            }
            body::<{ cfg!(any(target_arch = "aarch64", target_feature = "fma")) }>($($arg),*)
        }
    )* };
}
pub(crate) use simd;

/// An instruction set that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// 512-bit vectors and fused multiply-add.
    Avx512,
    /// 256-bit vectors and fused multiply-add.
    Avx2,
    /// What every machine of the target has.
    Baseline,
}

/// The best instruction set of this machine, or what `AURICLE_SIMD` (`baseline`, `avx2`) limits it to.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn level() -> Level {
    static LEVEL: std::sync::OnceLock<Level> = std::sync::OnceLock::new();
    *LEVEL.get_or_init(|| {
        let limit = std::env::var("AURICLE_SIMD").unwrap_or_default();
        limited(measured_level(), &limit)
    })
}

/// The instruction set, at most that called `limit`.
#[cfg(target_arch = "x86_64")]
fn limited(level: Level, limit: &str) -> Level {
    match (limit, level) {
        ("baseline", _) => Level::Baseline,
        ("avx2", Level::Avx512) => Level::Avx2,
        (_, level) => level,
    }
}

#[cfg(target_arch = "x86_64")]
fn measured_level() -> Level {
    let wide = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw");
    match is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        true if wide => Level::Avx512,
        true => Level::Avx2,
        false => Level::Baseline,
    }
}

/// Applies `f` to corresponding pieces of `out` and `input`, in parallel.
pub fn map_pieces(
    out: &mut [f32],
    input: &[f32],
    piece: usize,
    f: impl Fn(usize, &mut [f32], &[f32]) + Sync,
) {
    let piece = piece.max(1);
    if out.len() <= piece {
        return f(0, out, input);
    }
    out.par_chunks_mut(piece).zip(input.par_chunks(piece)).enumerate().for_each(|(i, (y, x))| f(i, y, x));
}

/// A new vector of `len` elements, which `f` makes a piece at a time, in parallel.
///
/// `f` gives the piece back when it has written all of it. Nothing is zeroed before: for element-wise work that would cost half
/// as much as the work.
pub fn create(
    len: usize,
    piece: usize,
    f: impl for<'a> Fn(usize, &'a mut [MaybeUninit<f32>]) -> &'a mut [f32] + Sync,
) -> Vec<f32> {
    let mut data = Vec::with_capacity(len);
    let piece = piece.max(1);
    let fill = |(i, piece): (usize, &mut [MaybeUninit<f32>])| {
        let (start, len) = (piece.as_ptr().cast::<f32>(), piece.len());
        let written = f(i, piece);
        // Who gives back a slice of numbers in the place of a slice of nothing has written them.
        assert!(written.as_ptr() == start && written.len() == len, "a piece was not written");
    };
    let spare = &mut data.spare_capacity_mut()[..len];
    if len <= piece {
        fill((0, spare));
    } else {
        spare.par_chunks_mut(piece).enumerate().for_each(fill);
    }
    // SAFETY: all `len` elements were written above.
    unsafe { data.set_len(len) };
    data
}

/// A piece of which every element was written.
///
/// # Safety
/// Every element was written.
unsafe fn written(piece: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    // SAFETY: the caller's.
    unsafe { piece.assume_init_mut() }
}

/// As [`create`]; pieces are 0 before.
pub fn build(len: usize, piece: usize, f: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    create(len, piece, |i, piece| {
        piece.fill(MaybeUninit::new(0.0));
        // SAFETY: every element was just written.
        let piece = unsafe { written(piece) };
        f(i, piece);
        piece
    })
}

/// `rows` copies of `bias`, or rows of zeros.
pub fn bias_rows(rows: usize, width: usize, bias: Option<&[f32]>) -> Vec<f32> {
    if width == 0 {
        return Vec::new();
    }
    let piece = width * (PIECE / width).max(1);
    let Some(bias) = bias else { return build(rows * width, piece, |_, _| {}) };
    create(rows * width, piece, |_, rows| {
        rows.chunks_exact_mut(width).for_each(|row| {
            row.write_copy_of_slice(bias);
        });
        // SAFETY: pieces are whole rows, and each was just written.
        unsafe { written(rows) }
    })
}

/// A new vector of the results of `f` on the pieces of `input`; see [`create`].
pub fn map(
    input: &[f32],
    piece: usize,
    f: impl for<'a> Fn(&'a mut [MaybeUninit<f32>], &[f32]) -> &'a mut [f32] + Sync,
) -> Vec<f32> {
    let piece = piece.max(1);
    create(input.len(), piece, |i, y| {
        let x = &input[i * piece..][..y.len()];
        f(y, x)
    })
}

/// Applies `f` to pieces of `out` in parallel.
pub fn for_pieces(out: &mut [f32], piece: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
    let piece = piece.max(1);
    if out.len() <= piece {
        return f(0, out);
    }
    out.par_chunks_mut(piece).enumerate().for_each(|(i, y)| f(i, y));
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::{Level, limited};

    #[test]
    fn a_limit_lowers_the_instruction_set_and_never_raises_it() {
        for level in [Level::Avx512, Level::Avx2, Level::Baseline] {
            assert_eq!(limited(level, ""), level);
            assert_eq!(limited(level, "baseline"), Level::Baseline);
        }
        assert_eq!(limited(Level::Avx512, "avx2"), Level::Avx2);
        assert_eq!(limited(Level::Avx2, "avx2"), Level::Avx2);
        assert_eq!(limited(Level::Baseline, "avx2"), Level::Baseline);
    }
}
