//! The front end for a signal that arrives in pieces.

use super::config::{FeatureNorm, MelConfig, PeakNorm};
use super::front_end::{MelFrontEnd, Scratch};
use super::numerics::{normalise, pre_emphasise, reflect_end, reflect_start};
use crate::error::{AudioError, check_finite};

/// The front end for a signal that arrives in pieces.
///
/// Equal bit for bit to [`MelFrontEnd::compute`] with `row_samples = samples.len()`, for any chunking.
/// A frame is emitted as soon as the last sample under its window has arrived.
pub struct StreamingMel {
    front: MelFrontEnd,
    scratch: Scratch,
    gain: f32,
    /// From the first sample under the next frame on, with the reflection at the beginning.
    signal: Vec<f32>,
    /// The last scaled sample, for the pre-emphasis.
    last: f32,
    num_samples: u64,
    num_frames: u64,
    is_started: bool,
}

impl StreamingMel {
    /// # Errors
    /// A value out of its domain, or a normalisation that needs the whole utterance.
    pub fn new(config: MelConfig) -> Result<Self, AudioError> {
        let PeakNorm::Fixed(gain) = config.peak else {
            return Err(AudioError::config("peak", "utterance", "a fixed gain for streaming"));
        };
        if config.norm == FeatureNorm::Utterance {
            return Err(AudioError::config("norm", "utterance", "`none` or fixed statistics for streaming"));
        }
        let front = MelFrontEnd::new(config)?;
        let scratch = front.scratch();
        Ok(Self {
            front,
            scratch,
            gain,
            signal: Vec::new(),
            last: 0.0,
            num_samples: 0,
            num_frames: 0,
            is_started: false,
        })
    }

    /// Samples after the centre `t·hop` of frame `t` that it depends on. The first frames wait for
    /// one sample more, which the reflection at the beginning needs.
    pub fn lookahead_samples(&self) -> usize {
        self.front.config().window_samples - self.front.lead_samples()
    }

    /// Takes the next samples and appends the frames that are complete to `out`; returns their number.
    ///
    /// # Errors
    /// NaN or infinite samples; nothing is taken then.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<usize, AudioError> {
        check_finite(samples, self.num_samples)?;
        Ok(self.push_unchecked(samples, out))
    }

    fn push_unchecked(&mut self, samples: &[f32], out: &mut Vec<f32>) -> usize {
        let MelConfig { pre_emphasis, hop_samples, window_samples, .. } = *self.front.config();
        let lead = self.front.lead_samples();
        let start = self.signal.len();
        self.signal.extend(samples.iter().map(|x| self.gain * x));
        let fresh = &mut self.signal[start..];
        if let Some(&next_last) = fresh.last() {
            let is_first = self.num_samples == 0;
            let last = std::mem::replace(&mut self.last, next_last);
            pre_emphasise(fresh, pre_emphasis);
            if !is_first {
                fresh[0] -= pre_emphasis * last;
            }
        }
        self.num_samples += samples.len() as u64;
        if !self.is_started {
            if self.signal.len() <= lead {
                return 0;
            }
            self.signal.splice(0..0, std::iter::repeat_n(0.0, lead));
            reflect_start(&mut self.signal, lead);
            self.is_started = true;
        }
        let complete = self.signal.len().checked_sub(window_samples).map_or(0, |n| n / hop_samples + 1);
        self.emit(complete, out)
    }

    /// Ends the signal: appends the remaining frames to `out`, returns their number, and makes the
    /// front end ready for a new signal.
    ///
    /// # Errors
    /// A signal shorter than [`MelFrontEnd::min_samples`].
    pub fn finish(&mut self, out: &mut Vec<f32>) -> Result<usize, AudioError> {
        let MelConfig { hop_samples, window_samples, .. } = *self.front.config();
        let num_samples = std::mem::take(&mut self.num_samples);
        let num_emitted = std::mem::take(&mut self.num_frames);
        let is_started = std::mem::take(&mut self.is_started);
        let min_samples = self.front.min_samples();
        if num_samples < min_samples as u64 || !is_started {
            self.signal.clear();
            let num_samples = num_samples as usize;
            return Err(AudioError::TooShort {
                num_samples,
                min_samples,
                needed_for: "the reflection at the edges",
            });
        }
        let left = (num_samples.div_ceil(hop_samples as u64) - num_emitted) as usize;
        if left > 0 {
            reflect_end(&mut self.signal, (left - 1) * hop_samples + window_samples);
        }
        let emitted = self.emit(left, out);
        self.signal.clear();
        self.num_frames = 0;
        Ok(emitted)
    }

    fn emit(&mut self, num_frames: usize, out: &mut Vec<f32>) -> usize {
        let start = out.len();
        self.scratch.append_log_mel(&self.front, &self.signal, num_frames, out);
        if let FeatureNorm::Fixed { mean, std } = &self.front.config().norm {
            normalise(&mut out[start..], mean, std);
        }
        let used = (num_frames * self.front.config().hop_samples).min(self.signal.len());
        self.signal.drain(..used);
        self.num_frames += num_frames as u64;
        num_frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};
    use proptest::prelude::*;

    fn config(fixed_norm: bool) -> MelConfig {
        let norm = if fixed_norm {
            let ramp = |scale: f32| (0..128).map(|i| scale * (1.0 + i as f32)).collect();
            FeatureNorm::Fixed { mean: ramp(-0.1), std: ramp(0.02) }
        } else {
            FeatureNorm::None
        };
        MelConfig { peak: PeakNorm::Fixed(0.7), norm, ..MelConfig::default() }
    }

    fn signal(seed: u64, num_samples: usize) -> Vec<f32> {
        let mut stream = Key::new(seed).stream(Purpose::Test);
        (0..num_samples).map(|_| stream.normal() as f32 * 0.3).collect()
    }

    proptest! {
        #[test]
        fn equals_offline_bit_for_bit_under_any_chunking(
            seed: u64,
            num_samples in 257usize..9_000,
            chunks in proptest::collection::vec(0usize..700, 1..60),
            fixed_norm: bool,
        ) {
            let x = signal(seed, num_samples);
            let offline = MelFrontEnd::new(config(fixed_norm)).unwrap().compute(&x, x.len(), None).unwrap();
            let mut streaming = StreamingMel::new(config(fixed_norm)).unwrap();
            // Twice: `finish` must leave nothing behind.
            for _ in 0..2 {
                let mut out = Vec::new();
                let mut rest = x.as_slice();
                for &chunk in chunks.iter().cycle().take(20_000) {
                    let (head, tail) = rest.split_at(chunk.min(rest.len()));
                    streaming.push(head, &mut out).unwrap();
                    rest = tail;
                }
                streaming.push(rest, &mut out).unwrap();
                streaming.finish(&mut out).unwrap();
                prop_assert!(out[..] == *offline.as_slice().unwrap());
            }
        }

        #[test]
        fn sees_no_further_than_its_lookahead(seed: u64, known in 300usize..4_000) {
            let x = signal(seed, 4_800);
            let clean = MelFrontEnd::new(config(false)).unwrap();
            let expected = clean.compute(&x, x.len(), None).unwrap();
            let mut poisoned = x.clone();
            poisoned[known..].fill(f32::NAN);
            let offline = clean.compute_unchecked(&poisoned, x.len(), None).unwrap();

            let mut streaming = StreamingMel::new(config(false)).unwrap();
            let determined = (known - streaming.lookahead_samples()) / 160 + 1;
            let mut out = Vec::new();
            let num_frames = streaming.push_unchecked(&poisoned[..known], &mut out);
            prop_assert_eq!(num_frames, determined);
            streaming.push_unchecked(&poisoned[known..], &mut out);

            let valid = determined * 128;
            prop_assert!(offline.as_slice().unwrap()[..valid] == expected.as_slice().unwrap()[..valid]);
            prop_assert!(out[..valid] == expected.as_slice().unwrap()[..valid]);
            // The NaN must be visible right after, or the test would prove nothing.
            prop_assert!(out[valid..].iter().take(128).all(|v| v.is_nan()));
        }
    }

    #[test]
    fn refuses_what_needs_the_whole_utterance() {
        assert!(StreamingMel::new(MelConfig::default()).is_err());
        let peak = PeakNorm::Fixed(1.0);
        assert!(StreamingMel::new(MelConfig { peak, ..MelConfig::default() }).is_err());
    }

    #[test]
    fn too_short_and_poisoned_signals_are_errors_and_leave_it_usable() {
        let mut streaming = StreamingMel::new(config(false)).unwrap();
        let mut out = Vec::new();
        assert!(streaming.finish(&mut out).is_err());
        streaming.push(&[0.1; 256], &mut out).unwrap();
        assert!(streaming.finish(&mut out).is_err());

        let x = signal(1, 1_000);
        out.clear();
        streaming.push(&x[..500], &mut out).unwrap();
        let error = streaming.push(&[0.0, f32::NAN], &mut out).unwrap_err();
        assert!(error.to_string().starts_with("sample 501 is NaN"), "{error}");
        streaming.push(&x[500..], &mut out).unwrap();
        streaming.finish(&mut out).unwrap();
        let offline = MelFrontEnd::new(config(false)).unwrap().compute(&x, x.len(), None).unwrap();
        assert_eq!(out, offline.as_slice().unwrap());
    }
}
