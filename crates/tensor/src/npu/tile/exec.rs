//! The functional executor: computes what a program computes, and refuses programs that work by luck.
//!
//! Half-precision operands are multiplied exactly and added in single precision, as the cube does; the order of the
//! additions inside one instruction is that of the host's matrix product, which the hardware does not publish either.
//! An error is: reading bytes that were never written, running over the end of a buffer, touching data that another
//! pipe writes without a flag in between, waiting for a flag that nobody sets, and an output that is not written whole.

use std::collections::VecDeque;

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};

use super::ir::{CoreKind, Elem, GmView, Instr, Local, Program, Role, Space, VecOp};
use super::memory::{Access, Fault, Memory};
use super::vector::{self, Operand};
use crate::npu::spec::DeviceSpec;

/// A program that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileError {
    /// An instruction does what it must not.
    #[error("{program}: core {core}, instruction {index} ({instr}): {what}")]
    Instruction {
        /// The program.
        program: String,
        /// Index of the core.
        core: usize,
        /// Index of the instruction.
        index: usize,
        /// Its name.
        instr: &'static str,
        /// What is wrong.
        what: String,
    },
    /// Pipes wait for flags that nobody will set.
    #[error("{program}: core {core}, instruction {index}: waits for flag {flag}, which nobody sets any more")]
    Deadlock {
        /// The program.
        program: String,
        /// Index of a core that waits.
        core: usize,
        /// Index of the instruction.
        index: usize,
        /// The flag.
        flag: usize,
    },
    /// An output was not written whole.
    #[error("{program}: byte {byte} of output {tensor} was never written")]
    Incomplete {
        /// The program.
        program: String,
        /// The tensor.
        tensor: &'static str,
        /// The first byte.
        byte: usize,
    },
    /// The tensors are not those of the program.
    #[error("{program}: {what}")]
    Arguments {
        /// The program.
        program: String,
        /// What is wrong.
        what: String,
    },
}

/// In which order pipes that could go on are chosen. A right program computes the same either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// First pipe first.
    Forward,
    /// Last pipe first.
    Backward,
}

/// Runs `program` on tensors of 16-bit words, one for each declaration; gives them back.
///
/// What outputs and working tensors hold before does not matter; reading it is an error.
pub fn run(
    program: &Program,
    spec: &DeviceSpec,
    tensors: Vec<Vec<u16>>,
    order: Order,
) -> Result<Vec<Vec<u16>>, TileError> {
    let fault = |what: String| TileError::Arguments { program: program.name.clone(), what };
    if tensors.len() != program.tensors.len() {
        return Err(fault(format!("{} tensors for {}", tensors.len(), program.tensors.len())));
    }
    let mut memory = Vec::new();
    for (words, decl) in tensors.into_iter().zip(&program.tensors) {
        if words.len() * 2 != decl.bytes() {
            return Err(fault(format!("{} has {} bytes, not {}", decl.name, words.len() * 2, decl.bytes())));
        }
        memory.push(match decl.role {
            Role::Input => Memory::read_only(words),
            Role::Output | Role::Work => Memory::unwritten(words),
        });
    }
    let mut machine = Machine::new(program, spec, memory);
    machine.run(order)?;
    let mut results = Vec::new();
    for (memory, decl) in machine.memory.into_iter().zip(&program.tensors) {
        let (words, missing) = memory.finish();
        if let (Role::Output, Some(byte)) = (decl.role, missing) {
            return Err(TileError::Incomplete { program: program.name.clone(), tensor: decl.name, byte });
        }
        results.push(words);
    }
    Ok(results)
}

struct CoreState {
    /// By space, in the order of [`Space`].
    buffers: [Memory; 5],
    /// Instructions not yet done, by pipe.
    queues: [VecDeque<usize>; 6],
}

struct Machine<'a> {
    program: &'a Program,
    memory: Vec<Memory>,
    cores: Vec<CoreState>,
    /// For every pipe of every core, the epochs it has heard of.
    clocks: Vec<Vec<u32>>,
    flags: Vec<VecDeque<Vec<u32>>>,
    scratch: Scratch,
}

/// Working memory of instructions.
#[derive(Default)]
struct Scratch {
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

impl<'a> Machine<'a> {
    fn new(program: &'a Program, spec: &DeviceSpec, memory: Vec<Memory>) -> Self {
        let b = &spec.buffers;
        let buffer = |kind, bytes: usize, owner| Memory::buffer(if kind == owner { bytes / 2 } else { 0 });
        let cores = program.cores.iter().map(|core| {
            let mut queues: [VecDeque<usize>; 6] = Default::default();
            for (index, instr) in core.code.iter().enumerate() {
                queues[instr.pipe() as usize].push_back(index);
            }
            let cube = |bytes| buffer(core.kind, bytes, CoreKind::Cube);
            CoreState {
                buffers: [
                    cube(b.l1.count()),
                    cube(b.l0a.count()),
                    cube(b.l0b.count()),
                    cube(b.l0c.count()),
                    buffer(core.kind, b.ub.count(), CoreKind::Vector),
                ],
                queues,
            }
        });
        let queues = program.cores.len() * 6;
        let clocks = (0..queues).map(|q| (0..queues).map(|other| u32::from(q == other)).collect());
        Self {
            program,
            memory,
            cores: cores.collect(),
            clocks: clocks.collect(),
            flags: vec![VecDeque::new(); program.flags],
            scratch: Scratch::default(),
        }
    }

    fn run(&mut self, order: Order) -> Result<(), TileError> {
        let queues = self.cores.len() * 6;
        loop {
            let mut moved = false;
            for i in 0..queues {
                let queue = if order == Order::Forward { i } else { queues - 1 - i };
                moved |= self.drain(queue)?;
            }
            if !moved {
                return self.check_done();
            }
        }
    }

    fn check_done(&self) -> Result<(), TileError> {
        let mut waiting = self.cores.iter().enumerate().flat_map(|(core, state)| {
            state.queues.iter().filter_map(move |queue| queue.front().map(|&index| (core, index)))
        });
        match waiting.next() {
            None => Ok(()),
            Some((core, index)) => {
                let flag = match self.program.cores[core].code[index] {
                    Instr::Wait { flag, .. } => flag.0,
                    _ => usize::MAX,
                };
                Err(TileError::Deadlock { program: self.program.name.clone(), core, index, flag })
            }
        }
    }

    /// Executes what a pipe can do now; whether that was anything.
    fn drain(&mut self, queue: usize) -> Result<bool, TileError> {
        let (core, pipe) = (queue / 6, queue % 6);
        let program = self.program;
        let mut moved = false;
        while let Some(&index) = self.cores[core].queues[pipe].front() {
            let instr = &program.cores[core].code[index];
            let wrong = |what: String| TileError::Instruction {
                program: program.name.clone(),
                core,
                index,
                instr: instr.name(),
                what,
            };
            match instr {
                Instr::Wait { flag, .. } => {
                    let waiting = self.flags.get_mut(flag.0).ok_or_else(|| wrong("no such flag".into()))?;
                    let Some(clock) = waiting.pop_front() else { break };
                    let own = self.clocks[queue].iter_mut();
                    own.zip(clock).for_each(|(own, heard)| *own = (*own).max(heard));
                }
                Instr::Set { flag, .. } => {
                    let waiting = self.flags.get_mut(flag.0).ok_or_else(|| wrong("no such flag".into()))?;
                    waiting.push_back(self.clocks[queue].clone());
                    self.clocks[queue][queue] += 1;
                }
                _ => self.execute(queue, instr).map_err(wrong)?,
            }
            self.cores[core].queues[pipe].pop_front();
            moved = true;
        }
        Ok(moved)
    }

    fn execute(&mut self, queue: usize, instr: &Instr) -> Result<(), String> {
        let by = Access { queue: queue as u32, clock: &self.clocks[queue] };
        let buffers = &mut self.cores[queue / 6].buffers;
        let Scratch { a: x, b: y, c: z } = &mut self.scratch;
        match instr {
            Instr::Load { from, to } => {
                expect(matches!(to.space, Space::L1 | Space::Ub), "loads go to L1 or UB")?;
                expect(from.rows <= to.rows && from.cols <= to.cols, "the source is larger than its place")?;
                let elem = elem_of(self.program, from.tensor)?;
                expect(elem == to.elem, "a load changes no type")?;
                let buffer = &mut buffers[to.space as usize];
                for row in 0..to.rows {
                    let into = write_row(buffer, to, row, by)?;
                    into.fill(0);
                    if row < from.rows {
                        let (skip, words) = read_gm(&mut self.memory, from, row, elem, by)?;
                        into[skip..skip + words.len()].copy_from_slice(words);
                    }
                }
            }
            Instr::Extract { from, to, transpose } => {
                expect(from.space == Space::L1, "extracts come from L1")?;
                expect(matches!(to.space, Space::L0a | Space::L0b), "extracts go to L0A or L0B")?;
                expect(from.elem == to.elem && from.elem != Elem::F32, "extracts move half precision")?;
                let same = if *transpose { (from.cols, from.rows) } else { (from.rows, from.cols) };
                expect(same == (to.rows, to.cols), "sizes differ")?;
                read(&mut buffers[Space::L1 as usize], from, by, x)?;
                if *transpose {
                    transposed(x, from.rows, from.cols, y);
                    std::mem::swap(x, y);
                }
                write(&mut buffers[to.space as usize], to, by, x)?;
            }
            Instr::Bias { row, c } => {
                expect(row.space == Space::L1 && c.space == Space::L0c, "biases go from L1 to L0C")?;
                expect(
                    row.rows == 1 && row.cols == c.cols && row.elem == Elem::F32,
                    "the bias has another size",
                )?;
                read(&mut buffers[Space::L1 as usize], row, by, x)?;
                let repeated = x.repeat(c.rows);
                write(&mut buffers[Space::L0c as usize], c, by, &repeated)?;
            }
            Instr::Mmad { a, b, c, accumulate } => {
                let spaces = a.space == Space::L0a && b.space == Space::L0b && c.space == Space::L0c;
                expect(spaces, "products go from L0A and L0B to L0C")?;
                expect(
                    a.elem == b.elem && a.elem != Elem::F32 && c.elem == Elem::F32,
                    "half precision in, single out",
                )?;
                expect(a.cols == b.rows && a.rows == c.rows && b.cols == c.cols, "sizes do not fit")?;
                read(&mut buffers[Space::L0a as usize], a, by, x)?;
                read(&mut buffers[Space::L0b as usize], b, by, y)?;
                if *accumulate {
                    read(&mut buffers[Space::L0c as usize], c, by, z)?;
                } else {
                    z.clear();
                    z.resize(c.len(), 0.0);
                }
                product(z, x, y, [a.rows, a.cols, b.cols]);
                write(&mut buffers[Space::L0c as usize], c, by, z)?;
            }
            Instr::Fixpipe { from, to } => {
                expect(from.space == Space::L0c, "fixpipe comes from L0C")?;
                self.out(queue, from, to)?;
            }
            Instr::Store { from, to } => {
                expect(from.space == Space::Ub, "stores come from UB")?;
                expect(from.elem == elem_of(self.program, to.tensor)?, "a store changes no type")?;
                self.out(queue, from, to)?;
            }
            Instr::Vector { op, to, a, b } => {
                let ub = [Some(*to), Some(*a), *b].into_iter().flatten().all(|t| t.space == Space::Ub);
                expect(ub, "the vector unit works in UB")?;
                let buffer = &mut buffers[Space::Ub as usize];
                let shape_fits = match op {
                    VecOp::RowReduce(_) => to.cols == 1 && to.rows == a.rows,
                    VecOp::AddColumns | VecOp::MaxColumns => to.rows == 1 && to.cols == a.cols,
                    _ => (to.rows, to.cols) == (a.rows, a.cols),
                };
                let second_fits =
                    b.is_none_or(|b| (b.rows == a.rows || b.rows == 1) && (b.cols == a.cols || b.cols == 1));
                expect(shape_fits && second_fits, "sizes do not fit")?;
                if matches!(op, VecOp::Word(_)) {
                    let wide = [Some(*to), Some(*a), *b].into_iter().flatten().all(|t| t.elem == Elem::F32);
                    expect(wide, "words have 32 bits")?;
                }
                z.clear();
                z.resize(to.len(), 0.0);
                if matches!(op, VecOp::AddColumns | VecOp::MaxColumns) {
                    read(buffer, to, by, z)?;
                }
                if matches!(op, VecOp::Fill(_) | VecOp::Ramp { .. }) {
                    x.clear()
                } else {
                    read(buffer, a, by, x)?
                }
                if let Some(b) = b {
                    read(buffer, b, by, y)?;
                }
                let second = b.map(|b| Operand { values: y, rows: b.rows, cols: b.cols });
                let first = Operand { values: x, rows: a.rows, cols: a.cols };
                vector::apply(*op, z, to.cols, &first, second.as_ref());
                write(buffer, to, by, z)?;
            }
            Instr::Set { .. } | Instr::Wait { .. } => {}
        }
        Ok(())
    }

    /// A matrix of a buffer to memory, rounded to the type there.
    fn out(&mut self, queue: usize, from: &Local, to: &GmView) -> Result<(), String> {
        expect((from.rows, from.cols) == (to.rows, to.cols), "sizes differ")?;
        let elem = elem_of(self.program, to.tensor)?;
        let by = Access { queue: queue as u32, clock: &self.clocks[queue] };
        let x = &mut self.scratch.a;
        read(&mut self.cores[queue / 6].buffers[from.space as usize], from, by, x)?;
        for (row, values) in x.chunks_exact(to.cols.max(1)).enumerate() {
            let start = usize::try_from(to.offset).map_err(|_| "stores before the tensor".to_owned())?;
            let start = (start + row * to.stride) * elem.words();
            let into = self.memory[to.tensor].write(start, to.cols * elem.words(), by);
            encode(values, elem, into.map_err(|fault| in_memory(fault, to.tensor, self.program))?);
        }
        Ok(())
    }
}

fn elem_of(program: &Program, tensor: usize) -> Result<Elem, String> {
    program.tensors.get(tensor).map(|decl| decl.elem).ok_or_else(|| format!("no tensor {tensor}"))
}

fn expect(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

fn in_memory(fault: Fault, tensor: usize, program: &Program) -> String {
    describe(fault, &format!("tensor {}", program.tensors[tensor].name))
}

fn describe(fault: Fault, place: &str) -> String {
    match fault {
        Fault::Unwritten(byte) => format!("reads byte {byte} of {place}, which nothing has written"),
        Fault::Race(byte) => {
            format!("touches byte {byte} of {place} while another pipe may: a wait is missing")
        }
        Fault::ReadOnly => format!("writes {place}, which is an input"),
        Fault::Overflow(bytes) => format!("runs over the end of {place}, which has {bytes} bytes"),
    }
}

/// The valid words of a row, and how many words of zeros stand before them.
fn read_gm<'m>(
    memory: &'m mut [Memory],
    view: &GmView,
    row: usize,
    elem: Elem,
    by: Access<'_>,
) -> Result<(usize, &'m [u16]), String> {
    let start = view.offset + (row * view.stride) as isize;
    let first = start.max(view.valid.0 as isize);
    let last = (start + view.cols as isize).min(view.valid.1 as isize).max(first);
    let len = (last - first) as usize;
    let (skip, at) = if len == 0 { (0, 0) } else { ((first - start) as usize, first as usize) };
    let words = memory[view.tensor]
        .read(at * elem.words(), len * elem.words(), by)
        .map_err(|fault| describe(fault, &format!("tensor {}", view.tensor)))?;
    Ok((skip * elem.words(), words))
}

/// Words of a row of a matrix in a buffer.
fn row_words(tile: &Local, row: usize) -> Result<usize, String> {
    expect(tile.offset.is_multiple_of(2) && tile.cols <= tile.stride.max(tile.cols), "misplaced")?;
    Ok(tile.offset / 2 + row * tile.stride * tile.elem.words())
}

fn write_row<'m>(
    buffer: &'m mut Memory,
    tile: &Local,
    row: usize,
    by: Access<'_>,
) -> Result<&'m mut [u16], String> {
    let start = row_words(tile, row)?;
    buffer
        .write(start, tile.cols * tile.elem.words(), by)
        .map_err(|fault| describe(fault, &format!("{:?}", tile.space)))
}

/// The elements of a matrix in a buffer, in row-major order.
fn read(buffer: &mut Memory, tile: &Local, by: Access<'_>, values: &mut Vec<f32>) -> Result<(), String> {
    values.clear();
    values.resize(tile.len(), 0.0);
    for (row, values) in values.chunks_exact_mut(tile.cols.max(1)).enumerate() {
        let words = buffer
            .read(row_words(tile, row)?, tile.cols * tile.elem.words(), by)
            .map_err(|fault| describe(fault, &format!("{:?}", tile.space)))?;
        decode(words, tile.elem, values);
    }
    Ok(())
}

fn write(buffer: &mut Memory, tile: &Local, by: Access<'_>, values: &[f32]) -> Result<(), String> {
    for (row, values) in values.chunks_exact(tile.cols.max(1)).enumerate() {
        encode(values, tile.elem, write_row(buffer, tile, row, by)?);
    }
    Ok(())
}

/// Numbers of 16-bit words.
pub fn decode(words: &[u16], elem: Elem, values: &mut [f32]) {
    match elem {
        Elem::F16 => words.reinterpret_cast::<f16>().convert_to_f32_slice(values),
        Elem::Bf16 => words.reinterpret_cast::<bf16>().convert_to_f32_slice(values),
        Elem::F32 => values.iter_mut().zip(words.chunks_exact(2)).for_each(|(value, words)| {
            *value = f32::from_bits(u32::from(words[0]) | u32::from(words[1]) << 16);
        }),
    }
}

/// 16-bit words of numbers, rounded to the nearest.
pub fn encode(values: &[f32], elem: Elem, words: &mut [u16]) {
    match elem {
        Elem::F16 => words.reinterpret_cast_mut::<f16>().convert_from_f32_slice(values),
        Elem::Bf16 => words.reinterpret_cast_mut::<bf16>().convert_from_f32_slice(values),
        Elem::F32 => words.chunks_exact_mut(2).zip(values).for_each(|(words, value)| {
            words[0] = value.to_bits() as u16;
            words[1] = (value.to_bits() >> 16) as u16;
        }),
    }
}

fn transposed(from: &[f32], rows: usize, cols: usize, to: &mut Vec<f32>) {
    to.clear();
    to.extend((0..cols).flat_map(|col| (0..rows).map(move |row| from[row * cols + col])));
}

/// `c += a·b`.
fn product(c: &mut [f32], a: &[f32], b: &[f32], [m, k, n]: [usize; 3]) {
    use crate::cpu::gemm::gemm;
    use crate::cpu::view::{Threads, View, ViewMut};
    use crate::options::Products;
    let (a, b) = (View::new(a, m, k, k), View::new(b, k, n, n));
    gemm(ViewMut::new(c, m, n, n), true, 1.0, a, b, Products::Single, Threads::One);
}
