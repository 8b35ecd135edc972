//! Training of a synthesizer network on transcribed speech.

use crate::align::align;
use crate::frames::{Frame, frames};
use crate::network::{Method, Mixture, NetworkConfig, SynthesizerNetwork};
use crate::prototypes::kmeans;
use crate::trained::{Scale, mix};
use crate::{Bank, SplitRecogniser, Upper};
use auricle_augment::Libraries;
use auricle_data::Utterance;
use auricle_nn::params::{self, NamedTensors};
use auricle_nn::weights::Metadata;
use auricle_nn::{Context, Initializer};
use auricle_rng::{Key, Purpose};
use auricle_tensor::ops;
use auricle_text::normalise;
use auricle_train::{
    Acoustics, AugmentConfig, Draw, FeatureBatch, Group, Held, Item, Metric, Prepare, Recipe, StepOutput,
    Task, TrainError, within,
};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The `[model]` table of a recipe of task `lasyn_synthesizer`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SynthesisConfig {
    /// The recogniser whose latents are to be made; it is not trained.
    pub base: PathBuf,
    /// The bank of its latents.
    pub bank: PathBuf,
    /// The network.
    pub network: NetworkConfig,
    /// Weight of the guiding net's CTC loss on what the network makes. Default: 0.1; for prototypes 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guide: Option<f64>,
    /// Weight of the distance to real latents (prototypes only). Default: 1.
    #[serde(default = "one")]
    pub matching: f64,
    /// Weight of the distance between mean and spread, per channel, of what is made and of real latents in a batch. Default: 0.
    #[serde(default)]
    pub moments: f64,
    /// Share of the rows that are trained without their text, for classifier-free guidance. Default: 0.1.
    #[serde(default = "tenth")]
    pub condition_dropout: f64,
    /// Lexicons in the format of the CMU dictionary, later ones first, then the letter-to-sound model.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lexicon: Vec<PathBuf>,
    /// Letter-to-sound model. Default: the one that comes with the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub g2p: Option<PathBuf>,
}

fn one() -> f64 {
    1.0
}

fn tenth() -> f64 {
    0.1
}

impl SynthesisConfig {
    /// Whether the weights of its losses are numbers that can be meant.
    ///
    /// # Errors
    /// The first that is out of its range, by its key.
    fn check_weights(&self) -> Result<(), TrainError> {
        within("model.guide", self.guide.unwrap_or(0.0), 0.0..=1e6)?;
        within("model.matching", self.matching, 0.0..=1e6)?;
        within("model.moments", self.moments, 0.0..=1e6)?;
        within("model.condition_dropout", self.condition_dropout, 0.0..=1.0)
    }
}

/// Features, words and targets of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct SynthesisBatch {
    /// Features.
    pub features: FeatureBatch,
    /// Words as phones, per row.
    pub words: Vec<Vec<Vec<u32>>>,
    /// Token ids, per row.
    pub targets: Vec<Vec<u32>>,
}

/// The loader side.
#[derive(Clone)]
pub struct SynthesisPrepare {
    acoustics: Acoustics,
    bins: usize,
    multiple: usize,
    tokenizer: Arc<auricle_text::Tokenizer>,
    words: Arc<HashMap<String, Vec<Vec<u32>>>>,
}

impl Prepare for SynthesisPrepare {
    type Batch = SynthesisBatch;

    fn sample_rate(&self) -> u32 {
        self.acoustics.sample_rate()
    }

    fn check(&self, utterance: &Utterance) -> Result<(), String> {
        self.acoustics.check_length(utterance.duration_secs)?;
        self.words
            .get(&utterance.id)
            .map(|_| ())
            .ok_or_else(|| "it has no words that can be pronounced".into())
    }

    fn prepare(&self, items: &[Item], padded_secs: f64, draw: Draw) -> Result<SynthesisBatch, TrainError> {
        let waves = Item::speech(items);
        let zeros = vec![0.0; self.bins];
        let features = self.acoustics.batch(&waves, padded_secs, self.multiple, &zeros, draw)?;
        let (mut words, mut targets) = (Vec::new(), Vec::new());
        for wave in &waves {
            let id = &wave.utterance.id;
            let fail = |what: &dyn std::fmt::Display| TrainError::Data(format!("utterance {id}: {what}"));
            words.push(self.words.get(id).cloned().ok_or_else(|| fail(&"it has no words"))?);
            let text = wave.utterance.text.as_deref().map(normalise).unwrap_or_default();
            targets.push(self.tokenizer.encode(&text).map_err(|e| fail(&e))?);
        }
        Ok(SynthesisBatch { features, words, targets })
    }
}

/// Training of a [`SynthesizerNetwork`].
///
/// With real latents z, aligned with their phones, standardised per channel:
///
/// - prototypes: `matching·mean |softmax(o)·P − z| + guide·CTC(G(softmax(o)·P), tokens)`;
/// - `moments·mean ((μ̂ − μ)² + (σ̂ − σ)²)` of what is made, per channel, where that is asked for;
/// - diffusion: `mean (v̂ − v)²` with `x = αz + σε`, `v = αε − σz`; flow: `x = (1 − t)ε + tz`, `v = z − ε`;
///   and for rows with little noise `guide·CTC(G(ẑ), tokens)`;
/// - and the [loss of the lengths](crate::DurationPredictor::loss) where these are predicted.
pub struct SynthesisTask {
    config: SynthesisConfig,
    lr_decay: f64,
    base: SplitRecogniser,
    bank: Bank,
    scale: Scale,
    prototypes: Vec<f32>,
    model: Held<SynthesizerNetwork>,
    prepare: Arc<SynthesisPrepare>,
    device: Device,
    tally: (f64, f64),
}

/// Rows of a noise level below this are shown to the guiding net.
const CLEAN: f64 = 0.3;

struct Losses {
    total: Tensor<1>,
    metrics: Vec<Metric>,
}

impl SynthesisTask {
    /// `words` are the phones of every utterance, by its id.
    ///
    /// # Errors
    /// Settings that do not fit each other.
    #[allow(clippy::too_many_arguments)] // a task is made in one place, of what a recipe names
    pub fn new(
        recipe: &Recipe,
        config: SynthesisConfig,
        augment: AugmentConfig,
        base: SplitRecogniser,
        bank: Bank,
        words: HashMap<String, Vec<Vec<u32>>>,
        libraries: Libraries,
        device: &Device,
    ) -> Result<Self, TrainError> {
        config.network.validate().map_err(|e| TrainError::Recipe(e.to_string()))?;
        config.check_weights()?;
        let mut stream = Key::new(recipe.seed).stream(Purpose::Init);
        let prototypes = match config.network.method {
            Method::Prototypes { count } => kmeans(
                &bank.latents,
                bank.info.width,
                count,
                8,
                &mut Key::new(recipe.seed).stream(Purpose::Subset),
            ),
            _ => Vec::new(),
        };
        if let Method::Prototypes { count } = config.network.method
            && prototypes.len() != count * bank.info.width
        {
            return Err(TrainError::Recipe(format!("the bank has fewer frames than {count} prototypes")));
        }
        let network = SynthesizerNetwork::new(
            &config.network,
            bank.info.width,
            &mut Initializer::new(&mut stream, device),
        );
        let prepare = SynthesisPrepare {
            acoustics: Acoustics::new(base.config.front_end.clone(), augment, libraries)?,
            bins: base.config.encoder.bins,
            multiple: 16usize.max(base.config.encoder.downsampling()),
            tokenizer: Arc::new(base.tokenizer.clone()),
            words: Arc::new(words),
        };
        // It guides and is not trained: gradients go through it to the latents, none to its parameters.
        let base = SplitRecogniser { model: base.model.no_grad(), ..base };
        Ok(Self {
            scale: Scale::of(&bank.latents, bank.info.width),
            lr_decay: recipe.optimizer.weight_decay,
            config,
            base,
            bank,
            prototypes,
            model: Held::new(network),
            prepare: Arc::new(prepare),
            device: device.clone(),
            tally: (0.0, 0.0),
        })
    }

    fn guide(&self) -> f64 {
        let prototypes = matches!(self.config.network.method, Method::Prototypes { .. });
        self.config.guide.unwrap_or(if prototypes { 1.0 } else { 0.1 })
    }

    /// Real latents of a batch and the frames they are aligned with; rows that can't be aligned have none.
    fn real(
        &self,
        batch: &SynthesisBatch,
        device: &Device,
    ) -> Result<(Tensor<3>, Vec<Vec<Frame>>), TrainError> {
        let features = &batch.features;
        let shape = [features.lengths.len(), features.frames, self.base.config.encoder.bins];
        let mel = Tensor::from_data(TensorData::new(features.values.clone(), shape), device);
        let (z, lengths) =
            self.base.model.lower(self.base.split, mel, &features.lengths, &mut Context::eval());
        let [rows, padded, width] = z.dims();
        let longest =
            lengths.iter().copied().max().unwrap_or(padded).min(padded).next_multiple_of(4).min(padded);
        let z = z.slice([0..rows, 0..longest, 0..width]);
        let host =
            z.clone().into_data().try_to_vec::<f32>().map_err(|e| TrainError::Task(format!("{e:?}")))?;
        let aligned = (0..rows)
            .map(|row| {
                let latents = &host[row * longest * width..][..lengths[row].min(longest) * width];
                let path = align(&self.bank.gaussians, latents, &batch.words[row]).unwrap_or_default();
                frames(path.iter().map(|segment| (segment.unit, segment.end - segment.start)))
            })
            .collect();
        Ok((z, aligned))
    }

    fn losses(
        &self,
        network: &SynthesizerNetwork,
        batch: &SynthesisBatch,
        key: Key,
        device: &Device,
        context: &mut Context,
    ) -> Result<Losses, TrainError> {
        let (z, aligned) = self.real(batch, device)?;
        let [rows, padded, width] = z.dims();
        let lengths: Vec<usize> = aligned.iter().map(Vec::len).collect();
        let count = (lengths.iter().sum::<usize>() * width).max(1) as f64;
        let valid: Vec<f32> = lengths
            .iter()
            .flat_map(|&length| (0..padded).map(move |t| f32::from(u8::from(t < length))))
            .collect();
        let valid = Tensor::<3>::from_data(TensorData::new(valid, [rows, padded, 1]), device);
        let real = self.scale.standardise(z);
        let wanted = real.clone();
        let mut stream = key.stream(Purpose::Synthesis);
        let some: Vec<Option<&[Frame]>> = aligned.iter().map(|row| Some(row.as_slice())).collect();
        let (made, loss, guided): (Tensor<3>, Tensor<1>, Vec<bool>) = match self.config.network.method {
            Method::Prototypes { .. } => {
                let logits = network.forward(&some, &lengths, None, context);
                let [_, frames, _] = logits.dims();
                let made = mix(logits, &self.prototypes, width);
                let made = pad(made, padded, frames, device);
                let distance = (self.scale.standardise(made.clone()) - real).abs() * valid.clone();
                (made, distance.sum() * (self.config.matching / count), vec![true; rows])
            }
            method => {
                let times: Vec<f64> = (0..rows).map(|_| stream.uniform()).collect();
                let mixtures: Vec<Mixture> = times.iter().map(|&t| Mixture::at(method, t)).collect();
                let column = |of: &dyn Fn(&Mixture) -> f32| {
                    let values: Vec<f32> = mixtures.iter().map(of).collect();
                    Tensor::<3>::from_data(TensorData::new(values, [rows, 1, 1]), device)
                };
                let values: Vec<f32> = (0..rows * padded * width).map(|_| stream.normal() as f32).collect();
                let epsilon = Tensor::<3>::from_data(TensorData::new(values, [rows, padded, width]), device);
                let x = real.clone() * column(&|m| m.seen[0]) + epsilon.clone() * column(&|m| m.seen[1]);
                let shown: Vec<Option<&[Frame]>> = some
                    .iter()
                    .map(|row| if stream.chance(self.config.condition_dropout) { None } else { *row })
                    .collect();
                let v = network.forward(&shown, &lengths, Some((x.clone(), &times)), context);
                let target = real * column(&|m| m.wanted[0]) + epsilon * column(&|m| m.wanted[1]);
                let estimate = x * column(&|m| m.estimate[0]) + v.clone() * column(&|m| m.estimate[1]);
                let error = (v - target).powf_scalar(2.0) * valid.clone();
                let guided =
                    mixtures.iter().zip(&shown).map(|(m, row)| m.level < CLEAN && row.is_some()).collect();
                (self.scale.restore(estimate), error.sum() / count, guided)
            }
        };
        let mut metrics = vec![Metric { name: "train/distance", value: scalar(&loss) }];
        let loss = match &network.durations {
            Some(durations) => {
                let of_lengths = durations.loss(&aligned, context);
                metrics.push(Metric { name: "train/lengths", value: scalar(&of_lengths) });
                loss + of_lengths
            }
            None => loss,
        };
        let loss = if self.config.moments > 0.0 && guided.contains(&true) {
            let rows: Vec<f32> = guided.iter().map(|&guided| f32::from(u8::from(guided))).collect();
            let rows = Tensor::<3>::from_data(TensorData::new(rows, [guided.len(), 1, 1]), device);
            let of = moments(self.scale.standardise(made.clone()), wanted, valid.clone() * rows);
            metrics.push(Metric { name: "train/moments", value: scalar(&of) });
            loss + of * self.config.moments
        } else {
            loss
        };
        let guide = self.guide();
        let tokens: usize =
            batch.targets.iter().zip(&guided).filter(|(_, guided)| **guided).map(|(t, _)| t.len()).sum();
        if guide == 0.0 || tokens == 0 {
            return Ok(Losses { total: loss, metrics });
        }
        let made = made * valid;
        let Upper { logits, lengths: frames, .. } =
            self.base.model.upper(self.base.split, made, &lengths, &mut Context::eval());
        let losses = ops::ctc_loss(logits, &batch.targets, &frames, self.base.tokenizer.blank_id());
        let shown: Vec<f32> = guided.iter().map(|&guided| f32::from(u8::from(guided))).collect();
        let shown = Tensor::<1>::from_data(TensorData::new(shown, [rows]), device);
        let ctc = (losses * shown).sum() / tokens as f64;
        metrics.push(Metric { name: "train/guide", value: scalar(&ctc) });
        Ok(Losses { total: loss + ctc * guide, metrics })
    }
}

/// Mean over channels of `(μ̂ − μ)² + (σ̂ − σ)²`, both over the valid frames of a batch.
///
/// # Shapes
/// `[B, T, D]` twice, and 1 or 0 per frame `[B, T, 1]`
fn moments(made: Tensor<3>, real: Tensor<3>, valid: Tensor<3>) -> Tensor<1> {
    let count = valid.clone().sum().clamp_min(1.0).reshape([1, 1, 1]);
    let sum = |x: Tensor<3>| x.sum_dim(1).sum_dim(0) / count.clone();
    let of = |x: Tensor<3>| {
        let mean = sum(x.clone() * valid.clone());
        let variance = sum((x - mean.clone()).powf_scalar(2.0) * valid.clone());
        (mean, (variance + 1e-6).sqrt())
    };
    let ((made_mean, made_spread), (mean, spread)) = (of(made), of(real));
    ((made_mean - mean).powf_scalar(2.0) + (made_spread - spread).powf_scalar(2.0)).mean()
}

fn pad(x: Tensor<3>, padded: usize, frames: usize, device: &Device) -> Tensor<3> {
    let [rows, _, width] = x.dims();
    if frames >= padded {
        return x;
    }
    Tensor::cat(vec![x, Tensor::zeros([rows, padded - frames, width], device)], 1)
}

fn scalar(x: &Tensor<1>) -> f64 {
    f64::from(x.clone().into_scalar::<f32>())
}

impl Task for SynthesisTask {
    type Model = SynthesizerNetwork;
    type Prepare = SynthesisPrepare;

    fn preparer(&self) -> Arc<SynthesisPrepare> {
        self.prepare.clone()
    }

    fn model(&self) -> &SynthesizerNetwork {
        self.model.get()
    }

    fn map_model(&mut self, update: &mut dyn FnMut(SynthesizerNetwork) -> SynthesizerNetwork) {
        self.model.map(update);
    }

    fn forward_backward(
        &mut self,
        batch: &SynthesisBatch,
        _step: u64,
        draw: Draw,
    ) -> Result<StepOutput, TrainError> {
        let key = draw.batch();
        let mut context = Context::train(key.stream(Purpose::Dropout), key.stream(Purpose::LayerDrop));
        let Losses { total, metrics } = self.losses(self.model(), batch, key, &self.device, &mut context)?;
        Ok(StepOutput { loss: scalar(&total), metrics, gradients: total.backward() })
    }

    fn group(&self, _name: &str, _step: u64) -> Group {
        Group { lr_scale: 1.0, weight_decay: self.lr_decay, frozen: false }
    }

    fn validate(&mut self, batch: &SynthesisBatch) -> Result<(), TrainError> {
        let device = self.device.clone().without_autodiff();
        let key = Draw::Validation.batch();
        let network = self.model().valid();
        let Losses { metrics, .. } = self.losses(&network, batch, key, &device, &mut Context::eval())?;
        self.tally.0 += metrics.first().map_or(0.0, |metric| metric.value);
        self.tally.1 += 1.0;
        Ok(())
    }

    fn finish_validation(&mut self) -> Vec<Metric> {
        let (sum, batches) = std::mem::take(&mut self.tally);
        vec![Metric { name: "validation/distance", value: sum / batches.max(1.0) }]
    }

    fn selection(&self) -> &'static [&'static str] {
        &["validation/distance"]
    }

    fn export(&self) -> Result<(NamedTensors, Metadata), TrainError> {
        let mut tensors = NamedTensors::new();
        for (name, data) in params::collect(self.model()) {
            tensors.insert(format!("network.{name}"), data);
        }
        if !self.prototypes.is_empty() {
            let width = self.bank.info.width;
            let data = TensorData::new(self.prototypes.clone(), [self.prototypes.len() / width, width]);
            tensors.insert("prototypes".into(), data);
        }
        let config =
            serde_json::to_string(&self.config.network).map_err(|e| TrainError::Task(e.to_string()))?;
        let metadata = Metadata::from([
            ("format".to_string(), "auricle-model-1".to_string()),
            ("kind".to_string(), "lasyn_synthesizer".to_string()),
            ("config".to_string(), config),
            ("base".to_string(), self.bank.info.base.clone()),
        ]);
        Ok((tensors, metadata))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_valid_frames() {
        let device = Device::flex();
        let mut stream = auricle_rng::Key::new(1).stream(Purpose::Test);
        let real: Vec<f32> = (0..2 * 40 * 3).map(|_| stream.normal() as f32).collect();
        let tensor = |values: Vec<f32>| Tensor::<3>::from_data(TensorData::new(values, [2, 40, 3]), &device);
        // The last ten frames of the second row are padding.
        let valid: Vec<f32> = (0..80).map(|i| if i < 70 { 1.0 } else { 0.0 }).collect();
        let valid = Tensor::<3>::from_data(TensorData::new(valid, [2, 40, 1]), &device);
        let of = |made: Vec<f32>| scalar(&moments(tensor(made), tensor(real.clone()), valid.clone()));
        let changed =
            |f: &dyn Fn(usize, f32) -> f32| real.iter().enumerate().map(|(i, &x)| f(i, x)).collect();
        assert!(of(changed(&|_, x| x)) < 1e-10);
        assert!((of(changed(&|_, x| x + 2.0)) - 4.0).abs() < 1e-4, "a shift of two is four");
        assert!(of(changed(&|i, x| if i < 70 * 3 { x } else { 9.0 })) < 1e-10, "padding does not count");
        // Twice the spread: about one for unit variance, whatever the order of frames.
        let wide = of(changed(&|_, x| 2.0 * x));
        assert!((0.7..1.4).contains(&wide), "{wide}");
    }
}
