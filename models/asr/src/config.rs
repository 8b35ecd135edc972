//! Configuration of CTC fine-tuning.

use auricle_audio::MelConfig;
use auricle_augment::{
    ChannelConfig, LowPassConfig, NoiseConfig, ReverbConfig, SpecAugmentConfig, VolumeConfig,
};
use auricle_nn::{CtcHeadConfig, EncoderConfig};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The `[model]` table of a CTC recipe.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CtcConfig {
    /// Front end. Default: SPIRAL §1.
    #[serde(default)]
    pub front_end: MelConfig,
    /// Encoder; must be the pre-trained one's where `init_from` is given.
    pub encoder: EncoderConfig,
    /// Head.
    pub head: CtcHeadConfig,
    /// A tokenizer file of `auricle tokenizer train`, or a SentencePiece `.model`.
    /// Default: characters (SPIRAL §9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<PathBuf>,
    /// Pre-trained weights to start from: a run directory's `model.safetensors`, a folder or a
    /// shipped name. Default: random weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_from: Option<PathBuf>,
    /// Updates during which the encoder stays as it is (it still runs in training mode).
    /// Default: 0.
    #[serde(default)]
    pub freeze_encoder_steps: u64,
}

/// The `[augment]` table of a CTC recipe.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CtcAugment {
    /// Masks on the features. Default: those of Base on 100 hours.
    #[serde(default = "SpecAugmentConfig::finetune_base")]
    pub spec: SpecAugmentConfig,
    /// Room: convolution with an impulse response of `data.rirs`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverb: Option<ReverbConfig>,
    /// Level. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeConfig>,
    /// Multi-condition noise on the waveform. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseConfig>,
    /// Narrow band. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_pass: Option<LowPassConfig>,
    /// Speed factors, one drawn per utterance and epoch. Default: none.
    #[serde(default)]
    pub speed: Vec<f64>,
}

impl Default for CtcAugment {
    fn default() -> Self {
        Self {
            spec: SpecAugmentConfig::finetune_base(),
            reverb: None,
            volume: None,
            noise: None,
            low_pass: None,
            speed: Vec::new(),
        }
    }
}

impl CtcAugment {
    /// The perturbations of the waveform after the change of speed.
    pub fn channel(&self) -> ChannelConfig {
        let Self { reverb, volume, noise, low_pass, .. } = self.clone();
        ChannelConfig { reverb, volume, noise, low_pass }
    }
}

impl CtcConfig {
    /// What is wrong with this configuration, in words, or `Ok`.
    pub fn validate(&self) -> Result<(), String> {
        self.encoder.validate()?;
        self.encoder.validate_input(self.front_end.num_bins)?;
        self.head.validate()
    }
}
