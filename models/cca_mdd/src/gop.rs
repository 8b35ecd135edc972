//! Goodness of pronunciation: what the sound alone says of every canonical phone.

use crate::inventory::{BLANK, CLASSES};
use auricle_nn::config::of_linear;
use auricle_nn::streaming::{Dense, StreamingError};
use auricle_nn::{Initializer, Linear};
use auricle_tensor::{ops, rows};
use burn::module::Module;
use burn::tensor::{Tensor, TensorData};

/// Sounds a frame can be, blank aside: the phones, and a sound that is none of them.
const SOUNDS: usize = BLANK as usize;
/// Features per canonical phone.
const FEATURES: usize = SOUNDS + 3;
/// Log-posteriors are not counted below this.
const FLOOR: f32 = -10.0;
/// Added to the voice of a phone that has nearly none.
const LITTLE: f32 = 1e-3;
/// Brings log-posteriors to the size of normalised activations.
const SCALE: f32 = 0.2;

/// A phone recogniser that does not know the prompt, and what it says of the prompt's phones.
///
/// With the CTC posteriors `p_t(q)` of a linear layer on the encoder's frame t, the alignment
/// `a_t(m) = softmax_M` of the coupled attention's mean logits, and the voice `v_t = 1 − p_t(blank)`:
///
/// ```text
/// P_m(q) = Σ_t a_t(m)·v_t·ln(p_t(q)/v_t) / Σ_t a_t(m)·v_t
/// features of phone m = P_m(q) for every q,  P_m(c_m),  P_m(c_m) − max_q P_m(q),  ln Σ_t a_t(m)·v_t
/// ```
///
/// `P_m(c_m)` is the log phone posterior of the canonical phone, `P_m(c_m) − max_q P_m(q)` its ratio to the
/// best phone: the classical goodness of pronunciation (Witt and Young 2000; features of GOPT,
/// arXiv 2205.03432). A linear map of them is added to what the coupled attention gives each phone.
/// All sums run over frames, so a stream keeps them as running sums.
///
/// # Differences from the paper
/// CCA-MDD has no such head. Its decoder sees the prompt through the coupled attention, and the prompt is
/// nearly always what was said: the loss of that decoder teaches the encoder little about sounds.
#[derive(Module, Debug)]
pub struct Gop {
    /// Frames to CTC logits.
    pub acoustic: Linear,
    /// Features of a phone to the width of the model.
    pub features: Linear,
}

/// What [`Gop`] gives.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// CTC logits of the phone recogniser, `[B, T', classes]`.
    pub acoustic: Tensor<3>,
    /// What is added per phone, `[B, M, D]`.
    pub phones: Tensor<3>,
}

impl Gop {
    /// Values of the layer in a model of a width.
    pub(crate) fn parameters(width: usize) -> usize {
        let [acoustic, features] = [(width, CLASSES), (FEATURES, width)].map(|(i, o)| of_linear(i, o));
        acoustic.saturating_add(features)
    }

    /// Initial values.
    pub fn new(width: usize, init: &mut Initializer<'_>) -> Self {
        Self {
            acoustic: Linear::uniform(width, CLASSES, init),
            features: Linear::uniform(FEATURES, width, init),
        }
    }

    /// # Shapes
    /// frames `[B, T', D]` with valid lengths, mean logits of frames and phones `[B, T', M]`, class numbers
    /// of the canonical phones per row
    pub fn forward(
        &self,
        f: Tensor<3>,
        lengths: &[usize],
        alignment: Tensor<3>,
        canonical: &[Vec<u32>],
    ) -> Evidence {
        let [batch, frames, phones] = alignment.dims();
        let device = f.device();
        let acoustic = self.acoustic.forward(f);
        let sounds = acoustic.clone().slice([0..batch, 0..frames, 0..SOUNDS]);
        let sounds = ops::log_softmax(sounds, 2).clamp_min(FLOOR);
        let blank = ops::softmax(acoustic.clone(), 2).slice([0..batch, 0..frames, SOUNDS..CLASSES]);
        let valid: Vec<f32> = lengths
            .iter()
            .flat_map(|&length| (0..frames).map(move |t| f32::from(u8::from(t < length))))
            .collect();
        let valid = Tensor::<3>::from_data(TensorData::new(valid, [batch, frames, 1]), &device);
        let weights = ops::softmax(alignment, 2) * ((-blank + 1.0) * valid);
        let voice = weights.clone().sum_dim(1).swap_dims(1, 2) + LITTLE;
        let mean = weights.swap_dims(1, 2).matmul(sounds) / voice.clone();

        let mut one_hot = vec![0f32; batch * phones * SOUNDS];
        for (row, canonical) in canonical.iter().enumerate() {
            for (m, &phone) in canonical.iter().enumerate() {
                one_hot[(row * phones + m) * SOUNDS + phone as usize] = 1.0;
            }
        }
        let one_hot = Tensor::<3>::from_data(TensorData::new(one_hot, [batch, phones, SOUNDS]), &device);
        let own = (mean.clone() * one_hot).sum_dim(2);
        let ratio = own.clone() - mean.clone().max_dim(2);
        let features = Tensor::cat(vec![mean, own, ratio, voice.log()], 2) * SCALE;
        Evidence { acoustic, phones: self.features.forward(features) }
    }

    /// What [`Gop::forward`] adds per phone, of sums that a stream has kept: `[1, M, D]`.
    pub(crate) fn of_sums(&self, sums: &GopSums, canonical: &[u32]) -> Tensor<3> {
        let values = sums.features(canonical);
        let device = self.features.weight.val().device();
        let data = TensorData::new(values, [1, canonical.len(), FEATURES]);
        self.features.forward(Tensor::from_data(data, &device))
    }
}

/// The running sums of a stream.
#[derive(Debug, Clone)]
pub(crate) struct GopSums {
    acoustic: Dense,
    /// `Σ_t a_t(m)·v_t·ln(p_t(q)/v_t)`, `[M, SOUNDS]`.
    sums: Vec<f32>,
    /// `Σ_t a_t(m)·v_t`, `[M]`.
    voice: Vec<f32>,
    logits: Vec<f32>,
    alignment: Vec<f32>,
}

impl GopSums {
    pub(crate) fn new(gop: &Gop) -> Result<Self, StreamingError> {
        Ok(Self {
            acoustic: Dense::new(&gop.acoustic)?,
            sums: Vec::new(),
            voice: Vec::new(),
            logits: Vec::new(),
            alignment: Vec::new(),
        })
    }

    /// Empty sums for a prompt of so many phones.
    pub(crate) fn for_prompt(&self, phones: usize) -> Self {
        Self { sums: vec![0.0; phones * SOUNDS], voice: vec![0.0; phones], ..self.clone() }
    }

    /// Takes an encoder frame and its mean logits over the canonical phones.
    pub(crate) fn push(&mut self, frame: &[f32], logits: &[f32]) {
        self.acoustic.forward(frame, &mut self.logits);
        let all = log_sum_exp(&self.logits);
        let voice = 1.0 - (self.logits[SOUNDS] - all).exp();
        let sounds = &mut self.logits[..SOUNDS];
        let spoken = log_sum_exp(sounds);
        sounds.iter_mut().for_each(|x| *x = (*x - spoken).max(FLOOR));
        self.alignment.clear();
        self.alignment.extend_from_slice(logits);
        rows::softmax(&mut self.alignment);
        for ((sum, total), &a) in self.sums.chunks_exact_mut(SOUNDS).zip(&mut self.voice).zip(&self.alignment)
        {
            rows::add_scaled(sum, a * voice, sounds);
            *total += a * voice;
        }
    }

    fn features(&self, canonical: &[u32]) -> Vec<f32> {
        let mut values = Vec::with_capacity(canonical.len() * FEATURES);
        for ((sum, voice), &phone) in self.sums.chunks_exact(SOUNDS).zip(&self.voice).zip(canonical) {
            let voice = voice + LITTLE;
            let start = values.len();
            values.extend(sum.iter().map(|x| x / voice));
            let best = values[start..].iter().copied().fold(f32::MIN, f32::max);
            let own = values[start + phone as usize];
            values.extend([own, own - best, voice.ln()]);
        }
        values.iter_mut().for_each(|x| *x *= SCALE);
        values
    }
}

fn log_sum_exp(x: &[f32]) -> f32 {
    let top = x.iter().copied().fold(f32::MIN, f32::max);
    top + x.iter().map(|x| (x - top).exp()).sum::<f32>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};
    use burn::tensor::Device;

    const WIDTH: usize = 8;

    fn gop() -> Gop {
        let mut stream = Key::new(3).stream(Purpose::Test);
        Gop::new(WIDTH, &mut Initializer::new(&mut stream, &Device::flex()))
    }

    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut stream = Key::new(seed).stream(Purpose::Test);
        (0..count).map(|_| 2.0 * stream.normal() as f32).collect()
    }

    /// Running sums give what the whole gives, whatever stands beyond the valid frames and phones.
    #[test]
    fn sums_of_a_stream_equal_the_whole() {
        let gop = gop();
        let (frames, phones) = (6, [3u32, 0, 39, 17]);
        let (f, logits) = (numbers(frames * WIDTH, 1), numbers(frames * phones.len(), 2));
        let mut padded = f.clone();
        padded.extend(vec![1e3; 2 * WIDTH]);
        let mut alignment = Vec::new();
        for row in logits.chunks_exact(phones.len()) {
            alignment.extend_from_slice(row);
            alignment.push(-1e30);
        }
        alignment.extend(vec![5.0; 2 * (phones.len() + 1)]);
        let device = Device::flex();
        let tensor = |x: Vec<f32>, width: usize| {
            let rows = x.len() / width;
            Tensor::<3>::from_data(TensorData::new(x, [1, rows, width]), &device)
        };
        let whole = gop.forward(
            tensor(padded, WIDTH),
            &[frames],
            tensor(alignment, phones.len() + 1),
            &[phones.to_vec()],
        );
        let mut sums = GopSums::new(&gop).unwrap().for_prompt(phones.len());
        for (frame, logits) in f.chunks_exact(WIDTH).zip(logits.chunks_exact(phones.len())) {
            sums.push(frame, logits);
        }
        let streamed: Vec<f32> = gop.of_sums(&sums, &phones).into_data().try_to_vec().unwrap();
        let whole: Vec<f32> = whole.phones.into_data().try_to_vec().unwrap();
        for (whole, streamed) in whole.iter().zip(&streamed) {
            assert!((whole - streamed).abs() < 1e-5, "{whole} {streamed}");
        }
    }

    /// A frame that is surely the canonical phone, and one that is surely another.
    #[test]
    fn a_phone_that_is_not_heard_has_a_low_ratio() {
        let mut sums = GopSums::new(&gop()).unwrap().for_prompt(2);
        let mut sure = [0.0; CLASSES];
        sure[4] = 12.0;
        for (phone, logits) in [(0, [9.0, -9.0]), (1, [-9.0, 9.0])] {
            let width = WIDTH;
            let frame = vec![0.0; width];
            sums.push(&frame, &logits);
            // What the layer gave is replaced by a sure frame of sound 4.
            let all = log_sum_exp(&sure);
            for (sum, x) in sums.sums[phone * SOUNDS..].iter_mut().zip(&sure[..SOUNDS]) {
                *sum = (x - all).max(FLOOR);
            }
            sums.voice[phone] = 1.0;
        }
        let features = sums.features(&[4, 7]);
        let ratio = |m: usize| features[m * FEATURES + SOUNDS + 1];
        assert!(ratio(0).abs() < 1e-6 && ratio(1) < -1.5, "{} {}", ratio(0), ratio(1));
    }
}
