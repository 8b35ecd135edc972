//! Coupled cross-attention (paper §2.2, equations 1 to 5).

use crate::{CocaConfig, FrameWeights};
use auricle_nn::{Initializer, LayerNorm, Linear};
use auricle_tensor::ops::masked_softmax;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, TensorData};

/// A weight of −∞ that leaves no NaN behind where everything is hidden.
const HIDDEN: f32 = -1e30;

/// Frames attend to the canonical phones, and by the same scores the phones to the frames.
///
/// With `L = (f·W_q)(d·W_k)ᵀ/√m` per head of width m:
///
/// - `score = softmax_M(L)`, a row per frame, known as soon as the frame is;
/// - speech branch `g = concat(score · d·W_v)·W_f`, per frame;
/// - text branch `s = concat(w(score)ᵀ · f·W_x)·W_d`, per phone, with the [`FrameWeights`] `w`.
///
/// # Differences from the paper
/// - The paper's `w` is a second softmax over values in 0..1, which is nearly a mean over the
///   utterance; [`FrameWeights`] has it and three sharper ones.
/// - `residual` adds the inputs to the results and normalises, so that a decoder which was trained
///   on `f` alone can start from there.
#[derive(Module, Debug)]
pub struct CoupledAttention {
    /// W_q, of frames.
    pub query: Linear,
    /// W_k, of phones.
    pub key: Linear,
    /// W_v, of phones.
    pub phone_value: Linear,
    /// W_x, of frames.
    pub frame_value: Linear,
    /// W_f.
    pub frame_output: Linear,
    /// W_d.
    pub phone_output: Linear,
    /// Norm of `f + g`.
    pub frame_norm: Option<LayerNorm>,
    /// Norm of `d + s`.
    pub phone_norm: Option<LayerNorm>,
    /// Heads.
    pub heads: usize,
    /// Weights of the text branch.
    #[module(skip)]
    pub weights: FrameWeights,
}

/// What the coupled attention gives.
#[derive(Debug, Clone)]
pub struct Coupled {
    /// Speech branch, `[B, T, D]`.
    pub frames: Tensor<3>,
    /// Text branch, `[B, M, D]`.
    pub phones: Tensor<3>,
    /// L, mean over heads, `[B, T, M]`; hidden phones hold −10³⁰.
    pub logits: Tensor<3>,
}

impl CoupledAttention {
    /// Initial values.
    pub fn new(width: usize, config: &CocaConfig, init: &mut Initializer<'_>) -> Self {
        let mut map = || Linear::normal(width, width, (1.0 / width as f64).sqrt(), init);
        let (query, key, phone_value, frame_value) = (map(), map(), map(), map());
        let (frame_output, phone_output) = (map(), map());
        let mut norm = || config.residual.then(|| LayerNorm::new(width, 1.0, init));
        Self {
            query,
            key,
            phone_value,
            frame_value,
            frame_output,
            phone_output,
            frame_norm: norm(),
            phone_norm: norm(),
            heads: config.heads,
            weights: config.weights,
        }
    }

    /// # Shapes
    /// `f [B, T, D]` and `d [B, M, D]` with valid lengths; nothing beyond them has any influence,
    /// as long as it is finite.
    pub fn forward(
        &self,
        f: Tensor<3>,
        frame_lengths: &[usize],
        d: Tensor<3>,
        phone_lengths: &[usize],
    ) -> Coupled {
        let ([batch, frames, width], [_, phones, _]) = (f.dims(), d.dims());
        let dim = width / self.heads;
        let split = |x: Tensor<3>, n| x.reshape([batch, n, self.heads, dim]).swap_dims(1, 2);
        let join = |x: Tensor<4>, n| x.swap_dims(1, 2).reshape([batch, n, width]);
        let beyond = |lengths: &[usize], n: usize, shape: [usize; 3]| -> Tensor<3, Bool> {
            let hidden = lengths.iter().flat_map(|&length| (0..n).map(move |i| i >= length)).collect();
            Tensor::<3, Bool>::from_data(TensorData::new(hidden, shape), &f.device())
        };

        let query = split(self.query.forward(f.clone()), frames) / (dim as f64).sqrt();
        let logits = query.matmul(split(self.key.forward(d.clone()), phones).swap_dims(2, 3));
        let no_phone = beyond(phone_lengths, phones, [batch, 1, phones]).expand([batch, frames, phones]);
        let mean_logits =
            logits.clone().mean_dim(1).reshape([batch, frames, phones]).mask_fill(no_phone, HIDDEN);
        let scores = masked_softmax(logits.clone(), phone_lengths);
        let g = join(scores.clone().matmul(split(self.phone_value.forward(d.clone()), phones)), frames);

        // Of every phone over the frames: `[B, heads, M, T]`.
        let weights = match self.weights {
            FrameWeights::Softmax { temperature } => {
                masked_softmax(scores.swap_dims(2, 3) / temperature, frame_lengths)
            }
            FrameWeights::Logits => masked_softmax(logits.swap_dims(2, 3), frame_lengths),
            FrameWeights::Column => {
                let no_frame = beyond(frame_lengths, frames, [batch, 1, frames]);
                let no_frame = no_frame.unsqueeze_dim::<4>(1).expand([batch, self.heads, phones, frames]);
                let valid = scores.swap_dims(2, 3).mask_fill(no_frame, 0.0);
                valid.clone() / (valid.sum_dim(3) + 1e-6)
            }
        };
        let s = join(weights.matmul(split(self.frame_value.forward(f.clone()), frames)), phones);
        let (g, s) = (self.frame_output.forward(g), self.phone_output.forward(s));
        let finish = |norm: &Option<LayerNorm>, input, output| match norm {
            Some(norm) => norm.forward(input + output),
            None => output,
        };
        Coupled {
            frames: finish(&self.frame_norm, f, g),
            phones: finish(&self.phone_norm, d, s),
            logits: mean_logits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_nn::streaming::Dense;
    use auricle_rng::{Key, Purpose};
    use burn::tensor::Device;

    const FRAMES: usize = 7;
    const PHONES: usize = 4;
    const WIDTH: usize = 6;
    const HEADS: usize = 2;

    fn attention(weights: FrameWeights) -> CoupledAttention {
        let config = CocaConfig { heads: HEADS, weights, residual: false };
        let mut stream = Key::new(1).stream(Purpose::Test);
        CoupledAttention::new(WIDTH, &config, &mut Initializer::new(&mut stream, &Device::flex()))
    }

    fn rows(count: usize, seed: u64) -> Vec<f32> {
        let mut stream = Key::new(seed).stream(Purpose::Test);
        (0..count * WIDTH).map(|_| stream.normal() as f32).collect()
    }

    fn apply(map: &Linear, x: &[f32]) -> Vec<f32> {
        let mut out = Vec::new();
        Dense::new(map).unwrap().forward(x, &mut out);
        out
    }

    fn normalise(row: &mut [f32]) {
        let top = row.iter().copied().fold(f32::MIN, f32::max);
        row.iter_mut().for_each(|x| *x = (*x - top).exp());
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|x| *x /= sum);
    }

    /// Equations 1 to 5, a number at a time, without padding.
    fn naive(attention: &CoupledAttention, f: &[f32], d: &[f32]) -> [Vec<f32>; 2] {
        let (frames, phones, dim) = (f.len() / WIDTH, d.len() / WIDTH, WIDTH / HEADS);
        let (q, k) = (apply(&attention.query, f), apply(&attention.key, d));
        let (v, x) = (apply(&attention.phone_value, d), apply(&attention.frame_value, f));
        let (mut g, mut s) = (vec![0.0; frames * WIDTH], vec![0.0; phones * WIDTH]);
        for h in 0..HEADS {
            let at = |row: usize, c: usize| row * WIDTH + h * dim + c;
            let logit = |t: usize, m: usize| {
                (0..dim).map(|c| q[at(t, c)] * k[at(m, c)]).sum::<f32>() / (dim as f32).sqrt()
            };
            let score: Vec<Vec<f32>> = (0..frames)
                .map(|t| {
                    let mut row: Vec<f32> = (0..phones).map(|m| logit(t, m)).collect();
                    normalise(&mut row);
                    assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                    row
                })
                .collect();
            for m in 0..phones {
                let mut column: Vec<f32> = (0..frames).map(|t| score[t][m]).collect();
                match attention.weights {
                    FrameWeights::Softmax { temperature } => {
                        column.iter_mut().for_each(|w| *w /= temperature as f32);
                        normalise(&mut column);
                    }
                    FrameWeights::Logits => {
                        column = (0..frames).map(|t| logit(t, m)).collect();
                        normalise(&mut column);
                    }
                    FrameWeights::Column => {
                        let sum: f32 = column.iter().sum::<f32>() + 1e-6;
                        column.iter_mut().for_each(|w| *w /= sum);
                    }
                }
                for c in 0..dim {
                    s[at(m, c)] = (0..frames).map(|t| column[t] * x[at(t, c)]).sum();
                    (0..frames).for_each(|t| g[at(t, c)] += score[t][m] * v[at(m, c)]);
                }
            }
        }
        [apply(&attention.frame_output, &g), apply(&attention.phone_output, &s)]
    }

    #[test]
    fn equals_the_equations_whatever_stands_in_the_padding() {
        for weights in [
            FrameWeights::Softmax { temperature: 1.0 },
            FrameWeights::Softmax { temperature: 0.05 },
            FrameWeights::Logits,
            FrameWeights::Column,
        ] {
            let attention = attention(weights);
            let lengths = [(FRAMES, PHONES), (3, 2)];
            let (f, d) = (rows(2 * FRAMES, 2), rows(2 * PHONES, 3));
            let tensor = |mut values: Vec<f32>, count: usize, valid: usize| {
                values[(count + valid) * WIDTH..].fill(1e3);
                let data = TensorData::new(values, [2, count, WIDTH]);
                Tensor::<3>::from_data(data, &Device::flex())
            };
            let coupled = attention.forward(
                tensor(f.clone(), FRAMES, lengths[1].0),
                &[FRAMES, lengths[1].0],
                tensor(d.clone(), PHONES, lengths[1].1),
                &[PHONES, lengths[1].1],
            );
            let frames: Vec<f32> = coupled.frames.into_data().try_to_vec().unwrap();
            let phones: Vec<f32> = coupled.phones.into_data().try_to_vec().unwrap();
            for (row, (t, m)) in lengths.into_iter().enumerate() {
                let (f, d) =
                    (&f[row * FRAMES * WIDTH..][..t * WIDTH], &d[row * PHONES * WIDTH..][..m * WIDTH]);
                let [g, s] = naive(&attention, f, d);
                let close = |got: &[f32], want: &[f32], what: &str| {
                    for (got, want) in got.iter().zip(want) {
                        assert!((got - want).abs() < 1e-5, "{weights:?} row {row} {what}: {got} {want}");
                    }
                };
                close(&frames[row * FRAMES * WIDTH..], &g, "g");
                close(&phones[row * PHONES * WIDTH..], &s, "s");
            }
        }
    }
}
