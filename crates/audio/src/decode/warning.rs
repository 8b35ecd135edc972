//! What a listener should know about audio that was decoded in spite of a fault.

use std::fmt;
use std::path::PathBuf;

/// Something is wrong with a file, but its sound could be used.
///
/// [`crate::AudioStream::warnings`] and [`crate::Audio::warnings`] carry them; whoever reads audio for a person
/// prints them. `Display` names the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub kind: WarningKind,
}

/// What is wrong with a file whose sound could be used. Samples are counted per channel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WarningKind {
    /// The end is missing or damaged: what comes before was decoded.
    Truncated {
        /// Samples that were decoded.
        position_samples: u64,
        /// Samples that the header promises, where it does.
        expected_samples: Option<u64>,
        /// Sampling rate in Hz.
        sample_rate: u32,
    },
    /// There is more sound than the header says; all of it was decoded.
    LongerThanHeader {
        /// Samples that were decoded.
        position_samples: u64,
        /// Samples that the header promises.
        expected_samples: u64,
        /// Sampling rate in Hz.
        sample_rate: u32,
    },
    /// There is less sound than the header says, but its checksum proves that nothing is missing.
    ShorterThanHeader {
        /// Samples that were decoded.
        position_samples: u64,
        /// Samples that the header promises.
        expected_samples: u64,
        /// Sampling rate in Hz.
        sample_rate: u32,
    },
    /// The samples do not match the checksum in the header, though every frame matches its own.
    ChecksumMismatch,
    /// Bytes before the first frame are neither sound nor a known tag.
    SkippedBeforeSound {
        /// How many.
        bytes: u64,
    },
    /// Bytes after the last frame are neither sound nor a known tag.
    SkippedAfterSound {
        /// How many.
        bytes: u64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.kind)
    }
}

impl fmt::Display for WarningKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = |samples: u64, rate: u32| samples as f64 / f64::from(rate.max(1));
        match *self {
            Self::Truncated { position_samples, expected_samples: Some(expected), sample_rate } => write!(
                f,
                "the end of the recording is missing or damaged: {:.3} s of {:.3} s could be read",
                secs(position_samples, sample_rate),
                secs(expected, sample_rate)
            ),
            Self::Truncated { position_samples, expected_samples: None, sample_rate } => write!(
                f,
                "the end of the recording is missing or damaged: {:.3} s could be read",
                secs(position_samples, sample_rate)
            ),
            Self::LongerThanHeader { position_samples, expected_samples, sample_rate } => write!(
                f,
                "the header says {:.3} s, but the file holds {:.3} s; all of it was read",
                secs(expected_samples, sample_rate),
                secs(position_samples, sample_rate)
            ),
            Self::ShorterThanHeader { position_samples, expected_samples, sample_rate } => write!(
                f,
                "the header says {:.3} s, but the file holds {:.3} s, which its checksum proves to be whole",
                secs(expected_samples, sample_rate),
                secs(position_samples, sample_rate)
            ),
            Self::ChecksumMismatch => f.write_str(
                "the samples do not match the checksum in the header; every frame matches its own",
            ),
            Self::SkippedBeforeSound { bytes } => {
                write!(f, "{bytes} bytes before the sound are no audio and were left out")
            }
            Self::SkippedAfterSound { bytes } => {
                write!(f, "{bytes} bytes after the sound are no audio and were left out")
            }
        }
    }
}
