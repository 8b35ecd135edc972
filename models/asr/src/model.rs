//! Encoder and CTC head.

use crate::CtcConfig;
use auricle_nn::params::cast_tensor;
use auricle_nn::{Context, ConvTransformerEncoder, CtcHead, Initializer};
use burn::module::Module;
use burn::tensor::{FloatDType, Tensor};

/// An acoustic model: mel features to token logits.
#[derive(Module, Debug)]
pub struct CtcModel {
    /// Convolution–Transformer encoder.
    pub encoder: ConvTransformerEncoder,
    /// CTC head.
    pub head: CtcHead,
}

impl CtcModel {
    /// A model with initial values for `classes` tokens, blank included.
    pub fn new(config: &CtcConfig, classes: usize, init: &mut Initializer<'_>) -> Self {
        let encoder = config.encoder.init(init);
        Self { encoder, head: config.head.init(config.encoder.output_width(), classes, init) }
    }

    /// # Shapes
    /// `[B, T, F]` and valid lengths → logits `[B, T'·up, V]` and valid lengths
    pub fn forward(
        &self,
        mel: Tensor<3>,
        lengths: &[usize],
        context: &mut Context,
    ) -> (Tensor<3>, Vec<usize>) {
        let (x, lengths) = self.encoder.forward(mel, lengths, context);
        self.classify(x, &lengths, context)
    }

    /// [`forward`](Self::forward) from what the encoder gave.
    pub fn classify(
        &self,
        x: Tensor<3>,
        lengths: &[usize],
        context: &mut Context,
    ) -> (Tensor<3>, Vec<usize>) {
        // The encoder may compute in another precision; head and loss do not.
        let x = cast_tensor(x, FloatDType::F32);
        // Encoder output is cut to the longest valid length before the head (SPIRAL §9).
        let [batch, frames, width] = x.dims();
        let longest = lengths.iter().copied().max().unwrap_or(frames).min(frames);
        self.head.forward(x.slice([0..batch, 0..longest, 0..width]), lengths, context)
    }
}
