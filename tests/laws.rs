//! Law 2: what stands beside an utterance in its batch, and what stands in its padding, does not
//! change its result, to the bit.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_nn::{Context, CtcHeadConfig, EncoderConfig, Initializer};
use auricle_rng::{Key, Purpose, Stream};
use auricle_spiral::{Predictor, SpiralConfig, Student};
use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;

const MODEL: &str = r#"
projection = 16

[encoder]
bins = 16

[[encoder.stages]]
convs = [
  { channels = 32, kernel = 5, stride = 2, activation = true },
  { channels = 32, kernel = 5, stride = 2, activation = true },
  { channels = 32 },
]
transformer = { layers = 1, heads = 2, feed_forward = 32 }

[[encoder.stages]]
convs = [
  { channels = 48, kernel = 5, stride = 2, activation = true },
  { channels = 32 },
]
transformer = { layers = 2, heads = 4, feed_forward = 48, norm = { depth_scaled_sandwich = { attention = 0.283, feed_forward = 0.432 } }, init = "tiny" }
"#;

fn device() -> Device {
    auricle_tensor::device("cpu").unwrap()
}

fn config() -> SpiralConfig {
    toml::from_str(MODEL).unwrap()
}

fn stream(seed: u64) -> Stream {
    Key::new(seed).stream(Purpose::Test)
}

/// Rows of the given lengths in one tensor of `frames` frames, `padding` after each.
fn batch(rows: &[Vec<f32>], bins: usize, frames: usize, padding: f32) -> Tensor<3> {
    let mut values = Vec::new();
    for row in rows {
        values.extend_from_slice(row);
        values.resize(values.len() + frames * bins - row.len(), padding);
    }
    Tensor::from_data(TensorData::new(values, [rows.len(), frames, bins]), &device())
}

/// The valid part of row `index`.
fn row(x: &Tensor<3>, index: usize, length: usize) -> Vec<f32> {
    let [_, _, channels] = x.dims();
    x.clone().slice([index..index + 1, 0..length, 0..channels]).into_data().try_to_vec().unwrap()
}

/// The same bits.
fn same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn encoder_projector_predictor_and_heads_do_not_see_padding(
        seed in 0u64..1000,
        lengths in prop::collection::vec(1usize..90, 1..5),
        extra in 0usize..3,
        padding in prop::sample::select(vec![0.0f32, 1e9, f32::NAN]),
    ) {
        let config = config();
        let bins = config.encoder.bins;
        let device = device();
        let init = &mut stream(seed);
        let student = Student::new(&config, &mut Initializer::new(init, &device));
        let heads = [
            CtcHeadConfig::Subword { width: 16, dropout: 0.1 },
            CtcHeadConfig::Character { width: 16, upsampling: 4, conv_norm: seed % 2 == 0, dropout: 0.1 },
        ]
        .map(|head| head.init(config.encoder.output_width(), 7, &mut Initializer::new(init, &device)));

        let rows: Vec<Vec<f32>> =
            lengths.iter().map(|&l| (0..l * bins).map(|_| init.normal() as f32).collect()).collect();
        let padded = |l: usize| l.next_multiple_of(16);
        let frames = padded(*lengths.iter().max().unwrap()) + 16 * extra;
        let together = outputs(&student, &heads, batch(&rows, bins, frames, padding), &lengths);
        for (i, &length) in lengths.iter().enumerate() {
            let alone = batch(&rows[i..=i], bins, padded(length), padding);
            let alone = outputs(&student, &heads, alone, &[length]);
            for (name, (a, b)) in ["encoder", "predictor", "subword", "character"].iter().zip(together.iter().zip(&alone)) {
                prop_assert_eq!(a.1[i], b.1[0]);
                let (a, b) = (row(&a.0, i, a.1[i]), row(&b.0, 0, b.1[0]));
                prop_assert!(same(&a, &b), "{} of row {} depends on its batch", name, i);
            }
        }
    }
}

type Output = (Tensor<3>, Vec<usize>);

fn outputs(
    student: &Student,
    heads: &[auricle_nn::CtcHead],
    mel: Tensor<3>,
    lengths: &[usize],
) -> Vec<Output> {
    let context = &mut Context::eval();
    let (encoded, positions) = student.trunk.encoder.forward(mel, lengths, context);
    let predictor: &Predictor = &student.predictor;
    let predicted = predictor.forward(student.trunk.projector.forward(encoded.clone()), &positions);
    let mut all = vec![(encoded.clone(), positions.clone()), (predicted, positions.clone())];
    all.extend(heads.iter().map(|head| head.forward(encoded.clone(), &positions, context)));
    all
}

#[test]
fn configurations_that_cannot_work_are_refused_in_words() {
    let parse =
        |text: &str| toml::from_str::<EncoderConfig>(text).unwrap().validate().unwrap_err().to_string();
    let stage = |conv: &str, heads: usize| {
        format!(
            "[[stages]]\nconvs = [{conv}]\ntransformer = {{ layers = 1, heads = {heads}, feed_forward = 8 }}\n"
        )
    };
    assert!(parse(&stage("{ channels = 48 }", 5)).contains("not divisible by 5 heads"));
    assert!(parse(&stage("{ channels = 48, kernel = 4 }", 4)).contains("odd kernel"));
    assert!(parse(&stage("", 4)).contains("no convolution module"));
    assert!(parse(&stage("{ channels = 24 }", 4)).contains("positional groups"));
    assert!(parse("stages = []").contains("at least one stage"));
}
