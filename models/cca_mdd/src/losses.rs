//! The losses of paper §2.3, and ours.

use crate::analysis::{self, QUESTIONS};
use crate::inventory::{BLANK, CLASSES, DELETED};
use crate::{LossConfig, MddBatch, Output, Slot};
use auricle_tensor::ops;
use burn::tensor::{Tensor, TensorData};

/// Logit of "this frame belongs to no phone" in the alignment loss.
const BLANK_LOGIT: f32 = -1.0;

/// The losses, means per phone.
pub(crate) struct Losses {
    /// CTC of the decoder.
    pub decoder: Tensor<1>,
    /// Weighted cross-entropy of the state classifier.
    pub state: Tensor<1>,
    /// Weighted cross-entropy of the phone predictor.
    pub predictor: Tensor<1>,
    /// CTC over places in the prompt.
    pub alignment: Tensor<1>,
    /// CTC of the phone recogniser that doesn't know the prompt.
    pub acoustic: Option<Tensor<1>>,
    /// Cross-entropy of the analysis.
    pub analysis: Option<Tensor<1>>,
}

impl Losses {
    /// Of the outputs for a batch; `more` says how much more than another a mistake weighs.
    ///
    /// # Differences from the paper
    /// The CTC loss is divided by the number of target phones, so that the three losses are means
    /// per phone and β and γ do not depend on the length of utterances.
    pub fn of(config: &LossConfig, output: &Output, batch: &MddBatch, more: impl Fn(&Slot) -> f32) -> Self {
        let targets: Vec<Vec<u32>> = batch.labels.iter().map(|labels| labels.perceived.clone()).collect();
        let count = targets.iter().map(Vec::len).sum::<usize>().max(1) as f64;
        let decoder = ops::ctc_loss(output.decoder.clone(), &targets, &output.frames, BLANK).sum() / count;
        let acoustic = output
            .acoustic
            .clone()
            .map(|logits| ops::ctc_loss(logits, &targets, &output.frames, BLANK).sum() / count);

        let [rows, longest, _] = output.predictor.dims();
        let device = output.predictor.device();
        let slots = batch.labels.iter().map(|labels| labels.slots.len()).sum::<usize>().max(1) as f64;
        let mut one_hot = vec![0f32; rows * longest * CLASSES];
        let (mut badness, mut weights) = (vec![0f32; rows * longest], vec![0f32; rows * longest]);
        let (mut asked, mut answered) = (vec![0f32; rows * longest * QUESTIONS], 0usize);
        let mut answers = vec![0f32; rows * longest * QUESTIONS];
        for (row, labels) in batch.labels.iter().enumerate() {
            for (i, slot) in labels.slots.iter().enumerate() {
                let at = row * longest + i;
                let weight = 1.0 + (config.alpha as f32 - 1.0) * slot.badness;
                weights[at] =
                    if wrong(f64::from(slot.badness)) { weight * (1.0 + more(slot)) } else { weight };
                badness[at] = slot.badness;
                one_hot[at * CLASSES + slot.perceived.unwrap_or(DELETED) as usize] = weight;
                if let Some(known) = analysis::answers(slot) {
                    answered += 1;
                    let at = at * QUESTIONS..(at + 1) * QUESTIONS;
                    asked[at.clone()].fill(1.0);
                    answers[at].iter_mut().zip(known).for_each(|(x, yes)| *x = f32::from(u8::from(yes)));
                }
            }
        }
        let one_hot: Tensor<3> =
            Tensor::from_data(TensorData::new(one_hot, [rows, longest, CLASSES]), &device);
        let predictor = (ops::log_softmax(output.predictor.clone(), 2) * one_hot).sum() / -slots;

        let badness: Tensor<2> = Tensor::from_data(TensorData::new(badness, [rows, longest]), &device);
        let weights: Tensor<2> = Tensor::from_data(TensorData::new(weights, [rows, longest]), &device);
        let state = (cross_entropy(output.state.clone(), badness) * weights).sum() / slots;
        let analysis = output.analysis.clone().map(|logits| {
            let shape = [rows, longest, QUESTIONS];
            let asked: Tensor<3> = Tensor::from_data(TensorData::new(asked, shape), &device);
            let answers: Tensor<3> = Tensor::from_data(TensorData::new(answers, shape), &device);
            (cross_entropy(logits, answers) * asked).sum() / answered.max(1) as f64
        });

        let [_, frames, _] = output.alignment.dims();
        let places: Vec<Vec<u32>> =
            batch.labels.iter().map(|labels| (0..labels.slots.len() as u32).collect()).collect();
        let none = Tensor::full([rows, frames, 1], BLANK_LOGIT, &device);
        let logits = Tensor::cat(vec![output.alignment.clone(), none], 2);
        let alignment = ops::ctc_loss(logits, &places, &output.frames, longest as u32).sum() / slots;
        Self { decoder, state, predictor, alignment, acoustic, analysis }
    }

    /// The weighted sum, see [`LossConfig`].
    pub fn total(&self, weights: &LossConfig) -> Tensor<1> {
        let mut total = self.decoder.clone()
            + self.state.clone() * weights.beta
            + self.predictor.clone() * weights.gamma
            + self.alignment.clone() * weights.delta;
        for (loss, weight) in [(&self.acoustic, weights.epsilon), (&self.analysis, weights.zeta)] {
            if let Some(loss) = loss {
                total = total + loss.clone() * weight;
            }
        }
        total
    }
}

/// Whether annotators call a phone of this badness mispronounced: a score below 0.5 of 2.
pub(crate) fn wrong(badness: f64) -> bool {
    2.0 * (1.0 - badness) < crate::MISPRONOUNCED_BELOW
}

/// `−[e·ln σ(x) + (1 − e)·ln(1 − σ(x))] = max(x, 0) − e·x + ln(1 + exp(−|x|))`, per entry.
fn cross_entropy<const D: usize>(x: Tensor<D>, e: Tensor<D>) -> Tensor<D> {
    burn::tensor::activation::relu(x.clone()) - x.clone() * e + x.abs().neg().exp().log1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Labels;
    use auricle_train::FeatureBatch;
    use burn::tensor::Device;

    /// Two phones, the second mispronounced; every number worked out by hand from the equations.
    #[test]
    fn by_hand() {
        let device = Device::flex();
        let tensor = |values: Vec<f32>, shape: [usize; 3]| {
            Tensor::<3>::from_data(TensorData::new(values, shape), &device)
        };
        let slot = |canonical, said, badness| Slot { canonical, perceived: Some(said), badness };
        let labels = Labels {
            slots: vec![slot(3, 3, 0.0), slot(5, 7, 1.0)],
            perceived: vec![3, 7],
            judged: true,
            told: true,
            words: Vec::new(),
        };
        let features = FeatureBatch { values: Vec::new(), lengths: vec![2], frames: 2 };
        let batch = MddBatch { ids: vec!["a".into()], features, labels: vec![labels] };
        let output = Output {
            decoder: tensor(vec![0.0; 2 * CLASSES], [1, 2, CLASSES]),
            frames: vec![2],
            acoustic: None,
            predictor: tensor(vec![0.0; 2 * CLASSES], [1, 2, CLASSES]),
            analysis: Some(tensor(vec![0.0; 2 * QUESTIONS], [1, 2, QUESTIONS])),
            state: Tensor::from_data(TensorData::new(vec![0.2f32, -0.3], [1, 2]), &device),
            alignment: tensor(vec![0.0; 4], [1, 2, 2]),
        };
        let config = LossConfig { alpha: 5.0, ..LossConfig::default() };
        let number = |x: &Tensor<1>| f64::from(x.clone().into_scalar::<f32>());
        let close =
            |x: &Tensor<1>, want: f64| assert!((number(x) - want).abs() < 1e-5, "{} {want}", number(x));
        let softplus = |x: f64| (1.0 + x.exp()).ln();
        let losses = Losses::of(&config, &output, &batch, |_| 0.0);
        // Two frames for two phones: one path of probability 1/C², over two phones.
        close(&losses.decoder, (CLASSES as f64).ln());
        close(&losses.predictor, (1.0 + 5.0) * (CLASSES as f64).ln() / 2.0);
        close(&losses.state, (softplus(0.2) + 5.0 * softplus(0.3)) / 2.0);
        // One path through the places, beside "no phone" with its logit.
        close(&losses.alignment, (2.0 + f64::from(BLANK_LOGIT).exp()).ln());
        // All questions of both phones at even odds, over two phones.
        close(losses.analysis.as_ref().unwrap(), QUESTIONS as f64 * 2f64.ln());
        let LossConfig { beta, gamma, delta, zeta, .. } = config;
        let total = number(&losses.decoder)
            + beta * number(&losses.state)
            + gamma * number(&losses.predictor)
            + delta * number(&losses.alignment)
            + zeta * number(losses.analysis.as_ref().unwrap());
        close(&losses.total(&config), total);
        // Mining: a mistake that is always missed counts once more, a good phone does not.
        let mined = Losses::of(&config, &output, &batch, |_| 1.0);
        close(&mined.state, (softplus(0.2) + 10.0 * softplus(0.3)) / 2.0);
    }
}
