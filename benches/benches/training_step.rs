//! One SPIRAL training step and one encoder forward; elements per second are seconds of audio per second.
//!
//! `base` needs 2.4 GB of memory and minutes: `cargo bench -p auricle-benches --bench training_step -- base`.

use std::time::Duration;

use auricle_benches::StepBench;
use auricle_tensor::allocator::{Allocator, keep_pages};
use auricle_train::Precision;
use burn::tensor::Device;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

const FRAMES: usize = 1008;

fn steps(criterion: &mut Criterion) {
    keep_pages();
    let wants_base = std::env::args().any(|argument| argument.contains("base"));
    for (model, batch, samples) in [("small", 8, 20), ("base", 4, 10)] {
        if model == "base" && !wants_base {
            continue;
        }
        let device = Device::flex();
        let Ok(mut bench) = StepBench::new(model, batch, FRAMES, Precision::F32, &device) else { continue };
        let mut group = criterion.benchmark_group(model);
        group.sample_size(samples).measurement_time(Duration::from_secs(20));
        // A mel frame is 10 ms.
        group.throughput(Throughput::Elements((batch * FRAMES / 100) as u64));
        group.bench_function("step", |b| b.iter(|| bench.step()));
        group.bench_function("forward", |b| b.iter(|| bench.forward()));
        group.finish();
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
