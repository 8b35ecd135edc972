//! CTC heads (SPIRAL §9).

use crate::config::{MAX_WIDTH, in_range, of_linear, probability, product, sum};
use crate::conv::ConvInit;
use crate::{ConfigError, Context, Conv1d, Conv1dConfig, Initializer, LayerNorm};
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

/// No head is up-sampled further: 16 output frames per encoder frame are one per 5 ms.
const MAX_UPSAMPLING: usize = 16;

/// Configuration of a [`CtcHead`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum CtcHeadConfig {
    /// Two convolutions k5, then a linear map, at the encoder's frame rate.
    Subword {
        /// Width of the hidden layers. The published value is 512.
        #[serde(default = "default_width")]
        width: usize,
        /// Dropout. Default: 0.1.
        #[serde(default = "default_dropout")]
        dropout: f64,
    },
    /// Up-sampling by `upsampling`, three convolutions k5, then a linear map.
    Character {
        /// Width of the hidden layers. The published value is 512.
        #[serde(default = "default_width")]
        width: usize,
        /// Output frames per encoder frame. The published value is 4.
        #[serde(default = "default_upsampling")]
        upsampling: usize,
        /// LayerNorm after each convolution (the Large configurations). Default: false.
        #[serde(default)]
        conv_norm: bool,
        /// Dropout. Default: 0.1.
        #[serde(default = "default_dropout")]
        dropout: f64,
    },
}

fn default_width() -> usize {
    512
}

fn default_upsampling() -> usize {
    4
}

fn default_dropout() -> f64 {
    0.1
}

impl CtcHeadConfig {
    /// Output frames per encoder frame.
    pub fn upsampling(&self) -> usize {
        match self {
            Self::Subword { .. } => 1,
            Self::Character { upsampling, .. } => *upsampling,
        }
    }

    /// # Errors
    /// Sizes or a dropout beyond their limits.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let (width, upsampling, dropout) = match *self {
            Self::Subword { width, dropout } => (width, 1, dropout),
            Self::Character { width, upsampling, dropout, .. } => (width, upsampling, dropout),
        };
        in_range("head.width", width, 1..=MAX_WIDTH)?;
        in_range("head.upsampling", upsampling, 1..=MAX_UPSAMPLING)?;
        probability("head.dropout", dropout)
    }

    /// Values of a head on an encoder of width `input` for `classes` tokens.
    pub fn parameters(&self, input: usize, classes: usize) -> usize {
        let conv = |input, output, extra| sum([product(&[5, input, output]), product(&[extra, output])]);
        match *self {
            Self::Subword { width, .. } => {
                sum([conv(input, width, 1), conv(width, width, 1), of_linear(width, classes)])
            }
            Self::Character { width, upsampling, conv_norm, .. } => {
                // A bias, or gain and offset of the norm.
                let hidden = conv(width, width, if conv_norm { 2 } else { 1 });
                sum([
                    conv(input, product(&[upsampling, width]), 1),
                    product(&[2, width]),
                    product(&[3, hidden]),
                    of_linear(width, classes),
                ])
            }
        }
    }

    /// A head on an encoder of width `input` for `classes` tokens, blank included.
    pub fn init(&self, input: usize, classes: usize, init: &mut Initializer<'_>) -> CtcHead {
        match *self {
            Self::Subword { width, dropout } => {
                CtcHead::Subword(SubwordHead::new(input, width, classes, dropout, init))
            }
            Self::Character { width, upsampling, conv_norm, dropout } => CtcHead::Character(
                CharacterHead::new(input, width, upsampling, classes, conv_norm, dropout, init),
            ),
        }
    }
}

/// A classifier of encoder frames over tokens and blank.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // one per model, and `Module` has no boxes
pub enum CtcHead {
    /// At the encoder's rate.
    Subword(SubwordHead),
    /// With up-sampling.
    Character(CharacterHead),
}

impl CtcHead {
    /// # Shapes
    /// - input `[B, T', D]` and valid lengths
    /// - output logits `[B, T'·up, V]` and valid lengths
    pub fn forward(&self, x: Tensor<3>, lengths: &[usize], context: &mut Context) -> (Tensor<3>, Vec<usize>) {
        match self {
            Self::Subword(head) => head.forward(x, lengths, context),
            Self::Character(head) => head.forward(x, lengths, context),
        }
    }
}

/// Convolution k5 → (LN) → ReLU → dropout.
#[derive(Module, Debug)]
pub struct HeadConv {
    /// The convolution; without bias where a norm follows.
    pub conv: Conv1d,
    /// LN over channels (Large character head).
    pub norm: Option<LayerNorm>,
    /// Dropout.
    pub dropout: f64,
}

impl HeadConv {
    fn new(input: usize, width: usize, with_norm: bool, dropout: f64, init: &mut Initializer<'_>) -> Self {
        let config = Conv1dConfig { input, output: width, kernel: 5, stride: 1, bias: !with_norm };
        Self {
            conv: Conv1d::new(&config, ConvInit::Xavier, init),
            norm: with_norm.then(|| LayerNorm::new(width, 1.0, init)),
            dropout,
        }
    }

    fn forward(&self, x: Tensor<3>, lengths: &[usize], context: &mut Context) -> Tensor<3> {
        let y = self.conv.forward(x, lengths);
        let y = match &self.norm {
            Some(norm) => norm.forward(y),
            None => y,
        };
        context.dropout(relu(y), self.dropout)
    }
}

fn classifier(width: usize, classes: usize, init: &mut Initializer<'_>) -> Conv1d {
    let config = Conv1dConfig { input: width, output: classes, kernel: 1, stride: 1, bias: true };
    Conv1d::new(&config, ConvInit::Xavier, init)
}

/// Two convolutions k5 with ReLU, then a map to the classes.
#[derive(Module, Debug)]
pub struct SubwordHead {
    /// Hidden layers.
    pub convs: Vec<HeadConv>,
    /// Map to the classes, kernel 1.
    pub output: Conv1d,
}

impl SubwordHead {
    fn new(input: usize, width: usize, classes: usize, dropout: f64, init: &mut Initializer<'_>) -> Self {
        Self {
            convs: vec![
                HeadConv::new(input, width, false, dropout, init),
                HeadConv::new(width, width, false, dropout, init),
            ],
            output: classifier(width, classes, init),
        }
    }

    fn forward(&self, x: Tensor<3>, lengths: &[usize], context: &mut Context) -> (Tensor<3>, Vec<usize>) {
        let x = self.convs.iter().fold(x, |x, conv| conv.forward(x, lengths, context));
        (self.output.forward(x, lengths), lengths.to_vec())
    }
}

/// Up-sampling convolution, three convolutions k5 with ReLU, then a map to the classes.
#[derive(Module, Debug)]
pub struct CharacterHead {
    /// D → up·width channels; channel group g of frame t becomes frame up·t + g.
    pub upsample: Conv1d,
    /// LN after the up-sampling.
    pub upsample_norm: LayerNorm,
    /// Hidden layers.
    pub convs: Vec<HeadConv>,
    /// Map to the classes, kernel 1.
    pub output: Conv1d,
    /// Output frames per input frame.
    pub upsampling: usize,
    /// Dropout.
    pub dropout: f64,
}

impl CharacterHead {
    fn new(
        input: usize,
        width: usize,
        upsampling: usize,
        classes: usize,
        conv_norm: bool,
        dropout: f64,
        init: &mut Initializer<'_>,
    ) -> Self {
        let up = Conv1dConfig { input, output: upsampling * width, kernel: 5, stride: 1, bias: true };
        Self {
            upsample: Conv1d::new(&up, ConvInit::Default, init),
            upsample_norm: LayerNorm::new(width, 1.0, init),
            convs: (0..3).map(|_| HeadConv::new(width, width, conv_norm, dropout, init)).collect(),
            output: classifier(width, classes, init),
            upsampling,
            dropout,
        }
    }

    fn forward(&self, x: Tensor<3>, lengths: &[usize], context: &mut Context) -> (Tensor<3>, Vec<usize>) {
        let y = self.upsample.forward(x, lengths);
        let [batch, frames, channels] = y.dims();
        // Channels last: splitting the channel axis in groups and flattening groups into time is
        // a plain reshape.
        let y = y.reshape([batch, frames * self.upsampling, channels / self.upsampling]);
        let y = context.dropout(relu(self.upsample_norm.forward(y)), self.dropout);
        let lengths: Vec<usize> = lengths.iter().map(|length| length * self.upsampling).collect();
        let y = self.convs.iter().fold(y, |y, conv| conv.forward(y, &lengths, context));
        (self.output.forward(y, &lengths), lengths)
    }
}
