//! Audio in, features out: decoding, resampling, front ends, voice activity.
//!
//! | Module | What |
//! |---|---|
//! | [`decode`] | files of any supported format to mono samples, whole or block by block |
//! | [`mod@resample`] | another sampling rate, exact length, no delay |
//! | [`mel`] | the SPIRAL log-mel front end |
//! | [`kaldi`] | Kaldi-compatible filter banks and MFCC |
//! | [`vad`] | voice activity detection and segmentation |
//! | [`time`] | samples, frames and seconds |
//!
//! # Nomenclature
//! A *sample* is one value of a mono signal. A *frame* is one feature vector, every `hop_samples`
//! samples. A *block* is how many samples happen to be processed together: it never shows in a result.
//!
//! # Arrays
//! Waveforms are slices. Features are `ndarray` arrays with the axes [frames, bins]; streaming types append rows to a
//! caller's `Vec`, without a copy.
//!
//! # Streaming
//! Every streaming type has `push(input, &mut output)` and `finish(&mut output)`, and gives the
//! same values as its offline counterpart, bit for bit, however the input is cut.

pub mod decode;
mod dsp;
mod error;
mod features;
pub mod kaldi;
pub mod mel;
pub mod resample;
pub mod time;
pub mod vad;

pub use decode::{
    Audio, AudioInfo, AudioStream, Limits, Warning, WarningKind, probe, read, read_at, read_bytes, stream,
    stream_bytes, write_wav,
};
pub use error::AudioError;
pub use features::{Features, padded};
pub use kaldi::{Fbank, FbankConfig, Mfcc, MfccConfig, StreamingFbank};
pub use mel::{FeatureNorm, MelConfig, MelFrontEnd, PeakNorm, StreamingMel};
pub use resample::{StreamingResampler, resample};
pub use time::SAMPLE_RATES_HZ;
pub use vad::{EarshotVad, EnergyVad, EnergyVadConfig, Segment, SegmentConfig, Segmenter, Vad, segments};
