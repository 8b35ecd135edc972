//! Matrix products and the sums of columns that belong to them.

use super::product::{self, CubeCore, Matrix, Product, Segment, Tile};
use super::{Builder, KernelError};
use crate::npu::spec::DeviceSpec;
use crate::npu::tile::ir::{CoreKind, Elem, Program, Role};

/// Sizes and form of `out = a·b + bias`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Matmul {
    /// Rows of the result.
    pub m: usize,
    /// Contraction.
    pub k: usize,
    /// Columns of the result.
    pub n: usize,
    /// Whether `a` is stored `[k, m]`.
    pub a_transposed: bool,
    /// Whether `b` is stored `[n, k]`.
    pub b_transposed: bool,
    /// Whether there is a bias `[n]`, single precision.
    pub bias: bool,
    /// Type of `a` and `b`.
    pub elem: Elem,
}

impl Matmul {
    /// A plain product of half-precision matrices.
    pub fn new(m: usize, k: usize, n: usize, elem: Elem) -> Self {
        Self { m, k, n, a_transposed: false, b_transposed: false, bias: false, elem }
    }
}

/// Tensors: `a`, `b`, `[bias]`, then `out [m, n]` in single precision. `tile` overrides the choice of tile.
pub fn matmul(spec: &DeviceSpec, op: Matmul, tile: Option<Tile>) -> Result<Program, KernelError> {
    let mut b = Builder::new(spec, format!("matmul {}x{}x{}", op.m, op.k, op.n));
    b.cube_takes(op.elem)?;
    let (m, k, n) = (op.m, op.k, op.n);
    let a = b.tensor("a", op.elem, m * k, Role::Input);
    let rhs = b.tensor("b", op.elem, k * n, Role::Input);
    let bias = op.bias.then(|| (b.tensor("bias", Elem::F32, n, Role::Input), 0));
    let out = b.tensor("out", Elem::F32, m * n, Role::Output);
    let tile = tile.unwrap_or_else(|| Tile::choose(spec, [m, n, k, 1]));
    let product = Product {
        rows: m,
        cols: n,
        a: Matrix { tensor: a, stride: if op.a_transposed { m } else { k }, transposed: op.a_transposed },
        b: Matrix { tensor: rhs, stride: if op.b_transposed { k } else { n }, transposed: op.b_transposed },
        segments: vec![Segment { a: 0, a_valid: (0, m * k), b: 0, len: k }],
        out: (out, 0, n),
        bias,
    };
    on_cube_cores(&mut b, &[product], tile, op.elem);
    Ok(b.program)
}

/// Runs products on as many cube cores as have work; the cores' indices.
pub(super) fn on_cube_cores(b: &mut Builder<'_>, products: &[Product], tile: Tile, elem: Elem) -> Vec<usize> {
    let tiles: usize = products.iter().map(|p| p.rows.div_ceil(tile.m) * p.cols.div_ceil(tile.n)).sum();
    let cores: Vec<usize> =
        (0..tiles.min(b.spec.cores.cube.count())).map(|_| b.core(CoreKind::Cube)).collect();
    let mut units: Vec<CubeCore> = cores.iter().map(|&core| CubeCore::new(b, core, tile, elem)).collect();
    product::run(b, &mut units, products);
    cores
}
