//! The files of a corpus folder.

use crate::PrepError;
use auricle_data::readers::AUDIO_EXTENSIONS;
use auricle_io::{Budget, Lines, TextError};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Deeper folders are not a corpus.
const MAX_DEPTH: usize = 16;

/// A longer transcript file is not one.
const MAX_TEXT_BYTES: u64 = 64 << 20;

/// A longer line is none of a list.
const MAX_LINE_BYTES: usize = 4 << 20;

/// A file and its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceFile {
    pub path: PathBuf,
    pub bytes: u64,
}

impl SourceFile {
    /// Whether the file name ends so; case does not matter.
    pub fn name_ends_with(&self, end: &str) -> bool {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        name.to_lowercase().ends_with(end)
    }
}

/// Every file below a folder, sorted by path. Hidden names are passed over, links to folders are
/// not followed.
pub(crate) fn walk(folder: &Path) -> Result<Vec<SourceFile>, PrepError> {
    let mut files = Vec::new();
    descend(folder, 0, &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn descend(folder: &Path, depth: usize, files: &mut Vec<SourceFile>) -> Result<(), PrepError> {
    if depth > MAX_DEPTH {
        let reason = format!("more than {MAX_DEPTH} folders deep; is this the corpus folder?");
        return Err(PrepError::layout(folder, reason));
    }
    for entry in fs::read_dir(folder).map_err(PrepError::io(folder))? {
        let entry = entry.map_err(PrepError::io(folder))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(PrepError::io(&path))?;
        let name = entry.file_name();
        // Manifests are JSON.
        let Some(name) = name.to_str() else {
            return Err(PrepError::layout(&path, "the name is not UTF-8; rename it"));
        };
        if name.starts_with('.') {
            continue;
        }
        if kind.is_dir() {
            descend(&path, depth + 1, files)?;
        } else {
            // Follows links to files.
            let found = fs::metadata(&path).map_err(PrepError::io(&path))?;
            if found.is_file() {
                files.push(SourceFile { path, bytes: found.len() });
            }
        }
    }
    Ok(())
}

/// The names of the folders in a folder, links followed, sorted.
pub(crate) fn folder_names(folder: &Path) -> Result<Vec<String>, PrepError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(PrepError::io(folder))? {
        let entry = entry.map_err(PrepError::io(folder))?;
        if let (true, Ok(name)) = (entry.path().is_dir(), entry.file_name().into_string()) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The audio among the files by path without extension. Of several encodings of one recording the
/// one that comes first in [`AUDIO_EXTENSIONS`] is taken.
pub(crate) fn audio_by_stem(files: &[SourceFile]) -> BTreeMap<PathBuf, SourceFile> {
    let rank = |file: &SourceFile| {
        let extension = file.path.extension()?.to_str()?.to_lowercase();
        AUDIO_EXTENSIONS.iter().position(|&known| known == extension)
    };
    let mut ranked: Vec<_> = files.iter().filter_map(|file| Some((rank(file)?, file))).collect();
    ranked.sort_by_key(|&(rank, _)| rank);
    let mut audio = BTreeMap::new();
    for (_, file) in ranked {
        audio.entry(file.path.with_extension("")).or_insert_with(|| file.clone());
    }
    audio
}

/// `source/top` where an archive was unpacked in `source`, else `source`.
pub(crate) fn root_of(source: &Path, top: &str) -> PathBuf {
    let below = source.join(top);
    if !top.is_empty() && below.is_dir() { below } else { source.to_owned() }
}

/// The names of the folders and the file between `root` and a path, joined with `-`.
pub(crate) fn path_id(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = below.components().map(|c| c.as_os_str().to_string_lossy()).collect();
    parts.join("-")
}

/// Ids of recordings by their path without extension: the file names where these are unique, else
/// the paths below `root`.
pub(crate) fn ids<'a>(root: &Path, stems: impl Iterator<Item = &'a PathBuf> + Clone) -> Vec<String> {
    let names: BTreeSet<_> = stems.clone().map(|stem| stem.file_name()).collect();
    let unique = names.len() == stems.clone().count();
    let root_for = |stem: &'a PathBuf| stem.parent().filter(|_| unique).unwrap_or(root);
    stems.map(|stem| path_id(root_for(stem), stem)).collect()
}

/// The first folder below `root` on the way to a file, if there is one.
pub(crate) fn first_folder(root: &Path, file: &Path) -> Option<String> {
    let mut below = file.strip_prefix(root).ok()?.components();
    let first = below.next()?.as_os_str().to_str()?.to_owned();
    below.next().map(|_| first)
}

/// The file at a path, or the same with another extension for audio; `None` where there is neither.
pub(crate) fn audio_at(listed: &Path) -> Option<SourceFile> {
    let other = |extension: &&str| {
        let upper = extension.to_ascii_uppercase();
        [listed.with_extension(extension), listed.with_extension(upper)]
    };
    let candidates = std::iter::once(listed.to_owned()).chain(AUDIO_EXTENSIONS.iter().flat_map(other));
    let found = |path: PathBuf| {
        let about = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        Some(SourceFile { path, bytes: about.len() })
    };
    candidates.filter_map(found).next()
}

/// Calls `each` with the number and the text of every line that is not empty, of a file of any size, unpacked where it is
/// zipped.
pub(crate) fn each_line(
    path: &Path,
    mut each: impl FnMut(usize, &str) -> Result<(), PrepError>,
) -> Result<(), PrepError> {
    let reader = auricle_io::open(path).map_err(PrepError::io(path))?;
    let mut lines = Lines::new(reader, MAX_LINE_BYTES);
    while let Some((number, line)) = lines.next_line().map_err(|error| text_error(path, error))? {
        if !line.trim().is_empty() {
            each(number, line)?;
        }
    }
    Ok(())
}

/// A small text file, unpacked where it is zipped.
pub(crate) fn read_text(path: &Path) -> Result<String, PrepError> {
    let mut budget = Budget::new("a list of a corpus", MAX_TEXT_BYTES);
    auricle_io::read_to_string(path, &mut budget).map_err(|error| text_error(path, error))
}

fn text_error(path: &Path, error: TextError) -> PrepError {
    match error {
        TextError::Io(source) => PrepError::io(path)(source),
        error => PrepError::layout(path, format!("{error}; get the file again, or convert it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> SourceFile {
        SourceFile { path: path.into(), bytes: 1 }
    }

    #[test]
    fn one_encoding_of_each_recording() {
        let audio =
            audio_by_stem(&[file("a/x.mp3"), file("a/x.FLAC"), file("b/x.ogg"), file("a/x.txt"), file("y")]);
        let taken: Vec<_> = audio.values().map(|f| f.path.to_str().unwrap()).collect();
        assert_eq!(taken, ["a/x.FLAC", "b/x.ogg"]);
    }

    #[test]
    fn ids_and_speakers_of_paths() {
        let root = Path::new("/c");
        assert_eq!(path_id(root, Path::new("/c/a/b/x")), "a-b-x");
        assert_eq!(first_folder(root, Path::new("/c/a/b/x")).as_deref(), Some("a"));
        assert_eq!(first_folder(root, Path::new("/c/x")), None);
    }

    #[test]
    fn hidden_names_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["b/x.wav", "a.txt", ".hidden/x.wav", "b/._x.wav"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "12").unwrap();
        }
        let found = walk(folder.path()).unwrap();
        let names: Vec<_> = found.iter().map(|f| path_id(folder.path(), &f.path)).collect();
        assert_eq!(names, ["a.txt", "b-x.wav"]);
        assert!(found.iter().all(|f| f.bytes == 2));
    }
}
