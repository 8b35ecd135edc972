//! One SPIRAL training step (student, teacher, loss, gradients, AdamW, EMA) and one encoder
//! forward on random features, timed; one JSON line. The other half is
//! `benches/vs_pytorch/spiral_step.py`.

use anyhow::{Context as _, Result};
use auricle_nn::{Context, Initializer};
use auricle_rng::{Key, Purpose};
use auricle_spiral::{SpiralAugment, SpiralBatch, SpiralTask, Student, draw_negatives};
use auricle_tensor::allocator::{Allocator, keep_pages};
use auricle_train::{AdamW, AdamWConfig, Draw, GradientSet, Recipe, Task as _};
use burn::module::Module as _;
use burn::tensor::{Tensor, TensorData};
use clap::Parser;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

#[derive(Parser)]
struct Args {
    #[arg(long, default_value = "small")]
    model: String,
    #[arg(long, default_value_t = 8)]
    batch: usize,
    #[arg(long, default_value_t = 1008)]
    frames: usize,
    #[arg(long, default_value_t = 10)]
    repeat: usize,
}

fn main() -> Result<()> {
    keep_pages();
    let args = Args::parse();
    let config = auricle_benches::config(&args.model).context("models: small, base")?;
    let bins = config.encoder.bins;
    let device = auricle_tensor::device("cpu")?.autodiff();
    let mut stream = Key::new(1).stream(Purpose::Test);
    let student = Student::new(&config, &mut Initializer::new(&mut stream, &device));
    let recipe: Recipe = toml::from_str(
        "task = 'spiral'\ndata = { train = [] }\nschedule = { kind = 'constant' }\ntrain = { steps = 1 }\n",
    )?;
    let mut task = SpiralTask::with_student(
        &recipe,
        config,
        SpiralAugment::default(),
        student,
        vec![0.0; bins],
        None,
        &device,
    )?;
    let mut optimizer = AdamW::new(AdamWConfig { lr: 1e-4, ..AdamWConfig::default() });

    let mut noise = |count: usize| -> Vec<f32> { (0..count).map(|_| stream.normal() as f32).collect() };
    let positions = vec![args.frames / 8; args.batch];
    let batch = SpiralBatch {
        student: noise(args.batch * args.frames * bins),
        teacher: noise(args.batch * (args.frames + 128) * bins),
        lengths: vec![args.frames; args.batch],
        frames: args.frames,
        shift: (64, 64),
        negatives: draw_negatives(&positions, 100, &mut Key::new(1).stream(Purpose::Negatives)),
        positions,
    };
    let mel = TensorData::new(batch.student.clone(), [args.batch, args.frames, bins]);
    let mel: Tensor<3> = Tensor::from_data(mel, &device.clone().without_autodiff());

    let (mut steps, mut forwards) = (Vec::new(), Vec::new());
    for step in 0..args.repeat as u64 + 2 {
        let started = Instant::now();
        task.begin_step(step);
        let draw = Draw::Train { epoch: Key::new(1), batch: step };
        let mut output = task.forward_backward(&batch, step, draw)?;
        let mut gradients = Some(GradientSet::collect(task.model(), &mut output.gradients));
        let groups = task.group("", step);
        task.map_model(&mut |model| {
            optimizer.step(model, gradients.take().unwrap_or_default(), 1e-4, &|_| groups)
        });
        steps.push(started.elapsed().as_secs_f64());

        let trunk = task.model().trunk.valid();
        let started = Instant::now();
        trunk.forward(mel.clone(), &batch.lengths, &mut Context::eval());
        forwards.push(started.elapsed().as_secs_f64());
    }
    let record = serde_json::json!({
        "system": format!("auricle {}", env!("CARGO_PKG_VERSION")),
        "model": args.model,
        "batch": args.batch,
        "frames": args.frames,
        "step_ms": median_ms(&steps),
        "forward_ms": median_ms(&forwards),
    });
    println!("{record}");
    Ok(())
}

/// The median in milliseconds, without the two warm-up rounds.
fn median_ms(secs: &[f64]) -> f64 {
    let mut kept = secs.get(2..).unwrap_or_default().to_vec();
    kept.sort_by(f64::total_cmp);
    let median = kept.get(kept.len() / 2).copied().unwrap_or(f64::NAN);
    (1e5 * median).round() / 100.0
}
