//! NeMo manifests and other JSON lines, which name their audio file in one of the fields that [`super`] lists.

use super::record::Records;
use crate::json::for_each_object;
use crate::list::Collector;
use crate::{DataError, Utterance};
use std::path::Path;

/// Reads a NeMo manifest (`.json`, `.jsonl`, also zipped): JSON lines with `audio_filepath`, and `duration`, `text`,
/// `offset`, `speaker`. The `metadata.jsonl` of a Hugging Face audio folder is read as well.
///
/// A line without a duration goes on to the end of its file. Numbers may be texts and texts numbers.
///
/// # Errors
/// A broken line, a line without audio, times that contradict each other.
pub fn read_nemo(path: &Path) -> Result<Vec<Utterance>, DataError> {
    let mut collector = Collector::strict();
    read(path, &mut collector)?;
    Ok(collector.reading.utterances)
}

pub(super) fn read(path: &Path, collector: &mut Collector) -> Result<(), DataError> {
    let mut records = Records::of(path);
    let begin = collector.reading.utterances.len();
    for_each_object(path, collector, |number, object, collector| {
        let utterance = records.utterance(object);
        collector.push(utterance.map_err(|reason| DataError::line(path, number, reason))?);
        Ok(())
    })?;
    if let Some(note) = records.finish(&mut collector.reading.utterances[begin..]) {
        collector.note(path, note);
    }
    Ok(())
}
