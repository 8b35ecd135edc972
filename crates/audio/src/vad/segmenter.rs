//! From frame probabilities to segments.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Segment, Vad};
use crate::error::{AudioError, check_finite};

/// How probabilities become segments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SegmentConfig {
    /// Probability at which speech begins. Default: 0.5.
    pub threshold: f32,
    /// Probability that continues speech which has begun. Default: 0.35.
    pub continue_threshold: f32,
    /// Shorter stretches of speech are dropped, in seconds. Default: 0.15.
    pub min_speech_secs: f64,
    /// Pauses up to this stay inside a segment, in seconds. Default: 0.4.
    pub min_silence_secs: f64,
    /// Added on both sides, in seconds; at most half of `min_silence_secs`. Default: 0.15.
    pub pad_secs: f64,
    /// Longest segment in seconds, padding included; a longer one is cut at its least probable frame
    /// in the second half. Default: none.
    pub max_secs: Option<f64>,
}

impl Default for SegmentConfig {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            continue_threshold: 0.35,
            min_speech_secs: 0.15,
            min_silence_secs: 0.4,
            pad_secs: 0.15,
            max_secs: None,
        }
    }
}

/// Finds segments in a signal that arrives in pieces; the result does not depend on the pieces.
///
/// Memory: one frame of samples, and the probabilities of one segment if its length is limited.
pub struct Segmenter<V> {
    vad: V,
    frame_samples: usize,
    threshold: f32,
    continue_threshold: f32,
    min_speech_frames: usize,
    min_silence_frames: usize,
    pad_samples: usize,
    max_frames: Option<usize>,
    pending: Vec<f32>,
    num_samples: usize,
    num_frames: usize,
    open: Option<OpenSegment>,
}

/// A segment that has begun. Positions are frames.
struct OpenSegment {
    start: usize,
    /// After the last frame of speech.
    speech_end: usize,
    /// Begins at a cut, so neither padded there nor dropped for being short.
    is_continuation: bool,
    /// Probabilities from `start` on, kept only where the length is limited.
    probabilities: VecDeque<f32>,
}

impl<V: Vad> Segmenter<V> {
    /// Resets the detector.
    ///
    /// # Errors
    /// A setting out of its domain.
    pub fn new(mut vad: V, config: &SegmentConfig) -> Result<Self, AudioError> {
        let &SegmentConfig { threshold, continue_threshold, min_silence_secs, pad_secs, max_secs, .. } =
            config;
        if !(0.0 < continue_threshold && continue_threshold <= threshold && threshold <= 1.0) {
            let value = format!("{threshold}, {continue_threshold}");
            let expected = "0 < continue_threshold ≤ threshold ≤ 1";
            return Err(AudioError::config("threshold, continue_threshold", value, expected));
        }
        for (field, secs) in [
            ("min_speech_secs", config.min_speech_secs),
            ("min_silence_secs", min_silence_secs),
            ("pad_secs", pad_secs),
        ] {
            if !(0.0..=3_600.0).contains(&secs) {
                return Err(AudioError::config(field, secs, "0 to 3,600 seconds"));
            }
        }
        if 2.0 * pad_secs > min_silence_secs {
            return Err(AudioError::config("pad_secs", pad_secs, "at most half of min_silence_secs"));
        }
        let rate = f64::from(vad.sample_rate());
        let frame_samples = vad.frame_samples().max(1);
        let frames = |secs: f64| (secs * rate / frame_samples as f64).ceil() as usize;
        let pad_samples = (pad_secs * rate) as usize;
        let max_frames = match max_secs {
            None => None,
            Some(secs) => {
                let core_secs = secs - 2.0 * pad_secs;
                let max_frames = (core_secs * rate / frame_samples as f64) as usize;
                if max_frames < 2 || secs.is_nan() {
                    return Err(AudioError::config("max_secs", secs, "two frames more than the padding"));
                }
                Some(max_frames)
            }
        };
        vad.reset();
        Ok(Self {
            vad,
            frame_samples,
            threshold,
            continue_threshold,
            min_speech_frames: frames(config.min_speech_secs),
            min_silence_frames: frames(min_silence_secs).max(1),
            pad_samples,
            max_frames,
            pending: Vec::with_capacity(frame_samples),
            num_samples: 0,
            num_frames: 0,
            open: None,
        })
    }

    /// Takes the next samples and appends the segments that have ended to `out`.
    ///
    /// # Errors
    /// NaN or infinite samples; nothing is taken then.
    pub fn push(&mut self, mut samples: &[f32], out: &mut Vec<Segment>) -> Result<(), AudioError> {
        check_finite(samples, self.num_samples as u64)?;
        self.num_samples += samples.len();
        while !samples.is_empty() {
            let take = samples.len().min(self.frame_samples - self.pending.len());
            let (head, tail) = samples.split_at(take);
            self.pending.extend_from_slice(head);
            samples = tail;
            if self.pending.len() == self.frame_samples {
                self.take_frame(out);
            }
        }
        Ok(())
    }

    /// No segment that is still to come begins before this sample: earlier ones can be forgotten.
    pub fn earliest_future_sample(&self) -> usize {
        let frame = self.open.as_ref().map_or(self.num_frames, |open| open.start);
        (frame * self.frame_samples).saturating_sub(self.pad_samples)
    }

    /// Ends the signal: appends the last segment to `out`, and is ready for a new signal.
    pub fn finish(&mut self, out: &mut Vec<Segment>) {
        if !self.pending.is_empty() {
            self.pending.resize(self.frame_samples, 0.0);
            self.take_frame(out);
        }
        if let Some(open) = self.open.take() {
            self.close(open, out);
        }
        self.vad.reset();
        (self.num_samples, self.num_frames) = (0, 0);
    }

    fn take_frame(&mut self, out: &mut Vec<Segment>) {
        let probability = self.vad.speech_probability(&self.pending);
        self.pending.clear();
        let frame = self.num_frames;
        self.num_frames += 1;

        let Some(open) = &mut self.open else {
            if probability >= self.threshold {
                let probabilities = VecDeque::from([probability]);
                self.open = Some(OpenSegment {
                    start: frame,
                    speech_end: frame + 1,
                    is_continuation: false,
                    probabilities,
                });
            }
            return;
        };
        if self.max_frames.is_some() {
            open.probabilities.push_back(probability);
        }
        if probability >= self.continue_threshold {
            open.speech_end = frame + 1;
        }
        if frame + 1 - open.speech_end >= self.min_silence_frames {
            if let Some(open) = self.open.take() {
                self.close(open, out);
            }
        } else if self.max_frames.is_some_and(|max| frame + 1 - open.start >= max) {
            self.cut(out);
        }
    }

    fn close(&self, open: OpenSegment, out: &mut Vec<Segment>) {
        let OpenSegment { start, speech_end, is_continuation, .. } = open;
        // What a cut left over may be nothing but the pause that follows.
        let is_speech = speech_end > start;
        if !is_speech || (!is_continuation && speech_end - start < self.min_speech_frames) {
            return;
        }
        let pad_before = if is_continuation { 0 } else { self.pad_samples };
        out.push(Segment {
            start_sample: (start * self.frame_samples).saturating_sub(pad_before),
            end_sample: (speech_end * self.frame_samples + self.pad_samples).min(self.num_samples),
        });
    }

    /// Ends the open segment before its least probable frame in the second half, and goes on from there.
    fn cut(&mut self, out: &mut Vec<Segment>) {
        let Some(open) = &mut self.open else { return };
        let half = open.probabilities.len() / 2;
        let second_half = open.probabilities.iter().enumerate().skip(half.max(1));
        let lowest = second_half.min_by(|a, b| a.1.total_cmp(b.1)).map_or(half.max(1), |(i, _)| i);
        let cut = open.start + lowest;
        let pad_before = if open.is_continuation { 0 } else { self.pad_samples };
        out.push(Segment {
            start_sample: (open.start * self.frame_samples).saturating_sub(pad_before),
            end_sample: (cut * self.frame_samples).min(self.num_samples),
        });
        open.probabilities.drain(..lowest);
        open.start = cut;
        open.is_continuation = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A detector that finds the probability written into the samples.
    struct Scripted;

    impl Vad for Scripted {
        fn sample_rate(&self) -> u32 {
            100
        }
        fn frame_samples(&self) -> usize {
            10
        }
        fn speech_probability(&mut self, frame: &[f32]) -> f32 {
            frame[0]
        }
        fn reset(&mut self) {}
    }

    /// One character for a frame of 0.1 s: the probability in tenths.
    fn run(script: &str, config: &SegmentConfig) -> Vec<(usize, usize)> {
        let digit = |c: char| c.to_digit(10).unwrap() as f32 / 10.0;
        let samples: Vec<f32> = script.chars().flat_map(|c| [digit(c); 10]).collect();
        let segments = super::super::segments(&samples, &mut Scripted, config).unwrap();
        segments.iter().map(|s| (s.start_sample, s.end_sample)).collect()
    }

    fn plain() -> SegmentConfig {
        SegmentConfig {
            min_speech_secs: 0.2,
            min_silence_secs: 0.3,
            pad_secs: 0.0,
            ..SegmentConfig::default()
        }
    }

    #[test]
    fn pauses_join_and_short_stretches_drop() {
        assert_eq!(run("0099900990000", &plain()), [(20, 90)]);
        assert_eq!(run("0099900099", &plain()), [(20, 50), (80, 100)]);
        assert_eq!(run("0090000", &plain()), []);
        assert_eq!(run("", &plain()), []);
    }

    #[test]
    fn lower_threshold_continues_but_does_not_begin() {
        assert_eq!(run("04499444000", &plain()), [(30, 80)]);
    }

    #[test]
    fn padding_stays_inside_the_signal_and_apart() {
        let config = SegmentConfig { pad_secs: 0.15, ..plain() };
        assert_eq!(run("9990009990", &config), [(0, 45), (45, 100)]);
    }

    #[test]
    fn long_speech_is_cut_at_its_weakest_frame_and_nothing_is_lost() {
        let config = SegmentConfig { max_secs: Some(1.0), ..plain() };
        assert_eq!(run("099999995999999990000", &config), [(10, 80), (80, 170)]);
        // The rest after a cut is kept although it is short, but not if it is silent.
        assert_eq!(run("099999999909000", &config), [(10, 100), (100, 120)]);
        assert_eq!(run("099999999900000", &config), [(10, 100)]);
    }

    #[test]
    fn settings_out_of_domain_are_errors() {
        let new = |config: SegmentConfig| Segmenter::new(Scripted, &config).err();
        assert!(new(SegmentConfig { continue_threshold: 0.6, ..plain() }).is_some());
        assert!(new(SegmentConfig { pad_secs: 0.2, ..plain() }).is_some());
        assert!(new(SegmentConfig { min_speech_secs: f64::NAN, ..plain() }).is_some());
        assert!(new(SegmentConfig { max_secs: Some(0.1), ..plain() }).is_some());
    }

    proptest! {
        #[test]
        fn any_chunking_gives_ordered_bounded_segments(
            frames in proptest::collection::vec(0.0f32..1.0, 0..200),
            tail in 0usize..10,
            chunks in proptest::collection::vec(1usize..77, 1..20),
            limited: bool,
        ) {
            let mut samples: Vec<f32> = frames.iter().flat_map(|&p| [p; 10]).collect();
            samples.truncate(samples.len().saturating_sub(tail));
            let config = SegmentConfig { pad_secs: 0.1, max_secs: limited.then_some(1.2), ..plain() };
            let offline = super::super::segments(&samples, &mut Scripted, &config).unwrap();

            let mut segmenter = Segmenter::new(Scripted, &config).unwrap();
            let mut out = Vec::new();
            let mut rest = samples.as_slice();
            for &chunk in chunks.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (head, tail) = rest.split_at(chunk.min(rest.len()));
                segmenter.push(head, &mut out).unwrap();
                rest = tail;
            }
            segmenter.finish(&mut out);
            prop_assert_eq!(&out, &offline);

            let mut end = 0;
            for s in &out {
                prop_assert!(end <= s.start_sample && s.start_sample < s.end_sample);
                prop_assert!(s.end_sample <= samples.len());
                prop_assert!(!limited || s.end_sample - s.start_sample <= 120);
                end = s.end_sample;
            }
        }
    }
}
