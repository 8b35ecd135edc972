//! One interface to a device: memory, copies, operations.
//!
//! [`SimRuntime`](sim::SimRuntime) runs tile programs on the host; [`AscendRuntime`](ascend::AscendRuntime) calls the
//! vendor's libraries, found at run time. Data are 16-bit words, two for a single-precision number.

pub mod ascend;
pub mod op;
pub mod sim;

use super::Basis;
use super::kernels::KernelError;
use super::tile::{TileError, Timeline};
use std::sync::Arc;

pub use op::OpDesc;

/// Memory of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Buffer {
    /// What the runtime knows it by.
    pub id: u64,
    /// Size.
    pub bytes: usize,
}

/// What a runtime is.
#[derive(Debug, Clone)]
pub struct RuntimeInfo {
    /// Name, as in `npu:<name>`.
    pub name: String,
    /// For people.
    pub title: String,
    /// What the times it gives are.
    pub basis: Basis,
}

/// A device that cannot do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The operation has no program for these sizes.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The program is wrong.
    #[error("the NPU simulator found a wrong program: {0}")]
    Program(#[from] TileError),
    /// The runtime has no body for the operation.
    #[error("{runtime} has no body for {op}")]
    Unsupported {
        /// The runtime.
        runtime: String,
        /// The operation.
        op: &'static str,
    },
    /// A buffer is not one of this device, or has another size than the operation needs.
    #[error("NPU buffer: {0}")]
    Buffer(String),
    /// A call into the vendor's library failed.
    #[error("{call} failed with {code}{}", if message.is_empty() { String::new() } else { format!(": {message}") })]
    Call {
        /// Name of the function.
        call: String,
        /// What it returned.
        code: i32,
        /// What the library says about it.
        message: String,
    },
    /// The vendor's libraries are not there, or not whole.
    #[error("{0}")]
    Missing(String),
}

/// A device.
pub trait NpuRuntime: Send + Sync {
    /// What it is.
    fn info(&self) -> RuntimeInfo;

    /// New memory, whose content is undefined.
    fn alloc(&self, bytes: usize) -> Result<Buffer, RuntimeError>;

    /// Gives memory back; operations that use it must have been waited for with [`sync`](Self::sync).
    fn free(&self, buffer: Buffer);

    /// Copies to the device.
    fn h2d(&self, to: Buffer, words: &[u16]) -> Result<(), RuntimeError>;

    /// Copies from the device what is there after [`sync`](Self::sync).
    fn d2h(&self, from: Buffer, words: &mut [u16]) -> Result<(), RuntimeError>;

    /// Starts an operation on the tensors of [`OpDesc::signature`], in that order.
    fn launch(&self, op: &OpDesc, tensors: &[Buffer]) -> Result<(), RuntimeError>;

    /// Waits until everything that was started is done.
    fn sync(&self) -> Result<(), RuntimeError>;

    /// Whether convolutions must be padded alike on both sides.
    fn pads_alike(&self) -> bool {
        false
    }

    /// The modelled course of an operation, where the runtime models one.
    fn timeline(&self, _op: &OpDesc) -> Option<Result<Arc<Timeline>, RuntimeError>> {
        None
    }
}

/// Memory that is given back when it is no longer used.
pub struct Held<'a> {
    runtime: &'a dyn NpuRuntime,
    /// The memory.
    pub buffer: Buffer,
}

impl<'a> Held<'a> {
    /// New memory.
    pub fn new(runtime: &'a dyn NpuRuntime, bytes: usize) -> Result<Self, RuntimeError> {
        Ok(Self { runtime, buffer: runtime.alloc(bytes)? })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.runtime.free(self.buffer);
    }
}
