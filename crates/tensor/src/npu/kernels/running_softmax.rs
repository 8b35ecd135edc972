//! The vector cores of attention: a running softmax over blocks of keys.

use super::attention_plan::{Attention, Blocks, Job, Tensors};
use super::{Builder, Places, Ring};
use crate::npu::tile::ir::{
    Binary::{Add, Max, Mul, Sub},
    CoreKind, Elem, GmView, Instr, Local, Pipe, Reduce, Role, Space,
    Unary::{Abs, Exp, Ln, Reciprocal},
    VecOp,
};

/// Two places in memory through which matrices pass from core to core.
pub(super) struct Channel {
    ring: Ring,
    tensor: usize,
    len: usize,
    sent: usize,
    received: usize,
}

impl Channel {
    fn new(b: &mut Builder<'_>, elem: Elem, len: usize, from: (usize, Pipe), to: (usize, Pipe)) -> Self {
        let tensor = b.tensor("hand-over", elem, 2 * len, Role::Work);
        Self { ring: Ring::new(b, 2, from, to), tensor, len, sent: 0, received: 0 }
    }

    fn view(&self, b: &Builder<'_>, slot: usize, rows: usize, cols: usize) -> GmView {
        b.view(self.tensor, slot * self.len, rows, cols, cols)
    }

    /// Stores a matrix for the other side.
    pub fn send(&mut self, b: &mut Builder<'_>, core: usize, from: Local) {
        if from.is_empty() {
            return;
        }
        let slot = self.ring.fill(b);
        let to = self.view(b, slot, from.rows, from.cols);
        let instr =
            if from.space == Space::Ub { Instr::Store { from, to } } else { Instr::Fixpipe { from, to } };
        b.push(core, instr);
        self.ring.full(b, slot);
        self.sent += 1;
    }

    /// Loads the next matrix of the other side.
    pub fn receive(&mut self, b: &mut Builder<'_>, core: usize, [rows, cols]: [usize; 2], to: Local) {
        let slot = self.received % 2;
        self.ring.take(b, slot);
        let from = self.view(b, slot, rows, cols);
        b.load(core, from, to);
        self.ring.free(b, slot);
        self.received += 1;
    }
}

/// A vector core with the running softmax of its share of the queries.
pub(super) struct Softmax {
    core: usize,
    pub scores: Channel,
    pub weights: Channel,
    pub results: Channel,
    arrive: Ring,
    leave: Ring,
    collect: Ring,
    finish: Ring,
    /// Scores and masks of two blocks.
    blocks: Vec<[Local; 3]>,
    rounded: Vec<Local>,
    result: Local,
    sum: Local,
    /// Where there is a position bias: the bias of a block, and the keys' numbers from its first.
    bias: Option<[Local; 2]>,
    /// Largest score, total weight, a working column, and how much the sums of two blocks shrink.
    columns: [Local; 5],
}

impl Softmax {
    pub fn new(b: &mut Builder<'_>, op: &Attention, blocks: Blocks, vectors: usize, cube: usize) -> Self {
        let core = b.core(CoreKind::Vector);
        let (rows, keys) = (blocks.q.div_ceil(vectors), blocks.kv);
        let mut ub = Places::new(Space::Ub);
        let masks = |wanted: bool| if wanted { (rows, keys) } else { (0, 1) };
        let (mask, drop) = (masks(op.masked), masks(op.dropout.is_some()));
        let bias = op.alibi.then(|| [ub.matrix(rows, keys, Elem::F32), ub.matrix(1, keys, Elem::F32)]);
        if let Some([_, numbers]) = bias {
            b.vector(core, VecOp::Ramp { first: 0.0, step: 1.0 }, numbers, numbers);
        }
        let (fix, load) = ((cube, Pipe::Fixpipe), (core, Pipe::Mte2));
        Self {
            core,
            scores: Channel::new(b, Elem::F32, rows * keys, fix, load),
            weights: Channel::new(b, op.elem, rows * keys, (core, Pipe::Mte3), (cube, Pipe::Mte2)),
            results: Channel::new(b, Elem::F32, rows * op.dim, fix, load),
            arrive: Ring::new(b, 2, load, (core, Pipe::Vector)),
            leave: Ring::new(b, 2, (core, Pipe::Vector), (core, Pipe::Mte3)),
            collect: Ring::new(b, 1, load, (core, Pipe::Vector)),
            finish: Ring::new(b, 1, (core, Pipe::Vector), (core, Pipe::Mte3)),
            blocks: (0..2)
                .map(|_| {
                    let scores = ub.matrix(rows, keys, Elem::F32);
                    [scores, ub.matrix(mask.0, mask.1, op.elem), ub.matrix(drop.0, drop.1, op.elem)]
                })
                .collect(),
            rounded: (0..2).map(|_| ub.matrix(rows, keys, op.elem)).collect(),
            result: ub.matrix(rows, op.dim, Elem::F32),
            sum: ub.matrix(rows, op.dim, Elem::F32),
            bias,
            columns: std::array::from_fn(|_| ub.matrix(rows, 1, Elem::F32)),
        }
    }

    fn columns(&self, rows: usize) -> [Local; 5] {
        self.columns.map(|column| column.part(0, 0, rows, 1))
    }

    pub fn begin(&mut self, b: &mut Builder<'_>, op: &Attention, rows: usize) {
        if rows == 0 {
            return;
        }
        self.finish.fill(b);
        let [top, total, ..] = self.columns(rows);
        let sum = self.sum.part(0, 0, rows, op.dim);
        b.vector(self.core, VecOp::Fill(f32::MIN), top, top);
        b.vector(self.core, VecOp::Fill(0.0), total, total);
        b.vector(self.core, VecOp::Fill(0.0), sum, sum);
    }

    /// Weights of a block from its scores.
    pub fn weigh(
        &mut self,
        b: &mut Builder<'_>,
        op: &Attention,
        t: &Tensors,
        job: &Job,
        [first, rows]: [usize; 2],
        [step, start, count]: [usize; 3],
    ) {
        if rows == 0 {
            return;
        }
        let core = self.core;
        let slot = self.arrive.fill(b);
        let [s, mask, drop] = self.blocks[slot].map(|place| place.part(0, 0, rows, count));
        self.scores.receive(b, core, [rows, count], s);
        let query = job.start + first;
        if let Some(tensor) = t.mask {
            let at = (job.head / op.heads * op.queries + query) * op.keys + start;
            let from = b.view(tensor, at, rows, count, op.keys);
            b.load(core, from, mask);
        }
        if let Some(tensor) = t.drop {
            let at = (job.head * op.queries + query) * op.keys + start;
            let from = b.view(tensor, at, rows, count, op.keys);
            b.load(core, from, drop);
        }
        self.arrive.full(b, slot);
        self.arrive.take(b, slot);
        let [top, total, t1, even, odd] = self.columns(rows);
        let shrink = if step.is_multiple_of(2) { even } else { odd };
        b.vector(core, VecOp::Scalar(Mul, op.scale()), s, s);
        self.add_bias(b, op, job.head, query as f32 + op.first_position() - start as f32, (s, t1));
        if op.masked {
            b.vector2(core, VecOp::Select(f32::NEG_INFINITY), s, s, mask);
        }
        b.vector(core, VecOp::RowReduce(Reduce::Max), t1, s);
        b.vector2(core, VecOp::Binary(Max), t1, t1, top);
        b.vector2(core, VecOp::Binary(Sub), shrink, top, t1);
        b.vector(core, VecOp::Unary(Exp), shrink, shrink);
        b.vector(core, VecOp::Cast, top, t1);
        b.vector2(core, VecOp::Binary(Sub), s, s, top);
        b.vector(core, VecOp::Unary(Exp), s, s);
        b.vector(core, VecOp::RowReduce(Reduce::Sum), t1, s);
        b.vector2(core, VecOp::Binary(Mul), total, total, shrink);
        b.vector2(core, VecOp::Binary(Add), total, total, t1);
        if let Some(scale) = op.dropout {
            b.vector2(core, VecOp::Binary(Mul), s, s, drop);
            b.vector(core, VecOp::Scalar(Mul, scale), s, s);
        }
        let place = self.leave.fill(b);
        let rounded = self.rounded[place].part(0, 0, rows, count);
        b.vector(core, VecOp::Cast, rounded, s);
        self.arrive.free(b, slot);
        self.leave.full(b, place);
        self.leave.take(b, place);
        self.weights.send(b, core, rounded);
        self.leave.free(b, place);
    }

    /// Adds the position bias to the scores `s` of a block, whose first query stands `first` after its first key.
    fn add_bias(
        &self,
        b: &mut Builder<'_>,
        op: &Attention,
        head: usize,
        first: f32,
        (s, column): (Local, Local),
    ) {
        let Some([bias, numbers]) = self.bias else { return };
        let (core, bias) = (self.core, bias.part(0, 0, s.rows, s.cols));
        b.vector(core, VecOp::Ramp { first, step: 1.0 }, column, column);
        b.vector(core, VecOp::Fill(0.0), bias, bias);
        b.vector2(core, VecOp::Binary(Add), bias, bias, numbers.part(0, 0, 1, s.cols));
        b.vector2(core, VecOp::Binary(Sub), bias, bias, column);
        b.vector(core, VecOp::Unary(Abs), bias, bias);
        b.vector(core, VecOp::Scalar(Mul, -op.slope(head)), bias, bias);
        b.vector2(core, VecOp::Binary(Add), s, s, bias);
    }

    /// Adds a block's result to the sum.
    pub fn gather(&mut self, b: &mut Builder<'_>, op: &Attention, step: usize, rows: usize) {
        if rows == 0 {
            return;
        }
        let core = self.core;
        let slot = self.collect.fill(b);
        let result = self.result.part(0, 0, rows, op.dim);
        self.results.receive(b, core, [rows, op.dim], result);
        self.collect.full(b, slot);
        self.collect.take(b, slot);
        let [_, _, _, even, odd] = self.columns(rows);
        let sum = self.sum.part(0, 0, rows, op.dim);
        b.vector2(core, VecOp::Binary(Mul), sum, sum, if step.is_multiple_of(2) { even } else { odd });
        b.vector2(core, VecOp::Binary(Add), sum, sum, result);
        self.collect.free(b, slot);
    }

    /// Divides by the total weight and stores the result.
    pub fn end(
        &mut self,
        b: &mut Builder<'_>,
        op: &Attention,
        t: &Tensors,
        job: &Job,
        first: usize,
        rows: usize,
    ) {
        if rows == 0 {
            return;
        }
        let core = self.core;
        let [top, total, t1, ..] = self.columns(rows);
        let sum = self.sum.part(0, 0, rows, op.dim);
        b.vector(core, VecOp::Unary(Reciprocal), t1, total);
        b.vector2(core, VecOp::Binary(Mul), sum, sum, t1);
        b.vector(core, VecOp::Unary(Ln), t1, total);
        b.vector2(core, VecOp::Binary(Add), top, top, t1);
        self.finish.full(b, 0);
        self.finish.take(b, 0);
        let query = job.start + first;
        let to = b.view(t.out, job.at(op, op.queries, query), rows, op.dim, op.width());
        b.store(core, sum, to);
        let to = b.view(t.sums, job.head * op.queries + query, rows, 1, 1);
        b.store(core, top, to);
        self.finish.free(b, 0);
    }
}
