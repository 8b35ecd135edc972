//! How long recordings are.

use crate::DataError;
use auricle_audio::Warning;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The duration of one file among many; 0 where it cannot be read.
pub(crate) fn probe_or_zero(path: &Path) -> f64 {
    probe_secs(path).unwrap_or(0.0)
}

/// The duration that a file's header gives exactly, or by decoding it: audio is cut to a duration
/// that is too short, and nobody would notice.
pub(crate) fn probe_secs(path: &Path) -> Result<f64, DataError> {
    let mut stream = auricle_audio::stream(path, &auricle_audio::Limits::unlimited_duration())?;
    let samples = match stream.info().exact_num_samples() {
        Some(samples) => samples,
        None => stream.try_fold(0, |sum, block| Ok::<_, DataError>(sum + block?.len() as u64))?,
    };
    say(stream.warnings());
    Ok(samples as f64 / f64::from(stream.info().sample_rate.max(1)))
}

/// Warnings that were said: a recording is looked at, then decoded, and decoded again in every epoch.
static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// More are said again rather than kept.
const MAX_SAID: usize = 10_000;

/// Says what is wrong with recordings that could be used, each thing once.
pub fn say(warnings: &[Warning]) {
    for warning in warnings {
        let text = warning.to_string();
        let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
        if said.contains(&text) {
            continue;
        }
        if said.len() < MAX_SAID {
            said.insert(text.clone());
        }
        drop(said);
        auricle_io::warn(&text);
    }
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
