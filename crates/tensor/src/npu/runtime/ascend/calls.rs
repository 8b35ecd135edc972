//! Operations as calls: a first one that plans, says how much memory it needs and makes an executor, a second one that
//! starts the executor, which is used up by it.

use std::ffi::c_char;
use std::ptr::null_mut;
use std::sync::atomic::Ordering;

use super::handles::{Descriptor, Layout};
use super::library::Handle;
use super::{AscendRuntime, Mutation};
use crate::npu::kernels::conv::Conv;
use crate::npu::kernels::matmul::Matmul;
use crate::npu::kernels::rows::Rows;
use crate::npu::runtime::{Buffer, OpDesc, RuntimeError};
use crate::npu::tile::Elem;

/// Lets the cube round single-precision operands.
const ROUNDED_OPERANDS: i8 = 1;
/// Single precision, as a type of a result.
const FLOAT: i32 = 0;
/// The error function, not its approximation by the hyperbolic tangent.
const EXACT: i64 = 0;
const EXACT_NAME: &[u8] = b"none\0";

type Second = unsafe extern "C" fn(Handle, u64, Handle, Handle) -> i32;

/// Calls `$name` + `GetWorkspaceSize` with arguments of the given types, then `$name`.
macro_rules! call {
    ($runtime:expr, $name:literal, $($arg:expr => $type:ty),* $(,)?) => {{
        let runtime: &AscendRuntime = $runtime;
        let (mut bytes, mut executor): (u64, Handle) = (0, null_mut());
        type First = unsafe extern "C" fn($($type,)* *mut u64, *mut Handle) -> i32;
        // SAFETY: the types are the documented signature.
        let first: First = unsafe { runtime.api.operation(concat!($name, "GetWorkspaceSize")) }?;
        // SAFETY: all handles are alive; both pointers are valid during the call.
        let code = unsafe { first($($arg,)* &mut bytes, &mut executor) };
        runtime.check(concat!($name, "GetWorkspaceSize"), code)?;
        start(runtime, $name, bytes, executor)
    }};
}

fn start(
    runtime: &AscendRuntime,
    name: &'static str,
    bytes: u64,
    executor: Handle,
) -> Result<(), RuntimeError> {
    let prepared = prepare(runtime, name, bytes);
    if prepared.is_err() {
        // SAFETY: the executor was made and is not started.
        unsafe { (runtime.api.aclDestroyAclOpExecutor)(executor) };
    }
    let (second, workspace) = prepared?;
    runtime.in_flight.store(true, Ordering::Relaxed);
    // SAFETY: the workspace has the size that the first call asked for; the executor is used once.
    let code = unsafe { second(workspace as Handle, bytes, executor, runtime.stream as Handle) };
    runtime.check(name, code)?;
    if runtime.mutation == Some(Mutation::ReuseExecutor) {
        // SAFETY: against the stub alone, which keeps executors until they are waited for.
        let code = unsafe { second(workspace as Handle, bytes, executor, runtime.stream as Handle) };
        runtime.check(name, code)?;
    }
    Ok(())
}

/// The second call and its workspace, which must outlive the operation: it runs later.
fn prepare(runtime: &AscendRuntime, name: &'static str, bytes: u64) -> Result<(Second, usize), RuntimeError> {
    // SAFETY: every second call has this type.
    let second = unsafe { runtime.api.operation(name) }?;
    if bytes == 0 {
        return Ok((second, 0));
    }
    let workspace = runtime.malloc(bytes as usize)?;
    runtime.pending().push(workspace);
    Ok((second, workspace))
}

/// Starts an operation.
pub fn launch(runtime: &AscendRuntime, op: &OpDesc, tensors: &[Buffer]) -> Result<(), RuntimeError> {
    let slots = op.signature();
    let unsupported = || RuntimeError::Unsupported { runtime: "AscendCL binding".into(), op: op.name() };
    if slots.iter().any(|slot| slot.elem != Elem::F32) {
        return Err(unsupported());
    }
    if slots.len() != tensors.len() {
        return Err(RuntimeError::Buffer(format!("{} takes {} tensors", op.name(), slots.len())));
    }
    match op {
        OpDesc::Matmul(op) => matmul(runtime, op, tensors),
        OpDesc::Conv { conv, bias } => convolution(runtime, conv, *bias, tensors),
        OpDesc::ConvInputGradient(conv) => convolution_backward(
            runtime,
            conv,
            [Some(tensors[0]), None, Some(tensors[1])],
            [Some(tensors[2]), None],
        ),
        OpDesc::ConvWeightGradient(conv) => convolution_backward(
            runtime,
            conv,
            [Some(tensors[1]), Some(tensors[0]), None],
            [None, Some(tensors[2])],
        ),
        OpDesc::Attention(_) | OpDesc::AttentionBackward(_) | OpDesc::Contrastive(_) | OpDesc::Ctc(_) => {
            Err(unsupported())
        }
        _ => row_operation(runtime, op, tensors),
    }
}

fn matmul(runtime: &AscendRuntime, op: &Matmul, tensors: &[Buffer]) -> Result<(), RuntimeError> {
    let matrix = |buffer, rows, cols, transposed| {
        let layout = if transposed {
            Layout::dense(&[cols, rows]).permuted(&[1, 0])
        } else {
            Layout::dense(&[rows, cols])
        };
        Descriptor::tensor(runtime, buffer, &layout)
    };
    let a = matrix(tensors[0], op.m, op.k, op.a_transposed)?;
    let b = matrix(tensors[1], op.k, op.n, op.b_transposed)?;
    let out = matrix(tensors[tensors.len() - 1], op.m, op.n, false)?;
    if !op.bias {
        return call!(runtime, "aclnnMatmul",
            a.handle => Handle, b.handle => Handle, out.handle => Handle, ROUNDED_OPERANDS => i8);
    }
    let bias = Descriptor::tensor(runtime, tensors[2], &Layout::dense(&[op.n]))?;
    let one = Descriptor::scalar(&runtime.api, 1.0)?;
    call!(runtime, "aclnnAddmm",
        bias.handle => Handle, a.handle => Handle, b.handle => Handle,
        one.handle => Handle, one.handle => Handle, out.handle => Handle, ROUNDED_OPERANDS => i8)
}

fn row_operation(runtime: &AscendRuntime, op: &OpDesc, tensors: &[Buffer]) -> Result<(), RuntimeError> {
    let matrix =
        |op: &Rows, i: usize| Descriptor::tensor(runtime, tensors[i], &Layout::dense(&[op.rows, op.cols]));
    let row = |op: &Rows, i: usize| Descriptor::tensor(runtime, tensors[i], &Layout::dense(&[op.cols]));
    let column = |op: &Rows, i: usize| Descriptor::tensor(runtime, tensors[i], &Layout::dense(&[op.rows, 1]));
    match op {
        OpDesc::ColumnSums(op) => {
            let (x, out) = (matrix(op, 0)?, row(op, 1)?);
            let dims = Descriptor::ints(&runtime.api, &[0])?;
            call!(runtime, "aclnnReduceSum",
                x.handle => Handle, dims.handle => Handle, false => bool, FLOAT => i32, out.handle => Handle)
        }
        OpDesc::Softmax { rows, logarithm } => {
            let (x, y) = (matrix(rows, 0)?, matrix(rows, 1)?);
            if *logarithm {
                call!(runtime, "aclnnLogSoftmax", x.handle => Handle, 1 => i64, y.handle => Handle)
            } else {
                call!(runtime, "aclnnSoftmax", x.handle => Handle, 1 => i64, y.handle => Handle)
            }
        }
        OpDesc::SoftmaxBackward { rows, logarithm } => {
            let (g, y, dx) = (matrix(rows, 0)?, matrix(rows, 1)?, matrix(rows, 2)?);
            if *logarithm {
                call!(runtime, "aclnnLogSoftmaxBackward",
                    g.handle => Handle, y.handle => Handle, 1 => i64, dx.handle => Handle)
            } else {
                call!(runtime, "aclnnSoftmaxBackward",
                    g.handle => Handle, y.handle => Handle, 1 => i64, dx.handle => Handle)
            }
        }
        OpDesc::Gelu(op) => {
            let (x, y) = (matrix(op, 0)?, matrix(op, 1)?);
            call!(runtime, "aclnnGeluV2", x.handle => Handle, EXACT => i64, y.handle => Handle)
        }
        OpDesc::GeluBackward(op) => {
            let (g, x, dx) = (matrix(op, 0)?, matrix(op, 1)?, matrix(op, 2)?);
            call!(runtime, "aclnnGeluBackwardV2",
                g.handle => Handle, x.handle => Handle, EXACT_NAME.as_ptr().cast() => *const c_char, dx.handle => Handle)
        }
        OpDesc::LayerNorm { rows, epsilon } => {
            let (x, gamma, beta) = (matrix(rows, 0)?, row(rows, 1)?, row(rows, 2)?);
            let (y, mean, rate) = (matrix(rows, 3)?, column(rows, 4)?, column(rows, 5)?);
            let shape = Descriptor::ints(&runtime.api, &[rows.cols])?;
            call!(runtime, "aclnnLayerNorm",
                x.handle => Handle, shape.handle => Handle, gamma.handle => Handle, beta.handle => Handle,
                f64::from(*epsilon) => f64, y.handle => Handle, mean.handle => Handle, rate.handle => Handle)
        }
        OpDesc::LayerNormBackward(op) => {
            let (g, x, mean, rate) = (matrix(op, 0)?, matrix(op, 1)?, column(op, 2)?, column(op, 3)?);
            let (gamma, dx, dgamma, dbeta) = (row(op, 4)?, matrix(op, 5)?, row(op, 6)?, row(op, 7)?);
            let shape = Descriptor::ints(&runtime.api, &[op.cols])?;
            let mask = Descriptor::bools(&runtime.api, &[true; 3])?;
            // Without a shift the library needs none; its gradient has the shape of the scale's.
            call!(runtime, "aclnnLayerNormBackward",
                g.handle => Handle, x.handle => Handle, shape.handle => Handle, mean.handle => Handle,
                rate.handle => Handle, gamma.handle => Handle, gamma.handle => Handle, mask.handle => Handle,
                dx.handle => Handle, dgamma.handle => Handle, dbeta.handle => Handle)
        }
        _ => Err(RuntimeError::Unsupported { runtime: "AscendCL binding".into(), op: op.name() }),
    }
}

/// `[B, T, C]` as the library wants it: batch, channels, frames.
fn frames(batch: usize, frames: usize, channels: usize) -> Layout {
    Layout::dense(&[batch, frames, channels]).permuted(&[0, 2, 1]).channels_first()
}

/// `[K, C_in/groups, C_out]` as the library wants it: outputs, inputs, taps.
fn taps(conv: &Conv) -> Layout {
    Layout::dense(&[conv.sizes.kernel, conv.sizes.input / conv.sizes.options.groups, conv.sizes.output])
        .permuted(&[2, 1, 0])
        .channels_first()
}

/// The arrays of numbers that both calls of a convolution take.
struct Numbers<'a> {
    stride: Descriptor<'a>,
    padding: Descriptor<'a>,
    dilation: Descriptor<'a>,
    none: Descriptor<'a>,
}

impl<'a> Numbers<'a> {
    /// The library pads both sides alike: others are refused ([`pads_alike`](crate::npu::runtime::NpuRuntime::pads_alike)).
    fn new(runtime: &'a AscendRuntime, conv: &Conv) -> Result<Self, RuntimeError> {
        let padded = conv.sizes.frames + 2 * conv.sizes.options.pad_left;
        let outputs = padded.checked_sub(conv.sizes.kernel).map(|room| room / conv.sizes.options.stride + 1);
        if outputs != Some(conv.sizes.outputs) {
            let op = "conv1d with unequal padding";
            return Err(RuntimeError::Unsupported { runtime: "AscendCL binding".into(), op });
        }
        let ints = |value| Descriptor::ints(&runtime.api, &[value]);
        Ok(Self {
            stride: ints(conv.sizes.options.stride)?,
            padding: ints(conv.sizes.options.pad_left)?,
            dilation: ints(1)?,
            none: ints(0)?,
        })
    }
}

fn convolution(
    runtime: &AscendRuntime,
    conv: &Conv,
    bias: bool,
    tensors: &[Buffer],
) -> Result<(), RuntimeError> {
    let numbers = Numbers::new(runtime, conv)?;
    let x = Descriptor::tensor(
        runtime,
        tensors[0],
        &frames(conv.sizes.batch, conv.sizes.frames, conv.sizes.input),
    )?;
    let w = Descriptor::tensor(runtime, tensors[1], &taps(conv))?;
    let bias = bias
        .then(|| Descriptor::tensor(runtime, tensors[2], &Layout::dense(&[conv.sizes.output])))
        .transpose()?;
    let out = &frames(conv.sizes.batch, conv.sizes.outputs, conv.sizes.output);
    let y = Descriptor::tensor(runtime, tensors[tensors.len() - 1], out)?;
    call!(runtime, "aclnnConvolution",
        x.handle => Handle, w.handle => Handle, bias.as_ref().map_or(null_mut(), |b| b.handle) => Handle,
        numbers.stride.handle => Handle, numbers.padding.handle => Handle, numbers.dilation.handle => Handle,
        false => bool, numbers.none.handle => Handle, conv.sizes.options.groups as i64 => i64, y.handle => Handle,
        ROUNDED_OPERANDS => i8)
}

/// Gradients of input and weight, as wanted. The library describes both operands even where one gradient needs only one;
/// an operand that is not at hand is described by the memory of the result of its shape.
fn convolution_backward(
    runtime: &AscendRuntime,
    conv: &Conv,
    [g, x, w]: [Option<Buffer>; 3],
    [dx, dw]: [Option<Buffer>; 2],
) -> Result<(), RuntimeError> {
    let numbers = Numbers::new(runtime, conv)?;
    let describe = |buffer: Option<Buffer>, layout: &Layout| {
        buffer.map(|buffer| Descriptor::tensor(runtime, buffer, layout)).transpose()
    };
    let input = frames(conv.sizes.batch, conv.sizes.frames, conv.sizes.input);
    let handle = |d: &Option<Descriptor<'_>>| d.as_ref().map_or(null_mut(), |d| d.handle);
    let g = describe(g, &frames(conv.sizes.batch, conv.sizes.outputs, conv.sizes.output))?;
    let (x, w) = (describe(x.or(dx), &input)?, describe(w.or(dw), &taps(conv))?);
    let mask = Descriptor::bools(&runtime.api, &[dx.is_some(), dw.is_some(), false])?;
    let bias = Descriptor::ints(&runtime.api, &[conv.sizes.output])?;
    let (dx, dw) = (describe(dx, &input)?, describe(dw, &taps(conv))?);
    call!(runtime, "aclnnConvolutionBackward",
        handle(&g) => Handle, handle(&x) => Handle, handle(&w) => Handle, bias.handle => Handle,
        numbers.stride.handle => Handle, numbers.padding.handle => Handle, numbers.dilation.handle => Handle,
        false => bool, numbers.none.handle => Handle, conv.sizes.options.groups as i32 => i32, mask.handle => Handle,
        ROUNDED_OPERANDS => i8, handle(&dx) => Handle, handle(&dw) => Handle, null_mut() => Handle)
}
