//! How long recordings are.

use crate::DataError;
use std::path::Path;

/// The duration of one file among many; 0 where it cannot be read.
pub(crate) fn probe_or_zero(path: &Path) -> f64 {
    probe_secs(path).unwrap_or(0.0)
}

/// The duration that a file's header gives exactly, or by decoding it: audio is cut to a duration
/// that is too short, and nobody would notice.
pub(crate) fn probe_secs(path: &Path) -> Result<f64, DataError> {
    let info = auricle_audio::probe(path)?;
    let samples = match info.exact_num_samples() {
        Some(samples) => samples,
        None => {
            let mut stream = auricle_audio::stream(path, &auricle_audio::Limits::unlimited_duration())?;
            stream.try_fold(0, |sum, block| Ok::<_, DataError>(sum + block?.len() as u64))?
        }
    };
    Ok(samples as f64 / f64::from(info.sample_rate.max(1)))
}

/// Refuses one channel of several: audio is read as the mean of all.
///
/// # Errors
/// The channel, and what to do; a file that cannot be looked at tells nothing of its channels and is accepted, because
/// whoever reads it says so.
pub(crate) fn only_channel(audio: &Path, wanted: &str) -> Result<(), String> {
    let channels = auricle_audio::probe(audio).map_or(1, |info| info.channels);
    let is_first = matches!(wanted.trim().to_lowercase().as_str(), "0" | "1" | "a" | "mono" | "left" | "-1");
    if channels <= 1 && is_first {
        return Ok(());
    }
    Err(format!(
        "channel {wanted} of {} with {channels} channel{}, but auricle reads the mean of all channels; save the \
         channel as a file of its own first",
        audio.display(),
        if channels == 1 { "" } else { "s" }
    ))
}
