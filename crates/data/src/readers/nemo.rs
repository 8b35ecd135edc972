//! NeMo manifests: JSON lines with `audio_filepath`, `duration`, `text`, optionally `offset`.

use super::{Faults, for_each_object, probe_or_zero, resolve, stem};
use crate::{DataError, Utterance};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Reads a NeMo manifest (`.json`, `.jsonl`, also `.gz`).
///
/// Ids are `utt_id`/`id` where a line has one, else the file name, with a number where it repeats.
///
/// # Errors
/// A broken line, a line without `audio_filepath`, a time below zero.
pub fn read_nemo(path: &Path) -> Result<Vec<Utterance>, DataError> {
    read(path, &mut Faults::Refuse)
}

pub(super) fn read(path: &Path, faults: &mut Faults) -> Result<Vec<Utterance>, DataError> {
    let mut utterances = Vec::new();
    let (mut used, mut repeats) = (HashSet::<String>::new(), HashMap::<String, usize>::new());
    for_each_object(path, faults, |number, value| {
        let text_of =
            |names: &[&str]| names.iter().find_map(|name| value.get(*name)?.as_str().map(str::to_string));
        let written = text_of(&["audio_filepath"])
            .ok_or_else(|| DataError::line(path, number, "no `audio_filepath`"))?;
        let audio = resolve(path, &written);
        let duration = match value.get("duration").and_then(Value::as_f64) {
            Some(secs) => secs,
            None => probe_or_zero(&audio),
        };
        let named = text_of(&["utt_id", "id"]);
        let name = named.unwrap_or_else(|| stem(&audio));
        let mut id = name.clone();
        // `x-2` may itself be the name of a file.
        while !used.insert(id.clone()) {
            let repeat = repeats.entry(name.clone()).or_insert(1);
            *repeat += 1;
            id = format!("{name}-{repeat}");
        }
        let offset = value.get("offset").and_then(Value::as_f64).unwrap_or(0.0);
        let mut utterance = Utterance::segment(id, audio, offset, duration)
            .map_err(|reason| DataError::line(path, number, reason))?;
        utterance.text = text_of(&["text"]);
        utterance.speaker = text_of(&["speaker", "speaker_id"]);
        utterances.push(utterance);
        Ok(())
    })?;
    Ok(utterances)
}
