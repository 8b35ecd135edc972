//! Sums of matrix products on the cube cores: what linear maps, convolutions and attention are made of.

use super::{Builder, Places, Ring, pad16};
use crate::npu::spec::DeviceSpec;
use crate::npu::tile::ir::{Elem, GmView, Instr, Local, Pipe, Space};

/// A matrix in memory, stored as it is or transposed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix {
    pub tensor: usize,
    /// Elements from row to row, as stored.
    pub stride: usize,
    pub transposed: bool,
}

/// A part of the sum: where its operands begin and how long the contraction is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    pub a: isize,
    /// Elements of `a` outside of this range are zero.
    pub a_valid: (usize, usize),
    pub b: isize,
    pub len: usize,
}

/// `out = bias + Σ_segments A·B`
#[derive(Debug, Clone)]
pub(crate) struct Product {
    pub rows: usize,
    pub cols: usize,
    pub a: Matrix,
    pub b: Matrix,
    pub segments: Vec<Segment>,
    /// Tensor, first element, elements from row to row.
    pub out: (usize, usize, usize),
    /// Tensor and first element.
    pub bias: Option<(usize, usize)>,
}

/// Sizes of the tile of a result and of the steps of its contraction, multiples of 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Rows.
    pub m: usize,
    /// Columns.
    pub n: usize,
    /// Contraction in one step.
    pub k: usize,
}

impl Tile {
    /// The tile of the published matrix products: 128 × 256, steps of 64.
    pub const PUBLISHED: Self = Self { m: 128, n: 256, k: 64 };

    /// The tile with the least estimated time for `count` products of `rows × cols` with contraction `depth`.
    pub fn choose(spec: &DeviceSpec, [rows, cols, depth, count]: [usize; 4]) -> Self {
        let sizes = [256, 128, 64, 32, 16];
        let fits = |size: usize, needed: usize| size <= pad16(needed.max(1)).next_power_of_two();
        let mut best = (f64::INFINITY, Self::PUBLISHED);
        for m in sizes.into_iter().filter(|&m| m <= 128 && fits(m, rows)) {
            for n in sizes.into_iter().filter(|&n| fits(n, cols)) {
                let tile = Self { m, n, k: Self::depth(spec, m, n, depth) };
                let cost = tile.estimate(spec, [rows, cols, depth, count]);
                if m * n * 4 <= spec.buffers.l0c.count() && cost < best.0 {
                    best = (cost, tile);
                }
            }
        }
        best.1
    }

    /// The longest step for which both operands fit twice.
    fn depth(spec: &DeviceSpec, m: usize, n: usize, needed: usize) -> usize {
        let room = (spec.buffers.l0a.count() / (4 * m)).min(spec.buffers.l0b.count() / (4 * n));
        (room / 16 * 16).clamp(16, 256).min(pad16(needed.max(1)))
    }

    fn estimate(&self, spec: &DeviceSpec, [rows, cols, depth, count]: [usize; 4]) -> f64 {
        let tiles = rows.div_ceil(self.m) * cols.div_ceil(self.n) * count;
        let rounds = tiles.div_ceil(spec.cores.cube.count()) as f64;
        let steps = depth.div_ceil(self.k).max(1) as f64;
        let (cube, bytes) = (self.m * self.n * self.k / 4096, 2 * self.k * (self.m + self.n));
        let extract = 2.0
            * self.k as f64
            * (self.m as f64 / spec.rates.l1_to_l0a.value + self.n as f64 / spec.rates.l1_to_l0b.value);
        let load = bytes as f64 / spec.rates.gm_to_l1.value + 2.0 * spec.heads.transfer.value;
        let step = (cube as f64 + spec.heads.mmad.value).max(load).max(extract);
        let out = (4 * self.m * self.n) as f64 / spec.rates.l0c_to_gm.value + spec.heads.transfer.value;
        let out = if 8 * self.m * self.n <= spec.buffers.l0c.count() && rounds > 1.0 {
            (out - steps * step).max(0.0)
        } else {
            out
        };
        rounds * (steps * step + out)
    }
}

/// The rings of one cube core that works on products of one tile size.
pub(crate) struct CubeCore {
    core: usize,
    tile: Tile,
    elem: Elem,
    staged: [Vec<Local>; 2],
    operands: [Vec<Local>; 2],
    results: Vec<Local>,
    biases: Vec<Local>,
    stage: Ring,
    feed: Ring,
    drain: Ring,
    bias: Ring,
}

impl CubeCore {
    pub fn new(b: &mut Builder<'_>, core: usize, tile: Tile, elem: Elem) -> Self {
        let (mut l1, mut l0a) = (Places::new(Space::L1), Places::new(Space::L0a));
        let (mut l0b, mut l0c) = (Places::new(Space::L0b), Places::new(Space::L0c));
        let results = if 8 * tile.m * tile.n <= b.spec.buffers.l0c.count() { 2 } else { 1 };
        // A staged operand that is transposed on its way lies in L1 with rows and columns exchanged: same size.
        let two = |places: &mut Places, rows, cols| (0..2).map(|_| places.matrix(rows, cols, elem)).collect();
        Self {
            core,
            tile,
            elem,
            staged: [two(&mut l1, tile.m, tile.k), two(&mut l1, tile.k, tile.n)],
            operands: [two(&mut l0a, tile.m, tile.k), two(&mut l0b, tile.k, tile.n)],
            results: (0..results).map(|_| l0c.matrix(tile.m, tile.n, Elem::F32)).collect(),
            biases: (0..2).map(|_| l1.matrix(1, tile.n, Elem::F32)).collect(),
            stage: Ring::new(b, 2, (core, Pipe::Mte2), (core, Pipe::Mte1)),
            feed: Ring::new(b, 2, (core, Pipe::Mte1), (core, Pipe::Cube)),
            drain: Ring::new(b, results, (core, Pipe::Cube), (core, Pipe::Fixpipe)),
            bias: Ring::new(b, 2, (core, Pipe::Mte2), (core, Pipe::Cube)),
        }
    }

    /// Computes the tile of `product` whose first element is `(row, col)`.
    pub fn tile(&mut self, b: &mut Builder<'_>, product: &Product, row: usize, col: usize) {
        let (rows, cols) = (self.tile.m.min(product.rows - row), self.tile.n.min(product.cols - col));
        let slot = self.drain.fill(b);
        let c = self.results[slot].part(0, 0, pad16(rows), pad16(cols));
        if let Some((tensor, offset)) = product.bias {
            let place = self.bias.fill(b);
            let staged = self.biases[place].part(0, 0, 1, pad16(cols));
            let from = b.view(tensor, offset + col, 1, cols, cols);
            b.load(self.core, from, staged);
            self.bias.full(b, place);
            self.bias.take(b, place);
            b.push(self.core, Instr::Bias { row: staged, c });
            self.bias.free(b, place);
        }
        let mut accumulate = product.bias.is_some();
        for step in steps(&product.segments, self.tile.k) {
            self.step(b, product, &step, [row, col, rows, cols], c, accumulate);
            accumulate = true;
        }
        self.drain.full(b, slot);
        self.drain.take(b, slot);
        let (tensor, offset, stride) = product.out;
        let to = b.view(tensor, offset + row * stride + col, rows, cols, stride);
        b.push(self.core, Instr::Fixpipe { from: c.part(0, 0, rows, cols), to });
        self.drain.free(b, slot);
    }

    fn step(
        &mut self,
        b: &mut Builder<'_>,
        product: &Product,
        step: &[Piece],
        [row, col, rows, cols]: [usize; 4],
        c: Local,
        accumulate: bool,
    ) {
        let slot = self.stage.fill(b);
        let depth = step.iter().map(|piece| pad16(piece.len)).sum();
        let staged = [
            stored(self.staged[0][slot], product.a.transposed, pad16(rows), depth),
            stored(self.staged[1][slot], product.b.transposed, depth, pad16(cols)),
        ];
        let mut at = 0;
        for piece in step {
            let k = pad16(piece.len);
            let valid = (0, b.program.tensors[product.b.tensor].len);
            let from = view(&product.a, piece.a, piece.a_valid, [row, rows], [piece.start, piece.len]);
            let to = if product.a.transposed {
                staged[0].part(at, 0, k, pad16(rows))
            } else {
                staged[0].part(0, at, pad16(rows), k)
            };
            b.load(self.core, from, to);
            let from = view(&product.b, piece.b, valid, [piece.start, piece.len], [col, cols]);
            let to = if product.b.transposed {
                staged[1].part(0, at, pad16(cols), k)
            } else {
                staged[1].part(at, 0, k, pad16(cols))
            };
            b.load(self.core, from, to);
            at += k;
        }
        self.stage.full(b, slot);
        self.stage.take(b, slot);
        let place = self.feed.fill(b);
        let operands = [
            packed(self.operands[0][place], pad16(rows), depth),
            packed(self.operands[1][place], depth, pad16(cols)),
        ];
        for (i, transpose) in [product.a.transposed, product.b.transposed].into_iter().enumerate() {
            b.push(self.core, Instr::Extract { from: staged[i], to: operands[i], transpose });
        }
        self.feed.full(b, place);
        self.stage.free(b, slot);
        self.feed.take(b, place);
        b.push(self.core, Instr::Mmad { a: operands[0], b: operands[1], c, accumulate });
        self.feed.free(b, place);
        debug_assert!(self.elem != Elem::F32);
    }
}

/// A staged operand of `rows × cols`, or its transpose, in a place of the same size.
fn stored(place: Local, transposed: bool, rows: usize, cols: usize) -> Local {
    let (rows, cols) = if transposed { (cols, rows) } else { (rows, cols) };
    packed(place, rows, cols)
}

/// A dense matrix at the start of a place.
fn packed(place: Local, rows: usize, cols: usize) -> Local {
    Local { rows, cols, stride: cols, ..place }
}

/// `rows` from `row` and `cols` from `col` of a matrix that begins at element `start`.
fn view(
    matrix: &Matrix,
    start: isize,
    valid: (usize, usize),
    [row, rows]: [usize; 2],
    [col, cols]: [usize; 2],
) -> GmView {
    let (row, rows, col, cols) =
        if matrix.transposed { (col, cols, row, rows) } else { (row, rows, col, cols) };
    let offset = start + (row * matrix.stride + col) as isize;
    GmView { tensor: matrix.tensor, offset, rows, cols, stride: matrix.stride, valid }
}

/// A part of a segment that is loaded at once.
#[derive(Debug, Clone, Copy)]
struct Piece {
    a: isize,
    a_valid: (usize, usize),
    b: isize,
    start: usize,
    len: usize,
}

/// Cuts segments into steps of at most `depth`, every piece padded to whole blocks; short segments share a step.
fn steps(segments: &[Segment], depth: usize) -> Vec<Vec<Piece>> {
    let mut steps: Vec<Vec<Piece>> = Vec::new();
    let mut room = 0;
    for segment in segments {
        for start in (0..segment.len).step_by(depth) {
            let len = depth.min(segment.len - start);
            let piece = Piece { a: segment.a, a_valid: segment.a_valid, b: segment.b, start, len };
            match steps.last_mut() {
                Some(step) if pad16(len) <= room => step.push(piece),
                _ => {
                    steps.push(vec![piece]);
                    room = depth;
                }
            }
            room -= pad16(len);
        }
    }
    steps
}

/// Distributes the tiles of `products` over `cores`.
pub(crate) fn run(b: &mut Builder<'_>, cores: &mut [CubeCore], products: &[Product]) {
    let mut next = 0;
    for product in products {
        let Some(tile) = cores.first().map(|core| core.tile) else { return };
        for row in (0..product.rows).step_by(tile.m) {
            for col in (0..product.cols).step_by(tile.n) {
                let count = cores.len();
                cores[next % count].tile(b, product, row, col);
                next += 1;
            }
        }
    }
}
