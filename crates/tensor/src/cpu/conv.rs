//! Channels-last convolution as products on views of the padded input.
//!
//! With channels last, the window of output frame `t` is the contiguous run of `K·C` floats that starts at padded
//! frame `t·stride`: the patch matrix of the textbook is a view with overlapping rows, and nothing is unfolded.
//! The gradient of the input is a convolution of the padded output gradient for each residue of the frame modulo
//! the stride. Grouped convolutions, whose products have few columns, go through [`tile`](super::tile).

use rayon::prelude::*;

use super::gemm::{Shared, Threads, View, ViewMut, gemm};
use super::tile::{COLUMNS, Left, ROWS, Right, Tile, UNIT, tile};
use crate::ops::Conv1dOptions;

/// Elements of the right operand that a pass over the rows works on: 256 KiB, to stay in a second-level cache.
const PANEL: usize = 64 * 1024;

/// Sizes of one convolution.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Rows of the batch.
    pub batch: usize,
    /// Input frames.
    pub frames: usize,
    /// Output frames.
    pub outputs: usize,
    /// Kernel length.
    pub kernel: usize,
    /// Input channels.
    pub input: usize,
    /// Output channels.
    pub output: usize,
    /// Stride, padding and groups.
    pub options: Conv1dOptions,
}

impl Sizes {
    fn padded_frames(&self) -> usize {
        self.frames + self.options.pad_left + self.options.pad_right
    }

    fn group_input(&self) -> usize {
        self.input / self.options.groups
    }

    fn group_output(&self) -> usize {
        self.output / self.options.groups
    }

    /// The input with its zero frames; borrowed where there are none.
    fn pad<'a>(&self, x: &'a [f32]) -> std::borrow::Cow<'a, [f32]> {
        if self.padded_frames() == self.frames {
            return x.into();
        }
        pad(x, self.frames * self.input, self.options.pad_left * self.input, self.options.pad_right * self.input).into()
    }
}

/// Copies rows of `len` elements with zeros on both sides.
fn pad(x: &[f32], len: usize, left: usize, right: usize) -> Vec<f32> {
    let rows = x.len().checked_div(len).unwrap_or(0);
    let mut padded = vec![0.0; rows * (left + len + right)];
    for (padded, x) in padded.chunks_exact_mut((left + len + right).max(1)).zip(x.chunks_exact(len.max(1))) {
        padded[left..left + len].copy_from_slice(x);
    }
    padded
}

/// `out[b, t] ← bias + Σ_k x[b, t·stride + k − pad_left] · w[k]`.
pub fn forward(out: &mut [f32], x: &[f32], w: &[f32], bias: Option<&[f32]>, s: Sizes) {
    match bias {
        Some(bias) => out.par_chunks_exact_mut(s.output).for_each(|row| row.copy_from_slice(bias)),
        None => out.fill(0.0),
    }
    let x = s.pad(x);
    let (row_in, row_out) = (s.padded_frames() * s.input, s.outputs * s.output);
    if s.options.groups == 1 {
        let weight = View::new(w, s.kernel * s.input, s.output, s.output);
        for (out, x) in out.chunks_exact_mut(row_out).zip(x.chunks_exact(row_in)) {
            let windows = View::new(x, s.outputs, s.kernel * s.input, s.options.stride * s.input);
            gemm(ViewMut::new(out, s.outputs, s.output, s.output), true, 1.0, windows, weight, Threads::All);
        }
        return;
    }
    let (ci, co) = (s.group_input(), s.group_output());
    let out = Shared::new(out);
    let weights: Vec<Panel<'_>> = (0..s.options.groups).map(|g| Panel::of(w, s.kernel * ci, co, g * co, s.output)).collect();
    (0..s.batch * s.options.groups).into_par_iter().for_each(|task| {
        let (b, g) = (task / s.options.groups, task % s.options.groups);
        let left = Left { data: &x, start: b * row_in + g * ci, row: s.options.stride * s.input, outer: s.input, inner: 1 };
        // SAFETY: channels of one group of one row of the batch, which this task alone writes.
        let mut out = unsafe { out.rows(b * row_out + g * co, s.outputs, co, s.output) };
        small_product(s.outputs, [s.kernel, ci], left, &weights[g], &mut |t, row, column| {
            super::elementwise::add(&mut out.row(t)[column..][..row.len()], row);
        });
    });
}

/// Gradient of the input: `dx[b, u − pad_left] = Σ_{t·stride + k = u} g[b, t] · w[k]ᵀ`, written to zeroed `dx`.
///
/// Frames `u = i·stride + r` of one residue `r` see taps `k = m·stride + r` at outputs `t = i − m`: a convolution with stride 1
/// of the output gradient with the reversed, transposed taps of that residue.
pub fn input_gradient(dx: &mut [f32], g: &[f32], w: &[f32], s: Sizes) {
    let (stride, left) = (s.options.stride, s.options.pad_left);
    let (ci, co) = (s.group_input(), s.group_output());
    let reach = s.kernel.div_ceil(stride) - 1;
    let last = (left + s.frames).saturating_sub(1) / stride;
    let after = (last + 1).saturating_sub(s.outputs);
    let g = pad(g, s.outputs * s.output, reach * s.output, after * s.output);
    let row_g = (reach + s.outputs + after) * s.output;
    let out = Shared::new(dx);
    for residue in 0..stride.min(s.kernel) {
        let taps = (s.kernel - residue).div_ceil(stride);
        // The first and last frame of this residue inside the input.
        let first = left.saturating_sub(residue).div_ceil(stride);
        let Some(end) = (left + s.frames).checked_sub(residue + 1).map(|u| u / stride + 1) else { continue };
        let rows = end.saturating_sub(first);
        // Reversed taps, transposed: [group][tap][output][input].
        let mut reversed = vec![0.0; taps * s.output * ci];
        reversed.par_chunks_exact_mut(taps * co * ci).enumerate().for_each(|(group, reversed)| {
            for (m, block) in reversed.chunks_exact_mut(co * ci).rev().enumerate() {
                let tap = &w[(m * stride + residue) * ci * s.output..][..ci * s.output];
                for (c, tap) in tap.chunks_exact(s.output).enumerate() {
                    for (o, &value) in tap[group * co..][..co].iter().enumerate() {
                        block[o * ci + c] = value;
                    }
                }
            }
        });
        let start = (first + reach + 1 - taps) * s.output;
        let at = |b: usize| (b * s.frames + first * stride + residue - left) * s.input;
        if s.options.groups == 1 {
            let weight = View::new(&reversed, taps * co, ci, ci);
            for b in (0..s.batch).filter(|_| rows > 0) {
                let windows = View::new(&g[b * row_g + start..], rows, taps * co, co);
                // SAFETY: nothing else writes while this product runs.
                let out = unsafe { out.rows(at(b), rows, ci, stride * s.input) };
                gemm(out, false, 1.0, windows, weight, Threads::All);
            }
            continue;
        }
        let weights: Vec<Panel<'_>> =
            reversed.chunks_exact(taps * co * ci).map(|group| Panel::of(group, taps * co, ci, 0, ci)).collect();
        (0..s.batch * s.options.groups).into_par_iter().filter(|_| rows > 0).for_each(|task| {
            let (b, group) = (task / s.options.groups, task % s.options.groups);
            let left = Left { data: &g, start: b * row_g + start + group * co, row: s.output, outer: s.output, inner: 1 };
            // SAFETY: channels of one group of one row of the batch, which this task alone writes.
            let mut out = unsafe { out.rows(at(b) + group * ci, rows, ci, stride * s.input) };
            small_product(rows, [taps, co], left, &weights[group], &mut |t, row, column| {
                super::elementwise::add(&mut out.row(t)[column..][..row.len()], row);
            });
        });
    }
}

/// Gradient of the weight: `dw[k] = Σ_{b, t} x[b, t·stride + k − pad_left]ᵀ · g[b, t]`, written to zeroed `dw`.
pub fn weight_gradient(dw: &mut [f32], x: &[f32], g: &[f32], s: Sizes) {
    let x = s.pad(x);
    let (row_in, row_out) = (s.padded_frames() * s.input, s.outputs * s.output);
    if s.options.groups == 1 {
        for (x, g) in x.chunks_exact(row_in).zip(g.chunks_exact(row_out)) {
            let windows = View::new(x, s.outputs, s.kernel * s.input, s.options.stride * s.input);
            let g = View::new(g, s.outputs, s.output, s.output);
            gemm(ViewMut::new(dw, s.kernel * s.input, s.output, s.output), true, 1.0, windows.t(), g, Threads::All);
        }
        return;
    }
    let (ci, co) = (s.group_input(), s.group_output());
    let grads: Vec<Panel<'_>> =
        (0..s.options.groups).map(|group| Panel::of(g, s.batch * s.outputs, co, group * co, s.output)).collect();
    dw.par_chunks_exact_mut(ci * s.output).enumerate().for_each(|(k, dw)| {
        for (group, grad) in grads.iter().enumerate() {
            let start = k * s.input + group * ci;
            let left = Left { data: &x, start, row: 1, outer: row_in, inner: s.options.stride * s.input };
            small_product(ci, [s.batch, s.outputs], left, grad, &mut |c, row, column| {
                super::elementwise::add(&mut dw[c * s.output + group * co + column..][..row.len()], row);
            });
        }
    });
}

/// The right operand of a [`small_product`]: `rows` rows of `columns` used columns.
struct Panel<'a> {
    data: std::borrow::Cow<'a, [f32]>,
    start: usize,
    row: usize,
    columns: usize,
}

impl<'a> Panel<'a> {
    /// Columns `start..start + columns` of a matrix with rows of `row` elements; copied with zeros to a multiple of
    /// [`UNIT`] where they are not one.
    fn of(data: &'a [f32], rows: usize, columns: usize, start: usize, row: usize) -> Self {
        if columns.is_multiple_of(UNIT) {
            return Self { data: data.into(), start, row, columns };
        }
        let width = columns.next_multiple_of(UNIT);
        let mut copy = vec![0.0; rows * width];
        for (copy, data) in copy.chunks_exact_mut(width).zip(data.chunks_exact(row)) {
            copy[..columns].copy_from_slice(&data[start..start + columns]);
        }
        Self { data: copy.into(), start: 0, row: width, columns }
    }
}

/// Adds `left · right` to its destination: calls `add(i, values, column)` for parts of row `i`.
fn small_product(
    rows: usize,
    [outer, inner]: [usize; 2],
    left: Left<'_>,
    right: &Panel<'_>,
    add: &mut dyn FnMut(usize, &[f32], usize),
) {
    let mut out: Tile = [[0.0; COLUMNS]; ROWS];
    for column in (0..right.columns).step_by(COLUMNS) {
        let used = (right.columns - column).min(COLUMNS);
        // As many outer steps as keep their part of the right operand in cache.
        let steps = (PANEL / (inner * right.row.min(COLUMNS)).max(1)).max(1);
        for first in (0..outer).step_by(steps) {
            let steps = steps.min(outer - first);
            let outer_right = inner * right.row;
            let start = right.start + first * outer_right + column;
            let right = Right { data: &right.data, start, outer: outer_right, inner: right.row };
            for row in (0..rows).step_by(ROWS) {
                let count = (rows - row).min(ROWS);
                let left = Left { start: left.start + row * left.row + first * left.outer, ..left };
                tile(&mut out, count, used.next_multiple_of(UNIT), [steps, inner], left, right);
                for (i, out) in out.iter().enumerate().take(count) {
                    add(row + i, &out[..used], column);
                }
            }
        }
    }
}
