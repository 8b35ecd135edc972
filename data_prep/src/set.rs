//! A set before its durations are known.

use crate::PrepError;
use crate::listing::SourceFile;
use crate::sphere::Sphere;
use auricle_data::Sentence;
use serde::Serialize;
use serde_json::{Map, Value};
use std::path::Path;

/// What a corpus' layout says of one set.
#[derive(Debug)]
pub(crate) struct Draft {
    /// Name of the manifest, without `.jsonl`.
    pub name: String,
    pub items: Vec<Item>,
    /// Of a text manifest, which has no audio: then there are no `items`.
    pub sentences: Vec<Sentence>,
    /// Utterances of the official set, where that is certain.
    pub expected: Option<usize>,
    /// What is unusual.
    pub notes: Vec<String>,
}

/// An utterance that is a whole file.
#[derive(Debug)]
pub(crate) struct Item {
    pub id: String,
    pub audio: SourceFile,
    pub text: Option<String>,
    pub speaker: Option<String>,
    pub labels: Labels,
    /// Set while `audio` is a NIST SPHERE file, which has to become WAV.
    pub sphere: Option<Sphere>,
}

/// What a corpus tells of an utterance beyond text and speaker.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Labels {
    pub phones: Option<Vec<String>>,
    pub perceived_phones: Option<Vec<String>>,
    /// Left out where there is none, as before there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
    pub extra: Map<String, Value>,
}

impl Item {
    pub fn new(
        id: impl Into<String>,
        audio: SourceFile,
        text: Option<String>,
        speaker: Option<String>,
    ) -> Self {
        Self { id: id.into(), audio, text, speaker, labels: Labels::default(), sphere: None }
    }
}

impl Labels {
    /// Adds a field of the manifest line.
    pub fn add(&mut self, name: &str, value: impl Into<Value>) {
        self.extra.insert(name.to_owned(), value.into());
    }
}

impl Draft {
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            items: Vec::new(),
            sentences: Vec::new(),
            expected: None,
            notes: Vec::new(),
        }
    }

    /// A text manifest.
    pub fn of_text(name: impl Into<String>, sentences: Vec<Sentence>) -> Self {
        Self { sentences, ..Self::new(name) }
    }

    /// Number of utterances or sentences.
    pub fn len(&self) -> usize {
        self.items.len() + self.sentences.len()
    }

    /// Sorts by id.
    ///
    /// # Errors
    /// An id that comes twice.
    pub fn sort(&mut self) -> Result<(), PrepError> {
        self.items.sort_by(|a, b| (&a.id, &a.audio.path).cmp(&(&b.id, &b.audio.path)));
        match self.items.windows(2).find(|pair| pair[0].id == pair[1].id) {
            None => Ok(()),
            Some(pair) => Err(PrepError::DuplicateId {
                set: self.name.clone(),
                id: pair[0].id.clone(),
                first: pair[0].audio.path.clone(),
                second: pair[1].audio.path.clone(),
            }),
        }
    }

    /// Digest of all that decides on a manifest in the folder `out`, but for what is in the audio.
    pub fn digest(&self, out: &Path) -> Result<String, PrepError> {
        let mut hasher = blake3::Hasher::new();
        for item in &self.items {
            // As `Manifest::write` will put it.
            let audio = item.audio.path.strip_prefix(out).unwrap_or(&item.audio.path);
            let line = (&item.id, audio, item.audio.bytes, &item.text, &item.speaker);
            serde_json::to_writer(&mut hasher, &line)
                .map_err(|e| PrepError::layout(&item.audio.path, e.to_string()))?;
            // Sets without labels have the digest that they had before there were any.
            if item.labels != Labels::default() {
                serde_json::to_writer(&mut hasher, &item.labels)
                    .map_err(|e| PrepError::layout(&item.audio.path, e.to_string()))?;
            }
        }
        for sentence in &self.sentences {
            serde_json::to_writer(&mut hasher, sentence)
                .map_err(|e| PrepError::layout(out, format!("sentence {}: {e}", sentence.id)))?;
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// What a user should know of this set.
    pub fn all_notes(&self) -> impl Iterator<Item = String> {
        let found = self.len();
        let what = if self.items.is_empty() { "sentences" } else { "utterances" };
        let count = self.expected.filter(|&expected| expected != found).map(|expected| {
            format!("{found} {what}, the official set has {expected}: fine for a part of the corpus")
        });
        let notes = count.into_iter().chain(self.notes.iter().cloned());
        notes.map(|note| format!("note: {}: {note}", self.name))
    }
}

/// "1 file", "2 files".
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
