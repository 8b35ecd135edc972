//! Silence around an utterance.

use crate::error::AugmentError;
use auricle_rng::{Key, Purpose};
use serde::{Deserialize, Serialize};

/// Silence before and after an utterance: white noise at a low level.
///
/// Corpora are cut at their words. Who presses a button first and speaks then is not, and a model that has never
/// met a pause may take it for speech.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SilenceConfig {
    /// Probability per utterance. Default: 0.5.
    pub prob: f64,
    /// Longest silence on either side, in seconds; each side is uniform between zero and this. Default: 1.
    pub max_secs: f64,
    /// Root mean square of the noise in dB of full scale, uniform between the two. Default: −90 to −50.
    pub level_db: [f64; 2],
}

impl Default for SilenceConfig {
    fn default() -> Self {
        Self { prob: 0.5, max_secs: 1.0, level_db: [-90.0, -50.0] }
    }
}

impl SilenceConfig {
    /// Whether such silence can be made.
    ///
    /// # Errors
    /// The first setting that is out of its domain.
    pub fn validate(&self) -> Result<(), AugmentError> {
        AugmentError::check("silence.prob", self.prob, 0.0, 1.0)?;
        AugmentError::check("silence.max_secs", self.max_secs, 0.0, 60.0)?;
        let [low, high] = self.level_db;
        if !(low <= high && low.is_finite() && high <= 0.0) {
            let (field, expected) = ("silence.level_db", "from low to high, up to 0");
            return Err(AugmentError::Range { field, value: self.level_db, expected });
        }
        Ok(())
    }

    /// The samples with silence around them; equal to `samples` where none was drawn.
    pub fn apply(&self, samples: Vec<f32>, sample_rate: u32, key: Key) -> Vec<f32> {
        let mut stream = key.stream(Purpose::Silence);
        if !stream.chance(self.prob) {
            return samples;
        }
        let longest = self.max_secs * f64::from(sample_rate);
        let [before, after] = [0, 1].map(|_| (stream.uniform() * longest) as usize);
        let level = 10f64.powf(stream.uniform_in(self.level_db[0], self.level_db[1]) / 20.0);
        let mut noise = |n: usize| -> Vec<f32> { (0..n).map(|_| (level * stream.normal()) as f32).collect() };
        let mut out = noise(before);
        out.extend(samples);
        out.extend(noise(after));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_surrounds_what_was_said() {
        let config = SilenceConfig { prob: 0.5, max_secs: 0.5, level_db: [-60.0, -60.0] };
        let said = vec![0.5f32; 100];
        let draws: Vec<Vec<f32>> =
            (0..400).map(|i| config.apply(said.clone(), 16_000, Key::new(i))).collect();
        let untouched = draws.iter().filter(|x| **x == said).count();
        assert!((150..250).contains(&untouched), "half of 400 expected, {untouched} found");
        for x in draws.iter().filter(|x| **x != said) {
            let start = x.iter().position(|&v| v == 0.5).unwrap();
            assert!(start <= 8_000 && x.len() - start - 100 <= 8_000);
            assert_eq!(x[start..start + 100], said);
        }
        let quiet: Vec<f32> = draws.iter().flatten().copied().filter(|&v| v != 0.5).collect();
        let rms = (quiet.iter().map(|v| f64::from(v * v)).sum::<f64>() / quiet.len() as f64).sqrt();
        assert!((rms - 1e-3).abs() < 2e-5, "{rms}");
        assert_eq!(config.apply(said.clone(), 16_000, Key::new(7)), draws[7]);
    }

    #[test]
    fn what_cannot_be_is_said_in_words() {
        for bad in [
            SilenceConfig { prob: f64::NAN, ..Default::default() },
            SilenceConfig { max_secs: -1.0, ..Default::default() },
            SilenceConfig { level_db: [-50.0, -90.0], ..Default::default() },
            SilenceConfig { level_db: [-90.0, 3.0], ..Default::default() },
        ] {
            assert!(bad.validate().unwrap_err().to_string().contains("augment.silence"), "{bad:?}");
        }
        assert_eq!(SilenceConfig::default().validate(), Ok(()));
    }
}
