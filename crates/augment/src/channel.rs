//! The way from a mouth to a microphone: room, level, noise, narrow band, in this order.

use crate::error::AugmentError;
use crate::noise::{NoiseConfig, NoiseError, NoiseSource, add_noise};
use crate::wave::{low_pass, reverb, volume};
use auricle_rng::{Key, Purpose};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A change of level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VolumeConfig {
    /// Probability per utterance. Default: 1.
    pub prob: f64,
    /// Gain, uniform between the two, in dB. Default: −12 to 6.
    pub gain_db: [f64; 2],
}

impl Default for VolumeConfig {
    fn default() -> Self {
        Self { prob: 1.0, gain_db: [-12.0, 6.0] }
    }
}

/// A room: convolution with one of the impulse responses of `data.rirs`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReverbConfig {
    /// Probability per utterance. Default: 0.5.
    pub prob: f64,
}

impl Default for ReverbConfig {
    fn default() -> Self {
        Self { prob: 0.5 }
    }
}

/// A narrow band, as of a telephone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LowPassConfig {
    /// Probability per utterance. Default: 0.25.
    pub prob: f64,
    /// Cut-off, uniform between the two, in Hz. Default: 2,000 to 4,000.
    pub cutoff_hz: [f64; 2],
}

impl Default for LowPassConfig {
    fn default() -> Self {
        Self { prob: 0.25, cutoff_hz: [2000.0, 4000.0] }
    }
}

/// All of it; what is `None` is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ChannelConfig {
    /// Room.
    pub reverb: Option<ReverbConfig>,
    /// Level.
    pub volume: Option<VolumeConfig>,
    /// Noise.
    pub noise: Option<NoiseConfig>,
    /// Narrow band.
    pub low_pass: Option<LowPassConfig>,
}

/// Recordings that perturbations draw from.
#[derive(Clone, Default)]
pub struct Libraries {
    /// Noise.
    pub noise: Option<Arc<dyn NoiseSource + Send + Sync>>,
    /// Room impulse responses.
    pub rooms: Option<Arc<dyn NoiseSource + Send + Sync>>,
}

impl ChannelConfig {
    /// Whether these perturbations can be made with these recordings.
    ///
    /// # Errors
    /// The first setting that is out of its domain, or that lacks its recordings.
    pub fn validate(&self, libraries: &Libraries) -> Result<(), AugmentError> {
        let probs = [
            ("reverb.prob", self.reverb.map(|c| c.prob)),
            ("volume.prob", self.volume.map(|c| c.prob)),
            ("noise.prob", self.noise.map(|c| c.prob)),
            ("low_pass.prob", self.low_pass.map(|c| c.prob)),
        ];
        for (field, prob) in probs {
            prob.map_or(Ok(()), |prob| AugmentError::check(field, prob, 0.0, 1.0))?;
        }
        let ranges = [
            ("volume.gain_db", self.volume.map(|c| c.gain_db)),
            ("noise.snr_db", self.noise.map(|c| c.snr_db)),
            ("low_pass.cutoff_hz", self.low_pass.map(|c| c.cutoff_hz)),
        ];
        for (field, range) in ranges {
            let bad = range.filter(|[low, high]| !(low <= high && (high - low).is_finite()));
            if let Some(value) = bad {
                let expected = "of numbers from low to high";
                return Err(AugmentError::Range { field, value, expected });
            }
        }
        if self.noise.is_some() && libraries.noise.is_none() {
            let recordings = "noise manifests in data.noise";
            return Err(AugmentError::NoRecordings { field: "noise", recordings });
        }
        if self.reverb.is_some() && libraries.rooms.is_none() {
            let recordings = "impulse-response manifests in data.rirs";
            return Err(AugmentError::NoRecordings { field: "reverb", recordings });
        }
        Ok(())
    }

    /// The samples as the microphone hears them; equal to `clean` where nothing was drawn.
    ///
    /// # Errors
    /// A recording that cannot be read.
    pub fn apply(
        &self,
        clean: &[f32],
        libraries: &Libraries,
        sample_rate: u32,
        key: Key,
    ) -> Result<Vec<f32>, NoiseError> {
        let mut samples = clean.to_vec();
        if let (Some(config), Some(rooms)) = (self.reverb, &libraries.rooms) {
            let mut stream = key.stream(Purpose::Reverb);
            if stream.chance(config.prob) && rooms.count() > 0 {
                let room = stream.below(rooms.count());
                samples = reverb(&samples, &rooms.read(room, 0, rooms.num_samples(room))?);
            }
        }
        if let Some(config) = self.volume {
            let mut stream = key.stream(Purpose::Volume);
            if stream.chance(config.prob) {
                samples = volume(&samples, stream.uniform_in(config.gain_db[0], config.gain_db[1]));
            }
        }
        if let (Some(config), Some(source)) = (&self.noise, &libraries.noise) {
            samples = add_noise(&samples, config, &**source, key)?;
        }
        if let Some(config) = self.low_pass {
            let mut stream = key.stream(Purpose::LowPass);
            if stream.chance(config.prob) {
                let cutoff = stream.uniform_in(config.cutoff_hz[0], config.cutoff_hz[1]);
                samples = low_pass(&samples, cutoff, sample_rate);
            }
        }
        Ok(samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One recording: a click, then a weaker one 8 samples later.
    struct Room;

    impl NoiseSource for Room {
        fn count(&self) -> usize {
            1
        }
        fn num_samples(&self, _: usize) -> usize {
            9
        }
        fn read(&self, _: usize, start: usize, len: usize) -> Result<Vec<f32>, NoiseError> {
            let response = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5];
            Ok(response[start..start + len].to_vec())
        }
    }

    fn noise(len: usize) -> Vec<f32> {
        let mut stream = Key::new(5).stream(Purpose::Test);
        (0..len).map(|_| stream.normal() as f32 * 0.1).collect()
    }

    fn with_room() -> Libraries {
        Libraries { noise: None, rooms: Some(Arc::new(Room)) }
    }

    #[test]
    fn nothing_configured_changes_nothing() {
        let clean = noise(500);
        let same =
            ChannelConfig::default().apply(&clean, &Libraries::default(), 16_000, Key::new(1)).unwrap();
        assert_eq!(same, clean);
    }

    #[test]
    fn a_room_echoes_and_keeps_words_in_place() {
        let config = ChannelConfig { reverb: Some(ReverbConfig { prob: 1.0 }), ..Default::default() };
        let mut clean = vec![0.0; 64];
        clean[10] = 1.0;
        let heard = config.apply(&clean, &with_room(), 16_000, Key::new(1)).unwrap();
        let scale = 1.0 / 1.25f32.sqrt();
        assert!((heard[10] - scale).abs() < 1e-5 && (heard[18] - 0.5 * scale).abs() < 1e-5, "{heard:?}");
        assert!(heard.iter().enumerate().all(|(i, x)| i == 10 || i == 18 || x.abs() < 1e-5));
    }

    #[test]
    fn draws_are_a_function_of_the_key_and_follow_the_probability() {
        let config = ChannelConfig {
            volume: Some(VolumeConfig { prob: 0.5, gain_db: [-6.0, -6.0] }),
            low_pass: Some(LowPassConfig { prob: 0.5, ..Default::default() }),
            ..Default::default()
        };
        let clean = noise(400);
        let libraries = Libraries::default();
        let apply = |i: u64| config.apply(&clean, &libraries, 16_000, Key::new(i)).unwrap();
        assert!((0..20).all(|i| apply(i) == apply(i)));
        let untouched = (0..400).filter(|&i| apply(i) == clean).count();
        assert!((60..140).contains(&untouched), "a quarter of 400 expected, {untouched} found");
    }

    #[test]
    fn what_cannot_be_is_said_in_words() {
        let config = ChannelConfig { reverb: Some(ReverbConfig::default()), ..Default::default() };
        assert!(config.validate(&Libraries::default()).unwrap_err().to_string().contains("data.rirs"));
        assert!(config.validate(&with_room()).is_ok());
        let config = ChannelConfig {
            volume: Some(VolumeConfig { prob: 1.5, ..Default::default() }),
            ..Default::default()
        };
        assert!(config.validate(&Libraries::default()).unwrap_err().to_string().contains("volume.prob"));
        let config = ChannelConfig {
            low_pass: Some(LowPassConfig { prob: 1.0, cutoff_hz: [f64::NAN, 1.0] }),
            ..Default::default()
        };
        assert!(config.validate(&Libraries::default()).unwrap_err().to_string().contains("cutoff_hz"));
    }
}
