//! Configuration of CTC fine-tuning.

use auricle_audio::MelConfig;
use auricle_nn::{ConfigError, CtcHeadConfig, EncoderConfig};
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
    /// Whether the head starts from there, too: `true` is an error where it cannot, `false` a new head in any case.
    /// Default: it does where it is one of the same vocabulary and shape; the user is told where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_head: Option<bool>,
    /// Updates during which the encoder stays as it is (it still runs in training mode).
    /// Default: 0.
    #[serde(default)]
    pub freeze_encoder_steps: u64,
}

impl CtcConfig {
    /// Frames that the head makes of speech of `secs` seconds.
    pub fn output_frames(&self, secs: f64) -> usize {
        let mel = self.front_end.num_frames_from_secs(secs);
        mel.div_ceil(self.encoder.downsampling()).saturating_mul(self.head.upsampling())
    }

    /// Checks every number before anything is made of it.
    ///
    /// # Errors
    /// What cannot be had, or would be larger than any model.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let of_model = |error: ConfigError| error.within("model");
        self.front_end.validate().map_err(|error| ConfigError::new("model.front_end", error.to_string()))?;
        self.encoder.validate().map_err(of_model)?;
        self.encoder.validate_input(self.front_end.num_bins).map_err(of_model)?;
        self.head.validate().map_err(of_model)
    }

    /// Values of a model of `classes` tokens, blank included.
    pub fn parameters(&self, classes: usize) -> usize {
        let head = self.head.parameters(self.encoder.output_width(), classes);
        self.encoder.parameters().saturating_add(head)
    }
}
