//! The one error type of the crate.

use std::path::PathBuf;

/// Why audio could not be read, written or analysed.
///
/// Every variant names the datum and, where there is one, the next step.
/// Positions are sample positions per channel, counted from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// The operating system refused a file operation.
    #[error("{action} failed for {path}: {source}")]
    Io {
        /// What was attempted ("open", "read", …).
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file has zero bytes, or a header and no samples.
    #[error("{path} holds no audio ({detail}); remove it from the manifest")]
    Empty {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        detail: &'static str,
    },
    /// The content is none of the known formats, whatever the extension says.
    #[error(
        "{path} is not WAV, FLAC, Ogg Vorbis, MP3 or AAC/M4A by its content ({detail}); convert it to one of these"
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The last reason given by the format readers.
        detail: String,
    },
    /// The content is of a known kind that cannot be read.
    #[error("{path} is {name}, which cannot be read; convert it to FLAC or WAV")]
    UnsupportedFormat {
        /// The file.
        path: PathBuf,
        /// What it is.
        name: &'static str,
    },
    /// The container is known but not the codec inside.
    #[error("{path} uses a codec that is not supported ({detail}); convert it to FLAC or WAV")]
    UnsupportedCodec {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        detail: String,
    },
    /// The file ends before its own header says.
    #[error(
        "{path} is truncated: it ends after {position_samples} of {} samples ({:.3} s); fetch it again",
        expected_samples.map_or_else(|| "an unknown number of".to_owned(), |n| n.to_string()),
        *position_samples as f64 / f64::from((*sample_rate).max(1))
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Samples per channel that could be decoded.
        position_samples: u64,
        /// Samples per channel that the header promises, where it does.
        expected_samples: Option<u64>,
        /// Sampling rate in Hz.
        sample_rate: u32,
    },
    /// The bit stream is damaged.
    #[error(
        "{path} is damaged at sample {position_samples} ({:.3} s): {detail}; fetch it again",
        *position_samples as f64 / f64::from((*sample_rate).max(1))
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Samples per channel decoded before the damage.
        position_samples: u64,
        /// Sampling rate in Hz.
        sample_rate: u32,
        /// The decoder's reason.
        detail: String,
    },
    /// A sample is NaN or infinite.
    #[error(
        "{path} has a sample that is not a finite number at position {position_samples}; re-encode it from its source"
    )]
    NonFinite {
        /// The file.
        path: PathBuf,
        /// Position of the first such sample.
        position_samples: u64,
    },
    /// The header lacks or contradicts what decoding needs.
    #[error("{path} has an unusable header: {detail}")]
    BadHeader {
        /// The file.
        path: PathBuf,
        /// What is missing or impossible.
        detail: String,
    },
    /// Longer than [`crate::Limits::max_duration_secs`].
    #[error(
        "{path} lasts at least {duration_secs:.1} s, more than the limit of {limit_secs:.1} s; cut it, read it with `stream`, or raise `max_duration_secs`"
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Duration known so far, in seconds.
        duration_secs: f64,
        /// The limit, in seconds.
        limit_secs: f64,
    },
    /// The samples take more memory than [`crate::Limits::max_bytes`].
    #[error(
        "the samples of {path} would take more than {} MiB; cut it, read it with `stream`, or raise `max_bytes`",
        limit_bytes >> 20
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit, in bytes.
        limit_bytes: u64,
    },
    /// A pipe gives more than is kept in memory.
    #[error(
        "{path} is a pipe, and all that comes through pipes may take {} MiB; write it to a file and name that",
        limit_bytes >> 20
    )]
    PipeTooLong {
        /// The pipe.
        path: PathBuf,
        /// The limit for all pipes together, in bytes.
        limit_bytes: u64,
    },
    /// A sampling rate outside [`crate::SAMPLE_RATES_HZ`].
    #[error(
        "{path} has a sampling rate of {sample_rate} Hz, and 1,000 to 768,000 Hz are read; its header is damaged, or \
         convert it to 16,000 Hz"
    )]
    SampleRate {
        /// The file.
        path: PathBuf,
        /// The rate in its header, in Hz.
        sample_rate: u32,
    },
    /// Less than one sample is left at another rate.
    #[error(
        "{path} holds {num_samples} samples at {sample_rate} Hz, less than one at {wanted_rate} Hz; remove it from the \
         manifest"
    )]
    LessThanASample {
        /// The file.
        path: PathBuf,
        /// Samples per channel.
        num_samples: u64,
        /// Sampling rate of the file, in Hz.
        sample_rate: u32,
        /// The rate asked for, in Hz.
        wanted_rate: u32,
    },
    /// More channels than [`crate::Limits::max_channels`].
    #[error("{path} has {channels} channels, more than the limit of {limit}; raise `max_channels`")]
    TooManyChannels {
        /// The file.
        path: PathBuf,
        /// Channels of the file.
        channels: usize,
        /// The limit.
        limit: usize,
    },
    /// A sample given to a front end is NaN or infinite.
    #[error("sample {index} is {value}, not a finite number")]
    NonFiniteSample {
        /// Index of the sample in the signal.
        index: u64,
        /// The value.
        value: f32,
    },
    /// The signal is too short for the analysis.
    #[error("{num_samples} samples are too few: {needed_for} needs at least {min_samples}")]
    TooShort {
        /// Samples given.
        num_samples: usize,
        /// Samples needed.
        min_samples: usize,
        /// What needs them.
        needed_for: &'static str,
    },
    /// A configuration value is out of its domain.
    #[error("{field} = {value} is invalid: {expected}")]
    InvalidConfig {
        /// Name of the field.
        field: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
}

impl AudioError {
    pub(crate) fn config(field: &'static str, value: impl ToString, expected: &'static str) -> Self {
        Self::InvalidConfig { field, value: value.to_string(), expected }
    }
}

/// Fails at the first sample that is NaN or infinite; `offset` is the position of `samples[0]`.
pub(crate) fn check_finite(samples: &[f32], offset: u64) -> Result<(), AudioError> {
    match first_non_finite(samples) {
        None => Ok(()),
        Some(i) => Err(AudioError::NonFiniteSample { index: offset + i as u64, value: samples[i] }),
    }
}

/// Index of the first sample that is NaN or infinite.
pub(crate) fn first_non_finite(samples: &[f32]) -> Option<usize> {
    // x·0 is 0 for finite x and NaN otherwise: one vectorisable pass in the usual case.
    let mut lanes = [0.0f32; 16];
    let (chunks, tail) = samples.as_chunks::<16>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x * 0.0;
        }
    }
    let clean = lanes.iter().chain(tail).all(|x| (x * 0.0) == 0.0);
    if clean { None } else { samples.iter().position(|x| !x.is_finite()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_bad_sample_anywhere() {
        for n in [1, 15, 16, 17, 100] {
            assert_eq!(first_non_finite(&vec![f32::MAX; n]), None);
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for i in 0..n {
                    let mut x = vec![0.5; n];
                    x[i] = bad;
                    x[n - 1] = bad;
                    assert_eq!(first_non_finite(&x), Some(i));
                }
            }
        }
    }
}
