//! The `[model]` table of a LaSyn recipe.

use crate::{Projection, TasksConfig};
use auricle_augment::{SpanMask, SpecAugmentConfig};
use auricle_nn::config::in_range;
use auricle_nn::{ConfigError, CtcHeadConfig, DecoderConfig};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a model writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// What was said.
    #[default]
    Text,
    /// What was meant.
    Meaning,
}

/// Training of a recogniser's upper part on real and pseudo-acoustic latents.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LasynConfig {
    /// The recogniser (kind `ctc`) that is cut in two; its upper part is trained further.
    pub base: PathBuf,
    /// Weights of an earlier run of this recipe to start from, instead of the recogniser's. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_from: Option<PathBuf>,
    /// A bank of the recogniser's latents, of `auricle lasyn fit`. Default: none; no text is used: the control.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bank: Option<PathBuf>,
    /// Transformer layers below the cut. Default: the bank's, else those of the first stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<usize>,
    /// How latents are made of text. Default: exemplars.
    #[serde(default = "exemplars")]
    pub projection: Projection,
    /// A trained synthesizer for that bank, of a recipe of task `lasyn_synthesizer`, instead of `projection`.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synthesizer: Option<PathBuf>,
    /// Takes of every sentence that are made once and kept in memory, up to 1 GiB, instead of latents that are made
    /// anew every time: for synthesizers slower than training. Default: anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_takes: Option<usize>,
    /// Texts: files with a sentence per line, or text manifests. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub text: Vec<PathBuf>,
    /// Texts and manifests whose sentences are left out of `text`, beside those of `data.validation`: what is to be
    /// measured on. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<PathBuf>,
    /// Share of pseudo-acoustic speech in an epoch, in expected seconds, above 0 and below 1. Default: 0.5.
    #[serde(default = "half")]
    pub pseudo_share: f64,
    /// The last steps are on real speech only. Default: 0.
    #[serde(default)]
    pub anneal_steps: u64,
    /// Lexicons in the format of the CMU dictionary, later ones first, then the letter-to-sound model.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lexicon: Vec<PathBuf>,
    /// Letter-to-sound model. Default: the one that comes with the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub g2p: Option<PathBuf>,
    /// Masks on latents, real and pseudo alike. Default: time p 0.05 × 10 frames, channels p 0.1 × 16.
    #[serde(default = "masks")]
    pub masks: SpecAugmentConfig,
    /// Standard deviation of noise on latents, as a share of theirs. Default: 0.1.
    #[serde(default = "tenth")]
    pub noise: f64,
    /// What is written: transcripts, or meanings (`auricle_text::slu`). Default: transcripts.
    #[serde(default)]
    pub target: Target,
    /// Other tasks on texts; they need a decoder. Default: none.
    #[serde(default)]
    pub tasks: TasksConfig,
    /// Another vocabulary than the recogniser's, with a new CTC head. Default: the recogniser's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<PathBuf>,
    /// The new head. Default: as the recogniser's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<CtcHeadConfig>,
    /// An attention decoder beside the CTC head. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder: Option<DecoderConfig>,
    /// Weight of CTC beside the decoder, in training and search. Default: 0.3.
    #[serde(default = "third")]
    pub ctc_weight: f64,
    /// Label smoothing of the decoder. Default: 0.1.
    #[serde(default = "tenth")]
    pub smoothing: f64,
    /// Hypotheses of the search in validation. Default: 4.
    #[serde(default = "beam")]
    pub beam: usize,
    /// Whether the lower part is trained on real speech, too. Default: false.
    #[serde(default)]
    pub train_lower: bool,
}

fn exemplars() -> Projection {
    Projection::Exemplars
}

fn third() -> f64 {
    0.3
}

fn beam() -> usize {
    4
}

fn half() -> f64 {
    0.5
}

fn tenth() -> f64 {
    0.1
}

/// Time p 0.05 × 10 frames, channels p 0.1 × 16.
fn masks() -> SpecAugmentConfig {
    SpecAugmentConfig {
        time: SpanMask { prob: 0.05, length: 10, min_spans: 0 },
        frequency: SpanMask { prob: 0.1, length: 16, min_spans: 0 },
    }
}

impl LasynConfig {
    /// # Errors
    /// What cannot be had, or does not fit together.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let no = |field: &str, reason: &str| Err(ConfigError::new(field, reason));
        in_range("model.pseudo_share", self.pseudo_share, 0.001..=0.99).map_err(|error| {
            ConfigError::new(error.field, format!("{}; without text leave model.bank out", error.reason))
        })?;
        in_range("model.noise", self.noise, 0.0..=10.0)?;
        in_range("model.ctc_weight", self.ctc_weight, 0.0..=1.0)?;
        in_range("model.smoothing", self.smoothing, 0.0..=1.0)?;
        in_range("model.beam", self.beam, 1..=256)?;
        in_range("model.split", self.split.unwrap_or(0), 0..=1 << 10)?;
        if let Some(head) = &self.head {
            head.validate().map_err(|error| error.within("model"))?;
        }
        if self.target == Target::Meaning && self.tokenizer.is_none() {
            return no(
                "model.tokenizer",
                "target = \"meaning\" needs one of `auricle tokenizer train --meanings`",
            );
        }
        if self.target == Target::Meaning && self.decoder.as_ref().is_some_and(|decoder| decoder.triggered) {
            return no(
                "model.decoder.triggered",
                "it is for outputs in the order of the speech, not for meanings",
            );
        }
        self.tasks.validate()?;
        if self.tasks.any() && (self.decoder.is_none() || self.target != Target::Meaning) {
            return no(
                "model.tasks",
                "they need model.decoder, which can be asked, and target = \"meaning\"",
            );
        }
        in_range("model.cached_takes", self.cached_takes.unwrap_or(1), 1..=1000)?;
        if self.cached_takes.is_some() && self.bank.is_none() {
            return no("model.cached_takes", "it is of no use without model.bank");
        }
        if self.bank.is_none() && !self.text.is_empty() {
            let reason = "text needs it, it says what text becomes: make one with `auricle lasyn fit`";
            return no("model.bank", reason);
        }
        if self.bank.is_some() && self.text.is_empty() {
            return no("model.bank", "it is of no use without model.text");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(settings: &str) -> Option<String> {
        let config: LasynConfig = toml::from_str(&format!("base = \"asr-en-small\"\n{settings}")).unwrap();
        config.validate().err().map(|error| error.to_string())
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let decoder = "decoder = { layers = 1, heads = 1, feed_forward = 8, triggered = true }";
        assert_eq!(refused(decoder), None);
        for (settings, name) in [
            (format!("{decoder}\ntarget = \"meaning\"\ntokenizer = \"t.json\""), "model.decoder.triggered"),
            ("target = \"meaning\"".into(), "model.tokenizer"),
            ("pseudo_share = 1.0".into(), "model.pseudo_share"),
            ("noise = -1.0".into(), "model.noise"),
            ("ctc_weight = 1.5".into(), "model.ctc_weight"),
            ("beam = 0".into(), "model.beam"),
            ("text = [\"a.txt\"]".into(), "model.bank"),
            ("bank = \"bank.safetensors\"".into(), "model.text"),
            ("bank = \"b\"\ntext = [\"a\"]\ncached_takes = 0".into(), "model.cached_takes"),
            ("cached_takes = 2".into(), "model.bank"),
        ] {
            let said = refused(&settings).unwrap_or_else(|| panic!("{settings} is not refused"));
            assert!(said.contains(name), "{settings}: {said}");
        }
    }
}
