//! Throughput of the front ends on one core: elements per second are seconds of audio per second.

use std::hint::black_box;

use auricle_audio::{Fbank, FbankConfig, FeatureNorm, MelConfig, MelFrontEnd};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const SECS: usize = 60;

fn front_ends(criterion: &mut Criterion) {
    let samples = auricle_benches::noise(1, SECS * 16_000, 0.1);
    let mut group = criterion.benchmark_group("front_end");
    group.throughput(Throughput::Elements(SECS as u64));
    for (name, num_bins, norm) in [
        ("log_mel_128_normalised", 128, FeatureNorm::Utterance),
        ("log_mel_128", 128, FeatureNorm::None),
        ("log_mel_80", 80, FeatureNorm::None),
    ] {
        let config = MelConfig { num_bins, norm, ..MelConfig::default() };
        if let Ok(front) = MelFrontEnd::new(config) {
            group.bench_function(name, |bench| {
                bench.iter(|| black_box(front.compute(black_box(&samples), samples.len(), None)));
            });
        }
    }
    if let Ok(fbank) = Fbank::new(&FbankConfig::default()) {
        group.bench_function("kaldi_fbank_80", |bench| {
            bench.iter(|| black_box(fbank.compute(black_box(&samples), None)));
        });
    }
    group.finish();
}

criterion_group!(benches, front_ends);
criterion_main!(benches);
