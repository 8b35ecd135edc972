//! The LF-MMI loss on the phone language model of real transcripts, and a training step of the network around it: times in
//! one JSON line.

use anyhow::{Context as _, Result};
use auricle_benches::{Time, median, memory_mb, time};
use auricle_mmi::{MmiConfig, MmiModel, Pronunciations, System};
use auricle_nn::Initializer;
use auricle_rng::{Key, Purpose};
use auricle_tensor::allocator::{Allocator, keep_pages};
use auricle_tensor::ops::{self, LfMmiOptions, NumGraph, Products, with_products};
use burn::tensor::{Device, Tensor, TensorData};
use clap::Parser;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

#[derive(Parser)]
struct Args {
    /// Manifest with transcripts.
    manifest: PathBuf,
    /// Pronouncing dictionary.
    lexicon: PathBuf,
    /// Letter-to-sound model for words that it lacks.
    #[arg(long)]
    g2p: Option<PathBuf>,
    /// Utterances of a batch.
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Output frames of 30 ms of an utterance.
    #[arg(long, default_value_t = 420)]
    frames: usize,
    /// Pairs of phones with outputs of their own have at least this count; 0 is none.
    #[arg(long, default_value_t = 0)]
    left: usize,
    /// Operands of matrix products in bf16.
    #[arg(long)]
    bf16: bool,
    /// Measured rounds; two more warm up.
    #[arg(long, default_value_t = 10)]
    repeat: usize,
}

/// Medians after two rounds that warm up.
fn rounds(repeat: usize, mut round: impl FnMut()) -> Time {
    let times: Vec<Time> = (0..repeat + 2).map(|_| time(&mut round)).collect();
    median(&times[2..])
}

fn main() -> Result<()> {
    keep_pages();
    let args = Args::parse();
    let mut config: MmiConfig = toml::from_str("")?;
    config.lexicon = vec![args.lexicon];
    config.g2p = args.g2p;
    config.left_context_min_count = (args.left > 0).then_some(args.left);
    let begun = Instant::now();
    let pronunciations = Pronunciations::read(&config)?;
    let read_secs = begun.elapsed().as_secs_f64();
    let text =
        std::fs::read_to_string(&args.manifest).with_context(|| args.manifest.display().to_string())?;
    let mut transcripts = Vec::new();
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        let field = |name: &str| line[name].as_str().unwrap_or_default().to_string();
        transcripts.push((field("id"), field("text"), line["duration_secs"].as_f64().unwrap_or(0.0)));
    }
    let begun = Instant::now();
    let texts = transcripts.iter().map(|(id, text, _)| (id.as_str(), text.as_str()));
    let system = System::estimate(&config, &pronunciations, texts, 1)?;
    let estimate_secs = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let mut all: Vec<(f64, Arc<NumGraph>)> = Vec::new();
    for (_, text, secs) in &transcripts {
        let numerator = system.numerator(&pronunciations.words(text)?)?;
        all.push((*secs, Arc::new(system.num(&numerator.graph)?)));
    }
    let numerators_secs = begun.elapsed().as_secs_f64();
    let mean = |of: fn(&NumGraph) -> usize| all.iter().map(|(_, num)| of(num)).sum::<usize>() / all.len();
    let (num_states, num_arcs) = (mean(NumGraph::num_states), mean(NumGraph::num_arcs));
    let secs = args.frames as f64 * 0.03;
    all.sort_by(|a, b| (a.0 - secs).abs().total_cmp(&(b.0 - secs).abs()));
    let nums: Vec<Arc<NumGraph>> = all.iter().take(args.batch).map(|(_, num)| num.clone()).collect();

    let device = Device::flex().autodiff();
    let (outputs, den) = (system.outputs.count(), system.den.clone());
    let mut stream = Key::new(1).stream(Purpose::Test);
    let mut normal = |n: usize| (0..n).map(|_| stream.normal() as f32).collect::<Vec<f32>>();
    let shape = [args.batch, args.frames, outputs];
    let scores = TensorData::new(normal(shape.iter().product()), shape);
    let lengths = vec![args.frames; args.batch];
    let weights = vec![1.0; args.batch];
    let loss_of = |nums: &[Arc<NumGraph>]| {
        let y = Tensor::<3>::from_data(scores.clone(), &device).require_grad();
        let output = ops::lf_mmi(y, &lengths, &den, nums, &weights, LfMmiOptions::default());
        let _ = output.loss.sum().backward();
    };
    let loss = rounds(args.repeat, || loss_of(&nums));
    // An utterance with too few frames has no numerator, but a denominator.
    let state = ops::MmiState { enter: 0, stay: 0, stay_weight: 0.0 };
    let none = Arc::new(NumGraph::new(outputs, &[state], &[], &[1.0], &[0.0])?);
    let denominator = rounds(args.repeat, || loss_of(&vec![none.clone(); args.batch]));

    let input = [args.batch, 3 * args.frames, config.net.bins];
    let mel = TensorData::new(normal(input.iter().product()), input);
    let mel_lengths = vec![3 * args.frames; args.batch];
    let mut stream = Key::new(1).stream(Purpose::Init);
    let model = MmiModel::new(&config, outputs, &mut Initializer::new(&mut stream, &device));
    let products = if args.bf16 { Products::Bf16 } else { Products::Single };
    let step = rounds(args.repeat, || {
        let mel = Tensor::<3>::from_data(mel.clone(), &device);
        let (y, branch, lengths, _) = with_products(products, || model.forward_train(mel, &mel_lengths));
        let output = ops::lf_mmi(y, &lengths, &den, &nums, &weights, LfMmiOptions::default());
        let entropy = (ops::log_softmax(branch, 2) * Tensor::from_inner(output.posteriors)).sum();
        let _ = (output.loss.sum() - entropy * 0.1).backward();
    });
    let frames = (args.batch * args.frames) as f64;
    let audio = frames * 0.03;
    println!(
        "{}",
        serde_json::json!({
            "outputs": outputs, "states": den.num_states(), "arcs": den.num_arcs(),
            "numerator_states": num_states, "numerator_arcs": num_arcs,
            "read_secs": read_secs, "estimate_secs": estimate_secs, "numerators_secs": numerators_secs,
            "batch": args.batch, "frames": args.frames, "bf16": args.bf16,
            "loss_ms": loss.wall_ms, "loss_core_ms": loss.cpu_ms, "denominator_core_ms": denominator.cpu_ms,
            "denominator_us_per_frame": 1e3 * denominator.cpu_ms / frames,
            "denominator_ns_per_arc": 1e6 * denominator.cpu_ms / frames / den.num_arcs() as f64,
            "loss_audio_secs_per_core_sec": 1e3 * audio / loss.cpu_ms,
            "parameters": auricle_nn::params::count(&model),
            "step_ms": step.wall_ms, "step_core_ms": step.cpu_ms,
            "step_audio_secs_per_sec": 1e3 * audio / step.wall_ms,
            "step_audio_secs_per_core_sec": 1e3 * audio / step.cpu_ms,
            "loss_share": loss.cpu_ms / step.cpu_ms,
            "peak_mb": memory_mb("VmHWM"),
        })
    );
    Ok(())
}
