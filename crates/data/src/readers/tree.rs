//! A folder of audio files with transcripts beside them.

use crate::list::{Collector, first_names, for_each_line, is_audio_name, path_id, read_text, stem};
use crate::probe::{probe_or_zero, probe_secs};
use crate::{DataError, Utterance};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Deeper folders are not looked into.
const MAX_DEPTH: usize = 16;

/// Extensions of transcripts, in lower case; the first that is there is taken.
const TEXT_EXTENSIONS: [&str; 2] = ["txt", "lab"];

/// Reads a folder of audio, or one audio file.
///
/// The id of a single file is its name without extension. The id of a file in a folder is its path below that folder
/// without extension, with `-` for `/`; or its name alone, where LibriSpeech's `*.trans.txt` lists it in the same folder. So an id does not depend on what else there is; two files that would have the same one (`x.wav`, `x.mp3`) are
/// refused as every id that comes twice.
///
/// The transcript is in a `.txt` or `.lab` of the same name beside the audio, in upper or lower case; or in the line of
/// the file name in a `*.trans.txt` in its folder, or in any folder where file names are unique. In a folder
/// `SPEAKER/CHAPTER` with a `SPEAKER-CHAPTER.trans.txt`, as LibriSpeech has them, the speaker is known.
///
/// # Errors
/// No audio below the folder; a single file that cannot be read.
pub fn read_tree(path: &Path) -> Result<Vec<Utterance>, DataError> {
    let mut collector = Collector::strict();
    read(path, &mut collector)?;
    Ok(collector.reading.utterances)
}

pub(super) fn read(path: &Path, collector: &mut Collector) -> Result<(), DataError> {
    // What is no folder (a pipe, `/dev/stdin`) is one recording.
    if !path.is_dir() {
        let utterance = Utterance::new(stem(path), path, probe_secs(path)?);
        let utterance = with_text(utterance, &texts_beside(path), None, collector);
        collector.push(utterance);
        return Ok(());
    }
    let tree = Tree::walk(path)?;
    if tree.audio.is_empty() {
        let known = crate::list::AUDIO_EXTENSIONS.join(", ");
        return Err(DataError::layout(path, format!("no audio file ({known}) and no list below it")));
    }
    let listed = Listed::read(&tree, collector)?;
    let mut untold = 0;
    for file in &tree.audio {
        let name = stem(file);
        let own = listed.own(file, &name);
        // LibriSpeech's names hold speaker and chapter; others need be no ids of a whole corpus.
        let id = match own.and_then(|entry| entry.speaker.as_ref()) {
            Some(_) => name.clone(),
            None => path_id(path, &file.with_extension("")),
        };
        let text = own.map(|entry| &entry.text).or_else(|| listed.anywhere(&name, &tree));
        let mut utterance = Utterance::new(id, file, probe_or_zero(file));
        utterance.speaker = own.and_then(|entry| entry.speaker.clone());
        let utterance = with_text(utterance, &tree.texts, text, collector);
        untold += usize::from(utterance.text.is_none());
        collector.push(utterance);
    }
    let told = tree.audio.len() - untold;
    if untold > 0 && told > 0 {
        collector.note(path, format!("{untold} of {} recordings have no transcript", tree.audio.len()));
    }
    let unused = listed.unused(&tree);
    if !unused.is_empty() {
        collector.note(path, format!("transcripts without a recording: {}", first_names(unused)));
    }
    Ok(())
}

/// The number of audio files below a folder that `listed` does not name, and the first.
pub(super) fn unlisted(folder: &Path, listed: &[Utterance]) -> Result<Option<(usize, PathBuf)>, DataError> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let known: std::collections::BTreeSet<PathBuf> = listed.iter().map(|u| real(&u.audio)).collect();
    let others: Vec<PathBuf> =
        Tree::walk(folder)?.audio.into_iter().filter(|file| !known.contains(&real(file))).collect();
    Ok(others.first().map(|first| (others.len(), first.clone())))
}

/// The files below a folder, sorted.
#[derive(Default)]
struct Tree {
    audio: Vec<PathBuf>,
    /// Transcripts beside audio, by their path without extension.
    texts: BTreeMap<PathBuf, Vec<PathBuf>>,
    /// LibriSpeech's lists of transcripts.
    lists: Vec<PathBuf>,
    /// How often a file name without extension comes.
    names: BTreeMap<String, usize>,
}

impl Tree {
    fn walk(folder: &Path) -> Result<Self, DataError> {
        let mut tree = Self::default();
        tree.descend(folder, 0)?;
        tree.audio.sort();
        tree.lists.sort();
        for file in &tree.audio {
            *tree.names.entry(stem(file)).or_default() += 1;
        }
        Ok(tree)
    }

    /// Collects files; hidden names are passed over, links to folders are not followed.
    fn descend(&mut self, folder: &Path, depth: usize) -> Result<(), DataError> {
        if depth > MAX_DEPTH {
            return Err(DataError::layout(folder, format!("more than {MAX_DEPTH} folders deep")));
        }
        for entry in std::fs::read_dir(folder).map_err(DataError::io(folder))? {
            let entry = entry.map_err(DataError::io(folder))?;
            let (kind, path) = (entry.file_type().map_err(DataError::io(folder))?, entry.path());
            let name = entry.file_name().to_string_lossy().to_lowercase();
            if name.starts_with('.') {
                continue;
            }
            if kind.is_dir() {
                self.descend(&path, depth + 1)?;
            } else if name.ends_with(".trans.txt") {
                self.lists.push(path);
            } else if is_audio_name(&name) {
                self.audio.push(path);
            } else {
                self.add_text(path);
            }
        }
        Ok(())
    }

    fn add_text(&mut self, path: PathBuf) {
        if text_rank(&path).is_some() {
            let texts = self.texts.entry(path.with_extension("")).or_default();
            texts.push(path);
            texts.sort_by_key(|path| (text_rank(path), path.clone()));
        }
    }
}

/// The place of a transcript's extension among those that are known.
fn text_rank(path: &Path) -> Option<usize> {
    let extension = path.extension()?.to_str()?;
    TEXT_EXTENSIONS.iter().position(|known| known.eq_ignore_ascii_case(extension))
}

/// The transcripts beside one file.
fn texts_beside(file: &Path) -> BTreeMap<PathBuf, Vec<PathBuf>> {
    let mut tree = Tree::default();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(folder) else { return tree.texts };
    for name in entries.filter_map(|entry| Some(entry.ok()?.file_name())) {
        let path = file.with_file_name(name);
        if path.file_stem() == file.file_stem() && path.is_file() {
            tree.add_text(path);
        }
    }
    tree.texts
}

/// A line of a `*.trans.txt`.
struct Entry {
    text: String,
    /// Known where the list is LibriSpeech's.
    speaker: Option<String>,
}

/// Transcripts by file name without extension, then by the list's folder.
struct Listed(BTreeMap<String, BTreeMap<PathBuf, Entry>>);

impl Listed {
    fn read(tree: &Tree, collector: &mut Collector) -> Result<Self, DataError> {
        let mut entries = BTreeMap::<String, BTreeMap<PathBuf, Entry>>::new();
        for list in &tree.lists {
            let folder = list.parent().unwrap_or(Path::new("")).to_owned();
            let speaker = speaker_of(list);
            for_each_line(list, |_, line| {
                let line = line.map(|line| {
                    let (name, text) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
                    let entry = Entry { text: text.trim().to_owned(), speaker: speaker.clone() };
                    entries.entry(name.to_owned()).or_default().insert(folder.clone(), entry);
                });
                collector.take(line)
            })?;
        }
        Ok(Self(entries))
    }

    /// What a list in the file's own folder says.
    fn own(&self, file: &Path, name: &str) -> Option<&Entry> {
        self.0.get(name)?.get(file.parent()?)
    }

    /// The transcript in a list anywhere, where no two files are called so.
    fn anywhere(&self, name: &str, tree: &Tree) -> Option<&String> {
        let lists = self.0.get(name).filter(|_| tree.names.get(name) == Some(&1))?;
        lists.values().next().map(|entry| &entry.text)
    }

    /// Names that no recording has.
    fn unused<'a>(&'a self, tree: &Tree) -> Vec<&'a String> {
        self.0.keys().filter(|name| !tree.names.contains_key(*name)).collect()
    }
}

/// `SPEAKER` of `…/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt`.
fn speaker_of(list: &Path) -> Option<String> {
    let chapter = list.parent()?;
    let (chapter, speaker) = (chapter.file_name()?.to_str()?, chapter.parent()?.file_name()?.to_str()?);
    let name = list.file_name()?.to_str()?.split('.').next()?;
    (name == format!("{speaker}-{chapter}")).then(|| speaker.to_owned())
}

/// An utterance with the transcript beside its audio, or else the listed one.
fn with_text(
    mut utterance: Utterance,
    texts: &BTreeMap<PathBuf, Vec<PathBuf>>,
    listed: Option<&String>,
    collector: &mut Collector,
) -> Utterance {
    let beside = texts.get(&utterance.audio.with_extension("")).and_then(|files| files.first());
    utterance.text = listed.cloned();
    if let Some(beside) = beside {
        match read_text(beside) {
            Ok(text) => utterance.text = Some(text.trim().to_owned()),
            // Other recordings can be used, and this one without its transcript.
            Err(error) => collector.reading.notes.push(format!("{error}; the transcript is left out")),
        }
    }
    utterance
}
