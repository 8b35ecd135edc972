//! What tells synthesized latents from real ones: where a synthesizer loses, this says why.

use crate::trained::Scale;
use auricle_nn::{Initializer, Linear};
use auricle_rng::{Key, Purpose, Stream};
use auricle_train::{AdamW, AdamWConfig, GradientSet, Group, TrainError};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;

/// Frames that the classifier sees at once.
const WINDOW: usize = 5;
/// Width of its hidden layer.
const HIDDEN: usize = 64;
/// Steps of its training, and windows of each kind in a step.
const STEPS: usize = 400;
const BATCH: usize = 128;

/// Real and synthesized latents of the same sentences, side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Sentences.
    pub sentences: usize,
    /// Mean length in frames: real, synthesized.
    pub frames: [f64; 2],
    /// Standard deviation of the lengths.
    pub frames_std: [f64; 2],
    /// Correlation of the lengths of the same sentences.
    pub frames_correlation: Option<f64>,
    /// `(μ' − μ)²/σ²`, mean over channels.
    pub mean_shift: f64,
    /// `σ'²/σ²`, mean over channels: below 1, the synthesizer makes too little of what speech varies in.
    pub variance_ratio: f64,
    /// The same ratio for the difference of neighbouring frames: below 1, it is too smooth.
    pub motion_ratio: f64,
    /// Area under the ROC curve of a classifier of two layers that looks at five frames, on sentences that it was not
    /// trained on: 0.5, nobody can tell; 1, everybody can.
    pub auc_frames: f64,
    /// The same for whole sentences, by the mean of their frames' logits.
    pub auc_sentences: f64,
}

/// Compares latents `[T, D]` of sentences; the classifier learns from the even ones and is tested on the odd ones.
///
/// # Errors
/// Fewer than four sentences with latents of both kinds, a device that fails.
pub fn compare(
    real: &[Vec<f32>],
    made: &[Vec<f32>],
    width: usize,
    key: Key,
    device: &Device,
) -> Result<Comparison, TrainError> {
    let whole = |(r, m): &(&Vec<f32>, &Vec<f32>)| r.len() >= width && m.len() >= width;
    let (real, made): (Vec<&[f32]>, Vec<&[f32]>) =
        real.iter().zip(made).filter(whole).map(|(r, m)| (r.as_slice(), m.as_slice())).unzip();
    if real.len() < 4 {
        return Err(TrainError::Data(format!(
            "{} sentences are too few to compare; give at least 4",
            real.len()
        )));
    }
    let lengths = |latents: &[&[f32]]| latents.iter().map(|z| (z.len() / width) as f64).collect::<Vec<_>>();
    let frames = [lengths(&real), lengths(&made)];
    let [(real_mean, real_std), (made_mean, made_std)] = [moments(&frames[0]), moments(&frames[1])];
    let pairs: Vec<(f64, f64)> = frames[0].iter().copied().zip(frames[1].iter().copied()).collect();
    let (scale, other) = (Scale::of(&real.concat(), width), Scale::of(&made.concat(), width));
    let (motion, other_motion) = (motion(&real, width), motion(&made, width));
    let over = |of: &dyn Fn(usize) -> f64| (0..width).map(of).sum::<f64>() / width as f64;
    let ratio = |a: &[f32], b: &[f32]| over(&|i| (f64::from(a[i]) / f64::from(b[i])).powi(2));

    let classifier = Classifier::train([&real, &made], &scale, key, device);
    let logits = |latents: &[&[f32]]| -> Result<Vec<Vec<f32>>, TrainError> {
        latents.iter().skip(1).step_by(2).map(|z| classifier.logits(z, &scale, device)).collect()
    };
    let [real_logits, made_logits] = [logits(&real)?, logits(&made)?];
    let mean = |rows: &Vec<Vec<f32>>| -> Vec<f32> {
        rows.iter().map(|row| row.iter().sum::<f32>() / row.len() as f32).collect()
    };
    Ok(Comparison {
        sentences: real.len(),
        frames: [real_mean, made_mean],
        frames_std: [real_std, made_std],
        frames_correlation: auricle_text::mdd::correlation(&pairs),
        mean_shift: over(&|i| f64::from((other.mean[i] - scale.mean[i]) / scale.std[i]).powi(2)),
        variance_ratio: ratio(&other.std, &scale.std),
        motion_ratio: ratio(&other_motion.std, &motion.std),
        auc_frames: area(&made_logits.concat(), &real_logits.concat()),
        auc_sentences: area(&mean(&made_logits), &mean(&real_logits)),
    })
}

fn moments(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
    (mean, variance.sqrt())
}

/// Moments of the differences of neighbouring frames.
fn motion(latents: &[&[f32]], width: usize) -> Scale {
    let steps = |z: &&[f32]| z[width..].iter().zip(*z).map(|(next, own)| next - own).collect::<Vec<f32>>();
    Scale::of(&latents.iter().flat_map(steps).collect::<Vec<f32>>(), width)
}

/// The probability that one of `high` lies above one of `low`; equal values count half.
fn area(high: &[f32], low: &[f32]) -> f64 {
    let mut all: Vec<(f32, bool)> =
        high.iter().map(|&x| (x, true)).chain(low.iter().map(|&x| (x, false))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut sum) = (0usize, 0f64);
    for ties in all.chunk_by(|a, b| a.0 == b.0) {
        let highs = ties.iter().filter(|(_, is_high)| *is_high).count();
        let lows = ties.len() - highs;
        sum += highs as f64 * (below as f64 + 0.5 * lows as f64);
        below += lows;
    }
    sum / (high.len() * low.len()).max(1) as f64
}

/// Real or made?
#[derive(Module, Debug)]
struct Classifier {
    hidden: Linear,
    output: Linear,
}

impl Classifier {
    fn train(kinds: [&[&[f32]]; 2], scale: &Scale, key: Key, device: &Device) -> Self {
        let width = scale.mean.len();
        let device = device.clone().autodiff();
        let mut init = key.stream(Purpose::Init);
        let mut init = Initializer::new(&mut init, &device);
        let mut model = Self {
            hidden: Linear::uniform(WINDOW * width, HIDDEN, &mut init),
            output: Linear::uniform(HIDDEN, 1, &mut init),
        };
        let mut optimizer = AdamW::new(AdamWConfig::default());
        let group = |_: &str| Group { lr_scale: 1.0, weight_decay: 0.01, frozen: false };
        let known = kinds.map(|kind| kind.iter().step_by(2).copied().collect::<Vec<_>>());
        for step in 0..STEPS {
            let mut stream = key.step(step as u64).stream(Purpose::Subset);
            let mut values = Vec::with_capacity(2 * BATCH * WINDOW * width);
            for kind in &known {
                (0..BATCH).for_each(|_| draw(kind, scale, &mut stream, &mut values));
            }
            let x = Tensor::<3>::from_data(TensorData::new(values, [1, 2 * BATCH, WINDOW * width]), &device);
            let logits = model.forward(x).reshape([2, BATCH]);
            let (real, made) = (logits.clone().narrow(0, 0, 1), logits.narrow(0, 1, 1));
            // −ln(1 − p) of real windows, −ln p of made ones.
            let loss = softplus(real).mean() + softplus(-made).mean();
            let gradients = GradientSet::collect(&model, &mut loss.backward());
            model = optimizer.step(model, gradients, 1e-3, &group);
        }
        model.valid()
    }

    /// # Shapes
    /// `[1, N, WINDOW·D]` → `[1, N, 1]`, above zero for made ones
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.output.forward(burn::tensor::activation::relu(self.hidden.forward(x)))
    }

    /// A logit per frame of a sentence.
    fn logits(&self, z: &[f32], scale: &Scale, device: &Device) -> Result<Vec<f32>, TrainError> {
        let width = scale.mean.len();
        let frames = z.len() / width;
        let mut values = Vec::with_capacity(frames * WINDOW * width);
        (0..frames).for_each(|t| window(z, t, scale, &mut values));
        let x = Tensor::<3>::from_data(TensorData::new(values, [1, frames, WINDOW * width]), device);
        self.forward(x).into_data().try_to_vec::<f32>().map_err(odd)
    }
}

fn odd(error: impl std::fmt::Debug) -> TrainError {
    TrainError::Task(format!("{error:?}"))
}

/// `ln(1 + eˣ)`.
fn softplus(x: Tensor<2>) -> Tensor<2> {
    burn::tensor::activation::relu(x.clone()) + x.abs().neg().exp().log1p()
}

/// A window of any sentence.
fn draw(sentences: &[&[f32]], scale: &Scale, stream: &mut Stream, values: &mut Vec<f32>) {
    let z = sentences[stream.below(sentences.len())];
    window(z, stream.below(z.len() / scale.mean.len()), scale, values);
}

/// The standardised frames around `t`; the first and the last are repeated at the ends.
fn window(z: &[f32], t: usize, scale: &Scale, values: &mut Vec<f32>) {
    let width = scale.mean.len();
    let last = z.len() / width - 1;
    for offset in 0..WINDOW {
        let at = (t + offset).saturating_sub(WINDOW / 2).min(last);
        let row = &z[at * width..][..width];
        values.extend(row.iter().zip(&scale.mean).zip(&scale.std).map(|((x, m), s)| (x - m) / s));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn area_counts_pairs() {
        assert_eq!(area(&[3.0, 2.0], &[1.0, 0.0]), 1.0);
        assert_eq!(area(&[0.0, 1.0], &[1.0, 2.0]), 0.125);
        assert_eq!(area(&[1.0, 1.0], &[1.0]), 0.5);
    }

    /// Sentences of noise with a given spread, every frame a mix of itself and the one before it.
    fn sentences(seed: u64, spread: f64, keep: f64, frames: usize) -> Vec<Vec<f32>> {
        let sentence = |i: u64| {
            let mut stream = Key::new(seed).step(i).stream(Purpose::Test);
            let mut last = [0f64; 4];
            (0..frames + i as usize)
                .flat_map(|_| {
                    last = last.map(|x| keep * x + spread * (1.0 - keep * keep).sqrt() * stream.normal());
                    last.map(|x| x as f32)
                })
                .collect()
        };
        (0..40).map(sentence).collect()
    }

    #[test]
    fn what_differs_is_found_and_what_does_not_is_not() {
        let device = auricle_tensor::device("cpu").unwrap();
        let run =
            |made: &[Vec<f32>]| compare(&sentences(1, 1.0, 0.5, 30), made, 4, Key::new(3), &device).unwrap();
        let same = run(&sentences(2, 1.0, 0.5, 30));
        assert!((same.auc_frames - 0.5).abs() < 0.1, "{same:?}");
        assert!(same.mean_shift < 0.05 && (same.variance_ratio - 1.0).abs() < 0.2, "{same:?}");
        assert!((same.motion_ratio - 1.0).abs() < 0.2 && same.frames == [49.5, 49.5], "{same:?}");
        // The same spread, but smooth; then the same motion in a narrower space, and longer.
        let smooth = run(&sentences(2, 1.0, 0.95, 30));
        assert!(smooth.motion_ratio < 0.2 && smooth.auc_frames > 0.8, "{smooth:?}");
        let narrow = run(&sentences(2, 0.3, 0.5, 60));
        assert!(narrow.variance_ratio < 0.15 && narrow.auc_sentences > 0.9, "{narrow:?}");
        assert_eq!(narrow.frames[1], 79.5);
        assert_eq!(run(&sentences(2, 1.0, 0.5, 30)), same);
        assert!(compare(&[], &[], 4, Key::new(3), &device).is_err());
    }
}
