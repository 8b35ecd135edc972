//! The built-in corpus: 336 synthetic utterances with known phone errors, inside the program.
//!
//! For first runs and tests that need nothing from outside. What it is and how it was made stands
//! in `crates/data/builtin/README.md`; scores on it say nothing about people's speech.

use crate::{DataError, Manifest, Utterance};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// ustar: `manifest.jsonl`, then the audio.
static CORPUS: &[u8] = include_bytes!("../builtin/corpus.tar");

/// Headers and contents begin at multiples of this.
const BLOCK_BYTES: usize = 512;

/// Why the built-in corpus could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuiltinError {
    /// The archive inside the program is not what was put there.
    #[error(
        "the built-in corpus is damaged at byte {offset}: {reason}; build the program again from a fresh checkout"
    )]
    Damaged {
        /// Where in the archive.
        offset: usize,
        /// What is wrong.
        reason: String,
    },
    /// A file could not be written.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// The manifests of an extracted corpus, a split each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// 240 utterances of 10 speakers.
    pub train: PathBuf,
    /// 48 utterances of 2 other speakers.
    pub dev: PathBuf,
    /// 48 utterances of 2 other speakers, with sentences that no other split has.
    pub test: PathBuf,
}

/// All utterances, sorted by id.
///
/// `extra["split"]` is `train`, `dev` or `test`; `audio` is relative to where [`extract`] puts the
/// corpus. `perceived_phones` equal `phones` but for a third of the utterances.
///
/// # Errors
/// A damaged program.
pub fn utterances() -> Result<Vec<Utterance>, BuiltinError> {
    Ok(parse(CORPUS)?.0)
}

/// Writes audio files and the manifests `train.jsonl`, `dev.jsonl` and `test.jsonl` below `dir`.
///
/// What is already there and right is left alone, what is damaged is made again, and nothing is
/// ever half written, also with several programs at work in one folder. The manifests come last:
/// where they are, the audio is.
///
/// # Errors
/// What the file system says about a named file; a damaged program.
pub fn extract(dir: &Path) -> Result<Extracted, BuiltinError> {
    // Temporary files are named by process: its threads take turns.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (utterances, audio) = parse(CORPUS)?;
    for member in audio {
        write_if_different(&dir.join(member.name), member.data)?;
    }
    let manifest = |split: &str| {
        let of_split = utterances.iter().filter(|u| u.extra.get("split").is_some_and(|s| s == split));
        let located =
            of_split.map(|u| Utterance { audio: dir.join(&u.audio), ..u.clone() }).collect::<Vec<_>>();
        let path = dir.join(split).with_extension("jsonl");
        if Manifest::read(&path).ok().as_ref() != Some(&located) {
            Manifest::write(&path, &located)?;
        }
        Ok::<_, DataError>(path)
    };
    Ok(Extracted { train: manifest("train")?, dev: manifest("dev")?, test: manifest("test")? })
}

/// Without waiting for the disk: what a power cut leaves is compared and mended by the next call.
fn write_if_different(path: &Path, data: &[u8]) -> Result<(), DataError> {
    if std::fs::read(path).is_ok_and(|there| there == data) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(DataError::io(folder))?;
    }
    let temporary = path.with_extension(format!("{}.part", std::process::id()));
    let written = std::fs::write(&temporary, data).and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|source| {
        std::fs::remove_file(&temporary).ok();
        DataError::io(path)(source)
    })
}

/// A file in the archive.
#[derive(Debug, PartialEq)]
struct Member<'a> {
    name: &'a str,
    data: &'a [u8],
}

/// The manifest's utterances, and the audio.
fn parse(tar: &[u8]) -> Result<(Vec<Utterance>, Vec<Member<'_>>), BuiltinError> {
    let mut members = members(tar)?;
    if members.first().is_none_or(|first| first.name != "manifest.jsonl") {
        return Err(damaged(0, "manifest.jsonl does not come first"));
    }
    let manifest = members.remove(0);
    let lines = manifest.data.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let utterances = lines.map(serde_json::from_slice).collect::<Result<_, _>>();
    Ok((utterances.map_err(|e| damaged(BLOCK_BYTES, e.to_string()))?, members))
}

/// Reads plain files from an uncompressed ustar archive, which ends at a block of zeros.
fn members(tar: &[u8]) -> Result<Vec<Member<'_>>, BuiltinError> {
    let (mut members, mut offset) = (Vec::new(), 0);
    loop {
        let header = tar.get(offset..offset + BLOCK_BYTES).ok_or_else(|| damaged(offset, "it ends early"))?;
        if header.iter().all(|&byte| byte == 0) {
            return Ok(members);
        }
        if header.get(257..262) != Some(b"ustar") {
            return Err(damaged(offset, "no file header"));
        }
        let name = text(header, 0..100).ok_or_else(|| damaged(offset, "a file name is not text"))?;
        let size = text(header, 124..136).and_then(|octal| usize::from_str_radix(octal.trim(), 8).ok());
        let size = size.ok_or_else(|| damaged(offset, format!("{name}: the size is not a number")))?;
        let start = offset + BLOCK_BYTES;
        let data = start.checked_add(size).and_then(|end| tar.get(start..end));
        let data = data.ok_or_else(|| damaged(offset, format!("{name}: ends early")))?;
        members.push(Member { name, data });
        offset = start + size.next_multiple_of(BLOCK_BYTES);
    }
}

/// A header's field: text up to the first zero.
fn text(header: &[u8], field: std::ops::Range<usize>) -> Option<&str> {
    std::str::from_utf8(header.get(field)?.split(|&byte| byte == 0).next()?).ok()
}

fn damaged(offset: usize, reason: impl Into<String>) -> BuiltinError {
    BuiltinError::Damaged { offset, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The manifest and two audio files.
    fn beginning() -> Vec<u8> {
        let (_, audio) = parse(CORPUS).unwrap();
        let end = audio[1].data.as_ptr() as usize + audio[1].data.len() - CORPUS.as_ptr() as usize;
        CORPUS[..end.next_multiple_of(BLOCK_BYTES)].to_vec()
    }

    #[test]
    fn an_archive_that_ends_early_is_an_error() {
        let whole = beginning();
        for cut in [0, 100, 511, 512, 1000, whole.len() - 600, whole.len() - 1, whole.len()] {
            let error = parse(&whole[..cut]).unwrap_err().to_string();
            assert!(error.contains("early"), "{cut}: {error}");
        }
        let closed: Vec<u8> = whole.into_iter().chain([0; BLOCK_BYTES]).collect();
        assert_eq!(parse(&closed).unwrap().1, parse(CORPUS).unwrap().1[..2]);
    }

    #[test]
    fn a_huge_size_is_an_error() {
        let mut tar = beginning();
        tar[124..136].copy_from_slice(b"777777777777");
        assert!(members(&tar).unwrap_err().to_string().contains("manifest.jsonl: ends early"));
    }

    proptest! {
        #[test]
        fn damage_never_panics(changes in prop::collection::vec((0usize..4096, any::<u8>()), 1..8)) {
            let mut tar = beginning();
            for (at, byte) in changes {
                tar[at] = byte;
            }
            parse(&tar).ok();
        }
    }
}
