//! Representations of a trained encoder.

use auricle_audio::{MelConfig, MelFrontEnd};
use auricle_nn::params::{self, NamedTensors};
use auricle_nn::weights::Metadata;
use auricle_nn::{Context, ConvTransformerEncoder, EncoderConfig, Initializer};
use auricle_rng::{Key, Purpose};
use auricle_train::TrainError;
use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;

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
    ) -> Result<Self, TrainError> {
        let fail = |reason: String| TrainError::Task(reason);
        let config = metadata
            .get("config")
            .ok_or_else(|| fail("these weights carry no `config`: not a model of auricle; give a run's folder or its model.safetensors".into()))?;
        let Described { front_end, encoder: config } =
            serde_json::from_str(config).map_err(|e| fail(format!("config: {e}")))?;
        config.validate().and_then(|()| config.validate_input(front_end.num_bins)).map_err(fail)?;
        let mut stream = Key::new(0).stream(Purpose::Init);
        let encoder = config.init(&mut Initializer::new(&mut stream, device));
        let encoder = params::load(encoder, "encoder", &mut tensors).map_err(|e| fail(e.to_string()))?;
        let sample_rate = front_end.sample_rate;
        let front_end = MelFrontEnd::new(front_end).map_err(|e| fail(e.to_string()))?;
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

    /// The encoder's output, or the residual stream after Transformer layer `layer` (from 1).
    ///
    /// # Errors
    /// A layer that does not exist; samples that are not finite.
    pub fn extract(&self, samples: &[f32], layer: Option<usize>) -> Result<Representation, TrainError> {
        if let Some(layer) = layer.filter(|layer| !(1..=self.layers()).contains(layer)) {
            return Err(TrainError::Task(format!(
                "there is no layer {layer}; the encoder has layers 1 to {}",
                self.layers()
            )));
        }
        let mut mel = self
            .front_end
            .compute(samples, samples.len(), None)
            .map_err(|e| TrainError::Data(e.to_string()))?;
        if mel.num_frames == 0 {
            return Ok(Representation { values: Vec::new(), frames: 0, width: self.config.output_width() });
        }
        let multiple = 16usize.max(self.config.downsampling());
        let frames = mel.num_frames.next_multiple_of(multiple);
        mel.data.resize(frames * self.config.bins, 0.0);
        let input = Tensor::from_data(TensorData::new(mel.data, [1, frames, self.config.bins]), &self.device);
        let lengths = [mel.num_frames];
        let mut context = Context::eval();
        let (output, lengths) = match layer {
            Some(layer) => self.encoder.forward_until(input, &lengths, layer, &mut context),
            None => self.encoder.forward(input, &lengths, &mut context),
        };
        let [_, _, width] = output.dims();
        let frames = lengths.first().copied().unwrap_or(0);
        let mut values =
            output.into_data().try_to_vec::<f32>().map_err(|e| TrainError::Task(format!("{e:?}")))?;
        values.truncate(frames * width);
        Ok(Representation { values, frames, width })
    }
}
