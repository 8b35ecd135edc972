//! Tile programs: what the cores of a device do, instruction by instruction.
//!
//! [`ir`] says what a program is, [`exec`] runs one and checks it, [`cycles`] counts its cycles, [`trace`] draws them.
//!
//! # Differences from the hardware
//! - Data in L1 and L0 lie in 16×16 blocks on the device. Here the order inside a tile is row-major; the sizes,
//!   rounded up to whole blocks, are the same.
//! - A flag may be set again before it was waited for; waits take the settings in their order. The hardware has eight
//!   flags for a pair of pipes.
//! - The scalar unit, which hands instructions to the pipes, and conflicts of memory banks are not modelled.
//! - On parts that have cube and vector unit in one core, both still exchange data through memory here.

pub mod cycles;
pub mod exec;
pub mod ir;
mod memory;
pub mod trace;
mod vector;

pub use cycles::{Timeline, time};
pub use exec::{Order, TileError, run};
pub use ir::{
    Binary, Core, CoreKind, Elem, Flag, GmView, Instr, Local, Pipe, Program, Reduce, Role, Space, TensorDecl,
    Unary, VecOp, Word,
};
