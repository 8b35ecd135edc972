//! How loud a recording is: whether anybody speaks, and whether it can be believed.

use serde::ser::{Serialize, SerializeStruct as _, Serializer};
use std::fmt;

/// A recording that never gets louder than this is silence: −50 dB of full scale.
const SILENT_BELOW: f32 = 0.003;
/// So far below the loudest sample nobody speaks: −30 dB.
const QUIET_SHARE: f32 = 0.03;
/// Phones are said around frames of this share of the loudest (−20 dB): vowels, most of them.
const VOICED_SHARE: f32 = 0.1;
/// Faint sounds next to them belong to words where they have this share (−36 dB), for so many frames before and after.
const FAINT_SHARE: f32 = 0.015;
const FAINT_BEFORE: usize = 2;
const FAINT_AFTER: usize = 4;
/// A sample from here on is at the end of its range; the loudest of µ-law telephones is 0.980.
const CLIPPED_FROM: f32 = 0.975;
/// A recording with more than this share of such samples is overdriven. Speech that is as loud as it can be
/// without being cut off has one in 10,000.
const CLIPPED_SHARE: f64 = 0.001;

/// What a speaker should know of a recording before its scores are believed. Programs read it as
/// `{"code": "silence", "message": "…"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Nothing louder than −50 dB of full scale.
    Silence,
    /// More than one sample in 1,000 is at the end of its range.
    Clipped,
}

impl Notice {
    /// A short name for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Silence => "silence",
            Self::Clipped => "clipped",
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silence => "nothing was heard; check the microphone and its level",
            Self::Clipped => {
                "the recording is overdriven, its loudest parts are cut off; \
                 turn the microphone down or speak from further away"
            }
        })
    }
}

impl Serialize for Notice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Notice", 2)?;
        object.serialize_field("code", self.code())?;
        object.serialize_field("message", &self.to_string())?;
        object.end()
    }
}

/// What is kept of a recording's level. It does not depend on how the recording is cut.
#[derive(Debug, Clone, Default)]
pub(crate) struct Level {
    samples: usize,
    peak: f32,
    clipped: usize,
    /// Sample after the last that was not quiet.
    loud_until: Option<usize>,
}

impl Level {
    pub(crate) fn take(&mut self, samples: &[f32]) {
        for x in samples.iter().map(|x| x.abs()) {
            self.samples += 1;
            self.peak = self.peak.max(x);
            self.clipped += usize::from(x >= CLIPPED_FROM);
            if x > SILENT_BELOW.max(QUIET_SHARE * self.peak) {
                self.loud_until = Some(self.samples);
            }
        }
    }

    pub(crate) fn samples(&self) -> usize {
        self.samples
    }

    /// Samples since the last that was loud; 0 before the first.
    pub(crate) fn quiet_samples(&self) -> usize {
        self.samples - self.loud_until.unwrap_or(self.samples)
    }

    pub(crate) fn notice(&self) -> Option<Notice> {
        if self.peak < SILENT_BELOW {
            return Some(Notice::Silence);
        }
        let is_clipped = self.clipped as f64 > CLIPPED_SHARE * self.samples as f64;
        is_clipped.then_some(Notice::Clipped)
    }
}

/// The loudest sample of every encoder frame, so that what depends on it does not depend on how the recording is cut.
///
/// A frame's samples end a hop of the front end before the next frame begins: so far the encoder has always heard
/// when it gives the frame.
#[derive(Debug, Clone)]
pub(crate) struct Peaks {
    step: usize,
    /// Samples of the frame under way that are still to come.
    missing: usize,
    under_way: f32,
    done: Vec<f32>,
}

impl Peaks {
    /// Of frames of `step` samples, with room for so many.
    pub(crate) fn new(step: usize, hop: usize, frames: usize) -> Self {
        let missing = step.saturating_sub(hop).max(1);
        Self { step: step.max(1), missing, under_way: 0.0, done: Vec::with_capacity(frames) }
    }

    pub(crate) fn take(&mut self, samples: &[f32]) {
        for x in samples {
            self.under_way = self.under_way.max(x.abs());
            self.missing -= 1;
            if self.missing == 0 {
                self.finish();
            }
        }
    }

    /// Ends the frame under way.
    pub(crate) fn finish(&mut self) {
        self.done.push(self.under_way);
        (self.missing, self.under_way) = (self.step, 0.0);
    }

    /// The peak of a frame; 0 of frames without samples, which padding makes at the end.
    pub(crate) fn of(&self, frame: usize) -> f32 {
        self.done.get(frame).copied().unwrap_or(0.0)
    }

    /// Whether there is a sound in a frame: without one nobody can have spoken.
    pub(crate) fn is_sound(&self, frame: usize) -> bool {
        self.of(frame) >= SILENT_BELOW
    }

    /// Those of `frames` in which something can have been said, in order: not 20 dB below the loudest of them, or faint
    /// and next to such. Breath, clicks and the noise of a quiet room are none.
    pub(crate) fn spoken(&self, frames: std::ops::Range<usize>) -> Vec<usize> {
        let loudest = frames.clone().map(|frame| self.of(frame)).fold(0.0, f32::max);
        let has_share = |frame: usize, share: f32| self.of(frame) > 0.0 && self.of(frame) >= share * loudest;
        let is_voiced = |&frame: &usize| frames.contains(&frame) && has_share(frame, VOICED_SHARE);
        // Whether all from here to a voiced frame are faint sounds, if there is one within so many.
        let reaches = |most: usize, next: &dyn Fn(usize) -> Option<usize>| {
            (1..=most)
                .map_while(next)
                .take_while(|&frame| has_share(frame, FAINT_SHARE))
                .any(|f| is_voiced(&f))
        };
        let is_spoken = |&frame: &usize| {
            is_voiced(&frame)
                || has_share(frame, FAINT_SHARE)
                    && (reaches(FAINT_BEFORE, &|ahead| Some(frame + ahead))
                        || reaches(FAINT_AFTER, &|ago| frame.checked_sub(ago)))
        };
        frames.clone().filter(is_spoken).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};

    /// Noise whose level rises and falls, with the peaks of speech: 12 dB above its own level.
    fn speech(gain: f32) -> Vec<f32> {
        let mut draws = Key::new(1).stream(Purpose::Test);
        let wave = |i: usize| (i as f32 / 2_000.0).sin().powi(2) * draws.normal() as f32;
        let mut samples: Vec<f32> = (0..48_000).map(wave).collect();
        let peak = samples.iter().fold(0.0, |peak: f32, x| peak.max(x.abs()));
        samples.iter_mut().for_each(|x| *x = (*x * gain / peak).clamp(-1.0, 1.0));
        samples
    }

    fn level(samples: &[f32]) -> Level {
        let mut level = Level::default();
        level.take(samples);
        level
    }

    #[test]
    fn silence_and_clipping_are_noticed_and_loud_speech_is_not() {
        assert_eq!(level(&vec![0.0; 16_000]).notice(), Some(Notice::Silence));
        assert_eq!(level(&speech(0.002)).notice(), Some(Notice::Silence));
        assert_eq!(level(&speech(0.01)).notice(), None);
        assert_eq!(level(&speech(1.0)).notice(), None);
        // 6 dB too loud.
        assert_eq!(level(&speech(2.0)).notice(), Some(Notice::Clipped));
    }

    #[test]
    fn peaks_of_frames_do_not_depend_on_the_pieces() {
        let samples = speech(0.5);
        let peaks = |piece: usize| {
            let mut peaks = Peaks::new(640, 160, 100);
            samples.chunks(piece).for_each(|piece| peaks.take(piece));
            peaks.finish();
            peaks.done
        };
        let whole = peaks(samples.len());
        assert_eq!(whole.len(), (samples.len() + 160).div_ceil(640));
        assert!(whole == peaks(1) && whole == peaks(641));
        let loudest = whole.iter().fold(0.0, |loudest: f32, &peak| loudest.max(peak));
        assert!((loudest - 0.5).abs() < 1e-6);
        let mut padded = Peaks::new(640, 160, 100);
        padded.take(&[vec![0.0; 6_400], vec![0.1; 640], vec![0.0; 6_400], vec![0.0002; 640]].concat());
        assert_eq!(padded.spoken(0..22), [10, 11]);
        assert!(!padded.is_sound(9) && padded.is_sound(10) && padded.spoken(0..5).is_empty());
        // Faint sounds count beside a word, and only so far; a click by itself does not.
        let shares = [0.05, 0.0, 0.02, 0.02, 0.02, 1.0, 0.5, 0.02, 0.02, 0.01, 0.02, 0.02];
        let faint = Peaks { done: shares.to_vec(), ..Peaks::new(640, 160, 0) };
        assert_eq!(faint.spoken(0..12), [3, 4, 5, 6, 7, 8]);
        assert_eq!(faint.spoken(0..5), [0, 2, 3, 4]);
    }

    #[test]
    fn quiet_counts_from_the_last_sound() {
        let mut level = level(&[0.0; 100]);
        assert_eq!(level.quiet_samples(), 0);
        level.take(&[0.5, 0.01, 0.01]);
        // 34 dB below the loudest: background.
        assert_eq!((level.samples(), level.quiet_samples()), (103, 2));
        level.take(&[0.02]);
        assert_eq!(level.quiet_samples(), 0);
    }

    #[test]
    fn programs_and_people_are_told() {
        let json = serde_json::to_value(Notice::Clipped).unwrap();
        assert_eq!(json["code"], "clipped");
        assert!(json["message"].as_str().unwrap().contains("turn the microphone down"));
    }
}
