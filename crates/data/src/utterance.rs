//! One line of a manifest.

use crate::DataError;
use auricle_audio::{AudioError, Limits, StreamingResampler, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

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

    /// A stretch of a file, as a list of another toolkit gives it.
    ///
    /// # Errors
    /// As [`Utterance::validated`].
    pub fn segment(
        id: impl Into<String>,
        audio: impl Into<PathBuf>,
        start_secs: f64,
        duration_secs: f64,
    ) -> Result<Self, String> {
        Self { start_secs, ..Self::new(id, audio, duration_secs) }.validated()
    }

    /// The utterance, if it can be one: whatever reads a list goes through here.
    ///
    /// # Errors
    /// What is wrong: no id, a time that is below zero or no number.
    pub fn validated(self) -> Result<Self, String> {
        if self.id.is_empty() {
            return Err(format!("the utterance of {} has an empty id; give it one", self.audio.display()));
        }
        for (name, secs) in [("start", self.start_secs), ("duration", self.duration_secs)] {
            if !(secs.is_finite() && secs >= 0.0) {
                return Err(format!(
                    "utterance {}: the {name} is {secs} s, which is below zero or no number; correct it",
                    self.id
                ));
            }
        }
        Ok(self)
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
    /// The utterance's samples at a sampling rate. What comes after the utterance is not decoded.
    ///
    /// # Errors
    /// Unreadable audio; a segment that begins after the file's end.
    pub fn samples(&self, sample_rate: u32) -> Result<Vec<f32>, DataError> {
        let rate = f64::from(sample_rate);
        let start = (self.start_secs * rate).round() as usize;
        let length = (self.duration_secs * rate).round() as usize;
        let tolerance = sample_rate as usize / 100;
        let enough = start.saturating_add(length).saturating_add(tolerance);
        let samples = read_beyond(&self.audio, sample_rate, enough)?;
        // A whole file is taken as it is: a manifest's duration may be rounded.
        if start == 0 && length.abs_diff(samples.len()) <= tolerance {
            return Ok(samples);
        }
        let end = start.saturating_add(length).min(samples.len());
        match samples.get(start..end) {
            Some(segment) if !segment.is_empty() => Ok(segment.to_vec()),
            _ => Err(DataError::layout(
                &self.audio,
                format!(
                    "has {} samples, utterance {} starts at {start}; run `auricle data check`",
                    samples.len(),
                    self.id
                ),
            )),
        }
    }
}

/// As [`auricle_audio::read_at`], but stops once there are more than `enough` samples.
fn read_beyond(path: &Path, sample_rate: u32, enough: usize) -> Result<Vec<f32>, AudioError> {
    let stream = stream(path, &Limits::default())?;
    let own_rate = stream.info().sample_rate;
    let mut resampler = match own_rate == sample_rate {
        true => None,
        false => Some(StreamingResampler::new(own_rate, sample_rate)?),
    };
    // A manifest's duration is a hint only: a wrong one must not reserve gigabytes.
    let mut samples = Vec::with_capacity(enough.min(1 << 22));
    for block in stream {
        match &mut resampler {
            Some(resampler) => resampler.push(&block?, &mut samples),
            None => samples.extend_from_slice(&block?),
        }
        if samples.len() > enough {
            return Ok(samples);
        }
    }
    if let Some(mut resampler) = resampler {
        resampler.finish(&mut samples);
    }
    Ok(samples)
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(secs: &f64) -> bool {
    *secs == 0.0
}
