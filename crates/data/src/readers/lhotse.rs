//! lhotse manifests: cuts, or recordings with supervisions, as JSON lines, also zipped.

use crate::json::{Object, for_each_object};
use crate::list::{Collector, first_names, resolve};
use crate::{DataError, Utterance};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Fields that are read, or that say of audio and features what the files themselves say.
const CUT: &[&str] =
    &["id", "start", "duration", "channel", "supervisions", "recording", "features", "type", "recording_id"];
const SUPERVISION: &[&str] = &["id", "recording_id", "start", "duration", "channel", "text", "speaker"];

/// Reads lhotse cuts, or the recordings and supervisions of a folder.
///
/// A cut with one supervision is an utterance; of a cut with several, each supervision is one. `language` and `gender`
/// are kept as extra fields; others (`custom`, `alignment`) are named in a note.
///
/// # Errors
/// Mixed cuts, recordings that are not one local file or are to be transformed, single channels of
/// several: what auricle would have to guess about. Times below zero. A folder with several pairs.
pub fn read_lhotse(path: &Path) -> Result<Vec<Utterance>, DataError> {
    let mut collector = Collector::strict();
    read(path, &mut collector)?;
    Ok(collector.reading.utterances)
}

pub(super) fn read(path: &Path, collector: &mut Collector) -> Result<(), DataError> {
    if path.is_dir() {
        let Some((recordings, supervisions)) = supervisions_of(path)? else {
            return Err(DataError::layout(
                path,
                "no *recordings*.jsonl[.gz] beside *supervisions*.jsonl[.gz]",
            ));
        };
        return read_pair(&recordings, &supervisions, collector);
    }
    let mut unused = BTreeSet::new();
    for_each_object(path, collector, |number, cut, collector| {
        let fail = |reason: String| DataError::line(path, number, reason);
        if cut.contains_key("tracks") {
            return Err(fail("a mixed cut; save the mix as audio first".into()));
        }
        let recording = cut.get("recording").ok_or_else(|| fail("a cut without its recording".into()))?;
        let audio = source(path, number, recording)?;
        let channels = channels(recording);
        one_channel(cut.get("channel"), channels).map_err(fail)?;
        collect_unused(&cut, CUT, &mut unused);
        let start = number_of(&cut, "start").map_err(fail)?.unwrap_or(0.0);
        let duration = number_of(&cut, "duration").map_err(fail)?;
        let duration = duration.ok_or_else(|| fail("a cut without duration".into()))?;
        let id = text_of(&cut, "id").map_err(fail)?.ok_or_else(|| fail("a cut without id".into()))?;
        let whole =
            || Utterance::segment(id.clone(), &audio, start, duration).map_err(|e| fail(e.to_string()));
        let supervisions = match cut.get("supervisions") {
            None | Some(Value::Null) => &[][..],
            Some(Value::Array(list)) => list.as_slice(),
            Some(_) => return Err(fail("`supervisions` is no list".into())),
        };
        let supervisions: Option<Vec<&Object>> = supervisions.iter().map(Value::as_object).collect();
        let supervisions = supervisions.ok_or_else(|| fail("a supervision that is no object".into()))?;
        supervisions.iter().for_each(|one| collect_unused(one, SUPERVISION, &mut unused));
        match supervisions.as_slice() {
            [] => collector.push(whole()?),
            [one] => {
                one_channel(one.get("channel"), channels).map_err(fail)?;
                collector.push(said(one, whole()?).map_err(fail)?);
            }
            several => {
                for supervision in several {
                    // Times of a cut's supervisions count from the cut's start.
                    collector.push(supervised(supervision, &audio, channels, start).map_err(fail)?);
                }
            }
        }
        Ok(())
    })?;
    note_unused(path, unused, collector);
    Ok(())
}

fn read_pair(recordings: &Path, supervisions: &Path, collector: &mut Collector) -> Result<(), DataError> {
    let mut files = BTreeMap::new();
    // A broken recording would be missed by each of its supervisions: these are refused with it.
    for_each_object(recordings, &mut Collector::strict(), |number, recording, _| {
        let fail = |reason| DataError::line(recordings, number, reason);
        let id = text_of(&recording, "id").map_err(fail)?;
        let id = id.ok_or_else(|| fail("a recording without id".to_owned()))?;
        let recording = Value::Object(recording);
        files.insert(id, (source(recordings, number, &recording)?, channels(&recording)));
        Ok(())
    })?;
    let mut unused = BTreeSet::new();
    for_each_object(supervisions, collector, |number, supervision, collector| {
        let fail = |reason: String| DataError::line(supervisions, number, reason);
        let recording = text_of(&supervision, "recording_id").map_err(fail)?;
        let recording = recording.ok_or_else(|| fail("no recording_id".into()))?;
        let (audio, channels) = files
            .get(&recording)
            .ok_or_else(|| fail(format!("recording `{recording}` is not in {}", recordings.display())))?;
        collect_unused(&supervision, SUPERVISION, &mut unused);
        collector.push(supervised(&supervision, audio, *channels, 0.0).map_err(fail)?);
        Ok(())
    })?;
    note_unused(supervisions, unused, collector);
    Ok(())
}

fn supervised(
    supervision: &Object,
    audio: &Path,
    channels: usize,
    from_secs: f64,
) -> Result<Utterance, String> {
    one_channel(supervision.get("channel"), channels)?;
    let lacking = |name: &str| format!("a supervision without {name}");
    let id = text_of(supervision, "id")?.ok_or_else(|| lacking("id"))?;
    let start = number_of(supervision, "start")?.ok_or_else(|| lacking("start"))?;
    let duration = number_of(supervision, "duration")?.ok_or_else(|| lacking("duration"))?;
    let whole = Utterance::segment(id, audio, from_secs + start, duration).map_err(|e| e.to_string())?;
    said(supervision, whole)
}

/// An utterance with what a supervision tells of it.
fn said(supervision: &Object, mut utterance: Utterance) -> Result<Utterance, String> {
    utterance.text = text_of(supervision, "text")?;
    utterance.speaker = text_of(supervision, "speaker")?;
    for name in ["language", "gender"] {
        if let Some(value) = text_of(supervision, name)? {
            utterance.extra.insert(name.to_owned(), value.into());
        }
    }
    Ok(utterance)
}

/// Collects the names of fields that say something which is not used.
fn collect_unused(object: &Object, known: &[&str], unused: &mut BTreeSet<String>) {
    const KEPT: [&str; 2] = ["language", "gender"];
    for (name, value) in object {
        let says_nothing = match value {
            Value::Null => true,
            Value::Object(map) => map.is_empty(),
            Value::Array(list) => list.is_empty(),
            _ => false,
        };
        if !says_nothing && !known.contains(&name.as_str()) && !KEPT.contains(&name.as_str()) {
            unused.insert(name.clone());
        }
    }
}

fn note_unused(path: &Path, unused: BTreeSet<String>, collector: &mut Collector) {
    if !unused.is_empty() {
        collector.note(path, format!("not used: {}", first_names(unused)));
    }
}

/// How many channels a recording's source has, as far as the list says.
fn channels(recording: &Value) -> usize {
    let listed = recording.pointer("/sources/0/channels").or_else(|| recording.get("channel_ids"));
    listed.and_then(Value::as_array).map_or(1, |channels| channels.len().max(1))
}

/// Refuses one channel of several: audio is read as the mean of all.
fn one_channel(channel: Option<&Value>, channels: usize) -> Result<(), String> {
    let wanted: Vec<&Value> = match channel {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(several)) => several.iter().collect(),
        Some(one) => vec![one],
    };
    if wanted.len() == channels && (channels > 1 || wanted[0].as_u64() == Some(0)) {
        return Ok(());
    }
    let wanted: Vec<String> = wanted.iter().take(8).map(ToString::to_string).collect();
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
    let is_file = |one: &Value| one.get("type").is_none_or(|kind| kind == "file");
    match sources {
        [one] if is_file(one) => one
            .get("source")
            .and_then(Value::as_str)
            .map(|written| resolve(list, written))
            .ok_or_else(|| DataError::line(list, number, "a source without path")),
        _ => Err(DataError::line(list, number, "a recording must have one source of type `file`")),
    }
}

/// `(recordings, supervisions)` of a folder that has both.
///
/// # Errors
/// Several of one kind: which belong together is not guessed.
pub(super) fn supervisions_of(folder: &Path) -> Result<Option<(PathBuf, PathBuf)>, DataError> {
    let (mut recordings, mut supervisions) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(DataError::io(folder))? {
        let path = entry.map_err(DataError::io(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".jsonl") || name.ends_with(".jsonl.gz") {
            if name.contains("recordings") {
                recordings.push(path);
            } else if name.contains("supervisions") {
                supervisions.push(path);
            }
        }
    }
    recordings.sort();
    supervisions.sort();
    match (recordings.as_slice(), supervisions.as_slice()) {
        ([], _) | (_, []) => Ok(None),
        ([one], [other]) => Ok(Some((one.clone(), other.clone()))),
        _ => {
            let names = recordings
                .iter()
                .chain(&supervisions)
                .map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned());
            let reason = format!(
                "several lists of recordings or supervisions ({}); put each pair into a folder of its own and name that",
                first_names(names)
            );
            Err(DataError::layout(folder, reason))
        }
    }
}

/// A text; numbers are texts too.
fn text_of(object: &Object, name: &str) -> Result<Option<String>, String> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(format!("`{name}` is not a text")),
    }
}

/// A number; texts of numbers are numbers too.
fn number_of(object: &Object, name: &str) -> Result<Option<f64>, String> {
    let number = match object.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(value) => value.as_f64(),
    };
    number.map(Some).ok_or_else(|| format!("`{name}` is no number of seconds"))
}
