//! The peak of resident memory of SPIRAL training steps, `VmHWM` of Linux, and what a GPU's allocator holds.
//!
//! `cargo run --release -p auricle-benches --bin memory_peak -- base 4 1008` takes a few steps of equal batches;
//! `… -- small 8 1008 2000 --variable` draws new lengths for every step and reports on the way, so that growth shows.

use anyhow::{Context as _, Result};
use auricle_benches::{StepBench, memory_mb};
use auricle_rng::{Key, Purpose};
use auricle_tensor::allocator::{Allocator, keep_pages};
use auricle_train::Precision;
use burn::tensor::Device;
use clap::Parser;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

#[derive(Parser)]
struct Args {
    /// `small` or `base`.
    #[arg(default_value = "small")]
    model: String,
    /// Utterances of a batch.
    #[arg(default_value_t = 8)]
    batch: usize,
    /// Mel frames of the longest utterance.
    #[arg(default_value_t = 1008)]
    frames: usize,
    /// Training steps.
    #[arg(default_value_t = 3)]
    steps: u64,
    /// Draws the lengths of every batch anew, from a quarter of the longest to the longest.
    #[arg(long)]
    variable: bool,
    /// Where the step is computed: `cpu`, or `cuda:0` and others where the build has them.
    #[arg(long, default_value = "cpu")]
    device: String,
}

/// Lines of the report on the way.
const REPORTS: u64 = 20;

fn main() -> Result<()> {
    keep_pages();
    let args = Args::parse();
    let device = auricle_tensor::device(&args.device)?;
    let start_mb = memory_mb("VmRSS").context("memory is read from /proc, which this system lacks")?;
    let mut bench = StepBench::new(&args.model, args.batch, args.frames, Precision::F32, &device)?;
    let model_mb = memory_mb("VmRSS").unwrap_or_default();
    for step in 1..=args.steps {
        if args.variable {
            bench.set_lengths(lengths(step, args.batch, args.frames));
        }
        bench.step()?;
        if args.variable && step.is_multiple_of(args.steps.div_ceil(REPORTS)) {
            println!("step {step}: {}", memory(&device));
        }
    }
    println!(
        "{}, batch {}, {}{} frames, {} steps on {}: {} ({start_mb:.0} MB at the start, {model_mb:.0} MB with weights and data)",
        args.model,
        args.batch,
        if args.variable { "up to " } else { "" },
        args.frames,
        args.steps,
        args.device,
        memory(&device)
    );
    Ok(())
}

/// The lengths of one batch; the same for the same step.
fn lengths(step: u64, batch: usize, longest: usize) -> Vec<usize> {
    let mut stream = Key::new(1).step(step).stream(Purpose::Test);
    // Two encoder frames are the fewest that have something to contrast with.
    let shortest = (longest / 4).max(16);
    (0..batch).map(|_| shortest + stream.below(longest.saturating_sub(shortest) + 1)).collect()
}

/// Memory of this process, and of the device where it keeps its own.
fn memory(device: &Device) -> String {
    let [peak, resident] = ["VmHWM", "VmRSS"].map(|field| memory_mb(field).unwrap_or_default());
    let on_device = device.memory_pool_usage().map_or_else(String::new, |usage| {
        let [used, reserved] = [usage.bytes_in_use, usage.bytes_reserved].map(|bytes| bytes as f64 / 1e6);
        format!(", {used:.0} MB in use and {reserved:.0} MB reserved on the device")
    });
    format!("{peak:.0} MB peak, {resident:.0} MB resident{on_device}")
}
