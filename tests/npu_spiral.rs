//! A tiny SPIRAL model trained, and decoded with, on a simulated NPU beside the CPU.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_augment::Libraries;
use auricle_decode::{by_frame, greedy};
use auricle_nn::{Context, CtcHeadConfig, Initializer};
use auricle_rng::{Key, Purpose};
use auricle_spiral::{SpiralAugment, SpiralBatch, SpiralConfig, SpiralTask, Trunk};
use auricle_tensor::npu::session;
use auricle_train::{AdamW, AdamWConfig, Draw, GradientSet, Group, Recipe, Task as _};
use burn::module::Module as _;
use burn::tensor::{Tensor, TensorData};

const MODEL: &str = r#"
projection = 16

[encoder]
bins = 128

[[encoder.stages]]
convs = [
  { channels = 32, kernel = 5, stride = 2, activation = true },
  { channels = 32, kernel = 5, stride = 2, activation = true },
  { channels = 32 },
]
transformer = { layers = 1, heads = 2, feed_forward = 64 }

[[encoder.stages]]
convs = [
  { channels = 48, kernel = 5, stride = 2, activation = true },
  { channels = 48 },
]
transformer = { layers = 1, heads = 4, feed_forward = 96 }
"#;

const BINS: usize = 128;
const FRAMES: usize = 96;

fn batch() -> SpiralBatch {
    let mut stream = Key::new(3).stream(Purpose::Test);
    let lengths = vec![96, 80, 57];
    let teacher: Vec<f32> = (0..lengths.len() * FRAMES * BINS).map(|_| stream.normal() as f32).collect();
    let student = teacher.iter().map(|x| x + 0.1 * stream.normal() as f32).collect();
    let positions: Vec<usize> = lengths.iter().map(|l: &usize| l.div_ceil(8)).collect();
    let count: usize = positions.iter().sum();
    let negatives = (0..count * 10).map(|i| ((i * 7 + i / 10 * 3) % count) as u32).collect();
    SpiralBatch { student, teacher, lengths, frames: FRAMES, shift: (0, 0), positions, negatives }
}

/// Losses of some steps on one batch, and what they trained.
fn train(device: &str, steps: u64) -> (Vec<f64>, Trunk) {
    let device = auricle_tensor::device(device).unwrap().autodiff();
    let recipe: Recipe = toml::from_str(
        "task = 'spiral'\ndata = { train = [] }\nschedule = { kind = 'constant' }\ntrain = { steps = 1 }\n",
    )
    .unwrap();
    let config: SpiralConfig = toml::from_str(MODEL).unwrap();
    let mut task =
        SpiralTask::new(&recipe, config, SpiralAugment::default(), None, Libraries::default(), &device)
            .unwrap();
    let mut optimizer = AdamW::new(AdamWConfig { lr: 3e-3, ..AdamWConfig::default() });
    let group = |_: &str| Group { lr_scale: 1.0, weight_decay: 0.01, frozen: false };
    let batch = batch();
    let losses = (0..steps)
        .map(|step| {
            task.begin_step(step);
            let draw = Draw::Train { epoch: Key::new(1), batch: 0 };
            let mut output = task.forward_backward(&batch, step, draw).unwrap();
            let mut gradients = Some(GradientSet::collect(task.model(), &mut output.gradients));
            task.map_model(&mut |model| optimizer.step(model, gradients.take().unwrap(), 3e-3, &group));
            output.loss
        })
        .collect();
    (losses, task.model().valid().trunk)
}

/// Logits of a random head on a trained encoder, and what they decode to.
fn decode(trunk: &Trunk, device: &str) -> (Vec<f32>, Vec<u32>) {
    let device = auricle_tensor::device(device).unwrap();
    let config: SpiralConfig = toml::from_str(MODEL).unwrap();
    let init = &mut Key::new(5).stream(Purpose::Init);
    let head = CtcHeadConfig::Character { width: 16, upsampling: 4, conv_norm: false, dropout: 0.1 }.init(
        config.encoder.output_width(),
        7,
        &mut Initializer::new(init, &device),
    );
    let batch = batch();
    let mel = TensorData::new(batch.teacher, [batch.lengths.len(), FRAMES, BINS]);
    let context = &mut Context::eval();
    let (encoded, positions) =
        trunk.encoder.forward(Tensor::from_data(mel, &device), &batch.lengths, context);
    let (logits, lengths) = head.forward(encoded, &positions, context);
    let [_, _, classes] = logits.dims();
    let first = logits.slice([0..1, 0..lengths[0], 0..classes]).into_data().try_to_vec::<f32>().unwrap();
    let tokens = greedy(by_frame(&first, classes), 6).iter().map(|token| token.id).collect();
    (first, tokens)
}

// One test: the device is a choice of the whole process.
#[test]
fn a_tiny_model_trains_and_decodes_on_a_simulated_npu() {
    let steps = 6;
    let (cpu, _) = train("cpu", steps);
    assert!(cpu[steps as usize - 1] < cpu[0], "{cpu:?}");
    for (name, tolerance) in [("npu:sim:910b3", 1e-2), ("npu:sim:910b3:fp16", 2e-3)] {
        let (npu, trunk) = train(name, steps);
        println!("losses on cpu {cpu:.4?}, on {name} {npu:.4?}");
        let records = session::current().unwrap().take_records();
        assert!(records.len() > 20, "{name} ran {} kinds of operations", records.len());
        assert!(records.iter().all(|record| record.refused.is_none()), "{records:?}");
        for (step, (a, b)) in npu.iter().zip(&cpu).enumerate() {
            // Differences grow with the steps: each starts from weights that differ already.
            let limit = tolerance * (1.0 + step as f64);
            assert!((a - b).abs() <= limit * b, "{name}: step {step}: {a}, on the CPU {b}");
        }
        assert!(npu[steps as usize - 1] < npu[0], "{name}: {npu:?}");

        let (got, words) = decode(&trunk, name);
        assert!(!session::current().unwrap().take_records().is_empty(), "{name} decoded on the CPU");
        let (logits, tokens) = decode(&trunk, "cpu");
        assert!(!tokens.is_empty());
        let scale = logits.iter().fold(0f32, |m, x| m.max(x.abs()));
        let off = got.iter().zip(&logits).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("{name}: logits off by {off:.2e} of {scale:.2}; tokens {words:?}, on cpu {tokens:?}");
        assert!(off <= 3.0 * tolerance as f32 * scale, "{name}: {off} of {scale}");
        if name.ends_with("fp16") {
            assert_eq!(words, tokens);
        }
    }
    auricle_tensor::device("cpu").unwrap();
}
