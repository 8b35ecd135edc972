//! lhotse manifests: cuts, or recordings with supervisions, as JSON lines, also gzipped.

use super::{for_each_object, resolve};
use crate::{DataError, Utterance};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Reads lhotse cuts, or the recordings and supervisions of a folder.
///
/// A cut with one supervision is an utterance; of a cut with several, each supervision is one.
///
/// # Errors
/// Mixed cuts, recordings that are not one local file: what auricle would have to guess about.
pub fn read_lhotse(path: &Path) -> Result<Vec<Utterance>, DataError> {
    if path.is_dir() {
        let Some((recordings, supervisions)) = supervisions_of(path)? else {
            return Err(DataError::layout(
                path,
                "no *recordings*.jsonl[.gz] beside *supervisions*.jsonl[.gz]",
            ));
        };
        return read_pair(&recordings, &supervisions);
    }
    let mut utterances = Vec::new();
    for_each_object(path, |number, cut| {
        let fail = |reason: &str| DataError::line(path, number, reason);
        if cut.get("tracks").is_some() {
            return Err(fail("a mixed cut; save the mix as audio first"));
        }
        let recording = cut.get("recording").ok_or_else(|| fail("a cut without its recording"))?;
        let audio = source(path, number, recording)?;
        let start = number_of(&cut, "start").unwrap_or(0.0);
        let duration = number_of(&cut, "duration").ok_or_else(|| fail("a cut without duration"))?;
        let id = text_of(&cut, "id").ok_or_else(|| fail("a cut without id"))?;
        let supervisions: &[Value] =
            cut.get("supervisions").and_then(Value::as_array).map_or(&[], Vec::as_slice);
        match supervisions {
            [] => utterances.push(Utterance { start_secs: start, ..Utterance::new(id, audio, duration) }),
            [one] => utterances.push(Utterance {
                start_secs: start,
                text: text_of(one, "text"),
                speaker: text_of(one, "speaker"),
                ..Utterance::new(id, audio, duration)
            }),
            several => {
                for supervision in several {
                    // Times of a cut's supervisions count from the cut's start.
                    utterances.push(
                        supervised(supervision, &audio, start)
                            .ok_or_else(|| fail("a supervision without id, start or duration"))?,
                    );
                }
            }
        }
        Ok(())
    })?;
    Ok(utterances)
}

fn read_pair(recordings: &Path, supervisions: &Path) -> Result<Vec<Utterance>, DataError> {
    let mut files = BTreeMap::new();
    for_each_object(recordings, |number, recording| {
        if let Some(id) = text_of(&recording, "id") {
            files.insert(id, source(recordings, number, &recording)?);
        }
        Ok(())
    })?;
    let mut utterances = Vec::new();
    for_each_object(supervisions, |number, supervision| {
        let fail = |reason: String| DataError::line(supervisions, number, reason);
        let recording =
            text_of(&supervision, "recording_id").ok_or_else(|| fail("no recording_id".into()))?;
        let audio = files
            .get(&recording)
            .ok_or_else(|| fail(format!("recording `{recording}` is not in {}", recordings.display())))?;
        utterances.push(
            supervised(&supervision, audio, 0.0).ok_or_else(|| fail("no id, start or duration".into()))?,
        );
        Ok(())
    })?;
    Ok(utterances)
}

fn supervised(supervision: &Value, audio: &Path, from_secs: f64) -> Option<Utterance> {
    Some(Utterance {
        start_secs: from_secs + number_of(supervision, "start")?,
        text: text_of(supervision, "text"),
        speaker: text_of(supervision, "speaker"),
        ..Utterance::new(text_of(supervision, "id")?, audio, number_of(supervision, "duration")?)
    })
}

/// The file of a recording.
fn source(list: &Path, number: usize, recording: &Value) -> Result<PathBuf, DataError> {
    let sources = recording.get("sources").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    match sources {
        [one] if text_of(one, "type").is_none_or(|kind| kind == "file") => text_of(one, "source")
            .map(|written| resolve(list, &written))
            .ok_or_else(|| DataError::line(list, number, "a source without path")),
        _ => Err(DataError::line(list, number, "a recording must have one source of type `file`")),
    }
}

/// `(recordings, supervisions)` of a folder that has both.
pub(super) fn supervisions_of(folder: &Path) -> Result<Option<(PathBuf, PathBuf)>, DataError> {
    let (mut recordings, mut supervisions) = (None, None);
    for entry in std::fs::read_dir(folder).map_err(DataError::io(folder))? {
        let path = entry.map_err(DataError::io(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".jsonl") || name.ends_with(".jsonl.gz") {
            if name.contains("recordings") {
                recordings = Some(path);
            } else if name.contains("supervisions") {
                supervisions = Some(path);
            }
        }
    }
    Ok(recordings.zip(supervisions))
}

fn text_of(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(str::to_string)
}

fn number_of(value: &Value, name: &str) -> Option<f64> {
    value.get(name)?.as_f64()
}
