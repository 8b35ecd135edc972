//! What is trained on and measured with.

use crate::Result;
use auricle_data::Utterance;
use auricle_train::read_speech;
use std::path::PathBuf;

/// All utterances of several manifests (or of anything [`auricle_data::read_any`] reads), each with a duration.
///
/// # Errors
/// What cannot be read; an utterance without a duration: said now and not when a loader meets the file in the middle
/// of an epoch.
pub fn utterances(paths: &[PathBuf]) -> Result<Vec<Utterance>> {
    Ok(read_speech(paths)?.into_iter().flatten().collect())
}
