//! What is checked and what is found.

use crate::{BrokenLine, Utterance};
use serde::Serialize;
use std::collections::BTreeMap;

/// What is checked, beyond what is always checked.
#[derive(Debug, Clone, Default)]
pub struct CheckConfig {
    /// Sampling rate that every file should have; `None` accepts all.
    pub sample_rate: Option<u32>,
    /// Threads that decode. 0 counts as 1, more than [`MAX_WORKERS`](crate::MAX_WORKERS) as that many.
    pub workers: usize,
    /// A transcript is expected.
    pub needs_text: bool,
    /// Canonical and perceived phones are expected, as for training on mispronunciations.
    pub needs_phones: bool,
    /// A meaning is expected.
    pub needs_meaning: bool,
}

/// A set of a corpus: its name (train, dev, …) and utterances.
#[derive(Debug, Clone, Default)]
pub struct Set {
    /// Name, for messages; no two sets have the same.
    pub name: String,
    /// What is in it.
    pub utterances: Vec<Utterance>,
    /// What of it could not be read.
    pub broken: Vec<BrokenLine>,
    /// What of it is not used, or was guessed.
    pub notes: Vec<String>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look.
    Warning,
    /// Training or scoring would fail or lie; `fix` drops the utterance or mends it.
    Error,
}

/// One thing that is wrong with one utterance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Which set.
    pub set: String,
    /// Which utterance, or which line where there is none.
    pub id: String,
    /// Its position in the set; an id may come twice. None of a line that is no utterance.
    #[serde(skip)]
    pub index: Option<usize>,
    /// Short name of the kind, the same for all findings of a kind.
    pub kind: &'static str,
    /// How bad.
    pub severity: Severity,
    /// What exactly.
    pub detail: String,
    /// The duration that the audio really has, where that is the fix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub true_duration_secs: Option<f64>,
}

/// The result of [`check`](super::check()).
#[derive(Debug, Clone, Default, Serialize)]
pub struct CheckReport {
    /// Utterances looked at.
    pub utterances: usize,
    /// Seconds of audio that could be read.
    pub audio_secs: f64,
    /// Everything found, in the order of the sets.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// Number of findings of each kind.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for finding in &self.findings {
            *counts.entry(finding.kind).or_default() += 1;
        }
        counts
    }

    /// Whether anything is an error.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|f| f.severity == Severity::Error)
    }
}

/// What to do about a kind of finding.
pub fn advice(kind: &str) -> &'static str {
    match kind {
        "unreadable" => "copy or download the file again; --fix drops the utterance",
        "broken-line" => "correct the line; --fix leaves it out",
        "duration" => "--fix writes the true duration",
        "shortened" => {
            "only the beginning of the file is used: write the file's true duration, unless that is meant"
        }
        "segment" => "--fix drops the utterance; correct its start and duration",
        "segment-end" => "--fix sets the end of the utterance to the end of its file",
        "empty" => "give a list that has utterances",
        "list" => {
            "correct the list, or leave it if nothing is missing; `data convert` keeps fields that are not used"
        }
        "sample-rate" => {
            "no action needed: audio is resampled while it is read; different rates may come from different sources"
        }
        "no-text" => "write the transcript; --fix drops the utterance",
        "no-phones" => "annotate the phones; --fix drops the utterance",
        "no-meaning" => "write the meaning; --fix drops the utterance",
        "odd-text" => {
            "spell numbers and signs as words, or train a subword tokenizer that has the characters"
        }
        "duplicate-id" => "--fix keeps the first",
        "duplicate-audio" => {
            "--fix keeps the first of a set; across sets it is a leak: drop it from the training set"
        }
        "shared-speaker" => {
            "move the speaker's utterances to one set: scores on speakers of the training set are too optimistic"
        }
        "cannot-spell" => {
            "--fix drops the utterance; write the transcript in the tokenizer's characters, or train another tokenizer"
        }
        "cannot-align" => {
            "--fix drops the utterance; its transcript has more tokens than its audio has frames"
        }
        "silent" => "listen to the file; --fix drops the utterance",
        "damaged" => "fetch the file again, or save it anew from its source; what could be read stays usable",
        "clipped" => "record at a lower level; the utterance stays usable",
        _ => "look at the utterance",
    }
}
