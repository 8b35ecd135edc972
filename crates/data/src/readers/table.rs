//! CSV and TSV tables with a header.

use super::tree::path_id;
use super::{Faults, probe_or_zero, resolve, stem};
use crate::{DataError, Utterance};
use std::collections::HashSet;
use std::path::Path;

/// Column names that are understood, first found first (case does not matter).
const AUDIO: &[&str] = &["audio", "path", "audio_filepath", "wav", "file", "filename", "wav_filename"];
const TEXT: &[&str] = &["text", "sentence", "transcript", "transcription", "wrd"];
const SPEAKER: &[&str] = &["speaker", "spk_id", "speaker_id", "speakerid", "client_id"];
const DURATION: &[&str] = &["duration_secs", "duration"];
const ID: &[&str] = &["id", "utt_id", "utterance_id", "key"];

/// Reads a table whose header names at least an audio column (as SpeechBrain and Common Voice
/// write them). Paths are relative to the table, or to a `clips` folder beside it.
///
/// Without an id column the file names are the ids; where they repeat, the paths as they are written,
/// with `-` for `/`.
///
/// # Errors
/// No audio column; a row of another length; an audio file whose duration cannot be found; a duration
/// below zero or that is no number.
pub fn read_table(path: &Path) -> Result<Vec<Utterance>, DataError> {
    read(path, &mut Faults::Refuse)
}

pub(super) fn read(path: &Path, faults: &mut Faults) -> Result<Vec<Utterance>, DataError> {
    let is_tsv = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("tsv"));
    let mut builder = csv::ReaderBuilder::new();
    // Common Voice's TSV has bare quotes in sentences.
    builder.delimiter(if is_tsv { b'\t' } else { b',' }).quoting(!is_tsv);
    let bad = |line: usize, e: csv::Error| DataError::line(path, line, e.to_string());
    let mut reader = builder.from_path(path).map_err(|e| bad(1, e))?;
    let header: Vec<String> =
        reader.headers().map_err(|e| bad(1, e))?.iter().map(|h| h.trim().to_lowercase()).collect();
    let column = |names: &[&str]| names.iter().find_map(|name| header.iter().position(|h| h == name));
    let audio = column(AUDIO).ok_or_else(|| {
        DataError::line(
            path,
            1,
            format!("the header names no audio column; one of {} is needed", AUDIO.join(", ")),
        )
    })?;
    let (text, speaker, duration, id) = (column(TEXT), column(SPEAKER), column(DURATION), column(ID));
    let (mut utterances, mut unnamed) = (Vec::new(), Vec::new());
    for (index, record) in reader.records().enumerate() {
        let line = index + 2;
        let row = record.map_err(|e| bad(line, e)).and_then(|record| {
            let cell = |column: Option<usize>| {
                column.and_then(|c| record.get(c)).map(str::trim).filter(|cell| !cell.is_empty())
            };
            let written = cell(Some(audio)).ok_or_else(|| DataError::line(path, line, "no audio path"))?;
            let mut file = resolve(path, written);
            if !file.exists() {
                let clip = path.parent().unwrap_or(Path::new("")).join("clips").join(written);
                file = if clip.exists() { clip } else { file };
            }
            let secs = match cell(duration) {
                Some(secs) => secs.parse().map_err(|_| {
                    DataError::line(path, line, format!("`{secs}` is no duration in seconds"))
                })?,
                None => probe_or_zero(&file),
            };
            let named = cell(id).map(str::to_string);
            let is_named = named.is_some();
            let mut utterance = Utterance::segment(named.unwrap_or_else(|| stem(&file)), file, 0.0, secs)
                .map_err(|reason| DataError::line(path, line, reason))?;
            utterance.text = cell(text).map(str::to_string);
            utterance.speaker = cell(speaker).map(str::to_string);
            if !is_named {
                unnamed.push((utterances.len(), written.to_string()));
            }
            utterances.push(utterance);
            Ok(())
        });
        faults.take(row)?;
    }
    let stems: HashSet<_> = unnamed.iter().map(|&(index, _)| &utterances[index].id).collect();
    if stems.len() < unnamed.len() {
        for (index, written) in &unnamed {
            utterances[*index].id = path_id(Path::new(""), &Path::new(written).with_extension(""));
        }
    }
    Ok(utterances)
}
