//! lhotse manifests: cuts, or recordings with supervisions, as JSON lines, also gzipped.

use super::{Faults, for_each_object, resolve};
use crate::{DataError, Utterance};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Reads lhotse cuts, or the recordings and supervisions of a folder.
///
/// A cut with one supervision is an utterance; of a cut with several, each supervision is one.
///
/// # Errors
/// Mixed cuts, recordings that are not one local file or are to be transformed, single channels of
/// several: what auricle would have to guess about. Times below zero.
pub fn read_lhotse(path: &Path) -> Result<Vec<Utterance>, DataError> {
    read(path, &mut Faults::Refuse)
}

pub(super) fn read(path: &Path, faults: &mut Faults) -> Result<Vec<Utterance>, DataError> {
    if path.is_dir() {
        let Some((recordings, supervisions)) = supervisions_of(path)? else {
            return Err(DataError::layout(
                path,
                "no *recordings*.jsonl[.gz] beside *supervisions*.jsonl[.gz]",
            ));
        };
        return read_pair(&recordings, &supervisions, faults);
    }
    let mut utterances = Vec::new();
    for_each_object(path, faults, |number, cut| {
        let fail = |reason: &str| DataError::line(path, number, reason);
        let invalid = |reason: String| DataError::line(path, number, reason);
        if cut.get("tracks").is_some() {
            return Err(fail("a mixed cut; save the mix as audio first"));
        }
        let recording = cut.get("recording").ok_or_else(|| fail("a cut without its recording"))?;
        let audio = source(path, number, recording)?;
        let channels = channels(recording);
        one_channel(&cut, channels).map_err(invalid)?;
        let start = number_of(&cut, "start").unwrap_or(0.0);
        let duration = number_of(&cut, "duration").ok_or_else(|| fail("a cut without duration"))?;
        let id = text_of(&cut, "id").ok_or_else(|| fail("a cut without id"))?;
        let supervisions: &[Value] =
            cut.get("supervisions").and_then(Value::as_array).map_or(&[], Vec::as_slice);
        match supervisions {
            [] => utterances.push(Utterance::segment(id, audio, start, duration).map_err(invalid)?),
            [one] => utterances.push(Utterance {
                text: text_of(one, "text"),
                speaker: text_of(one, "speaker"),
                ..one_channel(one, channels)
                    .and_then(|()| Utterance::segment(id, audio, start, duration))
                    .map_err(invalid)?
            }),
            several => {
                for supervision in several {
                    // Times of a cut's supervisions count from the cut's start.
                    utterances.push(supervised(supervision, &audio, channels, start).map_err(invalid)?);
                }
            }
        }
        Ok(())
    })?;
    Ok(utterances)
}

fn read_pair(
    recordings: &Path,
    supervisions: &Path,
    faults: &mut Faults,
) -> Result<Vec<Utterance>, DataError> {
    let mut files = BTreeMap::new();
    // A broken recording would be missed by each of its supervisions: these are refused with it.
    for_each_object(recordings, &mut Faults::Refuse, |number, recording| {
        if let Some(id) = text_of(&recording, "id") {
            files.insert(id, (source(recordings, number, &recording)?, channels(&recording)));
        }
        Ok(())
    })?;
    let mut utterances = Vec::new();
    for_each_object(supervisions, faults, |number, supervision| {
        let fail = |reason: String| DataError::line(supervisions, number, reason);
        let recording =
            text_of(&supervision, "recording_id").ok_or_else(|| fail("no recording_id".into()))?;
        let (audio, channels) = files
            .get(&recording)
            .ok_or_else(|| fail(format!("recording `{recording}` is not in {}", recordings.display())))?;
        utterances.push(supervised(&supervision, audio, *channels, 0.0).map_err(fail)?);
        Ok(())
    })?;
    Ok(utterances)
}

fn supervised(
    supervision: &Value,
    audio: &Path,
    channels: usize,
    from_secs: f64,
) -> Result<Utterance, String> {
    one_channel(supervision, channels)?;
    let lacking = |name: &str| format!("a supervision without {name}");
    let id = text_of(supervision, "id").ok_or_else(|| lacking("id"))?;
    let start = number_of(supervision, "start").ok_or_else(|| lacking("start"))?;
    let duration = number_of(supervision, "duration").ok_or_else(|| lacking("duration"))?;
    Ok(Utterance {
        text: text_of(supervision, "text"),
        speaker: text_of(supervision, "speaker"),
        ..Utterance::segment(id, audio, from_secs + start, duration)?
    })
}

/// How many channels a recording's source has, as far as the list says.
fn channels(recording: &Value) -> usize {
    let listed = recording.pointer("/sources/0/channels").or_else(|| recording.get("channel_ids"));
    listed.and_then(Value::as_array).map_or(1, |channels| channels.len().max(1))
}

/// Refuses one channel of several: audio is read as the mean of all.
fn one_channel(cut: &Value, channels: usize) -> Result<(), String> {
    let wanted: Vec<&Value> = match cut.get("channel") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(several)) => several.iter().collect(),
        Some(one) => vec![one],
    };
    if wanted.len() == channels && (channels > 1 || wanted[0].as_u64() == Some(0)) {
        return Ok(());
    }
    let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    Err(format!(
        "channel {} of {channels}, but auricle reads the mean of all channels; save the channel as a file of \
         its own first",
        wanted.join(", ")
    ))
}

/// The file of a recording.
fn source(list: &Path, number: usize, recording: &Value) -> Result<PathBuf, DataError> {
    let is_transformed = |value: &Value| match value {
        Value::Null => false,
        Value::Array(steps) => !steps.is_empty(),
        _ => true,
    };
    if recording.get("transforms").is_some_and(is_transformed) {
        let reason = "a recording with transforms (speed, resampling, …), which are not applied here; save the \
                      transformed audio first";
        return Err(DataError::line(list, number, reason));
    }
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
