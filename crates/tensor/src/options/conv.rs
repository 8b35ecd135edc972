//! Options and sizes of convolutions.

/// How [`conv1d`](crate::ops::conv1d()) moves over its input.
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
    /// Frames with the padding; `usize::MAX` where that is more than can be counted.
    pub(crate) fn padded(&self, frames: usize) -> usize {
        frames.saturating_add(self.pad_left).saturating_add(self.pad_right)
    }

    /// Output frames for `frames` input frames: `⌊(frames + pads − kernel)/stride⌋ + 1`, or 0 where the kernel does not fit.
    pub fn output_frames(&self, frames: usize, kernel: usize) -> usize {
        match self.padded(frames).checked_sub(kernel) {
            Some(room) => (room / self.stride).saturating_add(1),
            None => 0,
        }
    }
}

/// Sizes of one convolution, on any device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv1dSizes {
    /// Rows of the batch.
    pub batch: usize,
    /// Input frames.
    pub frames: usize,
    /// Output frames.
    pub outputs: usize,
    /// Kernel length.
    pub kernel: usize,
    /// Input channels.
    pub input: usize,
    /// Output channels.
    pub output: usize,
    /// Stride, padding and groups.
    pub options: Conv1dOptions,
}
