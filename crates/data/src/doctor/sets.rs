//! Lists as sets with names.

use super::report::Set;
use crate::{DataError, Reading, read_leniently};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// Reads lists as sets, leniently: what is wrong with a line is a finding, not an obstacle.
///
/// A set is named by its file without extension; where two are called the same, by as many folders
/// above them as make a difference.
///
/// # Errors
/// A file that cannot be read at all; the same file twice.
pub fn read_sets(paths: &[PathBuf]) -> Result<Vec<Set>, DataError> {
    let names = set_names(paths)?;
    let sets = paths.iter().zip(names).map(|(path, name)| {
        let Reading { utterances, mut broken, notes } = read_leniently(path)?;
        if path.is_dir() {
            // A folder has several lists.
            broken
                .iter_mut()
                .for_each(|line| line.reason = format!("{}: {}", line.file.display(), line.reason));
        }
        Ok(Set { name, utterances, broken, notes })
    });
    sets.collect()
}

/// Names for lists: file names without extension, with folders where these are needed.
fn set_names(paths: &[PathBuf]) -> Result<Vec<String>, DataError> {
    let parts: Vec<Vec<String>> = paths.iter().map(|path| name_parts(path)).collect();
    let deepest = parts.iter().map(Vec::len).max().unwrap_or(0);
    for depth in 1..=deepest {
        let name = |parts: &Vec<String>| parts[parts.len().saturating_sub(depth)..].join("-");
        let names: Vec<String> = parts.iter().map(name).collect();
        if names.iter().collect::<BTreeSet<_>>().len() == names.len() {
            return Ok(names);
        }
    }
    let twice = (0..paths.len()).find(|&i| parts[..i].contains(&parts[i])).unwrap_or(0);
    match paths.get(twice) {
        None => Ok(Vec::new()),
        Some(path) => Err(DataError::layout(
            path,
            format!("there is another set of the name {}; name each list once", parts[twice].join("-")),
        )),
    }
}

/// The folders and the name of a list, without its extensions.
fn name_parts(path: &Path) -> Vec<String> {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let plain = if whole.extension().is_some_and(|e| e == "gz") { whole.with_extension("") } else { whole };
    let plain = if plain.is_dir() { plain } else { plain.with_extension("") };
    let parts = plain.components().filter(|c| matches!(c, Component::Normal(_)));
    parts.map(|c| c.as_os_str().to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_one_name_are_told_apart_by_their_folders() {
        let names = |paths: &[&str]| set_names(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(names(&["/a/train.jsonl", "/b/dev.jsonl.gz"]).unwrap(), ["train", "dev"]);
        assert_eq!(names(&["/a/train.jsonl", "/b/train.jsonl"]).unwrap(), ["a-train", "b-train"]);
        let error = names(&["/a/train.jsonl", "/a/train.jsonl"]).unwrap_err().to_string();
        assert!(error.contains("/a/train.jsonl: there is another set"), "{error}");
    }
}
