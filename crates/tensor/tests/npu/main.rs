//! The NPU module without burn: device descriptions, tile programs, cycle model.

#![allow(clippy::unwrap_used)] // The helpers of tests may fail like tests.

mod attention;
mod common;
mod conv;
mod cycles;
mod losses;
mod matmul;
mod rows;
mod simulator;
mod spec;
mod updates;
