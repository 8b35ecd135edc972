//! One learner, one prompt: sound in, verdicts out, while the learner speaks.

use crate::assessor::{Assessor, Reference};
use crate::gop::GopSums;
use crate::inventory::{BLANK, CLASSES, ERR};
use crate::said_for_each;
use auricle_audio::StreamingMel;
use auricle_nn::streaming::{StreamingEncoder, StreamingError, StreamingTransformer};
use auricle_tensor::rows;
use std::sync::Arc;

/// Longest recording of a session, in seconds.
pub const MAX_SECS: f64 = 120.0;
/// Most canonical phones of a prompt.
pub const MAX_PHONES: usize = 1024;

/// Why a session cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No phones, or too many.
    #[error("the prompt has {0} phones; it needs 1 to {MAX_PHONES}")]
    Prompt(usize),
    /// Too much sound.
    #[error("the recording is longer than {MAX_SECS} s; cut it into sentences")]
    TooLong,
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
    samples: usize,
    frames: usize,
    /// All encoder frames, `[T, D]`: they don't know the prompt, so that another can be tried on them.
    encoded: Vec<f32>,
    heard: Vec<Heard>,
    progress: Progress,
    previous: u32,
    /// `Σ_t score·x` per phone, `[M, D]`, and `Σ_t score` per head and phone.
    collected: Vec<f32>,
    mass: Vec<f32>,
    /// Mean logits of frames and phones, `[T, M]`: for the phones' times.
    affinity: Vec<f32>,
    gop: Option<GopSums>,
    work: Work,
}

#[derive(Default)]
struct Work {
    mel: Vec<f32>,
    encoded: Vec<f32>,
    query: Vec<f32>,
    value: Vec<f32>,
    scores: Vec<f32>,
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
            samples: 0,
            frames: 0,
            encoded: Vec::new(),
            heard: Vec::new(),
            progress: Progress::new(phones),
            previous: BLANK,
            collected: vec![0.0; phones * width],
            mass: vec![0.0; phones * assessor.config.coca.heads],
            affinity: Vec::new(),
            gop: assessor.gop.as_ref().map(|gop| gop.for_prompt(phones)),
            work: Work::default(),
            assessor,
            canonical,
            reference,
        })
    }

    /// Phones heard so far.
    pub fn heard(&self) -> &[Heard] {
        &self.heard
    }

    /// Encoder frames so far.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// How many phones of the prompt have been said so far, judged by the phones heard.
    pub fn position(&self) -> usize {
        self.progress.position()
    }

    /// What [`Self::verdicts`] would be, had another prompt been given; costs no second pass through the encoder.
    ///
    /// # Errors
    /// Those of [`Self::new`] and [`Self::verdicts`].
    pub fn verdicts_for(&self, canonical: Vec<u32>) -> Result<Vec<PhoneVerdict>, SessionError> {
        let mut other = Self::new(self.assessor.clone(), canonical)?;
        other.work.encoded.clone_from(&self.encoded);
        other.listen();
        other.verdicts()
    }

    /// Takes samples at the model's rate; returns how many encoder frames became complete.
    ///
    /// # Errors
    /// Samples that are not finite, or more of them than [`MAX_SECS`]; nothing is taken then.
    pub fn push(&mut self, samples: &[f32]) -> Result<usize, SessionError> {
        let limit = (MAX_SECS * f64::from(self.assessor.sample_rate())) as usize;
        if self.samples + samples.len() > limit {
            return Err(SessionError::TooLong);
        }
        self.work.mel.clear();
        self.mel.push(samples, &mut self.work.mel)?;
        self.samples += samples.len();
        self.work.encoded.clear();
        self.encoder.push(&self.work.mel, &mut self.work.encoded);
        Ok(self.listen())
    }

    /// Ends the recording: the remaining frames, then the verdicts.
    ///
    /// # Errors
    /// A recording that is too short for the front end.
    pub fn finish(&mut self) -> Result<Vec<PhoneVerdict>, SessionError> {
        self.work.mel.clear();
        self.mel.finish(&mut self.work.mel)?;
        self.work.encoded.clear();
        self.encoder.push(&self.work.mel, &mut self.work.encoded);
        self.encoder.finish(&mut self.work.encoded);
        self.listen();
        self.verdicts()
    }

    /// The verdicts as they are now; phones not said yet have collected little and look bad.
    ///
    /// # Errors
    /// A device that fails.
    pub fn verdicts(&self) -> Result<Vec<PhoneVerdict>, SessionError> {
        let heads = self.assessor.config.coca.heads;
        let phones = self.canonical.len();
        let width = self.collected.len() / phones;
        let dim = width / heads;
        let mut collected = self.collected.clone();
        for (m, row) in collected.chunks_exact_mut(width).enumerate() {
            for (h, part) in row.chunks_exact_mut(dim).enumerate() {
                let mass = self.mass[m * heads + h] + 1e-6;
                part.iter_mut().for_each(|x| *x /= mass);
            }
        }
        let gop = self.gop.as_ref().map(|sums| (sums, self.canonical.as_slice()));
        let judged = self.assessor.judge(&self.reference, collected, gop)?;
        let said: Vec<u32> = self.heard.iter().map(|heard| heard.phone).collect();
        let heard = said_for_each(&self.canonical, &said);
        let spans = spans(&self.affinity, phones);
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

    /// Coupled attention and CTC decoder on the frames in `work.encoded`.
    fn listen(&mut self) -> usize {
        let Self { assessor, reference, work, .. } = self;
        let heads = assessor.config.coca.heads;
        let width = assessor.config.encoder.output_width();
        let (dim, phones) = (width / heads, self.canonical.len());
        let scale = 1.0 / (dim as f32).sqrt();
        let count = work.encoded.len() / width;
        self.encoded.extend_from_slice(&work.encoded);
        for f in work.encoded.chunks_exact(width) {
            assessor.query.forward(f, &mut work.query);
            assessor.frame_value.forward(f, &mut work.value);
            work.mixed.clear();
            work.mixed.resize(width, 0.0);
            work.scores.resize(phones, 0.0);
            let row = self.affinity.len();
            self.affinity.resize(row + phones, 0.0);
            for h in 0..heads {
                let columns = h * dim..(h + 1) * dim;
                let query = &work.query[columns.clone()];
                for (m, score) in work.scores.iter_mut().enumerate() {
                    *score = rows::dot(query, &reference.keys[m * width..][columns.clone()]) * scale;
                    self.affinity[row + m] += *score / heads as f32;
                }
                rows::softmax(&mut work.scores);
                let value = &work.value[columns.clone()];
                for (m, &score) in work.scores.iter().enumerate() {
                    let phone = m * width;
                    rows::add_scaled(
                        &mut work.mixed[columns.clone()],
                        score,
                        &reference.values[phone..][columns.clone()],
                    );
                    rows::add_scaled(&mut self.collected[phone..][columns.clone()], score, value);
                    self.mass[m * heads + h] += score;
                }
            }
            if let Some(gop) = &mut self.gop {
                gop.push(f, &self.affinity[row..]);
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
                match self.heard.last_mut() {
                    Some(last) if best == self.previous => last.end_frame = self.frames + 1,
                    _ => {
                        self.progress.hear(best, &self.canonical);
                        self.heard.push(Heard {
                            phone: best,
                            start_frame: self.frames,
                            end_frame: self.frames + 1,
                        });
                    }
                }
            }
            self.previous = best;
            self.frames += 1;
        }
        count
    }
}

/// How far in the prompt a speaker is: the edit distance of what was heard to every beginning of the prompt.
struct Progress {
    distance: Vec<u32>,
}

impl Progress {
    fn new(phones: usize) -> Self {
        Self { distance: (0..=phones as u32).collect() }
    }

    fn hear(&mut self, phone: u32, canonical: &[u32]) {
        let mut diagonal = self.distance[0];
        self.distance[0] += 1;
        for (m, &expected) in canonical.iter().enumerate() {
            let above = self.distance[m + 1];
            let matched = diagonal + u32::from(phone != expected);
            self.distance[m + 1] = matched.min(above + 1).min(self.distance[m] + 1);
            diagonal = above;
        }
    }

    /// The beginning nearest to what was heard; of equal ones the longest, which takes a phone that does not
    /// fit for a substitution.
    fn position(&self) -> usize {
        let nearer = |best: (usize, u32), (m, &d): (usize, &u32)| if d <= best.1 { (m, d) } else { best };
        self.distance.iter().enumerate().fold((0, u32::MAX), nearer).0
    }
}

/// The largest of a frame's logits; of equal ones the lower class.
fn best_class(logits: &[f32]) -> u32 {
    let better = |best: (usize, f32), (i, &x): (usize, &f32)| if x > best.1 { (i, x) } else { best };
    logits.iter().take(CLASSES).enumerate().fold((BLANK as usize, f32::NEG_INFINITY), better).0 as u32
}

/// Where each phone was said: the best monotonic path through frame-by-phone logits `[T, M]`.
///
/// Every phone gets at least one frame where there are enough of them.
fn spans(affinity: &[f32], phones: usize) -> Vec<std::ops::Range<usize>> {
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
    fn the_position_follows_what_is_heard() {
        let canonical = [1, 2, 3, 2, 5];
        let mut progress = Progress::new(5);
        let mut positions = vec![progress.position()];
        // The third phone is another, the fourth is left out.
        for phone in [1, 2, 9, 5] {
            progress.hear(phone, &canonical);
            positions.push(progress.position());
        }
        assert_eq!(positions, [0, 1, 2, 3, 5]);
    }

    #[test]
    fn phones_take_the_frames_that_like_them() {
        let affinity = [5.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 5.0];
        assert_eq!(spans(&affinity, 3), [0..2, 2..3, 3..5]);
        assert_eq!(spans(&affinity[..6], 3), [0..0, 0..1, 1..2]);
    }
}
