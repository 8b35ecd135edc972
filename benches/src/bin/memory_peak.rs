//! The peak of resident memory of a few SPIRAL training steps, `VmHWM` of Linux, in megabytes.
//!
//! `cargo run --release -p auricle-benches --bin memory_peak -- [small|base] [batch] [frames] [steps]`

use anyhow::{Context as _, Result};
use auricle_benches::{StepBench, memory_mb};
use auricle_tensor::allocator::{Allocator, keep_pages};
use auricle_train::Precision;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> Result<()> {
    keep_pages();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: usize| arguments.get(i).map_or(Ok(default), |a| a.parse());
    let model = arguments.first().map_or("small", String::as_str);
    let (batch, frames, steps) = (number(1, 8)?, number(2, 1008)?, number(3, 3)?);
    let start_mb = memory_mb("VmRSS").context("memory is read from /proc, which this system lacks")?;
    let mut bench = StepBench::new(model, batch, frames, Precision::F32)?;
    let model_mb = memory_mb("VmRSS").unwrap_or_default();
    for _ in 0..steps {
        bench.step()?;
    }
    let peak_mb = memory_mb("VmHWM").unwrap_or_default();
    println!(
        "{model}, batch {batch}, {frames} frames, {steps} steps: {peak_mb:.0} MB peak \
         ({start_mb:.0} MB at the start, {model_mb:.0} MB with weights and data)"
    );
    Ok(())
}
