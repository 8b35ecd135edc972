//! One SPIRAL training step (student, teacher, loss, gradients, AdamW, EMA) and one encoder
//! forward on random features: times and the peak of memory in one JSON line. The other half is
//! `benches/vs_pytorch/spiral_step.py`.

use anyhow::{Result, bail};
use auricle_benches::{StepBench, median, memory_mb, time};
use auricle_tensor::allocator::{Allocator, keep_pages};
use auricle_train::Precision;
use clap::Parser;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

#[derive(Parser)]
struct Args {
    /// `small` or `base`.
    #[arg(long, default_value = "small")]
    model: String,
    /// Utterances of a batch.
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Mel frames of an utterance.
    #[arg(long, default_value_t = 1008)]
    frames: usize,
    /// `f32` or `bf16`: operands of the matrix products of student and teacher.
    #[arg(long, default_value = "f32")]
    precision: String,
    /// Measured rounds; two more warm up.
    #[arg(long, default_value_t = 10)]
    repeat: usize,
}

fn main() -> Result<()> {
    keep_pages();
    let args = Args::parse();
    let start_mb = memory_mb("VmRSS");
    let precision = match args.precision.as_str() {
        "f32" => Precision::F32,
        "bf16" => Precision::Bf16,
        other => bail!("precision {other}: f32 or bf16"),
    };
    let mut bench = StepBench::new(&args.model, args.batch, args.frames, precision)?;
    let (mut steps, mut forwards) = (Vec::new(), Vec::new());
    for round in 0..args.repeat + 2 {
        let mut failure = None;
        let step = time(|| failure = bench.step().err());
        if let Some(error) = failure {
            return Err(error);
        }
        let forward = time(|| bench.forward());
        if round >= 2 {
            steps.push(step);
            forwards.push(forward);
        }
    }
    let (step, forward) = (median(&steps), median(&forwards));
    let record = serde_json::json!({
        "system": format!("auricle {}", env!("CARGO_PKG_VERSION")),
        "model": args.model,
        "batch": args.batch,
        "frames": args.frames,
        "precision": args.precision,
        "threads": rayon::current_num_threads(),
        "step_ms": step.wall_ms,
        "step_cpu_ms": step.cpu_ms,
        "forward_ms": forward.wall_ms,
        "forward_cpu_ms": forward.cpu_ms,
        "start_mb": start_mb,
        "peak_mb": memory_mb("VmHWM"),
    });
    println!("{record}");
    Ok(())
}
