//! One-dimensional convolution, channels last.

use burn::tensor::Tensor;

use crate::reference;

/// How [`conv1d`] moves over its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv1dOptions {
    /// Frames between two outputs.
    pub stride: usize,
    /// Zero frames before the first.
    pub pad_left: usize,
    /// Zero frames after the last.
    pub pad_right: usize,
    /// Channel groups: output group `g` sees input group `g` only.
    pub groups: usize,
}

impl Default for Conv1dOptions {
    fn default() -> Self {
        Self { stride: 1, pad_left: 0, pad_right: 0, groups: 1 }
    }
}

impl Conv1dOptions {
    /// Output frames for `frames` input frames: `⌊(frames + pads − kernel)/stride⌋ + 1`, or 0 where the kernel does not fit.
    pub fn output_frames(&self, frames: usize, kernel: usize) -> usize {
        match (frames + self.pad_left + self.pad_right).checked_sub(kernel) {
            Some(room) => room / self.stride + 1,
            None => 0,
        }
    }
}

/// `y[b, t, o] = bias[o] + Σ_{k, c} x[b, t·stride + k − pad_left, c] · weight[k, c, o]`.
///
/// # Shapes
/// `x [B, T, C_in]`, `weight [K, C_in/groups, C_out]`, `bias [C_out]` → `[B, T', C_out]`
/// with `T'` = [`Conv1dOptions::output_frames`].
///
/// # Panics
/// Where a stride or group count is 0, the groups divide neither channel count, or shapes disagree.
pub fn conv1d(x: Tensor<3>, weight: Tensor<3>, bias: Option<Tensor<1>>, options: Conv1dOptions) -> Tensor<3> {
    let ([_, _, inputs], [_, inputs_per_group, outputs]) = (x.dims(), weight.dims());
    let groups = options.groups;
    assert!(
        options.stride > 0 && groups > 0 && inputs == inputs_per_group * groups && outputs.is_multiple_of(groups),
        "conv1d: {inputs} input channels, weight {:?}, {options:?}",
        weight.dims()
    );
    reference::conv1d(x, weight, bias, options)
}
