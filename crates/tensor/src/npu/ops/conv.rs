//! Convolutions.

use std::borrow::Cow;

use super::first;
use crate::npu::kernels::conv::Conv;
use crate::npu::runtime::OpDesc;
use crate::npu::session::Session;
use crate::options::{Conv1dOptions, Conv1dSizes};

/// Convolution.
pub fn conv1d(
    s: &Session,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    sizes: Conv1dSizes,
) -> Option<Vec<f32>> {
    let (zeros, sizes) = split_padding(s, sizes)?;
    let x = zeros.add(x);
    let op = OpDesc::Conv { conv: Conv { sizes, elem: s.elem() }, bias: bias.is_some() };
    let inputs: Vec<&[f32]> = [Some(&*x), Some(w), bias].into_iter().flatten().collect();
    first(s.run(&op, &inputs))
}

/// Gradient of a convolution's input.
pub fn conv1d_input_gradient(s: &Session, g: &[f32], w: &[f32], sizes: Conv1dSizes) -> Option<Vec<f32>> {
    let (zeros, sizes) = split_padding(s, sizes)?;
    let dx = first(s.run(&OpDesc::ConvInputGradient(Conv { sizes, elem: s.elem() }), &[g, w]))?;
    Some(zeros.take_away(dx))
}

/// Gradient of a convolution's weight.
pub fn conv1d_weight_gradient(s: &Session, x: &[f32], g: &[f32], sizes: Conv1dSizes) -> Option<Vec<f32>> {
    let (zeros, sizes) = split_padding(s, sizes)?;
    first(s.run(&OpDesc::ConvWeightGradient(Conv { sizes, elem: s.elem() }), &[&zeros.add(x), g]))
}

/// Elements of zero around each utterance of an input.
struct Zeros {
    before: usize,
    after: usize,
    /// Elements of an utterance without them.
    utterance: usize,
}

/// For a device that pads both sides alike: the padding of one side beyond that of the other as a part of the input,
/// and the convolution of what results. For others nothing and the same convolution. None without any input.
fn split_padding(s: &Session, sizes: Conv1dSizes) -> Option<(Zeros, Conv1dSizes)> {
    if sizes.frames * sizes.input == 0 {
        return None;
    }
    let Conv1dOptions { pad_left, pad_right, .. } = sizes.options;
    let pad = pad_left.min(pad_right);
    let [left, right] = if s.runtime().pads_alike() { [pad_left - pad, pad_right - pad] } else { [0, 0] };
    let options = Conv1dOptions { pad_left: pad_left - left, pad_right: pad_right - right, ..sizes.options };
    let [before, after, utterance] = [left, right, sizes.frames].map(|frames| frames * sizes.input);
    let sizes = Conv1dSizes { frames: sizes.frames + left + right, options, ..sizes };
    Some((Zeros { before, after, utterance }, sizes))
}

impl Zeros {
    fn is_none(&self) -> bool {
        self.before + self.after == 0
    }

    fn add<'a>(&self, x: &'a [f32]) -> Cow<'a, [f32]> {
        if self.is_none() {
            return Cow::Borrowed(x);
        }
        let zeros = |n| std::iter::repeat_n(0.0, n);
        let utterances = x.chunks_exact(self.utterance);
        utterances
            .flat_map(|x| zeros(self.before).chain(x.iter().copied()).chain(zeros(self.after)))
            .collect()
    }

    fn take_away(&self, x: Vec<f32>) -> Vec<f32> {
        if self.is_none() {
            return x;
        }
        let utterances = x.chunks_exact(self.before + self.utterance + self.after);
        utterances.flat_map(|x| &x[self.before..][..self.utterance]).copied().collect()
    }
}
