//! Greedy CTC decoding from samples to tokens with a small model of random weights. Elements per second
//! are seconds of audio per second: the inverse of the real-time factor.

use std::time::Duration;

use auricle_audio::{MelConfig, MelFrontEnd};
use auricle_benches::{CLASSES, noise, recogniser};
use auricle_decode::{by_frame, greedy};
use auricle_nn::Context;
use auricle_tensor::allocator::{Allocator, keep_pages};
use burn::tensor::{Tensor, TensorData};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn decode(criterion: &mut Criterion) {
    keep_pages();
    let Ok(device) = auricle_tensor::device("cpu") else { return };
    let (Some(model), Ok(front)) = (recogniser("small", &device), MelFrontEnd::new(MelConfig::default()))
    else {
        return;
    };
    let mut group = criterion.benchmark_group("decode");
    group.sample_size(20).measurement_time(Duration::from_secs(10));
    for (name, batch, secs) in [("1x10s", 1, 10), ("8x10s", 8, 10), ("1x60s", 1, 60)] {
        let samples = noise(1, secs * 16_000, 0.1);
        group.throughput(Throughput::Elements((batch * secs) as u64));
        group.bench_function(name, |bench| {
            bench.iter(|| {
                let mut mel = Vec::new();
                for _ in 0..batch {
                    mel.extend(front.compute(&samples, samples.len(), None).unwrap_or_default());
                }
                let frames = secs * 100;
                let mel = Tensor::from_data(TensorData::new(mel, [batch, frames, 128]), &device);
                let (logits, _) = model.forward(mel, &vec![frames; batch], &mut Context::eval());
                let scores = logits.into_data().try_to_vec::<f32>().unwrap_or_default();
                scores
                    .chunks(scores.len() / batch)
                    .map(|row| greedy(by_frame(row, CLASSES), 0).len())
                    .sum::<usize>()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
