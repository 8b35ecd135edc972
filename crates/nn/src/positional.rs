//! Positions: a convolutional embedding, and sinusoids.

use crate::Initializer;
use auricle_tensor::ops::{self, Conv1dOptions};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Configuration of a [`PositionalConv`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PositionalConvConfig {
    /// Kernel width in frames. Default: 128.
    pub kernel: usize,
    /// Channel groups. Default: 16.
    pub groups: usize,
}

impl Default for PositionalConvConfig {
    fn default() -> Self {
        Self { kernel: 128, groups: 16 }
    }
}

/// Grouped convolution with weight normalisation, then exact GELU (SPIRAL §2, wav2vec 2.0).
///
/// `W[k] = g[k]·v[k]/‖v[k]‖`: one gain per kernel tap, the norm runs over both channel axes.
/// An even kernel of width K reads K/2 frames to the left and K/2 − 1 to the right.
#[derive(Module, Debug)]
pub struct PositionalConv {
    /// Gain per tap, `[K, 1, 1]`.
    pub gain: Param<Tensor<3>>,
    /// Direction, `[K, D/G, D]`.
    pub direction: Param<Tensor<3>>,
    /// `[D]`
    pub bias: Param<Tensor<1>>,
    /// Channel groups.
    pub groups: usize,
}

impl PositionalConv {
    /// Directions N(0, 4/(K·D)), gains their norms (so that the weight starts as drawn), zero bias.
    pub fn new(width: usize, config: &PositionalConvConfig, init: &mut Initializer<'_>) -> Self {
        let PositionalConvConfig { kernel, groups } = *config;
        let std = (4.0 / (kernel * width) as f64).sqrt();
        let direction = init.normal([kernel, width / groups, width], std);
        let norm = tap_norm(direction.val()).into_data();
        let device = init.device().clone();
        Self {
            gain: Param::from_tensor(Tensor::from_data(norm, &device)),
            direction,
            bias: init.constant([width], 0.0),
            groups,
        }
    }

    /// The normalised weight, `[K, D/G, D]`.
    pub fn weight(&self) -> Tensor<3> {
        let direction = self.direction.val();
        let scale = self.gain.val() / tap_norm(direction.clone());
        direction * scale
    }

    /// # Shapes
    /// `[B, T, D]` → `[B, T, D]`; the input is expected to be zero at padded frames.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [kernel, _, _] = self.direction.dims();
        let options = Conv1dOptions {
            stride: 1,
            pad_left: kernel / 2,
            pad_right: (kernel - 1) / 2,
            groups: self.groups,
        };
        ops::gelu(ops::conv1d(x, self.weight(), Some(self.bias.val()), options))
    }
}

fn tap_norm(direction: Tensor<3>) -> Tensor<3> {
    (direction.clone() * direction).sum_dim(2).sum_dim(1).sqrt()
}

/// Sines and cosines of positions, `[positions, width]`: channels 2i and 2i+1 of position t are `sin(t·ω)` and
/// `cos(t·ω)` with `ω = 10000^(−2i/width)` (Vaswani et al., arXiv 1706.03762 §3.5).
pub(crate) fn sinusoids(width: usize, positions: impl IntoIterator<Item = f64>) -> Vec<f32> {
    let rate = |i: usize| 10_000f64.powf(-((i - i % 2) as f64) / width.max(1) as f64);
    let rates: Vec<f64> = (0..width).map(rate).collect();
    let mut values = Vec::new();
    for t in positions {
        let waves = rates.iter().enumerate().map(|(i, rate)| {
            let angle = t * rate;
            (if i % 2 == 0 { angle.sin() } else { angle.cos() }) as f32
        });
        values.extend(waves);
    }
    values
}
