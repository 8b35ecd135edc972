//! LF-MMI training as a training task.

use crate::phones::Transcripts;
use crate::probe::Probes;
use crate::{MmiAugment, MmiBatch, MmiConfig, MmiModel, MmiPrepare, Pronunciations, System};
use auricle_augment::Libraries;
use auricle_data::Utterance;
use auricle_decode::graph::{GraphError, best_path};
use auricle_nn::Initializer;
use auricle_nn::params::{self, NamedTensors};
use auricle_nn::weights::Metadata;
use auricle_rng::{Key, Purpose};
use auricle_tensor::ops::{self, LfMmiOptions};
use auricle_text::ErrorCounts;
use auricle_text::units::{SILENCE, SPOKEN_NOISE};
use auricle_train::{
    AdamWConfig, Draw, Group, Held, Metric, Precision, Recipe, StepOutput, Task, TrainError,
};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;

/// States of the free phone loop whose score is below the best by more than this are given up in validation.
const BEAM: f32 = 16.0;

/// Training of an [`MmiModel`].
pub struct MmiTask {
    config: MmiConfig,
    masks: crate::MaskConfig,
    optimizer: AdamWConfig,
    precision: Precision,
    model: Held<MmiModel>,
    transcripts: Arc<Transcripts>,
    prepare: Arc<MmiPrepare>,
    device: Device,
    /// Where the weights are averaged, what their statistics are made from.
    probes: Option<Probes>,
    /// The model in validation.
    evaluated: Option<MmiModel>,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    phones: ErrorCounts,
    objective: f64,
    frames: f64,
    /// Utterances whose text the phone language model knows, and all.
    known: f64,
    utterances: f64,
}

impl MmiTask {
    /// The task of a recipe on a device; the phone language model is estimated on the transcripts of `train`. `pretrained`
    /// replaces the random start; the outputs of a model without context become those of one with context.
    ///
    /// # Errors
    /// A setting out of its domain, a dictionary that cannot be read, a transcript that cannot be pronounced, weights of another
    /// shape.
    pub fn new(
        recipe: &Recipe,
        config: MmiConfig,
        augment: MmiAugment,
        train: &[Utterance],
        pretrained: Option<NamedTensors>,
        libraries: Libraries,
        device: &Device,
    ) -> Result<Self, TrainError> {
        config.validate().and_then(|()| augment.masks.validate()).map_err(TrainError::Recipe)?;
        let pronunciations = Pronunciations::read(&config)?;
        let texts = train.iter().filter_map(|u| Some((u.id.as_str(), u.text.as_deref()?)));
        let system = System::estimate(&config, &pronunciations, texts, recipe.seed)?;
        let mut stream = Key::new(recipe.seed).stream(Purpose::Init);
        let mut model =
            MmiModel::new(&config, system.outputs.count(), &mut Initializer::new(&mut stream, device));
        if let Some(mut pretrained) = pretrained {
            add_context(&mut pretrained, &system);
            model = params::load(model, "", &mut pretrained)
                .map_err(|e| TrainError::Recipe(format!("model.init_from: {e}")))?;
        }
        let transcripts = Arc::new(Transcripts::new(Arc::new(system), pronunciations)?);
        let prepare = MmiPrepare::new(&config, &augment, transcripts.clone(), libraries)?;
        Ok(Self {
            config,
            masks: augment.masks,
            optimizer: recipe.optimizer.clone(),
            precision: recipe.train.precision,
            model: Held::new(model),
            transcripts,
            prepare: Arc::new(prepare),
            device: device.clone(),
            probes: recipe.train.ema.map(|_| Probes::default()),
            evaluated: None,
            tally: Tally::default(),
        })
    }

    /// What is recognised: outputs, phone language model, graph.
    pub fn system(&self) -> &System {
        &self.transcripts.system
    }

    fn input(&self, values: Vec<f32>, batch: &MmiBatch, device: &Device) -> Tensor<3> {
        let shape = [batch.lengths.len(), batch.frames, self.config.net.bins];
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// The model for evaluation, with statistics of its own.
    fn for_evaluation(&self) -> MmiModel {
        let model = self.model().valid();
        match &self.probes {
            Some(probes) => {
                probes.renew(model, self.config.net.bins, &self.device.clone().without_autodiff())
            }
            None => model,
        }
    }

    fn options(&self) -> LfMmiOptions {
        LfMmiOptions { leak: self.config.leak, square: self.config.square, ..LfMmiOptions::default() }
    }
}

/// Gives each output of a model with context what its phone has in a model without.
fn add_context(tensors: &mut NamedTensors, system: &System) {
    let from = system.outputs.mono_outputs();
    let mono = from.iter().max().map_or(0, |&last| last as usize + 1);
    for (name, data) in tensors.iter_mut() {
        let is_output = name.ends_with(".output.weight") || name.ends_with(".output.bias");
        let columns = data.shape().to_vec().last().copied().unwrap_or(0);
        if !is_output || columns != mono || mono == from.len() {
            continue;
        }
        let Ok(values) = data.try_to_vec::<f32>() else { continue };
        let spread = values.chunks_exact(mono).flat_map(|row| from.iter().map(|&own| row[own as usize]));
        let spread: Vec<f32> = spread.collect();
        let mut shape = data.shape().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = from.len();
        }
        *data = TensorData::new(spread, shape);
    }
}

impl Task for MmiTask {
    type Model = MmiModel;
    type Prepare = MmiPrepare;

    fn preparer(&self) -> Arc<MmiPrepare> {
        self.prepare.clone()
    }

    fn model(&self) -> &MmiModel {
        self.model.get()
    }

    fn map_model(&mut self, update: &mut dyn FnMut(MmiModel) -> MmiModel) {
        self.model.map(update);
    }

    fn begin_step(&mut self, step: u64) {
        let every = self.config.orthogonal_every;
        if every > 0 && step > 0 && step.is_multiple_of(every) {
            self.model.map(MmiModel::towards_orthogonal);
        }
    }

    /// `−F` and the penalties per output frame, plus the cross-entropy of the branch with the posteriors of the numerator.
    fn forward_backward(
        &mut self,
        batch: &MmiBatch,
        step: u64,
        draw: Draw,
    ) -> Result<StepOutput, TrainError> {
        if let Some(probes) = &mut self.probes {
            probes.see(batch, step);
        }
        let bins = self.config.net.bins;
        let mut features = batch.features.clone();
        let rows = features.chunks_exact_mut((batch.frames * bins).max(1)).zip(&batch.lengths);
        for (id, (row, &length)) in batch.ids.iter().zip(rows) {
            let mut stream = draw.utterance(id).stream(Purpose::FrequencyMask);
            self.masks.apply(&mut row[..length * bins], bins, step, &mut stream);
        }
        let mel = self.input(features, batch, &self.device);
        let forward = || self.model().forward_train(mel, &batch.lengths);
        let (scores, branch, lengths, moments) = self.precision.run(forward);
        let nums: Vec<_> = batch.said.iter().map(|said| said.num.clone()).collect();
        let den = &self.system().den;
        let output = ops::lf_mmi(scores, &lengths, den, &nums, &batch.weights, self.options());
        let taught = output.scores.iter().zip(&lengths).filter(|(score, _)| score.numerator.is_some());
        let (mut objective, mut frames, mut utterances) = (0.0, 0.0, 0usize);
        for (score, &length) in taught {
            objective += score.objective();
            frames += length as f64;
            utterances += 1;
        }
        let scale = 1.0 / f64::max(frames, 1.0);
        let mut loss = output.loss.sum() * scale;
        let mut metrics = vec![
            Metric { name: "train/objective", value: objective * scale },
            Metric { name: "train/too_short", value: (batch.ids.len() - utterances) as f64 },
        ];
        if self.config.cross_entropy > 0.0 {
            let posteriors = Tensor::from_inner(output.posteriors);
            let entropy = (ops::log_softmax(branch, 2) * posteriors).sum() * -scale;
            let value = f64::from(entropy.clone().into_scalar::<f32>());
            metrics.push(Metric { name: "train/cross_entropy", value });
            loss = loss + entropy * self.config.cross_entropy;
        }
        let value = f64::from(loss.clone().into_scalar::<f32>());
        let gradients = loss.backward();
        // The first batches count for more: there is nothing to forget.
        let share = self.config.norm_share.max(1.0 / (step as f64 + 1.0));
        self.model.map(|model| model.absorb(moments, share));
        Ok(StepOutput { loss: value, metrics, gradients })
    }

    fn group(&self, name: &str, _: u64) -> Group {
        let is_matrix = !name.contains(".output.") && !name.ends_with("bias");
        let own = self.config.matrix_weight_decay.filter(|_| is_matrix);
        Group { lr_scale: 1.0, weight_decay: own.unwrap_or(self.optimizer.weight_decay), frozen: false }
    }

    /// Phone errors of the free loop over the denominator's graph, and the objective where the language model knows the text.
    fn validate(&mut self, batch: &MmiBatch) -> Result<(), TrainError> {
        let device = self.device.clone().without_autodiff();
        let mel = self.input(batch.features.clone(), batch, &device);
        let model = self.evaluated.take().unwrap_or_else(|| self.for_evaluation());
        let (scores, lengths) = model.forward(mel, &batch.lengths);
        self.evaluated = Some(model);
        let nums: Vec<_> = batch.said.iter().map(|said| said.num.clone()).collect();
        let den = &self.system().den;
        let output = ops::lf_mmi(scores.clone(), &lengths, den, &nums, &batch.weights, self.options());
        let [_, frames, outputs] = scores.dims();
        let values =
            scores.into_data().try_to_vec::<f32>().map_err(|e| TrainError::Task(format!("{e:?}")))?;
        let rows = values.chunks(frames * outputs).zip(&lengths);
        for (i, (row, &length)) in rows.enumerate() {
            let row = row.get(..length * outputs).unwrap_or(row);
            let graph = &self.system().denominator.graph;
            let spans = match best_path(graph, row, outputs, BEAM) {
                Ok((spans, _)) => spans,
                // Every state ends, so only an utterance without frames has no path.
                Err(GraphError::Impossible) => Vec::new(),
                Err(error) => return Err(TrainError::Task(format!("utterance {}: {error}", batch.ids[i]))),
            };
            let heard: Vec<u16> = spans.iter().map(|span| span.phone).collect();
            let heard: Vec<u16> =
                heard.into_iter().filter(|phone| ![SILENCE, SPOKEN_NOISE].contains(phone)).collect();
            self.tally.phones += ErrorCounts::of(&batch.said[i].reference, &heard);
            self.tally.utterances += 1.0;
            if output.scores[i].numerator.is_some() {
                self.tally.known += 1.0;
                self.tally.objective += output.scores[i].objective();
                self.tally.frames += length as f64;
            }
        }
        Ok(())
    }

    fn finish_validation(&mut self) -> Vec<Metric> {
        let Tally { phones, objective, frames, known, utterances } = std::mem::take(&mut self.tally);
        self.evaluated = None;
        let mut metrics = vec![
            Metric { name: "validation/per", value: phones.rate() },
            Metric { name: "validation/known_texts", value: known / utterances.max(1.0) },
        ];
        if frames > 0.0 {
            metrics.push(Metric { name: "validation/objective", value: objective / frames });
        }
        metrics
    }

    fn selection(&self) -> &'static [&'static str] {
        &["validation/per"]
    }

    fn state(&self) -> NamedTensors {
        self.probes.as_ref().map(|probes| probes.state(self.config.net.bins)).unwrap_or_default()
    }

    fn load_state(&mut self, mut state: NamedTensors) -> Result<(), TrainError> {
        if self.probes.is_some() {
            self.probes = Some(Probes::load(&mut state, self.config.net.bins)?);
        }
        Ok(())
    }

    fn export(&self) -> Result<(NamedTensors, Metadata), TrainError> {
        let fail = |e: serde_json::Error| TrainError::Task(e.to_string());
        let system = self.system();
        let metadata = Metadata::from([
            ("format".to_string(), "auricle-model-1".to_string()),
            ("kind".to_string(), "mmi".to_string()),
            ("config".to_string(), serde_json::to_string(&self.config).map_err(fail)?),
            ("outputs".to_string(), serde_json::to_string(&system.outputs).map_err(fail)?),
            ("phone_lm".to_string(), system.lm.to_text()),
            ("lexicon_hash".to_string(), self.transcripts.lexicon_hash().to_string()),
        ]);
        Ok((params::collect(&self.for_evaluation()), metadata))
    }
}
