//! The shared tensor backend: devices and fused operations.
//!
//! Every layer of auricle calls [`ops`]; this crate decides how the arithmetic is done.
//! Single-precision tensors on the CPU take fused kernels with their own backward passes,
//! everything else the plain compositions of [`reference`](mod@reference), which also say what each operation means.
//!
//! Results on the CPU do not depend on the number of threads: work is divided by the size of the
//! data, and partial sums are added in a fixed order. Nor does the forward result for a row, or for an utterance of a padded
//! batch, depend on the other rows: it is the same bits alone.

#[cfg(feature = "allocator")]
pub mod allocator;
mod cpu;
mod device;
mod fused;
pub mod npu;
pub mod ops;
mod options;
pub mod reference;
pub mod rows;

pub use device::{DeviceError, device, is_cpu};
