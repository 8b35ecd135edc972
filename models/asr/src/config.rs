//! Configuration of CTC fine-tuning.

use auricle_audio::MelConfig;
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
    /// Whether the head starts from there, too, where it is one of the same vocabulary. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub init_head: bool,
    /// Updates during which the encoder stays as it is (it still runs in training mode).
    /// Default: 0.
    #[serde(default)]
    pub freeze_encoder_steps: u64,
}

impl CtcConfig {
    /// What is wrong with this configuration, in words, or `Ok`.
    pub fn validate(&self) -> Result<(), String> {
        self.encoder.validate()?;
        self.encoder.validate_input(self.front_end.num_bins)?;
        self.head.validate()
    }
}
