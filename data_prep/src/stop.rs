//! STOP: requests in eight fields with parse trees, read by some 900 speakers.
//!
//! * Source: <https://facebookresearch.github.io/spoken_task_oriented_parsing>, archive
//!   `https://dl.fbaipublicfiles.com/stop/stop.tar.gz`. P. Tomasello et al., "STOP: A dataset for Spoken Task
//!   Oriented Semantic Parsing", SLT 2022 (arXiv 2207.10643).
//! * Licence: in the archive.
//! * Layout: `manifests/train.tsv`, `eval.tsv`, `test.tsv` with the columns `file_id`, `domain`, `gender`,
//!   `native`, `normalized_utterance` and `decoupled_normalized_seqlogical`, in any order, and others; audio at
//!   `file_id` below the corpus folder, where `test_0/alarm_test_0/1.wav` lies in `test_0/alarm_test`.
//! * Manifests: `train.jsonl`, `eval.jsonl`, `test.jsonl` where there is audio, and always
//!   `train-text.jsonl`, `eval-text.jsonl`, `test-text.jsonl` with every sentence once. Fields `domain`,
//!   `gender` and `native`.
//!
//! The meaning is the decoupled parse, with single spaces, labels in upper and words in lower case.

use crate::delimited::{Fields, Table};
use crate::listing::root_of;
use crate::meant::{Meant, Same, drafts, unwritable};
use crate::set::Draft;
use crate::{About, Definition, Options, PrepError};
use auricle_text::slu::Tree;
use auricle_text::spoken;
use std::path::{Component, Path, PathBuf};

pub(crate) static CORPUS: Definition = Definition {
    name: "stop",
    about: About {
        what: "requests in eight fields with parse trees (over 200,000 recordings)",
        licence: "as in the archive",
        source: "https://facebookresearch.github.io/spoken_task_oriented_parsing",
    },
    version: 1,
    archives: &[],
    top: "stop",
    layout,
};

fn layout(source: &Path, _: &Options) -> Result<Vec<Draft>, PrepError> {
    let root = root_of(source, CORPUS.top);
    let mut sets = Vec::new();
    for set in ["train", "eval", "test"] {
        let path = root.join("manifests").join(format!("{set}.tsv"));
        if path.is_file() {
            sets.append(&mut drafts(set, &path, read(&path, &root)?, Same::Content)?);
        }
    }
    if sets.is_empty() {
        let reason = "no manifests/train.tsv, eval.tsv or test.tsv; pass the folder of the unpacked archive";
        return Err(PrepError::layout(&root, reason));
    }
    Ok(sets)
}

fn read(path: &Path, root: &Path) -> Result<Vec<Meant>, PrepError> {
    let table = Table::read(path, Fields::Tabs)?;
    let columns =
        ["file_id", "domain", "gender", "native", "normalized_utterance", "decoupled_normalized_seqlogical"];
    let mut utterances = Vec::new();
    for (number, [file, domain, gender, native, text, parse]) in table.rows(columns)? {
        let fail =
            |reason: String| PrepError::layout(path, format!("line {number}: {reason}; get the file again"));
        let tree = Tree::parse(parse).map_err(|fault| fail(format!("the parse of {file}: {fault}")))?;
        let audio =
            audio_path(file).ok_or_else(|| fail(format!("`{file}` is no path below the corpus folder")))?;
        let id = Path::new(file).with_extension("").to_string_lossy().replace('/', "-");
        let extra = [("domain", domain), ("gender", gender), ("native", native)];
        let extra = extra.into_iter().filter(|(_, value)| !value.is_empty());
        utterances.push(Meant {
            sentence_id: id.clone(),
            id,
            text: spoken(text),
            meaning: tree.to_text().map_err(unwritable(path, format!("line {number}")))?,
            audio: Some(root.join(audio)),
            extra: extra.map(|(name, value)| (name, value.into())).collect(),
            ..Meant::default()
        });
    }
    Ok(utterances)
}

/// Where the audio of a `file_id` lies: in the list the folder in the middle ends in the number of the
/// first, on disk it does not.
fn audio_path(file: &str) -> Option<PathBuf> {
    let path = Path::new(file);
    if !path.components().all(|part| matches!(part, Component::Normal(_))) || file.is_empty() {
        return None;
    }
    let parts: Vec<&str> = file.split('/').collect();
    let [first, middle, name] = parts.as_slice() else { return Some(path.to_owned()) };
    let number = first.rsplit_once('_').map_or("", |(_, number)| number);
    let folder = match middle.rsplit_once('_') {
        Some((folder, end)) if end == number && !end.is_empty() => folder,
        _ => middle,
    };
    Some([first, folder, name].iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_is_where_the_archive_has_it() {
        for (listed, found) in [
            ("test_0/alarm_test_0/0001.wav", Some("test_0/alarm_test/0001.wav")),
            ("train_12/music_train_12/1.wav", Some("train_12/music_train/1.wav")),
            ("eval_0/music_eval/1.wav", Some("eval_0/music_eval/1.wav")),
            ("a.wav", Some("a.wav")),
            ("../a.wav", None),
            ("/a.wav", None),
            ("", None),
        ] {
            assert_eq!(audio_path(listed), found.map(PathBuf::from), "{listed}");
        }
    }
}
