//! Configuration of LF-MMI training.

use crate::MaskConfig;
use auricle_audio::MelConfig;
use auricle_augment::{
    LowPassConfig, NoiseConfig, ReverbConfig, SilenceConfig, SpanMask, SpecAugmentConfig, VolumeConfig,
};
use auricle_decode::graph::Topology;
use auricle_nn::TdnnfConfig;
use auricle_text::phone_lm::PhoneLmConfig;
use auricle_text::units::SilenceModel;
use auricle_train::AugmentConfig;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The `[model]` table of an `mmi` recipe.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MmiConfig {
    /// Front end, with frames of 10 ms. Default: 40 mel bins from 20 to 7,600 Hz in windows of 25 ms, normalised over the
    /// utterance.
    #[serde(default = "front_end")]
    pub front_end: MelConfig,
    /// Network.
    #[serde(default)]
    pub net: TdnnfConfig,
    /// Pronouncing dictionaries; later ones are laid over earlier ones. Default: some 560 common words of English.
    #[serde(default)]
    pub lexicon: Vec<PathBuf>,
    /// Letter-to-sound model for words that are in no dictionary, of which the two best pronunciations are taken. Default:
    /// none, such words are errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub g2p: Option<PathBuf>,
    /// How phones take time. Default: `chain`.
    #[serde(default)]
    pub topology: Topology,
    /// A phone after another has outputs of its own where the pair occurs at least this often in the transcripts.
    /// Default: none, outputs do not depend on the phone before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_context_min_count: Option<usize>,
    /// Phone language model of the denominator.
    #[serde(default)]
    pub phone_lm: PhoneLmConfig,
    /// Silence in its text.
    #[serde(default)]
    pub silence: SilenceModel,
    /// Times that each transcript is drawn (pronunciations, silence) for its text. Default: 3.
    #[serde(default = "three")]
    pub draws: usize,
    /// Leak of the denominator. Default: 0.1.
    #[serde(default = "tenth")]
    pub leak: f64,
    /// Weight of the cross-entropy branch, whose targets are the posteriors of the numerator. Default: 0.1.
    #[serde(default = "tenth")]
    pub cross_entropy: f64,
    /// λ of the penalty `λ·y²` on the scores. Default: 2.5e-5.
    #[serde(default = "default_square")]
    pub square: f64,
    /// In training, up to this many frames are taken off the beginning, so that outputs see other frames. Default: 2.
    #[serde(default = "two")]
    pub max_shift: usize,
    /// Updates between steps towards semi-orthogonal maps; 0 is never. Default: 4.
    #[serde(default = "four")]
    pub orthogonal_every: u64,
    /// Weight decay of matrices whose scale a normalisation takes out. Default: that of the optimiser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix_weight_decay: Option<f64>,
    /// Share of a batch in the running averages of normalisation, from which evaluation normalises. Default: 0.02.
    #[serde(default = "default_norm_share")]
    pub norm_share: f64,
    /// Weights to start from: a run directory's `model.safetensors`, a folder or a shipped name. A model without context may
    /// begin one with context. Default: random weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_from: Option<PathBuf>,
}

fn front_end() -> MelConfig {
    MelConfig {
        num_bins: 40,
        window_samples: 400,
        low_hz: 20.0,
        high_hz: 7600.0,
        dither: 0.0,
        ..MelConfig::default()
    }
}

fn two() -> usize {
    2
}

fn three() -> usize {
    3
}

fn four() -> u64 {
    4
}

fn tenth() -> f64 {
    0.1
}

fn default_square() -> f64 {
    2.5e-5
}

fn default_norm_share() -> f64 {
    0.02
}

impl MmiConfig {
    /// What is wrong with this configuration, in words, or `Ok`.
    pub fn validate(&self) -> Result<(), String> {
        self.net.validate()?;
        self.silence.validate().map_err(|reason| format!("model.{reason}"))?;
        self.phone_lm.validate().map_err(|e| format!("model.phone_lm: {e}"))?;
        if self.net.bins != self.front_end.num_bins {
            return Err(format!(
                "model.net.bins is {} and model.front_end.num_bins {}: make them equal",
                self.net.bins, self.front_end.num_bins
            ));
        }
        if !(1..=100).contains(&self.draws) {
            return Err(format!("model.draws: {} is not between 1 and 100", self.draws));
        }
        if self.max_shift > 100 {
            return Err(format!("model.max_shift: {} frames are more than 100", self.max_shift));
        }
        let not_below_zero = [
            ("leak", self.leak),
            ("cross_entropy", self.cross_entropy),
            ("square", self.square),
            ("matrix_weight_decay", self.matrix_weight_decay.unwrap_or(0.0)),
        ];
        if let Some((name, value)) = not_below_zero.iter().find(|(_, value)| !(0.0..=1e3).contains(value)) {
            return Err(format!("model.{name}: {value} is not between 0 and 1000"));
        }
        if !(self.norm_share > 0.0 && self.norm_share <= 1.0) {
            return Err(format!("model.norm_share: {} is not above 0 and at most 1", self.norm_share));
        }
        Ok(())
    }

    /// Milliseconds from one output to the next.
    pub fn frame_millis(&self) -> u32 {
        let MelConfig { hop_samples, sample_rate, .. } = self.front_end;
        (1000 * hop_samples * auricle_nn::SUBSAMPLING / sample_rate.max(1) as usize) as u32
    }
}

/// The `[augment]` table of an `mmi` recipe; everything is left out where it is not given, but the masks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MmiAugment {
    /// Masks on the normalised features.
    pub masks: MaskConfig,
    /// Speed factors, one drawn per utterance and epoch.
    pub speed: Vec<f64>,
    /// Room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverb: Option<ReverbConfig>,
    /// Level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeConfig>,
    /// Noise on the waveform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseConfig>,
    /// Narrow band.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_pass: Option<LowPassConfig>,
    /// Silence before and after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence: Option<SilenceConfig>,
}

impl MmiAugment {
    /// What happens to the waveform; masks are put on in the training step.
    pub fn waveform(&self) -> AugmentConfig {
        let Self { speed, reverb, volume, noise, low_pass, silence, .. } = self.clone();
        let none = SpanMask { prob: 0.0, length: 1, min_spans: 0 };
        let spec = SpecAugmentConfig { time: none, frequency: none };
        AugmentConfig { spec, reverb, volume, noise, low_pass, speed, silence }
    }
}
