//! The cycle scheduler: when each instruction starts and ends.
//!
//! Every pipe of every core works through its queue in order. An instruction costs a head and its work:
//!
//! | pipe | cycles of work |
//! |---|---|
//! | cube | ⌈m/16⌉·⌈k/16⌉·⌈n/16⌉ |
//! | MTE1 | bytes / rate of L0A or L0B |
//! | vector | passes · ⌈elements/lanes⌉ (rows apart: a row at a time) |
//! | MTE2, MTE3, fixpipe | bytes / rate of the path, slowed while memory is shared |
//!
//! Transfers to and from memory that are under way together share the second-level cache and main memory: while their
//! rates add up to more than either gives, all are slowed by the same factor. The part of a load that misses the
//! cache is, for the whole program, its inputs' bytes over the bytes it loads (each byte comes from main memory once),
//! or what of its inputs and working memory does not fit the cache, whichever is more; outputs pass through and keep
//! nothing (chosen looking at the largest published matrix product). Results are modelled.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::ir::{Binary, CoreKind, Instr, Local, Pipe, Program, Role, Space, Unary, VecOp, Word};
use crate::npu::spec::DeviceSpec;

/// An instruction at work.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// Index of the core.
    pub core: usize,
    /// Its pipe.
    pub pipe: Pipe,
    /// Name of the instruction.
    pub name: &'static str,
    /// First cycle.
    pub start: f64,
    /// Cycle after the last.
    pub end: f64,
}

/// What a pipe did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PipeUse {
    /// Cycles at work, heads included, of the core that worked most.
    pub busiest: f64,
    /// Cycles at work of all cores together, heads included.
    pub total: f64,
    /// Cycles of work without heads and without slowing, all cores together.
    pub work: f64,
    /// Least cycles of work, without heads, of the busiest core.
    pub floor: f64,
}

/// The modelled course of a program.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// Cycles from the first instruction to the end of the last, with the start of the program.
    pub cycles: f64,
    /// Cycles to start the program.
    pub launch: f64,
    /// What each pipe did, in the order of [`Pipe::ALL`].
    pub pipes: [PipeUse; 6],
    /// Cores of each kind that have instructions: cube, vector.
    pub cores: [usize; 2],
    /// Fewest cycles that the work could take on these pipes and this memory.
    pub floor: f64,
    /// What sets the floor.
    pub bound: &'static str,
    /// Bytes loaded and stored, and those that reach main memory.
    pub bytes: [f64; 2],
    /// Every instruction, where asked for.
    pub events: Vec<Event>,
}

impl Timeline {
    /// Share of the time that the pipe worked, mean over the cores that have it.
    pub fn utilisation(&self, pipe: Pipe) -> f64 {
        let cores = match pipe {
            Pipe::Mte1 | Pipe::Cube | Pipe::Fixpipe => self.cores[0],
            Pipe::Vector | Pipe::Mte3 => self.cores[1],
            Pipe::Mte2 => self.cores[0] + self.cores[1],
        };
        if cores == 0 || self.cycles == 0.0 {
            0.0
        } else {
            self.pipes[pipe as usize].total / cores as f64 / self.cycles
        }
    }
}

/// A point in time, for the queue of events.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Moment(f64);

impl Eq for Moment {}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Moment {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The cost of an instruction.
#[derive(Debug, Clone, Copy)]
struct Cost {
    head: f64,
    /// Cycles at full rate.
    work: f64,
    /// Bytes a cycle of a transfer to or from memory, and of those the ones that reach main memory.
    flow: Option<[f64; 2]>,
}

/// Times `program`; `events` asks for every instruction's start and end.
pub fn time(program: &Program, spec: &DeviceSpec, events: bool) -> Timeline {
    Scheduler::new(program, spec, events).run()
}

/// Cycles of one pass of the vector unit's functions; those with many passes are sequences of simple ones.
fn passes(op: VecOp) -> f64 {
    match op {
        VecOp::Unary(Unary::Exp | Unary::Ln | Unary::Sqrt | Unary::Reciprocal)
        | VecOp::Binary(Binary::Div) => 2.0,
        // Made of or, and, not, and: the unit has no exclusive or.
        VecOp::Word(Word::Xor) => 4.0,
        VecOp::Unary(Unary::Erf) => 16.0,
        _ => 1.0,
    }
}

fn vector_cycles(op: VecOp, to: &Local, a: &Local, lanes: f64) -> f64 {
    let shape = if to.len() >= a.len() { to } else { a };
    let dense = shape.cols == shape.stride || shape.rows == 1;
    let steps = if dense && !matches!(op, VecOp::RowReduce(_)) {
        (shape.len() as f64 / lanes).ceil()
    } else {
        shape.rows as f64 * (shape.cols as f64 / lanes).ceil()
    };
    passes(op) * steps
}

/// 16×16×16 steps of a product.
pub fn cube_steps(m: usize, k: usize, n: usize) -> usize {
    m.div_ceil(16) * k.div_ceil(16) * n.div_ceil(16)
}

struct Scheduler<'a> {
    program: &'a Program,
    spec: &'a DeviceSpec,
    /// Instructions of each pipe of each core, and how many are done.
    queues: Vec<(Vec<usize>, usize)>,
    /// Times at which flags were set, and by which core.
    flags: Vec<VecDeque<(f64, usize)>>,
    waiting: Vec<Option<usize>>,
    now: f64,
    /// Cycles that transfers would have made at full rate until now.
    virtual_now: f64,
    demand: [f64; 2],
    timed: BinaryHeap<Reverse<(Moment, usize)>>,
    flowing: BinaryHeap<Reverse<(Moment, usize)>>,
    /// The instruction each pipe works on: start, cost, and whether its head is over.
    active: Vec<Option<(f64, Cost, bool)>>,
    miss: f64,
    spilled: bool,
    record: bool,
    timeline: Timeline,
    work: Vec<f64>,
    busy: Vec<f64>,
}

impl<'a> Scheduler<'a> {
    fn new(program: &'a Program, spec: &'a DeviceSpec, record: bool) -> Self {
        let count = program.cores.len() * 6;
        let mut queues = vec![(Vec::new(), 0); count];
        let (mut loaded, mut cores) = (0.0, [0, 0]);
        for (c, core) in program.cores.iter().enumerate() {
            cores[usize::from(core.kind == CoreKind::Vector)] += usize::from(!core.code.is_empty());
            for (i, instr) in core.code.iter().enumerate() {
                queues[c * 6 + instr.pipe() as usize].0.push(i);
                if let Instr::Load { from, .. } = instr
                    && program.tensors[from.tensor].role == Role::Input
                {
                    loaded += (from.rows * from.cols * program.tensors[from.tensor].elem.bytes()) as f64;
                }
            }
        }
        let kept = program.tensors.iter().filter(|t| t.role != Role::Output);
        let footprint: f64 = kept.map(|t| t.bytes() as f64).sum();
        let inputs: f64 =
            program.tensors.iter().filter(|t| t.role == Role::Input).map(|t| t.bytes() as f64).sum();
        let compulsory = if loaded > 0.0 { (inputs / loaded).min(1.0) } else { 0.0 };
        let capacity = (1.0 - spec.memory.l2.value / footprint.max(1.0)).max(0.0);
        let launch = spec.heads.launch.value * spec.cores.clock.value;
        Self {
            program,
            spec,
            queues,
            flags: vec![VecDeque::new(); program.flags],
            waiting: vec![None; program.flags],
            now: 0.0,
            virtual_now: 0.0,
            demand: [0.0; 2],
            timed: BinaryHeap::new(),
            flowing: BinaryHeap::new(),
            active: vec![None; count],
            miss: compulsory.max(capacity),
            spilled: capacity > 0.0,
            record,
            timeline: Timeline {
                cycles: 0.0,
                launch,
                pipes: [PipeUse::default(); 6],
                cores,
                floor: 0.0,
                bound: "launch",
                bytes: [0.0; 2],
                events: Vec::new(),
            },
            work: vec![0.0; count],
            busy: vec![0.0; count],
        }
    }

    fn cost(&self, instr: &Instr) -> Cost {
        let (rates, heads) = (&self.spec.rates, &self.spec.heads);
        let bytes =
            |tensor: usize, elements: usize| (elements * self.program.tensors[tensor].elem.bytes()) as f64;
        let transfer = |bytes: f64, rate: f64, miss: f64| Cost {
            head: heads.transfer.value,
            work: bytes / rate,
            flow: Some([rate, rate * miss]),
        };
        let stored = |tensor: usize| {
            let kept = self.program.tensors[tensor].role == Role::Work && !self.spilled;
            if kept { 0.0 } else { 1.0 }
        };
        match instr {
            Instr::Load { from, to } => {
                let rate = if to.space == Space::L1 { rates.gm_to_l1.value } else { rates.gm_to_ub.value };
                let fresh = self.program.tensors[from.tensor].role == Role::Input || self.spilled;
                transfer(bytes(from.tensor, from.rows * from.cols), rate, if fresh { self.miss } else { 0.0 })
            }
            Instr::Extract { to, .. } => {
                let rate = if to.space == Space::L0a { &rates.l1_to_l0a } else { &rates.l1_to_l0b };
                Cost { head: 0.0, work: (to.len() * to.elem.bytes()) as f64 / rate.value, flow: None }
            }
            Instr::Bias { c, .. } => {
                Cost { head: 0.0, work: (c.rows.div_ceil(16) * c.cols.div_ceil(16)) as f64, flow: None }
            }
            Instr::Mmad { a, b, .. } => {
                Cost { head: heads.mmad.value, work: cube_steps(a.rows, a.cols, b.cols) as f64, flow: None }
            }
            Instr::Fixpipe { from, to } => {
                transfer(bytes(to.tensor, from.len()), rates.l0c_to_gm.value, stored(to.tensor))
            }
            Instr::Store { from, to } => {
                transfer(bytes(to.tensor, from.len()), rates.ub_to_gm.value, stored(to.tensor))
            }
            Instr::Vector { op, to, a, .. } => Cost {
                head: heads.vector.value,
                work: vector_cycles(*op, to, a, self.spec.cores.vector_lanes.value),
                flow: None,
            },
            Instr::Set { .. } | Instr::Wait { .. } => Cost { head: 0.0, work: 0.0, flow: None },
        }
    }

    fn run(mut self) -> Timeline {
        (0..self.queues.len()).for_each(|queue| self.advance(queue));
        while let Some(queue) = self.next_event() {
            match &mut self.active[queue] {
                // The head is over; the bytes begin to flow.
                Some((_, Cost { work, flow: Some(rates), .. }, begun)) if !*begun => {
                    *begun = true;
                    let (work, rates) = (*work, *rates);
                    (0..2).for_each(|i| self.demand[i] += rates[i]);
                    self.flowing.push(Reverse((Moment(self.virtual_now + work), queue)));
                }
                Some((start, cost, _)) => {
                    let (start, cost) = (*start, *cost);
                    self.finish(queue, start, cost);
                    self.advance(queue);
                }
                None => self.advance(queue),
            }
        }
        self.close()
    }

    /// Moves to the next event; its pipe.
    fn next_event(&mut self) -> Option<usize> {
        let scale = self.scale();
        let flow =
            self.flowing.peek().map(|Reverse((at, _))| self.now + (at.0 - self.virtual_now).max(0.0) / scale);
        let timed = self.timed.peek().map(|Reverse((at, _))| at.0);
        let is_flow = match (timed, flow) {
            (None, None) => return None,
            (Some(timed), Some(flow)) => flow <= timed,
            (None, Some(_)) => true,
            (Some(_), None) => false,
        };
        let at = if is_flow { flow? } else { timed? }.max(self.now);
        self.virtual_now += (at - self.now) * scale;
        self.now = at;
        let heap = if is_flow { &mut self.flowing } else { &mut self.timed };
        heap.pop().map(|Reverse((_, queue))| queue)
    }

    /// By how much transfers are slowed now.
    fn scale(&self) -> f64 {
        let clock = self.spec.cores.clock.value;
        let limits = [self.spec.memory.l2_rate.value / clock, self.spec.memory.hbm_rate.value / clock];
        // Rounding leaves a little demand behind when all transfers have ended.
        (0..2).map(|i| limits[i] / self.demand[i].max(1e-9)).fold(1.0, f64::min)
    }

    fn finish(&mut self, queue: usize, start: f64, cost: Cost) {
        if let Some(rates) = cost.flow {
            (0..2).for_each(|i| self.demand[i] = (self.demand[i] - rates[i]).max(0.0));
            self.timeline.bytes[0] += cost.work * rates[0];
            self.timeline.bytes[1] += cost.work * rates[1];
        }
        self.busy[queue] += self.now - start;
        self.work[queue] += cost.work;
        if self.record {
            let (instrs, done) = &self.queues[queue];
            let name = self.program.cores[queue / 6].code[instrs[*done]].name();
            let event = Event { core: queue / 6, pipe: Pipe::ALL[queue % 6], name, start, end: self.now };
            self.timeline.events.push(event);
        }
        self.queues[queue].1 += 1;
        self.active[queue] = None;
    }

    /// Starts what a pipe can do next; flags take no time to set.
    fn advance(&mut self, queue: usize) {
        let (program, core) = (self.program, queue / 6);
        while let Some(&index) = self.queues[queue].0.get(self.queues[queue].1) {
            match &program.cores[core].code[index] {
                Instr::Set { flag, .. } => {
                    self.flags[flag.0].push_back((self.now, core));
                    self.queues[queue].1 += 1;
                    if let Some(waiter) = self.waiting[flag.0].take() {
                        self.timed.push(Reverse((Moment(self.now), waiter)));
                    }
                }
                Instr::Wait { flag, .. } => {
                    let Some(&(at, by)) = self.flags[flag.0].front() else {
                        self.waiting[flag.0] = Some(queue);
                        return;
                    };
                    let heads = &self.spec.heads;
                    let ready = at + if by == core { heads.local_flag.value } else { heads.core_flag.value };
                    if ready > self.now {
                        self.timed.push(Reverse((Moment(ready), queue)));
                        return;
                    }
                    self.flags[flag.0].pop_front();
                    self.queues[queue].1 += 1;
                }
                instr => {
                    let cost = self.cost(instr);
                    let until = cost.head + if cost.flow.is_some() { 0.0 } else { cost.work };
                    self.active[queue] = Some((self.now, cost, false));
                    self.timed.push(Reverse((Moment(self.now + until), queue)));
                    return;
                }
            }
        }
    }

    fn close(mut self) -> Timeline {
        for (queue, (&busy, &work)) in self.busy.iter().zip(&self.work).enumerate() {
            let pipe = &mut self.timeline.pipes[queue % 6];
            pipe.busiest = pipe.busiest.max(busy);
            pipe.total += busy;
            pipe.work += work;
            pipe.floor = pipe.floor.max(work);
        }
        let clock = self.spec.cores.clock.value;
        let memory = [
            ("L2", self.timeline.bytes[0] / self.spec.memory.l2_rate.value * clock),
            ("HBM", self.timeline.bytes[1] / self.spec.memory.hbm_rate.value * clock),
        ];
        let pipes = Pipe::ALL.iter().map(|pipe| (pipe.name(), self.timeline.pipes[*pipe as usize].floor));
        for (name, floor) in pipes.chain(memory) {
            if floor > self.timeline.floor {
                (self.timeline.bound, self.timeline.floor) = (name, floor);
            }
        }
        if self.timeline.launch > self.timeline.floor {
            self.timeline.bound = "launch";
        }
        self.timeline.cycles = self.now + self.timeline.launch;
        self.timeline
    }
}
