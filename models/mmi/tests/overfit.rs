//! A small network learns two sentences of made-up sound by heart, and what is exported says them again.

#![allow(clippy::unwrap_used)] // The helpers of tests may fail like tests.

use auricle_data::Utterance;
use auricle_mmi::{MmiAugment, MmiBatch, MmiConfig, MmiRecogniser, MmiTask, Pronunciations, Said};
use auricle_rng::{Key, Purpose};
use auricle_text::units::{SILENCE, units_of};
use auricle_train::{AdamW, AdamWConfig, Draw, GradientSet, Recipe, StepOutput, Task};
use burn::tensor::Device;
use std::sync::Arc;

const TEXTS: [&str; 3] = ["my name is good", "good morning my little one", "what is the name"];
const BINS: usize = 10;

fn config() -> MmiConfig {
    serde_json::from_str(
        r#"{ "front_end": { "num_bins": 10 }, "matrix_weight_decay": 0.01, "max_shift": 0,
             "net": { "bins": 10, "front": 24, "width": 48, "bottleneck": 16, "layers": 2, "linear": 24 } }"#,
    )
    .unwrap()
}

fn recipe() -> Recipe {
    serde_json::from_str(
        r#"{ "task": "mmi", "data": { "train": [] }, "schedule": { "kind": "constant" }, "train": { "steps": 1 } }"#,
    )
    .unwrap()
}

fn task() -> MmiTask {
    let utterance = |(i, text): (usize, &&str)| Utterance::new(format!("u{i}"), "", 3.0).with_text(*text);
    let train: Vec<Utterance> = TEXTS.iter().enumerate().map(utterance).collect();
    let mut augment = MmiAugment::default();
    (augment.masks.max_band, augment.masks.time_share) = (0, 0.0);
    let device = Device::flex().autodiff();
    MmiTask::new(&recipe(), config(), augment, &train, None, Default::default(), &device).unwrap()
}

/// Frames of a sequence of units: each has a direction of its own, and takes 9 to 14 frames.
fn sound(units: &[u16], seed: u64) -> Vec<f32> {
    let mut stream = Key::new(seed).stream(Purpose::Test);
    let mut frames = Vec::new();
    for &unit in units {
        let mut direction = Key::new(1).step(u64::from(unit)).stream(Purpose::Test);
        let direction: Vec<f32> = (0..BINS).map(|_| 2.0 * direction.normal() as f32).collect();
        for _ in 0..9 + stream.below(6) {
            frames.extend(direction.iter().map(|x| x + 0.2 * stream.normal() as f32));
        }
    }
    frames
}

/// The first sentences, each said with a silence around, and padding that holds NaN.
fn batch(task: &MmiTask) -> (MmiBatch, Vec<Vec<u16>>) {
    let pronunciations = Pronunciations::read(&config()).unwrap();
    let (mut said, mut spoken, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for (i, text) in TEXTS[..2].iter().enumerate() {
        let words = pronunciations.words(text).unwrap();
        let reference: Vec<u16> = words.iter().flat_map(|word| units_of(&word.pronunciations[0])).collect();
        let units = [&[SILENCE], reference.as_slice(), &[SILENCE]].concat();
        rows.push(sound(&units, i as u64));
        let numerator = task.system().numerator(&words).unwrap();
        said.push(Said {
            num: Arc::new(task.system().num(&numerator.graph).unwrap()),
            reference: reference.clone(),
        });
        spoken.push(reference);
    }
    let lengths: Vec<usize> = rows.iter().map(|row| row.len() / BINS).collect();
    let frames = lengths.iter().max().unwrap().next_multiple_of(3);
    let mut features = Vec::new();
    for row in rows {
        features.extend_from_slice(&row);
        features.resize(features.len() + frames * BINS - row.len(), f32::NAN);
    }
    let ids = vec!["u0".to_string(), "u1".to_string()];
    (MmiBatch { ids, features, lengths, frames, said, weights: vec![1.0; 2] }, spoken)
}

#[test]
fn two_sentences_are_learnt_by_heart() {
    let mut task = task();
    let (batch, spoken) = batch(&task);
    let config = AdamWConfig { lr: 5e-3, ..AdamWConfig::default() };
    let mut optimizer = AdamW::new(config);
    let mut objectives = Vec::new();
    for step in 0..200 {
        task.begin_step(step);
        let draw = Draw::Train { epoch: Key::new(1), batch: step };
        let StepOutput { loss, metrics, mut gradients } = task.forward_backward(&batch, step, draw).unwrap();
        assert!(loss.is_finite());
        let objective = metrics.iter().find(|m| m.name == "train/objective").unwrap().value;
        assert!(objective < 1e-3, "a transcript is a part of everything: {objective}");
        objectives.push(objective);
        let mut gradients = Some(GradientSet::collect(task.model(), &mut gradients));
        let group = |name: &str| auricle_train::Group {
            lr_scale: if name.contains("running") { 0.0 } else { 1.0 },
            weight_decay: 0.0,
            frozen: name.contains("running"),
        };
        task.map_model(&mut |model| optimizer.step(model, gradients.take().unwrap(), 5e-3, &group));
    }
    assert!(objectives[0] < -0.15, "{}", objectives[0]);
    let course: Vec<f64> = objectives.iter().step_by(50).copied().collect();
    assert!(objectives[199] > -0.06, "{course:?}");

    task.validate(&batch).unwrap();
    let metrics = task.finish_validation();
    let value = |name: &str| metrics.iter().find(|m| m.name == name).unwrap().value;
    assert!(value("validation/per") < 0.15, "{metrics:?}");
    assert_eq!(value("validation/known_texts"), 1.0);

    let (tensors, metadata) = task.export().unwrap();
    let recogniser = MmiRecogniser::from_weights(tensors, &metadata, &Device::flex()).unwrap();
    let pronunciations = Pronunciations::read(&self::config()).unwrap();
    for (i, (length, reference)) in batch.lengths.iter().zip(&spoken).enumerate() {
        let start = i * batch.frames * BINS;
        let own = batch.features[start..start + length * BINS].to_vec();
        let features = auricle_audio::Features::from_shape_vec((*length, BINS), own).unwrap();
        let scores = recogniser.scores(&[features]).unwrap().remove(0);
        let words = pronunciations.words(TEXTS[i]).unwrap();
        let (spans, _) = recogniser.align(&scores, &words).unwrap();
        let said: Vec<u16> = spans.iter().map(|span| span.phone).filter(|&phone| phone != SILENCE).collect();
        assert_eq!(said.len(), reference.len());
        assert_eq!(spans[0].start, 0);
        assert_eq!(spans[spans.len() - 1].end, length.div_ceil(3));
        let short = &scores[..6 * recogniser.system().outputs.count()];
        let error = recogniser.align(short, &words).unwrap_err().to_string();
        assert!(error.contains("needs") && error.contains("frames of 30 ms, has 6"), "{error}");
        assert_eq!(recogniser.phones(&[], 10.0).unwrap(), []);
    }
}

#[test]
fn weights_of_another_kind_or_damaged_are_refused() {
    let (tensors, metadata) = task().export().unwrap();
    let fail = |change: &dyn Fn(&mut auricle_nn::weights::Metadata)| {
        let mut metadata = metadata.clone();
        change(&mut metadata);
        let error = MmiRecogniser::from_weights(tensors.clone(), &metadata, &Device::flex()).err().unwrap();
        error.to_string()
    };
    assert!(fail(&|m| drop(m.insert("kind".into(), "ctc".into()))).contains("are a `ctc` model"));
    assert!(fail(&|m| drop(m.remove("phone_lm"))).contains("no `phone_lm`"));
    let cut = |m: &mut auricle_nn::weights::Metadata| {
        let text = m["phone_lm"].clone();
        m.insert("phone_lm".into(), text[..text.len() / 2].to_string());
    };
    assert!(fail(&cut).contains("phone language model"), "{}", fail(&cut));
    let other = r#"{"topology":"chain","units":41,"pairs":[[0,50]]}"#;
    assert!(fail(&|m| drop(m.insert("outputs".into(), other.into()))).contains("outputs"));
    let ctc = r#"{"topology":"ctc","units":41,"pairs":[]}"#;
    assert!(fail(&|m| drop(m.insert("outputs".into(), ctc.into()))).contains("shape"));
}

#[test]
fn settings_out_of_their_domain_are_named() {
    let fail = |text: &str| {
        let config: MmiConfig = serde_json::from_str(text).unwrap();
        config.validate().unwrap_err()
    };
    assert!(fail(r#"{"net": {"bins": 41}}"#).contains("model.net.bins"));
    assert!(fail(r#"{"net": {"layers": 0}}"#).contains("model.net.layers"));
    assert!(fail(r#"{"draws": 0}"#).contains("model.draws"));
    assert!(fail(r#"{"leak": -1}"#).contains("model.leak"));
    assert!(fail(r#"{"phone_lm": {"order": 9}}"#).contains("model.phone_lm"));
    assert!(fail(r#"{"silence": {"edge": 2}}"#).contains("model.silence.edge"));
    assert!(serde_json::from_str::<MmiConfig>(r#"{"lexikon": []}"#).is_err());
}

/// A model with context begins as the model without: a pair's outputs have what its phone's had.
#[test]
fn a_model_with_context_starts_from_one_without() {
    let mono = task();
    let (mut tensors, _) = mono.export().unwrap();
    let count = mono.system().outputs.count();
    let bias: Vec<f32> = (0..count).map(|i| i as f32).collect();
    tensors.insert("head.output.bias".into(), burn::tensor::TensorData::new(bias, [count]));
    let config = MmiConfig { left_context_min_count: Some(1), ..config() };
    let train: Vec<Utterance> = TEXTS
        .iter()
        .enumerate()
        .map(|(i, text)| Utterance::new(format!("u{i}"), "", 3.0).with_text(*text))
        .collect();
    let new = |tensors| {
        let device = Device::flex().autodiff();
        let (augment, none) = (MmiAugment::default(), Default::default());
        MmiTask::new(&recipe(), config.clone(), augment, &train, Some(tensors), none, &device)
    };
    let left = new(tensors.clone()).unwrap();
    let outputs = &left.system().outputs;
    assert!(outputs.count() > count);
    let bias = left.export().unwrap().0["head.output.bias"].try_to_vec::<f32>().unwrap();
    for &(before, phone) in outputs.pairs() {
        for (own, mono) in outputs.of(Some(before), phone).iter().zip(mono.system().outputs.of(None, phone)) {
            assert_eq!(bias[*own as usize], mono as f32);
        }
    }
    // Nothing else is stretched.
    tensors.insert("head.output.bias".into(), burn::tensor::TensorData::new(vec![0f32; 7], [7]));
    assert!(new(tensors).err().unwrap().to_string().contains("model.init_from"));
}
