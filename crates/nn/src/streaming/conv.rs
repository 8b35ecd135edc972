//! A convolution module on a stream.

use super::{Norm, StreamingError, values};
use crate::ConvModule;
use auricle_tensor::rows::{self, Matrix};
use std::sync::Arc;

/// A [`ConvModule`] with the frames that its next window still needs.
#[derive(Debug, Clone)]
pub struct StreamingConv {
    /// `[K·C_in, C_out]`
    weight: Arc<Matrix>,
    bias: Vec<f32>,
    norm: Norm,
    activation: bool,
    kernel: usize,
    stride: usize,
    input: usize,
    pad_left: usize,
    /// Frames from the next window's first on.
    pending: Vec<f32>,
    /// Values before the next window's first that have not come yet: a step may be longer than the kernel.
    skipped: usize,
    received: usize,
    emitted: usize,
    scratch: Vec<f32>,
}

impl StreamingConv {
    /// Copies the weights.
    ///
    /// # Errors
    /// Weights that cannot be read from their device.
    pub fn new(module: &ConvModule) -> Result<Self, StreamingError> {
        let [kernel, input, output] = module.conv.weight.dims();
        let bias = match &module.conv.bias {
            Some(bias) => values(bias)?,
            None => vec![0.0; output],
        };
        let (stride, pad_left) = (module.conv.stride, module.conv.pad_left());
        let mut conv = Self {
            weight: Arc::new(Matrix::new(values(&module.conv.weight)?, output)),
            bias,
            norm: Norm::new(&module.norm)?,
            activation: module.activation,
            kernel,
            stride,
            input,
            pad_left,
            pending: Vec::new(),
            skipped: 0,
            received: 0,
            emitted: 0,
            scratch: Vec::new(),
        };
        conv.reset();
        Ok(conv)
    }

    /// Forgets the signal.
    pub fn reset(&mut self) {
        self.pending.clear();
        self.pending.resize(self.pad_left * self.input, 0.0);
        (self.skipped, self.received, self.emitted) = (0, 0, 0);
    }

    /// Input frames beyond the last of those that belong to an output frame.
    pub fn lookahead(&self) -> usize {
        (self.kernel - self.pad_left).saturating_sub(self.stride)
    }

    /// Input frames per output frame.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Takes frames and appends those that are complete to `out`.
    pub fn push(&mut self, frames: &[f32], out: &mut Vec<f32>) {
        self.received += frames.len() / self.input;
        let skipped = self.skipped.min(frames.len());
        self.skipped -= skipped;
        self.pending.extend_from_slice(&frames[skipped..]);
        self.emit(usize::MAX, out);
    }

    /// Ends the signal: what the last windows lack is zero.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        let total = self.received.div_ceil(self.stride);
        let left = total.saturating_sub(self.emitted);
        if left > 0 {
            let needed = ((left - 1) * self.stride + self.kernel) * self.input;
            self.pending.resize(needed.max(self.pending.len()), 0.0);
            self.emit(left, out);
        }
        self.reset();
    }

    fn emit(&mut self, most: usize, out: &mut Vec<f32>) {
        let width = self.bias.len();
        let window = self.kernel * self.input;
        let mut start = 0;
        let mut count = 0;
        while count < most && self.pending.len() >= start + window {
            self.scratch.resize(width, 0.0);
            rows::linear(&mut self.scratch, &self.pending[start..][..window], &self.weight, &self.bias);
            let at = out.len();
            out.resize(at + width, 0.0);
            let frame = &mut out[at..];
            self.norm.forward_into(&self.scratch, frame);
            if self.activation {
                rows::relu(frame);
            }
            start += self.stride * self.input;
            count += 1;
        }
        self.emitted += count;
        let taken = start.min(self.pending.len());
        self.skipped += start - taken;
        self.pending.copy_within(taken.., 0);
        self.pending.truncate(self.pending.len() - taken);
    }
}
