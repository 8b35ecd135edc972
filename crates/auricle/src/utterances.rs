//! What is trained on and measured with.

use crate::{Error, Result};
use auricle_data::Utterance;
use std::path::PathBuf;

/// All utterances of several manifests (or of anything [`auricle_data::read_any`] reads), each with a duration.
///
/// # Errors
/// What cannot be read; an utterance without a duration: said now and not when a loader meets the file in the middle
/// of an epoch.
pub fn utterances(paths: &[PathBuf]) -> Result<Vec<Utterance>> {
    let all = auricle_data::read_all(paths)?;
    if let Some(bad) = all.iter().find(|u| u.duration_secs <= 0.0) {
        let lists: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        return Error::refused(format!(
            "manifest {}: utterance {} ({}) has no duration; `auricle data check --fix` mends or drops it",
            lists.join(" or "),
            bad.id,
            bad.audio.display()
        ));
    }
    Ok(all)
}
