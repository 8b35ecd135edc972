//! Voice activity: where somebody speaks.
//!
//! A [`Vad`] gives a probability of speech for every frame; a [`Segmenter`] makes segments of them,
//! for signals of any length in bounded memory.

mod detectors;
mod segmenter;

pub use detectors::{EarshotVad, EnergyVad, EnergyVadConfig};
pub use segmenter::{SegmentConfig, Segmenter};

use serde::{Deserialize, Serialize};

use crate::error::AudioError;

/// A causal detector of speech: frames in, probabilities out.
pub trait Vad {
    /// The sampling rate that it expects, in Hz.
    fn sample_rate(&self) -> u32;

    /// The length of a frame in samples, which is also the distance of frames.
    fn frame_samples(&self) -> usize;

    /// Probability of speech, in [0, 1], in the next frame of [`Self::frame_samples`] samples.
    /// Depends on this and earlier frames only. A frame of another length gives 0.
    fn speech_probability(&mut self, frame: &[f32]) -> f32;

    /// Forgets the past, for a new signal.
    fn reset(&mut self);
}

/// A stretch of speech, `[start_sample, end_sample)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// First sample.
    pub start_sample: usize,
    /// Sample after the last one.
    pub end_sample: usize,
}

/// Segments of speech of a whole signal, in order, without overlap.
///
/// `samples` are at the detector's sampling rate.
///
/// # Errors
/// NaN or infinite samples, a setting out of its domain.
pub fn segments(
    samples: &[f32],
    vad: &mut dyn Vad,
    config: &SegmentConfig,
) -> Result<Vec<Segment>, AudioError> {
    let mut segmenter = Segmenter::new(vad, config)?;
    let mut out = Vec::new();
    segmenter.push(samples, &mut out)?;
    segmenter.finish(&mut out);
    Ok(out)
}

impl<V: Vad + ?Sized> Vad for &mut V {
    fn sample_rate(&self) -> u32 {
        (**self).sample_rate()
    }

    fn frame_samples(&self) -> usize {
        (**self).frame_samples()
    }

    fn speech_probability(&mut self, frame: &[f32]) -> f32 {
        (**self).speech_probability(frame)
    }

    fn reset(&mut self) {
        (**self).reset();
    }
}
