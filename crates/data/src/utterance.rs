//! One line of a manifest.

use crate::DataError;
use crate::probe::say;
use auricle_audio::{AudioError, AudioStream, Limits, StreamingResampler, Warning, WarningKind, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Why something is no utterance.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UtteranceError {
    /// There is no id.
    #[error("the utterance of {} has an empty id; give it one", audio.display())]
    NoId {
        /// Its audio.
        audio: PathBuf,
    },
    /// A time is below zero, infinite or no number.
    #[error("utterance {id}: the {what} is {secs} s, which is below zero or no number; correct it")]
    Time {
        /// The utterance.
        id: String,
        /// "start" or "duration".
        what: &'static str,
        /// The time.
        secs: f64,
    },
}

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
    /// What is meant, serialised as a sequence model writes it (`auricle_text::slu`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
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
            meaning: None,
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
    ) -> Result<Self, UtteranceError> {
        Self { start_secs, ..Self::new(id, audio, duration_secs) }.validated()
    }

    /// The utterance, if it can be one: whatever reads a list goes through here.
    ///
    /// # Errors
    /// What is wrong: no id, a time that is below zero or no number.
    pub fn validated(self) -> Result<Self, UtteranceError> {
        if self.id.is_empty() {
            return Err(UtteranceError::NoId { audio: self.audio });
        }
        for (what, secs) in [("start", self.start_secs), ("duration", self.duration_secs)] {
            if !(secs.is_finite() && secs >= 0.0) {
                return Err(UtteranceError::Time { id: self.id, what, secs });
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

    /// The same with a meaning.
    #[must_use]
    pub fn with_meaning(mut self, meaning: impl Into<String>) -> Self {
        self.meaning = Some(meaning.into());
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
    /// As [`Self::blocks`], with the default limits.
    pub fn samples(&self, sample_rate: u32) -> Result<Vec<f32>, DataError> {
        let length = (self.duration_secs * f64::from(sample_rate)) as usize;
        // A manifest's duration is a hint only: a wrong one must not reserve gigabytes.
        let mut samples = Vec::with_capacity((length + sample_rate as usize / 100).min(1 << 22));
        self.blocks(sample_rate, &self.limits(), |block| {
            samples.extend_from_slice(block);
            Ok::<(), DataError>(())
        })?;
        Ok(samples)
    }

    /// A stretch takes its own length of memory, however long its file is.
    fn limits(&self) -> Limits {
        let whole = Limits::default();
        let is_stretch = self.start_secs > 0.0 && self.duration_secs <= whole.max_duration_secs;
        if is_stretch { Limits::unlimited_duration() } else { whole }
    }

    /// [`Self::samples`] of an utterance that must be whole, because its label is one for all of it.
    ///
    /// # Errors
    /// A file whose end is missing before the utterance ends; as [`Self::blocks`].
    pub fn whole_samples(&self, sample_rate: u32) -> Result<Vec<f32>, DataError> {
        let mut samples = Vec::new();
        let (warnings, is_short) = self.read(sample_rate, &self.limits(), |block| {
            samples.extend_from_slice(block);
            Ok::<(), DataError>(())
        })?;
        for warning in warnings.iter().filter(|_| is_short) {
            if let WarningKind::Truncated { position_samples, expected_samples, sample_rate } = warning.kind {
                let path = warning.path.clone();
                let cut = AudioError::Truncated { path, position_samples, expected_samples, sample_rate };
                return Err(cut.into());
            }
        }
        say(&warnings);
        Ok(samples)
    }

    /// [`Self::samples`] of an utterance that must not be longer than `max_secs`, which is known before it is decoded.
    ///
    /// # Errors
    /// A longer utterance, by name; as [`Self::blocks`].
    pub fn samples_within(&self, sample_rate: u32, max_secs: f64) -> Result<Vec<f32>, DataError> {
        if self.duration_secs > max_secs {
            let reason = format!(
                "utterance {} lasts {:.1} s, more than {max_secs} s; cut it into sentences",
                self.id, self.duration_secs
            );
            return Err(DataError::layout(&self.audio, reason));
        }
        self.samples(sample_rate)
    }

    /// [`Self::samples`] block by block, in bounded memory however long the utterance is.
    ///
    /// Of plain WAV, what comes before the utterance is left out; other formats are decoded from their
    /// beginning, because in the middle they could not give the same samples.
    ///
    /// # Errors
    /// Unreadable audio; a broken limit; a segment that begins after the file's end. What `each` returns
    /// stops the reading.
    pub fn blocks<E: From<DataError>>(
        &self,
        sample_rate: u32,
        limits: &Limits,
        each: impl FnMut(&[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (warnings, _) = self.read(sample_rate, limits, each)?;
        say(&warnings);
        Ok(())
    }

    /// What is to be said about the file, and whether it ends before the utterance.
    fn read<E: From<DataError>>(
        &self,
        sample_rate: u32,
        limits: &Limits,
        mut each: impl FnMut(&[f32]) -> Result<(), E>,
    ) -> Result<(Vec<Warning>, bool), E> {
        let samples_from_secs = |secs: f64| (secs * f64::from(sample_rate)).round() as usize;
        let start = samples_from_secs(self.start_secs);
        let end = start.saturating_add(samples_from_secs(self.duration_secs));
        let tolerance = sample_rate as usize / 100;
        let audio = |error: AudioError| E::from(DataError::from(error));
        let (mut reader, mut seen) = Reader::open(&self.audio, sample_rate, limits, start).map_err(audio)?;
        let (mut block, mut after) = (Vec::new(), Vec::new());
        let mut given = 0;
        while reader.next(&mut block).map_err(audio)? {
            let inside = |at: usize| at.clamp(seen, seen + block.len()) - seen;
            let (from, to) = (inside(start), inside(end));
            if from < to {
                each(&block[from..to])?;
                given += to - from;
            }
            after.extend_from_slice(&block[to..]);
            seen += block.len();
            if seen > end.saturating_add(tolerance) {
                after.clear();
                break;
            }
        }
        let is_short = seen.saturating_add(tolerance) < end;
        let warnings = reader.stream.warnings().to_vec();
        // A whole file is taken as it is: a manifest's duration may be rounded.
        if start == 0 && given > 0 && !after.is_empty() {
            each(&after)?;
        }
        if given == 0 {
            let reason = match seen {
                0 => format!(
                    "is too short to have a sample at {sample_rate} Hz; leave utterance {} out",
                    self.id
                ),
                _ => format!(
                    "has {seen} samples, utterance {} starts at {start}; run `auricle data check`",
                    self.id
                ),
            };
            return Err(DataError::layout(&self.audio, reason).into());
        }
        Ok((warnings, is_short))
    }
}

/// A file block by block at a sampling rate.
struct Reader {
    stream: AudioStream,
    resampler: Option<StreamingResampler>,
}

impl Reader {
    /// A reader that begins at sample `wanted` or before it, and where.
    fn open(
        path: &Path,
        sample_rate: u32,
        limits: &Limits,
        wanted: usize,
    ) -> Result<(Self, usize), AudioError> {
        let mut stream = stream(path, limits)?;
        let mut resampler = StreamingResampler::new(stream.info().sample_rate, sample_rate)?;
        let mut begins = 0;
        let (input, output) = resampler.skippable(wanted);
        if input > 0 && stream.leave_out(input as u64)? {
            resampler.begin_at((input, output));
            begins = output;
        }
        Ok((Self { stream, resampler: Some(resampler) }, begins))
    }

    /// Replaces `block` with what comes next; false at the end.
    fn next(&mut self, block: &mut Vec<f32>) -> Result<bool, AudioError> {
        block.clear();
        match (self.stream.next().transpose()?, &mut self.resampler) {
            (Some(decoded), Some(resampler)) => resampler.push(&decoded, block),
            (None, resampler) => match resampler.take() {
                Some(mut resampler) => resampler.finish(block),
                None => return Ok(false),
            },
            (Some(_), None) => return Ok(false),
        }
        Ok(true)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(secs: &f64) -> bool {
    *secs == 0.0
}
