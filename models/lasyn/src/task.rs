//! Training of the upper part as a task.

use crate::perturb::perturb;
use crate::places::places;
use crate::recogniser::{KIND, Search, length_bonus, search};
use crate::{
    CachedSynthesizer, LasynBatch, LasynConfig, LasynModel, LasynPrepare, SplitRecogniser, Synthesizer,
    Target, TextPool, TextTask, Upper,
};
use auricle_augment::Libraries;
use auricle_decode::BeamConfig;
use auricle_nn::params::{self, NamedTensors};
use auricle_nn::streaming::StreamingDecoder;
use auricle_nn::weights::Metadata;
use auricle_nn::{AttentionDecoder, Context, Initializer, smoothed_cross_entropy};
use auricle_rng::{Key, Purpose};
use auricle_tensor::ops;
use auricle_text::slu::{self, SluReport, Understood};
use auricle_text::{ErrorCounts, Tokenizer, cer, wer};
use auricle_train::{
    AdamWConfig, AugmentConfig, Draw, Group, Held, Metric, Recipe, StepOutput, Task, TrainError,
};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;

/// Training of a recogniser's upper part on latents of speech and of text.
pub struct LasynTask {
    config: LasynConfig,
    optimizer: AdamWConfig,
    steps: u64,
    base: SplitRecogniser,
    model: Held<LasynModel>,
    tokenizer: Arc<Tokenizer>,
    prepare: Arc<LasynPrepare>,
    device: Device,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    loss: f64,
    utterances: f64,
    words: ErrorCounts,
    characters: ErrorCounts,
    understood: Vec<Understood>,
}

impl LasynTask {
    /// The task of a recipe on a device.
    ///
    /// # Errors
    /// Settings that do not fit each other.
    #[allow(clippy::too_many_arguments)] // a task is made in one place, of what a recipe names
    pub fn new(
        recipe: &Recipe,
        config: LasynConfig,
        augment: AugmentConfig,
        base: SplitRecogniser,
        tokenizer: Option<Tokenizer>,
        pretrained: Option<NamedTensors>,
        synthesizer: Option<(Arc<dyn Synthesizer>, TextPool)>,
        libraries: Libraries,
        device: &Device,
    ) -> Result<Self, TrainError> {
        if synthesizer.is_some() && config.anneal_steps >= recipe.train.steps {
            return Err(TrainError::Recipe(format!(
                "model.anneal_steps: no text is used in the last {} of {} steps, so it would not be used at all",
                config.anneal_steps, recipe.train.steps
            )));
        }
        let (synthesizer, pool) = synthesizer.unzip();
        let synthesizer = match (synthesizer, config.cached_takes) {
            (Some(made), Some(takes)) => {
                Some(Arc::new(CachedSynthesizer::new(made, takes, recipe.seed)) as Arc<dyn Synthesizer>)
            }
            (synthesizer, _) => synthesizer,
        };
        if let Some(synthesizer) = &synthesizer
            && synthesizer.width() != base.width()
        {
            return Err(TrainError::Recipe(format!(
                "the synthesizer makes latents of width {}, the model's have {}",
                synthesizer.width(),
                base.width()
            )));
        }
        let width = base.config.encoder.output_width();
        if let Some(decoder) = &config.decoder {
            decoder.validate(width).map_err(|e| TrainError::Recipe(e.to_string()))?;
        }
        let mut base = base;
        let mut stream = Key::new(recipe.seed).stream(Purpose::Init);
        let mut init = Initializer::new(&mut stream, device);
        if let Some(head) = &config.head {
            head.validate().map_err(|e| TrainError::Recipe(e.to_string()))?;
            base.config.head = head.clone();
        }
        let anew = tokenizer.is_some() || config.head.is_some();
        let tokenizer = Arc::new(tokenizer.unwrap_or_else(|| base.tokenizer.clone()));
        if anew {
            base.model.head = base.config.head.init(width, tokenizer.vocab_size(), &mut init);
        }
        if config.tasks.any() {
            for task in TextTask::ALL {
                task.token(&tokenizer).map_err(|e| TrainError::Recipe(e.to_string()))?;
            }
        }
        let classes = tokenizer.vocab_size();
        base.model.decoder =
            config.decoder.as_ref().map(|d| AttentionDecoder::new(width, classes, d, &mut init));
        if let Some(mut pretrained) = pretrained {
            base.model = params::load(base.model, "", &mut pretrained)
                .map_err(|e| TrainError::Recipe(format!("model.init_from: {e}")))?;
        }
        let prepare = LasynPrepare::new(
            &base,
            &config,
            tokenizer.clone(),
            augment,
            synthesizer,
            pool.unwrap_or_default(),
            libraries,
        )?;
        Ok(Self {
            config,
            optimizer: recipe.optimizer.clone(),
            steps: recipe.train.steps,
            model: Held::new(base.model.clone()),
            tokenizer,
            base,
            prepare: Arc::new(prepare),
            device: device.clone(),
            tally: Tally::default(),
        })
    }

    /// Whether a step is one of the last, on real speech only.
    fn is_late(&self, step: u64) -> bool {
        step + self.config.anneal_steps >= self.steps
    }

    /// What a batch costs.
    ///
    /// Without a decoder the mean of the rows' CTC losses (as fine-tuning of recognisers does); with one
    /// `λ·CTC + (1 − λ)·CE`, both per token. Rows of other tasks begin with the task's token and have no CTC loss.
    fn loss(
        &self,
        model: &LasynModel,
        upper: &Upper,
        targets: &[Vec<u32>],
        tasks: &[Option<TextTask>],
        context: &mut Context,
    ) -> Result<Losses, TrainError> {
        let blank = self.tokenizer.blank_id();
        let losses = ops::ctc_loss(upper.logits.clone(), targets, &upper.lengths, blank);
        let Some(decoder) = &model.decoder else {
            return Ok(Losses { total: losses.clone().mean(), ctc: losses, attention: None });
        };
        let main: Vec<f32> = tasks.iter().map(|task| f32::from(u8::from(task.is_none()))).collect();
        let device = losses.device();
        let losses = losses * Tensor::<1>::from_data(TensorData::new(main, [tasks.len()]), &device);
        let start = |task: &Option<TextTask>| match task {
            Some(task) => task.token(&self.tokenizer).map_err(|e| TrainError::Task(e.to_string())),
            None => Ok(blank),
        };
        let starts: Vec<u32> = tasks.iter().map(start).collect::<Result<_, _>>()?;
        let given: Vec<Vec<u32>> =
            targets.iter().zip(starts).map(|(row, start)| [&[start], row.as_slice()].concat()).collect();
        let wanted: Vec<Vec<u32>> = targets.iter().map(|row| [row.as_slice(), &[blank]].concat()).collect();
        let places = if decoder.triggered { places(upper, targets, blank)? } else { Vec::new() };
        let logits = decoder.forward(&given, &places, &upper.memory, &upper.memory_lengths, context);
        let entropy = smoothed_cross_entropy(logits, &wanted, self.config.smoothing);
        let tokens = targets.iter().map(Vec::len).sum::<usize>().max(1) as f64;
        let lambda = self.config.ctc_weight;
        let total = losses.clone().sum() * (lambda / tokens) + entropy.clone() * (1.0 - lambda);
        Ok(Losses { total, ctc: losses, attention: Some(entropy) })
    }

    /// Latents of all rows, real rows first, and their valid frames; without the real ones where
    /// `real` is false, without the others where `pseudo` is false.
    fn latents(
        &self,
        model: &LasynModel,
        batch: &LasynBatch,
        rows: Rows,
        device: &Device,
        context: &mut Context,
    ) -> (Tensor<3>, Vec<usize>) {
        let width = self.base.width();
        let mut parts: Vec<(Tensor<3>, Vec<usize>)> = Vec::new();
        let features = &batch.features;
        if !features.lengths.is_empty() {
            let shape = [features.lengths.len(), features.frames, self.base.config.encoder.bins];
            let mel = Tensor::from_data(TensorData::new(features.values.clone(), shape), device);
            let model = model.clone();
            // Without gradients it is not recorded either: see the frozen encoder of `auricle_asr::CtcTask`.
            let model = if self.config.train_lower { model } else { model.no_grad() };
            let (z, lengths) = model.lower(self.base.split, mel, &features.lengths, context);
            let [count, frames, _] = z.dims();
            let longest = lengths.iter().copied().max().unwrap_or(frames).min(frames);
            parts.push((z.slice([0..count, 0..longest, 0..width]), lengths));
        }
        if rows == Rows::All && !batch.pseudo.is_empty() {
            let lengths: Vec<usize> = batch.pseudo.iter().map(|z| z.len() / width).collect();
            let longest = lengths.iter().copied().max().unwrap_or(0).max(1);
            let mut values = Vec::with_capacity(lengths.len() * longest * width);
            for z in &batch.pseudo {
                values.extend_from_slice(z);
                values.resize(values.len() + longest * width - z.len(), 0.0);
            }
            let data = TensorData::new(values, [lengths.len(), longest, width]);
            parts.push((Tensor::from_data(data, device), lengths));
        }
        // The next convolution halves the rate: an even number of frames for every batch.
        let longest = parts.iter().map(|(z, _)| z.dims()[1]).max().unwrap_or(0).next_multiple_of(4);
        let lengths = parts.iter().flat_map(|(_, lengths)| lengths.clone()).collect();
        let padded = parts.into_iter().map(|(z, _)| {
            let [count, frames, _] = z.dims();
            if frames == longest {
                return z;
            }
            Tensor::cat(vec![z, Tensor::zeros([count, longest - frames, width], device)], 1)
        });
        (Tensor::cat(padded.collect(), 0), lengths)
    }
}

/// The loss of a batch and what it is made of.
struct Losses {
    total: Tensor<1>,
    /// CTC losses of the rows.
    ctc: Tensor<1>,
    /// Cross-entropy per token, where there is a decoder.
    attention: Option<Tensor<1>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Rows {
    Real,
    All,
}

impl Task for LasynTask {
    type Model = LasynModel;
    type Prepare = LasynPrepare;

    fn preparer(&self) -> Arc<LasynPrepare> {
        self.prepare.clone()
    }

    fn model(&self) -> &LasynModel {
        self.model.get()
    }

    fn map_model(&mut self, update: &mut dyn FnMut(LasynModel) -> LasynModel) {
        self.model.map(update);
    }

    /// Text may fill a batch: in the last steps, which are on real speech, it teaches nothing.
    fn skips(&self, batch: &LasynBatch, step: u64) -> bool {
        self.is_late(step) && batch.features.lengths.is_empty()
    }

    fn forward_backward(
        &mut self,
        batch: &LasynBatch,
        step: u64,
        draw: Draw,
    ) -> Result<StepOutput, TrainError> {
        let key = draw.batch();
        let mut context = Context::train(key.stream(Purpose::Dropout), key.stream(Purpose::LayerDrop));
        let real = batch.features.lengths.len();
        let rows = if self.is_late(step) { Rows::Real } else { Rows::All };
        let lower = &mut if self.config.train_lower { context.clone() } else { Context::eval() };
        let (z, lengths) = self.latents(self.model(), batch, rows, &self.device, lower);
        let z = perturb(z, &lengths, &self.config.masks, self.config.noise, key);
        let upper = self.model().upper(self.base.split, z, &lengths, &mut context);
        let (targets, tasks) = (&batch.targets[..lengths.len()], &batch.tasks[..lengths.len()]);
        let Losses { total, ctc, attention } =
            self.loss(self.model(), &upper, targets, tasks, &mut context)?;
        let losses = ctc.into_data().try_to_vec::<f32>().map_err(|e| TrainError::Task(format!("{e:?}")))?;
        let mut metrics: Vec<Metric> =
            attention.iter().map(|x| Metric { name: "train/attention", value: scalar(x) }).collect();
        for (name, range) in [("train/real", 0..real), ("train/pseudo", real..lengths.len())] {
            let main = range.clone().filter(|&row| tasks[row].is_none());
            let tokens: usize = main.map(|row| targets[row].len()).sum();
            if tokens > 0 {
                let sum: f32 = losses[range].iter().sum();
                metrics.push(Metric { name, value: f64::from(sum) / tokens as f64 });
            }
        }
        Ok(StepOutput { loss: scalar(&total), metrics, gradients: total.backward() })
    }

    fn group(&self, name: &str, _step: u64) -> Group {
        let AdamWConfig { weight_decay, encoder_weight_decay, .. } = self.optimizer;
        let encoder = name.starts_with("encoder.");
        Group {
            lr_scale: 1.0,
            weight_decay: if encoder { encoder_weight_decay.unwrap_or(weight_decay) } else { weight_decay },
            frozen: !self.config.train_lower && self.base.is_lower(name),
        }
    }

    fn validate(&mut self, batch: &LasynBatch) -> Result<(), TrainError> {
        let device = self.device.clone().without_autodiff();
        let model = self.model().valid();
        let context = &mut Context::eval();
        let (z, lengths) = self.latents(&model, batch, Rows::All, &device, context);
        let upper = model.upper(self.base.split, z, &lengths, context);
        let losses = self.loss(&model, &upper, &batch.targets, &batch.tasks, context)?;
        self.tally.loss += scalar(&losses.total) * batch.ids.len() as f64;
        self.tally.utterances += batch.ids.len() as f64;
        let decoder = model.decoder.as_ref().map(StreamingDecoder::new).transpose();
        let decoder = decoder.map_err(|e| TrainError::Task(e.to_string()))?;
        let frame_synchronous = decoder.as_ref().is_some_and(StreamingDecoder::is_triggered);
        let beam = BeamConfig {
            beam: self.config.beam,
            ctc_weight: self.config.ctc_weight,
            length_bonus: length_bonus(frame_synchronous),
            ..BeamConfig::default()
        };
        let how = Search { config: &beam, frame_synchronous, lm: None };
        let found = search(decoder.as_ref(), &upper, self.tokenizer.blank_id(), &how)?;
        for ((tokens, text), id) in found.into_iter().zip(&batch.texts).zip(&batch.ids) {
            let written = self.tokenizer.decode(&tokens);
            self.tally.words += wer(text, &written);
            self.tally.characters += cer(text, &written);
            if self.config.target == Target::Meaning {
                let (id, reference) = (id.clone(), text.clone());
                self.tally.understood.push(Understood { id, reference, hypothesis: Some(written) });
            }
        }
        Ok(())
    }

    fn finish_validation(&mut self) -> Vec<Metric> {
        let Tally { loss, utterances, words, characters, understood } = std::mem::take(&mut self.tally);
        let mut metrics = vec![
            Metric { name: "validation/wer", value: words.rate() },
            Metric { name: "validation/cer", value: characters.rate() },
            Metric { name: "validation/loss", value: loss / utterances.max(1.0) },
        ];
        let kind = understood.first().map(|first| slu::Kind::of(&first.reference));
        let report = kind.and_then(|kind| slu::evaluate(kind, &understood, 2, Key::new(0)).ok());
        match report {
            Some(SluReport::Frames(report)) => metrics.extend([
                Metric { name: "validation/meaning_error", value: 1.0 - report.frame_accuracy.value },
                Metric { name: "validation/slot_f1", value: report.span_f1.value },
            ]),
            Some(SluReport::Trees(report)) => metrics.extend([
                Metric { name: "validation/meaning_error", value: 1.0 - report.exact_match.value },
                Metric { name: "validation/tree_match", value: report.tree_match.value },
            ]),
            None => {}
        }
        metrics
    }

    fn selection(&self) -> &'static [&'static str] {
        match self.config.target {
            Target::Text => &["validation/wer", "validation/cer", "validation/loss"],
            Target::Meaning => &["validation/meaning_error", "validation/wer", "validation/loss"],
        }
    }

    fn export(&self) -> Result<(NamedTensors, Metadata), TrainError> {
        let json =
            |value: Result<String, serde_json::Error>| value.map_err(|e| TrainError::Task(e.to_string()));
        let plain = self.config.decoder.is_none() && self.config.target == Target::Text;
        let mut metadata = Metadata::from([
            ("format".to_string(), "auricle-model-1".to_string()),
            ("kind".to_string(), if plain { "ctc" } else { KIND }.to_string()),
            ("config".to_string(), json(serde_json::to_string(&self.base.config))?),
            ("tokenizer".to_string(), self.tokenizer.to_json()),
        ]);
        if let Some(decoder) = &self.config.decoder {
            metadata.insert("decoder".into(), json(serde_json::to_string(decoder))?);
            metadata.insert("ctc_weight".into(), self.config.ctc_weight.to_string());
        }
        if self.config.target == Target::Meaning {
            metadata.insert("target".into(), "meaning".into());
        }
        Ok((params::collect(self.model()), metadata))
    }
}

fn scalar(x: &Tensor<1>) -> f64 {
    f64::from(x.clone().into_scalar::<f32>())
}
