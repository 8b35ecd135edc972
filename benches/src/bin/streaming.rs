//! Speed on a stream, one core: the Transformer step of the comparison with PyTorch
//! (`benches/vs_pytorch/streaming.py`), and a session of mispronunciation detection. One JSON line each.
//!
//! `RAYON_NUM_THREADS=1 cargo run --release -p auricle-benches --bin streaming -- [steps]`

use anyhow::{Context as _, Result};
use auricle_benches::{memory_mb, noise};
use auricle_cca_mdd::{Assessor, Session};
use auricle_nn::streaming::StreamingTransformer;
use auricle_nn::{Initializer, TransformerBlock, TransformerConfig, weights};
use auricle_rng::{Key, Purpose};
use auricle_tensor::allocator::{Allocator, keep_pages};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Tensor};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Sessions that are held at once to see how much memory each takes.
const SESSIONS: usize = 64;

/// Milliseconds at shares of the sorted times.
fn percentile(times: &mut [f64], share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(((times.len() as f64 - 1.0) * share) as usize).copied().unwrap_or(0.0)
}

/// Rounds every parameter to half precision, as an exported model.
struct Rounded;

impl ModuleMapper for Rounded {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|x| x.cast(DType::F16).cast(DType::F32))
    }
}

fn transformer_step(steps: usize) -> Result<()> {
    let config: TransformerConfig = toml::from_str(
        "layers = 12\nheads = 8\nfeed_forward = 2048\nalibi = true\ncausal = true\nleft_context = 63",
    )?;
    let width = 512;
    let device = Device::flex();
    let mut stream = Key::new(1).stream(Purpose::Init);
    let block = TransformerBlock::new(width, &config, &mut Initializer::new(&mut stream, &device));
    // Models come in half precision; these random weights are rounded to it.
    let block = block.map(&mut Rounded);
    let mut step = StreamingTransformer::new(&block)?;
    let mut out = Vec::new();
    let input = noise(1, 4 * width, 1.0);
    let mut times = Vec::new();
    for _ in 0..steps + 16 {
        let mut frames = input.clone();
        out.clear();
        let started = Instant::now();
        step.push(&mut frames, width, &mut out);
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    times.drain(..16);
    let (median, slow) = (percentile(&mut times, 0.5), percentile(&mut times, 0.99));
    print(json!({"name": "transformer 12×512, 4 frames", "p50_ms": median, "p99_ms": slow}));
    Ok(())
}

/// The shipped model on 10 s of noise, 40 ms at a time.
fn mdd_session(steps: usize) -> Result<()> {
    let path = Path::new("models/pretrained/mdd-en-small/model.safetensors");
    let bytes = std::fs::read(path).with_context(|| format!("{}: run in the repository", path.display()))?;
    let (tensors, metadata) = weights::from_bytes(&bytes)?;
    let assessor = Arc::new(Assessor::from_weights(tensors, &metadata, &Device::flex())?);
    let secs = 10usize;
    let sound = noise(2, secs * 16_000, 0.1);
    let (mut times, mut ends, mut total) = (Vec::new(), Vec::new(), 0.0);
    let prompt: Vec<u32> = (0..40).map(|i| i % 39).collect();
    for _ in 0..steps.div_ceil(50) {
        let mut session = Session::new(assessor.clone(), prompt.clone())?;
        for chunk in sound.chunks(640) {
            let started = Instant::now();
            session.push(chunk)?;
            let took = started.elapsed().as_secs_f64() * 1e3;
            times.push(took);
            total += took;
        }
        let started = Instant::now();
        session.finish()?;
        let took = started.elapsed().as_secs_f64() * 1e3;
        ends.push(took);
        total += took;
    }
    let factor = total / 1e3 / (secs * ends.len()) as f64;
    // Sessions that are alive at once, each with 10 s heard.
    let before = memory_mb("VmRSS");
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let mut session = Session::new(assessor.clone(), prompt.clone())?;
        session.push(&sound)?;
        sessions.push(session);
    }
    let memory = memory_mb("VmRSS").zip(before).map(|(after, before)| (after - before) / SESSIONS as f64);
    print(json!({
        "name": "mispronunciation detection, 40 ms of sound", "p50_ms": percentile(&mut times, 0.5),
        "p99_ms": percentile(&mut times, 0.99), "end_ms": percentile(&mut ends, 0.5), "real_time_factor": factor,
        "session_mb": memory,
    }));
    Ok(())
}

fn print(mut record: serde_json::Value) {
    record["system"] = format!("auricle {}", env!("CARGO_PKG_VERSION")).into();
    println!("{record}");
}

fn main() -> Result<()> {
    keep_pages();
    let steps = std::env::args().nth(1).map_or(Ok(200), |steps| steps.parse())?;
    transformer_step(steps)?;
    mdd_session(steps)
}
