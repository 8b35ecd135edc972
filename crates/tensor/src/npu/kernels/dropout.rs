//! Dropout: the mask is computed from keys and lanes, bit for bit that of [`crate::ops::Dropout`].
//!
//! The 64-bit mix that makes a block's key is a handful of scalar operations for 4,096 elements; the host does it.
//! The 32-bit mixer of every lane runs on the vector cores.

use super::KernelError;
use super::engine::{Chunk, Emit};
use super::rows::{RowKernel, Rows};
use crate::npu::spec::DeviceSpec;
use crate::npu::tile::ir::{Binary::Mul, Elem, Local, Program, VecOp, Word};
use crate::options::dropout::{LANE, MIX};

/// The tensors of a mask: what the words of a row's lanes begin with, and for each row the word of its first lane and the
/// halves of its key.
fn words(kernel: &mut RowKernel<'_>, cols: usize) {
    kernel.constant("lanes", cols);
    for name in ["first", "low", "high"] {
        kernel.input(name, Elem::F32, 1);
    }
    kernel.work(2, 0);
}

/// `t = 1` where the element is kept, else 0. `first` is the first of the three columns among the inputs.
fn keep(e: &mut Emit<'_, '_>, c: &Chunk, first: usize, threshold: u32) -> Local {
    let (t, u) = (c.matrices[0], c.matrices[1]);
    let [start, low, high] = [0, 1, 2].map(|i| c.inputs[first + i]);
    e.one(VecOp::Fill(0.0), t, t);
    e.two(VecOp::Word(Word::Add), t, t, c.constants[0]);
    e.two(VecOp::Word(Word::Add), t, t, start);
    e.two(VecOp::Word(Word::Xor), t, t, low);
    let fold = |e: &mut Emit<'_, '_>, places: u32| {
        e.one(VecOp::Word(Word::Shift(places)), u, t);
        e.two(VecOp::Word(Word::Xor), t, t, u);
    };
    fold(e, 16);
    e.one(VecOp::Word(Word::Times(MIX[0])), t, t);
    fold(e, 15);
    e.two(VecOp::Word(Word::Add), t, t, high);
    e.one(VecOp::Word(Word::Times(MIX[1])), t, t);
    fold(e, 15);
    e.one(VecOp::Word(Word::AtLeast(threshold)), t, t);
    t
}

/// `y = x·scale` where an element is kept, else 0. Tensors: `x`, `lanes [cols]`, `first`, `low`, `high` `[rows]`, then `y`.
pub fn dropout(spec: &DeviceSpec, op: Rows, threshold: u32, scale: f32) -> Result<Program, KernelError> {
    let mut kernel = op.kernel(spec, "dropout");
    kernel.input("x", op.elem, op.cols);
    words(&mut kernel, op.cols);
    kernel.output("y", op.elem, op.cols);
    kernel.finish(&|e, c| {
        let kept = keep(e, c, 1, threshold);
        e.scalar(Mul, c.outputs[0], c.inputs[0], scale);
        e.two(VecOp::Select(0.0), c.outputs[0], c.outputs[0], kept);
    })
}

/// 1 where an element is kept, else 0. Tensors: `lanes [cols]`, `first`, `low`, `high` `[rows]`, then `mask`.
pub fn mask(spec: &DeviceSpec, op: Rows, threshold: u32) -> Result<Program, KernelError> {
    let mut kernel = op.kernel(spec, "dropout mask");
    words(&mut kernel, op.cols);
    kernel.output("mask", op.elem, op.cols);
    kernel.finish(&|e, c| {
        let kept = keep(e, c, 0, threshold);
        e.one(VecOp::Cast, c.outputs[0], kept);
    })
}

/// What a row of `cols` lanes begins with, as bits of single-precision numbers.
pub fn lanes(cols: usize) -> Vec<f32> {
    (0..cols as u32).map(|lane| f32::from_bits(lane.wrapping_mul(LANE))).collect()
}

/// The columns `first`, `low` and `high` of rows with these keys and first lanes.
pub fn keys(rows: impl Iterator<Item = (u64, u32)>) -> [Vec<f32>; 3] {
    let mut columns = [Vec::new(), Vec::new(), Vec::new()];
    for (key, lane) in rows {
        let words = [lane.wrapping_mul(LANE), key as u32, (key >> 32) as u32];
        columns.iter_mut().zip(words).for_each(|(column, word)| column.push(f32::from_bits(word)));
    }
    columns
}
