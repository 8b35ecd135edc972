//! Kaldi data directories: `wav.scp`, `text`, `segments`, `utt2spk`, `utt2dur`/`reco2dur`.

use super::{open_list, probe_or_zero, probe_secs, resolve};
use crate::manifest::for_each_line;
use crate::{DataError, Utterance};
use std::collections::BTreeMap;
use std::path::Path;

/// The end time of a segment that goes on to the end of its recording.
const TO_THE_END: f64 = -1.0;

/// Reads a Kaldi data directory.
///
/// # Errors
/// A missing `wav.scp`; an entry of it that is a command (`… |`), which would have to be run;
/// a segment without its recording or with times that make no sense.
pub fn read_kaldi(folder: &Path) -> Result<Vec<Utterance>, DataError> {
    let recordings = table(&folder.join("wav.scp"))?;
    let optional = |name: &str| {
        let path = folder.join(name);
        if path.is_file() { table(&path) } else { Ok(BTreeMap::new()) }
    };
    let (texts, speakers) = (optional("text")?, optional("utt2spk")?);
    let durations = optional("utt2dur")?;
    let segments = optional("segments")?;
    let scp = folder.join("wav.scp");
    let audio_of = |recording: &str| {
        let (line, written) = recordings.get(recording).ok_or_else(|| {
            DataError::layout(folder, format!("segments names recording `{recording}`, wav.scp does not"))
        })?;
        if written.ends_with('|') {
            let reason =
                format!("`{recording}` is a command; convert it to a file first (commands are never run)");
            return Err(DataError::line(&scp, *line, reason));
        }
        Ok(resolve(&scp, written))
    };
    let mut utterances = Vec::new();
    let mut push = |id: &str, audio, start_secs: f64, duration_secs: f64| {
        let mut utterance = Utterance::segment(id, audio, start_secs, duration_secs)?;
        utterance.text = texts.get(id).map(|(_, text)| text.clone());
        utterance.speaker = speakers.get(id).map(|(_, speaker)| speaker.clone());
        utterances.push(utterance);
        Ok::<_, String>(())
    };
    for (id, (line, segment)) in &segments {
        let fields: Vec<&str> = segment.split_whitespace().collect();
        let times = match fields.as_slice() {
            [recording, start, end, ..] => {
                start.parse().ok().zip(end.parse().ok()).map(|t: (f64, f64)| (*recording, t.0, t.1))
            }
            _ => None,
        };
        let Some((recording, start, end)) =
            times.filter(|&(_, start, end)| start >= 0.0 && (end > start || end == TO_THE_END))
        else {
            let reason = format!("segment `{id}` must be `<recording> <start> <end>` in seconds");
            return Err(DataError::line(&folder.join("segments"), *line, reason));
        };
        let audio = audio_of(recording)?;
        let end = if end == TO_THE_END { probe_secs(&audio)? } else { end };
        push(id, audio, start, end - start)
            .map_err(|reason| DataError::line(&folder.join("segments"), *line, reason))?;
    }
    if segments.is_empty() {
        for id in recordings.keys() {
            let audio = audio_of(id)?;
            let known = durations.get(id).and_then(|(_, secs)| secs.parse::<f64>().ok());
            let secs = known.unwrap_or_else(|| probe_or_zero(&audio));
            push(id, audio, 0.0, secs).map_err(|reason| DataError::layout(folder, reason))?;
        }
    }
    Ok(utterances)
}

/// `key rest-of-line`, with line numbers.
fn table(path: &Path) -> Result<BTreeMap<String, (usize, String)>, DataError> {
    let mut entries = BTreeMap::new();
    for_each_line(path, open_list(path)?, |number, line| {
        let line = line?;
        let (key, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        if entries.insert(key.to_string(), (number, rest.trim().to_string())).is_some() {
            return Err(DataError::line(path, number, format!("`{key}` comes twice")));
        }
        Ok(())
    })?;
    Ok(entries)
}
