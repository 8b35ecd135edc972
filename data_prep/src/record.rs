//! `prepare.json`: what was prepared, so that it need not be done twice.

use crate::PrepError;
use auricle_io::Budget;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

const NAME: &str = "prepare.json";

/// The content of `prepare.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    corpus: String,
    /// Of the preparation: another one makes other manifests.
    version: u32,
    /// By name.
    pub sets: BTreeMap<String, SetRecord>,
}

/// A set that was finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SetRecord {
    pub utterances: usize,
    pub hours: f64,
    /// Digest of the manifest.
    pub manifest_blake3: String,
    /// Digest of what it was made from.
    pub source_blake3: String,
}

impl Record {
    /// The record in a folder, or an empty one where there is none that is of use.
    ///
    /// # Errors
    /// A record of another corpus.
    pub fn open(out: &Path, corpus: &'static str, version: u32) -> Result<Self, PrepError> {
        let path = out.join(NAME);
        let empty = Self { corpus: corpus.to_owned(), version, sets: BTreeMap::new() };
        let mut budget = Budget::new("the record of a preparation", 16 << 20);
        let content = match File::open(&path).and_then(|file| budget.read_to_end(file)) {
            Ok(content) => content,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(empty),
            Err(e) => return Err(PrepError::io(&path)(e)),
        };
        match serde_json::from_slice::<Self>(&content) {
            Ok(found) if found.corpus != corpus => {
                Err(PrepError::OtherCorpus { out: out.to_owned(), found: found.corpus, wanted: corpus })
            }
            Ok(found) if found.version == version => Ok(found),
            // Of another version or edited: made again.
            _ => Ok(empty),
        }
    }

    /// Whether a set was made from the same source and its manifest is as it was written.
    pub fn current(&self, name: &str, source_blake3: &str, manifest: &Path) -> Option<&SetRecord> {
        let set = self.sets.get(name).filter(|set| set.source_blake3 == source_blake3)?;
        (file_digest(manifest).ok()? == set.manifest_blake3).then_some(set)
    }

    /// Writes the record atomically.
    pub fn save(&self, out: &Path) -> Result<(), PrepError> {
        let path = out.join(NAME);
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|e| PrepError::layout(&path, format!("cannot be written: {e}")))?;
        text.push(b'\n');
        auricle_io::atomic_write(&path, &text).map_err(PrepError::io(&path))
    }
}

/// The blake3 digest of a file, in hexadecimal.
pub(crate) fn file_digest(path: &Path) -> std::io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}
