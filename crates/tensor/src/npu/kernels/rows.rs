//! Work of the vector cores on rows: softmax, LayerNorm, GELU, sums of columns, and their gradients.

use std::f32::consts::{FRAC_1_SQRT_2, PI};

use super::engine::{Chunk, Emit, Job, Plan, Stream, run};
use super::{Builder, KernelError};
use crate::npu::spec::DeviceSpec;
use crate::npu::tile::ir::{
    Binary::{Add, Max, Mul, Sub},
    CoreKind, Elem, Local, Program, Reduce, Role,
    Unary::{Erf, Exp, Ln, Reciprocal, Sqrt},
    VecOp,
};

/// A kernel over `rows` rows of `cols`, on as many vector cores as there are rows.
pub(super) struct RowKernel<'a> {
    pub b: Builder<'a>,
    pub plan: Plan,
    rows: usize,
}

impl<'a> RowKernel<'a> {
    pub fn new(spec: &'a DeviceSpec, name: String, rows: usize, cols: usize) -> Self {
        Self { b: Builder::new(spec, name), plan: Plan { cols, ..Plan::default() }, rows }
    }

    pub fn input(&mut self, name: &'static str, elem: Elem, cols: usize) {
        let tensor = self.b.tensor(name, elem, self.rows * cols, Role::Input);
        self.plan.inputs.push(Stream { tensor, cols });
    }

    pub fn output(&mut self, name: &'static str, elem: Elem, cols: usize) {
        let tensor = self.b.tensor(name, elem, self.rows * cols, Role::Output);
        self.plan.outputs.push(Stream { tensor, cols });
    }

    /// A row that all rows use.
    pub fn constant(&mut self, name: &'static str, cols: usize) {
        let tensor = self.b.tensor(name, Elem::F32, cols, Role::Input);
        self.plan.constants.push(tensor);
    }

    pub fn sum(&mut self, name: &'static str) {
        let tensor = self.b.tensor(name, Elem::F32, self.plan.cols, Role::Output);
        self.plan.sums.push(tensor);
    }

    pub fn work(&mut self, matrices: usize, columns: usize) {
        (self.plan.matrices, self.plan.columns) = (matrices, columns);
    }

    pub fn finish(mut self, body: &dyn Fn(&mut Emit<'_, '_>, &Chunk)) -> Result<Program, KernelError> {
        let count = self.b.spec.cores.vector.count().min(self.rows).max(1);
        let cores: Vec<usize> = (0..count).map(|_| self.b.core(CoreKind::Vector)).collect();
        let job = Job {
            rows: self.rows,
            inputs: vec![0; self.plan.inputs.len()],
            outputs: vec![0; self.plan.outputs.len()],
        };
        run(&mut self.b, &self.plan, &[job], &cores, body)?;
        Ok(self.b.program)
    }
}

/// Sizes of a row operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rows {
    /// Rows.
    pub rows: usize,
    /// Elements of a row.
    pub cols: usize,
    /// Type of matrices in memory; sums, scales and moments are single precision.
    pub elem: Elem,
}

impl Rows {
    pub(super) fn kernel<'a>(&self, spec: &'a DeviceSpec, name: &str) -> RowKernel<'a> {
        RowKernel::new(spec, format!("{name} {}x{}", self.rows, self.cols), self.rows, self.cols)
    }
}

/// Softmax, or its logarithm, of every row. Tensors: `x`, then `y`. A row of −∞ gives zeros.
pub fn softmax(spec: &DeviceSpec, op: Rows, logarithm: bool) -> Result<Program, KernelError> {
    let mut kernel = op.kernel(spec, if logarithm { "log softmax" } else { "softmax" });
    kernel.input("x", op.elem, op.cols);
    kernel.output("y", op.elem, op.cols);
    kernel.work(1, 2);
    kernel.finish(&|e, c| {
        let (x, y, t) = (c.inputs[0], c.outputs[0], c.matrices[0]);
        let (top, total) = (c.columns[0], c.columns[1]);
        e.one(VecOp::RowReduce(Reduce::Max), top, x);
        // A row of −∞ must not become −∞ − (−∞).
        e.scalar(Max, top, top, f32::MIN);
        e.two(VecOp::Binary(Sub), t, x, top);
        let shifted = t;
        let weights = if logarithm { y } else { t };
        e.one(VecOp::Unary(Exp), weights, shifted);
        e.one(VecOp::RowReduce(Reduce::Sum), total, weights);
        if logarithm {
            e.one(VecOp::Unary(Ln), total, total);
            e.two(VecOp::Binary(Sub), y, shifted, total);
        } else {
            e.one(VecOp::Unary(Reciprocal), total, total);
            e.two(VecOp::Binary(Mul), y, weights, total);
        }
    })
}

/// Gradient of softmax, `y·(g − Σ y·g)`, or of its logarithm, `g − eʸ·Σ g`. Tensors: `g`, `y`, then `dx`.
pub fn softmax_backward(spec: &DeviceSpec, op: Rows, logarithm: bool) -> Result<Program, KernelError> {
    let mut kernel = op.kernel(spec, if logarithm { "log softmax backward" } else { "softmax backward" });
    kernel.input("g", op.elem, op.cols);
    kernel.input("y", op.elem, op.cols);
    kernel.output("dx", op.elem, op.cols);
    kernel.work(1, 1);
    kernel.finish(&|e, c| {
        let (g, y, dx) = (c.inputs[0], c.inputs[1], c.outputs[0]);
        let (t, total) = (c.matrices[0], c.columns[0]);
        if logarithm {
            e.one(VecOp::RowReduce(Reduce::Sum), total, g);
            e.one(VecOp::Unary(Exp), t, y);
            e.two(VecOp::Binary(Mul), t, t, total);
            e.two(VecOp::Binary(Sub), dx, g, t);
        } else {
            e.two(VecOp::Binary(Mul), t, g, y);
            e.one(VecOp::RowReduce(Reduce::Sum), total, t);
            e.two(VecOp::Binary(Sub), t, g, total);
            e.two(VecOp::Binary(Mul), dx, t, y);
        }
    })
}

/// LayerNorm of every row. Tensors: `x`, `gamma`, `beta`, then `y`, `mean [rows]`, `rate [rows]` (1/√(var + ε)).
pub fn layer_norm(spec: &DeviceSpec, op: Rows, epsilon: f32) -> Result<Program, KernelError> {
    let mut kernel = op.kernel(spec, "layer norm");
    kernel.input("x", op.elem, op.cols);
    kernel.constant("gamma", op.cols);
    kernel.constant("beta", op.cols);
    kernel.output("y", op.elem, op.cols);
    kernel.output("mean", Elem::F32, 1);
    kernel.output("rate", Elem::F32, 1);
    kernel.work(2, 0);
    let share = 1.0 / op.cols as f32;
    kernel.finish(&|e, c| {
        let (x, y, mean, rate) = (c.inputs[0], c.outputs[0], c.outputs[1], c.outputs[2]);
        let (centred, t) = (c.matrices[0], c.matrices[1]);
        e.one(VecOp::RowReduce(Reduce::Sum), mean, x);
        e.scalar(Mul, mean, mean, share);
        e.two(VecOp::Binary(Sub), centred, x, mean);
        e.two(VecOp::Binary(Mul), t, centred, centred);
        e.one(VecOp::RowReduce(Reduce::Sum), rate, t);
        e.scalar(Mul, rate, rate, share);
        e.scalar(Add, rate, rate, epsilon);
        e.one(VecOp::Unary(Sqrt), rate, rate);
        e.one(VecOp::Unary(Reciprocal), rate, rate);
        e.two(VecOp::Binary(Mul), t, centred, rate);
        e.two(VecOp::Binary(Mul), t, t, c.constants[0]);
        e.two(VecOp::Binary(Add), y, t, c.constants[1]);
    })
}

/// Gradients of LayerNorm. Tensors: `g`, `x`, `mean`, `rate`, `gamma`, then `dx`, `dgamma`, `dbeta`.
pub fn layer_norm_backward(spec: &DeviceSpec, op: Rows) -> Result<Program, KernelError> {
    let mut kernel = op.kernel(spec, "layer norm backward");
    kernel.input("g", op.elem, op.cols);
    kernel.input("x", op.elem, op.cols);
    kernel.input("mean", Elem::F32, 1);
    kernel.input("rate", Elem::F32, 1);
    kernel.constant("gamma", op.cols);
    kernel.output("dx", op.elem, op.cols);
    kernel.sum("dgamma");
    kernel.sum("dbeta");
    kernel.work(2, 1);
    let share = 1.0 / op.cols as f32;
    kernel.finish(&|e, c| {
        let (g, x, mean, rate) = (c.inputs[0], c.inputs[1], c.inputs[2], c.inputs[3]);
        let (normal, t, level, dx) = (c.matrices[0], c.matrices[1], c.columns[0], c.outputs[0]);
        e.two(VecOp::Binary(Sub), normal, x, mean);
        e.two(VecOp::Binary(Mul), normal, normal, rate);
        e.two(VecOp::Binary(Mul), t, g, normal);
        e.one(VecOp::AddColumns, c.sums[0], t);
        e.one(VecOp::AddColumns, c.sums[1], g);
        // t = g·gamma; dx = rate·(t − mean(t) − normal·mean(t·normal))
        e.two(VecOp::Binary(Mul), t, g, c.constants[0]);
        e.one(VecOp::RowReduce(Reduce::Sum), level, t);
        e.scalar(Mul, level, level, share);
        e.two(VecOp::Binary(Sub), dx, t, level);
        e.two(VecOp::Binary(Mul), t, t, normal);
        e.one(VecOp::RowReduce(Reduce::Sum), level, t);
        e.scalar(Mul, level, level, share);
        e.two(VecOp::Binary(Mul), t, normal, level);
        e.two(VecOp::Binary(Sub), dx, dx, t);
        e.two(VecOp::Binary(Mul), dx, dx, rate);
    })
}

/// RMS norm of every row. Tensors: `x`, `gamma`, then `y`.
pub fn rms_norm(spec: &DeviceSpec, op: Rows, epsilon: f32) -> Result<Program, KernelError> {
    let mut kernel = op.kernel(spec, "rms norm");
    kernel.input("x", op.elem, op.cols);
    kernel.constant("gamma", op.cols);
    kernel.output("y", op.elem, op.cols);
    kernel.work(1, 1);
    kernel.finish(&|e, c| {
        let (x, y, t, rate) = (c.inputs[0], c.outputs[0], c.matrices[0], c.columns[0]);
        root_mean_square(e, (t, rate), x, epsilon);
        e.two(VecOp::Binary(Mul), t, x, rate);
        e.two(VecOp::Binary(Mul), y, t, c.constants[0]);
    })
}

/// `rate = 1/√(mean x² + ε)` of every row; `t` is working memory.
fn root_mean_square(e: &mut Emit<'_, '_>, (t, rate): (Local, Local), x: Local, epsilon: f32) {
    e.two(VecOp::Binary(Mul), t, x, x);
    e.one(VecOp::RowReduce(Reduce::Sum), rate, t);
    e.scalar(Mul, rate, rate, 1.0 / x.cols as f32);
    e.scalar(Add, rate, rate, epsilon);
    e.one(VecOp::Unary(Sqrt), rate, rate);
    e.one(VecOp::Unary(Reciprocal), rate, rate);
}

/// Gradients of RMS norm, whose rates are made again. Tensors: `g`, `x`, `gamma`, then `dx`, `dgamma`.
pub fn rms_norm_backward(spec: &DeviceSpec, op: Rows, epsilon: f32) -> Result<Program, KernelError> {
    let mut kernel = op.kernel(spec, "rms norm backward");
    kernel.input("g", op.elem, op.cols);
    kernel.input("x", op.elem, op.cols);
    kernel.constant("gamma", op.cols);
    kernel.output("dx", op.elem, op.cols);
    kernel.sum("dgamma");
    kernel.work(2, 2);
    kernel.finish(&|e, c| {
        let (g, x, dx) = (c.inputs[0], c.inputs[1], c.outputs[0]);
        let (normal, t, rate, slope) = (c.matrices[0], c.matrices[1], c.columns[0], c.columns[1]);
        root_mean_square(e, (t, rate), x, epsilon);
        e.two(VecOp::Binary(Mul), normal, x, rate);
        e.two(VecOp::Binary(Mul), t, g, normal);
        e.one(VecOp::AddColumns, c.sums[0], t);
        // t = g·gamma; dx = rate·(t − normal·mean(t·normal))
        e.two(VecOp::Binary(Mul), t, g, c.constants[0]);
        e.two(VecOp::Binary(Mul), dx, t, normal);
        e.one(VecOp::RowReduce(Reduce::Sum), slope, dx);
        e.scalar(Mul, slope, slope, 1.0 / x.cols as f32);
        e.two(VecOp::Binary(Mul), normal, normal, slope);
        e.two(VecOp::Binary(Sub), dx, t, normal);
        e.two(VecOp::Binary(Mul), dx, dx, rate);
    })
}

/// Exact GELU of every element. Tensors: `x`, then `y`.
pub fn gelu(spec: &DeviceSpec, op: Rows) -> Result<Program, KernelError> {
    let mut kernel = op.kernel(spec, "gelu");
    kernel.input("x", op.elem, op.cols);
    kernel.output("y", op.elem, op.cols);
    kernel.work(1, 0);
    kernel.finish(&|e, c| {
        let (x, y, t) = (c.inputs[0], c.outputs[0], c.matrices[0]);
        doubled_normal(e, t, x);
        e.two(VecOp::Binary(Mul), t, t, x);
        e.scalar(Mul, y, t, 0.5);
    })
}

/// `t = 1 + erf(x/√2)`
fn doubled_normal(e: &mut Emit<'_, '_>, t: Local, x: Local) {
    e.scalar(Mul, t, x, FRAC_1_SQRT_2);
    e.one(VecOp::Unary(Erf), t, t);
    e.scalar(Add, t, t, 1.0);
}

/// Gradient of GELU, `g·(Φ(x) + x·φ(x))`. Tensors: `g`, `x`, then `dx`.
pub fn gelu_backward(spec: &DeviceSpec, op: Rows) -> Result<Program, KernelError> {
    let mut kernel = op.kernel(spec, "gelu backward");
    kernel.input("g", op.elem, op.cols);
    kernel.input("x", op.elem, op.cols);
    kernel.output("dx", op.elem, op.cols);
    kernel.work(2, 0);
    kernel.finish(&|e, c| {
        let (g, x, dx) = (c.inputs[0], c.inputs[1], c.outputs[0]);
        let (t, density) = (c.matrices[0], c.matrices[1]);
        e.two(VecOp::Binary(Mul), density, x, x);
        e.scalar(Mul, density, density, -0.5);
        e.one(VecOp::Unary(Exp), density, density);
        e.scalar(Mul, density, density, 1.0 / (2.0 * PI).sqrt());
        e.two(VecOp::Binary(Mul), density, density, x);
        doubled_normal(e, t, x);
        e.scalar(Mul, t, t, 0.5);
        e.two(VecOp::Binary(Add), t, t, density);
        e.two(VecOp::Binary(Mul), dx, t, g);
    })
}

/// `(eʸ − x)·scale` of every row: the gradient of a loss of a log-softmax with result `y`.
/// Tensors: `y`, `x`, `scales [rows]`, then `dx`.
pub fn softmax_minus(spec: &DeviceSpec, op: Rows) -> Result<Program, KernelError> {
    let mut kernel = op.kernel(spec, "softmax minus");
    kernel.input("y", op.elem, op.cols);
    kernel.input("x", op.elem, op.cols);
    kernel.input("scales", Elem::F32, 1);
    kernel.output("dx", op.elem, op.cols);
    kernel.finish(&|e, c| {
        let dx = c.outputs[0];
        e.one(VecOp::Unary(Exp), dx, c.inputs[0]);
        e.two(VecOp::Binary(Sub), dx, dx, c.inputs[1]);
        e.two(VecOp::Binary(Mul), dx, dx, c.inputs[2]);
    })
}

/// Every row times a number of its own. Tensors: `x`, `scales [rows]`, then `y`.
pub fn scale(spec: &DeviceSpec, op: Rows) -> Result<Program, KernelError> {
    let mut kernel = op.kernel(spec, "scale");
    kernel.input("x", op.elem, op.cols);
    kernel.input("scales", Elem::F32, 1);
    kernel.output("y", op.elem, op.cols);
    kernel.finish(&|e, c| e.two(VecOp::Binary(Mul), c.outputs[0], c.inputs[0], c.inputs[1]))
}

/// Sums of the columns. Tensors: `x [rows, cols]`, then `sums [cols]`.
pub fn column_sums(spec: &DeviceSpec, op: Rows) -> Result<Program, KernelError> {
    let mut kernel = op.kernel(spec, "column sums");
    kernel.input("x", op.elem, op.cols);
    kernel.sum("sums");
    kernel.finish(&|e, c| e.one(VecOp::AddColumns, c.sums[0], c.inputs[0]))
}
