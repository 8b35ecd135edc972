//! One line of a manifest.

use crate::DataError;
use auricle_audio::{Limits, read_at};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::PathBuf;

/// A stretch of audio with what is known about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Utterance {
    /// Unique in its corpus.
    pub id: String,
    /// Audio file; in a manifest, relative paths start at the manifest's folder.
    pub audio: PathBuf,
    /// Where the utterance begins in the file.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_secs: f64,
    /// How long it is.
    pub duration_secs: f64,
    /// Transcript.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Who speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaker: Option<String>,
    /// Canonical phones: what should be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phones: Option<Vec<String>>,
    /// Perceived phones: what an annotator heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perceived_phones: Option<Vec<String>>,
    /// Everything else a line says, kept as it is.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Utterance {
    /// An utterance that is a whole file.
    pub fn new(id: impl Into<String>, audio: impl Into<PathBuf>, duration_secs: f64) -> Self {
        Self {
            id: id.into(),
            audio: audio.into(),
            start_secs: 0.0,
            duration_secs,
            text: None,
            speaker: None,
            phones: None,
            perceived_phones: None,
            extra: Map::new(),
        }
    }

    /// The same with a transcript.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// The same with a speaker.
    #[must_use]
    pub fn with_speaker(mut self, speaker: impl Into<String>) -> Self {
        self.speaker = Some(speaker.into());
        self
    }
}

impl Utterance {
    /// The utterance's samples at a sampling rate.
    ///
    /// # Errors
    /// Unreadable audio; a segment that begins after the file's end.
    pub fn samples(&self, sample_rate: u32) -> Result<Vec<f32>, DataError> {
        let audio = read_at(&self.audio, sample_rate, &Limits::default())?;
        let rate = f64::from(sample_rate);
        let start = (self.start_secs * rate).round() as usize;
        let length = (self.duration_secs * rate).round() as usize;
        // A whole file is taken as it is: a manifest's duration may be rounded.
        if start == 0 && length.abs_diff(audio.samples.len()) <= sample_rate as usize / 100 {
            return Ok(audio.samples);
        }
        let end = (start + length).min(audio.samples.len());
        match audio.samples.get(start..end) {
            Some(segment) if !segment.is_empty() => Ok(segment.to_vec()),
            _ => Err(DataError::layout(
                &self.audio,
                format!(
                    "has {} samples, utterance {} starts at {start}; run `auricle data check`",
                    audio.samples.len(),
                    self.id
                ),
            )),
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(secs: &f64) -> bool {
    *secs == 0.0
}
