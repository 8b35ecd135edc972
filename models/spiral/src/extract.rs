//! Representations of a trained encoder, of recordings of any length.
//!
//! # Long recordings
//!
//! A recording of up to [`ExtractConfig::whole_secs`] goes through the encoder as a whole. A longer one
//! goes in windows of that length which overlap by twice [`ExtractConfig::context_secs`]; of each, the
//! frames closer than that to a cut are dropped, so that every frame comes from exactly one window.
//! Windows begin at whole output frames: number and times of the frames are those of the whole recording.
//! The values are not: the peak of the waveform, the mean and deviation of the features, and attention
//! are those of the window, and convolutions see nothing beyond it. So at a cut the values change from
//! one window's view to the next one's.

use auricle_audio::{AudioError, MelConfig, MelFrontEnd, padded};
use auricle_nn::params::NamedTensors;
use auricle_nn::stored::{self, StoredError};
use auricle_nn::weights::Metadata;
use auricle_nn::{Context, ConvTransformerEncoder, EncoderConfig};
use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;

/// Why there is no representation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// Weights that no encoder can be made of.
    #[error(transparent)]
    Stored(#[from] StoredError),
    /// Sound that cannot be used, or a front end that cannot be had.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// A layer that does not exist.
    #[error("there is no layer {layer}; the encoder has layers 1 to {layers}")]
    Layer {
        /// What was asked for.
        layer: usize,
        /// What there is.
        layers: usize,
    },
    /// Windows that are all context.
    #[error(
        "windows of {whole_secs} s with {context_secs} s of context on either side leave no frame; use longer windows"
    )]
    Windows {
        /// Seconds of a window.
        whole_secs: f64,
        /// Seconds of context on either side.
        context_secs: f64,
    },
    /// A device that fails.
    #[error("the device failed: {0}")]
    Device(String),
}

/// The part of a model's configuration that describes its encoder, whatever is on top of it.
#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    front_end: MelConfig,
    encoder: EncoderConfig,
}

/// Front end and encoder of an exported model.
pub struct Extractor {
    front_end: MelFrontEnd,
    config: EncoderConfig,
    sample_rate: u32,
    encoder: ConvTransformerEncoder,
    device: Device,
}

/// How much of a recording the encoder sees at once.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtractConfig {
    /// Longer recordings go through the encoder in windows of this length. Default: 60.
    pub whole_secs: f64,
    /// Context of every frame on either side, where the recording has it. Default: 10.
    pub context_secs: f64,
}

impl Default for ExtractConfig {
    fn default() -> Self {
        Self { whole_secs: 60.0, context_secs: 10.0 }
    }
}

/// What the encoder makes of an utterance.
#[derive(Debug, Clone, PartialEq)]
pub struct Representation {
    /// `[T', D]`, row-major.
    pub values: Vec<f32>,
    /// T'.
    pub frames: usize,
    /// D.
    pub width: usize,
}

impl Extractor {
    /// The extractor of exported weights, pre-trained or fine-tuned.
    ///
    /// # Errors
    /// Weights without a configuration, or that do not fit it.
    pub fn from_weights(
        mut tensors: NamedTensors,
        metadata: &Metadata,
        device: &Device,
    ) -> Result<Self, ExtractError> {
        let Described { front_end, encoder: config } = stored::json(metadata, "config")?;
        front_end.validate()?;
        config
            .validate()
            .and_then(|()| config.validate_input(front_end.num_bins))
            .map_err(StoredError::from)?;
        let encoder =
            stored::build(config.parameters(), "encoder", &mut tensors, device, |init| config.init(init))
                .map_err(StoredError::from)?;
        let sample_rate = front_end.sample_rate;
        let front_end = MelFrontEnd::new(front_end)?;
        Ok(Self { front_end, config, sample_rate, encoder, device: device.clone() })
    }

    /// Samples per second of the input.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Number of Transformer layers.
    pub fn layers(&self) -> usize {
        self.encoder.layers()
    }

    /// The extraction of one recording that arrives in pieces, in bounded memory (see the module).
    ///
    /// # Errors
    /// A layer that does not exist; a context that leaves nothing of a window.
    pub fn begin(
        &self,
        layer: Option<usize>,
        config: &ExtractConfig,
    ) -> Result<Extraction<'_>, ExtractError> {
        self.check_layer(layer)?;
        let step = self.front_end.config().hop_samples * self.config.downsampling();
        let steps = |secs: f64| (secs * f64::from(self.sample_rate)) as usize / step;
        let (window, context) = (steps(config.whole_secs), steps(config.context_secs));
        if window <= 2 * context {
            let ExtractConfig { whole_secs, context_secs } = *config;
            return Err(ExtractError::Windows { whole_secs, context_secs });
        }
        let kept = Vec::new();
        Ok(Extraction { extractor: self, layer, step, window, context, kept, is_first: true })
    }

    /// # Errors
    /// A layer that does not exist.
    pub fn check_layer(&self, layer: Option<usize>) -> Result<(), ExtractError> {
        match layer.filter(|layer| !(1..=self.layers()).contains(layer)) {
            Some(layer) => Err(ExtractError::Layer { layer, layers: self.layers() }),
            None => Ok(()),
        }
    }

    /// Values of a frame of a layer, or of the output.
    pub fn width(&self, layer: Option<usize>) -> usize {
        self.stage(layer).0
    }

    /// Width of a layer's stage, and its frames for one of the output.
    fn stage(&self, layer: Option<usize>) -> (usize, usize) {
        let mut left = layer.unwrap_or(usize::MAX);
        let mut downsampling = 1;
        for stage in &self.config.stages {
            downsampling *= stage.convs.iter().map(|conv| conv.stride.max(1)).product::<usize>();
            if left <= stage.transformer.layers {
                let width = stage.convs.last().map_or(0, |conv| conv.channels);
                return (width, self.config.downsampling() / downsampling);
            }
            left -= stage.transformer.layers;
        }
        (self.config.output_width(), 1)
    }

    /// The encoder's output, or the residual stream after Transformer layer `layer` (from 1).
    ///
    /// # Errors
    /// A layer that does not exist; samples that are not finite.
    pub fn extract(&self, samples: &[f32], layer: Option<usize>) -> Result<Representation, ExtractError> {
        self.check_layer(layer)?;
        let mel = self.front_end.compute(samples, samples.len(), None)?;
        let lengths = [mel.nrows()];
        if mel.nrows() == 0 {
            return Ok(Representation { values: Vec::new(), frames: 0, width: self.width(layer) });
        }
        let multiple = 16usize.max(self.config.downsampling());
        let frames = mel.nrows().next_multiple_of(multiple);
        let values = padded(mel, frames, 0.0);
        let input = Tensor::from_data(TensorData::new(values, [1, frames, self.config.bins]), &self.device);
        let mut context = Context::eval();
        let (output, lengths) = match layer {
            Some(layer) => self.encoder.forward_until(input, &lengths, layer, &mut context),
            None => self.encoder.forward(input, &lengths, &mut context),
        };
        let [_, _, width] = output.dims();
        let frames = lengths.first().copied().unwrap_or(0);
        let mut values =
            output.into_data().try_to_vec::<f32>().map_err(|e| ExtractError::Device(format!("{e:?}")))?;
        values.truncate(frames * width);
        Ok(Representation { values, frames, width })
    }
}

/// The representation of one recording that arrives in pieces; see [`Extractor::begin`].
pub struct Extraction<'e> {
    extractor: &'e Extractor,
    layer: Option<usize>,
    /// Samples of an output frame; below, lengths are in output frames.
    step: usize,
    window: usize,
    context: usize,
    /// Samples from the beginning of the next window on.
    kept: Vec<f32>,
    is_first: bool,
}

impl Extraction<'_> {
    /// Takes the next samples and appends the values of the frames that are complete, row by row.
    ///
    /// # Errors
    /// Samples that are not finite.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), ExtractError> {
        self.kept.extend_from_slice(samples);
        // Only if more follows: what is not longer than a window is taken as a whole.
        while self.kept.len() > self.window * self.step {
            let from = if self.is_first { 0 } else { self.context };
            self.extract(self.window * self.step, from..self.window - self.context, out)?;
            self.kept.drain(..(self.window - 2 * self.context) * self.step);
            self.is_first = false;
        }
        Ok(())
    }

    /// Ends the recording and appends the values of the frames that are left.
    ///
    /// # Errors
    /// A recording that is too short for a frame; samples that are not finite.
    pub fn finish(self, out: &mut Vec<f32>) -> Result<(), ExtractError> {
        let from = if self.is_first { 0 } else { self.context };
        self.extract(self.kept.len(), from..self.window, out)
    }

    /// Appends a range of output frames of the first `samples` that are kept.
    fn extract(
        &self,
        samples: usize,
        frames: std::ops::Range<usize>,
        out: &mut Vec<f32>,
    ) -> Result<(), ExtractError> {
        let samples = self.kept.get(..samples).unwrap_or(&self.kept);
        let Representation { values, frames: found, width } = self.extractor.extract(samples, self.layer)?;
        let (_, per_output) = self.extractor.stage(self.layer);
        let value = |frame: usize| (frame * per_output).min(found) * width;
        out.extend_from_slice(&values[value(frames.start)..value(frames.end)]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_nn::{Initializer, params};
    use auricle_rng::{Key, Purpose};

    const CONFIG: &str = r#"{ "encoder": { "bins": 128, "stages": [
        { "convs": [{ "channels": 16, "kernel": 5, "stride": 2, "activation": true },
                    { "channels": 16, "kernel": 5, "stride": 2, "activation": true }],
          "transformer": { "layers": 1, "heads": 2, "feed_forward": 32,
                           "positional": { "kernel": 8, "groups": 4 } } },
        { "convs": [{ "channels": 24, "kernel": 5, "stride": 2, "activation": true }],
          "transformer": { "layers": 2, "heads": 4, "feed_forward": 48,
                           "positional": { "kernel": 8, "groups": 4 } } }] } }"#;

    fn extractor() -> Extractor {
        let Described { encoder, .. } = serde_json::from_str(CONFIG).unwrap();
        let (device, mut stream) = (Device::flex(), Key::new(7).stream(Purpose::Init));
        let module = encoder.init(&mut Initializer::new(&mut stream, &device));
        let tensors =
            params::collect(&module).into_iter().map(|(name, data)| (format!("encoder.{name}"), data));
        let metadata = Metadata::from([("config".to_string(), CONFIG.to_string())]);
        Extractor::from_weights(tensors.collect(), &metadata, &device).unwrap()
    }

    #[test]
    fn windows_give_every_frame_once_and_do_not_depend_on_blocks() {
        let extractor = extractor();
        let config = ExtractConfig { whole_secs: 2.0, context_secs: 0.5 };
        let mut stream = Key::new(1).stream(Purpose::Test);
        // Around the length of a window, of a window and a step, and not a whole number of frames.
        for count in [8_000, 31_999, 32_000, 32_001, 47_360, 47_361, 48_001, 100_003] {
            let samples: Vec<f32> = (0..count).map(|_| 0.1 * stream.normal() as f32).collect();
            for layer in [None, Some(1), Some(3)] {
                let whole = extractor.extract(&samples, layer).unwrap();
                assert_eq!(whole.width, extractor.width(layer));
                let mut first = None;
                for block in [1_000, 40_000] {
                    let mut extraction = extractor.begin(layer, &config).unwrap();
                    let mut values = Vec::new();
                    for part in samples.chunks(block) {
                        extraction.push(part, &mut values).unwrap();
                        assert!(extraction.kept.len() <= 32_000);
                    }
                    extraction.finish(&mut values).unwrap();
                    assert_eq!(values.len(), whole.values.len(), "{count} samples, layer {layer:?}");
                    assert!(values.iter().all(|value| value.is_finite()));
                    if count <= 32_000 {
                        assert!(values == whole.values, "what fits into a window is one");
                    }
                    let first = first.get_or_insert_with(|| values.clone());
                    assert!(*first == values, "blocks of {block}");
                }
            }
        }
        assert!(extractor.begin(Some(4), &config).is_err());
        assert!(extractor.begin(None, &ExtractConfig { whole_secs: 1.0, context_secs: 0.5 }).is_err());
    }
}
