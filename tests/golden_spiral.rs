//! Parity with the published SPIRAL program: encoder, heads, loss, whole training steps.
//!
//! Every file of a known name in the golden directory is checked, whatever its suffix
//! (`pretrain_step_*`, `ctc_head_*`).
//!
//! `AURICLE_TEST_DEVICE` names the device (`wgpu`, `cuda:0`; built with that feature:
//! `AURICLE_TEST_DEVICE=cuda:0 cargo test --release --workspace --features cuda --test program golden_spiral`), by default the CPU.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_augment::Libraries;
use auricle_nn::params::{self, NamedTensors};
use auricle_nn::{Context, CtcHeadConfig, Initializer};
use auricle_rng::{Key, Purpose};
use auricle_spiral::import::{Imported, from_published, head_from_published};
use auricle_spiral::{SpiralAugment, SpiralBatch, SpiralConfig, SpiralTask, Student, Trunk};
use auricle_tests::{Golden, frames_first, golden_dir};
use auricle_train::{AdamW, AdamWConfig, Draw, GradientSet, Group, Recipe, Task as _};
use burn::module::Module as _;
use burn::tensor::{Device, Tensor, TensorData};
use std::cell::Cell;

/// The narrow configuration of the golden files: SPIRAL's topology, everything random switched off.
const NARROW: &str = r#"
projection = 32

[encoder]
bins = 128
conv_dropout = 0.0

[[encoder.stages]]
convs = [
  { channels = 48, kernel = 5, stride = 2, activation = true },
  { channels = 64, kernel = 5, stride = 2, activation = true },
  { channels = 64 },
]
transformer = { layers = 2, heads = 4, feed_forward = 128, dropout = 0.0, attention_dropout = 0.0 }

[[encoder.stages]]
convs = [
  { channels = 160, kernel = 5, stride = 2, activation = true },
  { channels = 80 },
]
transformer = { layers = 3, heads = 5, feed_forward = 160, dropout = 0.0, attention_dropout = 0.0 }
"#;

/// The device under test.
fn device() -> Device {
    let name = std::env::var("AURICLE_TEST_DEVICE").unwrap_or_else(|_| "cpu".into());
    auricle_tensor::device(&name).unwrap()
}

/// What a result may be off by, from what it may be off by on the CPU: GPUs' exponentials and sums are coarser.
fn allowed(on_cpu: f64) -> f64 {
    if auricle_tensor::is_cpu(&device()) { on_cpu } else { 10.0 * on_cpu }
}

fn narrow() -> SpiralConfig {
    toml::from_str(NARROW).unwrap()
}

fn files(prefix: &str) -> Vec<std::path::PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(golden_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with(prefix) && name.ends_with(".safetensors")
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no {prefix}*.safetensors in {}", golden_dir().display());
    found
}

fn state_dict() -> NamedTensors {
    Golden::read(&golden_dir().join("small_state_dict.safetensors")).tensors("")
}

fn student(device: &Device) -> (Student, NamedTensors, Vec<f32>) {
    let config = narrow();
    let mut imported = from_published(state_dict(), &config.encoder);
    let mut stream = Key::new(0).stream(Purpose::Init);
    let student = Student::new(&config, &mut Initializer::new(&mut stream, device));
    let student = params::load(student, "", &mut imported.student).unwrap();
    assert!(imported.student.is_empty(), "unused: {:?}", imported.student.keys());
    let mask = imported.mask_vector.unwrap().try_to_vec::<f32>().unwrap();
    (student, imported.teacher, mask)
}

/// Largest difference over the valid rows of `[B, T, C]` values.
fn worst(found: &TensorData, expected: &[f32], lengths: &[usize]) -> f64 {
    let [batch, frames, channels] = found.shape().to_vec()[..] else { panic!("three axes") };
    let found = found.try_to_vec::<f32>().unwrap();
    assert_eq!(found.len(), expected.len());
    let mut worst = 0f64;
    for (b, &length) in lengths.iter().enumerate().take(batch) {
        for i in 0..length.min(frames) * channels {
            let at = b * frames * channels + i;
            worst = worst.max(f64::from((found[at] - expected[at]).abs()));
        }
    }
    worst
}

#[test]
fn encoder_equals_the_published_one_module_by_module() {
    let device = device();
    let golden = Golden::read(&golden_dir().join("encoder_forward.safetensors"));
    let (student, _, _) = student(&device);
    let context = &mut Context::eval();
    let mel = |name: &str| {
        let (values, shape) = golden.floats(name);
        let data = TensorData::new(frames_first(values, shape), [shape[0], shape[2], shape[1]]);
        Tensor::<3>::from_data(data, &device)
    };
    let compared = Cell::new(0);
    let check = |name: &str, x: &Tensor<3>, lengths: &[usize], channels_first: bool| {
        let (values, shape) = golden.floats(&format!("f32.{name}"));
        compared.set(compared.get() + 1);
        let expected = if channels_first {
            frames_first(values, shape)
        } else {
            values.iter().map(|&v| v as f32).collect()
        };
        let difference = worst(&x.to_data(), &expected, lengths);
        assert!(difference < allowed(2e-5), "{name}: {difference:e}");
    };

    let mut lengths: Vec<usize> = golden.integers("mel_len").0.iter().map(|&l| l as usize).collect();
    let mut x = mel("mel");
    let mut index = 0;
    for stage in &student.trunk.encoder.stages {
        for conv in &stage.convs {
            (x, lengths) = conv.forward(x, &lengths, context);
            check(&format!("block_modules.{index}"), &x, &lengths, true);
            index += 1;
        }
        let block = &stage.transformer;
        let zeroed = auricle_nn::zero_beyond(x, &lengths);
        let positions = block.positional.as_ref().expect("a positional convolution").forward(zeroed.clone());
        check(&format!("block_modules.{index}.pos_conv"), &positions, &lengths, true);
        let mut y = zeroed + positions;
        for (i, layer) in block.layers.iter().enumerate() {
            y = layer.forward(y, &lengths, context);
            check(&format!("block_modules.{index}.layers.{i}"), &y, &lengths, false);
        }
        x = block.norm.forward(y);
        check(&format!("block_modules.{index}"), &x, &lengths, false);
        index += 1;
    }
    check("encoder_out", &x, &lengths, false);
    let expected: Vec<usize> = golden.integers("f32.encoder_out_len").0.iter().map(|&l| l as usize).collect();
    assert_eq!(lengths, expected);
    let projected = student.trunk.projector.forward(x);
    check("projector_out", &projected, &lengths, false);
    check("predictor_out", &student.predictor.forward(projected, &lengths), &lengths, false);

    let published = golden.names().filter(|name| name.starts_with("f32.")).count();
    assert_eq!(compared.get(), published, "not all of the published outputs were compared");

    // Without padding, and with an odd number of frames.
    for (name, frames) in [("exact", 160), ("odd", 203)] {
        let (values, _) = golden.floats(&format!("{name}.f64.encoder_out"));
        let (y, lengths) = student.trunk.encoder.forward(mel(&format!("{name}.mel")), &[frames], context);
        assert_eq!(lengths[0] as i64, golden.integers(&format!("{name}.encoder_out_len")).0[0]);
        let expected: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        let difference = worst(&y.to_data(), &expected, &lengths);
        assert!(difference < allowed(2e-5), "{name}: {difference:e}");
    }
}

#[test]
fn whole_training_steps_equal_the_published_ones() {
    for path in files("pretrain_step_") {
        check_training_step(&Golden::read(&path));
    }
}

/// The published peak of the learning rate, at which the golden step was made (SPIRAL §8).
const PEAK_LR: f64 = 3e-3;

fn check_training_step(golden: &Golden) {
    let name = golden.path.file_stem().unwrap().to_string_lossy().into_owned();
    let device = device().autodiff();
    let config = narrow();
    let (student, _, mask) = student(&device);
    let recipe: Recipe = toml::from_str(
        "task = 'spiral'\ndata = { train = [] }\nschedule = { kind = 'constant' }\ntrain = { steps = 1 }\n",
    )
    .unwrap();
    let augment = SpiralAugment::default();
    let mut task = SpiralTask::with_student(
        &recipe,
        config.clone(),
        augment,
        student,
        mask,
        Libraries::default(),
        &device,
    )
    .unwrap();

    // The teacher starts from other values than the student, so that its update shows.
    let mut teacher = part(golden, "teacher_start.").teacher;
    let mut stream = Key::new(0).stream(Purpose::Init);
    let trunk = Trunk::new(&config, &mut Initializer::new(&mut stream, &device.clone().without_autodiff()));
    task.set_teacher(params::load(trunk.valid(), "", &mut teacher).unwrap());
    assert!(teacher.is_empty(), "unused: {:?}", teacher.keys());

    let (student_spec, shape) = golden.floats("student_spec");
    let (teacher_spec, teacher_shape) = golden.floats("teacher_spec");
    let shifts = golden.integers("teacher_shift_left_right").0;
    let (left, right) = (8 * shifts[0] as usize, 8 * shifts[1] as usize);
    let lengths: Vec<usize> =
        golden.integers("teacher_spec_len").0.iter().map(|&l| l as usize - left - right).collect();
    let batch = SpiralBatch {
        student: frames_first(student_spec, shape),
        teacher: frames_first(teacher_spec, teacher_shape),
        positions: lengths.iter().map(|l| l.div_ceil(8)).collect(),
        lengths,
        frames: shape[2],
        shift: (left, right),
        negatives: golden.integers("neg_index").0.iter().map(|&i| i as u32).collect(),
    };
    let draw = Draw::Train { epoch: Key::new(1), batch: 0 };
    let mut output = task.forward_backward(&batch, 0, draw).unwrap();
    let expected = golden.floats("loss").0[0];
    assert!(
        (output.loss - expected).abs() < allowed(1e-5) * expected,
        "{name}: loss {} instead of {expected}",
        output.loss
    );

    let gradients = GradientSet::collect(task.model(), &mut output.gradients);
    let expected_gradients = part(golden, "grad.").student;
    let checked = gradients.names().count();
    assert_eq!(checked, 120, "{name}: trained tensors");
    for (tensor, data) in &expected_gradients {
        let expected = data.try_to_vec::<f32>().unwrap();
        let found = gradients.get(tensor).unwrap().to_data().try_to_vec::<f32>().unwrap();
        let largest = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
        let difference = found.iter().zip(&expected).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        // Keys' biases shift every score of a row alike: their true gradient is zero.
        let limit = (allowed(1e-4) as f32 * largest).max(allowed(1e-7) as f32);
        assert!(difference <= limit, "{name}: gradient of {tensor}: {difference:e} of {largest:e}");
    }

    // One step of AdamW.
    let expected_weights = part(golden, "after_adamw.").student;
    let lr = PEAK_LR;
    let mut optimizer = AdamW::new(AdamWConfig { lr, ..AdamWConfig::default() });
    let group = |_: &str| Group { lr_scale: 1.0, weight_decay: 0.01, frozen: false };
    let mut gradients = Some(gradients);
    task.map_model(&mut |model| optimizer.step(model, gradients.take().unwrap(), lr, &group));
    let updated = params::collect(task.model());
    let limit = allowed(2e-7 + 0.01 * lr) as f32;
    for (tensor, data) in &expected_weights {
        let expected = data.try_to_vec::<f32>().unwrap();
        let gradient = expected_gradients[tensor].try_to_vec::<f32>().unwrap();
        let found = updated[tensor].try_to_vec::<f32>().unwrap();
        for i in (0..expected.len()).filter(|&i| gradient[i].abs() > 1e-4) {
            let difference = (found[i] - expected[i]).abs();
            assert!(difference < limit, "{name}: {tensor}[{i}] after AdamW: {difference:e}");
        }
    }
    let running = part(golden, "after_step.").student;
    assert_eq!(running.len(), 4, "{name}: mean and variance of two normalisations");
    let limit = allowed(1e-5) as f32;
    for (tensor, data) in &running {
        let (a, b) = (updated[tensor].try_to_vec::<f32>().unwrap(), data.try_to_vec::<f32>().unwrap());
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < limit), "{name}: {tensor}");
    }

    // The first forward of the next step moves the teacher.
    task.begin_step(1);
    let teacher = params::collect(task.teacher().unwrap());
    let expected_teacher = part(golden, "after_ema.").teacher;
    for (tensor, data) in &expected_teacher {
        let (a, b) = (teacher[tensor].try_to_vec::<f32>().unwrap(), data.try_to_vec::<f32>().unwrap());
        let difference = a.iter().zip(&b).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(difference < limit, "{name}: teacher's {tensor} after EMA: {difference:e}");
    }
}

/// One part of a golden step under the names used here; all of it has a place.
fn part(golden: &Golden, prefix: &str) -> Imported {
    let published = golden.tensors(prefix);
    let count = published.len();
    let found = from_published(published, &narrow().encoder);
    let placed = found.student.len() + found.teacher.len();
    assert!(count > 0 && placed == count, "{}: {placed} of {count} {prefix}*", golden.path.display());
    found
}

#[test]
fn ctc_heads_equal_the_published_ones() {
    for path in files("ctc_head_") {
        let golden = Golden::read(&path);
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let device = device().autodiff();
        let (values, shape) = golden.floats("x");
        let lengths: Vec<usize> = golden.integers("x_len").0.iter().map(|&l| l as usize).collect();
        let (logits, logits_shape) = golden.floats("logits");
        let classes = logits_shape[2];
        let config = match name.as_str() {
            subword if subword.contains("subword") => CtcHeadConfig::Subword { width: 32, dropout: 0.0 },
            character => CtcHeadConfig::Character {
                width: 32,
                upsampling: 4,
                conv_norm: character.ends_with("_ln"),
                dropout: 0.0,
            },
        };
        let mut stream = Key::new(0).stream(Purpose::Init);
        let head = config.init(shape[1], classes, &mut Initializer::new(&mut stream, &device));
        let mut weights = by_own_names(&head, head_from_published(&golden.tensors("")));
        let head = params::load(head, "", &mut weights).unwrap();

        let x = Tensor::<3>::from_data(
            TensorData::new(frames_first(values, shape), [shape[0], shape[2], shape[1]]),
            &device,
        );
        let (out, out_lengths) = head.forward(x, &lengths, &mut Context::eval());
        let expected_lengths: Vec<usize> = golden.integers("out_len").0.iter().map(|&l| l as usize).collect();
        assert_eq!(out_lengths, expected_lengths, "{name}");
        // Golden "logits" are log-probabilities where the program applies log-softmax.
        let normalised = auricle_tensor::ops::log_softmax(out.clone(), 2);
        let expected: Vec<f32> = logits.iter().map(|&v| v as f32).collect();
        let row: f64 = logits[..classes].iter().map(|v| v.exp()).sum();
        let compared = if (row - 1.0).abs() < 1e-3 { normalised.to_data() } else { out.to_data() };
        let difference = worst(&compared, &expected, &out_lengths);
        assert!(difference < allowed(2e-5), "{name}: logits {difference:e}");

        let (flat, target_shape) = golden.integers("targets");
        let target_lengths = golden.integers("target_len").0;
        let targets: Vec<Vec<u32>> = flat
            .chunks(target_shape[1])
            .zip(target_lengths)
            .map(|(row, &length)| row[..length as usize].iter().map(|&t| t as u32).collect())
            .collect();
        let blank = if name.contains("subword") { 0 } else { 28 };
        let input = Tensor::<3>::from_data(out.to_data(), &device).require_grad();
        let loss = auricle_tensor::ops::ctc_loss(input.clone(), &targets, &out_lengths, blank).mean();
        let value = f64::from(loss.clone().into_scalar::<f32>());
        let expected_loss = golden.floats("ctc_loss").0[0];
        assert!(
            (value - expected_loss).abs() < allowed(1e-5) * expected_loss,
            "{name}: loss {value} instead of {expected_loss}"
        );
        let mut gradients = loss.backward();
        let gradient = input.grad_remove(&mut gradients).unwrap().to_data();
        let softmax = burn::tensor::activation::softmax(out, 2).to_data().try_to_vec::<f32>().unwrap();
        let expected = with_normalised_occupancy(golden.floats("grad_log_probs").0, &softmax, classes);
        let largest = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
        let difference = worst(&gradient, &expected, &out_lengths);
        assert!(
            difference < allowed(1e-4) * f64::from(largest),
            "{name}: gradient {difference:e} of {largest:e}"
        );
    }
}

/// The golden gradient is `softmax − occupancy`; the occupancies of a frame sum to one, which the
/// reference's single precision misses by up to 7e-5 (its log α + log β are near −600). That error
/// is known, so it is taken out before comparing.
fn with_normalised_occupancy(gradient: &[f64], softmax: &[f32], classes: usize) -> Vec<f32> {
    let mut expected = Vec::with_capacity(gradient.len());
    for (gradient, softmax) in gradient.chunks(classes).zip(softmax.chunks(classes)) {
        let occupancy: Vec<f64> = gradient.iter().zip(softmax).map(|(g, s)| f64::from(*s) - g).collect();
        let sum: f64 = occupancy.iter().sum();
        assert!((sum - 1.0).abs() < 5e-4 || gradient.iter().all(|&g| g == 0.0), "occupancies sum to {sum}");
        expected.extend(softmax.iter().zip(&occupancy).map(|(s, o)| (f64::from(*s) - o / sum) as f32));
    }
    expected
}

/// Published weights under the names of this head: the enum's variant is part of its own names.
fn by_own_names(head: &auricle_nn::CtcHead, weights: NamedTensors) -> NamedTensors {
    let own: Vec<String> = params::collect(head).into_keys().collect();
    assert_eq!(own.len(), weights.len());
    let published = |name: &str| weights.get(name.split_once('.').unwrap().1).cloned();
    own.into_iter().map(|name| (name.clone(), published(&name).unwrap())).collect()
}
