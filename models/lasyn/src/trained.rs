//! A trained network as a synthesizer.

use crate::frames::{Frame, frames};
use crate::network::{Method, NetworkConfig, SynthesizerNetwork, Velocity, sample};
use crate::{Bank, Durations, FixedProjection, LasynError, Projection, Synthesizer};
use auricle_nn::Context;
use auricle_nn::params::NamedTensors;
use auricle_nn::stored::{self, StoredError};
use auricle_nn::weights::Metadata;
use auricle_rng::Stream;
use burn::tensor::{Device, Tensor, TensorData};

/// Mean and standard deviation of every channel of the real latents.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// Means.
    pub mean: Vec<f32>,
    /// Standard deviations, above zero.
    pub std: Vec<f32>,
}

impl Scale {
    /// Of rows `[N, D]`.
    pub fn of(rows: &[f32], width: usize) -> Self {
        let count = (rows.len() / width).max(1) as f64;
        let (mut mean, mut square) = (vec![0f64; width], vec![0f64; width]);
        for row in rows.chunks_exact(width) {
            for (i, &x) in row.iter().enumerate() {
                mean[i] += f64::from(x) / count;
                square[i] += f64::from(x) * f64::from(x) / count;
            }
        }
        let std = mean.iter().zip(&square).map(|(m, s)| (s - m * m).max(1e-8).sqrt() as f32).collect();
        Self { mean: mean.iter().map(|&m| m as f32).collect(), std }
    }

    fn tensors(&self, device: &Device) -> (Tensor<3>, Tensor<3>) {
        let row = |values: &Vec<f32>| {
            Tensor::from_data(TensorData::new(values.clone(), [1, 1, values.len()]), device)
        };
        (row(&self.mean), row(&self.std))
    }

    /// To mean 0 and standard deviation 1.
    pub fn standardise(&self, z: Tensor<3>) -> Tensor<3> {
        let (mean, std) = self.tensors(&z.device());
        (z - mean) / std
    }

    /// Back.
    pub fn restore(&self, z: Tensor<3>) -> Tensor<3> {
        let (mean, std) = self.tensors(&z.device());
        z * std + mean
    }
}

/// A synthesizer network with what it needs beside its weights.
#[derive(Debug, Clone)]
pub struct TrainedSynthesizer {
    pub(crate) config: NetworkConfig,
    pub(crate) network: SynthesizerNetwork,
    /// K prototypes `[K, D]`; empty for other methods.
    pub(crate) prototypes: Vec<f32>,
    pub(crate) scale: Scale,
    /// Units and lengths of a text come from the bank.
    units: FixedProjection,
    device: Device,
}

impl TrainedSynthesizer {
    /// A network with the bank it was trained beside.
    ///
    /// # Errors
    /// Settings that do not fit.
    pub fn new(
        config: NetworkConfig,
        network: SynthesizerNetwork,
        prototypes: Vec<f32>,
        bank: Bank,
        device: &Device,
    ) -> Result<Self, LasynError> {
        config.validate().map_err(StoredError::from)?;
        let scale = Scale::of(&bank.latents, bank.info.width);
        let lengths = Projection::Statistics { noise: 0.0, durations: Durations::Empirical };
        let units = FixedProjection::new(bank, lengths);
        Ok(Self { config, network, prototypes, scale, units, device: device.clone() })
    }

    /// A synthesizer from exported weights (kind `lasyn_synthesizer`) and its bank.
    ///
    /// # Errors
    /// Weights of another kind, or that do not fit the bank.
    pub fn from_weights(
        mut tensors: NamedTensors,
        metadata: &Metadata,
        bank: Bank,
        device: &Device,
    ) -> Result<Self, LasynError> {
        let fail = |what: &str| LasynError::Model(what.to_string());
        if metadata.get("kind").map(String::as_str) != Some("lasyn_synthesizer") {
            return Err(fail(
                "these weights are no synthesizer; train one with a recipe of task `lasyn_synthesizer`",
            ));
        }
        if metadata.get("base") != Some(&bank.info.base) {
            return Err(fail("this synthesizer was trained for another recogniser than the bank"));
        }
        let config: NetworkConfig = metadata
            .get("config")
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(|| fail("the synthesizer's description is damaged"))?;
        config.validate().map_err(StoredError::from)?;
        let prototypes = tensors.remove("prototypes").and_then(|data| data.try_to_vec::<f32>().ok());
        let prototypes = prototypes.unwrap_or_default();
        let wanted = match config.method {
            Method::Prototypes { count } => count * bank.info.width,
            _ => 0,
        };
        if prototypes.len() != wanted {
            return Err(fail("the synthesizer's prototypes do not fit its description"));
        }
        let width = bank.info.width;
        let network = stored::build(config.parameters(width), "network", &mut tensors, device, |init| {
            SynthesizerNetwork::new(&config, width, init)
        })
        .map_err(StoredError::from)?;
        Self::new(config, network, prototypes, bank, device)
    }

    /// Latents of frames.
    ///
    /// # Errors
    /// A device that fails.
    pub fn latents(&self, frames: &[Frame], stream: &mut Stream) -> Result<Vec<f32>, LasynError> {
        let width = self.units.width();
        let count = frames.len();
        let read =
            |x: Tensor<3>| x.into_data().try_to_vec::<f32>().map_err(|e| LasynError::Model(format!("{e:?}")));
        if let Method::Prototypes { .. } = self.config.method {
            let logits = self.network.forward(&[Some(frames)], &[count], None, &mut Context::eval());
            return read(mix(logits, &self.prototypes, width));
        }
        let noise: Vec<f32> = (0..count * width).map(|_| stream.normal() as f32).collect();
        let mut velocity = Guided { synthesizer: self, frames };
        let made = sample(self.config.method, noise, &mut velocity)?;
        let made = Tensor::from_data(TensorData::new(made, [1, count, width]), &self.device);
        read(self.scale.restore(made))
    }
}

/// `softmax(logits)·P`.
pub(crate) fn mix(logits: Tensor<3>, prototypes: &[f32], width: usize) -> Tensor<3> {
    let device = logits.device();
    let [batch, frames, count] = logits.dims();
    let weights = auricle_tensor::ops::softmax(logits, 2).reshape([batch * frames, count]);
    let prototypes = Tensor::<2>::from_data(TensorData::new(prototypes.to_vec(), [count, width]), &device);
    weights.matmul(prototypes).reshape([batch, frames, width])
}

struct Guided<'a> {
    synthesizer: &'a TrainedSynthesizer,
    frames: &'a [Frame],
}

impl Velocity for Guided<'_> {
    fn at(&mut self, x: &[f32], t: f64) -> Result<Vec<f32>, LasynError> {
        let Self { synthesizer, frames } = self;
        let (count, width) = (frames.len(), synthesizer.units.width());
        let guidance = match synthesizer.config.method {
            Method::Diffusion { guidance, .. } | Method::Flow { guidance, .. } => guidance as f32,
            Method::Prototypes { .. } => 0.0,
        };
        let x = Tensor::<3>::from_data(TensorData::new(x.to_vec(), [1, count, width]), &synthesizer.device);
        let both = guidance > 0.0;
        let rows: Vec<Option<&[Frame]>> = if both { vec![Some(frames), None] } else { vec![Some(frames)] };
        let x = x.repeat_dim(0, rows.len());
        let (lengths, times) = (vec![count; rows.len()], vec![t; rows.len()]);
        let v = synthesizer.network.forward(&rows, &lengths, Some((x, &times)), &mut Context::eval());
        let v = v.into_data().try_to_vec::<f32>().map_err(|e| LasynError::Model(format!("{e:?}")))?;
        let (text, nothing) = v.split_at(count * width);
        if !both {
            return Ok(text.to_vec());
        }
        Ok(text.iter().zip(nothing).map(|(a, b)| (1.0 + guidance) * a - guidance * b).collect())
    }
}

impl Synthesizer for TrainedSynthesizer {
    fn width(&self) -> usize {
        self.units.width()
    }

    fn frame_secs(&self) -> f64 {
        self.units.frame_secs()
    }

    fn synthesize(&self, words: &[Vec<u32>], stream: &mut Stream) -> Result<Vec<f32>, LasynError> {
        let units = self.units.units(words, stream);
        let lengths = match &self.network.durations {
            Some(durations) => durations.draw(&units, stream)?,
            None => self.units.lengths(&units, stream),
        };
        self.latents(&frames(units.iter().copied().zip(lengths)), stream)
    }

    fn expected_secs(&self, words: &[Vec<u32>]) -> f64 {
        self.units.expected_secs(words)
    }
}
