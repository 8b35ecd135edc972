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
    /// Where the step is computed: `cpu`, or `cuda:0` and others where the build has them.
    #[arg(long, default_value = "cpu")]
    device: String,
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
    let device = auricle_tensor::device(&args.device)?;
    let mut bench = StepBench::new(&args.model, args.batch, args.frames, precision, &device)?;
    let (mut steps, mut forwards) = (Vec::new(), Vec::new());
    for round in 0..args.repeat + 2 {
        let mut failures = [None, None];
        let step = time(|| failures[0] = bench.step().err());
        let forward = time(|| failures[1] = bench.forward().err());
        if let Some(error) = failures.into_iter().flatten().next() {
            return Err(error);
        }
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
        "device": args.device,
        "threads": rayon::current_num_threads(),
        "step_ms": step.wall_ms,
        "step_cpu_ms": step.cpu_ms,
        "forward_ms": forward.wall_ms,
        "forward_cpu_ms": forward.cpu_ms,
        "start_mb": start_mb,
        "peak_mb": memory_mb("VmHWM"),
        "device_mb": device.memory_pool_usage().map(|usage| usage.bytes_reserved as f64 / 1e6),
    });
    println!("{record}");
    Ok(())
}
