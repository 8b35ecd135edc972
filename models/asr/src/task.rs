//! CTC fine-tuning as a training task.

use crate::{CtcBatch, CtcConfig, CtcModel, CtcPrepare};
use auricle_augment::Libraries;
use auricle_data::doctor::frames_needed;
use auricle_decode::{by_frame, greedy};
use auricle_nn::params::{self, NamedTensors};
use auricle_nn::weights::Metadata;
use auricle_nn::{Context, CtcHead, Initializer};
use auricle_rng::{Key, Purpose};
use auricle_tensor::ops;
use auricle_text::{ErrorCounts, Scored, Tokenizer, cer, wer};
use auricle_train::report::Section;
use auricle_train::{
    AdamWConfig, AugmentConfig, Draw, Group, Held, Metric, Precision, Recipe, StepOutput, Task, TrainError,
};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;

/// Training of a [`CtcModel`].
pub struct CtcTask {
    config: CtcConfig,
    optimizer: AdamWConfig,
    precision: Precision,
    model: Held<CtcModel>,
    tokenizer: Arc<Tokenizer>,
    mask_vector: Vec<f32>,
    prepare: Arc<CtcPrepare>,
    device: Device,
    tally: Tally,
    /// The transcripts of the last validation.
    scored: Vec<Scored>,
    warnings: Vec<String>,
}

#[derive(Default)]
struct Tally {
    scored: Vec<Scored>,
    loss: f64,
    utterances: f64,
    words: ErrorCounts,
    characters: ErrorCounts,
}

/// Weights to start from.
pub struct Pretrained {
    /// An encoder's parameters, named `encoder.…`; perhaps a head's, named `head.…`, and the mask vector.
    pub tensors: NamedTensors,
    /// What the head writes, where there is one.
    pub tokenizer: Option<Tokenizer>,
}

impl Pretrained {
    /// Exported weights and what they say of themselves.
    pub fn new(tensors: NamedTensors, metadata: &Metadata) -> Self {
        let tokenizer = metadata.get("tokenizer").and_then(|json| Tokenizer::from_json(json).ok());
        Self { tensors, tokenizer }
    }

    /// Takes the head out, for `model.init_head` as the recipe has it: the new `head` where none is to be taken, and
    /// what the user should know of that.
    fn head(
        &mut self,
        head: CtcHead,
        wanted: Option<bool>,
        tokenizer: &Tokenizer,
    ) -> Result<(CtcHead, Option<String>), String> {
        let has_one = self.tensors.keys().any(|name| name.starts_with("head."));
        if wanted == Some(false) || (wanted.is_none() && !has_one) {
            return Ok((head, None));
        }
        let same = self.tokenizer.as_ref().is_some_and(|own| own.to_json() == tokenizer.to_json());
        let brought = match (has_one, same) {
            (false, _) => Err("they have no head".to_string()),
            (true, false) => Err("their head writes with another vocabulary".to_string()),
            (true, true) => {
                params::load(head.clone(), "head", &mut self.tensors).map_err(|error| error.to_string())
            }
        };
        match (brought, wanted) {
            (Ok(brought), _) => Ok((brought, None)),
            (Err(reason), Some(_)) => Err(reason),
            (Err(reason), None) => Ok((head, Some(reason))),
        }
    }
}

impl CtcTask {
    /// The task of a recipe on a device; `pretrained` replaces the random start of the encoder and, as
    /// `model.init_head` says, of the head.
    ///
    /// # Errors
    /// Settings that do not fit each other or the weights.
    pub fn new(
        recipe: &Recipe,
        config: CtcConfig,
        augment: AugmentConfig,
        tokenizer: Tokenizer,
        pretrained: Option<Pretrained>,
        libraries: Libraries,
        device: &Device,
    ) -> Result<Self, TrainError> {
        config.validate().map_err(|e| TrainError::Recipe(e.to_string()))?;
        let mut stream = Key::new(recipe.seed).stream(Purpose::Init);
        let mut mask_vector: Vec<f32> =
            (0..config.encoder.bins).map(|_| (0.01 * stream.normal()) as f32).collect();
        let mut model =
            CtcModel::new(&config, tokenizer.vocab_size(), &mut Initializer::new(&mut stream, device));
        let mut warnings = Vec::new();
        if let Some(mut pretrained) = pretrained {
            let fail = |e: params::LoadError| TrainError::Recipe(format!("model.init_from: {e}"));
            let encoder = params::load(model.encoder, "encoder", &mut pretrained.tensors).map_err(fail)?;
            let from = config.init_from.as_deref().map_or_else(String::new, |p| format!(" {}", p.display()));
            let (head, new) =
                pretrained.head(model.head, config.init_head, &tokenizer).map_err(|reason| {
                    TrainError::Recipe(format!(
                        "model.init_head: the head of model.init_from{from} cannot be used: {reason}; set \
                         model.init_head=false for a new one"
                    ))
                })?;
            warnings.extend(new.map(|reason| {
                format!(
                    "of model.init_from{from} only the encoder is used ({reason}): the head starts from random weights; \
                     set model.init_head=false where that is meant"
                )
            }));
            model = CtcModel { encoder, head };
            let brought = pretrained.tensors.remove("mask_vector").and_then(|d| d.try_to_vec::<f32>().ok());
            mask_vector = brought.filter(|v| v.len() == config.encoder.bins).unwrap_or(mask_vector);
        }
        let tokenizer = Arc::new(tokenizer);
        let prepare = CtcPrepare::new(&config, augment, tokenizer.clone(), mask_vector.clone(), libraries)?;
        Ok(Self {
            config,
            optimizer: recipe.optimizer.clone(),
            precision: recipe.train.precision,
            model: Held::new(model),
            tokenizer,
            mask_vector,
            prepare: Arc::new(prepare),
            device: device.clone(),
            tally: Tally::default(),
            scored: Vec::new(),
            warnings,
        })
    }

    fn input(&self, batch: &CtcBatch, device: &Device) -> Tensor<3> {
        let shape = [batch.lengths.len(), batch.frames, self.config.encoder.bins];
        self.precision.input(Tensor::from_data(TensorData::new(batch.features.clone(), shape), device))
    }

    /// Logits and valid lengths, the encoder's part in the recipe's precision; no gradient reaches a
    /// `frozen` encoder.
    ///
    /// Its parameters ask for none, so that nothing of it is recorded: a recorded pass whose output is
    /// merely detached is never gone through backwards, and its activations stay for as long as the
    /// parameters do (85 MB per step of 60 s).
    fn logits(
        &self,
        model: &CtcModel,
        mel: Tensor<3>,
        lengths: &[usize],
        frozen: bool,
        context: &mut Context,
    ) -> (Tensor<3>, Vec<usize>) {
        let encoder = self.precision.module(&model.encoder, &self.device);
        let encoder = if frozen { encoder.no_grad() } else { encoder };
        let (x, lengths) = self.precision.run(|| encoder.forward(mel, lengths, context));
        model.classify(x, &lengths, context)
    }
}

/// How many rows CTC can align: the others have a loss of 0.
fn aligned(targets: &[Vec<u32>], frames: &[usize]) -> usize {
    targets.iter().zip(frames).filter(|(tokens, frames)| frames_needed(tokens) <= **frames).count()
}

impl Task for CtcTask {
    type Model = CtcModel;
    type Prepare = CtcPrepare;

    fn preparer(&self) -> Arc<CtcPrepare> {
        self.prepare.clone()
    }

    fn model(&self) -> &CtcModel {
        self.model.get()
    }

    fn map_model(&mut self, update: &mut dyn FnMut(CtcModel) -> CtcModel) {
        self.model.map(update);
    }

    /// CTC per utterance (not divided by target length), infinite losses zeroed, mean over the
    /// batch (SPIRAL §9).
    fn forward_backward(
        &mut self,
        batch: &CtcBatch,
        step: u64,
        draw: Draw,
    ) -> Result<StepOutput, TrainError> {
        let key = draw.batch();
        let mut context = Context::train(key.stream(Purpose::Dropout), key.stream(Purpose::LayerDrop));
        let frozen = step < self.config.freeze_encoder_steps;
        let mel = self.input(batch, &self.device);
        let (logits, lengths) = self.logits(self.model(), mel, &batch.lengths, frozen, &mut context);
        let losses = ops::ctc_loss(logits, &batch.targets, &lengths, self.tokenizer.blank_id());
        let loss = losses.mean();
        let value = f64::from(loss.clone().into_scalar::<f32>());
        let tokens = batch.targets.iter().map(Vec::len).sum::<usize>().max(1) as f64;
        let per_token = value * batch.targets.len() as f64 / tokens;
        let mut metrics = vec![Metric { name: "train/loss_per_token", value: per_token }];
        // What can be aligned as it was said may be too short when it is played faster.
        let zeroed = batch.targets.len() - aligned(&batch.targets, &lengths);
        if zeroed > 0 {
            metrics.push(Metric { name: "train/cannot_align", value: zeroed as f64 });
        }
        Ok(StepOutput { loss: value, metrics, gradients: loss.backward() })
    }

    fn group(&self, name: &str, step: u64) -> Group {
        let encoder = name.starts_with("encoder.");
        let AdamWConfig { weight_decay, encoder_weight_decay, .. } = self.optimizer;
        Group {
            lr_scale: 1.0,
            weight_decay: if encoder { encoder_weight_decay.unwrap_or(weight_decay) } else { weight_decay },
            frozen: encoder && step < self.config.freeze_encoder_steps,
        }
    }

    fn validate(&mut self, batch: &CtcBatch) -> Result<(), TrainError> {
        let device = self.device.clone().without_autodiff();
        let mel = self.input(batch, &device);
        let (logits, lengths) =
            self.logits(&self.model().valid(), mel, &batch.lengths, false, &mut Context::eval());
        let losses = ops::ctc_loss(logits.clone(), &batch.targets, &lengths, self.tokenizer.blank_id());
        self.tally.loss += f64::from(losses.sum().into_scalar::<f32>());
        self.tally.utterances += aligned(&batch.targets, &lengths) as f64;
        let [_, frames, classes] = logits.dims();
        let values =
            logits.into_data().try_to_vec::<f32>().map_err(|e| TrainError::Task(format!("{e:?}")))?;
        let texts = lengths.iter().zip(batch.ids.iter().zip(&batch.texts));
        for (row, (length, (id, text))) in values.chunks(frames * classes).zip(texts) {
            let frames = row.get(..length * classes).unwrap_or(row);
            let tokens = greedy(by_frame(frames, classes), self.tokenizer.blank_id());
            let hypothesis = self.tokenizer.decode(&tokens.iter().map(|t| t.id).collect::<Vec<_>>());
            self.tally.words += wer(text, &hypothesis);
            self.tally.characters += cer(text, &hypothesis);
            let (id, reference) = (id.clone(), text.clone());
            self.tally.scored.push(Scored { id, speaker: None, reference, hypothesis });
        }
        Ok(())
    }

    fn finish_validation(&mut self) -> Vec<Metric> {
        let Tally { loss, utterances, words, characters, scored } = std::mem::take(&mut self.tally);
        self.scored = scored;
        vec![
            Metric { name: "validation/wer", value: words.rate() },
            Metric { name: "validation/cer", value: characters.rate() },
            Metric { name: "validation/loss", value: loss / utterances.max(1.0) },
        ]
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn reports(&self) -> bool {
        true
    }

    fn report(&self) -> Vec<Section> {
        crate::report::word_errors("The exported weights on the validation set", &self.scored)
    }

    /// Early on every word is wrong; then characters, then the loss, say which weights are better.
    fn selection(&self) -> &'static [&'static str] {
        &["validation/wer", "validation/cer", "validation/loss"]
    }

    fn state(&self) -> NamedTensors {
        let vector = TensorData::new(self.mask_vector.clone(), [self.mask_vector.len()]);
        NamedTensors::from([("mask_vector".into(), vector)])
    }

    /// A pre-trained encoder brought its mask vector; that run's weights may be gone by now.
    fn load_state(&mut self, mut state: NamedTensors) -> Result<(), TrainError> {
        let vector = state.remove("mask_vector").and_then(|data| data.try_to_vec::<f32>().ok());
        let vector = vector
            .filter(|v| v.len() == self.config.encoder.bins)
            .ok_or_else(|| TrainError::Task("the checkpoint has no usable `mask_vector`".into()))?;
        self.prepare = Arc::new(self.prepare.with_mask_vector(vector.clone()));
        self.mask_vector = vector;
        Ok(())
    }

    fn export(&self) -> Result<(NamedTensors, Metadata), TrainError> {
        let mut tensors = params::collect(self.model());
        tensors.insert(
            "mask_vector".into(),
            TensorData::new(self.mask_vector.clone(), [self.mask_vector.len()]),
        );
        let fail = |e: &dyn std::fmt::Display| TrainError::Task(e.to_string());
        let config = serde_json::to_string(&self.config).map_err(|e| fail(&e))?;
        let tokenizer = self.tokenizer.to_json();
        let metadata = Metadata::from([
            ("format".to_string(), "auricle-model-1".to_string()),
            ("kind".to_string(), "ctc".to_string()),
            ("config".to_string(), config),
            ("tokenizer".to_string(), tokenizer),
        ]);
        Ok((tensors, metadata))
    }
}
