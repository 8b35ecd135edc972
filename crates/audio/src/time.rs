//! Sample-exact time: positions are integers, seconds appear only at the edges.
//!
//! Times are added and compared as [`Samples`] or [`Frames`]; a duration in seconds is converted once,
//! with a named rounding, and never accumulated.

use std::ops::{Add, AddAssign, Range, RangeInclusive, Sub};

use serde::{Deserialize, Serialize};

use crate::error::AudioError;

/// Sampling rates of files, models and streams, in Hz. What lies outside is a damaged header or a mistaken number, and
/// would be paid for with memory: a second at 1 Hz becomes 16,000 samples.
pub const SAMPLE_RATES_HZ: RangeInclusive<u32> = 1_000..=768_000;

/// Refuses a sampling rate outside [`SAMPLE_RATES_HZ`].
pub(crate) fn check_rate(field: &'static str, hz: u32) -> Result<(), AudioError> {
    if SAMPLE_RATES_HZ.contains(&hz) {
        return Ok(());
    }
    Err(AudioError::config(field, hz, "a sampling rate of 1,000 to 768,000 Hz"))
}

macro_rules! count {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        /// Saturates at zero: there is no time before the beginning.
        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }
    };
}

count! {
    /// A position or duration in samples of one channel.
    Samples
}

count! {
    /// A position or duration in frames (feature vectors).
    Frames
}

/// `num_samples / sample_rate`. A rate of 0 is taken as 1.
pub fn secs_from_samples(samples: Samples, sample_rate: u32) -> f64 {
    samples.0 as f64 / f64::from(sample_rate.max(1))
}

/// The nearest sample to a time, half rounded up: the inverse of [`secs_from_samples`].
///
/// # Errors
/// A time that is negative, NaN, or beyond 2⁵³ samples.
pub fn samples_from_secs(secs: f64, sample_rate: u32) -> Result<Samples, AudioError> {
    let samples = (secs * f64::from(sample_rate) + 0.5).floor();
    if secs >= 0.0 && samples < 9_007_199_254_740_992.0 {
        Ok(Samples(samples as u64))
    } else {
        Err(AudioError::config("secs", secs, "a time of at least 0 that fits into 2^53 samples"))
    }
}

/// The same time at another sampling rate: `round(samples · to / from)`, half rounded up, exact.
/// This is the length that [`crate::resample::resample()`] gives.
pub fn samples_from_other_rate(samples: Samples, from: u32, to: u32) -> Samples {
    let from = u128::from(from.max(1));
    let rounded = (2 * u128::from(samples.0) * u128::from(to) + from) / (2 * from);
    Samples(u64::try_from(rounded).unwrap_or(u64::MAX))
}

/// The regular grid of frames over samples: frame `t` stands for the samples `[t·hop, (t+1)·hop)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameGrid {
    sample_rate: u32,
    hop_samples: u64,
}

impl FrameGrid {
    /// # Errors
    /// A rate or hop of 0.
    pub fn new(sample_rate: u32, hop_samples: usize) -> Result<Self, AudioError> {
        if sample_rate == 0 || hop_samples == 0 {
            let value = format!("{sample_rate}, {hop_samples}");
            return Err(AudioError::config("sample_rate, hop_samples", value, "numbers above 0"));
        }
        Ok(Self { sample_rate, hop_samples: hop_samples as u64 })
    }

    /// The grid of an encoder that keeps one of every `factor` frames.
    ///
    /// # Errors
    /// A factor of 0.
    pub fn subsampled(self, factor: usize) -> Result<Self, AudioError> {
        Self::new(self.sample_rate, self.hop_samples as usize * factor)
    }

    /// The frame that a sample lies in.
    pub fn frame_from_sample(self, sample: Samples) -> Frames {
        Frames(sample.0 / self.hop_samples)
    }

    /// The first sample of a frame.
    pub fn sample_from_frame(self, frame: Frames) -> Samples {
        Samples(frame.0 * self.hop_samples)
    }

    /// The time at which a frame begins.
    pub fn secs_from_frame(self, frame: Frames) -> f64 {
        secs_from_samples(self.sample_from_frame(frame), self.sample_rate)
    }

    /// The frame that a time lies in.
    ///
    /// # Errors
    /// As [`samples_from_secs`].
    pub fn frame_from_secs(self, secs: f64) -> Result<Frames, AudioError> {
        Ok(self.frame_from_sample(samples_from_secs(secs, self.sample_rate)?))
    }

    /// Frames needed to cover a duration: `ceil(samples / hop)`.
    pub fn num_frames_from_samples(self, duration: Samples) -> Frames {
        Frames(duration.0.div_ceil(self.hop_samples))
    }

    /// The samples that a range of frames stands for, cut at the end of the signal.
    pub fn samples_from_frames(self, frames: Range<Frames>, num_samples: Samples) -> Range<Samples> {
        let end = self.sample_from_frame(frames.end).min(num_samples);
        self.sample_from_frame(frames.start).min(end)..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn seconds_round_trip_exactly(n in 0u64..1 << 45, rate in 1u32..400_000) {
            let secs = secs_from_samples(Samples(n), rate);
            prop_assert_eq!(samples_from_secs(secs, rate).unwrap(), Samples(n));
        }

        #[test]
        fn frames_round_trip_and_cover(n in 0u64..1 << 40, t in 0u64..1 << 30, hop in 1usize..2_000, rate in 1u32..200_000) {
            let grid = FrameGrid::new(rate, hop).unwrap();
            prop_assert_eq!(grid.frame_from_sample(grid.sample_from_frame(Frames(t))), Frames(t));
            prop_assert_eq!(grid.frame_from_secs(grid.secs_from_frame(Frames(t))).unwrap(), Frames(t));
            let all = grid.samples_from_frames(Frames(0)..grid.num_frames_from_samples(Samples(n)), Samples(n));
            prop_assert_eq!(all, Samples(0)..Samples(n));
        }

        #[test]
        fn going_up_and_down_again_keeps_the_count(n in 0u64..1 << 40, rate in 1u32..48_000, factor in 1u32..8) {
            let up = samples_from_other_rate(Samples(n), rate, rate * factor);
            prop_assert_eq!(up, Samples(n * u64::from(factor)));
            prop_assert_eq!(samples_from_other_rate(up, rate * factor, rate), Samples(n));
        }
    }

    #[test]
    fn impossible_times_are_errors() {
        for secs in [-0.1, f64::NAN, f64::INFINITY, 1e15] {
            assert!(samples_from_secs(secs, 16_000).is_err(), "{secs}");
        }
        assert_eq!(samples_from_secs(0.00003125, 16_000).unwrap(), Samples(1));
        assert_eq!(Samples(3) - Samples(5), Samples(0));
        assert!(FrameGrid::new(0, 160).is_err() && FrameGrid::new(16_000, 0).is_err());
    }
}
