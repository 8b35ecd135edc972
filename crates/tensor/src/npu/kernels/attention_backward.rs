//! Gradients of attention.
//!
//! Three stages, each ended by all cores meeting: the cubes multiply scores and the gradients of the weights; the
//! vector cores turn them into weights `P` and score gradients `dS`; the cubes multiply
//! `dV = Pᵀ·dO`, `dK = dSᵀ·Q`, `dQ = dS·K`.
//!
//! # Differences from the hardware's own kernel
//! `P` and `dS` of all queries and keys are kept in working memory (half precision) together with the scores (single
//! precision): working memory grows with `T_q·T_k`. The published kernel makes them again, block by block.

use super::attention::Attention;
use super::engine::{Job, Plan, Stream, run as run_rows};
use super::matmul::on_cube_cores;
use super::product::{CubeCore, Matrix, Product, Segment, Tile, run as run_products};
use super::{Builder, KernelError};
use crate::npu::spec::DeviceSpec;
use crate::npu::tile::ir::{
    Binary::{Add, Mul, Sub},
    CoreKind, Elem, Pipe, Program, Reduce, Role,
    Unary::{Abs, Exp},
    VecOp,
};

/// Tensors: `q`, `k`, `v`, `dout`, `sums [B, H, T_q]`, `[mask]`, `[drop]`, then `dq`, `dk`, `dv`.
pub fn attention_backward(spec: &DeviceSpec, op: Attention) -> Result<Program, KernelError> {
    let mut b = Builder::new(spec, op.name("attention backward"));
    b.cube_takes(op.elem)?;
    let q = b.tensor("q", op.elem, op.query_len(), Role::Input);
    let k = b.tensor("k", op.elem, op.key_len(), Role::Input);
    let v = b.tensor("v", op.elem, op.key_len(), Role::Input);
    let dout = b.tensor("dout", op.elem, op.query_len(), Role::Input);
    let sums = b.tensor("sums", Elem::F32, op.batch * op.heads * op.queries, Role::Input);
    let mask = op.masked.then(|| b.tensor("mask", op.elem, op.batch * op.queries * op.keys, Role::Input));
    let drop = op.dropout.is_some().then(|| b.tensor("drop", op.elem, op.score_len(), Role::Input));
    let dq = b.tensor("dq", Elem::F32, op.query_len(), Role::Output);
    let dk = b.tensor("dk", Elem::F32, op.key_len(), Role::Output);
    let dv = b.tensor("dv", Elem::F32, op.key_len(), Role::Output);
    let work = |b: &mut Builder<'_>, name, elem| b.tensor(name, elem, op.score_len(), Role::Work);
    let (scores, inner) = (work(&mut b, "scores", Elem::F32), work(&mut b, "dP", Elem::F32));
    let (weights, ds) = (work(&mut b, "P", op.elem), work(&mut b, "dS", op.elem));

    let heads = Heads { op };
    let first = [heads.scores(q, k, scores), heads.scores(dout, v, inner)].concat();
    let tile = Tile::choose(spec, [op.queries, op.keys, op.dim, first.len()]);
    let multiplied = on_cube_cores(&mut b, &first, tile, op.elem);

    let rows = op.batch * op.heads * op.queries;
    let vectors: Vec<usize> =
        (0..spec.cores.vector.count().min(rows)).map(|_| b.core(CoreKind::Vector)).collect();
    b.barrier(&multiplied, Pipe::Fixpipe, &vectors);
    soften(&mut b, &op, &vectors, [scores, inner, sums], mask, drop, [weights, ds])?;

    let last = [
        heads.gradient((weights, true), dout, dv),
        heads.gradient((ds, true), q, dk),
        heads.gradient((ds, false), k, dq),
    ]
    .concat();
    let depth = op.queries.max(op.keys);
    let tile = Tile::choose(spec, [depth, op.dim, depth, last.len()]);
    let tiles: usize = last.iter().map(|p| p.rows.div_ceil(tile.m) * p.cols.div_ceil(tile.n)).sum();
    let count = tiles.min(spec.cores.cube.count());
    // The same cores as before, whose buffers are free once their last result is out, and more if there is work.
    let cores: Vec<usize> =
        (0..count).map(|i| multiplied.get(i).copied().unwrap_or_else(|| b.core(CoreKind::Cube))).collect();
    b.barrier(&vectors, Pipe::Mte3, &cores);
    let mut units: Vec<CubeCore> =
        cores.iter().map(|&core| CubeCore::new(&mut b, core, tile, op.elem)).collect();
    run_products(&mut b, &mut units, &last);
    Ok(b.program)
}

/// Products of every head of every row.
struct Heads {
    op: Attention,
}

impl Heads {
    /// Where a head's columns begin in a tensor of `frames` frames a row.
    fn at(&self, head: usize, frames: usize) -> usize {
        head / self.op.heads * frames * self.op.width() + head % self.op.heads * self.op.dim
    }

    fn each(&self, f: impl Fn(usize) -> Product) -> Vec<Product> {
        (0..self.op.batch * self.op.heads).map(f).collect()
    }

    /// `left·rightᵀ` of frames, `[T_q, T_k]` a head.
    fn scores(&self, left: usize, right: usize, out: usize) -> Vec<Product> {
        let (op, width) = (&self.op, self.op.width());
        self.each(|head| Product {
            rows: op.queries,
            cols: op.keys,
            a: Matrix { tensor: left, stride: width, transposed: false },
            b: Matrix { tensor: right, stride: width, transposed: true },
            segments: vec![Segment {
                a: self.at(head, op.queries) as isize,
                a_valid: (0, op.query_len()),
                b: self.at(head, op.keys) as isize,
                len: op.dim,
            }],
            out: (out, head * op.queries * op.keys, op.keys),
            bias: None,
        })
    }

    /// `table·frames`, or `tableᵀ·frames`.
    fn gradient(&self, (table, transposed): (usize, bool), frames: usize, out: usize) -> Vec<Product> {
        let (op, width) = (&self.op, self.op.width());
        let (rows, len) = if transposed { (op.keys, op.queries) } else { (op.queries, op.keys) };
        self.each(|head| Product {
            rows,
            cols: op.dim,
            a: Matrix { tensor: table, stride: op.keys, transposed },
            b: Matrix { tensor: frames, stride: width, transposed: false },
            segments: vec![Segment {
                a: (head * op.queries * op.keys) as isize,
                a_valid: (0, op.score_len()),
                b: self.at(head, len) as isize,
                len,
            }],
            out: (out, self.at(head, rows), width),
            bias: None,
        })
    }
}

/// `P = exp(scale·S − sum)`, dropped, and `dS = scale·P·(dP − Σ P·dP)`.
fn soften(
    b: &mut Builder<'_>,
    op: &Attention,
    cores: &[usize],
    [scores, inner, sums]: [usize; 3],
    mask: Option<usize>,
    drop: Option<usize>,
    [weights, ds]: [usize; 2],
) -> Result<(), KernelError> {
    let row = |tensor| Stream { tensor, cols: op.keys };
    let mut inputs = vec![row(scores), row(inner), Stream { tensor: sums, cols: 1 }];
    inputs.extend(mask.map(row));
    inputs.extend(drop.map(row));
    let plan = Plan {
        inputs,
        outputs: vec![row(weights), row(ds)],
        matrices: 1,
        columns: 1,
        cols: op.keys,
        ..Plan::default()
    };
    let jobs: Vec<Job> = (0..op.batch * op.heads)
        .map(|head| {
            let first = head * op.queries;
            let mut inputs = vec![first; 3];
            inputs.extend(mask.map(|_| head / op.heads * op.queries));
            inputs.extend(drop.map(|_| first));
            Job { rows: op.queries, inputs, outputs: vec![first; 2] }
        })
        .collect();
    run_rows(b, &plan, &jobs, cores, &|e, c| {
        let (s, dp, sum) = (c.inputs[0], c.inputs[1], c.inputs[2]);
        let (p, ds, t, total) = (c.outputs[0], c.outputs[1], c.matrices[0], c.columns[0]);
        e.scalar(Mul, t, s, op.scale());
        if op.alibi {
            // The places of the results are free until then.
            let (bias, numbers) = (p, ds.part(0, 0, 1, op.keys));
            let first = op.first_position() + c.start as f32;
            e.one(VecOp::Ramp { first: 0.0, step: 1.0 }, numbers, numbers);
            e.one(VecOp::Ramp { first, step: 1.0 }, total, total);
            e.one(VecOp::Fill(0.0), bias, bias);
            e.two(VecOp::Binary(Add), bias, bias, numbers);
            e.two(VecOp::Binary(Sub), bias, bias, total);
            e.one(VecOp::Unary(Abs), bias, bias);
            e.scalar(Mul, bias, bias, -op.slope(c.job));
            e.two(VecOp::Binary(Add), t, t, bias);
        }
        e.two(VecOp::Binary(Sub), t, t, sum);
        e.one(VecOp::Unary(Exp), t, t);
        if op.masked {
            // Also where the sum is −∞ because a query sees nothing.
            e.two(VecOp::Select(0.0), t, t, c.inputs[3]);
        }
        match (op.dropout, c.inputs.last()) {
            (Some(scale), Some(&kept)) => {
                e.two(VecOp::Binary(Mul), p, t, kept);
                e.scalar(Mul, p, p, scale);
                e.two(VecOp::Binary(Mul), ds, dp, kept);
                e.scalar(Mul, ds, ds, scale);
            }
            _ => {
                e.one(VecOp::Cast, p, t);
                e.one(VecOp::Cast, ds, dp);
            }
        }
        // t·(ds − Σ t·ds)·scale; the working matrix is needed twice, so the product is made in `s`, whose values are spent.
        e.two(VecOp::Binary(Mul), s, t, ds);
        e.one(VecOp::RowReduce(Reduce::Sum), total, s);
        e.two(VecOp::Binary(Sub), ds, ds, total);
        e.two(VecOp::Binary(Mul), ds, ds, t);
        e.scalar(Mul, ds, ds, op.scale());
    })
}
