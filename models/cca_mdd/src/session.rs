//! One learner, one prompt: sound in, verdicts out, while the learner speaks.
//!
//! After the first frames, sound of at most the length seen before allocates nothing: what grows with the
//! recording is reserved for its longest when it begins.
//!
//! # Before anybody speaks
//! Frames before the first sound (nothing above −50 dB of full scale) are passed over: attention, decoder and
//! classifier begin two frames before it. Without that the decoder would write the beginning of the prompt into silence.
//! Whether a sound is speech, and of this prompt, is not asked; noise can still open the gate. The times of phones
//! leave out pauses: frames 20 dB below the loudest, but for faint sounds next to words.

use crate::assessor::{Assessor, Reference};
use crate::gop::GopSums;
use crate::inventory::{BLANK, CLASSES, DELETED, ERR};
use crate::level::{Level, Notice, Peaks};
use crate::limits::{MAX_PHONES, MAX_SECS};
use crate::{FrameWeights, said_for_each};
use auricle_audio::StreamingMel;
use auricle_nn::streaming::{StreamingEncoder, StreamingError, StreamingTransformer};
use auricle_tensor::rows;
use std::sync::Arc;

/// Frames before the first sound that are listened to: weak sounds begin words.
const BEFORE_SOUND: usize = 2;

/// Why a session cannot begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// No phones, or too many.
    #[error("the prompt has {0} phones; it needs 1 to {MAX_PHONES}")]
    Prompt(usize),
    /// Too much sound.
    #[error("the recording is longer than {MAX_SECS} s; cut it into sentences")]
    TooLong,
    /// Sound after the end.
    #[error("the recording is over; begin another one")]
    Over,
    /// Sound that cannot be used.
    #[error(transparent)]
    Audio(#[from] auricle_audio::AudioError),
    /// A model that cannot be used.
    #[error(transparent)]
    Model(#[from] StreamingError),
}

/// A phone that the CTC decoder heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heard {
    /// Class number.
    pub phone: u32,
    /// First encoder frame.
    pub start_frame: usize,
    /// Frame after the last.
    pub end_frame: usize,
}

/// The verdict on a canonical phone.
#[derive(Debug, Clone, PartialEq)]
pub struct PhoneVerdict {
    /// Class number of what should have been said.
    pub canonical: u32,
    /// 0 wrong to 1 good.
    pub goodness: f32,
    /// The phone predictor's guess of what was said, and its probability.
    pub predicted: (u32, f32),
    /// What the CTC decoder heard in its place; `None` where nothing.
    pub heard: Option<u32>,
    /// Where it was said, in encoder frames.
    pub frames: std::ops::Range<usize>,
}

impl PhoneVerdict {
    /// What was said instead, where decoder or predictor know it.
    pub fn diagnosis(&self) -> Option<u32> {
        let (predicted, _) = self.predicted;
        let other = |phone: u32| phone != self.canonical && phone != ERR;
        if other(predicted) { Some(predicted) } else { self.heard.filter(|&phone| other(phone)) }
    }
}

/// The state of one utterance.
pub struct Session {
    assessor: Arc<Assessor>,
    canonical: Vec<u32>,
    reference: Reference,
    mel: StreamingMel,
    encoder: StreamingEncoder,
    decoder: StreamingTransformer,
    level: Level,
    peaks: Peaks,
    /// The first frame that is listened to; `None` before the first sound.
    start: Option<usize>,
    has_ended: bool,
    /// Frames that have been listened to or passed over.
    frames: usize,
    /// All encoder frames, `[T, D]`: they don't know the prompt, so that another can be tried on them.
    encoded: Vec<f32>,
    heard: Vec<Heard>,
    previous: u32,
    /// `Σ_t w·x` per phone, `[M, D]`, and `Σ_t w` per phone and head: `w` are the frame weights but for their sum.
    collected: Vec<f32>,
    mass: Vec<f32>,
    /// Where weights are exponentials, the largest exponent so far, per phone and head; sums are relative to it.
    top: Vec<f32>,
    /// Mean logits of frames and phones, `[T, M]`: for the phones' times.
    affinity: Vec<f32>,
    gop: Option<GopSums>,
    work: Work,
}

#[derive(Default)]
struct Work {
    mel: Vec<f32>,
    query: Vec<f32>,
    value: Vec<f32>,
    scores: Vec<f32>,
    exponents: Vec<f32>,
    mixed: Vec<f32>,
    output: Vec<f32>,
    frame: Vec<f32>,
    decoded: Vec<f32>,
    hidden: Vec<f32>,
    logits: Vec<f32>,
}

impl Session {
    /// A session for a prompt, given as class numbers of its canonical phones.
    ///
    /// # Errors
    /// A prompt without phones or with too many.
    pub fn new(assessor: Arc<Assessor>, canonical: Vec<u32>) -> Result<Self, SessionError> {
        let frames = (MAX_SECS / assessor.config.frame_secs()).ceil() as usize + 1;
        Self::with_room(assessor, canonical, frames)
    }

    /// Reserves memory for so many encoder frames. Systems give pages when they are written, so that a
    /// short recording takes little of it.
    fn with_room(assessor: Arc<Assessor>, canonical: Vec<u32>, frames: usize) -> Result<Self, SessionError> {
        let phones = canonical.len();
        if !(1..=MAX_PHONES).contains(&phones) || canonical.iter().any(|&phone| phone > ERR) {
            return Err(SessionError::Prompt(phones));
        }
        let reference = assessor.reference(&canonical)?;
        let width = assessor.config.encoder.output_width();
        Ok(Self {
            mel: StreamingMel::new(assessor.config.front_end.clone())?,
            encoder: assessor.encoder.clone(),
            decoder: assessor.decoder.clone(),
            level: Level::default(),
            peaks: Peaks::new(
                assessor.config.front_end.hop_samples * assessor.config.encoder.downsampling(),
                assessor.config.front_end.hop_samples,
                frames,
            ),
            start: None,
            has_ended: false,
            frames: 0,
            encoded: Vec::with_capacity(frames * width),
            heard: Vec::with_capacity(frames),
            previous: BLANK,
            collected: vec![0.0; phones * width],
            mass: vec![0.0; phones * assessor.config.coca.heads],
            top: vec![f32::NEG_INFINITY; phones * assessor.config.coca.heads],
            affinity: Vec::with_capacity(frames * phones),
            gop: assessor.gop.as_ref().map(|gop| gop.for_prompt(phones)),
            work: Work::default(),
            assessor,
            canonical,
            reference,
        })
    }

    /// Class numbers of the canonical phones.
    pub fn canonical(&self) -> &[u32] {
        &self.canonical
    }

    /// Phones heard so far.
    pub fn heard(&self) -> &[Heard] {
        &self.heard
    }

    /// Encoder frames so far.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// What the speaker should know of the recording so far.
    pub fn notice(&self) -> Option<Notice> {
        self.level.notice()
    }

    /// Seconds that nobody has spoken, by the level; 0 before the first sound.
    pub fn quiet_secs(&self) -> f64 {
        self.level.quiet_samples() as f64 / f64::from(self.assessor.sample_rate())
    }

    /// [Look-ahead](Assessor::lookahead_ms) of the model. The two frames before the first sound wait for it, too.
    pub fn lookahead_ms(&self) -> f64 {
        self.assessor.lookahead_ms()
    }

    /// Seconds of an encoder frame.
    pub fn frame_secs(&self) -> f64 {
        self.assessor.config.frame_secs()
    }

    /// What [`Self::verdicts`] would be, had another prompt been given; costs no second pass through the encoder.
    ///
    /// # Errors
    /// Those of [`Self::new`] and [`Self::verdicts`].
    pub fn verdicts_for(&self, canonical: Vec<u32>) -> Result<Vec<PhoneVerdict>, SessionError> {
        let mut other = Self::with_room(self.assessor.clone(), canonical, self.frames)?;
        other.encoded.extend_from_slice(&self.encoded);
        other.peaks = self.peaks.clone();
        other.has_ended = true;
        while other.listen() {}
        other.verdicts()
    }

    /// Takes samples at the model's rate; returns how many encoder frames became complete.
    ///
    /// # Errors
    /// Samples that are not finite, or more of them than [`MAX_SECS`]; nothing is taken then.
    pub fn push(&mut self, samples: &[f32]) -> Result<usize, SessionError> {
        let before = self.frames;
        self.feed(samples)?;
        while self.listen() {}
        Ok(self.frames - before)
    }

    /// Takes samples like [`Self::push`]; the frames that they complete wait for [`Self::listen`].
    pub(crate) fn feed(&mut self, samples: &[f32]) -> Result<(), SessionError> {
        let limit = (MAX_SECS * f64::from(self.assessor.sample_rate())) as usize;
        if self.level.samples() + samples.len() > limit {
            return Err(SessionError::TooLong);
        }
        self.work.mel.clear();
        self.mel.push(samples, &mut self.work.mel)?;
        self.level.take(samples);
        self.peaks.take(samples);
        self.encoder.push(&self.work.mel, &mut self.encoded);
        Ok(())
    }

    /// Ends the recording: the remaining frames, then the verdicts.
    ///
    /// # Errors
    /// A recording that is too short for the front end.
    pub fn finish(&mut self) -> Result<Vec<PhoneVerdict>, SessionError> {
        self.flush()?;
        while self.listen() {}
        self.verdicts()
    }

    /// Ends the recording; the remaining frames wait for [`Self::listen`].
    pub(crate) fn flush(&mut self) -> Result<(), SessionError> {
        self.work.mel.clear();
        self.mel.finish(&mut self.work.mel)?;
        self.encoder.push(&self.work.mel, &mut self.encoded);
        self.encoder.finish(&mut self.encoded);
        self.peaks.finish();
        self.has_ended = true;
        Ok(())
    }

    /// The verdicts as they are now; phones not said yet have collected little and look bad. Before the first sound
    /// none has been said.
    ///
    /// # Errors
    /// A device that fails.
    pub fn verdicts(&self) -> Result<Vec<PhoneVerdict>, SessionError> {
        let Some(start) = self.start else {
            let (predicted, frames) = ((DELETED, 1.0), self.frames..self.frames);
            let missing = |&canonical| PhoneVerdict {
                canonical,
                goodness: 0.0,
                predicted,
                heard: None,
                frames: frames.clone(),
            };
            return Ok(self.canonical.iter().map(missing).collect());
        };
        let heads = self.assessor.config.coca.heads;
        let phones = self.canonical.len();
        let width = self.collected.len() / phones;
        let dim = width / heads;
        let mut collected = self.collected.clone();
        for (m, row) in collected.chunks_exact_mut(width).enumerate() {
            for (h, part) in row.chunks_exact_mut(dim).enumerate() {
                let mass = self.mass[m * heads + h];
                let mass = match self.assessor.config.coca.weights {
                    FrameWeights::Column => mass + 1e-6,
                    FrameWeights::Softmax { .. } | FrameWeights::Logits => mass.max(f32::MIN_POSITIVE),
                };
                part.iter_mut().for_each(|x| *x /= mass);
            }
        }
        let gop = self.gop.as_ref().map(|sums| (sums, self.canonical.as_slice()));
        let judged = self.assessor.judge(&self.reference, collected, gop)?;
        let said: Vec<u32> = self.heard.iter().map(|heard| heard.phone).collect();
        let heard = said_for_each(&self.canonical, &said);
        let spans = spans(&self.affinity, phones, start, &self.peaks.spoken(start..self.frames));
        Ok(self
            .canonical
            .iter()
            .zip(judged)
            .zip(heard.into_iter().zip(spans))
            .map(|((&canonical, judged), (heard, frames))| PhoneVerdict {
                canonical,
                goodness: 1.0 - judged.badness,
                predicted: judged.best,
                heard,
                frames,
            })
            .collect())
    }

    /// Passes over a frame before the first sound; `None` where there is a sound by now, or it cannot be known yet.
    fn pass_over(&mut self) -> Option<bool> {
        let width = self.assessor.config.encoder.output_width();
        let available = self.encoded.len() / width;
        let until = self.frames + BEFORE_SOUND + 1;
        if (self.frames..until.min(available)).any(|frame| self.peaks.is_sound(frame)) {
            self.start = Some(self.frames);
            return None;
        }
        let is_known = self.frames < available && (until <= available || self.has_ended);
        self.frames += usize::from(is_known);
        Some(is_known)
    }

    /// Coupled attention and CTC decoder on the next encoder frame; false where there is none yet.
    pub(crate) fn listen(&mut self) -> bool {
        if self.start.is_none()
            && let Some(passed) = self.pass_over()
        {
            return passed;
        }
        let Self { assessor, reference, work, encoded, affinity, .. } = self;
        let heads = assessor.config.coca.heads;
        let width = assessor.config.encoder.output_width();
        let Some(f) = encoded.get(self.frames * width..(self.frames + 1) * width) else { return false };
        let (dim, phones) = (width / heads, self.canonical.len());
        let scale = 1.0 / (dim as f32).sqrt();
        assessor.query.forward(f, &mut work.query);
        assessor.frame_value.forward(f, &mut work.value);
        work.mixed.clear();
        work.mixed.resize(width, 0.0);
        work.scores.resize(phones, 0.0);
        let row = affinity.len();
        affinity.resize(row + phones, 0.0);
        for h in 0..heads {
            let columns = h * dim..(h + 1) * dim;
            let query = &work.query[columns.clone()];
            for (m, score) in work.scores.iter_mut().enumerate() {
                *score = rows::dot(query, &reference.keys[m * width..][columns.clone()]) * scale;
                affinity[row + m] += *score / heads as f32;
            }
            if assessor.config.coca.weights == FrameWeights::Logits {
                work.exponents.clone_from(&work.scores);
            }
            rows::softmax(&mut work.scores);
            if let FrameWeights::Softmax { temperature } = assessor.config.coca.weights {
                work.exponents.clear();
                work.exponents.extend(work.scores.iter().map(|score| score / temperature as f32));
            }
            let value = &work.value[columns.clone()];
            for (m, &score) in work.scores.iter().enumerate() {
                let phone = m * width;
                rows::add_scaled(
                    &mut work.mixed[columns.clone()],
                    score,
                    &reference.values[phone..][columns.clone()],
                );
                let collected = &mut self.collected[phone..][columns.clone()];
                let (mass, top) = (&mut self.mass[m * heads + h], &mut self.top[m * heads + h]);
                let weight = match assessor.config.coca.weights {
                    FrameWeights::Column => score,
                    FrameWeights::Softmax { .. } | FrameWeights::Logits => {
                        let exponent = work.exponents[m];
                        if exponent > *top {
                            let shrink = (*top - exponent).exp();
                            collected.iter_mut().for_each(|x| *x *= shrink);
                            *mass *= shrink;
                            *top = exponent;
                        }
                        (exponent - *top).exp()
                    }
                };
                rows::add_scaled(collected, weight, value);
                *mass += weight;
            }
        }
        if let Some(gop) = &mut self.gop {
            gop.push(f, &affinity[row..]);
        }
        assessor.frame_output.forward(&work.mixed, &mut work.output);
        work.frame.clear();
        match &assessor.frame_norm {
            Some(norm) => {
                rows::add(&mut work.output, f);
                norm.forward(&work.output, &mut work.frame);
            }
            None => work.frame.extend_from_slice(&work.output),
        }
        work.decoded.clear();
        self.decoder.push(&mut work.frame, width, &mut work.decoded);
        assessor.hidden.forward(&work.decoded, &mut work.hidden);
        rows::relu(&mut work.hidden);
        assessor.output.forward(&work.hidden, &mut work.logits);
        let best = best_class(&work.logits);
        if best != BLANK {
            let (start_frame, end_frame) = (self.frames, self.frames + 1);
            match self.heard.last_mut() {
                Some(last) if best == self.previous => last.end_frame = end_frame,
                _ => self.heard.push(Heard { phone: best, start_frame, end_frame }),
            }
        }
        self.previous = best;
        self.frames += 1;
        true
    }
}

/// The largest of a frame's logits; of equal ones the lower class.
fn best_class(logits: &[f32]) -> u32 {
    let better = |best: (usize, f32), (i, &x): (usize, &f32)| if x > best.1 { (i, x) } else { best };
    logits.iter().take(CLASSES).enumerate().fold((BLANK as usize, f32::NEG_INFINITY), better).0 as u32
}

/// Where each phone was said: the best monotonic path through frame-by-phone logits `[T, M]` of the frames from
/// `start` on. Only `spoken` frames count, where there is one for every phone.
///
/// Every phone gets at least one frame where there are enough of them.
fn spans(affinity: &[f32], phones: usize, start: usize, spoken: &[usize]) -> Vec<std::ops::Range<usize>> {
    let all: Vec<usize> = (start..start + affinity.len() / phones).collect();
    let frames = if spoken.len() < phones { all.as_slice() } else { spoken };
    let rows: Vec<f32> =
        frames.iter().flat_map(|&t| &affinity[(t - start) * phones..][..phones]).copied().collect();
    let span = |path: std::ops::Range<usize>| match frames.get(path.clone()) {
        Some([first, .., last]) => *first..last + 1,
        Some([only]) => *only..only + 1,
        // Too little sound for every phone.
        _ => start + path.start..start + path.start,
    };
    best_path(&rows, phones).into_iter().map(span).collect()
}

/// The places of each phone on the best monotonic path through rows of logits.
fn best_path(affinity: &[f32], phones: usize) -> Vec<std::ops::Range<usize>> {
    let frames = affinity.len() / phones;
    if frames < phones {
        // Too little sound for every phone: shares of it.
        return (0..phones).map(|m| m * frames / phones..(m + 1) * frames / phones).collect();
    }
    let mut best = vec![f32::NEG_INFINITY; phones];
    let mut moved = vec![false; frames * phones];
    for (t, row) in affinity.chunks_exact(phones).enumerate() {
        let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let log_sum = top + row.iter().map(|x| (x - top).exp()).sum::<f32>().ln();
        for m in (0..phones).rev() {
            let stay = if t == 0 && m == 0 { 0.0 } else { best[m] };
            let step = if m > 0 { best[m - 1] } else { f32::NEG_INFINITY };
            moved[t * phones + m] = step > stay;
            best[m] = stay.max(step) + row[m] - log_sum;
        }
    }
    let mut ranges = vec![0..0; phones];
    let (mut m, mut end) = (phones - 1, frames);
    for t in (0..frames).rev() {
        // The remaining phones need a frame each.
        if m > 0 && (moved[t * phones + m] || t == m) {
            ranges[m] = t..end;
            end = t;
            m -= 1;
        }
    }
    ranges[m] = 0..end;
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_take_the_frames_that_like_them() {
        let affinity = [5.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 5.0];
        assert_eq!(spans(&affinity, 3, 0, &[0, 1, 2, 3, 4]), [0..2, 2..3, 3..5]);
        assert_eq!(spans(&affinity[..6], 3, 0, &[0, 1]), [0..0, 0..1, 1..2]);
        // What is before, between and after words belongs to none.
        assert_eq!(spans(&affinity, 3, 10, &[11, 12, 14]), [11..12, 12..13, 14..15]);
        assert_eq!(spans(&affinity, 3, 10, &[12]), [10..12, 12..13, 13..15]);
    }
}
