//! Channels-last convolution as products on views of the padded input.
//!
//! With channels last, the window of output frame `t` is the contiguous run of `K·C` floats that starts at padded
//! frame `t·stride`: the patch matrix of the textbook is a view with overlapping rows, and nothing is unfolded.
//! Grouped convolutions, whose products have few columns, go through [`tile`](super::tile).

use std::borrow::Cow;

use rayon::prelude::*;

use super::elementwise::add;
use super::gemm::{gemm, product};
use super::tile::{COLUMNS, Left, ROWS, Right, Tile, UNIT, tile};
use super::view::{Shared, Threads, View, ViewMut};
use super::{bias_rows, build, create};
use crate::options::{Conv1dSizes, Products};

/// Elements of the right operand that a pass over the rows works on: 128 KiB, to stay in a second-level cache.
const PANEL: usize = 32 * 1024;

/// Where windows and padding lie.
impl Conv1dSizes {
    fn padded_frames(&self) -> usize {
        self.options.padded(self.frames)
    }

    fn group_input(&self) -> usize {
        self.input / self.options.groups
    }

    fn group_output(&self) -> usize {
        self.output / self.options.groups
    }

    /// Distance of the rows of the batch in output frames, at least [`outputs`](Self::outputs).
    ///
    /// Where it is a whole number of strides, the windows of all rows are equally far apart, and one product does
    /// the whole batch; the few windows that straddle two rows are computed and thrown away.
    fn slots(&self) -> usize {
        if self.batch == 1 { self.outputs } else { self.padded_frames().div_ceil(self.options.stride) }
    }

    /// Frames of a row of the padded input.
    fn row_frames(&self) -> usize {
        if self.batch == 1 || self.options.groups > 1 {
            self.padded_frames()
        } else {
            self.slots() * self.options.stride
        }
    }

    /// Windows from the first of the first row to the last of the last.
    fn windows(&self) -> usize {
        (self.batch - 1) * self.slots() + self.outputs
    }

    /// The input with zero frames around; borrowed where there are none.
    fn pad<'a>(&self, x: &'a [f32]) -> Cow<'a, [f32]> {
        let left = self.options.pad_left;
        pad(
            x,
            self.frames * self.input,
            left * self.input,
            (self.row_frames() - left - self.frames) * self.input,
        )
    }

    /// All windows of the padded input as rows of a matrix.
    fn window_view<'a>(&self, padded: &'a [f32]) -> View<'a> {
        View::new(padded, self.windows(), self.kernel * self.input, self.options.stride * self.input)
    }

    /// The output's gradient with zeros in the slots that belong to no output frame.
    fn spread<'a>(&self, g: &'a [f32]) -> Cow<'a, [f32]> {
        pad(g, self.outputs * self.output, 0, (self.slots() - self.outputs) * self.output)
    }
}

/// Rows of `len` elements with zeros on both sides; borrowed where there are none.
fn pad(x: &[f32], len: usize, left: usize, right: usize) -> Cow<'_, [f32]> {
    let (rows, width) = (x.len() / len, left + len + right);
    if width == len {
        return x.into();
    }
    build(rows * width, width, |row, padded| padded[left..left + len].copy_from_slice(&x[row * len..][..len]))
        .into()
}

/// `y[b, t] = bias + Σ_k x[b, t·stride + k − pad_left] · w[k]`.
///
/// The sum of an element begins with its bias (or 0), whatever lies between the rows of the batch: a row is the same bits alone.
pub fn forward(x: &[f32], w: &[f32], bias: Option<&[f32]>, s: Conv1dSizes, products: Products) -> Vec<f32> {
    let x = s.pad(x);
    let (row_in, row_out) = (s.row_frames() * s.input, s.outputs * s.output);
    if s.options.groups == 1 {
        let weight = View::new(w, s.kernel * s.input, s.output, s.output);
        let mut all = bias_rows(s.windows(), s.output, bias);
        let out = ViewMut::new(&mut all, s.windows(), s.output, s.output);
        gemm(out, true, 1.0, s.window_view(&x), weight, products, Threads::All);
        if s.slots() == s.outputs {
            return all;
        }
        let row_all = s.slots() * s.output;
        return create(s.batch * row_out, row_out, |b, out| {
            out.write_copy_of_slice(&all[b * row_all..][..row_out])
        });
    }
    let mut y = bias_rows(s.batch * s.outputs, s.output, bias);
    let (ci, co) = (s.group_input(), s.group_output());
    let out = Shared::new(&mut y);
    let rows: Vec<usize> = (0..s.batch).map(|b| b * row_in).collect();
    (0..s.options.groups).into_par_iter().for_each(|g| {
        let left =
            Left { data: &x, start: g * ci, row: s.options.stride * s.input, outer: s.input, inner: 1 };
        let right = Panel { data: w, start: g * co, row: s.output, columns: co };
        small_product(&rows, s.outputs, [s.kernel, ci], left, right, |b, t, column, values| {
            // SAFETY: channels of one group, which this task alone writes.
            let mut out =
                unsafe { out.rows(b * row_out + t * s.output + g * co + column, 1, values.len(), s.output) };
            add(out.row(0), values);
        });
    });
    y
}

/// Gradient of the input: `dx[b, t·stride + k − pad_left] += g[b, t] · w[k]ᵀ`, written to zeroed `dx`.
pub fn input_gradient(dx: &mut [f32], g: &[f32], w: &[f32], s: Conv1dSizes, products: Products) {
    if s.options.groups > 1 {
        return grouped_input_gradient(dx, g, w, s);
    }
    let g = s.spread(g);
    let g = View::new(&g, s.windows(), s.output, s.output);
    let run = |dx: &mut [f32]| {
        for k in 0..s.kernel {
            let tap = View::new(&w[k * s.input * s.output..], s.input, s.output, s.output).t();
            let dx = ViewMut::new(&mut dx[k * s.input..], s.windows(), s.input, s.options.stride * s.input);
            gemm(dx, true, 1.0, g, tap, products, Threads::All);
        }
    };
    if s.row_frames() == s.frames {
        return run(dx);
    }
    let (row, row_padded) = (s.frames * s.input, s.row_frames() * s.input);
    let mut padded = vec![0.0; s.batch * row_padded];
    run(&mut padded);
    dx.par_chunks_exact_mut(row).enumerate().for_each(|(b, dx)| {
        dx.copy_from_slice(&padded[b * row_padded + s.options.pad_left * s.input..][..row]);
    });
}

/// The same by [`small_product`]s.
///
/// Frames `u = i·stride + r` of one residue `r` see taps `k = m·stride + r` at outputs `t = i − m`: a convolution with stride 1
/// of the padded output gradient with the reversed, transposed taps of that residue.
fn grouped_input_gradient(dx: &mut [f32], g: &[f32], w: &[f32], s: Conv1dSizes) {
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
        let starts: Vec<usize> = (0..s.batch).map(|b| b * row_g + start).collect();
        (0..s.options.groups).into_par_iter().filter(|_| rows > 0).for_each(|group| {
            let left = Left { data: &g, start: group * co, row: s.output, outer: s.output, inner: 1 };
            let right = Panel { data: &reversed[group * taps * co * ci..], start: 0, row: ci, columns: ci };
            small_product(&starts, rows, [taps, co], left, right, |b, i, column, values| {
                let offset = at(b) + i * stride * s.input + group * ci + column;
                // SAFETY: channels of one group, which this task alone writes.
                let mut out = unsafe { out.rows(offset, 1, values.len(), s.input) };
                add(out.row(0), values);
            });
        });
    }
}

/// Gradient of the weight: `dw[k] = Σ_{b, t} x[b, t·stride + k − pad_left]ᵀ · g[b, t]`.
pub fn weight_gradient(x: &[f32], g: &[f32], s: Conv1dSizes, products: Products) -> Vec<f32> {
    let x = s.pad(x);
    if s.options.groups == 1 {
        let g = s.spread(g);
        let g = View::new(&g, s.windows(), s.output, s.output);
        return product(s.window_view(&x).t(), g, products, Threads::All);
    }
    let mut dw = vec![0.0; s.kernel * s.group_input() * s.output];
    let row_in = s.row_frames() * s.input;
    let (ci, co) = (s.group_input(), s.group_output());
    let shared = Shared::new(&mut dw);
    let taps: Vec<usize> = (0..s.kernel).map(|k| k * s.input).collect();
    (0..s.options.groups).into_par_iter().for_each(|group| {
        let left =
            Left { data: &x, start: group * ci, row: 1, outer: row_in, inner: s.options.stride * s.input };
        let right = Panel { data: g, start: group * co, row: s.output, columns: co };
        small_product(&taps, ci, [s.batch, s.outputs], left, right, |k, c, column, values| {
            let offset = (k * ci + c) * s.output + group * co + column;
            // SAFETY: output channels of one group, which this task alone writes.
            let mut dw = unsafe { shared.rows(offset, 1, values.len(), s.output) };
            add(dw.row(0), values);
        });
    });
    dw
}

/// The right operand of a [`small_product`]: columns `start..start + columns` of a matrix with rows of `row` elements.
#[derive(Clone, Copy)]
struct Panel<'a> {
    data: &'a [f32],
    start: usize,
    row: usize,
    columns: usize,
}

impl Panel<'_> {
    /// Copies part of the columns of some rows next to each other, with zeros up to a multiple of [`UNIT`].
    fn pack(&self, rows: std::ops::Range<usize>, column: usize, used: usize, packed: &mut Vec<f32>) {
        packed.clear();
        for row in rows {
            let start = self.start + row * self.row + column;
            packed.extend_from_slice(&self.data[start..start + used]);
            packed.resize(packed.len() + used.next_multiple_of(UNIT) - used, 0.0);
        }
    }
}

/// For each of `starts`, a product of `rows` rows: `left`, moved by that start, times `right`.
///
/// Calls `add(which start, row, first column, values)` for all parts of the results; parts of one element come in order.
fn small_product(
    starts: &[usize],
    rows: usize,
    [outer, inner]: [usize; 2],
    left: Left<'_>,
    right: Panel<'_>,
    mut add: impl FnMut(usize, usize, usize, &[f32]),
) {
    let mut out: Tile = [[0.0; COLUMNS]; ROWS];
    let mut packed = Vec::new();
    for column in (0..right.columns).step_by(COLUMNS) {
        let used = (right.columns - column).min(COLUMNS);
        let width = used.next_multiple_of(UNIT);
        // As many outer steps as keep their part of the right operand in cache.
        let steps = (PANEL / (inner * width)).max(1);
        for first in (0..outer).step_by(steps) {
            let steps = steps.min(outer - first);
            right.pack(first * inner..(first + steps) * inner, column, used, &mut packed);
            let right = Right { data: &packed, start: 0, outer: inner * width, inner: width };
            for (which, start) in starts.iter().enumerate() {
                for row in (0..rows).step_by(ROWS) {
                    // The last tile reaches back over rows already done: a full tile costs little more than one row.
                    let begin = row.min(rows.saturating_sub(ROWS));
                    let left =
                        Left { start: left.start + start + begin * left.row + first * left.outer, ..left };
                    tile(&mut out, rows.min(ROWS), width, [steps, inner], left, right);
                    for (i, values) in out.iter().enumerate().take(rows.min(ROWS)).skip(row - begin) {
                        add(which, begin + i, column, &values[..used]);
                    }
                }
            }
        }
    }
}
