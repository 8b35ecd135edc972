//! Any folder of audio with transcripts beside it.
//!
//! * Source and licence: the user's own.
//! * Layout: audio files at any depth; the transcript of `x.wav` is `x.txt` (or `x.TXT`) in the same folder. Files
//!   without one are utterances without text, and are counted.
//! * Manifest: `all.jsonl`. The id is the file's name where names are unique, else its path with `-`
//!   for `/`; the transcript is [normalised](auricle_text::normalise()); the speaker is the first
//!   folder on the way to the file.

use crate::listing::{audio_by_stem, first_folder, ids, read_text, walk};
use crate::set::{Draft, Item, counted};
use crate::{About, Definition, Options, PrepError};
use auricle_text::normalise;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) static CORPUS: Definition = Definition {
    name: "tree",
    about: About {
        what: "any folder: audio at any depth, the transcript in a .txt beside it",
        licence: "your own",
        source: "a folder of yours",
    },
    version: 1,
    archives: &[],
    top: "",
    layout,
};

fn layout(source: &Path, _: &Options) -> Result<Vec<Draft>, PrepError> {
    let files = walk(source)?;
    let audio = audio_by_stem(&files);
    if audio.is_empty() {
        let reason = "no audio file below it; pass a folder of recordings";
        return Err(PrepError::layout(source, reason));
    }
    // In lower or upper case.
    let is_text =
        |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("txt"));
    let texts: BTreeMap<PathBuf, &Path> = files
        .iter()
        .filter(|file| is_text(&file.path))
        .map(|file| (file.path.with_extension(""), file.path.as_path()))
        .collect();
    let mut draft = Draft::new("all");
    for (id, file) in ids(source, audio.keys()).into_iter().zip(audio.values()) {
        let text = match texts.get(&file.path.with_extension("")) {
            Some(beside) => Some(normalise(&read_text(beside)?)).filter(|text| !text.is_empty()),
            None => None,
        };
        let speaker = first_folder(source, &file.path);
        draft.items.push(Item::new(id, file.clone(), text, speaker));
    }
    let silent = draft.items.iter().filter(|item| item.text.is_none()).count();
    if silent > 0 {
        draft.notes.push(format!("{} without transcript", counted(silent, "audio file")));
    }
    Ok(vec![draft])
}
