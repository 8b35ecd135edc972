//! Attention with a running softmax over blocks of keys; memory grows with the number of frames, not its square.
//!
//! A cube core multiplies, its vector cores do the softmax; scores, weights and partial results pass between
//! them through small rings in memory. The scores of the next block are multiplied before the values of this one, so
//! that both kinds of cores have work.

use super::attention_plan::{Blocks, Job, Tensors};
use super::running_softmax::Softmax;
use super::{Builder, KernelError, Places, Ring, pad16};
use crate::npu::spec::DeviceSpec;
use crate::npu::tile::ir::{CoreKind, Elem, Instr, Local, Pipe, Program, Role, Space};

pub use super::attention_plan::Attention;

/// Tensors: `q`, `k`, `v`, `[mask]`, `[drop]`, then `out [B, T_q, H·D]` and `sums [B, H, T_q]` (`ln Σ exp(score)`).
pub fn attention(spec: &DeviceSpec, op: Attention) -> Result<Program, KernelError> {
    let mut b = Builder::new(spec, op.name("attention"));
    b.cube_takes(op.elem)?;
    let tensors = Tensors {
        q: b.tensor("q", op.elem, op.query_len(), Role::Input),
        k: b.tensor("k", op.elem, op.key_len(), Role::Input),
        v: b.tensor("v", op.elem, op.key_len(), Role::Input),
        mask: op.masked.then(|| b.tensor("mask", op.elem, op.batch * op.queries * op.keys, Role::Input)),
        drop: op.dropout.is_some().then(|| b.tensor("drop", op.elem, op.score_len(), Role::Input)),
        out: b.tensor("out", Elem::F32, op.query_len(), Role::Output),
        sums: b.tensor("sums", Elem::F32, op.batch * op.heads * op.queries, Role::Output),
    };
    let (groups, vectors) = b.groups();
    let blocks = Blocks::choose(spec, &op, groups, vectors);
    let jobs: Vec<Job> = (0..op.batch * op.heads)
        .flat_map(|head| (0..op.queries).step_by(blocks.q).map(move |start| (head, start)))
        .map(|(head, start)| Job { head, start, rows: blocks.q.min(op.queries - start) })
        .collect();
    let mut units: Vec<Group> =
        (0..groups.min(jobs.len())).map(|_| Group::new(&mut b, &op, blocks, vectors)).collect();
    let count = units.len();
    for (index, job) in jobs.iter().enumerate() {
        units[index % count].job(&mut b, &op, &tensors, job);
    }
    Ok(b.program)
}

/// A cube core and its vector cores.
struct Group {
    core: usize,
    blocks: Blocks,
    rings: [Ring; 8],
    queries: Vec<Local>,
    keys: Vec<Local>,
    values: Vec<Local>,
    weights: Vec<Local>,
    left: Vec<Local>,
    right: Vec<Local>,
    scores: Local,
    result: Local,
    vectors: Vec<Softmax>,
}

// The rings of a cube core.
const QUERY: usize = 0;
const KEY: usize = 1;
const VALUE: usize = 2;
const WEIGHT: usize = 3;
const FEED: usize = 4;
const SCORE: usize = 5;
const RESULT: usize = 6;

impl Group {
    fn new(b: &mut Builder<'_>, op: &Attention, blocks: Blocks, vectors: usize) -> Self {
        let core = b.core(CoreKind::Cube);
        let width = pad16(op.dim);
        let (mut l1, mut l0a) = (Places::new(Space::L1), Places::new(Space::L0a));
        let (mut l0b, mut l0c) = (Places::new(Space::L0b), Places::new(Space::L0c));
        let two = |places: &mut Places, rows, cols| -> Vec<Local> {
            (0..2).map(|_| places.matrix(rows, cols, op.elem)).collect()
        };
        let staged = |b: &mut Builder<'_>| Ring::new(b, 2, (core, Pipe::Mte2), (core, Pipe::Mte1));
        let drained = |b: &mut Builder<'_>| Ring::new(b, 1, (core, Pipe::Cube), (core, Pipe::Fixpipe));
        let rings = [
            staged(b),
            staged(b),
            staged(b),
            staged(b),
            Ring::new(b, 2, (core, Pipe::Mte1), (core, Pipe::Cube)),
            drained(b),
            drained(b),
            drained(b),
        ];
        Self {
            core,
            blocks,
            rings,
            queries: two(&mut l1, blocks.q, width),
            keys: two(&mut l1, blocks.kv, width),
            values: two(&mut l1, blocks.kv, width),
            weights: two(&mut l1, blocks.q, blocks.kv),
            left: two(&mut l0a, blocks.q, blocks.kv.max(width)),
            right: two(&mut l0b, blocks.kv, width),
            scores: l0c.matrix(blocks.q, blocks.kv, Elem::F32),
            result: l0c.matrix(blocks.q, width, Elem::F32),
            vectors: (0..vectors).map(|_| Softmax::new(b, op, blocks, vectors, core)).collect(),
        }
    }

    fn job(&mut self, b: &mut Builder<'_>, op: &Attention, t: &Tensors, job: &Job) {
        let query = self.rings[QUERY].fill(b);
        let staged = part(self.queries[query], job.rows, op.dim);
        let from = b.view(t.q, job.at(op, op.queries, job.start), job.rows, op.dim, op.width());
        b.load(self.core, from, staged);
        // No flag of its own: the keys come after it in the same pipe, and theirs is waited for.
        let sub = self.blocks.q.div_ceil(self.vectors.len());
        let shares: Vec<usize> =
            (0..self.vectors.len()).map(|v| job.rows.saturating_sub(v * sub).min(sub)).collect();
        for (unit, &rows) in self.vectors.iter_mut().zip(&shares) {
            unit.begin(b, op, rows);
        }
        let steps = op.keys.div_ceil(self.blocks.kv);
        let keys = |step: usize| {
            let start = step * self.blocks.kv;
            (start, self.blocks.kv.min(op.keys - start))
        };
        let (first, last) = (keys(0), keys(steps - 1));
        for step in 0..=steps {
            let full = (step * self.blocks.kv, first.1);
            if step < steps {
                let (start, count) = if step + 1 == steps { last } else { full };
                self.multiply_keys(b, op, t, job, staged, [start, count]);
                if step + 1 == steps {
                    self.rings[QUERY].free(b, query);
                }
                for (v, unit) in self.vectors.iter_mut().enumerate() {
                    unit.weigh(b, op, t, job, [v * sub, shares[v]], [step, start, count]);
                }
            }
            if let Some(step) = step.checked_sub(1) {
                let start = step * self.blocks.kv;
                let count = self.blocks.kv.min(op.keys - start);
                self.multiply_values(b, op, t, job, &shares, [start, count]);
                for (unit, &rows) in self.vectors.iter_mut().zip(&shares) {
                    unit.gather(b, op, step, rows);
                }
            }
        }
        for (v, unit) in self.vectors.iter_mut().enumerate() {
            unit.end(b, op, t, job, v * sub, shares[v]);
        }
    }

    /// Scores of a block, handed to the vector cores.
    fn multiply_keys(
        &mut self,
        b: &mut Builder<'_>,
        op: &Attention,
        t: &Tensors,
        job: &Job,
        staged: Local,
        [start, count]: [usize; 2],
    ) {
        let key = self.rings[KEY].fill(b);
        let keys = part(self.keys[key], count, op.dim);
        let from = b.view(t.k, job.at(op, op.keys, start), count, op.dim, op.width());
        b.load(self.core, from, keys);
        self.rings[KEY].full(b, key);
        self.rings[KEY].take(b, key);
        self.multiply(b, staged, (keys, true), SCORE, self.scores, Some(key).map(|slot| (KEY, slot)));
        self.rings[SCORE].take(b, 0);
        let sub = self.blocks.q.div_ceil(self.vectors.len());
        for (v, unit) in self.vectors.iter_mut().enumerate() {
            let rows = job.rows.saturating_sub(v * sub).min(sub);
            unit.scores.send(b, self.core, self.scores.part(v * sub, 0, rows, count));
        }
        self.rings[SCORE].free(b, 0);
    }

    /// Products of the weights of a block with its values, handed to the vector cores.
    fn multiply_values(
        &mut self,
        b: &mut Builder<'_>,
        op: &Attention,
        t: &Tensors,
        job: &Job,
        shares: &[usize],
        [start, count]: [usize; 2],
    ) {
        let value = self.rings[VALUE].fill(b);
        let values = part(self.values[value], count, op.dim);
        let from = b.view(t.v, job.at(op, op.keys, start), count, op.dim, op.width());
        b.load(self.core, from, values);
        // Covered by the flag of the weights, which come after.
        let weight = self.rings[WEIGHT].fill(b);
        let weights = part(self.weights[weight], job.rows, count);
        let mut row = 0;
        for (v, unit) in self.vectors.iter_mut().enumerate().filter(|(v, _)| shares[*v] > 0) {
            // The last share also clears the rows that fill the block up.
            let last = v + 1 == shares.len() || shares[v + 1] == 0;
            let rows = if last { weights.rows - row } else { shares[v] };
            unit.weights.receive(b, self.core, [shares[v], count], weights.part(row, 0, rows, weights.cols));
            row += rows;
        }
        self.rings[WEIGHT].full(b, weight);
        self.rings[WEIGHT].take(b, weight);
        self.multiply(b, weights, (values, false), RESULT, self.result, Some((WEIGHT, weight)));
        self.rings[VALUE].free(b, value);
        self.rings[RESULT].take(b, 0);
        let mut row = 0;
        for (unit, &rows) in self.vectors.iter_mut().zip(shares) {
            unit.results.send(b, self.core, self.result.part(row, 0, rows, op.dim));
            row += rows;
        }
        self.rings[RESULT].free(b, 0);
    }

    /// One product from L1 to L0C.
    fn multiply(
        &mut self,
        b: &mut Builder<'_>,
        a: Local,
        (right, transpose): (Local, bool),
        into: usize,
        c: Local,
        done: Option<(usize, usize)>,
    ) {
        let (rows, cols) = if transpose { (right.cols, right.rows) } else { (right.rows, right.cols) };
        let place = self.rings[FEED].fill(b);
        let left = Local { rows: a.rows, cols: a.cols, stride: a.cols, ..self.left[place] };
        let operand = Local { rows, cols, stride: cols, ..self.right[place] };
        b.push(self.core, Instr::Extract { from: a, to: left, transpose: false });
        b.push(self.core, Instr::Extract { from: right, to: operand, transpose });
        self.rings[FEED].full(b, place);
        if let Some((ring, slot)) = done {
            self.rings[ring].free(b, slot);
        }
        self.rings[FEED].take(b, place);
        let slot = self.rings[into].fill(b);
        let c = c.part(0, 0, a.rows, cols);
        b.push(self.core, Instr::Mmad { a: left, b: operand, c, accumulate: false });
        self.rings[into].full(b, slot);
        self.rings[FEED].free(b, place);
    }
}

/// A place of `rows × cols` elements, filled up to whole blocks.
fn part(place: Local, rows: usize, cols: usize) -> Local {
    place.part(0, 0, pad16(rows), pad16(cols))
}
