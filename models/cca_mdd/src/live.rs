//! A reading while it happens: sound of any rate in, what is known so far out.

use crate::{Assessor, Heard, Reading, Scored, ScoredWord, Session, SessionError, Target};
use auricle_audio::StreamingResampler;
use std::ops::Range;
use std::sync::Arc;

/// Encoder frames without a new phone after which the last word counts as said.
const PAUSE_FRAMES: usize = 8;
/// Quiet after the last phone that ends a recording.
const PAUSE_SECS: f64 = 1.2;
/// Quiet that ends a recording wherever it is: the last phones may not have been heard.
const LONG_PAUSE_SECS: f64 = 2.5;
/// A recording that never gets louder than this is silence: −50 dB of full scale.
const SILENT_BELOW: f32 = 0.003;
/// So far below the loudest sample nobody speaks: −30 dB.
const QUIET_SHARE: f32 = 0.03;

/// What a piece of sound has brought.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Update {
    /// Seconds of sound so far.
    pub audio_secs: f64,
    /// How many phones of the prompt have been said so far.
    pub position: usize,
    /// Seconds that nobody has spoken, by the level; 0 before the first sound.
    pub quiet_secs: f64,
    /// Phones heard since the last update; one that still goes on has the end known so far.
    pub heard: Vec<Heard>,
    /// Words of the prompt said since the last update.
    pub words: Range<usize>,
}

/// One utterance of a learner who is being recorded.
pub struct Live {
    target: Target,
    spans: Vec<Range<usize>>,
    session: Session,
    resampler: StreamingResampler,
    resampled: Vec<f32>,
    rate: u32,
    samples: usize,
    peak: f32,
    /// Sample after the last that was not quiet.
    loud_until: Option<usize>,
    heard: usize,
    words: usize,
    threshold: f64,
    frame_secs: f64,
}

impl Update {
    /// Whether the speaker seems to have come to the end of a prompt of so many phones: a pause after its last
    /// phone, or a long one anywhere.
    pub fn is_over(&self, phones: usize) -> bool {
        self.quiet_secs > LONG_PAUSE_SECS || (self.position >= phones && self.quiet_secs > PAUSE_SECS)
    }
}

impl Live {
    /// An utterance recorded at `rate` samples per second. Phones below `threshold` (0 to 100) are mispronounced.
    ///
    /// # Errors
    /// A prompt or a rate that cannot be used.
    pub fn new(
        assessor: Arc<Assessor>,
        target: Target,
        rate: u32,
        threshold: f64,
    ) -> Result<Self, SessionError> {
        let resampler = StreamingResampler::new(rate, assessor.sample_rate())?;
        let frame_secs = assessor.config().frame_secs();
        let session = Session::new(assessor, target.classes())?;
        Ok(Self {
            spans: target.spans(),
            target,
            session,
            resampler,
            resampled: Vec::new(),
            rate,
            samples: 0,
            peak: 0.0,
            loud_until: None,
            heard: 0,
            words: 0,
            threshold,
            frame_secs,
        })
    }

    /// What is to be said.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Seconds of an encoder frame.
    pub fn frame_secs(&self) -> f64 {
        self.frame_secs
    }

    /// Seconds of sound so far.
    pub fn audio_secs(&self) -> f64 {
        self.samples as f64 / f64::from(self.rate)
    }

    /// Whether nothing louder than −50 dB of full scale has come.
    pub fn is_silent(&self) -> bool {
        self.peak < SILENT_BELOW
    }

    /// Takes samples at the rate of the recording.
    ///
    /// # Errors
    /// Samples that are not finite, or too many of them.
    pub fn push(&mut self, samples: &[f32]) -> Result<Update, SessionError> {
        self.resampled.clear();
        self.resampler.push(samples, &mut self.resampled);
        self.session.push(&self.resampled)?;
        for x in samples.iter().map(|x| x.abs()) {
            self.samples += 1;
            self.peak = self.peak.max(x);
            if x > SILENT_BELOW.max(QUIET_SHARE * self.peak) {
                self.loud_until = Some(self.samples);
            }
        }
        Ok(self.update())
    }

    fn update(&mut self) -> Update {
        let position = self.session.position();
        let all = self.session.heard();
        let heard = all.get(self.heard..).unwrap_or_default().to_vec();
        self.heard = all.len();
        let pause = all.last().is_some_and(|last| last.end_frame + PAUSE_FRAMES <= self.session.frames());
        let is_said = |span: &&Range<usize>| span.end < position || (span.end == position && pause);
        let said = self.spans.iter().take_while(is_said).count().max(self.words);
        let words = std::mem::replace(&mut self.words, said)..said;
        let quiet = self.samples - self.loud_until.unwrap_or(self.samples);
        let quiet_secs = quiet as f64 / f64::from(self.rate);
        Update { audio_secs: self.audio_secs(), position, quiet_secs, heard, words }
    }

    /// What is known of some words before the end; it may still change.
    ///
    /// # Errors
    /// A device that fails.
    pub fn judge(&self, words: Range<usize>) -> Result<Vec<ScoredWord>, SessionError> {
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let verdicts = self.session.verdicts()?;
        let scored = self.target.scored("", &verdicts, self.threshold, self.frame_secs, self.audio_secs());
        Ok(scored.words.into_iter().take(words.end).skip(words.start).collect())
    }

    /// Ends the recording. The reading can be [improved](Self::improve), then [scored](Self::scored).
    ///
    /// # Errors
    /// A recording that is too short.
    pub fn finish(&mut self) -> Result<Reading, SessionError> {
        self.resampled.clear();
        self.resampler.finish(&mut self.resampled);
        self.session.push(&self.resampled)?;
        let verdicts = self.session.finish()?;
        Ok(Reading::new(self.target.clone(), verdicts))
    }

    /// Tries one more pronunciation of one word on a recording that is over; false where all have been tried.
    ///
    /// # Errors
    /// A device that fails.
    pub fn improve(&self, reading: &mut Reading) -> Result<bool, SessionError> {
        reading.improve(&self.session)
    }

    /// The result.
    pub fn scored(&self, id: &str, reading: Reading) -> Scored {
        let (target, verdicts) = reading.into_parts();
        target.scored(id, &verdicts, self.threshold, self.frame_secs, self.audio_secs())
    }
}
