//! A trained model, ready to listen.

use crate::gop::GopSums;
use crate::{CcaMddConfig, CcaMddModel, Judged};
use auricle_nn::Context;
use auricle_nn::params::NamedTensors;
use auricle_nn::stored::{self, StoredError};
use auricle_nn::streaming::{Dense, Norm, StreamingEncoder, StreamingError, StreamingTransformer};
use auricle_nn::weights::Metadata;
use burn::tensor::{Device, Tensor, TensorData};

/// A CCA-MDD model with the weights of its streaming half in host memory.
///
/// One assessor serves many [sessions](crate::Session) at once.
#[derive(Debug, Clone)]
pub struct Assessor {
    pub(crate) config: CcaMddConfig,
    pub(crate) model: CcaMddModel,
    pub(crate) device: Device,
    threshold: f64,
    pub(crate) encoder: StreamingEncoder,
    pub(crate) decoder: StreamingTransformer,
    pub(crate) query: Dense,
    pub(crate) frame_value: Dense,
    pub(crate) frame_output: Dense,
    pub(crate) frame_norm: Option<Norm>,
    pub(crate) gop: Option<GopSums>,
    pub(crate) hidden: Dense,
    pub(crate) output: Dense,
}

/// Canonical phones as the reference encoder sees them.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    /// Output of the reference encoder, `[1, M, D]`.
    pub(crate) states: Tensor<3>,
    /// Keys and values of the coupled attention, `[M, D]`.
    pub(crate) keys: Vec<f32>,
    pub(crate) values: Vec<f32>,
}

/// What the offline half says of every canonical phone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judgement {
    /// Probability of "mispronounced".
    pub(crate) badness: f32,
    /// The phone predictor's most probable class, and its probability.
    pub(crate) best: (u32, f32),
}

impl Assessor {
    /// An assessor from exported weights.
    ///
    /// # Errors
    /// Weights of another kind of model, or damaged ones.
    pub fn from_weights(
        mut tensors: NamedTensors,
        metadata: &Metadata,
        device: &Device,
    ) -> Result<Self, StoredError> {
        stored::check_kind(metadata, &["cca_mdd"], "mispronunciation detection needs one of kind `cca_mdd`")?;
        let config: CcaMddConfig = stored::json(metadata, "config")?;
        config.validate()?;
        let model = stored::build(config.parameters(), "", &mut tensors, device, |init| {
            CcaMddModel::new(&config, init)
        })?;
        let mut assessor = Self::new(config, model, device)?;
        let stored = metadata.get("threshold").and_then(|text| text.parse().ok());
        assessor.threshold = stored.filter(|t| (0.0..=1.0).contains(t)).unwrap_or(0.5);
        Ok(assessor)
    }

    /// An assessor of a model.
    ///
    /// # Errors
    /// A model that cannot run on a stream.
    pub fn new(config: CcaMddConfig, model: CcaMddModel, device: &Device) -> Result<Self, StreamingError> {
        Ok(Self {
            encoder: StreamingEncoder::new(&model.encoder)?,
            decoder: StreamingTransformer::new(&model.decoder)?,
            query: Dense::new(&model.coca.query)?,
            frame_value: Dense::new(&model.coca.frame_value)?,
            frame_output: Dense::new(&model.coca.frame_output)?,
            frame_norm: model.coca.frame_norm.as_ref().map(Norm::new).transpose()?,
            gop: model.gop.as_ref().map(GopSums::new).transpose()?,
            hidden: Dense::new(&model.decoder_hidden)?,
            output: Dense::new(&model.decoder_output)?,
            config,
            model,
            threshold: 0.5,
            device: device.clone(),
        })
    }

    /// The model's settings.
    pub fn config(&self) -> &CcaMddConfig {
        &self.config
    }

    /// Probability of error above which a phone is mispronounced: 0.5, or what was chosen on development
    /// data and stored with the weights.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// Samples per second of the input.
    pub fn sample_rate(&self) -> u32 {
        self.config.front_end.sample_rate
    }

    /// How much sound after a frame's end the frame's result waits for, in milliseconds: the encoder's
    /// look-ahead and half of the front end's window.
    pub fn lookahead_ms(&self) -> f64 {
        let config = &self.config.front_end;
        let samples = self.encoder.lookahead() * config.hop_samples + config.window_samples / 2;
        samples as f64 * 1000.0 / f64::from(config.sample_rate)
    }

    /// Runs the reference encoder on canonical phones (class numbers).
    pub(crate) fn reference(&self, canonical: &[u32]) -> Result<Reference, StreamingError> {
        let (states, _) = self.model.reference(&[canonical.to_vec()], &mut Context::eval());
        let host = |x: Tensor<3>| {
            x.into_data().try_to_vec::<f32>().map_err(|e| StreamingError::Read(format!("{e:?}")))
        };
        Ok(Reference {
            keys: host(self.model.coca.key.forward(states.clone()))?,
            values: host(self.model.coca.phone_value.forward(states.clone()))?,
            states,
        })
    }

    /// Phone predictor and state classifier on what each phone has collected, `[M, D]`.
    pub(crate) fn judge(
        &self,
        reference: &Reference,
        collected: Vec<f32>,
        gop: Option<(&GopSums, &[u32])>,
    ) -> Result<Vec<Judgement>, StreamingError> {
        let shape = reference.states.dims();
        let s = Tensor::<3>::from_data(TensorData::new(collected, shape), &self.device);
        let s = self.model.coca.phone_output.forward(s);
        let s = match &self.model.coca.phone_norm {
            Some(norm) => norm.forward(reference.states.clone() + s),
            None => s,
        };
        let s = match (&self.model.gop, gop) {
            (Some(layer), Some((sums, canonical))) => s + layer.of_sums(sums, canonical),
            _ => s,
        };
        let Judged { predictor, state, .. } = self.model.judge(s, &[shape[1]], &mut Context::eval());
        let read =
            |data: TensorData| data.try_to_vec::<f32>().map_err(|e| StreamingError::Read(format!("{e:?}")));
        let predictor = read(auricle_tensor::ops::softmax(predictor, 2).into_data())?;
        let state = read(state.into_data())?;
        let classes = crate::inventory::CLASSES;
        Ok(state
            .iter()
            .zip(predictor.chunks_exact(classes))
            .map(|(&state, row)| {
                let best = row
                    .iter()
                    .enumerate()
                    .fold((0, f32::MIN), |best, (i, &p)| if p > best.1 { (i as u32, p) } else { best });
                Judgement { badness: 1.0 / (1.0 + (-state).exp()), best }
            })
            .collect())
    }
}
