//! The contrastive loss and its gradient, see [`crate::ops::contrastive_loss`].
//!
//! A table says how often each position is a negative of each other one, and with it no row has to be gathered: all
//! cosines are one matrix product, and a softmax weighted by the table takes those that count.
//! Five stages, each ended by all cores meeting:
//!
//! | stage | cores | result |
//! |---|---|---|
//! | 1 | vector | unit vectors `p̂`, `t̂` (half precision), norms `‖p‖`, `p̂ᵢ·t̂ᵢ` |
//! | 2 | cube | `S = p̂·t̂ᵀ` |
//! | 3 | vector | losses, weights `W = table·exp(S/τ)/Z` (half precision), weight of the positive − 1 |
//! | 4 | cube | `G = W·t̂` |
//! | 5 | vector | the part of `G` across the prediction, over `τ·N·‖p‖` |

use super::engine::{Job, Plan, Stream, run as run_rows};
use super::product::{CubeCore, Matrix, Product, Segment, Tile, run as run_products};
use super::{Builder, KernelError};
use crate::npu::spec::DeviceSpec;
use crate::npu::tile::ir::{
    Binary::{Add, Max, Mul, Sub},
    CoreKind, Elem, Pipe, Program, Reduce, Role,
    Unary::{Exp, Ln, Reciprocal, Sqrt},
    VecOp,
};

/// Norms below this count as this.
const SMALLEST_NORM: f32 = 1e-8;

/// Sizes of a contrastive loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contrastive {
    /// Positions `N`.
    pub positions: usize,
    /// Width `D` of a vector.
    pub width: usize,
    /// What cosines are divided by.
    pub temperature: f32,
    /// Type of unit vectors, weights and the table.
    pub elem: Elem,
}

/// Tensors: `pred`, `target` `[N, D]` (single precision), `table [N, N]`, then `losses [N]`, the positive's score `own [N]`,
/// the negatives' `highest [N]` and `lowest [N]` (∓∞ without negatives), and `dpred [N, D]`, the gradient of the mean loss.
pub fn contrastive(spec: &DeviceSpec, op: Contrastive) -> Result<Program, KernelError> {
    let Contrastive { positions: n, width: d, .. } = op;
    let mut b = Builder::new(spec, format!("contrastive {n}x{d}"));
    b.cube_takes(op.elem)?;
    let t = Tensors {
        pred: b.tensor("pred", Elem::F32, n * d, Role::Input),
        target: b.tensor("target", Elem::F32, n * d, Role::Input),
        table: b.tensor("table", op.elem, n * n, Role::Input),
        losses: b.tensor("losses", Elem::F32, n, Role::Output),
        own: b.tensor("own", Elem::F32, n, Role::Output),
        highest: b.tensor("highest", Elem::F32, n, Role::Output),
        lowest: b.tensor("lowest", Elem::F32, n, Role::Output),
        dpred: b.tensor("dpred", Elem::F32, n * d, Role::Output),
        unit_pred: b.tensor("unit pred", op.elem, n * d, Role::Work),
        unit_target: b.tensor("unit target", op.elem, n * d, Role::Work),
        norms: b.tensor("norms", Elem::F32, n, Role::Work),
        cosines: b.tensor("own cosines", Elem::F32, n, Role::Work),
        scores: b.tensor("scores", Elem::F32, n * n, Role::Work),
        weights: b.tensor("weights", op.elem, n * n, Role::Work),
        excess: b.tensor("excess", Elem::F32, n, Role::Work),
        pull: b.tensor("pull", Elem::F32, n * d, Role::Work),
    };
    let vectors: Vec<usize> =
        (0..spec.cores.vector.count().min(n).max(1)).map(|_| b.core(CoreKind::Vector)).collect();
    let product = |a, right: Matrix, [cols, len]: [usize; 2], out| Product {
        rows: n,
        cols,
        a: Matrix { tensor: a, stride: len, transposed: false },
        b: right,
        segments: vec![Segment { a: 0, a_valid: (0, n * len), b: 0, len }],
        out: (out, 0, cols),
        bias: None,
    };
    let scores =
        product(t.unit_pred, Matrix { tensor: t.unit_target, stride: d, transposed: true }, [n, d], t.scores);
    let pull =
        product(t.weights, Matrix { tensor: t.unit_target, stride: d, transposed: false }, [d, n], t.pull);

    units(&mut b, &op, &t, &vectors)?;
    let cubes = after(&mut b, &vectors, &[], &scores, op.elem, [n, n, d]);
    b.barrier(&cubes, Pipe::Fixpipe, &vectors);
    weigh(&mut b, &op, &t, &vectors)?;
    let cubes = after(&mut b, &vectors, &cubes, &pull, op.elem, [n, d, n]);
    b.barrier(&cubes, Pipe::Fixpipe, &vectors);
    turn(&mut b, &op, &t, &vectors)?;
    Ok(b.program)
}

struct Tensors {
    pred: usize,
    target: usize,
    table: usize,
    losses: usize,
    own: usize,
    highest: usize,
    lowest: usize,
    dpred: usize,
    unit_pred: usize,
    unit_target: usize,
    norms: usize,
    cosines: usize,
    scores: usize,
    weights: usize,
    excess: usize,
    pull: usize,
}

/// A product that begins when the vector cores are done, on the cube cores at hand and more if there is work.
fn after(
    b: &mut Builder<'_>,
    vectors: &[usize],
    cubes: &[usize],
    product: &Product,
    elem: Elem,
    [rows, cols, depth]: [usize; 3],
) -> Vec<usize> {
    let tile = Tile::choose(b.spec, [rows, cols, depth, 1]);
    let tiles = rows.div_ceil(tile.m) * cols.div_ceil(tile.n);
    let cores: Vec<usize> = (0..tiles.min(b.spec.cores.cube.count()))
        .map(|i| cubes.get(i).copied().unwrap_or_else(|| b.core(CoreKind::Cube)))
        .collect();
    b.barrier(vectors, Pipe::Mte3, &cores);
    let mut units: Vec<CubeCore> = cores.iter().map(|&core| CubeCore::new(b, core, tile, elem)).collect();
    run_products(b, &mut units, std::slice::from_ref(product));
    cores
}

fn stream(tensor: usize, cols: usize) -> Stream {
    Stream { tensor, cols }
}

fn whole(op: &Contrastive, plan: &Plan) -> [Job; 1] {
    [Job { rows: op.positions, inputs: vec![0; plan.inputs.len()], outputs: vec![0; plan.outputs.len()] }]
}

/// Stage 1.
fn units(b: &mut Builder<'_>, op: &Contrastive, t: &Tensors, cores: &[usize]) -> Result<(), KernelError> {
    let d = op.width;
    let plan = Plan {
        inputs: vec![stream(t.pred, d), stream(t.target, d)],
        outputs: vec![
            stream(t.unit_pred, d),
            stream(t.unit_target, d),
            stream(t.norms, 1),
            stream(t.cosines, 1),
        ],
        matrices: 1,
        columns: 1,
        cols: d,
        ..Plan::default()
    };
    run_rows(b, &plan, &whole(op, &plan), cores, &|e, c| {
        let (work, rate) = (c.matrices[0], c.columns[0]);
        for (x, unit, norm) in
            [(c.inputs[1], c.outputs[1], c.outputs[2]), (c.inputs[0], c.outputs[0], c.outputs[2])]
        {
            e.two(VecOp::Binary(Mul), work, x, x);
            e.one(VecOp::RowReduce(Reduce::Sum), norm, work);
            e.one(VecOp::Unary(Sqrt), norm, norm);
            e.scalar(Max, norm, norm, SMALLEST_NORM);
            e.one(VecOp::Unary(Reciprocal), rate, norm);
            e.two(VecOp::Binary(Mul), unit, x, rate);
        }
        e.two(VecOp::Binary(Mul), work, c.outputs[0], c.outputs[1]);
        e.one(VecOp::RowReduce(Reduce::Sum), c.outputs[3], work);
    })
}

/// Stage 3.
fn weigh(b: &mut Builder<'_>, op: &Contrastive, t: &Tensors, cores: &[usize]) -> Result<(), KernelError> {
    let n = op.positions;
    let column = |tensor| stream(tensor, 1);
    let plan = Plan {
        inputs: vec![stream(t.scores, n), stream(t.table, n), column(t.cosines)],
        outputs: vec![
            stream(t.weights, n),
            column(t.losses),
            column(t.own),
            column(t.highest),
            column(t.lowest),
            column(t.excess),
        ],
        matrices: 1,
        columns: 2,
        cols: n,
        ..Plan::default()
    };
    run_rows(b, &plan, &whole(op, &plan), cores, &|e, c| {
        let (s, table, cosine) = (c.inputs[0], c.inputs[1], c.inputs[2]);
        let [weights, loss, own, highest, lowest, excess] = [0, 1, 2, 3, 4, 5].map(|i| c.outputs[i]);
        let (work, top, total) = (c.matrices[0], c.columns[0], c.columns[1]);
        e.scalar(Mul, s, s, 1.0 / op.temperature);
        e.scalar(Mul, own, cosine, 1.0 / op.temperature);
        e.scalar(Mul, work, s, -1.0);
        e.two(VecOp::Select(f32::NEG_INFINITY), work, work, table);
        e.one(VecOp::RowReduce(Reduce::Max), lowest, work);
        e.scalar(Mul, lowest, lowest, -1.0);
        e.two(VecOp::Select(f32::NEG_INFINITY), work, s, table);
        e.one(VecOp::RowReduce(Reduce::Max), highest, work);
        e.two(VecOp::Binary(Max), top, highest, own);
        e.two(VecOp::Binary(Sub), work, work, top);
        e.one(VecOp::Unary(Exp), work, work);
        e.two(VecOp::Binary(Mul), work, work, table);
        e.one(VecOp::RowReduce(Reduce::Sum), total, work);
        e.two(VecOp::Binary(Sub), excess, own, top);
        e.one(VecOp::Unary(Exp), excess, excess);
        e.two(VecOp::Binary(Add), total, total, excess);
        // The loss is ln Z + top − own.
        e.one(VecOp::Unary(Ln), loss, total);
        e.two(VecOp::Binary(Add), loss, loss, top);
        e.two(VecOp::Binary(Sub), loss, loss, own);
        e.one(VecOp::Unary(Reciprocal), total, total);
        e.two(VecOp::Binary(Mul), weights, work, total);
        e.two(VecOp::Binary(Mul), excess, excess, total);
        e.scalar(Sub, excess, excess, 1.0);
    })
}

/// Stage 5.
fn turn(b: &mut Builder<'_>, op: &Contrastive, t: &Tensors, cores: &[usize]) -> Result<(), KernelError> {
    let d = op.width;
    let plan = Plan {
        inputs: vec![
            stream(t.pull, d),
            stream(t.pred, d),
            stream(t.unit_target, d),
            stream(t.excess, 1),
            stream(t.norms, 1),
        ],
        outputs: vec![stream(t.dpred, d)],
        matrices: 1,
        columns: 2,
        cols: d,
        ..Plan::default()
    };
    let scale = 1.0 / (op.temperature * op.positions as f32);
    run_rows(b, &plan, &whole(op, &plan), cores, &|e, c| {
        let [pull, pred, target, excess, norm] = [0, 1, 2, 3, 4].map(|i| c.inputs[i]);
        let (dx, work, rate, along) = (c.outputs[0], c.matrices[0], c.columns[0], c.columns[1]);
        e.two(VecOp::Binary(Mul), work, target, excess);
        e.two(VecOp::Binary(Add), dx, pull, work);
        e.scalar(Mul, dx, dx, scale);
        e.one(VecOp::Unary(Reciprocal), rate, norm);
        e.two(VecOp::Binary(Mul), pred, pred, rate);
        e.two(VecOp::Binary(Mul), work, dx, pred);
        e.one(VecOp::RowReduce(Reduce::Sum), along, work);
        e.two(VecOp::Binary(Mul), work, pred, along);
        e.two(VecOp::Binary(Sub), dx, dx, work);
        e.two(VecOp::Binary(Mul), dx, dx, rate);
    })
}
