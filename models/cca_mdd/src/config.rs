//! Configuration of a [`CcaMddModel`](crate::CcaMddModel).

use crate::Gop;
use crate::analysis::QUESTIONS;
use crate::inventory::CLASSES;
use crate::limits::{MAX_PHONES, MAX_SECS};
use auricle_audio::{FeatureNorm, MelConfig, PeakNorm};
use auricle_nn::config::{self, in_range};
use auricle_nn::{ConfigError, EncoderConfig, PositionalConvConfig, TransformerConfig};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How the text branch of the coupled cross-attention weighs the frames of a phone.
///
/// All of them are sums over the frames so far, so that a stream needs no frame twice: exponentials are kept
/// relative to the largest one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum FrameWeights {
    /// `softmax_T(scoreᵀ / τ)`; τ = 1 is the paper's equation (4).
    Softmax {
        /// τ. Default: 1.
        #[serde(default = "one")]
        temperature: f64,
    },
    /// `scoreᵀ / Σ_t scoreᵀ`.
    Column,
    /// `softmax_T` of the logits from before the first softmax.
    Logits,
}

fn one() -> f64 {
    1.0
}

/// Coupled cross-attention.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CocaConfig {
    /// Heads H.
    pub heads: usize,
    /// Weights of the text branch. Default: [`FrameWeights::Column`].
    #[serde(default = "column")]
    pub weights: FrameWeights,
    /// `LN(f + g)` and `LN(d + s)` instead of `g` and `s`. Default: true.
    #[serde(default = "yes")]
    pub residual: bool,
}

fn column() -> FrameWeights {
    FrameWeights::Column
}

fn yes() -> bool {
    true
}

/// Sizes of a stack of Transformer layers beside the encoder; its width is the encoder's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackConfig {
    /// Layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub feed_forward: usize,
    /// Dropout. Default: 0.1.
    #[serde(default = "tenth")]
    pub dropout: f64,
    /// Frames to the left of a uni-directional stack. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_context: Option<usize>,
}

fn tenth() -> f64 {
    0.1
}

impl StackConfig {
    /// A stack that looks to both sides; a short positional convolution tells left from right.
    pub(crate) fn bidirectional(&self) -> TransformerConfig {
        TransformerConfig { alibi: false, causal: false, left_context: None, ..self.causal() }
    }

    /// A stack that looks to the left only.
    pub(crate) fn causal(&self) -> TransformerConfig {
        TransformerConfig {
            layers: self.layers,
            heads: self.heads,
            feed_forward: self.feed_forward,
            layer_drop: 0.0,
            dropout: self.dropout,
            attention_dropout: self.dropout,
            activation_dropout: 0.0,
            positional: PositionalConvConfig { kernel: 9, groups: self.heads },
            alibi: true,
            causal: true,
            left_context: self.left_context,
            norm: Default::default(),
            init: Default::default(),
        }
    }
}

/// Weights of the losses: `L = L_CTC + β·L_SC + γ·L_PP + δ·L_align + ε·L_acoustic + ζ·L_analysis`, the first
/// three those of paper §2.3, the others ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// α: weight of a mispronounced phone beside a good one. Default: 5.
    pub alpha: f64,
    /// β: weight of the state classifier. Default: 1.
    pub beta: f64,
    /// γ: weight of the phone predictor. Default: 0.5.
    pub gamma: f64,
    /// δ: weight of the alignment loss, which is ours: the negative logarithm of the probability that the
    /// frames walk through the canonical phones in order (CTC over places in the prompt, as in
    /// arXiv 2108.10447 for speech synthesis). Default: 1.
    pub delta: f64,
    /// ε: weight of the CTC loss of the phone recogniser inside [`Gop`]. Default: 1.
    pub epsilon: f64,
    /// ζ: weight of the analysis of mistakes. Default: 0.3.
    pub zeta: f64,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self { alpha: 5.0, beta: 1.0, gamma: 0.5, delta: 1.0, epsilon: 1.0, zeta: 0.3 }
    }
}

impl LossConfig {
    /// # Errors
    /// A weight that is none.
    fn validate(&self) -> Result<(), ConfigError> {
        let Self { alpha, beta, gamma, delta, epsilon, zeta } = *self;
        for (name, weight) in [
            ("alpha", alpha),
            ("beta", beta),
            ("gamma", gamma),
            ("delta", delta),
            ("epsilon", epsilon),
            ("zeta", zeta),
        ] {
            in_range(name, weight, 0.0..=1e6).map_err(|error| error.within("model.loss"))?;
        }
        Ok(())
    }
}

/// Most numbers that a session keeps for its longest recording.
const MAX_SESSION_VALUES: usize = 1 << 28;

/// The `[model]` table of a CCA-MDD recipe.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CcaMddConfig {
    /// Front end; it must not need the whole utterance. Default: [`streaming_front_end`].
    #[serde(default = "streaming_front_end")]
    pub front_end: MelConfig,
    /// Acoustic encoder: causal Transformer blocks with position biases, look-ahead from convolutions only.
    pub encoder: EncoderConfig,
    /// Reference encoder over the canonical phones.
    pub reference: StackConfig,
    /// Coupled cross-attention.
    pub coca: CocaConfig,
    /// Whether phones are also judged by [goodness of pronunciation](crate::Gop). Default: true.
    #[serde(default = "yes")]
    pub gop: bool,
    /// Whether the model learns to [analyse mistakes](crate::analysis). Default: true.
    #[serde(default = "yes")]
    pub analysis: bool,
    /// Uni-directional Transformer of the CTC decoder.
    pub decoder: StackConfig,
    /// Width of the CTC decoder's hidden layer. Default: 512.
    #[serde(default = "hidden")]
    pub decoder_hidden: usize,
    /// Phone predictor.
    pub predictor: StackConfig,
    /// State classifier.
    pub classifier: StackConfig,
    /// Losses.
    #[serde(default)]
    pub loss: LossConfig,
    /// Corruption of prompts in training.
    #[serde(default)]
    pub exposure: ExposureConfig,
    /// Weights to start from: all of a CCA-MDD model that has every part of this one in the same shape, or
    /// the encoder of a SPIRAL or CTC model with the same encoder. Default: random weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_from: Option<PathBuf>,
}

fn hidden() -> usize {
    512
}

/// The SPIRAL front end with a fixed gain and without normalisation over the utterance.
pub fn streaming_front_end() -> MelConfig {
    MelConfig { num_bins: 80, peak: PeakNorm::Fixed(1.0), norm: FeatureNorm::None, ..MelConfig::default() }
}

impl CcaMddConfig {
    /// Seconds per encoder frame.
    pub fn frame_secs(&self) -> f64 {
        let hop = self.front_end.hop_samples as f64 / f64::from(self.front_end.sample_rate);
        hop * self.encoder.downsampling() as f64
    }

    /// # Errors
    /// What cannot be had, cannot run on a stream, or would be larger than any model.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let of_model = |error: ConfigError| error.within("model");
        self.front_end.validate().map_err(|error| ConfigError::new("model.front_end", error.to_string()))?;
        self.encoder.validate().map_err(of_model)?;
        self.encoder.validate_input(self.front_end.num_bins).map_err(of_model)?;
        if self.front_end.norm == FeatureNorm::Utterance || self.front_end.peak == PeakNorm::Utterance {
            let reason = "norm and peak of the whole utterance are not known while a learner speaks; set peak = { fixed = 1.0 } and norm = \"none\"";
            return Err(ConfigError::new("model.front_end", reason));
        }
        for (i, stage) in self.encoder.stages.iter().enumerate() {
            if !(stage.transformer.causal && stage.transformer.alibi) {
                let reason = "it looks ahead; set transformer.causal and transformer.alibi to true";
                return Err(ConfigError::new(format!("model.encoder.stages.{i}"), reason));
            }
        }
        in_range("seconds of an encoder frame", self.frame_secs(), 0.005..=1.0).map_err(of_model)?;
        let width = self.encoder.output_width();
        // What a session reserves: its encoder frames, and what they say of every phone.
        let frames = (MAX_SECS / self.frame_secs()).ceil() as usize;
        if frames.saturating_mul(width + MAX_PHONES) > MAX_SESSION_VALUES {
            let reason = "a session would keep more than 1 GiB; lower the width or the frame rate";
            return Err(ConfigError::new("model.encoder", reason));
        }
        let stacks = [
            ("model.reference", &self.reference),
            ("model.decoder", &self.decoder),
            ("model.predictor", &self.predictor),
            ("model.classifier", &self.classifier),
        ];
        for (name, stack) in stacks {
            in_range("layers", stack.layers, 0..=64).map_err(|error| error.within(name))?;
            stack.causal().validate(width).map_err(|error| error.within(name))?;
        }
        config::divides("model.coca.heads", self.coca.heads, "heads", width)?;
        if let FrameWeights::Softmax { temperature } = self.coca.weights {
            in_range("model.coca.weights.temperature", temperature, 1e-4..=1e4)?;
        }
        in_range("model.decoder_hidden", self.decoder_hidden, 1..=config::MAX_WIDTH)?;
        config::parameters("model", self.parameters())?;
        self.loss.validate()?;
        self.exposure.validate()
    }

    /// Values of the model.
    pub fn parameters(&self) -> usize {
        let width = self.encoder.output_width();
        let linear = config::of_linear;
        let coca = config::product(&[6, linear(width, width)]);
        let coca_norms = if self.coca.residual { config::product(&[4, width]) } else { 0 };
        config::sum([
            self.encoder.parameters(),
            config::product(&[CLASSES, width]),
            self.reference.bidirectional().parameters(width),
            coca,
            coca_norms,
            if self.gop { Gop::parameters(width) } else { 0 },
            self.decoder.causal().parameters(width),
            linear(width, self.decoder_hidden),
            linear(self.decoder_hidden, CLASSES),
            self.predictor.bidirectional().parameters(width),
            linear(width, width),
            linear(width, CLASSES),
            if self.analysis { linear(width, QUESTIONS) } else { 0 },
            self.classifier.bidirectional().parameters(width),
            linear(width, width),
            linear(width, 1),
        ])
    }
}

/// Mistake exposure: how often the prompt is made to disagree with what was said.
///
/// After arXiv 2310.10477: a model that is shown mistakes and what they are learns to find them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExposureConfig {
    /// Share of the utterances whose prompt is corrupted. Default: 0.8.
    pub utterances: f64,
    /// Probability that a canonical phone is replaced. Default: 0.08.
    pub substitute: f64,
    /// Share of the other replacements that stay among vowels or among consonants. Default: 0.8.
    pub within_class: f64,
    /// Share of the replacements by phones that are often confused with the spoken one ([`Confusions`](crate::Confusions)).
    /// Default: 0.
    pub confusion: f64,
    /// Probability that a canonical phone is left out. Default: 0.02.
    pub delete: f64,
    /// Probability that the prompt is replaced by the perceived phones, where these are known and differ: unusual
    /// words, correctly spoken. Without them unusual words are always mistakes, which the model can learn without
    /// using the sound. Default: 0.5.
    pub follow: f64,
    /// Probability that an unspoken phone is inserted before a canonical phone. Default: 0.02.
    pub insert: f64,
    /// Probability that a word is replaced by another word of the training prompts which differs in one
    /// phone (a minimal pair), where word boundaries are known. Improbable phones can be detected from the
    /// prompt alone, minimal pairs only from the sound. Default: 0.15.
    pub words: f64,
    /// Mining of false accepts: additional weight of a mistake in the classifier's loss by the share of mistakes of its kind
    /// (canonical phone, phone said) that the model recently accepted. Default: 0, mistakes of all kinds weigh the same.
    pub mining: f64,
}

impl Default for ExposureConfig {
    fn default() -> Self {
        Self {
            utterances: 0.8,
            substitute: 0.08,
            within_class: 0.8,
            confusion: 0.0,
            delete: 0.02,
            follow: 0.5,
            insert: 0.02,
            words: 0.15,
            mining: 0.0,
        }
    }
}

impl ExposureConfig {
    /// # Errors
    /// What is no probability, or too much.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let Self { utterances, substitute, within_class, confusion, delete, follow, insert, words, mining } =
            *self;
        in_range("model.exposure.mining", mining, 0.0..=100.0)?;
        for (name, p) in [
            ("utterances", utterances),
            ("substitute", substitute),
            ("within_class", within_class),
            ("confusion", confusion),
            ("delete", delete),
            ("follow", follow),
            ("insert", insert),
            ("words", words),
        ] {
            in_range(name, p, 0.0..=1.0).map_err(|error| error.within("model.exposure"))?;
        }
        in_range("model.exposure: substitute + delete", substitute + delete, 0.0..=1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CcaMddModel;
    use auricle_nn::{Initializer, params};
    use auricle_rng::{Key, Purpose};

    fn small() -> CcaMddConfig {
        let stack = r#"{ "layers": 1, "heads": 2, "feed_forward": 8, "left_context": 4 }"#;
        let text = format!(
            r#"{{ "encoder": {{ "bins": 80, "stages": [{{ "convs": [{{ "channels": 8, "kernel": 3, "stride": 2 }}],
            "transformer": {{ "layers": 1, "heads": 2, "feed_forward": 8, "alibi": true, "causal": true }} }}] }},
            "reference": {stack}, "coca": {{ "heads": 2 }}, "decoder": {stack}, "predictor": {stack},
            "classifier": {stack}, "decoder_hidden": 4 }}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_model_is_as_large_as_it_says() {
        let mut draws = Key::new(1).stream(Purpose::Test);
        let device = burn::tensor::Device::flex();
        for (gop, analysis, residual, layers) in [(true, true, true, 1), (false, false, false, 2)] {
            let mut config = CcaMddConfig { gop, analysis, ..small() };
            config.coca.residual = residual;
            config.predictor.layers = layers;
            assert_eq!(config.validate(), Ok(()));
            let model = CcaMddModel::new(&config, &mut Initializer::new(&mut draws, &device));
            let found: usize = params::collect(&model).values().map(|data| data.num_elements()).sum();
            assert_eq!(found, config.parameters());
        }
    }

    #[test]
    fn numbers_that_nobody_can_mean_are_refused_by_name() {
        let refused = |name: &str, change: &dyn Fn(&mut CcaMddConfig)| {
            let mut config = small();
            change(&mut config);
            let error = config.validate().unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        };
        for left in [usize::MAX, 50_000_000] {
            refused("model.decoder.left_context", &|config| config.decoder.left_context = Some(left));
            refused("model.reference.left_context", &|config| config.reference.left_context = Some(left));
            refused("model.encoder.stages.0.transformer.left_context", &|config| {
                config.encoder.stages[0].transformer.left_context = Some(left);
            });
        }
        refused("model.encoder.stages", &|config| {
            let conv = config.encoder.stages[0].convs[0].clone();
            config.encoder.stages[0].convs = vec![conv; 4_000];
        });
        refused("model.front_end: sample_rate", &|config| config.front_end.sample_rate = 1);
        refused("model.seconds of an encoder frame", &|config| config.front_end.hop_samples = 16);
        refused("model.coca.heads", &|config| config.coca.heads = usize::MAX);
        refused("model.classifier.feed_forward", &|config| config.classifier.feed_forward = usize::MAX);
        refused("model.decoder_hidden", &|config| config.decoder_hidden = 0);
        refused("model.loss.alpha", &|config| config.loss.alpha = f64::NAN);
        refused("model.exposure.words", &|config| config.exposure.words = 2.0);
        refused("model.coca.weights.temperature", &|config| {
            config.coca.weights = FrameWeights::Softmax { temperature: 0.0 };
        });
    }
}
