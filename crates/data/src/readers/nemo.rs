//! NeMo manifests and other JSON lines, which name their audio file in one of the fields that [`super`] lists.

use super::record::{self, Unused};
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
    let mut unused = Unused::default();
    let begin = collector.reading.utterances.len();
    for_each_object(path, collector, |number, object, collector| {
        let position = collector.reading.utterances.len() - begin;
        let utterance = record::utterance(path, object, position, &mut unused)
            .map_err(|reason| DataError::line(path, number, reason))?;
        collector.push(utterance);
        Ok(())
    })?;
    if let Some(note) = unused.finish(&mut collector.reading.utterances[begin..]) {
        collector.note(path, note);
    }
    Ok(())
}
