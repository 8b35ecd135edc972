//! One-dimensional convolution, channels last, as products on windows of the input.
//!
//! With channels last, the window of output frame `t` is the run of `K·C` elements from padded frame `t·stride`:
//! a matrix with overlapping rows. Frames outside the input are zeros that the load fills in.

use super::matmul::on_cube_cores;
use super::product::{Matrix, Product, Segment, Tile};
use super::{Builder, KernelError};
use crate::npu::spec::DeviceSpec;
use crate::npu::tile::ir::{Elem, Program, Role};
use crate::options::Conv1dSizes;

/// A convolution on the cube; see [`crate::ops::conv1d`] for the formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv {
    /// Its sizes.
    pub sizes: Conv1dSizes,
    /// Type of input, weight and gradient.
    pub elem: Elem,
}

impl Conv {
    fn name(&self, what: &str) -> String {
        let Conv1dSizes { batch, frames, kernel, input, output, options, .. } = self.sizes;
        format!("{what} [{batch}, {frames}, {input}] * [{kernel}, {input}/{}, {output}]", options.groups)
    }

    pub(crate) fn x_len(&self) -> usize {
        self.sizes.batch * self.sizes.frames * self.sizes.input
    }

    pub(crate) fn y_len(&self) -> usize {
        self.sizes.batch * self.sizes.outputs * self.sizes.output
    }

    pub(crate) fn w_len(&self) -> usize {
        self.sizes.kernel * self.sizes.input / self.sizes.options.groups * self.sizes.output
    }

    /// First and last element of a row of the batch.
    fn row(&self, b: usize, frames: usize, channels: usize) -> (usize, usize) {
        (b * frames * channels, (b + 1) * frames * channels)
    }

    /// The windows of row `b` for one group: one segment, or one for every tap where channels are not neighbours.
    ///
    /// `b` offsets are those of the weight `[K, C/groups, C_out]`.
    fn windows(&self, row: usize, group: usize) -> Vec<Segment> {
        let (ci, co) =
            (self.sizes.input / self.sizes.options.groups, self.sizes.output / self.sizes.options.groups);
        let a_valid = self.row(row, self.sizes.frames, self.sizes.input);
        let first = a_valid.0 as isize - (self.sizes.options.pad_left * self.sizes.input) as isize;
        if self.sizes.options.groups == 1 {
            return vec![Segment { a: first, a_valid, b: 0, len: self.sizes.kernel * self.sizes.input }];
        }
        (0..self.sizes.kernel)
            .map(|k| Segment {
                a: first + (k * self.sizes.input + group * ci) as isize,
                a_valid,
                b: (k * ci * self.sizes.output + group * co) as isize,
                len: ci,
            })
            .collect()
    }
}

/// Tensors: `x [B, T, C_in]`, `w [K, C_in/groups, C_out]`, `[bias [C_out]]`, then `y [B, T', C_out]`.
pub fn forward(spec: &DeviceSpec, op: Conv, bias: bool) -> Result<Program, KernelError> {
    let mut b = Builder::new(spec, op.name("conv1d"));
    b.cube_takes(op.elem)?;
    let x = b.tensor("x", op.elem, op.x_len(), Role::Input);
    let w = b.tensor("w", op.elem, op.w_len(), Role::Input);
    let bias = bias.then(|| b.tensor("bias", Elem::F32, op.sizes.output, Role::Input));
    let y = b.tensor("y", Elem::F32, op.y_len(), Role::Output);
    let co = op.sizes.output / op.sizes.options.groups;
    let mut products = Vec::new();
    for row in 0..op.sizes.batch {
        for group in 0..op.sizes.options.groups {
            products.push(Product {
                rows: op.sizes.outputs,
                cols: co,
                a: Matrix { tensor: x, stride: op.sizes.options.stride * op.sizes.input, transposed: false },
                b: Matrix { tensor: w, stride: op.sizes.output, transposed: false },
                segments: op.windows(row, group),
                out: (y, row * op.sizes.outputs * op.sizes.output + group * co, op.sizes.output),
                bias: bias.map(|bias| (bias, group * co)),
            });
        }
    }
    let depth = products.first().map_or(1, depth);
    let tile = Tile::choose(spec, [op.sizes.outputs, co, depth, products.len()]);
    on_cube_cores(&mut b, &products, tile, op.elem);
    Ok(b.program)
}

/// Padded contraction of a product.
fn depth(product: &Product) -> usize {
    product.segments.iter().map(|segment| super::pad16(segment.len)).sum()
}

/// Gradient of the weight, `dw[k] = Σ_{b, t} x[b, t·stride + k − pad_left]ᵀ·g[b, t]`. Tensors: `x`, `g`, then `dw`.
pub fn weight_gradient(spec: &DeviceSpec, op: Conv) -> Result<Program, KernelError> {
    let mut b = Builder::new(spec, op.name("conv1d weight gradient"));
    b.cube_takes(op.elem)?;
    let x = b.tensor("x", op.elem, op.x_len(), Role::Input);
    let g = b.tensor("g", op.elem, op.y_len(), Role::Input);
    let dw = b.tensor("dw", Elem::F32, op.w_len(), Role::Output);
    let (ci, co) = (op.sizes.input / op.sizes.options.groups, op.sizes.output / op.sizes.options.groups);
    let mut products = Vec::new();
    for group in 0..op.sizes.options.groups {
        // A product for every run of neighbouring channels of the window.
        let runs = op.windows(0, group);
        for (tap, run) in runs.iter().enumerate() {
            let segments = (0..op.sizes.batch).map(|row| {
                let a_valid = op.row(row, op.sizes.frames, op.sizes.input);
                Segment {
                    a: run.a + a_valid.0 as isize,
                    a_valid,
                    b: (row * op.sizes.outputs * op.sizes.output + group * co) as isize,
                    len: op.sizes.outputs,
                }
            });
            products.push(Product {
                rows: run.len,
                cols: co,
                a: Matrix { tensor: x, stride: op.sizes.options.stride * op.sizes.input, transposed: true },
                b: Matrix { tensor: g, stride: op.sizes.output, transposed: false },
                segments: segments.collect(),
                out: (dw, tap * ci * op.sizes.output + group * co, op.sizes.output),
                bias: None,
            });
        }
    }
    let (rows, depth) = products.first().map_or((1, 1), |product| (product.rows, depth(product)));
    let tile = Tile::choose(spec, [rows, co, depth, products.len()]);
    on_cube_cores(&mut b, &products, tile, op.elem);
    Ok(b.program)
}

/// Gradient of the input, `dx[b, t·stride + k − pad_left] += g[b, t]·w[k]ᵀ`. Tensors: `g`, `w`, then `dx`.
///
/// Padded frames `u = i·stride + r` of one residue `r` see taps `k = m·stride + r` at outputs `t = i − m`.
pub fn input_gradient(spec: &DeviceSpec, op: Conv) -> Result<Program, KernelError> {
    let mut b = Builder::new(spec, op.name("conv1d input gradient"));
    b.cube_takes(op.elem)?;
    let g = b.tensor("g", op.elem, op.y_len(), Role::Input);
    let w = b.tensor("w", op.elem, op.w_len(), Role::Input);
    let dx = b.tensor("dx", Elem::F32, op.x_len(), Role::Output);
    let (ci, co) = (op.sizes.input / op.sizes.options.groups, op.sizes.output / op.sizes.options.groups);
    let mut products = Vec::new();
    for residue in 0..op.sizes.options.stride {
        let first = op.sizes.options.pad_left.saturating_sub(residue).div_ceil(op.sizes.options.stride);
        let frame = first * op.sizes.options.stride + residue - op.sizes.options.pad_left;
        if frame >= op.sizes.frames {
            continue;
        }
        for row in 0..op.sizes.batch {
            for group in 0..op.sizes.options.groups {
                let a_valid = op.row(row, op.sizes.outputs, op.sizes.output);
                let mut segments: Vec<Segment> = (residue..op.sizes.kernel)
                    .step_by(op.sizes.options.stride)
                    .enumerate()
                    .map(|(m, k)| Segment {
                        a: a_valid.0 as isize
                            + (first as isize - m as isize) * op.sizes.output as isize
                            + (group * co) as isize,
                        a_valid,
                        b: (k * ci * op.sizes.output + group * co) as isize,
                        len: co,
                    })
                    .collect();
                if segments.is_empty() {
                    // No tap reaches these frames: their gradient is zero.
                    segments.push(Segment { a: 0, a_valid: (0, 0), b: 0, len: co });
                }
                products.push(Product {
                    rows: (op.sizes.frames - frame).div_ceil(op.sizes.options.stride),
                    cols: ci,
                    a: Matrix { tensor: g, stride: op.sizes.output, transposed: false },
                    b: Matrix { tensor: w, stride: op.sizes.output, transposed: true },
                    segments,
                    out: (
                        dx,
                        (row * op.sizes.frames + frame) * op.sizes.input + group * ci,
                        op.sizes.options.stride * op.sizes.input,
                    ),
                    bias: None,
                });
            }
        }
    }
    let (rows, depth) = products.first().map_or((1, 1), |product| (product.rows, depth(product)));
    let tile = Tile::choose(spec, [rows, ci, depth, products.len()]);
    on_cube_cores(&mut b, &products, tile, op.elem);
    Ok(b.program)
}
