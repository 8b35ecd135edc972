//! A folder of audio files with transcripts beside them.

use super::{open, probe_or_zero, probe_secs};
use crate::manifest::for_each_line;
use crate::{DataError, Utterance};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// File name extensions that count as audio.
pub const AUDIO_EXTENSIONS: &[&str] = &["wav", "flac", "ogg", "oga", "mp3", "m4a", "mp4", "aac"];

/// Deeper folders are not looked into.
const MAX_DEPTH: usize = 16;

/// Reads a folder of audio, or one audio file.
///
/// An utterance's id is its path below the folder without extension, with `/` as `-`… except where
/// file names alone are unique: then they are the ids. The transcript is `<stem>.txt` or
/// `<stem>.lab` beside the audio, or a line of a LibriSpeech `*.trans.txt` in its folder.
///
/// # Errors
/// No audio below the folder; a single file that cannot be read.
pub fn read_tree(path: &Path) -> Result<Vec<Utterance>, DataError> {
    if path.is_file() {
        return Ok(vec![with_transcript(
            Utterance::new(super::stem(path), path, probe_secs(path)?),
            &BTreeMap::new(),
        )]);
    }
    let (mut audio, mut lists) = (Vec::new(), Vec::new());
    walk(path, 0, &mut audio, &mut lists)?;
    if audio.is_empty() {
        return Err(DataError::layout(
            path,
            format!("no audio file ({}) below it", AUDIO_EXTENSIONS.join(", ")),
        ));
    }
    audio.sort();
    let mut transcripts = BTreeMap::new();
    for list in lists {
        for_each_line(&list, open(&list)?, |_, line| {
            let (id, text) = line.split_once(' ').unwrap_or((line, ""));
            transcripts.insert(id.to_string(), text.trim().to_string());
            Ok(())
        })?;
    }
    let mut stems: Vec<String> = audio.iter().map(|p| super::stem(p)).collect();
    stems.sort();
    let unique = stems.windows(2).all(|pair| pair[0] != pair[1]);
    let mut utterances = Vec::with_capacity(audio.len());
    for file in audio {
        let id = if unique { super::stem(&file) } else { path_id(path, &file) };
        let secs = probe_or_zero(&file);
        utterances.push(with_transcript(Utterance::new(id, file, secs), &transcripts));
    }
    Ok(utterances)
}

fn with_transcript(mut utterance: Utterance, listed: &BTreeMap<String, String>) -> Utterance {
    let beside =
        ["txt", "lab"].iter().find_map(|e| std::fs::read_to_string(utterance.audio.with_extension(e)).ok());
    utterance.text =
        beside.map(|text| text.trim().to_string()).or_else(|| listed.get(&utterance.id).cloned());
    utterance
}

fn path_id(root: &Path, file: &Path) -> String {
    let below = file.strip_prefix(root).unwrap_or(file);
    let parts: Vec<_> = below.components().map(|c| c.as_os_str().to_string_lossy()).collect();
    parts.join("-")
}

/// Collects audio files and transcript lists; links to folders are not followed.
fn walk(
    folder: &Path,
    depth: usize,
    audio: &mut Vec<PathBuf>,
    lists: &mut Vec<PathBuf>,
) -> Result<(), DataError> {
    if depth > MAX_DEPTH {
        return Err(DataError::layout(folder, format!("more than {MAX_DEPTH} folders deep")));
    }
    for entry in std::fs::read_dir(folder).map_err(DataError::io(folder))? {
        let entry = entry.map_err(DataError::io(folder))?;
        let (kind, path) = (entry.file_type().map_err(DataError::io(folder))?, entry.path());
        let name = entry.file_name().to_string_lossy().to_lowercase();
        let hidden = name.starts_with('.');
        if kind.is_dir() && !hidden {
            walk(&path, depth + 1, audio, lists)?;
        } else if name.ends_with(".trans.txt") {
            lists.push(path);
        } else if !hidden && AUDIO_EXTENSIONS.iter().any(|e| name.ends_with(&format!(".{e}"))) {
            audio.push(path);
        }
    }
    Ok(())
}
