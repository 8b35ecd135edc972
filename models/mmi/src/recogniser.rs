//! A trained model: samples in, scores, phones and alignments out.

use crate::{MmiConfig, MmiModel, System};
use auricle_audio::{Features, MelFrontEnd};
use auricle_decode::graph::{GraphError, Outputs, PhoneSpan, best_path};
use auricle_nn::params::{self, NamedTensors};
use auricle_nn::weights::Metadata;
use auricle_nn::{Initializer, SUBSAMPLING};
use auricle_rng::{Key, Purpose};
use auricle_text::PromptWord;
use auricle_text::phone_lm::PhoneLm;
use auricle_text::units::UNITS;
use auricle_train::TrainError;
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;

/// A model with its front end and its phones.
pub struct MmiRecogniser {
    config: MmiConfig,
    model: MmiModel,
    system: System,
    front_end: Arc<MelFrontEnd>,
    device: Device,
}

impl MmiRecogniser {
    /// A recogniser from exported weights.
    ///
    /// # Errors
    /// Weights of another kind, damaged, or of another shape.
    pub fn from_weights(
        mut tensors: NamedTensors,
        metadata: &Metadata,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let fail = |what: &str, e: &dyn std::fmt::Display| TrainError::Task(format!("{what}: {e}"));
        let field = |name: &str| {
            let value = metadata.get(name);
            value.ok_or_else(|| {
                fail("these weights", &format_args!("carry no `{name}`; give a run of an `mmi` recipe"))
            })
        };
        let kind = field("kind")?;
        if kind != "mmi" {
            return Err(fail("these weights", &format_args!("are a `{kind}` model, not one of kind `mmi`")));
        }
        let config: MmiConfig = serde_json::from_str(field("config")?).map_err(|e| fail("config", &e))?;
        config.validate().map_err(|e| fail("config", &e))?;
        let outputs: Outputs = serde_json::from_str(field("outputs")?).map_err(|e| fail("outputs", &e))?;
        outputs.validate().map_err(|e| fail("outputs", &e))?;
        let lm = PhoneLm::from_text(field("phone_lm")?).map_err(|e| fail("phone_lm", &e))?;
        if outputs.units() != UNITS || lm.units() != UNITS {
            return Err(fail("outputs", &format_args!("they are not of {UNITS} units")));
        }
        let system = System::new(lm, outputs).map_err(|e| fail("phone_lm", &e))?;
        let mut stream = Key::new(0).stream(Purpose::Init);
        let mut init = Initializer::new(&mut stream, device);
        let model = MmiModel::new(&config, system.outputs.count(), &mut init);
        let model = params::load(model, "", &mut tensors).map_err(|e| fail("weights", &e))?;
        let front_end = MelFrontEnd::new(config.front_end.clone()).map_err(|e| fail("front_end", &e))?;
        Ok(Self { config, model, system, front_end: Arc::new(front_end), device: device.clone() })
    }

    /// Samples per second of the input.
    pub fn sample_rate(&self) -> u32 {
        self.config.front_end.sample_rate
    }

    /// Seconds per output frame.
    pub fn frame_secs(&self) -> f64 {
        let hop = self.config.front_end.hop_samples as f64 / f64::from(self.sample_rate());
        hop * SUBSAMPLING as f64
    }

    /// Outputs, phone language model and graph.
    pub fn system(&self) -> &System {
        &self.system
    }

    /// Features of one utterance; none of what is shorter than the front end needs.
    ///
    /// # Errors
    /// Samples that are not finite.
    pub fn features(&self, samples: &[f32]) -> Result<Features, TrainError> {
        let config = self.front_end.config();
        if samples.len() <= config.fft_size / 2 {
            return Ok(Features::zeros((0, config.num_bins)));
        }
        self.front_end.compute(samples, samples.len(), None).map_err(|e| TrainError::Data(e.to_string()))
    }

    /// Scores of a batch: one `[T, N]` matrix, row-major, per utterance, without padding.
    ///
    /// The result for an utterance does not depend on the others of its batch.
    ///
    /// # Errors
    /// A tensor that cannot be read back.
    pub fn scores(&self, batch: &[Features]) -> Result<Vec<Vec<f32>>, TrainError> {
        let bins = self.config.net.bins;
        let lengths: Vec<usize> = batch.iter().map(|f| f.nrows()).collect();
        let frames = lengths.iter().copied().max().unwrap_or(0).next_multiple_of(SUBSAMPLING);
        if frames == 0 {
            return Ok(batch.iter().map(|_| Vec::new()).collect());
        }
        let mut values = Vec::with_capacity(batch.len() * frames * bins);
        for features in batch {
            values.extend(features.iter());
            values.resize(values.len() + (frames - features.nrows()) * bins, 0.0);
        }
        let mel = Tensor::from_data(TensorData::new(values, [batch.len(), frames, bins]), &self.device);
        let (scores, lengths) = self.model.forward(mel, &lengths);
        let [_, frames, outputs] = scores.dims();
        let values =
            scores.into_data().try_to_vec::<f32>().map_err(|e| TrainError::Task(format!("{e:?}")))?;
        let rows = values.chunks(frames * outputs).zip(lengths);
        Ok(rows.map(|(row, length)| row.get(..length * outputs).unwrap_or(row).to_vec()).collect())
    }

    /// The phones of scores by the phone language model alone, with their frames.
    ///
    /// # Errors
    /// Scores that are not of this model.
    pub fn phones(&self, scores: &[f32], beam: f32) -> Result<Vec<PhoneSpan>, GraphError> {
        if scores.is_empty() {
            return Ok(Vec::new());
        }
        let outputs = self.system.outputs.count();
        best_path(&self.system.denominator.graph, scores, outputs, beam).map(|(spans, _)| spans)
    }

    /// Where the phones of known words are, silence among them, and the log-score of the path.
    ///
    /// # Errors
    /// Words that the phone language model does not know, or too few frames for them.
    pub fn align(&self, scores: &[f32], words: &[PromptWord]) -> Result<(Vec<PhoneSpan>, f64), GraphError> {
        let numerator = self.system.numerator(words)?;
        let outputs = self.system.outputs.count();
        numerator.check(scores.len() / outputs, self.config.frame_millis())?;
        best_path(&numerator.graph, scores, outputs, f32::INFINITY)
    }
}
