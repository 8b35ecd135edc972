//! The forward-backward recursion of CTC in log space, see [`crate::ops::ctc_loss`].
//!
//! The recursion is serial in frames; what runs side by side are the states of an utterance and the utterances. A matrix
//! here has the states as its rows and the [`LANES`] utterances of a group as its columns: "the state before" is then the
//! row before, which the vector unit reads like any other, and each vector core has groups of its own. The utterances of a
//! group end together, at the last frame; a shorter one enters later.
//!
//! # What stays on the host
//! Which token a state emits is a look-up: the host picks the states' log-probabilities out of those of the vocabulary, and
//! adds the states' occupancies to their tokens. The unit has no addition to a place that data name, and as a
//! product with a table of ones the log-probabilities would lose more to half precision than a loss may.
//! Log-softmax, recursion, occupancies and the gradient of the softmax run on the device.

use super::{Builder, KernelError, Places, Ring};
use crate::npu::spec::DeviceSpec;
use crate::npu::tile::ir::{
    Binary::{Add, Max, Mul, Sub},
    CoreKind, Elem, GmView, Local, Pipe, Program, Role, Space,
    Unary::{Exp, Ln, Reciprocal},
    VecOp,
};

/// Utterances of a group.
pub const LANES: usize = 8;

/// Stands for ln 0: finite, so that differences of two are 0 and not NaN.
pub const LOG_ZERO: f32 = -1e30;

/// Sizes of a recursion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ctc {
    /// Groups of utterances.
    pub groups: usize,
    /// Frames `T` of the longest utterance.
    pub frames: usize,
    /// States `S` of the utterance with the most tokens: twice those and one.
    pub states: usize,
}

impl Ctc {
    pub(crate) fn table_len(&self) -> usize {
        self.groups * self.states * LANES
    }

    pub(crate) fn emitted_len(&self) -> usize {
        self.frames * self.table_len()
    }

    pub(crate) fn entry_len(&self) -> usize {
        self.groups * self.frames * LANES
    }

    pub(crate) fn score_len(&self) -> usize {
        self.groups * LANES
    }
}

/// Tensors, all in single precision, the utterances of a group last: `emitted [G, T, S]` (log-probabilities of the states'
/// tokens, ln 0 for states that an utterance has not), `skip [G, S]` (0 where a state may be entered from two before it, and
/// in state 1, else ln 0), `entry [G, T]` (0 at an utterance's first frame, else ln 0), `finish [G, S]` (0 in its last two
/// states, else ln 0), then `scores [G]` (`ln p`), `occupied [G, T, S]` (probability of being in a state, of those of a frame).
pub fn ctc(spec: &DeviceSpec, op: Ctc) -> Result<Program, KernelError> {
    let mut b =
        Builder::new(spec, format!("ctc {}x{} utterances, {}, {}", op.groups, LANES, op.frames, op.states));
    let single = Elem::F32;
    let t = Tensors {
        emitted: b.tensor("emitted", single, op.emitted_len(), Role::Input),
        skip: b.tensor("skip", single, op.table_len(), Role::Input),
        entry: b.tensor("entry", single, op.entry_len(), Role::Input),
        finish: b.tensor("finish", single, op.table_len(), Role::Input),
        scores: b.tensor("scores", single, op.score_len(), Role::Output),
        occupied: b.tensor("occupied", single, op.emitted_len(), Role::Output),
        alphas: b.tensor("alphas", single, op.emitted_len(), Role::Work),
    };
    let count = spec.cores.vector.count().min(op.groups);
    let mut units: Vec<Unit> = (0..count).map(|_| Unit::new(&mut b, &op)).collect();
    if units.first().is_some_and(|unit| unit.bytes > spec.buffers.ub.count()) {
        let (name, device) = (b.program.name.clone(), spec.name.clone());
        return Err(KernelError::TooWide { name, cols: op.states, device });
    }
    for group in 0..op.groups {
        units[group % count].group(&mut b, &op, &t, group);
    }
    Ok(b.program)
}

struct Tensors {
    emitted: usize,
    skip: usize,
    entry: usize,
    finish: usize,
    scores: usize,
    occupied: usize,
    alphas: usize,
}

impl Tensors {
    /// The states of one frame of a group.
    fn frame(&self, b: &Builder<'_>, op: &Ctc, tensor: usize, [group, frame]: [usize; 2]) -> GmView {
        b.view(tensor, (group * op.frames + frame) * op.states * LANES, op.states, LANES, LANES)
    }
}

/// A vector core.
struct Unit {
    core: usize,
    /// Log-probabilities of a frame, and its entry or alpha.
    arriving: [[Local; 2]; 2],
    /// Two rows of ln 0 more than there are states: before them on the way forward, after them on the way back.
    padded: [Local; 2],
    leaving: [Local; 2],
    skip: Local,
    finish: Local,
    work: [Local; 2],
    /// Rows of one number an utterance: working rows, and the score.
    rows: [Local; 2],
    score: Local,
    arrive: Ring,
    tables: Ring,
    leave: Ring,
    result: Ring,
    bytes: usize,
}

impl Unit {
    fn new(b: &mut Builder<'_>, op: &Ctc) -> Self {
        let core = b.core(CoreKind::Vector);
        let mut ub = Places::new(Space::Ub);
        let s = op.states;
        let mut matrix = |rows| ub.matrix(rows, LANES, Elem::F32);
        let arriving = std::array::from_fn(|_| [matrix(s), matrix(s)]);
        let padded = [matrix(s + 2), matrix(s + 2)];
        let leaving = [matrix(s), matrix(s)];
        let (skip, finish) = (matrix(s + 2), matrix(s));
        let (work, rows) = ([matrix(s), matrix(s)], [matrix(1), matrix(1)]);
        let score = matrix(1);
        let (load, vector, store) = ((core, Pipe::Mte2), (core, Pipe::Vector), (core, Pipe::Mte3));
        Self {
            core,
            arriving,
            padded,
            leaving,
            skip,
            finish,
            work,
            rows,
            score,
            arrive: Ring::new(b, 2, load, vector),
            tables: Ring::new(b, 1, load, vector),
            leave: Ring::new(b, 2, vector, store),
            result: Ring::new(b, 1, vector, store),
            bytes: ub.used(),
        }
    }

    fn group(&mut self, b: &mut Builder<'_>, op: &Ctc, t: &Tensors, group: usize) {
        let tables = self.tables.fill(b);
        let states = |tensor| (tensor, group * op.states * LANES);
        for ((tensor, at), to) in
            [(states(t.skip), self.skip.part(0, 0, op.states, LANES)), (states(t.finish), self.finish)]
        {
            let from = b.view(tensor, at, op.states, LANES, LANES);
            b.load(self.core, from, to);
        }
        // No flag of their own: the first frame comes after them in the same pipe, and its flag is waited for.
        let beyond = self.skip.part(op.states, 0, 2, LANES);
        b.vector(self.core, VecOp::Fill(LOG_ZERO), beyond, beyond);
        self.forward(b, op, t, group);
        // The way back reads the alphas that the way forward has stored.
        b.barrier(&[self.core], Pipe::Mte3, &[self.core]);
        self.backward(b, op, t, group);
        self.tables.free(b, tables);
    }

    /// `to = ln(e^stay + e^step + e^leap)`; neither may be `to`.
    fn add(&self, b: &mut Builder<'_>, to: Local, [stay, step, leap]: [Local; 3]) {
        let (core, [top, term]) = (self.core, self.work);
        b.vector2(core, VecOp::Binary(Max), top, stay, step);
        b.vector2(core, VecOp::Binary(Max), top, top, leap);
        b.vector2(core, VecOp::Binary(Sub), to, stay, top);
        b.vector(core, VecOp::Unary(Exp), to, to);
        for other in [step, leap] {
            b.vector2(core, VecOp::Binary(Sub), term, other, top);
            b.vector(core, VecOp::Unary(Exp), term, term);
            b.vector2(core, VecOp::Binary(Add), to, to, term);
        }
        b.vector(core, VecOp::Unary(Ln), to, to);
        b.vector2(core, VecOp::Binary(Add), to, to, top);
    }

    fn forward(&mut self, b: &mut Builder<'_>, op: &Ctc, t: &Tensors, group: usize) {
        let (core, s) = (self.core, op.states);
        for alpha in self.padded {
            b.vector(core, VecOp::Fill(LOG_ZERO), alpha, alpha);
        }
        for frame in 0..op.frames {
            let slot = self.arrive.fill(b);
            let [emitted, second] = self.arriving[slot];
            let entry = second.part(0, 0, 1, LANES);
            let from = t.frame(b, op, t.emitted, [group, frame]);
            b.load(core, from, emitted);
            let from = b.view(t.entry, (group * op.frames + frame) * LANES, 1, LANES, LANES);
            b.load(core, from, entry);
            self.arrive.full(b, slot);
            self.arrive.take(b, slot);
            let (before, now) = (self.padded[frame % 2], self.padded[(frame + 1) % 2]);
            // From the row before the first, an utterance's first frame enters states 0 and 1.
            b.vector(core, VecOp::Cast, before.part(1, 0, 1, LANES), entry);
            let place = self.leave.fill(b);
            let leap = self.leaving[place];
            b.vector2(
                core,
                VecOp::Binary(Add),
                leap,
                before.part(0, 0, s, LANES),
                self.skip.part(0, 0, s, LANES),
            );
            let from = [before.part(2, 0, s, LANES), before.part(1, 0, s, LANES), leap];
            let alpha = now.part(2, 0, s, LANES);
            self.add(b, alpha, from);
            b.vector2(core, VecOp::Binary(Add), alpha, alpha, emitted);
            self.arrive.free(b, slot);
            b.vector(core, VecOp::Cast, leap, alpha);
            self.store(b, place, t.frame(b, op, t.alphas, [group, frame]));
        }
        self.finish_score(b, op, t, group);
    }

    /// Stores what leaves.
    fn store(&self, b: &mut Builder<'_>, place: usize, to: GmView) {
        self.leave.full(b, place);
        self.leave.take(b, place);
        b.store(self.core, self.leaving[place], to);
        self.leave.free(b, place);
    }

    /// `ln p` from the last frame's alphas.
    fn finish_score(&mut self, b: &mut Builder<'_>, op: &Ctc, t: &Tensors, group: usize) {
        let (core, [last, _], [top, _]) = (self.core, self.work, self.rows);
        let alpha = self.padded[op.frames % 2].part(2, 0, op.states, LANES);
        let place = self.result.fill(b);
        b.vector2(core, VecOp::Binary(Add), last, alpha, self.finish);
        b.vector(core, VecOp::Fill(f32::MIN), top, top);
        b.vector(core, VecOp::MaxColumns, top, last);
        b.vector2(core, VecOp::Binary(Sub), last, last, top);
        b.vector(core, VecOp::Unary(Exp), last, last);
        b.vector(core, VecOp::Fill(0.0), self.score, self.score);
        b.vector(core, VecOp::AddColumns, self.score, last);
        b.vector(core, VecOp::Unary(Ln), self.score, self.score);
        b.vector2(core, VecOp::Binary(Add), self.score, self.score, top);
        self.result.full(b, place);
        self.result.take(b, place);
        let to = b.view(t.scores, group * LANES, 1, LANES, LANES);
        b.store(core, self.score, to);
        self.result.free(b, place);
    }

    fn backward(&mut self, b: &mut Builder<'_>, op: &Ctc, t: &Tensors, group: usize) {
        let (core, s) = (self.core, op.states);
        let [entered, later] = self.padded;
        let beta = later.part(0, 0, s, LANES);
        b.vector(core, VecOp::Fill(LOG_ZERO), entered, entered);
        b.vector(core, VecOp::Cast, beta, self.finish);
        for frame in (0..op.frames).rev() {
            let slot = self.arrive.fill(b);
            let [emitted, alpha] = self.arriving[slot];
            let from = t.frame(b, op, t.emitted, [group, frame]);
            b.load(core, from, emitted);
            let from = t.frame(b, op, t.alphas, [group, frame]);
            b.load(core, from, alpha);
            self.arrive.full(b, slot);
            self.arrive.take(b, slot);
            let place = self.leave.fill(b);
            let occupied = self.leaving[place];
            b.vector2(core, VecOp::Binary(Add), occupied, alpha, beta);
            b.vector2(core, VecOp::Binary(Sub), occupied, occupied, self.score);
            b.vector(core, VecOp::Unary(Exp), occupied, occupied);
            let [total, rate] = self.rows;
            b.vector(core, VecOp::Fill(0.0), total, total);
            b.vector(core, VecOp::AddColumns, total, occupied);
            b.vector(core, VecOp::Unary(Reciprocal), rate, total);
            b.vector2(core, VecOp::Binary(Mul), occupied, occupied, rate);
            self.store(b, place, t.frame(b, op, t.occupied, [group, frame]));
            // The frame before looks at what may come after it: this frame's emissions and what follows.
            b.vector2(core, VecOp::Binary(Add), entered.part(0, 0, s, LANES), beta, emitted);
            let leap = alpha;
            b.vector2(
                core,
                VecOp::Binary(Add),
                leap,
                entered.part(2, 0, s, LANES),
                self.skip.part(2, 0, s, LANES),
            );
            let from = [entered.part(0, 0, s, LANES), entered.part(1, 0, s, LANES), leap];
            self.add(b, beta, from);
            self.arrive.free(b, slot);
        }
    }
}
