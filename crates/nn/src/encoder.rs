//! The convolution–Transformer encoder of SPIRAL.

use crate::config::{self, MAX_LAYERS, MAX_STATE, MAX_WIDTH, in_range, probability};
use crate::{
    ConfigError, Context, ConvModule, ConvModuleConfig, Initializer, TransformerBlock, TransformerConfig,
};
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

/// Most halvings of the frame rate together: of frames of 10 ms they make one of 10 s.
const MAX_DOWNSAMPLING: usize = 1 << 10;

impl EncoderConfig {
    /// Width of the output.
    pub fn output_width(&self) -> usize {
        self.stages.last().and_then(|stage| stage.convs.last()).map_or(self.bins, |conv| conv.channels)
    }

    /// Input frames per output frame.
    pub fn downsampling(&self) -> usize {
        let strides = self.stages.iter().flat_map(|stage| &stage.convs).map(|conv| conv.stride.max(1));
        strides.fold(1, usize::saturating_mul)
    }

    /// # Errors
    /// What cannot be had, or would be larger than any model.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let within = |error: ConfigError| error.within("encoder");
        if self.stages.is_empty() {
            return Err(ConfigError::new("encoder.stages", "the encoder needs at least one stage"));
        }
        in_range("encoder.bins", self.bins, 1..=MAX_WIDTH)?;
        in_range("encoder.stages", self.stages.len(), 1..=MAX_LAYERS)?;
        probability("conv_dropout", self.conv_dropout).map_err(within)?;
        let mut state = 0usize;
        for (i, stage) in self.stages.iter().enumerate() {
            let name = format!("encoder.stages.{i}");
            let Some(width) = stage.convs.last().map(|conv| conv.channels) else {
                let reason = "it has no convolution module; it needs one to set its width";
                return Err(ConfigError::new(name, reason));
            };
            in_range(&format!("{name}.convs"), stage.convs.len(), 1..=MAX_LAYERS)?;
            for (k, conv) in stage.convs.iter().enumerate() {
                conv.validate().map_err(|error| error.within(&format!("{name}.convs.{k}")))?;
            }
            let of_block = |error: ConfigError| error.within(&format!("{name}.transformer"));
            stage.transformer.validate(width).map_err(of_block)?;
            state = state.saturating_add(stage.transformer.state(width));
        }
        let halvings = self.stages.iter().flat_map(|stage| &stage.convs).filter(|conv| conv.stride == 2);
        let most = MAX_DOWNSAMPLING.ilog2() as usize;
        if halvings.count() > most {
            let reason = format!("more than {most} convolutions with a stride of 2");
            return Err(ConfigError::new("encoder.stages", reason));
        }
        if state > MAX_STATE {
            let reason = "a stream would keep more than 1 GiB; lower left_context, the width or the layers";
            return Err(ConfigError::new("encoder", reason));
        }
        config::parameters("encoder", self.parameters())
    }

    /// Values of the encoder.
    pub fn parameters(&self) -> usize {
        let mut channels = self.bins;
        let stage = |stage: &StageConfig| {
            let convs = config::sum(stage.convs.iter().map(|conv| {
                let values = conv.parameters(channels);
                channels = conv.channels;
                values
            }));
            convs.saturating_add(stage.transformer.parameters(channels))
        };
        config::sum(self.stages.iter().map(stage))
    }

    /// # Errors
    /// A front end that makes another number of mel bins than the encoder reads.
    pub fn validate_input(&self, front_end_bins: usize) -> Result<(), ConfigError> {
        if self.bins == front_end_bins {
            return Ok(());
        }
        let reason = format!(
            "it is {}, but the front end makes {front_end_bins}: set front_end.num_bins to the same number",
            self.bins
        );
        Err(ConfigError::new("encoder.bins", reason))
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
