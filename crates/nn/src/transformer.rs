//! Transformer blocks with a convolutional positional embedding.

use crate::config::{
    MAX_CONTEXT, MAX_KERNEL, MAX_LAYERS, MAX_WIDTH, divides, in_range, of_linear, probability, product, sum,
};
use crate::{
    ConfigError, Context, Init, Initializer, LayerNorm, Linear, PositionalConv, PositionalConvConfig,
    zero_beyond,
};
use auricle_tensor::ops::{self, AttentionOptions, Dropout};
use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Where normalisation stands around a sub-layer.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormScheme {
    /// `x + f(LN(x))`, as SPIRAL.
    #[default]
    PreLn,
    /// `x + LN_post(f(LN(x)))` with post-gains starting at 1.
    Sandwich,
    /// The sandwich with post-gains starting at c/√L, L the layers of the block
    /// (Pangu Ultra, arXiv 2504.07866).
    DepthScaledSandwich {
        /// c of the attention sub-layer; the paper's value is 0.283.
        attention: f64,
        /// c of the feed-forward sub-layer; the paper's value is 0.432.
        feed_forward: f64,
    },
}

impl NormScheme {
    /// Initial gains of the post-norms of attention and feed-forward, where there are any.
    fn post_gains(self, layers: usize) -> Option<(f64, f64)> {
        match self {
            Self::PreLn => None,
            Self::Sandwich => Some((1.0, 1.0)),
            Self::DepthScaledSandwich { attention, feed_forward } => {
                let depth = (layers.max(1) as f64).sqrt();
                Some((attention / depth, feed_forward / depth))
            }
        }
    }
}

/// Configuration of a [`TransformerBlock`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerConfig {
    /// Layers L.
    pub layers: usize,
    /// Attention heads H; the width must be divisible by it.
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub feed_forward: usize,
    /// Probability of skipping a layer in training. Default: 0.
    #[serde(default)]
    pub layer_drop: f64,
    /// Dropout after the positional embedding and of the residual branches. Default: 0.1.
    #[serde(default = "tenth")]
    pub dropout: f64,
    /// Dropout of attention weights. Default: 0.1.
    #[serde(default = "tenth")]
    pub attention_dropout: f64,
    /// Dropout after the activation of the feed-forward layer. Default: 0.
    #[serde(default)]
    pub activation_dropout: f64,
    /// Positional embedding; not used with `alibi`.
    #[serde(default)]
    pub positional: PositionalConvConfig,
    /// Positions as a linear bias of the attention scores instead of the positional convolution. Default: false.
    #[serde(default)]
    pub alibi: bool,
    /// Attention to the left only, for streaming. Default: false.
    #[serde(default)]
    pub causal: bool,
    /// How many frames to the left a frame looks at, in training and streaming alike. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_context: Option<usize>,
    /// Where normalisation stands.
    #[serde(default)]
    pub norm: NormScheme,
    /// How linear maps start.
    #[serde(default)]
    pub init: Init,
}

fn tenth() -> f64 {
    0.1
}

impl TransformerConfig {
    /// # Errors
    /// What cannot be had in a block of this width.
    pub fn validate(&self, width: usize) -> Result<(), ConfigError> {
        in_range("layers", self.layers, 0..=MAX_LAYERS)?;
        in_range("feed_forward", self.feed_forward, 1..=MAX_WIDTH)?;
        divides("heads", self.heads, "heads", width)?;
        in_range("positional.kernel", self.positional.kernel, 1..=MAX_KERNEL)?;
        if !self.alibi {
            divides("positional.groups", self.positional.groups, "positional groups", width)?;
        }
        in_range("left_context", self.left_context.unwrap_or(0), 0..=MAX_CONTEXT)?;
        if let NormScheme::DepthScaledSandwich { attention, feed_forward } = self.norm {
            in_range("norm.attention", attention, 0.0..=100.0)?;
            in_range("norm.feed_forward", feed_forward, 0.0..=100.0)?;
        }
        probability("dropout", self.dropout)?;
        probability("attention_dropout", self.attention_dropout)?;
        probability("activation_dropout", self.activation_dropout)?;
        probability("layer_drop", self.layer_drop)
    }

    /// Values of a block of a width.
    pub fn parameters(&self, width: usize) -> usize {
        let PositionalConvConfig { kernel, groups } = self.positional;
        let direction = product(&[kernel, width / groups.max(1), width]);
        let positional = if self.alibi { 0 } else { sum([kernel, direction, width]) };
        let norms = if self.norm == NormScheme::PreLn { 2 } else { 4 };
        let layer = sum([
            product(&[4, of_linear(width, width)]),
            of_linear(width, self.feed_forward),
            of_linear(self.feed_forward, width),
            product(&[norms, 2, width]),
        ]);
        sum([positional, product(&[self.layers, layer]), product(&[2, width])])
    }

    /// Values that a stream keeps of the frames that are looked at again, where their number is limited.
    pub(crate) fn state(&self, width: usize) -> usize {
        let kept = self.left_context.map_or(0, |left| left.saturating_add(1));
        product(&[2, self.layers, kept, width])
    }
}

/// One layer: multi-head self-attention and feed-forward, each on a normalised residual branch.
#[derive(Module, Debug)]
pub struct TransformerLayer {
    /// LN before attention.
    pub attention_norm: LayerNorm,
    /// Query map.
    pub query: Linear,
    /// Key map.
    pub key: Linear,
    /// Value map.
    pub value: Linear,
    /// Output map.
    pub output: Linear,
    /// LN after attention (sandwich schemes).
    pub attention_post_norm: Option<LayerNorm>,
    /// LN before the feed-forward layer.
    pub feed_forward_norm: LayerNorm,
    /// First feed-forward map.
    pub expand: Linear,
    /// Second feed-forward map.
    pub contract: Linear,
    /// LN after the feed-forward layer (sandwich schemes).
    pub feed_forward_post_norm: Option<LayerNorm>,
    /// Attention heads.
    pub heads: usize,
    /// Whether positions are a bias of the scores.
    pub alibi: bool,
    /// Whether attention looks to the left only.
    pub causal: bool,
    /// How many frames to the left.
    pub left_context: Option<usize>,
    /// Dropout of the residual branches.
    pub dropout: f64,
    /// Dropout of attention weights.
    pub attention_dropout: f64,
    /// Dropout after the activation.
    pub activation_dropout: f64,
}

impl TransformerLayer {
    /// A layer of a block of the given configuration.
    pub fn new(width: usize, config: &TransformerConfig, init: &mut Initializer<'_>) -> Self {
        let std = config.init.std(width, config.layers);
        let post = config.norm.post_gains(config.layers);
        Self {
            attention_norm: LayerNorm::new(width, 1.0, init),
            query: Linear::normal(width, width, std, init),
            key: Linear::normal(width, width, std, init),
            value: Linear::normal(width, width, std, init),
            output: Linear::normal(width, width, std, init),
            attention_post_norm: post.map(|(gain, _)| LayerNorm::new(width, gain, init)),
            feed_forward_norm: LayerNorm::new(width, 1.0, init),
            expand: Linear::normal(width, config.feed_forward, std, init),
            contract: Linear::normal(config.feed_forward, width, std, init),
            feed_forward_post_norm: post.map(|(_, gain)| LayerNorm::new(width, gain, init)),
            heads: config.heads,
            alibi: config.alibi,
            causal: config.causal,
            left_context: config.left_context,
            dropout: config.dropout,
            attention_dropout: config.attention_dropout,
            activation_dropout: config.activation_dropout,
        }
    }

    /// `x += Drop(MHA(LN₁(x))); x += Drop(W₂·Drop(GELU(W₁·LN₂(x))))`.
    ///
    /// Queries are scaled by Dh^−½; keys at and beyond a row's length get no weight.
    ///
    /// # Shapes
    /// `[B, T, D]` → `[B, T, D]`
    pub fn forward(&self, x: Tensor<3>, lengths: &[usize], context: &mut Context) -> Tensor<3> {
        let y = self.attention_norm.forward(x.clone());
        let options = AttentionOptions {
            heads: self.heads,
            key_lengths: Some(lengths.to_vec()),
            causal: self.causal,
            left_context: self.left_context,
            query_limits: None,
            alibi: self.alibi,
            dropout: context
                .dropout_seed(self.attention_dropout)
                .map(|seed| Dropout { p: self.attention_dropout, seed }),
        };
        let y = ops::attention(
            self.query.forward(y.clone()),
            self.key.forward(y.clone()),
            self.value.forward(y),
            options,
        );
        let x = self.add(x, &self.attention_post_norm, self.output.forward(y), context);

        let y = self.expand.forward_gelu(self.feed_forward_norm.forward(x.clone()));
        let y = self.contract.forward(context.dropout(y, self.activation_dropout));
        self.add(x, &self.feed_forward_post_norm, y, context)
    }

    /// The end of a branch: `x + Drop(LN(branch))`, without LN in pre-norm schemes.
    fn add(
        &self,
        x: Tensor<3>,
        norm: &Option<LayerNorm>,
        branch: Tensor<3>,
        context: &mut Context,
    ) -> Tensor<3> {
        match norm {
            Some(norm) => {
                let mask = context.dropout_seed(self.dropout).map(|seed| Dropout { p: self.dropout, seed });
                ops::add_layer_norm(x, branch, norm.gamma.val(), norm.beta.val(), norm.epsilon, mask)
            }
            None => x + context.dropout(branch, self.dropout),
        }
    }
}

/// Positional convolution, L layers, final LN (SPIRAL §2).
#[derive(Module, Debug)]
pub struct TransformerBlock {
    /// Convolutional positional embedding, added to the input; absent with position biases.
    pub positional: Option<PositionalConv>,
    /// The layers.
    pub layers: Vec<TransformerLayer>,
    /// Final LN.
    pub norm: LayerNorm,
    /// Dropout after the positional embedding.
    pub dropout: f64,
    /// Probability of skipping a layer in training.
    pub layer_drop: f64,
}

impl TransformerBlock {
    /// A block of the given width.
    pub fn new(width: usize, config: &TransformerConfig, init: &mut Initializer<'_>) -> Self {
        Self {
            positional: (!config.alibi).then(|| PositionalConv::new(width, &config.positional, init)),
            layers: (0..config.layers).map(|_| TransformerLayer::new(width, config, init)).collect(),
            norm: LayerNorm::new(width, 1.0, init),
            dropout: config.dropout,
            layer_drop: config.layer_drop,
        }
    }

    /// # Shapes
    /// `[B, T, D]` and valid lengths → `[B, T, D]`; values at padded frames are unspecified.
    pub fn forward(&self, x: Tensor<3>, lengths: &[usize], context: &mut Context) -> Tensor<3> {
        let x = self.forward_layers(x, lengths, self.layers.len(), context);
        self.norm.forward(x)
    }

    /// The residual stream after the first `count` layers, before the final LN.
    ///
    /// # Shapes
    /// As [`Self::forward`].
    pub fn forward_layers(
        &self,
        x: Tensor<3>,
        lengths: &[usize],
        count: usize,
        context: &mut Context,
    ) -> Tensor<3> {
        let x = zero_beyond(x, lengths);
        let positioned = match &self.positional {
            Some(positional) => x.clone() + positional.forward(x),
            None => x,
        };
        let x = context.dropout(positioned, self.dropout);
        self.through(0..count.min(self.layers.len()), x, lengths, context)
    }

    /// What [`Self::forward_layers`] leaves to do after `done` layers: the others and the final LN.
    ///
    /// # Shapes
    /// As [`Self::forward`].
    pub fn forward_rest(
        &self,
        x: Tensor<3>,
        lengths: &[usize],
        done: usize,
        context: &mut Context,
    ) -> Tensor<3> {
        let x = self.through(done.min(self.layers.len())..self.layers.len(), x, lengths, context);
        self.norm.forward(x)
    }

    fn through(
        &self,
        layers: std::ops::Range<usize>,
        mut x: Tensor<3>,
        lengths: &[usize],
        context: &mut Context,
    ) -> Tensor<3> {
        for layer in &self.layers[layers] {
            if !context.drops_layer(self.layer_drop) {
                x = layer.forward(x, lengths, context);
            }
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};
    use burn::tensor::Device;

    /// Pangu Ultra's values: gains of the post-norms c/√L, weights with variance 1/(2·D·L).
    #[test]
    fn depth_scales_gains_and_weights() {
        let config = |norm: &str| -> TransformerConfig {
            let sizes = r#""layers": 12, "heads": 4, "feed_forward": 96, "init": "tiny""#;
            serde_json::from_str(&format!("{{{sizes}, \"norm\": {norm}}}")).unwrap()
        };
        let layer = |norm: &str| {
            let mut stream = Key::new(1).stream(Purpose::Test);
            TransformerLayer::new(48, &config(norm), &mut Initializer::new(&mut stream, &Device::flex()))
        };
        let scaled = layer(r#"{"depth_scaled_sandwich": {"attention": 0.283, "feed_forward": 0.432}}"#);
        let gains = |norm: &Option<LayerNorm>| -> Vec<f32> {
            norm.as_ref().unwrap().gamma.val().into_data().try_to_vec().unwrap()
        };
        assert!(gains(&scaled.attention_post_norm).iter().all(|g| (g - 0.0817).abs() < 1e-4));
        assert!(gains(&scaled.feed_forward_post_norm).iter().all(|g| (g - 0.1247).abs() < 1e-4));
        assert!(gains(&layer(r#""sandwich""#).attention_post_norm).iter().all(|&g| g == 1.0));
        assert!(layer(r#""pre_ln""#).attention_post_norm.is_none());
        let weights: Vec<f32> = scaled.expand.weight.val().into_data().try_to_vec().unwrap();
        let variance = weights.iter().map(|w| f64::from(w * w)).sum::<f64>() / weights.len() as f64;
        let wanted = 1.0 / (2.0 * 48.0 * 12.0);
        assert!((variance / wanted - 1.0).abs() < 0.1, "{variance} instead of {wanted}");
    }
}
