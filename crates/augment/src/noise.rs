//! Multi-condition noise (SPIRAL §6).

use auricle_rng::{Key, Purpose};
use serde::{Deserialize, Serialize};

/// Gains beyond this are cut (dB): near-silent noise must not be blown up without limit.
const MAX_GAIN_DB: f64 = 300.0;

/// When and how loud noise is added.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NoiseConfig {
    /// Probability that an utterance is made noisy. Default: 0.5.
    pub prob: f64,
    /// Signal-to-noise ratio, uniform between the two, in dB. Default: 0 to 30.
    pub snr_db: [f64; 2],
    /// Shorter noise files are left out. Default: 1 s.
    pub min_noise_secs: f64,
}

impl Default for NoiseConfig {
    fn default() -> Self {
        Self { prob: 0.5, snr_db: [0.0, 30.0], min_noise_secs: 1.0 }
    }
}

/// Noise recordings at the utterance's sample rate.
pub trait NoiseSource {
    /// Number of recordings.
    fn count(&self) -> usize;

    /// Samples of recording `index`.
    fn num_samples(&self, index: usize) -> usize;

    /// `len` samples of recording `index` from `start` on.
    fn read(&self, index: usize, start: usize, len: usize) -> Result<Vec<f32>, NoiseError>;

    /// Samples per second.
    fn sample_rate(&self) -> u32 {
        16_000
    }
}

/// Noise cannot be added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoiseError {
    /// There is no usable recording.
    #[error("no noise recording of at least {min_secs} s; add some to data.noise")]
    Empty {
        /// The configured limit.
        min_secs: f64,
    },
    /// A recording could not be read.
    #[error("noise recording {name}: {reason}")]
    Read {
        /// Which one.
        name: String,
        /// Why.
        reason: String,
    },
}

/// The utterance, with probability `prob` with noise added; else a copy.
///
/// Recordings are drawn with replacement, with probability proportional to their duration, until
/// they cover the utterance; one that is longer than what is missing is cut at a uniform offset.
/// Every piece has its own gain, so that each has the drawn SNR against the whole utterance.
pub fn add_noise(
    clean: &[f32],
    config: &NoiseConfig,
    source: &dyn NoiseSource,
    key: Key,
) -> Result<Vec<f32>, NoiseError> {
    let mut stream = key.stream(Purpose::Noise);
    if !stream.chance(config.prob) || clean.is_empty() {
        return Ok(clean.to_vec());
    }
    let snr_db = key.stream(Purpose::Snr).uniform_in(config.snr_db[0], config.snr_db[1]);
    let shortest = (config.min_noise_secs * f64::from(source.sample_rate())) as usize;
    let usable: Vec<(usize, usize)> =
        (0..source.count()).map(|i| (i, source.num_samples(i))).filter(|&(_, n)| n > shortest).collect();
    let total: usize = usable.iter().map(|&(_, n)| n).sum();
    if total == 0 {
        return Err(NoiseError::Empty { min_secs: config.min_noise_secs });
    }
    let mut pieces = Vec::new();
    let mut missing = clean.len();
    while missing > 0 {
        let mut at = stream.below(total);
        let drawn = usable.iter().find(|&&(_, n)| {
            let inside = at < n;
            at = at.saturating_sub(n);
            inside
        });
        let &(index, length) = drawn.ok_or(NoiseError::Empty { min_secs: config.min_noise_secs })?;
        let take = length.min(missing);
        let start = stream.below(length - take + 1);
        pieces.push(source.read(index, start, take)?);
        missing -= take;
    }
    let pieces: Vec<&[f32]> = pieces.iter().map(Vec::as_slice).collect();
    Ok(mix_at_snr(clean, &pieces, snr_db))
}

/// Adds noise pieces, end to end, each scaled by `min(level(clean) − level(piece) − SNR, 300)` dB
/// with `level = 10·log₁₀(mean square)`.
///
/// Nothing is clipped; digital silence has level −∞ and stays silent.
pub fn mix_at_snr(clean: &[f32], pieces: &[&[f32]], snr_db: f64) -> Vec<f32> {
    let speech_db = level_db(clean);
    let mut noisy = clean.to_vec();
    let mut start = 0;
    for piece in pieces {
        let noise_db = level_db(piece);
        if speech_db.is_finite() && noise_db.is_finite() {
            let gain_db = (speech_db - noise_db - snr_db).min(MAX_GAIN_DB);
            let gain = 10f64.powf(gain_db / 20.0) as f32;
            for (sample, noise) in noisy.iter_mut().skip(start).zip(*piece) {
                *sample += gain * noise;
            }
        }
        start += piece.len();
    }
    noisy
}

/// 10·log₁₀ of the mean square.
fn level_db(samples: &[f32]) -> f64 {
    let energy: f64 = samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    10.0 * (energy / samples.len().max(1) as f64).log10()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Made(Vec<Vec<f32>>);

    impl NoiseSource for Made {
        fn count(&self) -> usize {
            self.0.len()
        }
        fn num_samples(&self, index: usize) -> usize {
            self.0[index].len()
        }
        fn read(&self, index: usize, start: usize, len: usize) -> Result<Vec<f32>, NoiseError> {
            Ok(self.0[index][start..start + len].to_vec())
        }
    }

    fn tone(len: usize, step: f32, amplitude: f32) -> Vec<f32> {
        (0..len).map(|i| amplitude * (i as f32 * step).sin()).collect()
    }

    #[test]
    fn each_piece_has_the_snr_against_the_whole_utterance() {
        let clean = tone(32_000, 0.05, 0.3);
        let (one, two) = (tone(20_000, 0.3, 0.01), tone(12_000, 0.7, 0.9));
        let noisy = mix_at_snr(&clean, &[&one, &two], 7.5);
        let noise: Vec<f32> = noisy.iter().zip(&clean).map(|(n, c)| n - c).collect();
        for piece in [&noise[..20_000], &noise[20_000..]] {
            let snr = level_db(&clean) - level_db(piece);
            assert!((snr - 7.5).abs() < 1e-3, "{snr}");
        }
    }

    #[test]
    fn silence_stays_silent_and_short_files_are_left_out() {
        let clean = tone(16_000, 0.1, 0.5);
        assert_eq!(mix_at_snr(&clean, &[&[0.0; 16_000]], 0.0), clean);
        assert_eq!(mix_at_snr(&[0.0; 100], &[&clean[..100]], 0.0), [0.0; 100]);
        let config = NoiseConfig { prob: 1.0, ..NoiseConfig::default() };
        let error = add_noise(&clean, &config, &Made(vec![tone(16_000, 0.2, 0.5)]), Key::new(1)).unwrap_err();
        assert!(error.to_string().contains("at least 1 s"));
    }

    #[test]
    fn half_of_the_utterances_become_noisy_and_snr_spans_its_range() {
        let clean = tone(24_000, 0.05, 0.3);
        let source = Made(vec![tone(17_000, 0.3, 0.5), tone(80_000, 0.9, 0.2)]);
        let config = NoiseConfig::default();
        let mut snrs = Vec::new();
        for i in 0..400 {
            let noisy = add_noise(&clean, &config, &source, Key::new(2).utterance(&i.to_string())).unwrap();
            let noise: Vec<f32> = noisy.iter().zip(&clean).map(|(n, c)| n - c).collect();
            if noise.iter().any(|&x| x != 0.0) {
                snrs.push(level_db(&clean) - level_db(&noise));
            }
        }
        assert!((160..240).contains(&snrs.len()), "{}", snrs.len());
        let mean = snrs.iter().sum::<f64>() / snrs.len() as f64;
        assert!((13.0..17.0).contains(&mean), "{mean}");
        assert!(snrs.iter().all(|snr| (-0.5..30.5).contains(snr)));
    }

    proptest! {
        #[test]
        fn length_is_kept_and_the_result_depends_on_the_key_only(len in 1usize..60_000, seed in 0u64..50) {
            let clean = tone(len, 0.05, 0.3);
            let source = Made(vec![tone(16_001, 0.3, 0.5), tone(20_000, 0.9, 0.2)]);
            let config = NoiseConfig { prob: 1.0, ..NoiseConfig::default() };
            let key = Key::new(seed);
            let noisy = add_noise(&clean, &config, &source, key).unwrap();
            prop_assert_eq!(noisy.len(), len);
            prop_assert_eq!(noisy, add_noise(&clean, &config, &source, key).unwrap());
        }
    }
}
