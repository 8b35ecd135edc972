//! Small corpora in temporary folders.

use auricle_audio::{Audio, write_wav};
use auricle_data::{Manifest, Sentence, Utterance};
use auricle_data_prep::{Corpus, Options, PrepError, PreparedSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A corpus folder and a folder for its manifests.
pub struct Workbench {
    folder: tempfile::TempDir,
    pub corpus: Corpus,
}

impl Workbench {
    pub fn new(corpus: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("corpus")).unwrap();
        Self { folder, corpus: Corpus::from_name(corpus).unwrap() }
    }

    pub fn source(&self) -> PathBuf {
        self.folder.path().join("corpus")
    }

    pub fn out(&self) -> PathBuf {
        self.folder.path().join("data/manifests")
    }

    pub fn text(&self, path: &str, content: &str) {
        let path = self.source().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A WAV file of so many samples at 16 kHz.
    pub fn audio(&self, path: &str, samples: usize) -> PathBuf {
        let path = self.source().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let samples = (0..samples).map(|i| (i as f32 * 0.1).sin() * 0.3).collect();
        write_wav(&path, &Audio::new(samples, 16_000)).unwrap();
        path
    }

    /// A chapter of LibriSpeech with utterances of 0.1 s, 0.2 s, …
    pub fn chapter(&self, subset: &str, speaker: u32, utterances: usize) {
        let folder = format!("{subset}/{speaker}/7");
        let mut lines = String::new();
        for i in 0..utterances {
            let id = format!("{speaker}-7-{i:04}");
            self.audio(&format!("{folder}/{id}.wav"), 1600 * (i + 1));
            lines += &format!("{id} IT'S UTTERANCE A{}\n", "B".repeat(i));
        }
        self.text(&format!("{folder}/{speaker}-7.trans.txt"), &lines);
    }

    /// The sets and the lines reported.
    pub fn prepare(&self) -> Result<(Vec<PreparedSet>, Vec<String>), PrepError> {
        let options = Options { source: self.source(), out: self.out(), ..Options::default() };
        let mut lines = Vec::new();
        let sets = self.corpus.prepare(&options, &mut |line| lines.push(line.to_owned()))?;
        Ok((sets, lines))
    }

    /// The message of a preparation that must fail.
    pub fn failure(&self) -> String {
        self.prepare().map(|(sets, _)| sets).unwrap_err().to_string()
    }

    pub fn manifest(&self, set: &str) -> Vec<Utterance> {
        Manifest::read(&self.out().join(set)).unwrap()
    }

    /// A text manifest: ids, texts and meanings.
    pub fn sentences(&self, set: &str) -> Vec<(String, String, String)> {
        let sentences = Sentence::read(&self.out().join(set)).unwrap();
        sentences.into_iter().map(|s| (s.id, s.text, s.meaning.unwrap_or_default())).collect()
    }

    /// What is in the folder of the manifests, with the times of change.
    pub fn written(&self) -> Vec<(String, std::time::SystemTime)> {
        let entries = fs::read_dir(self.out()).unwrap().map(|entry| entry.unwrap());
        let mut written: Vec<_> = entries
            .map(|e| (e.file_name().into_string().unwrap(), e.metadata().unwrap().modified().unwrap()))
            .collect();
        written.sort();
        written
    }
}

/// Ids of utterances.
pub fn ids(utterances: &[Utterance]) -> Vec<&str> {
    utterances.iter().map(|u| u.id.as_str()).collect()
}

/// Whether a line holds both texts.
pub fn has_line(lines: &[String], start: &str, part: &str) -> bool {
    lines.iter().any(|line| line.starts_with(start) && line.contains(part))
}

/// Removes bytes at the end of a file.
pub fn cut(path: &Path, bytes: usize) {
    let content = fs::read(path).unwrap();
    fs::write(path, &content[..content.len() - bytes]).unwrap();
}
