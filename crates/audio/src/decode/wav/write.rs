//! Writing WAV.

use std::path::Path;

use hound::{SampleFormat, WavSpec, WavWriter};

use crate::decode::info::Audio;
use crate::error::AudioError;

/// Writes 16-bit mono WAV; samples outside [−1, 1] are clipped.
///
/// The inverse of [`crate::read`] up to the rounding to 16 bits: `x ↦ round(32768·x)`.
///
/// # Errors
/// A sampling rate of 0, a NaN or infinite sample, a file that cannot be written,
/// more samples than a WAV header can count.
pub fn write_wav(path: &Path, audio: &Audio) -> Result<(), AudioError> {
    if audio.sample_rate == 0 {
        return Err(AudioError::config("sample_rate", 0, "a rate above 0 Hz"));
    }
    crate::error::check_finite(&audio.samples, 0)?;
    let spec = WavSpec {
        channels: 1,
        sample_rate: audio.sample_rate,
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };
    let failed = |e| {
        let source = match e {
            hound::Error::IoError(e) => e,
            other => std::io::Error::other(other),
        };
        AudioError::Io { action: "write", path: path.to_owned(), source }
    };
    if u32::try_from(audio.samples.len()).map_or(true, |n| n > (u32::MAX - 44) / 2) {
        return Err(failed(hound::Error::Unsupported));
    }
    let mut writer = WavWriter::create(path, spec).map_err(failed)?;
    let mut values = writer.get_i16_writer(audio.samples.len() as u32);
    for &x in &audio.samples {
        // `as` saturates, which is the clipping.
        values.write_sample((x * 32_768.0).round() as i16);
    }
    values.flush().map_err(failed)?;
    writer.finalize().map_err(failed)
}
