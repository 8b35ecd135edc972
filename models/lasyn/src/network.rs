//! Trained synthesizers: prototypes, diffusion and flow matching on one network.

use crate::frames::Frame;
use crate::units::UNITS;
use crate::{DurationPredictor, LasynError};
use auricle_nn::config::{divides, in_range, of_linear, probability, product, sum};
use auricle_nn::{
    ConfigError, Context, Initializer, Linear, PositionalConvConfig, TransformerBlock, TransformerConfig,
};
use auricle_tensor::ops;
use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Features of the place of a frame in its phone: the sine and cosine of its share, and the phone's length.
const PLACE: usize = 3;
/// Sines and cosines of the diffusion time.
const TIME: usize = 32;

/// What the network learns, and how it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Method {
    /// A frame is a weighted mean of K fixed prototypes of real latents (spec: "FP-B"): the result stays
    /// within the convex hull of real latents.
    Prototypes {
        /// Prototypes K. Default: 256.
        #[serde(default = "prototypes")]
        count: usize,
    },
    /// Denoising diffusion with v-prediction, α = cos(πt/2), σ = sin(πt/2) (arXiv 2202.00512); DDIM.
    Diffusion {
        /// Steps of the sampler. Default: 8.
        #[serde(default = "steps")]
        steps: usize,
        /// Classifier-free guidance w: `v = (1 + w)·v_text − w·v_nothing`; 0 is none. Default: 0.5.
        #[serde(default = "half")]
        guidance: f64,
    },
    /// Flow matching on straight lines (arXiv 2210.02747); Euler steps.
    Flow {
        /// Steps of the sampler. Default: 8.
        #[serde(default = "steps")]
        steps: usize,
        /// As for diffusion.
        #[serde(default = "half")]
        guidance: f64,
    },
}

fn prototypes() -> usize {
    256
}

fn steps() -> usize {
    8
}

fn half() -> f64 {
    0.5
}

/// Where the lengths of units come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lengths {
    /// As often as in real speech, phone by phone, from the bank.
    #[default]
    Empirical,
    /// From a [`DurationPredictor`] that is trained with the network.
    Predicted,
}

/// Sizes of a [`SynthesizerNetwork`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// What it learns.
    pub method: Method,
    /// Width. Default: 192.
    #[serde(default = "width")]
    pub width: usize,
    /// Transformer layers. Default: 4.
    #[serde(default = "layers")]
    pub layers: usize,
    /// Attention heads. Default: 4.
    #[serde(default = "layers")]
    pub heads: usize,
    /// Dropout. Default: 0.1.
    #[serde(default = "tenth")]
    pub dropout: f64,
    /// Lengths of units. Default: empirical.
    #[serde(default)]
    pub lengths: Lengths,
}

fn width() -> usize {
    192
}

fn layers() -> usize {
    4
}

fn tenth() -> f64 {
    0.1
}

impl NetworkConfig {
    /// # Errors
    /// What cannot be had.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let Self { method, width, layers, heads, dropout, lengths: _ } = self;
        in_range("network.width", *width, 1..=4096)?;
        in_range("network.layers", *layers, 1..=64)?;
        divides("network.heads", *heads, "heads", *width)?;
        probability("network.dropout", *dropout)?;
        match *method {
            Method::Prototypes { count } => in_range("network.method.count", count, 2..=1 << 14),
            Method::Diffusion { steps, guidance } | Method::Flow { steps, guidance } => {
                in_range("network.method.steps", steps, 1..=1000)?;
                in_range("network.method.guidance", guidance, 0.0..=20.0)
            }
        }
    }

    /// Values of a network for latents of a width, lengths aside.
    pub fn parameters(&self, latent_width: usize) -> usize {
        let (output, noisy) = match self.method {
            Method::Prototypes { count } => (count, 0),
            Method::Diffusion { .. } | Method::Flow { .. } => (latent_width, 1),
        };
        let noisy =
            product(&[noisy, sum([of_linear(latent_width, self.width), of_linear(TIME, self.width)])]);
        sum([
            product(&[UNITS + 1, self.width]),
            of_linear(PLACE, self.width),
            noisy,
            self.block().parameters(self.width),
            of_linear(self.width, output),
        ])
    }

    fn block(&self) -> TransformerConfig {
        TransformerConfig {
            layers: self.layers,
            heads: self.heads,
            feed_forward: 4 * self.width,
            layer_drop: 0.0,
            dropout: self.dropout,
            attention_dropout: self.dropout,
            activation_dropout: 0.0,
            positional: PositionalConvConfig { kernel: 31, groups: self.heads },
            alibi: false,
            causal: false,
            left_context: None,
            norm: Default::default(),
            init: Default::default(),
        }
    }
}

/// A Transformer over frames: what is to be said and, for diffusion and flow, what is there so far.
#[derive(Module, Debug)]
pub struct SynthesizerNetwork {
    /// Embedding of units; the last row stands for "nothing is known".
    pub units: Param<Tensor<2>>,
    /// Place of a frame in its unit.
    pub place: Linear,
    /// The noisy latents.
    pub latents: Option<Linear>,
    /// The time.
    pub time: Option<Linear>,
    /// The Transformer.
    pub block: TransformerBlock,
    /// To latents, or to weights of prototypes.
    pub output: Linear,
    /// Lengths of units.
    pub durations: Option<DurationPredictor>,
}

impl SynthesizerNetwork {
    /// Initial values for latents of a width.
    pub fn new(config: &NetworkConfig, latent_width: usize, init: &mut Initializer<'_>) -> Self {
        let width = config.width;
        let (output, noisy) = match config.method {
            Method::Prototypes { count } => (count, false),
            Method::Diffusion { .. } | Method::Flow { .. } => (latent_width, true),
        };
        Self {
            units: init.normal([UNITS + 1, width], 1.0),
            place: Linear::uniform(PLACE, width, init),
            latents: noisy.then(|| Linear::uniform(latent_width, width, init)),
            time: noisy.then(|| Linear::uniform(TIME, width, init)),
            block: TransformerBlock::new(width, &config.block(), init),
            output: Linear::uniform(width, output, init),
            durations: (config.lengths == Lengths::Predicted)
                .then(|| DurationPredictor::new(config.dropout, init)),
        }
    }

    /// # Shapes
    /// frames per row (`None`: nothing is known) with their number, for diffusion and flow noisy latents
    /// `[B, T, D]` and times of 0 to 1 per row → `[B, T, D]` or `[B, T, K]`
    pub fn forward(
        &self,
        rows: &[Option<&[Frame]>],
        lengths: &[usize],
        noisy: Option<(Tensor<3>, &[f64])>,
        context: &mut Context,
    ) -> Tensor<3> {
        let batch = rows.len();
        let longest = match &noisy {
            Some((x, _)) => x.dims()[1],
            None => lengths.iter().copied().max().unwrap_or(0).max(1),
        };
        let device = self.units.val().device();
        let (mut ids, mut places) = (Vec::new(), Vec::new());
        for row in rows {
            for t in 0..longest {
                let frame = row.and_then(|row| row.get(t));
                ids.push(frame.map_or(UNITS as i32, |frame| frame.unit as i32));
                let share =
                    frame.map_or(0.0, |f| std::f32::consts::PI * (f.place as f32 + 0.5) / f.length as f32);
                let length = frame.map_or(0.0, |f| (f.length as f32).ln_1p());
                places.extend([share.sin(), share.cos(), length]);
            }
        }
        let ids: Tensor<1, Int> = Tensor::from_data(TensorData::new(ids, [batch * longest]), &device);
        let embedded = self.units.val().select(0, ids);
        let width = embedded.dims()[1];
        let places = Tensor::<3>::from_data(TensorData::new(places, [batch, longest, PLACE]), &device);
        let mut x = embedded.reshape([batch, longest, width]) + self.place.forward(places);
        if let (Some((noisy, times)), Some(latents), Some(time)) = (noisy, &self.latents, &self.time) {
            let waves: Vec<f32> = times.iter().flat_map(|&t| waves(t)).collect();
            let waves = Tensor::<3>::from_data(TensorData::new(waves, [batch, 1, TIME]), &device);
            x = x + latents.forward(noisy) + time.forward(waves);
        }
        self.output.forward(self.block.forward(ops::gelu(x), lengths, context))
    }
}

/// Sines and cosines of a time of 0 to 1, at frequencies of 1 to 1000 in even ratios.
fn waves(time: f64) -> [f32; TIME] {
    let mut waves = [0.0; TIME];
    for (i, pair) in waves.chunks_exact_mut(2).enumerate() {
        let frequency = 1000f64.powf(i as f64 / (TIME / 2 - 1) as f64);
        pair[0] = (time * frequency).sin() as f32;
        pair[1] = (time * frequency).cos() as f32;
    }
    waves
}

/// Where a sampler goes: the velocity at standardised latents `x` and time `t`.
pub trait Velocity {
    /// # Errors
    /// A network that fails.
    fn at(&mut self, x: &[f32], t: f64) -> Result<Vec<f32>, LasynError>;
}

/// Solves the sampler's equation from noise (t = 1 for diffusion, t = 0 for flow) to latents.
///
/// - Diffusion: `ẑ = αx − σv`, `ε̂ = σx + αv`, then `x ← α'ẑ + σ'ε̂` (DDIM with η = 0).
/// - Flow: `x ← x + v/steps`.
///
/// # Errors
/// Those of the velocity.
pub fn sample(method: Method, mut x: Vec<f32>, velocity: &mut dyn Velocity) -> Result<Vec<f32>, LasynError> {
    match method {
        Method::Prototypes { .. } => Ok(x),
        Method::Flow { steps, .. } => {
            for step in 0..steps {
                let v = velocity.at(&x, step as f64 / steps as f64)?;
                x.iter_mut().zip(&v).for_each(|(x, v)| *x += v / steps as f32);
            }
            Ok(x)
        }
        Method::Diffusion { steps, .. } => {
            for step in 0..steps {
                let (t, next) = (1.0 - step as f64 / steps as f64, 1.0 - (step + 1) as f64 / steps as f64);
                let v = velocity.at(&x, t)?;
                let ((alpha, sigma), (alpha2, sigma2)) = (schedule(t), schedule(next));
                x.iter_mut().zip(&v).for_each(|(x, &v)| {
                    let (clean, noise) = (alpha * *x - sigma * v, sigma * *x + alpha * v);
                    *x = alpha2 * clean + sigma2 * noise;
                });
            }
            Ok(x)
        }
    }
}

/// What a network is trained on at a time: coefficients of clean latents z, noise ε, and of what they make.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mixture {
    /// `x = a·z + b·ε`: what it sees.
    pub seen: [f32; 2],
    /// `v = a·z + b·ε`: what it is to answer.
    pub wanted: [f32; 2],
    /// `ẑ = a·x + b·v`: the clean latents that an answer stands for.
    pub estimate: [f32; 2],
    /// The share of the way from noise that is still to go: t of diffusion, 1 − t of flow.
    pub level: f64,
}

impl Mixture {
    /// Diffusion: `x = αz + σε`, `v = αε − σz`; flow: `x = (1 − t)ε + tz`, `v = z − ε`.
    pub fn at(method: Method, t: f64) -> Self {
        match method {
            Method::Flow { .. } => {
                let (clean, noise) = (t as f32, 1.0 - t as f32);
                Self { seen: [clean, noise], wanted: [1.0, -1.0], estimate: [1.0, noise], level: 1.0 - t }
            }
            _ => {
                let (alpha, sigma) = schedule(t);
                Self { seen: [alpha, sigma], wanted: [-sigma, alpha], estimate: [alpha, -sigma], level: t }
            }
        }
    }
}

/// α and σ of the diffusion at a time.
pub fn schedule(t: f64) -> (f32, f32) {
    let angle = t * std::f64::consts::FRAC_PI_2;
    (angle.cos() as f32, angle.sin() as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Method; 2] =
        [Method::Flow { steps: 7, guidance: 0.0 }, Method::Diffusion { steps: 7, guidance: 0.0 }];

    /// A right answer stands for the clean latents, whatever the time.
    #[test]
    fn what_is_trained_is_what_is_estimated() {
        for method in BOTH {
            for t in [0.0, 0.1, 0.5, 0.93, 1.0] {
                let Mixture { seen, wanted, estimate, .. } = Mixture::at(method, t);
                for (z, e) in [(1.3f32, -0.4f32), (-2.0, 0.7), (0.0, 1.0)] {
                    let (x, v) = (seen[0] * z + seen[1] * e, wanted[0] * z + wanted[1] * e);
                    assert!((estimate[0] * x + estimate[1] * v - z).abs() < 1e-5, "{method:?} {t}");
                }
            }
        }
    }

    /// The answers of a network that has learnt, as training has them, one sentence by heart.
    struct Learnt {
        method: Method,
        z: Vec<f32>,
    }

    impl Velocity for Learnt {
        fn at(&mut self, x: &[f32], t: f64) -> Result<Vec<f32>, LasynError> {
            let Mixture { seen, wanted, .. } = Mixture::at(self.method, t);
            let answer = |(x, z): (&f32, &f32)| wanted[0] * z + wanted[1] * (x - seen[0] * z) / seen[1];
            Ok(x.iter().zip(&self.z).map(answer).collect())
        }
    }

    /// From any noise the sampler comes to the latents that training aims at.
    #[test]
    fn the_sampler_follows_what_was_trained() {
        for method in BOTH {
            let mut learnt = Learnt { method, z: vec![0.5, -1.5, 3.0] };
            for noise in [[0.1, 0.2, -0.3], [-2.0, 1.0, 0.0]] {
                let made = sample(method, noise.to_vec(), &mut learnt).unwrap();
                let off = made.iter().zip(&learnt.z).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(off < 1e-4, "{method:?}: {made:?}");
            }
        }
    }

    /// The exact velocity where all latents are `N(mean, std²)`: the sampler must make that distribution of noise.
    struct Gaussian {
        method: Method,
        mean: f32,
        std: f32,
    }

    impl Velocity for Gaussian {
        fn at(&mut self, x: &[f32], t: f64) -> Result<Vec<f32>, LasynError> {
            let Self { method, mean, std } = *self;
            Ok(x.iter()
                .map(|&x| match method {
                    Method::Flow { .. } => {
                        // x_t = (1 − t)ε + tz; v = E[z − ε | x_t].
                        let t = t as f32;
                        let variance = (1.0 - t).powi(2) + (t * std).powi(2);
                        let z = mean + t * std * std / variance * (x - t * mean);
                        let noise = (1.0 - t) / variance * (x - t * mean);
                        z - noise
                    }
                    _ => {
                        let (alpha, sigma) = schedule(t);
                        let variance = sigma.powi(2) + (alpha * std).powi(2);
                        let z = mean + alpha * std * std / variance * (x - alpha * mean);
                        let noise = sigma / variance * (x - alpha * mean);
                        alpha * noise - sigma * z
                    }
                })
                .collect())
        }
    }

    /// A sampler with more steps comes nearer to the truth, at the order of its method (one).
    #[test]
    fn samplers_converge_to_the_distribution() {
        let start: Vec<f32> = (-20..=20).map(|i| i as f32 / 10.0).collect();
        for method in [
            |steps| Method::Flow { steps, guidance: 0.0 },
            |steps| Method::Diffusion { steps, guidance: 0.0 },
        ] {
            let error = |steps: usize| {
                let method = method(steps);
                let mut exact = Gaussian { method, mean: 2.0, std: 0.5 };
                let made = sample(method, start.clone(), &mut exact).unwrap();
                // The flow of a Gaussian is the map of its quantiles.
                made.iter()
                    .zip(&start)
                    .map(|(made, start)| (made - (2.0 + 0.5 * start)).abs())
                    .fold(0.0, f32::max)
            };
            let errors = [error(8), error(16), error(32)];
            assert!(errors[0] < 0.2, "{errors:?}");
            assert!(errors[1] < 0.62 * errors[0] && errors[2] < 0.62 * errors[1], "{errors:?}");
        }
    }
}
