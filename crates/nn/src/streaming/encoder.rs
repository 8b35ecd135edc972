//! The convolution–Transformer encoder on a stream.

use super::{StreamingConv, StreamingError, StreamingTransformer};
use crate::ConvTransformerEncoder;

/// A [`ConvTransformerEncoder`] of causal blocks on a signal that arrives in pieces.
///
/// The result is that of the whole signal at once, whatever the pieces.
#[derive(Debug, Clone)]
pub struct StreamingEncoder {
    stages: Vec<Stage>,
    /// What passes from module to module.
    here: Vec<f32>,
    there: Vec<f32>,
}

#[derive(Debug, Clone)]
struct Stage {
    convs: Vec<StreamingConv>,
    transformer: StreamingTransformer,
    width: usize,
}

impl StreamingEncoder {
    /// Copies the weights.
    ///
    /// # Errors
    /// An encoder whose Transformer blocks look ahead.
    pub fn new(encoder: &ConvTransformerEncoder) -> Result<Self, StreamingError> {
        let stages = encoder
            .stages
            .iter()
            .map(|stage| {
                let convs = stage.convs.iter().map(StreamingConv::new).collect::<Result<Vec<_>, _>>()?;
                let width = stage.transformer.norm.gamma.dims()[0];
                Ok(Stage { convs, transformer: StreamingTransformer::new(&stage.transformer)?, width })
            })
            .collect::<Result<_, StreamingError>>()?;
        Ok(Self { stages, here: Vec::new(), there: Vec::new() })
    }

    /// Input frames beyond those of an output frame on which it depends.
    pub fn lookahead(&self) -> usize {
        let mut period = 1;
        let mut total = 0;
        for conv in self.stages.iter().flat_map(|stage| &stage.convs) {
            total += period * conv.lookahead();
            period *= conv.stride();
        }
        total
    }

    /// Forgets the signal.
    pub fn reset(&mut self) {
        for stage in &mut self.stages {
            stage.convs.iter_mut().for_each(StreamingConv::reset);
            stage.transformer.reset();
        }
    }

    /// Takes feature frames and appends the encoder frames that are complete to `out`.
    pub fn push(&mut self, mel: &[f32], out: &mut Vec<f32>) {
        self.run(mel, false, out);
    }

    /// Ends the signal: appends the remaining frames, and is ready for a new signal.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        self.run(&[], true, out);
        self.reset();
    }

    fn run(&mut self, mel: &[f32], ends: bool, out: &mut Vec<f32>) {
        let Self { stages, here, there } = self;
        here.clear();
        here.extend_from_slice(mel);
        for stage in stages {
            for conv in &mut stage.convs {
                there.clear();
                conv.push(here, there);
                if ends {
                    conv.finish(there);
                }
                std::mem::swap(here, there);
            }
            there.clear();
            stage.transformer.push(here, stage.width, there);
            std::mem::swap(here, there);
        }
        out.extend_from_slice(here);
    }
}
