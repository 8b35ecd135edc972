//! Text without audio: one JSON line a sentence.

use crate::list::{budget, for_each_line};
use crate::{DataError, json};
use auricle_io::atomic_write;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::path::Path;

/// The longest text or meaning, in bytes; a page of a book has 3,000.
const MAX_TEXT_BYTES: usize = 64 << 10;

/// A sentence of a *text manifest*: `{"id": "…", "text": "…", "meaning": "…"}`.
///
/// Manifests of audio are text manifests too, if every utterance has a transcript. A file that is not
/// called `.jsonl` (or `.jsonl.gz`) is plain text with a sentence a line; ids are then line numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sentence {
    /// Unique in its file.
    pub id: String,
    /// What is said.
    pub text: String,
    /// What is meant, serialised as a sequence model writes it (`auricle_text::slu`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
    /// Everything else a line says, kept as it is.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Sentence {
    /// A sentence that is only text.
    pub fn new(id: impl Into<String>, text: impl Into<String>) -> Self {
        Self { id: id.into(), text: text.into(), meaning: None, extra: Map::new() }
    }

    /// The same with a meaning.
    #[must_use]
    pub fn with_meaning(mut self, meaning: impl Into<String>) -> Self {
        self.meaning = Some(meaning.into());
        self
    }

    /// Calls `each` with every sentence of a file, in its order and in bounded memory.
    ///
    /// # Errors
    /// A missing file; the first line that is no sentence, by number; what `each` returns.
    pub fn for_each(
        path: &Path,
        mut each: impl FnMut(Self) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let is_json = name.strip_suffix(".gz").unwrap_or(&name).ends_with(".jsonl");
        const FORM: &str = "; a line of a text manifest is {\"id\", \"text\", …}";
        // Sentences are handed on one by one: each may take what a line may.
        let budget = budget(path);
        for_each_line(path, |number, line| {
            let line = line?;
            let sentence: Self = if is_json {
                json::parse(path, number, line, &mut budget.clone(), FORM)?
            } else {
                Self::new(format!("{number:08}"), line)
            };
            each(sentence.validated().map_err(|reason| DataError::line(path, number, reason))?)
        })
    }

    /// All sentences of a file.
    ///
    /// # Errors
    /// As [`Self::for_each`]; an id that comes twice.
    pub fn read(path: &Path) -> Result<Vec<Self>, DataError> {
        let mut sentences = Vec::new();
        Self::for_each(path, |sentence| {
            sentences.push(sentence);
            Ok(())
        })?;
        refuse_repeats(path, &sentences)?;
        Ok(sentences)
    }

    /// Writes sentences in their order; atomically.
    ///
    /// # Errors
    /// Anything the file system says; a sentence that could not be read back; an id that comes twice.
    pub fn write(path: &Path, sentences: &[Self]) -> Result<(), DataError> {
        refuse_repeats(path, sentences)?;
        let mut text = Vec::new();
        for sentence in sentences {
            let sentence = sentence.clone().validated().map_err(|reason| DataError::layout(path, reason))?;
            serde_json::to_writer(&mut text, &sentence)
                .map_err(|e| DataError::layout(path, e.to_string()))?;
            text.push(b'\n');
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        if !folder.as_os_str().is_empty() {
            std::fs::create_dir_all(folder).map_err(DataError::io(folder))?;
        }
        atomic_write(path, &text).map_err(DataError::io(path))
    }

    /// In words what is wrong.
    fn validated(self) -> Result<Self, String> {
        let lengths = [("text", self.text.len()), ("meaning", self.meaning.as_ref().map_or(0, String::len))];
        let long = lengths.iter().find(|(_, length)| *length > MAX_TEXT_BYTES);
        match long {
            _ if self.id.is_empty() => Err("a sentence with an empty id; give it one".to_owned()),
            _ if self.text.trim().is_empty() => Err(format!("sentence {} has no text; remove it", self.id)),
            Some((what, length)) => Err(format!(
                "sentence {}: a {what} of {length} bytes, more than {MAX_TEXT_BYTES}; split it",
                self.id
            )),
            None => Ok(self),
        }
    }
}

fn refuse_repeats(path: &Path, sentences: &[Sentence]) -> Result<(), DataError> {
    let mut ids = HashSet::with_capacity(sentences.len());
    match sentences.iter().find(|sentence| !ids.insert(sentence.id.as_str())) {
        None => Ok(()),
        Some(twice) => Err(DataError::layout(
            path,
            format!("sentence id `{}` comes twice; rename one of them", twice.id),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_read_back_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/a.jsonl");
        let mut sentences = vec![
            Sentence::new("b", "wake me").with_meaning("<scn:alarm> <act:set>"),
            Sentence::new("a", "h\u{e9}llo \"w\""),
        ];
        sentences[1].extra.insert("raw".into(), 7.into());
        Sentence::write(&path, &sentences).unwrap();
        assert_eq!(Sentence::read(&path).unwrap(), sentences);
        assert!(!std::fs::read_to_string(&path).unwrap().contains("\"meaning\":null"));
    }

    #[test]
    fn plain_text_and_manifests_of_audio_are_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lm.txt");
        std::fs::write(&path, "one\n\n two \n").unwrap();
        let found: Vec<_> = Sentence::read(&path).unwrap().into_iter().map(|s| (s.id, s.text)).collect();
        assert_eq!(found, [("00000001".into(), "one".into()), ("00000003".into(), "two".into())]);
        let path = folder.path().join("audio.jsonl");
        let utterance = crate::Utterance::new("u", "/x.wav", 1.0).with_text("hey").with_meaning("<int:x>");
        crate::Manifest::write(&path, &[utterance]).unwrap();
        let found = Sentence::read(&path).unwrap();
        assert_eq!((&*found[0].text, found[0].meaning.as_deref()), ("hey", Some("<int:x>")));
    }

    #[test]
    fn errors_name_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let good = "{\"id\":\"a\",\"text\":\"x\"}";
        let long = format!("{{\"id\":\"a\",\"text\":\"{}\"}}", "x".repeat(MAX_TEXT_BYTES + 1));
        for (text, expected) in [
            (format!("{good}\n{{\"id\":\"b\"}}"), "line 2"),
            (format!("{good}\n{good}"), "`a` comes twice"),
            (good.replace("\"x\"", "\" \""), "has no text"),
            (good.replace("\"a\"", "\"\""), "empty id"),
            (long, "65537 bytes"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Sentence::read(&path).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("a.jsonl"), "{error}");
        }
        assert!(Sentence::write(&path, &[Sentence::new("a", "x"), Sentence::new("a", "y")]).is_err());
        assert!(Sentence::write(&path, &[Sentence::new("a", "")]).is_err());
    }
}
