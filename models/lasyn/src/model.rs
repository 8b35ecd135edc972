//! The network above and below the cut.

use auricle_asr::CtcModel;
use auricle_nn::{AttentionDecoder, Context, ConvTransformerEncoder, CtcHead};
use burn::module::Module;
use burn::tensor::Tensor;

/// A recogniser whose upper part learns from latents: encoder, CTC head and, for what needs the tokens before (and for
/// meanings, which do not follow the speech from left to right), an attention decoder.
#[derive(Module, Debug)]
pub struct LasynModel {
    /// Convolution–Transformer encoder; its lower part makes latents of speech.
    pub encoder: ConvTransformerEncoder,
    /// CTC head.
    pub head: CtcHead,
    /// Attention decoder.
    pub decoder: Option<AttentionDecoder>,
}

/// What the upper part makes of latents.
#[derive(Debug, Clone)]
pub struct Upper {
    /// Encoder output, `[B, T', D']`.
    pub memory: Tensor<3>,
    /// Its valid frames.
    pub memory_lengths: Vec<usize>,
    /// CTC logits, `[B, T'·up, V]`.
    pub logits: Tensor<3>,
    /// Their valid frames.
    pub lengths: Vec<usize>,
}

impl LasynModel {
    /// A recogniser without a decoder.
    pub fn of(model: CtcModel) -> Self {
        Self { encoder: model.encoder, head: model.head, decoder: None }
    }

    /// The lower part: features to latents.
    ///
    /// # Shapes
    /// `[B, T, F]` and valid lengths → `[B, T', D]` and valid lengths
    pub fn lower(
        &self,
        split: usize,
        mel: Tensor<3>,
        lengths: &[usize],
        context: &mut Context,
    ) -> (Tensor<3>, Vec<usize>) {
        self.encoder.forward_until(mel, lengths, split, context)
    }

    /// The upper part, the guiding net where it is not trained (remembered of the paper, see the crate): latents to logits.
    ///
    /// # Shapes
    /// latents `[B, T, D]` and valid lengths
    pub fn upper(&self, split: usize, latents: Tensor<3>, lengths: &[usize], context: &mut Context) -> Upper {
        let (memory, memory_lengths) = self.encoder.forward_from(latents, lengths, split, context);
        let [batch, frames, width] = memory.dims();
        let longest = memory_lengths.iter().copied().max().unwrap_or(frames).min(frames);
        let memory = memory.slice([0..batch, 0..longest, 0..width]);
        let (logits, lengths) = self.head.forward(memory.clone(), &memory_lengths, context);
        Upper { memory, memory_lengths, logits, lengths }
    }
}
