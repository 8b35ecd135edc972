//! Softmax and its logarithm.

use std::mem::MaybeUninit;
use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use crate::cpu::{self, softmax as kernel};
use crate::fused::{self, Kernel, dense, elements, owned, rows_of};
use crate::npu::{self, session::Session};
use crate::reference;

/// `exp(x) / Σ exp(x)` along `dim`. A row of −∞ gives zeros and has no gradient.
///
/// # Panics
/// Where `dim ≥ D`.
pub fn softmax<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
    if !fused::applies(&x) || dim + 1 != D {
        return reference::softmax(x, dim);
    }
    fused::apply1(Softmax, x)
}

/// [`softmax`] along the last dimension over the first `lengths[b]` elements of every row of `x[b]`; the others have no
/// weight and no gradient, whatever they hold. A row of length 0 gives zeros.
///
/// # Shapes
/// `[B, .., N]` → `[B, .., N]`; `lengths [B]`
///
/// # Panics
/// Where there is not a length for every `b`.
pub fn masked_softmax<const D: usize>(x: Tensor<D>, lengths: &[usize]) -> Tensor<D> {
    assert!(D > 1 && lengths.len() == x.dims()[0], "masked softmax: {:?}, lengths {lengths:?}", x.dims());
    if !fused::applies(&x) {
        return reference::masked_softmax(x, lengths);
    }
    fused::apply1(MaskedSoftmax { lengths: lengths.into() }, x)
}

/// `x − ln Σ exp(x)` along `dim`. A row of −∞ stays one, the logarithm of what [`softmax`] gives, and has no gradient.
///
/// # Panics
/// Where `dim ≥ D`.
pub fn log_softmax<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
    if !fused::applies(&x) || dim + 1 != D {
        return reference::log_softmax(x, dim);
    }
    fused::apply1(LogSoftmax, x)
}

/// Elements of the rows of `width` that one task works on.
fn piece(width: usize) -> usize {
    width * (cpu::PIECE / width.max(1)).max(1)
}

/// A new tensor of the results of `f` on pieces of whole rows.
fn new_rows(
    input: &FlexTensor,
    f: impl for<'a> Fn(&'a mut [MaybeUninit<f32>], &[f32], usize) -> &'a mut [f32] + Sync,
) -> FlexTensor {
    let (_, width) = rows_of(input);
    let out = cpu::map(elements(input), piece(width), |out, input| f(out, input, width));
    fused::tensor(out, input.layout().shape().clone())
}

/// Applies `f` to corresponding rows of `out` and `input`.
fn map_rows(out: &mut FlexTensor, input: &FlexTensor, f: impl Fn(&mut [f32], &[f32]) + Sync) {
    let (_, width) = rows_of(out);
    if width == 0 {
        return;
    }
    cpu::map_pieces(out.storage_mut(), elements(input), piece(width), |_, out, input| {
        out.chunks_exact_mut(width).zip(input.chunks_exact(width)).for_each(|(out, input)| f(out, input));
    });
}

#[derive(Debug, Clone)]
struct Softmax;

impl Kernel<1> for Softmax {
    type Saved = FlexTensor;

    fn forward(&self, [x]: [FlexTensor; 1], tracked: bool) -> (FlexTensor, Option<FlexTensor>) {
        let x = dense(x);
        let y = new_rows(&x, kernel::softmax_rows);
        (y.clone(), tracked.then_some(y))
    }

    fn backward(&self, y: FlexTensor, grad: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let mut grad = owned(grad);
        map_rows(&mut grad, &y, |grad, y| kernel::softmax_backward(grad, y, 1.0));
        [Some(grad)]
    }

    fn npu_forward(&self, npu: &Session, [x]: &[FlexTensor; 1]) -> Option<(FlexTensor, FlexTensor)> {
        npu_softmax(npu, x, false)
    }

    fn npu_backward(
        &self,
        npu: &Session,
        y: &FlexTensor,
        grad: &FlexTensor,
        _: [bool; 1],
    ) -> Option<[Option<FlexTensor>; 1]> {
        npu_softmax_backward(npu, y, grad, false)
    }
}

#[derive(Debug, Clone)]
struct MaskedSoftmax {
    lengths: Arc<[usize]>,
}

impl MaskedSoftmax {
    /// The length of a row of `x`.
    fn length(&self, x: &FlexTensor) -> impl Fn(usize) -> usize {
        let (rows, width) = rows_of(x);
        let each = (rows / self.lengths.len().max(1)).max(1);
        move |row| self.lengths[row / each].min(width)
    }

    /// A copy of `x` with `value` wherever nobody looks.
    fn hidden(&self, x: &FlexTensor, value: f32) -> FlexTensor {
        let (mut x, length) = (owned(x.clone()), self.length(x));
        let (_, width) = rows_of(&x);
        let rows = x.storage_mut::<f32>().chunks_exact_mut(width.max(1));
        rows.enumerate().for_each(|(row, x)| x[length(row)..].fill(value));
        x
    }
}

impl Kernel<1> for MaskedSoftmax {
    type Saved = FlexTensor;

    fn forward(&self, [x]: [FlexTensor; 1], tracked: bool) -> (FlexTensor, Option<FlexTensor>) {
        let x = dense(x);
        let (length, (_, width)) = (self.length(&x), rows_of(&x));
        let (piece, input) = (piece(width), elements(&x));
        let y = cpu::create(input.len(), piece, |i, y| {
            let (start, first) = (i * piece, i * piece / width.max(1));
            let x = &input[start..][..y.len()];
            kernel::masked_softmax_rows(y, x, width, |row| length(first + row))
        });
        let y = fused::tensor(y, x.layout().shape().clone());
        (y.clone(), tracked.then_some(y))
    }

    fn backward(&self, y: FlexTensor, grad: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let mut grad = owned(grad);
        let (length, (_, width)) = (self.length(&y), rows_of(&y));
        if width > 0 {
            let piece = piece(width);
            cpu::map_pieces(grad.storage_mut(), elements(&y), piece, |i, grad, y| {
                let rows = grad.chunks_exact_mut(width).zip(y.chunks_exact(width)).enumerate();
                for (row, (grad, y)) in rows {
                    let length = length(i * piece / width + row);
                    let (seen, hidden) = grad.split_at_mut(length);
                    kernel::softmax_backward(seen, &y[..length], 1.0);
                    hidden.fill(0.0);
                }
            });
        }
        [Some(grad)]
    }

    fn npu_forward(&self, npu: &Session, [x]: &[FlexTensor; 1]) -> Option<(FlexTensor, FlexTensor)> {
        // A row of −∞ would be −∞ − −∞ on a device.
        if self.lengths.contains(&0) {
            return None;
        }
        npu_softmax(npu, &self.hidden(x, f32::NEG_INFINITY), false)
    }

    fn npu_backward(
        &self,
        npu: &Session,
        y: &FlexTensor,
        grad: &FlexTensor,
        _: [bool; 1],
    ) -> Option<[Option<FlexTensor>; 1]> {
        npu_softmax_backward(npu, y, &self.hidden(grad, 0.0), false)
    }
}

/// Softmax, or its logarithm, on the NPU; the result is also what the backward pass needs.
fn npu_softmax(npu: &Session, x: &FlexTensor, log: bool) -> Option<(FlexTensor, FlexTensor)> {
    let x = dense(x.clone());
    if log && has_empty_row(&x) {
        return None;
    }
    let y = npu::ops::softmax(npu, elements(&x), rows_of(&x).1, log)?;
    let y = fused::tensor(y, x.layout().shape().clone());
    Some((y.clone(), y))
}

/// Whether all of a row is −∞: the device's program for log-softmax would subtract −∞ from itself.
fn has_empty_row(x: &FlexTensor) -> bool {
    let is_empty = |row: &[f32]| row.iter().all(|&x| x == f32::NEG_INFINITY);
    elements(x).chunks_exact(rows_of(x).1.max(1)).any(is_empty)
}

/// Gradient of [`npu_softmax`] from its result.
fn npu_softmax_backward(
    npu: &Session,
    y: &FlexTensor,
    grad: &FlexTensor,
    log: bool,
) -> Option<[Option<FlexTensor>; 1]> {
    if log && has_empty_row(y) {
        return None;
    }
    let grad = dense(grad.clone());
    let dx = npu::ops::softmax_backward(npu, elements(&grad), elements(y), rows_of(y).1, log)?;
    Some([Some(fused::tensor(dx, y.layout().shape().clone()))])
}

#[derive(Debug, Clone)]
struct LogSoftmax;

impl Kernel<1> for LogSoftmax {
    type Saved = FlexTensor;

    fn forward(&self, [x]: [FlexTensor; 1], tracked: bool) -> (FlexTensor, Option<FlexTensor>) {
        let x = dense(x);
        let y = new_rows(&x, kernel::log_softmax_rows);
        (y.clone(), tracked.then_some(y))
    }

    fn backward(&self, y: FlexTensor, grad: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let mut grad = owned(grad);
        map_rows(&mut grad, &y, kernel::log_softmax_backward);
        [Some(grad)]
    }

    fn npu_forward(&self, npu: &Session, [x]: &[FlexTensor; 1]) -> Option<(FlexTensor, FlexTensor)> {
        npu_softmax(npu, x, true)
    }

    fn npu_backward(
        &self,
        npu: &Session,
        y: &FlexTensor,
        grad: &FlexTensor,
        _: [bool; 1],
    ) -> Option<[Option<FlexTensor>; 1]> {
        npu_softmax_backward(npu, y, grad, true)
    }
}
