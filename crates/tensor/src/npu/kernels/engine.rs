//! The engine of row kernels: chunks of rows come into the vector buffer, are worked on, and leave.
//!
//! Rows are cut into chunks that fit the vector buffer twice, so that loading, computing and storing overlap.

use super::{Builder, KernelError, Places, Ring};
use crate::npu::tile::ir::{Binary, Elem, Flag, Local, Pipe, Role, Space, VecOp};

/// A matrix of rows in memory that a kernel reads or writes, chunk by chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    pub tensor: usize,
    /// Elements of a row; 1 where each row has one number.
    pub cols: usize,
}

/// What one row kernel needs.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    pub inputs: Vec<Stream>,
    pub outputs: Vec<Stream>,
    /// Rows that every chunk uses: whole tensors, single precision.
    pub constants: Vec<usize>,
    /// Sums over all rows: tensors of `cols` elements, single precision.
    pub sums: Vec<usize>,
    /// Working matrices of a chunk.
    pub matrices: usize,
    /// Working columns of a chunk.
    pub columns: usize,
    pub cols: usize,
}

/// Rows to work on: how many, and the first row of each input and output.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub rows: usize,
    pub inputs: Vec<usize>,
    pub outputs: Vec<usize>,
}

/// The places of a chunk, single precision.
pub(super) struct Chunk {
    core: usize,
    /// Which of the jobs.
    pub job: usize,
    /// First row of the chunk in its job.
    pub start: usize,
    pub inputs: Vec<Local>,
    pub outputs: Vec<Local>,
    pub constants: Vec<Local>,
    pub sums: Vec<Local>,
    pub matrices: Vec<Local>,
    pub columns: Vec<Local>,
}

/// Emits the arithmetic of a chunk.
pub(super) struct Emit<'a, 'b> {
    b: &'a mut Builder<'b>,
    core: usize,
}

impl Emit<'_, '_> {
    /// `to = op(a)`
    pub fn one(&mut self, op: VecOp, to: Local, a: Local) {
        self.b.vector(self.core, op, to, a);
    }

    /// `to = a op c`
    pub fn two(&mut self, op: VecOp, to: Local, a: Local, c: Local) {
        self.b.vector2(self.core, op, to, a, c);
    }

    /// `to = a ∘ value`
    pub fn scalar(&mut self, op: Binary, to: Local, a: Local, value: f32) {
        self.one(VecOp::Scalar(op, value), to, a);
    }
}

/// A vector core that runs one row kernel.
struct VectorCore {
    core: usize,
    rows: usize,
    inputs: [Vec<Local>; 2],
    /// Single-precision copies of inputs and outputs in other types.
    wide_inputs: Vec<Option<Local>>,
    outputs: [Vec<Local>; 2],
    wide_outputs: Vec<Option<Local>>,
    constants: Vec<Local>,
    sums: Vec<Local>,
    matrices: Vec<Local>,
    columns: Vec<Local>,
    arrive: Ring,
    leave: Ring,
    places: Places,
}

/// Places for chunks of `rows` rows; whether they fit is for the caller to see.
fn places(b: &mut Builder<'_>, plan: &Plan, core: usize, rows: usize) -> VectorCore {
    let mut ub = Places::new(Space::Ub);
    let elem = |b: &Builder<'_>, stream: &Stream| b.program.tensors[stream.tensor].elem;
    let mut streams = |b: &Builder<'_>, streams: &[Stream]| -> Vec<Local> {
        streams.iter().map(|s| ub.matrix(rows, s.cols, elem(b, s))).collect()
    };
    let inputs = [streams(b, &plan.inputs), streams(b, &plan.inputs)];
    let outputs = [streams(b, &plan.outputs), streams(b, &plan.outputs)];
    let mut wide = |streams: &[Local]| -> Vec<Option<Local>> {
        let copy = |s: &Local| (s.elem != Elem::F32).then(|| ub.matrix(rows, s.cols, Elem::F32));
        streams.iter().map(copy).collect()
    };
    let (wide_inputs, wide_outputs) = (wide(&inputs[0]), wide(&outputs[0]));
    let widths = plan.constants.iter().map(|&tensor| b.program.tensors[tensor].len);
    let constants = widths.map(|cols| ub.matrix(1, cols, Elem::F32)).collect();
    let mut several = |count: usize, rows: usize, cols: usize| -> Vec<Local> {
        (0..count).map(|_| ub.matrix(rows, cols, Elem::F32)).collect()
    };
    VectorCore {
        core,
        rows,
        inputs,
        wide_inputs,
        outputs,
        wide_outputs,
        constants,
        sums: several(plan.sums.len(), 1, plan.cols),
        matrices: several(plan.matrices, rows, plan.cols),
        columns: several(plan.columns, rows, 1),
        arrive: Ring::new(b, 2, (core, Pipe::Mte2), (core, Pipe::Vector)),
        leave: Ring::new(b, 2, (core, Pipe::Vector), (core, Pipe::Mte3)),
        places: ub,
    }
}

/// Columns of the sums that are added at once at the end.
const SUM_COLUMNS: usize = 128;

/// Rows of a chunk: as many as fit, as few as share the work out, or none.
fn chunk_rows(b: &Builder<'_>, plan: &Plan, cores: usize, total: usize) -> usize {
    // Sizes come from a builder of its own, whose flags nobody uses.
    let mut scratch = Builder::new(b.spec, String::new());
    scratch.program.tensors = b.program.tensors.clone();
    let reserve = if plan.sums.is_empty() { 0 } else { (cores + 1) * SUM_COLUMNS * 4 + 64 };
    let fits = |scratch: &mut Builder<'_>, rows: usize| {
        places(scratch, plan, 0, rows).places.used() + reserve <= b.spec.buffers.ub.count()
    };
    let fair = total.div_ceil(cores.max(1)).max(1);
    let mut rows = fair.min(128);
    while rows > 0 && !fits(&mut scratch, rows) {
        rows /= 2;
    }
    rows
}

/// Runs a row kernel: `body` emits the arithmetic of one chunk.
pub(super) fn run(
    b: &mut Builder<'_>,
    plan: &Plan,
    jobs: &[Job],
    cores: &[usize],
    body: &dyn Fn(&mut Emit<'_, '_>, &Chunk),
) -> Result<(), KernelError> {
    let total = jobs.iter().map(|job| job.rows).sum();
    let rows = chunk_rows(b, plan, cores.len(), total);
    if rows == 0 {
        let (name, device) = (b.program.name.clone(), b.spec.name.clone());
        return Err(KernelError::TooWide { name, cols: plan.cols, device });
    }
    // Every core that takes part has a chunk: its last flag to MTE3 covers its sums too.
    let chunks = jobs.iter().map(|job| job.rows.div_ceil(rows)).sum();
    let cores = &cores[..cores.len().min(chunks)];
    let mut units: Vec<VectorCore> = cores.iter().map(|&core| places(b, plan, core, rows)).collect();
    for unit in &units {
        unit.begin(b, plan);
    }
    let (mut next, count) = (0, units.len());
    for (index, job) in jobs.iter().enumerate() {
        for start in (0..job.rows).step_by(rows) {
            units[next % count].chunk(b, plan, (index, job), start, body);
            next += 1;
        }
    }
    if !plan.sums.is_empty() {
        add_up(b, plan, &units);
    }
    Ok(())
}

impl VectorCore {
    /// Loads the constants, which the flag of the first chunk covers too; clears the sums.
    fn begin(&self, b: &mut Builder<'_>, plan: &Plan) {
        for (&tensor, &place) in plan.constants.iter().zip(&self.constants) {
            let from = b.view(tensor, 0, 1, place.cols, place.cols);
            b.load(self.core, from, place);
        }
        self.sums.iter().for_each(|&sum| b.vector(self.core, VecOp::Fill(0.0), sum, sum));
    }

    fn chunk(
        &mut self,
        b: &mut Builder<'_>,
        plan: &Plan,
        (index, job): (usize, &Job),
        start: usize,
        body: &dyn Fn(&mut Emit<'_, '_>, &Chunk),
    ) {
        let rows = self.rows.min(job.rows - start);
        let cut = |places: &[Local]| -> Vec<Local> {
            places.iter().map(|place| place.part(0, 0, rows, place.cols)).collect()
        };
        let slot = self.arrive.fill(b);
        let arrived = cut(&self.inputs[slot]);
        for ((stream, &first), &to) in plan.inputs.iter().zip(&job.inputs).zip(&arrived) {
            let from = b.view(stream.tensor, (first + start) * stream.cols, rows, stream.cols, stream.cols);
            b.load(self.core, from, to);
        }
        self.arrive.full(b, slot);
        self.arrive.take(b, slot);
        let mut chunk = Chunk {
            core: self.core,
            job: index,
            start,
            inputs: arrived,
            outputs: Vec::new(),
            constants: self.constants.clone(),
            sums: self.sums.clone(),
            matrices: cut(&self.matrices),
            columns: cut(&self.columns),
        };
        for (input, wide) in chunk.inputs.iter_mut().zip(&self.wide_inputs) {
            if let Some(wide) = wide {
                let wide = wide.part(0, 0, rows, wide.cols);
                b.vector(self.core, VecOp::Cast, wide, *input);
                *input = wide;
            }
        }
        let place = self.leave.fill(b);
        let leaving = cut(&self.outputs[place]);
        let wide = self.wide_outputs.iter().zip(&leaving);
        chunk.outputs =
            wide.map(|(wide, &out)| wide.map_or(out, |wide| wide.part(0, 0, rows, wide.cols))).collect();
        body(&mut Emit { b, core: chunk.core }, &chunk);
        for (&wide, &out) in chunk.outputs.iter().zip(&leaving) {
            if wide != out {
                b.vector(self.core, VecOp::Cast, out, wide);
            }
        }
        self.arrive.free(b, slot);
        self.leave.full(b, place);
        self.leave.take(b, place);
        for ((stream, &first), &from) in plan.outputs.iter().zip(&job.outputs).zip(&leaving) {
            let to = b.view(stream.tensor, (first + start) * stream.cols, rows, stream.cols, stream.cols);
            b.store(self.core, from, to);
        }
        self.leave.free(b, place);
    }
}

/// Adds the sums of all cores, in their order, on the first.
fn add_up(b: &mut Builder<'_>, plan: &Plan, units: &[VectorCore]) {
    let (cols, count) = (plan.cols, units.len());
    let parts: Vec<usize> =
        plan.sums.iter().map(|_| b.tensor("partial sums", Elem::F32, count * cols, Role::Work)).collect();
    let mut arrived: Vec<Flag> = Vec::new();
    for (index, unit) in units.iter().enumerate() {
        for (&part, &sum) in parts.iter().zip(&unit.sums) {
            let to = b.view(part, index * cols, 1, cols, cols);
            b.store(unit.core, sum, to);
        }
        let stored = b.flag();
        b.set(unit.core, stored, Pipe::Mte3);
        arrived.push(stored);
    }
    let Some(first) = units.first() else { return };
    arrived.iter().for_each(|&flag| b.wait(first.core, flag, Pipe::Mte2));
    let mut ub = first.places.clone();
    let all = ub.matrix(count, SUM_COLUMNS, Elem::F32);
    let sum = ub.matrix(1, SUM_COLUMNS, Elem::F32);
    let mut arrive = Ring::new(b, 1, (first.core, Pipe::Mte2), (first.core, Pipe::Vector));
    let mut leave = Ring::new(b, 1, (first.core, Pipe::Vector), (first.core, Pipe::Mte3));
    for (&part, &tensor) in parts.iter().zip(&plan.sums) {
        for start in (0..cols).step_by(SUM_COLUMNS) {
            let width = SUM_COLUMNS.min(cols - start);
            let (all, sum) = (all.part(0, 0, count, width), sum.part(0, 0, 1, width));
            let slot = arrive.fill(b);
            let from = b.view(part, start, count, width, cols);
            b.load(first.core, from, all);
            arrive.full(b, slot);
            arrive.take(b, slot);
            let place = leave.fill(b);
            b.vector(first.core, VecOp::Fill(0.0), sum, sum);
            b.vector(first.core, VecOp::AddColumns, sum, all);
            arrive.free(b, slot);
            leave.full(b, place);
            leave.take(b, place);
            let to = b.view(tensor, start, 1, width, width);
            b.store(first.core, sum, to);
            leave.free(b, place);
        }
    }
}
