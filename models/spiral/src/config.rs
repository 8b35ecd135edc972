//! Configuration of SPIRAL pre-training.

use auricle_audio::MelConfig;
use auricle_augment::{ChannelConfig, LowPassConfig, NoiseConfig, ReverbConfig, SpecAugmentConfig};
use auricle_nn::config::in_range;
use auricle_nn::{ConfigError, EncoderConfig, MomentumSchedule};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The `[model]` table of a SPIRAL recipe.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpiralConfig {
    /// Front end. Default: SPIRAL §1.
    #[serde(default)]
    pub front_end: MelConfig,
    /// Encoder of student and teacher.
    pub encoder: EncoderConfig,
    /// Width P of projector and predictor. Published: 256 (Base), 512 (Large).
    pub projection: usize,
    /// Negatives per position. Default: 100.
    #[serde(default = "default_negatives")]
    pub negatives: usize,
    /// Temperature of the cosine similarity. Default: 0.3.
    #[serde(default = "default_temperature")]
    pub temperature: f64,
    /// Momentum of the teacher. Default: that of Base.
    #[serde(default)]
    pub momentum: MomentumSchedule,
    /// Subtract from the targets their mean over the batch's positions. Default: false, as
    /// published.
    ///
    /// Nothing holds the mean of the projection: the predictor's batch normalisation takes it out,
    /// so its gradient is noise, which Adam scales up to whole steps. In small models it drifts
    /// until all targets point the same way and the loss loses its contrast.
    #[serde(default)]
    pub center_targets: bool,
    /// Weights to go on from: an imported checkpoint (student, predictor and teacher) or an exported
    /// encoder. Default: random weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_from: Option<PathBuf>,
    /// Longer utterances are cropped to this, at a random offset. Default: 15.625 s.
    #[serde(default = "default_crop_secs")]
    pub crop_secs: f64,
}

fn default_negatives() -> usize {
    100
}

fn default_temperature() -> f64 {
    0.3
}

fn default_crop_secs() -> f64 {
    15.625
}

/// Limits of settings, far beyond the published ones (512, 100 and 16), small enough that a mistaken number is
/// an answer and not an exhausted memory.
const MAX_PROJECTION: usize = 1 << 13;
const MAX_NEGATIVES: usize = 10_000;
const MAX_SHIFT: usize = 1 << 10;

/// The `[augment]` table of a SPIRAL recipe.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpiralAugment {
    /// Masks on the student's features. Default: the published ones.
    #[serde(default = "SpecAugmentConfig::pretrain")]
    pub spec: SpecAugmentConfig,
    /// Position randomisation: up to this many encoder frames on either side of the teacher's
    /// input; 0 switches it off. Default: 16.
    #[serde(default = "default_max_shift")]
    pub max_shift: usize,
    /// Room: convolution with an impulse response of `data.rirs`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverb: Option<ReverbConfig>,
    /// Multi-condition noise on the student's waveform. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseConfig>,
    /// Narrow band. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_pass: Option<LowPassConfig>,
}

fn default_max_shift() -> usize {
    16
}

impl Default for SpiralAugment {
    fn default() -> Self {
        Self {
            spec: SpecAugmentConfig::pretrain(),
            max_shift: default_max_shift(),
            reverb: None,
            noise: None,
            low_pass: None,
        }
    }
}

impl SpiralAugment {
    /// The perturbations of the student's waveform. No change of level: the front end takes it out.
    pub fn channel(&self) -> ChannelConfig {
        let Self { reverb, noise, low_pass, .. } = self.clone();
        ChannelConfig { reverb, volume: None, noise, low_pass }
    }

    /// # Errors
    /// What is wrong with these settings by themselves.
    pub fn validate(&self) -> Result<(), ConfigError> {
        in_range("augment.max_shift", self.max_shift, 0..=MAX_SHIFT)
    }
}

impl SpiralConfig {
    /// # Errors
    /// What cannot be had, or would be larger than any model.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let of_model = |error: ConfigError| error.within("model");
        self.front_end.validate().map_err(|error| ConfigError::new("model.front_end", error.to_string()))?;
        self.encoder.validate().map_err(of_model)?;
        self.encoder.validate_input(self.front_end.num_bins).map_err(of_model)?;
        in_range("model.projection", self.projection, 1..=MAX_PROJECTION)?;
        in_range("model.negatives", self.negatives, 1..=MAX_NEGATIVES)?;
        in_range("model.temperature", self.temperature, 1e-4..=1e4)?;
        in_range("model.crop_secs", self.crop_secs, 0.01..=3_600.0)?;
        in_range("model.momentum.start", self.momentum.start, 0.0..=1.0)?;
        in_range("model.momentum.end", self.momentum.end, 0.0..=1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"{ "projection": 8, "encoder": { "stages": [{
        "convs": [{ "channels": 16 }],
        "transformer": { "layers": 1, "heads": 2, "feed_forward": 32 } }] } }"#;

    #[test]
    fn mistaken_sizes_are_named_before_anything_is_made() {
        let small: SpiralConfig = serde_json::from_str(SMALL).unwrap();
        assert_eq!(small.validate(), Ok(()));
        let with = |change: &dyn Fn(&mut SpiralConfig)| {
            let mut config = small.clone();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(with(&|c| c.projection = 0).contains("model.projection: 0"));
        assert!(with(&|c| c.projection = 1_000_000).contains("model.projection: 1000000"));
        assert!(with(&|c| c.negatives = usize::MAX).contains("model.negatives"));
        assert!(with(&|c| c.front_end.sample_rate = 1).contains("model.front_end: sample_rate"));
        assert!(with(&|c| c.front_end.hop_samples = 1).contains("hop_samples"));
        assert!(with(&|c| c.crop_secs = f64::MAX).contains("model.crop_secs"));
        let bins = |c: &mut SpiralConfig| c.encoder.bins = 1_000_000;
        assert!(with(&bins).contains("encoder.bins: 1000000"));
        let shifted = SpiralAugment { max_shift: 1_000_000, ..SpiralAugment::default() };
        assert!(shifted.validate().unwrap_err().to_string().contains("augment.max_shift: 1000000"));
        assert_eq!(SpiralAugment::default().validate(), Ok(()));
    }
}
