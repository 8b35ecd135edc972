//! What the benchmarks share: model sizes, a training step on random features, clocks and memory.

mod step;

use std::time::Instant;

use auricle_asr::{CtcConfig, CtcModel};
use auricle_nn::Initializer;
use auricle_rng::{Key, Purpose};
use auricle_spiral::SpiralConfig;
use burn::tensor::Device;
use cpu_time::ProcessTime;

pub use step::StepBench;

/// The `small` encoder of `recipes/mini_librispeech` and the published `base`, which here drops no
/// layers: every step does the same work.
pub const MODELS: [(&str, &str); 2] = [("small", SMALL), ("base", BASE)];

const SMALL: &str = r#"
projection = 128
[[encoder.stages]]
convs = [
  { channels = 96, kernel = 5, stride = 2, activation = true },
  { channels = 128, kernel = 5, stride = 2, activation = true },
  { channels = 128 },
]
transformer = { layers = 2, heads = 4, feed_forward = 512 }
[[encoder.stages]]
convs = [{ channels = 256, kernel = 5, stride = 2, activation = true }, { channels = 192 }]
transformer = { layers = 6, heads = 6, feed_forward = 768 }
"#;

const BASE: &str = r#"
projection = 256
[[encoder.stages]]
convs = [
  { channels = 384, kernel = 5, stride = 2, activation = true },
  { channels = 512, kernel = 5, stride = 2, activation = true },
  { channels = 512 },
]
transformer = { layers = 2, heads = 8, feed_forward = 2048 }
[[encoder.stages]]
convs = [{ channels = 1536, kernel = 5, stride = 2, activation = true }, { channels = 768 }]
transformer = { layers = 10, heads = 12, feed_forward = 3072 }
"#;

/// Characters of an English recogniser, blank included.
pub const CLASSES: usize = 29;

/// The configuration of a named size.
pub fn config(name: &str) -> Option<SpiralConfig> {
    let (_, text) = MODELS.iter().find(|(own, _)| *own == name)?;
    toml::from_str(text).ok()
}

/// A recogniser of characters at 50 Hz on the encoder of a named size, with random weights.
pub fn recogniser(name: &str, device: &Device) -> Option<CtcModel> {
    let encoder = config(name)?.encoder;
    let config = CtcConfig {
        front_end: Default::default(),
        encoder,
        head: toml::from_str("kind = 'character'\nwidth = 256").ok()?,
        tokenizer: None,
        init_from: None,
        freeze_encoder_steps: 0,
        init_head: None,
    };
    let mut stream = Key::new(1).stream(Purpose::Init);
    Some(CtcModel::new(&config, CLASSES, &mut Initializer::new(&mut stream, device)))
}

/// Normally distributed values of standard deviation `scale`; the same for the same `seed`.
pub fn noise(seed: u64, count: usize, scale: f32) -> Vec<f32> {
    let mut stream = Key::new(seed).stream(Purpose::Test);
    (0..count).map(|_| scale * stream.normal() as f32).collect()
}

/// Milliseconds of one call.
#[derive(Debug, Clone, Copy, Default)]
pub struct Time {
    /// By the clock on the wall.
    pub wall_ms: f64,
    /// Processor time of all threads: on a shared machine it shows work, not waiting.
    pub cpu_ms: f64,
}

/// Times `f`, whose result is dropped inside.
pub fn time<T>(f: impl FnOnce() -> T) -> Time {
    let (cpu, wall) = (ProcessTime::now(), Instant::now());
    drop(f());
    Time { wall_ms: wall.elapsed().as_secs_f64() * 1e3, cpu_ms: cpu.elapsed().as_secs_f64() * 1e3 }
}

/// Medians of each clock.
pub fn median(times: &[Time]) -> Time {
    let of = |clock: fn(&Time) -> f64| {
        let mut values: Vec<f64> = times.iter().map(clock).collect();
        values.sort_by(f64::total_cmp);
        let median = values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
        (1e4 * median).round() / 1e4
    };
    Time { wall_ms: of(|t| t.wall_ms), cpu_ms: of(|t| t.cpu_ms) }
}

/// A field of `/proc/self/status` in megabytes: `VmHWM` is the peak of resident memory, `VmRSS` what is resident now.
pub fn memory_mb(field: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some((kibibytes * 1.024e-3 * 10.0).round() / 10.0)
}
