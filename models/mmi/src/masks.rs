//! SpecAugment as Kaldi's recipes use it: one band of random width, and pieces of time.

use auricle_rng::Stream;
use serde::{Deserialize, Serialize};

/// Masks on normalised features, where 0 is the mean.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaskConfig {
    /// The widest band, in bins: one band per utterance, its width uniform from 0. Default: 20.
    pub max_band: usize,
    /// Share of the time that is masked. Default: 0.2.
    pub time_share: f64,
    /// The longest masked piece, in frames: lengths are uniform from 1. Default: 20.
    pub max_piece: usize,
    /// Updates over which band and share grow from 0. Default: 0.
    pub ramp_steps: u64,
}

impl Default for MaskConfig {
    fn default() -> Self {
        Self { max_band: 20, time_share: 0.2, max_piece: 20, ramp_steps: 0 }
    }
}

impl MaskConfig {
    /// What is wrong with it, in words, or `Ok`.
    pub fn validate(&self) -> Result<(), String> {
        if !(0.0..=0.9).contains(&self.time_share) || self.max_piece == 0 {
            return Err(format!(
                "augment.masks: time_share {} is not between 0 and 0.9, or max_piece is 0",
                self.time_share
            ));
        }
        Ok(())
    }

    /// Masks the frames of one utterance, `[T, F]`, at a step.
    pub fn apply(&self, features: &mut [f32], bins: usize, step: u64, stream: &mut Stream) {
        let grown = match self.ramp_steps {
            0 => 1.0,
            ramp => (step as f64 / ramp as f64).min(1.0),
        };
        let widest = (self.max_band.min(bins) as f64 * grown).round() as usize;
        let width = stream.below(widest + 1);
        let first = stream.below(bins - width + 1);
        features.chunks_exact_mut(bins).for_each(|frame| frame[first..first + width].fill(0.0));
        let share = self.time_share * grown;
        if share <= 0.0 {
            return;
        }
        // Pieces and gaps by turns, of mean lengths in the ratio share : 1 − share.
        let piece = (1 + self.max_piece) as f64 / 2.0;
        let longest_gap = (2.0 * piece * (1.0 - share) / share).round() as usize;
        let frames = features.len() / bins;
        let mut t = stream.below(longest_gap + 1);
        while t < frames {
            let end = (t + 1 + stream.below(self.max_piece)).min(frames);
            features[t * bins..end * bins].fill(0.0);
            t = end + stream.below(longest_gap + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};

    fn masked(config: MaskConfig, step: u64) -> (f64, f64) {
        let (bins, frames) = (40, 20_000);
        let mut stream = Key::new(1).stream(Purpose::Test);
        let (mut rows, mut columns) = (0, 0);
        for _ in 0..20 {
            let mut features = vec![1f32; bins * frames];
            config.apply(&mut features, bins, step, &mut stream);
            rows += features.chunks(bins).filter(|row| row.iter().all(|&v| v == 0.0)).count();
            let column = |c: &usize| (0..frames).all(|t| features[t * bins + c] == 0.0);
            columns += (0..bins).filter(column).count();
        }
        (rows as f64 / (20 * frames) as f64, columns as f64 / 20.0)
    }

    #[test]
    fn shares_are_as_asked_and_grow() {
        let config = MaskConfig { ramp_steps: 100, ..MaskConfig::default() };
        assert_eq!(masked(config, 0), (0.0, 0.0));
        let (half, _) = masked(config, 50);
        let (share, band) = masked(config, 1000);
        assert!((share - 0.2).abs() < 0.01 && (half - 0.1).abs() < 0.01, "{share} {half}");
        assert!((5.0..15.0).contains(&band), "{band}");
    }

    #[test]
    fn little_is_left_alone() {
        let mut stream = Key::new(1).stream(Purpose::Test);
        MaskConfig::default().apply(&mut [], 40, 5, &mut stream);
        let mut one = vec![1.0; 3];
        MaskConfig { max_band: 90, ..MaskConfig::default() }.apply(&mut one, 3, 5, &mut stream);
        assert!(MaskConfig { time_share: 1.0, ..MaskConfig::default() }.validate().is_err());
    }
}
