//! The convolution–Transformer encoder of SPIRAL.

use crate::{Context, ConvModule, ConvModuleConfig, Initializer, TransformerBlock, TransformerConfig};
use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// One stage: convolution modules, then a Transformer block of the last module's width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageConfig {
    /// Convolution modules.
    pub convs: Vec<ConvModuleConfig>,
    /// Transformer block.
    pub transformer: TransformerConfig,
}

/// Configuration of a [`ConvTransformerEncoder`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// Mel bins F. Default: 128.
    #[serde(default = "default_bins")]
    pub bins: usize,
    /// Dropout of the convolution modules. Default: 0.1.
    #[serde(default = "default_dropout")]
    pub conv_dropout: f64,
    /// Stages from input to output.
    pub stages: Vec<StageConfig>,
}

fn default_bins() -> usize {
    128
}

fn default_dropout() -> f64 {
    0.1
}

/// Limits of configurations that come from recipes and model files: far beyond any published size,
/// small enough that a mistaken number is an answer and not an exhausted memory.
pub(crate) const MAX_WIDTH: usize = 1 << 15;
const MAX_LAYERS: usize = 512;
const MAX_KERNEL: usize = 1 << 12;

/// A drop probability that leaves something.
pub(crate) fn validate_probability(name: &str, p: f64) -> Result<(), String> {
    if (0.0..1.0).contains(&p) { Ok(()) } else { Err(format!("{name}: {p} is not in 0..1")) }
}

impl EncoderConfig {
    /// Width of the output.
    pub fn output_width(&self) -> usize {
        self.stages.last().and_then(|stage| stage.convs.last()).map_or(self.bins, |conv| conv.channels)
    }

    /// Input frames per output frame.
    pub fn downsampling(&self) -> usize {
        self.stages.iter().flat_map(|stage| &stage.convs).map(|conv| conv.stride.max(1)).product()
    }

    /// What is wrong with this configuration, in words, or `Ok`.
    pub fn validate(&self) -> Result<(), String> {
        if self.stages.is_empty() || self.bins == 0 {
            return Err("the encoder needs at least one stage and one mel bin".into());
        }
        if self.bins > MAX_WIDTH {
            return Err(format!("encoder.bins: {} is above {MAX_WIDTH}", self.bins));
        }
        validate_probability("conv_dropout", self.conv_dropout)?;
        for (i, stage) in self.stages.iter().enumerate() {
            let Some(width) = stage.convs.last().map(|conv| conv.channels) else {
                return Err(format!("stage {i} has no convolution module; it needs one to set its width"));
            };
            for conv in &stage.convs {
                if conv.channels > MAX_WIDTH || conv.kernel > MAX_KERNEL {
                    return Err(format!(
                        "stage {i}: more than {MAX_WIDTH} channels or a kernel over {MAX_KERNEL}: {conv:?}"
                    ));
                }
                if conv.channels == 0 || conv.kernel % 2 == 0 || !(1..=2).contains(&conv.stride) {
                    return Err(format!(
                        "stage {i}: a convolution needs channels > 0, an odd kernel and stride 1 or 2, not {conv:?}"
                    ));
                }
            }
            let TransformerConfig { layers, heads, feed_forward, positional, .. } = &stage.transformer;
            if *layers > MAX_LAYERS
                || !(1..=MAX_WIDTH).contains(feed_forward)
                || positional.kernel > MAX_KERNEL
            {
                return Err(format!(
                    "stage {i}: layers above {MAX_LAYERS}, feed_forward outside 1..={MAX_WIDTH} or a positional kernel above {MAX_KERNEL}"
                ));
            }
            let TransformerConfig { dropout, attention_dropout, activation_dropout, layer_drop, .. } =
                stage.transformer;
            for (name, p) in [
                ("dropout", dropout),
                ("attention_dropout", attention_dropout),
                ("activation_dropout", activation_dropout),
                ("layer_drop", layer_drop),
            ] {
                validate_probability(&format!("stage {i}: {name}"), p)?;
            }
            if *heads == 0 || width % heads != 0 {
                return Err(format!("stage {i}: width {width} is not divisible by {heads} heads"));
            }
            if positional.groups == 0 || width % positional.groups != 0 || positional.kernel == 0 {
                return Err(format!(
                    "stage {i}: width {width} is not divisible by {} positional groups",
                    positional.groups
                ));
            }
        }
        Ok(())
    }

    /// Whether the front end's number of mel bins is what the encoder reads.
    pub fn validate_input(&self, front_end_bins: usize) -> Result<(), String> {
        if self.bins == front_end_bins {
            return Ok(());
        }
        Err(format!(
            "encoder.bins is {}, but the front end makes {front_end_bins}: set front_end.num_bins to the same number",
            self.bins
        ))
    }

    /// The encoder with initial values of SPIRAL §2.
    pub fn init(&self, init: &mut Initializer<'_>) -> ConvTransformerEncoder {
        let mut channels = self.bins;
        let stages = self
            .stages
            .iter()
            .map(|stage| {
                let convs = stage
                    .convs
                    .iter()
                    .map(|config| {
                        let module = ConvModule::new(channels, config, self.conv_dropout, init);
                        channels = config.channels;
                        module
                    })
                    .collect();
                Stage { convs, transformer: TransformerBlock::new(channels, &stage.transformer, init) }
            })
            .collect();
        ConvTransformerEncoder { stages }
    }
}

/// A stage of the encoder.
#[derive(Module, Debug)]
pub struct Stage {
    /// Convolution modules.
    pub convs: Vec<ConvModule>,
    /// Transformer block.
    pub transformer: TransformerBlock,
}

/// Convolutions that halve the frame rate, alternating with Transformer blocks (SPIRAL §2).
#[derive(Module, Debug)]
pub struct ConvTransformerEncoder {
    /// Stages from input to output.
    pub stages: Vec<Stage>,
}

impl ConvTransformerEncoder {
    /// # Shapes
    /// - input `[B, T, F]`, T a multiple of the down-sampling, and valid lengths
    /// - output `[B, T', D]` and valid lengths `⌈length/2⌉` per halving; padded frames unspecified
    pub fn forward(
        &self,
        mel: Tensor<3>,
        lengths: &[usize],
        context: &mut Context,
    ) -> (Tensor<3>, Vec<usize>) {
        let mut x = mel;
        let mut lengths = lengths.to_vec();
        for stage in &self.stages {
            for conv in &stage.convs {
                (x, lengths) = conv.forward(x, &lengths, context);
            }
            x = stage.transformer.forward(x, &lengths, context);
        }
        (x, lengths)
    }

    /// What [`Self::forward_until`] leaves to do: from the residual stream after `layer` Transformer layers
    /// (counted over all stages) to the output.
    ///
    /// # Shapes
    /// `[B, T, D]` at that layer's rate and valid lengths → `[B, T', D']` and valid lengths
    pub fn forward_from(
        &self,
        x: Tensor<3>,
        lengths: &[usize],
        layer: usize,
        context: &mut Context,
    ) -> (Tensor<3>, Vec<usize>) {
        let (mut x, mut lengths) = (x, lengths.to_vec());
        let mut done = layer;
        let mut begun = false;
        for stage in &self.stages {
            let own = stage.transformer.layers.len();
            if !begun && done > own {
                done -= own;
                continue;
            }
            if begun {
                for conv in &stage.convs {
                    (x, lengths) = conv.forward(x, &lengths, context);
                }
                x = stage.transformer.forward(x, &lengths, context);
            } else {
                x = stage.transformer.forward_rest(x, &lengths, done, context);
                begun = true;
            }
        }
        (x, lengths)
    }

    /// Number of Transformer layers in all stages.
    pub fn layers(&self) -> usize {
        self.stages.iter().map(|stage| stage.transformer.layers.len()).sum()
    }

    /// The residual stream after Transformer layer `layer`, counted from 1 over all stages.
    ///
    /// # Shapes
    /// As [`Self::forward`], with the width and frame rate of the layer's stage.
    pub fn forward_until(
        &self,
        mel: Tensor<3>,
        lengths: &[usize],
        layer: usize,
        context: &mut Context,
    ) -> (Tensor<3>, Vec<usize>) {
        let mut x = mel;
        let mut lengths = lengths.to_vec();
        let mut left = layer;
        for stage in &self.stages {
            for conv in &stage.convs {
                (x, lengths) = conv.forward(x, &lengths, context);
            }
            let own = stage.transformer.layers.len();
            if left <= own {
                return (stage.transformer.forward_layers(x, &lengths, left, context), lengths);
            }
            left -= own;
            x = stage.transformer.forward(x, &lengths, context);
        }
        (x, lengths)
    }
}
