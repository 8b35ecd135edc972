//! CCA-MDD as a training task.

use crate::inventory::{BLANK, CLASSES};
use crate::losses::{Losses, wrong};
use crate::mining::Mined;
use crate::{
    CcaMddConfig, CcaMddModel, Confusions, Labels, MddBatch, MddPrepare, NearWords, Output, said_for_each,
};
use auricle_augment::Libraries;
use auricle_decode::{by_frame, greedy};
use auricle_nn::params::{self, NamedTensors};
use auricle_nn::weights::Metadata;
use auricle_nn::{Context, Initializer};
use auricle_rng::{Key, Purpose};
use auricle_text::ErrorCounts;
use auricle_text::mdd::{self, Detection, MddCounts};
use auricle_train::{
    AdamWConfig, AugmentConfig, Draw, Group, Held, Metric, Recipe, StepOutput, Task, TrainError,
};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;

/// Training of a [`CcaMddModel`].
pub struct CcaMddTask {
    config: CcaMddConfig,
    optimizer: AdamWConfig,
    model: Held<CcaMddModel>,
    prepare: Arc<MddPrepare>,
    device: Device,
    tally: Tally,
    mined: Mined,
}

#[derive(Default)]
struct Tally {
    loss: f64,
    batches: f64,
    phones: ErrorCounts,
    /// Of every canonical phone: badness by the annotators, by the classifier, and whether the
    /// decoder wrote another phone.
    judged: Vec<(f64, f64, bool)>,
}

impl CcaMddTask {
    /// The task of a recipe on a device; `pretrained` replaces what it has of the random start, `near` and `confusions`
    /// are what corrupted prompts draw from.
    ///
    /// # Errors
    /// Settings that do not fit each other or the weights.
    pub fn new(
        recipe: &Recipe,
        config: CcaMddConfig,
        augment: AugmentConfig,
        pretrained: Option<NamedTensors>,
        libraries: Libraries,
        (near, confusions): (NearWords, Confusions),
        device: &Device,
    ) -> Result<Self, TrainError> {
        config.validate().map_err(|e| TrainError::Recipe(e.to_string()))?;
        let mut stream = Key::new(recipe.seed).stream(Purpose::Init);
        let mut model = CcaMddModel::new(&config, &mut Initializer::new(&mut stream, device));
        if let Some(mut pretrained) = pretrained {
            let fail = |e: params::LoadError| TrainError::Recipe(format!("model.init_from: {e}"));
            if pretrained.keys().any(|name| name.starts_with("coca.")) {
                model = params::load(model, "", &mut pretrained).map_err(fail)?;
            } else {
                let encoder = params::load(model.encoder, "encoder", &mut pretrained).map_err(fail)?;
                model.encoder = encoder;
            }
        }
        let prepare = Arc::new(MddPrepare::new(&config, augment, libraries, near, confusions)?);
        Ok(Self {
            config,
            optimizer: recipe.optimizer.clone(),
            model: Held::new(model),
            prepare,
            device: device.clone(),
            tally: Tally::default(),
            mined: Mined::default(),
        })
    }

    fn forward(model: &CcaMddModel, batch: &MddBatch, device: &Device, context: &mut Context) -> Output {
        let features = &batch.features;
        let rows = features.lengths.len();
        let bins = features.values.len() / (rows * features.frames).max(1);
        let data = TensorData::new(features.values.clone(), [rows, features.frames, bins]);
        let canonical: Vec<Vec<u32>> = batch.labels.iter().map(Labels::canonical).collect();
        model.forward(Tensor::from_data(data, device), &features.lengths, &canonical, context)
    }

    /// Counts which mistakes of a training batch the classifier accepted.
    fn mine(&mut self, batch: &MddBatch, state: Tensor<2>) -> Result<(), TrainError> {
        let [_, longest] = state.dims();
        let states = host(state.into_data())?;
        self.mined.fade();
        for (row, labels) in batch.labels.iter().enumerate() {
            for (slot, state) in labels.slots.iter().zip(&states[row * longest..]) {
                if wrong(f64::from(slot.badness)) {
                    self.mined.meet(slot, *state < 0.0);
                }
            }
        }
        Ok(())
    }
}

fn host(data: TensorData) -> Result<Vec<f32>, TrainError> {
    data.try_to_vec::<f32>().map_err(|e| TrainError::Task(format!("{e:?}")))
}

fn scalar(x: &Tensor<1>) -> f64 {
    f64::from(x.clone().into_scalar::<f32>())
}

impl Task for CcaMddTask {
    type Model = CcaMddModel;
    type Prepare = MddPrepare;

    fn preparer(&self) -> Arc<MddPrepare> {
        self.prepare.clone()
    }

    fn model(&self) -> &CcaMddModel {
        self.model.get()
    }

    fn map_model(&mut self, update: &mut dyn FnMut(CcaMddModel) -> CcaMddModel) {
        self.model.map(update);
    }

    fn forward_backward(
        &mut self,
        batch: &MddBatch,
        _step: u64,
        draw: Draw,
    ) -> Result<StepOutput, TrainError> {
        let key = draw.batch();
        let mut context = Context::train(key.stream(Purpose::Dropout), key.stream(Purpose::LayerDrop));
        let output = Self::forward(self.model(), batch, &self.device, &mut context);
        let mining = self.config.exposure.mining as f32;
        let losses = if mining > 0.0 {
            let losses = {
                let rates = self.mined.rates();
                Losses::of(&self.config.loss, &output, batch, |slot| mining * rates(slot))
            };
            self.mine(batch, output.state)?;
            losses
        } else {
            Losses::of(&self.config.loss, &output, batch, |_| 0.0)
        };
        let loss = losses.total(&self.config.loss);
        let mut metrics = vec![
            Metric { name: "train/decoder", value: scalar(&losses.decoder) },
            Metric { name: "train/state", value: scalar(&losses.state) },
            Metric { name: "train/predictor", value: scalar(&losses.predictor) },
            Metric { name: "train/alignment", value: scalar(&losses.alignment) },
        ];
        let more = [("train/acoustic", &losses.acoustic), ("train/analysis", &losses.analysis)];
        metrics.extend(
            more.into_iter()
                .filter_map(|(name, loss)| loss.as_ref().map(|loss| Metric { name, value: scalar(loss) })),
        );
        Ok(StepOutput { loss: scalar(&loss), metrics, gradients: loss.backward() })
    }

    fn group(&self, name: &str, _step: u64) -> Group {
        let AdamWConfig { weight_decay, encoder_weight_decay, .. } = self.optimizer;
        let decay = if name.starts_with("encoder.") { encoder_weight_decay } else { None };
        Group { lr_scale: 1.0, weight_decay: decay.unwrap_or(weight_decay), frozen: false }
    }

    fn validate(&mut self, batch: &MddBatch) -> Result<(), TrainError> {
        let device = self.device.clone().without_autodiff();
        let output = Self::forward(&self.model().valid(), batch, &device, &mut Context::eval());
        let loss = scalar(&Losses::of(&self.config.loss, &output, batch, |_| 0.0).total(&self.config.loss));
        self.tally.loss += loss;
        self.tally.batches += 1.0;
        let [_, frames, _] = output.decoder.dims();
        let [_, longest] = output.state.dims();
        let decoded = host(output.decoder.into_data())?;
        let states = host(output.state.into_data())?;
        for (row, labels) in batch.labels.iter().enumerate() {
            let length = output.frames.get(row).copied().unwrap_or(frames);
            let scores = &decoded[row * frames * CLASSES..][..length * CLASSES];
            let said: Vec<u32> =
                greedy(by_frame(scores, CLASSES), BLANK).iter().map(|token| token.id).collect();
            self.tally.phones += ErrorCounts::of(&labels.perceived, &said);
            let heard = said_for_each(&labels.canonical(), &said);
            for (i, (slot, heard)) in labels.slots.iter().zip(heard).enumerate() {
                let state = f64::from(states[row * longest + i]);
                let bad = 1.0 / (1.0 + (-state).exp());
                self.tally.judged.push((f64::from(slot.badness), bad, heard != Some(slot.canonical)));
            }
        }
        Ok(())
    }

    fn finish_validation(&mut self) -> Vec<Metric> {
        let Tally { loss, batches, phones, judged } = std::mem::take(&mut self.tally);
        let pairs: Vec<(f64, f64)> = judged.iter().map(|&(truth, guess, _)| (truth, guess)).collect();
        let correlation = mdd::correlation(&pairs).unwrap_or(0.0);
        let f1 = |probability: fn(f64, bool) -> f64| {
            let detection = |&(truth, guess, rejected): &(f64, f64, bool)| Detection {
                probability: probability(guess, rejected),
                wrong: wrong(truth),
            };
            let detections: Vec<Detection> = judged.iter().map(detection).collect();
            MddCounts::of_detections(&detections, 0.5).f1().unwrap_or(0.0)
        };
        let pooled = f1(|guess, _| guess);
        let streamed = f1(|_, rejected| f64::from(u8::from(rejected)));
        vec![
            Metric { name: "validation/pcc", value: correlation },
            Metric { name: "validation/unexplained", value: 1.0 - correlation },
            Metric { name: "validation/f1_state", value: pooled },
            Metric { name: "validation/f1_stream", value: streamed },
            Metric { name: "validation/per", value: phones.rate() },
            Metric { name: "validation/loss", value: loss / batches.max(1.0) },
        ]
    }

    fn selection(&self) -> &'static [&'static str] {
        &["validation/unexplained", "validation/loss"]
    }

    fn state(&self) -> NamedTensors {
        if self.config.exposure.mining > 0.0 { self.mined.tensors() } else { NamedTensors::new() }
    }

    fn load_state(&mut self, state: NamedTensors) -> Result<(), TrainError> {
        let unfit = || TrainError::Task("the checkpoint's table of mined mistakes does not fit".into());
        self.mined = Mined::of(&state).ok_or_else(unfit)?;
        Ok(())
    }

    fn export(&self) -> Result<(NamedTensors, Metadata), TrainError> {
        let config = serde_json::to_string(&self.config).map_err(|e| TrainError::Task(e.to_string()))?;
        let metadata = Metadata::from([
            ("format".to_string(), "auricle-model-1".to_string()),
            ("kind".to_string(), "cca_mdd".to_string()),
            ("config".to_string(), config),
        ]);
        Ok((params::collect(self.model()), metadata))
    }
}
