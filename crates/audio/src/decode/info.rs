//! Audio, and what a header says about it.

use super::warning::Warning;

/// Mono audio.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    /// Samples, nominally in [−1, 1].
    pub samples: Vec<f32>,
    /// Sampling rate in Hz.
    pub sample_rate: u32,
    /// What a listener should know about the file it was read from.
    pub warnings: Vec<Warning>,
}

impl Audio {
    /// Audio without warnings.
    pub fn new(samples: Vec<f32>, sample_rate: u32) -> Self {
        Self { samples, sample_rate, warnings: Vec::new() }
    }

    /// Duration in seconds.
    pub fn duration_secs(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.sample_rate.max(1))
    }
}

/// What the header of a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AudioInfo {
    /// Sampling rate in Hz.
    pub sample_rate: u32,
    /// Channels.
    pub channels: usize,
    /// Samples per channel, where the header says so.
    pub num_samples: Option<u64>,
    /// Whether `num_samples` is what decoding gives: the header counts samples, and the end of the file agrees.
    pub is_exact: bool,
    /// Short name of the codec ("pcm_s16", "flac", "vorbis", …).
    pub codec: &'static str,
}

impl AudioInfo {
    /// Samples per channel, where the header can be relied on. An MP3's length is that of its first
    /// part where several were joined, an AAC's is rounded to packets, and the end of a file can be missing: decode
    /// these to know.
    pub fn exact_num_samples(&self) -> Option<u64> {
        self.num_samples.filter(|_| self.is_exact)
    }

    /// Duration in seconds, where the header says so.
    pub fn duration_secs(&self) -> Option<f64> {
        self.num_samples.map(|n| n as f64 / f64::from(self.sample_rate.max(1)))
    }
}
