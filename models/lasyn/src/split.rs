//! A recogniser cut in two.

use crate::LasynError;
use crate::LasynModel;
use auricle_asr::{CtcConfig, Stored};
use auricle_nn::params::{self, NamedTensors};
use auricle_nn::weights::Metadata;
use auricle_text::Tokenizer;
use burn::tensor::Device;

/// A CTC recogniser with a cut above one of its Transformer layers.
#[derive(Debug, Clone)]
pub struct SplitRecogniser {
    /// Its settings.
    pub config: CtcConfig,
    /// Its weights.
    pub model: LasynModel,
    /// What it writes.
    pub tokenizer: Tokenizer,
    /// Transformer layers below the cut, over all stages.
    pub split: usize,
}

impl SplitRecogniser {
    /// A recogniser from exported weights, cut above `split` layers; `None` cuts above the first stage.
    ///
    /// # Errors
    /// Weights that are no recogniser's, or a cut that is not inside.
    pub fn from_weights(
        mut tensors: NamedTensors,
        metadata: &Metadata,
        split: Option<usize>,
        device: &Device,
    ) -> Result<Self, LasynError> {
        let fail = LasynError::Model;
        let stored = Stored::read(metadata, &["ctc"])?;
        let model = LasynModel::of(stored.model(&mut tensors, device)?);
        let Stored { config, tokenizer } = stored;
        let layers = model.encoder.layers();
        let split = split.unwrap_or(config.encoder.stages[0].transformer.layers);
        if split > layers {
            return Err(fail(format!("a cut above layer {split}, but it has {layers}")));
        }
        Ok(Self { config, model, tokenizer, split })
    }

    /// Width of the latents.
    pub fn width(&self) -> usize {
        let stage = self.stage();
        self.config.encoder.stages[stage].convs.last().map_or(0, |conv| conv.channels)
    }

    /// Seconds per latent frame.
    pub fn frame_secs(&self) -> f64 {
        let front_end = &self.config.front_end;
        let strides = self.config.encoder.stages[..=self.stage()].iter().flat_map(|stage| &stage.convs);
        let down: usize = strides.map(|conv| conv.stride.max(1)).product();
        front_end.hop_samples as f64 / f64::from(front_end.sample_rate) * down as f64
    }

    /// The stage that the cut is in.
    fn stage(&self) -> usize {
        let mut left = self.split;
        for (i, stage) in self.config.encoder.stages.iter().enumerate() {
            if left <= stage.transformer.layers {
                return i;
            }
            left -= stage.transformer.layers;
        }
        self.config.encoder.stages.len() - 1
    }

    /// Whether a parameter is below the cut.
    pub fn is_lower(&self, name: &str) -> bool {
        let Some(rest) = name.strip_prefix("encoder.stages.") else { return false };
        let Some((stage, rest)) = rest.split_once('.') else { return false };
        let (Ok(stage), own) = (stage.parse::<usize>(), self.stage()) else { return false };
        if stage != own {
            return stage < own;
        }
        let below: usize = self.config.encoder.stages[..own].iter().map(|s| s.transformer.layers).sum();
        let layer = rest.strip_prefix("transformer.layers.").and_then(|rest| rest.split_once('.'));
        match layer {
            Some((layer, _)) => layer.parse::<usize>().is_ok_and(|layer| layer < self.split - below),
            None => !rest.starts_with("transformer.norm."),
        }
    }

    /// A hash of what is below the cut.
    pub fn lower_hash(&self) -> String {
        // FNV-1a over names and bits: it tells models apart, it guards nothing.
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        let mut put = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        for (name, data) in params::collect(&self.model) {
            if self.is_lower(&name) {
                name.bytes().for_each(&mut put);
                data.as_bytes().iter().copied().for_each(&mut put);
            }
        }
        format!("{hash:016x}")
    }
}
