//! Convolutions over time and the convolution module of the encoder.

use crate::config::{MAX_KERNEL, MAX_WIDTH, in_range, product, sum};
use crate::{ConfigError, Context, Initializer, LayerNorm, zero_beyond};
use auricle_tensor::ops::{self, Conv1dOptions};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

/// Initial distribution of convolution weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ConvInit {
    /// N(0, 2/(in·k)).
    Kaiming,
    /// Xavier uniform: ±√(6/((in+out)·k)).
    Xavier,
    /// PyTorch's default: uniform on ±1/√(in·k).
    Default,
}

/// Shape of a convolution.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv1dConfig {
    /// Input channels.
    pub input: usize,
    /// Output channels.
    pub output: usize,
    /// Kernel width in frames.
    pub kernel: usize,
    /// Step in frames.
    pub stride: usize,
    /// Whether there is a bias.
    pub bias: bool,
}

/// Convolution over time, channels last.
///
/// Padding is what SPIRAL does: kernel 1 none; stride 1 "same", `(k−1)/2` on both sides; stride 2
/// one frame less on the left (kernel 5: 1 left, 2 right), so that `T' = T/2` for even `T` and
/// output `t` is centred on input `2t+1`.
/// The weight is stored `[K, C_in, C_out]`, so that a time window of the input is one contiguous
/// row of a matrix product.
#[derive(Module, Debug)]
pub struct Conv1d {
    /// `[K, C_in, C_out]`
    pub weight: Param<Tensor<3>>,
    /// `[C_out]`
    pub bias: Option<Param<Tensor<1>>>,
    /// Step in frames.
    pub stride: usize,
}

impl Conv1d {
    /// Weights N(0, 2/(in·k)).
    pub fn kaiming(config: &Conv1dConfig, init: &mut Initializer<'_>) -> Self {
        Self::new(config, ConvInit::Kaiming, init)
    }

    pub(crate) fn new(config: &Conv1dConfig, kind: ConvInit, init: &mut Initializer<'_>) -> Self {
        let Conv1dConfig { input, output, kernel, stride, bias } = *config;
        let fan_in = input * kernel;
        let shape = [kernel, input, output];
        let weight = match kind {
            ConvInit::Kaiming => init.normal(shape, (2.0 / fan_in as f64).sqrt()),
            ConvInit::Xavier => init.uniform(shape, (6.0 / ((input + output) * kernel) as f64).sqrt()),
            ConvInit::Default => init.fan_in_uniform(shape, fan_in),
        };
        let bias = bias.then(|| init.fan_in_uniform([output], fan_in));
        Self { weight, bias, stride }
    }

    /// # Shapes
    /// - input `[B, T, C_in]`; padded frames are replaced by zero first (not for kernel 1)
    /// - output `[B, T', C_out]`
    pub fn forward(&self, x: Tensor<3>, lengths: &[usize]) -> Tensor<3> {
        let [kernel, _, _] = self.weight.dims();
        let x = if kernel > 1 { zero_beyond(x, lengths) } else { x };
        let (pad_left, pad_right) = (self.pad_left(), (kernel - 1) / 2);
        let options = Conv1dOptions { stride: self.stride, pad_left, pad_right, groups: 1 };
        ops::conv1d(x, self.weight.val(), self.bias.as_ref().map(|b| b.val()), options)
    }

    /// Frames of padding before the first.
    pub fn pad_left(&self) -> usize {
        let [kernel, _, _] = self.weight.dims();
        let right = (kernel - 1) / 2;
        if self.stride > 1 { right.saturating_sub(1) } else { right }
    }

    /// Valid output frames for each valid input length: `⌈length/stride⌉`.
    pub fn output_lengths(&self, lengths: &[usize]) -> Vec<usize> {
        lengths.iter().map(|length| length.div_ceil(self.stride)).collect()
    }
}

/// Configuration of a [`ConvModule`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvModuleConfig {
    /// Output channels.
    pub channels: usize,
    /// Kernel width in frames. Default: 1.
    #[serde(default = "one")]
    pub kernel: usize,
    /// Step in frames. Default: 1.
    #[serde(default = "one")]
    pub stride: usize,
    /// ReLU and dropout after the normalisation. Default: false.
    #[serde(default)]
    pub activation: bool,
}

fn one() -> usize {
    1
}

impl ConvModuleConfig {
    /// # Errors
    /// No channels or too many, an even or too long kernel, another stride than 1 or 2.
    pub fn validate(&self) -> Result<(), ConfigError> {
        in_range("channels", self.channels, 1..=MAX_WIDTH)?;
        in_range("kernel", self.kernel, 1..=MAX_KERNEL)?;
        in_range("stride", self.stride, 1..=2)?;
        if self.kernel.is_multiple_of(2) {
            return Err(ConfigError::new("kernel", format!("{} is even; set an odd kernel", self.kernel)));
        }
        Ok(())
    }

    /// Values of the module on `input` channels.
    pub fn parameters(&self, input: usize) -> usize {
        // Weight, bias, and gain and offset of the norm.
        sum([product(&[self.kernel, input, self.channels]), product(&[3, self.channels])])
    }
}

/// Convolution → LayerNorm over channels → (ReLU → dropout), SPIRAL §2.
#[derive(Module, Debug)]
pub struct ConvModule {
    /// The convolution.
    pub conv: Conv1d,
    /// Normalisation over channels.
    pub norm: LayerNorm,
    /// Whether ReLU and dropout follow.
    pub activation: bool,
    /// Dropout probability.
    pub dropout: f64,
}

impl ConvModule {
    /// Kaiming-normal weights.
    pub fn new(input: usize, config: &ConvModuleConfig, dropout: f64, init: &mut Initializer<'_>) -> Self {
        let conv = Conv1dConfig {
            input,
            output: config.channels,
            kernel: config.kernel,
            stride: config.stride,
            bias: true,
        };
        Self {
            conv: Conv1d::new(&conv, ConvInit::Kaiming, init),
            norm: LayerNorm::new(config.channels, 1.0, init),
            activation: config.activation,
            dropout,
        }
    }

    /// # Shapes
    /// - input `[B, T, C_in]` and valid lengths
    /// - output `[B, T', C_out]` and valid lengths
    pub fn forward(&self, x: Tensor<3>, lengths: &[usize], context: &mut Context) -> (Tensor<3>, Vec<usize>) {
        let y = self.norm.forward(self.conv.forward(x, lengths));
        let y = if self.activation { context.dropout(relu(y), self.dropout) } else { y };
        (y, self.conv.output_lengths(lengths))
    }
}
