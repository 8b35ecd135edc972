//! Configuration of a [`CcaMddModel`](crate::CcaMddModel).

use auricle_audio::{FeatureNorm, MelConfig, PeakNorm};
use auricle_nn::{EncoderConfig, PositionalConvConfig, TransformerConfig};
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
    /// ε: weight of the CTC loss of the phone recogniser inside [`Gop`](crate::Gop). Default: 1.
    pub epsilon: f64,
    /// ζ: weight of the analysis of mistakes. Default: 0.3.
    pub zeta: f64,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self { alpha: 5.0, beta: 1.0, gamma: 0.5, delta: 1.0, epsilon: 1.0, zeta: 0.3 }
    }
}

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

    /// What is wrong with this configuration, in words, or `Ok`.
    ///
    /// # Errors
    /// The reason.
    pub fn validate(&self) -> Result<(), String> {
        self.encoder.validate()?;
        self.encoder.validate_input(self.front_end.num_bins)?;
        if self.front_end.norm == FeatureNorm::Utterance || self.front_end.peak == PeakNorm::Utterance {
            return Err("model.front_end: norm and peak of the whole utterance are not known while a learner speaks; set peak = { fixed = 1.0 } and norm = \"none\"".into());
        }
        for (i, stage) in self.encoder.stages.iter().enumerate() {
            if !(stage.transformer.causal && stage.transformer.alibi) {
                return Err(format!(
                    "model.encoder: stage {i} looks ahead; set transformer.causal and transformer.alibi to true"
                ));
            }
        }
        let width = self.encoder.output_width();
        let stacks = [
            ("reference", &self.reference),
            ("decoder", &self.decoder),
            ("predictor", &self.predictor),
            ("classifier", &self.classifier),
        ];
        for (name, stack) in stacks {
            if stack.heads == 0 || !width.is_multiple_of(stack.heads) {
                return Err(format!(
                    "model.{name}: the width {width} is not divisible by {} heads",
                    stack.heads
                ));
            }
            if stack.layers > 64
                || !(1..=1 << 15).contains(&stack.feed_forward)
                || !(0.0..1.0).contains(&stack.dropout)
            {
                return Err(format!(
                    "model.{name}: more than 64 layers, a feed_forward outside 1..=32768 or a dropout outside 0..1"
                ));
            }
        }
        if self.coca.heads == 0 || !width.is_multiple_of(self.coca.heads) {
            return Err(format!(
                "model.coca: the width {width} is not divisible by {} heads",
                self.coca.heads
            ));
        }
        if let FrameWeights::Softmax { temperature } = self.coca.weights
            && !(temperature.is_finite() && temperature > 0.0)
        {
            return Err(format!("model.coca: temperature {temperature} is not above zero"));
        }
        if !(1..=1 << 15).contains(&self.decoder_hidden) {
            return Err(format!("model.decoder_hidden: {} is not between 1 and 32768", self.decoder_hidden));
        }
        self.exposure.validate()
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
    /// Share of the replacements that are phones taken for the one that was said ([`Confusions`](crate::Confusions)).
    /// Default: 0.
    pub confusion: f64,
    /// Probability that a canonical phone is left out. Default: 0.02.
    pub delete: f64,
    /// Probability that the prompt becomes what was said, where that is known and differs: strange words
    /// that are said as written. Without them a strange word is always a mistake, and the model need not
    /// listen. Default: 0.5.
    pub follow: f64,
    /// Probability that a phone which nobody said is put before a canonical phone. Default: 0.02.
    pub insert: f64,
    /// Probability that a word is replaced by another word of the training prompts which differs in one
    /// phone (a minimal pair), where word boundaries are known. Phones that nobody would ask for can be
    /// found by reading alone; these only by listening. Default: 0.15.
    pub words: f64,
    /// How much more a mistake weighs in the loss of the classifier for each one of its kind (canonical phone, phone
    /// said) that the model has lately accepted. Default: 0, mistakes of all kinds weigh the same.
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
    /// What is wrong, in words, or `Ok`.
    ///
    /// # Errors
    /// The reason.
    pub fn validate(&self) -> Result<(), String> {
        let Self { utterances, substitute, within_class, confusion, delete, follow, insert, words, mining } =
            *self;
        if !(0.0..=100.0).contains(&mining) {
            return Err(format!("model.exposure.mining: {mining} is not between 0 and 100"));
        }
        let all = [utterances, substitute, within_class, confusion, delete, follow, insert, words];
        if all.iter().all(|p| (0.0..=1.0).contains(p)) && substitute + delete <= 1.0 {
            return Ok(());
        }
        Err("model.exposure: probabilities must lie in 0..1, and substitute + delete must not exceed 1"
            .into())
    }
}
