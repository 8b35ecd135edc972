//! Tile programs of the operations of the models.
//!
//! Each function builds a [`Program`] from sizes. Matrix operands are half precision ([`Elem::F16`] or [`Elem::Bf16`]),
//! sums and results single precision; row kernels take and give any type and compute in single precision.
//! Sums over cores have a fixed order: results do not depend on which core is faster.

pub mod attention;
pub mod attention_backward;
mod attention_plan;
pub mod contrastive;
pub mod conv;
pub mod ctc;
pub mod dropout;
mod engine;
pub mod matmul;
mod product;
pub mod rows;
mod running_softmax;
pub mod updates;

use super::spec::{Architecture, DeviceSpec};
use super::tile::ir::{
    Core, CoreKind, Elem, Flag, GmView, Instr, Local, Pipe, Program, Role, Space, TensorDecl, VecOp,
};

pub use product::Tile;

/// An operation that has no program on a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// A row does not fit the buffer of the vector unit.
    #[error("{name}: a row of {cols} does not fit the vector buffer of {device}")]
    TooWide {
        /// The operation.
        name: String,
        /// Elements of a row.
        cols: usize,
        /// The device.
        device: String,
    },
    /// The cube does not take this type.
    #[error("{name}: {device} multiplies no {elem:?}")]
    Type {
        /// The operation.
        name: String,
        /// The type.
        elem: Elem,
        /// The device.
        device: String,
    },
}

/// Builds a program.
pub(crate) struct Builder<'a> {
    pub spec: &'a DeviceSpec,
    pub program: Program,
}

impl<'a> Builder<'a> {
    pub fn new(spec: &'a DeviceSpec, name: String) -> Self {
        Self { spec, program: Program { name, ..Program::default() } }
    }

    /// Checks that the cube multiplies `elem`.
    pub fn cube_takes(&self, elem: Elem) -> Result<(), KernelError> {
        if elem == Elem::F16 || (elem == Elem::Bf16 && self.spec.bf16) {
            return Ok(());
        }
        let (name, device) = (self.program.name.clone(), self.spec.name.clone());
        Err(KernelError::Type { name, elem, device })
    }

    pub fn tensor(&mut self, name: &'static str, elem: Elem, len: usize, role: Role) -> usize {
        self.program.tensors.push(TensorDecl { name, elem, len, role });
        self.program.tensors.len() - 1
    }

    pub fn core(&mut self, kind: CoreKind) -> usize {
        self.program.cores.push(Core { kind, code: Vec::new() });
        self.program.cores.len() - 1
    }

    pub fn flag(&mut self) -> Flag {
        self.program.flags += 1;
        Flag(self.program.flags - 1)
    }

    pub fn push(&mut self, core: usize, instr: Instr) {
        self.program.cores[core].code.push(instr);
    }

    pub fn set(&mut self, core: usize, flag: Flag, pipe: Pipe) {
        self.push(core, Instr::Set { flag, pipe });
    }

    pub fn wait(&mut self, core: usize, flag: Flag, pipe: Pipe) {
        self.push(core, Instr::Wait { flag, pipe });
    }

    pub fn load(&mut self, core: usize, from: GmView, to: Local) {
        self.push(core, Instr::Load { from, to });
    }

    pub fn store(&mut self, core: usize, from: Local, to: GmView) {
        self.push(core, Instr::Store { from, to });
    }

    /// `to = op(a)`
    pub fn vector(&mut self, core: usize, op: VecOp, to: Local, a: Local) {
        self.push(core, Instr::Vector { op, to, a, b: None });
    }

    /// `to = a op b`
    pub fn vector2(&mut self, core: usize, op: VecOp, to: Local, a: Local, b: Local) {
        self.push(core, Instr::Vector { op, to, a, b: Some(b) });
    }

    /// A matrix of a tensor, all of it valid.
    pub fn view(&self, tensor: usize, offset: usize, rows: usize, cols: usize, stride: usize) -> GmView {
        let valid = (0, self.program.tensors[tensor].len);
        GmView { tensor, offset: offset as isize, rows, cols, stride, valid }
    }

    /// Makes every core of `after` wait in its MTE2 for all that the cores of `before` do in `pipe` until now.
    pub fn barrier(&mut self, before: &[usize], pipe: Pipe, after: &[usize]) {
        for &first in before {
            for &second in after {
                let flag = self.flag();
                self.set(first, flag, pipe);
                self.wait(second, flag, Pipe::Mte2);
            }
        }
    }

    /// How many groups of one cube core and its vector cores there are, and how many vector cores a group has.
    pub fn groups(&self) -> (usize, usize) {
        let (cube, vector) = (self.spec.cores.cube.count(), self.spec.cores.vector.count());
        match self.spec.architecture {
            Architecture::Split => (cube.min(vector / 2).max(1), 2),
            Architecture::Fused => (cube.min(vector), 1),
        }
    }
}

/// Places in a buffer that one pipe fills and another empties, in turn.
#[derive(Debug, Clone)]
pub(crate) struct Ring {
    from: (usize, Pipe),
    to: (usize, Pipe),
    /// Flags "full" and "free" of each place, and whether it was used.
    slots: Vec<(Flag, Flag, bool)>,
    next: usize,
}

impl Ring {
    /// `slots` places from a pipe of a core to a pipe of a core.
    pub fn new(b: &mut Builder<'_>, slots: usize, from: (usize, Pipe), to: (usize, Pipe)) -> Self {
        let slots = (0..slots).map(|_| (b.flag(), b.flag(), false)).collect();
        Self { from, to, slots, next: 0 }
    }

    /// The next place, free to be filled.
    pub fn fill(&mut self, b: &mut Builder<'_>) -> usize {
        let slot = self.next;
        self.next = (slot + 1) % self.slots.len();
        let (_, free, used) = self.slots[slot];
        if used {
            b.wait(self.from.0, free, self.from.1);
        }
        self.slots[slot].2 = true;
        slot
    }

    /// The place is full.
    pub fn full(&self, b: &mut Builder<'_>, slot: usize) {
        b.set(self.from.0, self.slots[slot].0, self.from.1);
    }

    /// Waits until the place is full.
    pub fn take(&self, b: &mut Builder<'_>, slot: usize) {
        b.wait(self.to.0, self.slots[slot].0, self.to.1);
    }

    /// The place is empty again.
    pub fn free(&self, b: &mut Builder<'_>, slot: usize) {
        b.set(self.to.0, self.slots[slot].1, self.to.1);
    }
}

/// Hands out the bytes of a buffer.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    space: Space,
    next: usize,
}

impl Places {
    pub fn new(space: Space) -> Self {
        Self { space, next: 0 }
    }

    /// A matrix whose rows begin at multiples of 32 bytes.
    pub fn matrix(&mut self, rows: usize, cols: usize, elem: Elem) -> Local {
        let unit = 32 / elem.bytes();
        let stride = if cols == 1 { 1 } else { cols.next_multiple_of(unit) };
        let local = Local { space: self.space, offset: self.next, rows, cols, stride, elem };
        self.next += (rows * stride * elem.bytes()).next_multiple_of(32);
        local
    }

    /// Bytes handed out.
    pub fn used(&self) -> usize {
        self.next
    }
}

pub(crate) fn pad16(n: usize) -> usize {
    n.next_multiple_of(16)
}
