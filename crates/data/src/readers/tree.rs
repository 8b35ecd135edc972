//! A folder of audio files with transcripts beside them.

use super::{open_list, probe_or_zero, probe_secs};
use crate::manifest::for_each_line;
use crate::{DataError, Utterance};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// File name extensions that count as audio.
pub const AUDIO_EXTENSIONS: &[&str] = &["wav", "flac", "ogg", "oga", "mp3", "m4a", "mp4", "aac"];

/// Deeper folders are not looked into.
const MAX_DEPTH: usize = 16;

/// Reads a folder of audio, or one audio file.
///
/// An utterance's id is its path below the folder without extension, with `/` as `-`… except where
/// file names alone are unique: then they are the ids. Where one recording is there in two formats,
/// extensions stay. The transcript is `<stem>.txt` or `<stem>.lab` beside the audio, or the line of
/// its file name in a LibriSpeech `*.trans.txt` in its folder, or in any folder where file names are
/// unique.
///
/// # Errors
/// No audio below the folder; a single file that cannot be read.
pub fn read_tree(path: &Path) -> Result<Vec<Utterance>, DataError> {
    if path.is_file() {
        return Ok(vec![with_transcript(
            Utterance::new(super::stem(path), path, probe_secs(path)?),
            &Transcripts::new(),
            true,
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
    lists.sort();
    let mut transcripts = Transcripts::new();
    for list in lists {
        let folder = list.parent().unwrap_or(Path::new("")).to_owned();
        for_each_line(&list, open_list(&list)?, |_, line| {
            let line = line?;
            let (stem, text) = line.split_once(' ').unwrap_or((line, ""));
            transcripts.entry(stem.to_string()).or_default().insert(folder.clone(), text.trim().to_string());
            Ok(())
        })?;
    }
    let is_unique = |ids: &Vec<String>| ids.iter().collect::<BTreeSet<_>>().len() == ids.len();
    let named = |name: &dyn Fn(&Path) -> String| -> Vec<String> { audio.iter().map(|p| name(p)).collect() };
    let mut ids = named(&|file| super::stem(file));
    let unique = is_unique(&ids);
    if !unique {
        ids = named(&|file| path_id(path, &file.with_extension("")));
    }
    if !is_unique(&ids) {
        ids = named(&|file| path_id(path, file));
    }
    let mut utterances = Vec::with_capacity(audio.len());
    for (id, file) in ids.into_iter().zip(audio) {
        let secs = probe_or_zero(&file);
        utterances.push(with_transcript(Utterance::new(id, file, secs), &transcripts, unique));
    }
    Ok(utterances)
}

/// By file name without extension, then by the list's folder.
type Transcripts = BTreeMap<String, BTreeMap<PathBuf, String>>;

fn with_transcript(mut utterance: Utterance, listed: &Transcripts, unique: bool) -> Utterance {
    let beside =
        ["txt", "lab"].iter().find_map(|e| std::fs::read_to_string(utterance.audio.with_extension(e)).ok());
    let from_list = || {
        let lists = listed.get(&super::stem(&utterance.audio))?;
        let own = utterance.audio.parent().and_then(|folder| lists.get(folder));
        own.or_else(|| lists.values().next().filter(|_| unique)).cloned()
    };
    utterance.text = beside.map(|text| text.trim().to_string()).or_else(from_list);
    utterance
}

/// A path below a folder as an id.
pub(super) fn path_id(root: &Path, file: &Path) -> String {
    let below = file.strip_prefix(root).unwrap_or(file);
    let parts = below.components().filter(|c| matches!(c, Component::Normal(_)));
    let parts: Vec<_> = parts.map(|c| c.as_os_str().to_string_lossy()).collect();
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
