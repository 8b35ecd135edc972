//! Coupled cross-attention (paper §2.2, equations 1 to 5).

use crate::{CocaConfig, FrameWeights};
use auricle_nn::{Initializer, LayerNorm, Linear};
use burn::module::Module;
use burn::tensor::activation::softmax;
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
        let shape = [batch, self.heads, frames, phones];
        let hide = |hidden: Vec<bool>, part: [usize; 4]| -> Tensor<4, Bool> {
            Tensor::<4, Bool>::from_data(TensorData::new(hidden, part), &f.device()).expand(shape)
        };
        let beyond = |lengths: &[usize], n: usize| -> Vec<bool> {
            lengths.iter().flat_map(|&length| (0..n).map(move |i| i >= length)).collect()
        };
        let no_phone = hide(beyond(phone_lengths, phones), [batch, 1, 1, phones]);
        let no_frame = hide(beyond(frame_lengths, frames), [batch, 1, frames, 1]);

        let query = split(self.query.forward(f.clone()), frames) / (dim as f64).sqrt();
        let logits = query.matmul(split(self.key.forward(d.clone()), phones).swap_dims(2, 3));
        let logits = logits.mask_fill(no_phone, HIDDEN);
        let mean_logits = logits.clone().mean_dim(1).reshape([batch, frames, phones]);
        let scores = softmax(logits.clone(), 3);
        let g = join(scores.clone().matmul(split(self.phone_value.forward(d.clone()), phones)), frames);

        let weights = match self.weights {
            FrameWeights::Softmax { temperature } => {
                softmax((scores.clone() / temperature).mask_fill(no_frame.clone(), HIDDEN), 2)
            }
            FrameWeights::Logits => softmax(logits.mask_fill(no_frame.clone(), HIDDEN), 2),
            FrameWeights::Column => {
                let valid = scores.clone().mask_fill(no_frame.clone(), 0.0);
                valid.clone() / (valid.sum_dim(2) + 1e-6)
            }
        };
        let weights = weights.mask_fill(no_frame, 0.0);
        let s =
            join(weights.swap_dims(2, 3).matmul(split(self.frame_value.forward(f.clone()), frames)), phones);
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
