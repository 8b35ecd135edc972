//! Parameter updates: one pass over memory, the operations of [`crate::ops::adamw`] and [`crate::ops::ema`] in their order.

use super::KernelError;
use super::rows::Rows;
use crate::npu::spec::DeviceSpec;
use crate::npu::tile::ir::{
    Binary::{Add, Div, Mul, Sub},
    Local, Program,
    Unary::Sqrt,
    VecOp,
};

/// Scalars of an AdamW update: `β₁, 1−β₁, β₂, 1−β₂, 1 − lr·decay, lr/(1−β₁ᵗ), 1/√(1−β₂ᵗ), ε`.
///
/// They come from memory, not with the instructions: they change with every step, the program does not.
pub const ADAMW_SCALARS: usize = 8;

/// Scalars of an average: momentum and `1 − momentum`.
pub const EMA_SCALARS: usize = 2;

/// One AdamW update. Tensors: `p`, `g`, `m`, `v`, `scalars [8]`, then new `p`, `m`, `v`.
pub fn adamw(spec: &DeviceSpec, op: Rows) -> Result<Program, KernelError> {
    let mut kernel = op.kernel(spec, "adamw");
    for name in ["p", "g", "m", "v"] {
        kernel.input(name, op.elem, op.cols);
    }
    kernel.constant("scalars", ADAMW_SCALARS);
    for name in ["new p", "new m", "new v"] {
        kernel.output(name, op.elem, op.cols);
    }
    kernel.work(1, 0);
    kernel.finish(&|e, c| {
        let scalar = |i: usize| -> Local { c.constants[0].part(0, i, 1, 1) };
        let [p, g, m, v] = [0, 1, 2, 3].map(|i| c.inputs[i]);
        let (new_p, new_m, new_v, t) = (c.outputs[0], c.outputs[1], c.outputs[2], c.matrices[0]);
        e.two(VecOp::Binary(Mul), t, g, scalar(1));
        e.two(VecOp::Binary(Mul), new_m, m, scalar(0));
        e.two(VecOp::Binary(Add), new_m, new_m, t);
        e.two(VecOp::Binary(Mul), t, g, g);
        e.two(VecOp::Binary(Mul), t, t, scalar(3));
        e.two(VecOp::Binary(Mul), new_v, v, scalar(2));
        e.two(VecOp::Binary(Add), new_v, new_v, t);
        e.one(VecOp::Unary(Sqrt), t, new_v);
        e.two(VecOp::Binary(Mul), t, t, scalar(6));
        e.two(VecOp::Binary(Add), t, t, scalar(7));
        e.two(VecOp::Binary(Div), t, new_m, t);
        e.two(VecOp::Binary(Mul), t, t, scalar(5));
        e.two(VecOp::Binary(Mul), new_p, p, scalar(4));
        e.two(VecOp::Binary(Sub), new_p, new_p, t);
    })
}

/// An exponential moving average. Tensors: `teacher`, `student`, `scalars [2]`, then the new `teacher`.
pub fn ema(spec: &DeviceSpec, op: Rows) -> Result<Program, KernelError> {
    let mut kernel = op.kernel(spec, "ema");
    kernel.input("teacher", op.elem, op.cols);
    kernel.input("student", op.elem, op.cols);
    kernel.constant("scalars", EMA_SCALARS);
    kernel.output("new teacher", op.elem, op.cols);
    kernel.work(1, 0);
    kernel.finish(&|e, c| {
        let (momentum, rest) = (c.constants[0].part(0, 0, 1, 1), c.constants[0].part(0, 1, 1, 1));
        let (t, y) = (c.matrices[0], c.outputs[0]);
        e.two(VecOp::Binary(Mul), t, c.inputs[1], rest);
        e.two(VecOp::Binary(Mul), y, c.inputs[0], momentum);
        e.two(VecOp::Binary(Add), y, y, t);
    })
}
