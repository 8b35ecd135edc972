//! LibriSpeech: 960 hours of read English audio books, 16 kHz.
//!
//! * Source: <https://www.openslr.org/12>. V. Panayotov, G. Chen, D. Povey, S. Khudanpur,
//!   "LibriSpeech: an ASR corpus based on public domain audio books", ICASSP 2015.
//! * Licence: CC BY 4.0.
//! * Layout: `SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac`, and in the same folder
//!   `SPEAKER-CHAPTER.trans.txt` with lines `SPEAKER-CHAPTER-NUMBER WORDS`. Audio may have any other
//!   extension that is known.
//! * Parts and renamed subsets are understood: a folder counts as a subset by what is in it, and `SUBSET` itself can be
//!   passed.
//! * Manifests: one for every subset, of its folder's name; the transcript is
//!   [normalised](auricle_text::normalise()), the speaker is the folder's name.
//!
//! | Subset | Utterances |
//! |---|---|
//! | `train-clean-100` | 28,539 |
//! | `train-clean-360` | 104,014 |
//! | `train-other-500` | 148,688 |
//! | `dev-clean` | 2,703 |
//! | `dev-other` | 2,864 |
//! | `test-clean` | 2,620 |
//! | `test-other` | 2,939 |
//!
//! A transcript line without audio is an error: the corpus has none, so that an archive was not
//! unpacked in full. Audio without a transcript, or with an empty one, is left out and counted.

use crate::download::Archive;
use crate::listing::{audio_by_stem, first_folder, folder_names, read_text, root_of, walk};
use crate::set::{Draft, Item, counted};
use crate::{About, Definition, Options, PrepError};
use auricle_text::normalise;
use std::collections::BTreeMap;
use std::path::Path;

/// The folder in the archives.
pub(crate) const TOP: &str = "LibriSpeech";

pub(crate) static CORPUS: Definition = Definition {
    name: "librispeech",
    about: About {
        what: "read English, 960 h for training, dev and test sets (62 GB)",
        licence: "CC BY 4.0",
        source: "https://www.openslr.org/12",
    },
    version: 1,
    archives: &[
        Archive::new("12/dev-clean.tar.gz", "dev-clean", "42e2234ba48799c1f50f24a7926300a1"),
        Archive::new("12/dev-other.tar.gz", "dev-other", "c8d0bcc9cca99d4f8b62fcc847357931"),
        Archive::new("12/test-clean.tar.gz", "test-clean", "32fa31d27d2e1cad72775fee3f4849a9"),
        Archive::new("12/test-other.tar.gz", "test-other", "fb5a50374b501bb3bac4815ee91d3135"),
        Archive::new("12/train-clean-100.tar.gz", "train-clean-100", "2a93770f6d5c6c964bc36631d331a522"),
        Archive::new("12/train-clean-360.tar.gz", "train-clean-360", "c0e676e450a7ff2f54aeade5171606fa"),
        Archive::new("12/train-other-500.tar.gz", "train-other-500", "d1a0fd59409feb2c614ce4d30c387708"),
    ],
    top: TOP,
    layout,
};

/// Official numbers of utterances.
const EXPECTED: [(&str, usize); 7] = [
    ("train-clean-100", 28_539),
    ("train-clean-360", 104_014),
    ("train-other-500", 148_688),
    ("dev-clean", 2_703),
    ("dev-other", 2_864),
    ("test-clean", 2_620),
    ("test-other", 2_939),
];

fn layout(source: &Path, _: &Options) -> Result<Vec<Draft>, PrepError> {
    let root = root_of(source, TOP);
    // A subset itself, whatever it is called now.
    if is_subset(&root)? {
        let name = root.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(vec![subset(&root, &name)?]);
    }
    let mut drafts = Vec::new();
    for name in folder_names(&root)? {
        let folder = root.join(&name);
        if name.starts_with('.') {
            continue;
        }
        if EXPECTED.iter().any(|(official, _)| *official == name) || is_subset(&folder)? {
            drafts.push(subset(&folder, &name)?);
        }
    }
    if drafts.is_empty() {
        let reason = "no folder such as train-clean-100 or dev-clean, with folders SPEAKER/CHAPTER; pass the folder \
                      that holds them, or fetch them with --download";
        return Err(PrepError::layout(&root, reason));
    }
    Ok(drafts)
}

fn subset(folder: &Path, name: &str) -> Result<Draft, PrepError> {
    let expected = EXPECTED.iter().find(|(official, _)| *official == name).map(|&(_, n)| n);
    Ok(Draft { expected, ..read_subset(folder, name)? })
}

/// Whether a folder has folders `SPEAKER/CHAPTER` with `SPEAKER-CHAPTER.trans.txt`, by the first of them.
pub(crate) fn is_subset(folder: &Path) -> Result<bool, PrepError> {
    let first = |folder: &Path| -> Result<Option<String>, PrepError> {
        Ok(folder_names(folder)?.into_iter().find(|name| !name.starts_with('.')))
    };
    let Some(speaker) = first(folder)? else { return Ok(false) };
    let Some(chapter) = first(&folder.join(&speaker))? else { return Ok(false) };
    Ok(folder.join(&speaker).join(&chapter).join(format!("{speaker}-{chapter}.trans.txt")).is_file())
}

/// Reads one subset folder as the set `set`.
///
/// # Errors
/// A transcript line without audio; an utterance that is listed twice; no utterance.
pub(crate) fn read_subset(folder: &Path, set: &str) -> Result<Draft, PrepError> {
    let files = walk(folder)?;
    let mut audio = audio_by_stem(&files);
    let mut draft = Draft::new(set);
    let (mut missing, mut first_missing, mut silent) = (0usize, None, 0usize);
    let mut listed = BTreeMap::new();
    for list in files.iter().filter(|file| file.name_ends_with(".trans.txt")) {
        for line in read_text(&list.path)?.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (id, words) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            if let Some(other) = listed.insert(id.to_owned(), list.path.clone()) {
                let reason = format!("lists {id}, which {} has too; remove one line", other.display());
                return Err(PrepError::layout(&list.path, reason));
            }
            let Some(file) = audio.remove(&list.path.with_file_name(id)) else {
                missing += 1;
                first_missing.get_or_insert_with(|| (list.path.clone(), id.to_owned()));
                continue;
            };
            let text = normalise(words);
            if text.is_empty() {
                silent += 1;
                continue;
            }
            let speaker = first_folder(folder, &file.path);
            draft.items.push(Item::new(id, file, Some(text), speaker));
        }
    }
    if let Some((list, id)) = first_missing {
        let reason = format!(
            "lists {id}, but no audio file of that name is beside it ({} of {set} without audio); \
             unpack the archive again, or remove the lines",
            counted(missing, "line")
        );
        return Err(PrepError::layout(&list, reason));
    }
    if draft.items.is_empty() {
        let reason = "no `.trans.txt` with utterances below it; unpack the archive again";
        return Err(PrepError::layout(folder, reason));
    }
    if let Some(first) = audio.values().next() {
        let left_out = counted(audio.len(), "audio file");
        draft.notes.push(format!("{left_out} without transcript left out, first {}", first.path.display()));
    }
    if silent > 0 {
        draft.notes.push(format!("{} with an empty transcript left out", counted(silent, "audio file")));
    }
    Ok(draft)
}
