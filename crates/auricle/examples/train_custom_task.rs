//! A task of one's own: who speaks? A linear classifier of the mean log-mel spectrum learns the voices of the built-in
//! corpus.
//!
//! A task says how waveforms become a batch ([`Prepare`]), and what the loss and the scores of a batch are ([`Task`]).
//! Reading, batching, the optimiser, schedules, checkpoints, logs and resuming are the trainer's.
//!
//! `cargo run --release -p auricle --example train_custom_task -- runs/voices`

use auricle::audio::{FeatureNorm, MelConfig, MelFrontEnd};
use auricle::data::{Utterance, builtin};
use auricle::nn::params::{self, NamedTensors};
use auricle::nn::weights::Metadata;
use auricle::nn::{Initializer, Linear};
use auricle::training::log::RunLog;
use auricle::training::{
    Draw, Group, Held, Item, Metric, Prepare, Recipe, Selection, StepOutput, Task, TooLong, TrainError,
    Trainer, Validation, Wave,
};
use auricle_rng::{Key, Purpose};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const RECIPE: &str = "
task = 'custom'
description = 'who speaks'
data = { train = [] }
batch = { batch_secs = 30.0 }
optimizer = { lr = 0.02 }
schedule = { kind = 'constant' }
train = { steps = 60, validate_every = 20, checkpoint_every = 20 }
";

/// A batch in host memory.
struct Voices {
    /// Mean log-mel spectra, `[B, F]`.
    spectra: Vec<f32>,
    /// The number of each row's speaker.
    speakers: Vec<i32>,
}

/// Runs on loader threads: waveforms become a batch.
struct VoicePrepare {
    front_end: MelFrontEnd,
    speakers: Vec<String>,
}

impl VoicePrepare {
    fn number_of(&self, utterance: &Utterance) -> Option<i32> {
        let speaker = utterance.speaker.as_ref()?;
        self.speakers.iter().position(|own| own == speaker).map(|place| place as i32)
    }
}

impl Prepare for VoicePrepare {
    type Batch = Voices;

    fn sample_rate(&self) -> u32 {
        self.front_end.config().sample_rate
    }

    fn check(&self, utterance: &Utterance) -> Result<(), String> {
        self.number_of(utterance).map(drop).ok_or_else(|| "its speaker is unknown".into())
    }

    fn prepare(&self, items: &[Item], _: f64, _: Draw) -> Result<Voices, TrainError> {
        let (mut spectra, mut speakers) = (Vec::new(), Vec::new());
        for Wave { utterance, samples } in Item::speech(items) {
            let fail = |error: String| TrainError::Data(format!("utterance {}: {error}", utterance.id));
            let mel =
                self.front_end.compute(samples, samples.len(), None).map_err(|e| fail(e.to_string()))?;
            let mut mean = vec![0.0; self.front_end.config().num_bins];
            for frame in mel.rows() {
                mean.iter_mut().zip(frame).for_each(|(sum, x)| *sum += x / mel.nrows() as f32);
            }
            // What is loud or soft is no matter of the voice.
            let level = mean.iter().sum::<f32>() / mean.len() as f32;
            spectra.extend(mean.iter().map(|x| x - level));
            speakers.push(self.number_of(utterance).ok_or_else(|| fail("its speaker is unknown".into()))?);
        }
        Ok(Voices { spectra, speakers })
    }
}

/// Model, loss and scores.
struct VoiceTask {
    model: Held<Linear>,
    prepare: Arc<VoicePrepare>,
    device: Device,
    right: usize,
    judged: usize,
}

impl VoiceTask {
    fn new(seed: u64, speakers: Vec<String>, device: &Device) -> Result<Self, TrainError> {
        let config = MelConfig { num_bins: 40, norm: FeatureNorm::None, ..MelConfig::default() };
        let front_end = MelFrontEnd::new(config).map_err(|e| TrainError::Recipe(e.to_string()))?;
        let mut stream = Key::new(seed).stream(Purpose::Init);
        let model = Linear::uniform(40, speakers.len(), &mut Initializer::new(&mut stream, device));
        let prepare = Arc::new(VoicePrepare { front_end, speakers });
        Ok(Self { model: Held::new(model), prepare, device: device.clone(), right: 0, judged: 0 })
    }

    /// Logarithms of the speakers' probabilities, `[B, C]`.
    fn forward(&self, batch: &Voices) -> Tensor<2> {
        let rows = batch.speakers.len();
        let spectra = TensorData::new(batch.spectra.clone(), [1, rows, 40]);
        let logits = self.model.get().forward(Tensor::<3>::from_data(spectra, &self.device));
        log_softmax(logits.reshape([rows, self.prepare.speakers.len()]), 1)
    }
}

impl Task for VoiceTask {
    type Model = Linear;
    type Prepare = VoicePrepare;

    fn preparer(&self) -> Arc<VoicePrepare> {
        self.prepare.clone()
    }

    fn model(&self) -> &Linear {
        self.model.get()
    }

    fn map_model(&mut self, update: &mut dyn FnMut(Linear) -> Linear) {
        self.model.map(update);
    }

    fn forward_backward(&mut self, batch: &Voices, _: u64, _: Draw) -> Result<StepOutput, TrainError> {
        let rows = batch.speakers.len();
        let truth = TensorData::new(batch.speakers.clone(), [rows, 1]);
        let truth = Tensor::<2, Int>::from_data(truth, &self.device);
        let loss = self.forward(batch).gather(1, truth).mean().neg();
        let value = f64::from(loss.clone().into_scalar::<f32>());
        Ok(StepOutput { loss: value, metrics: Vec::new(), gradients: loss.backward() })
    }

    fn group(&self, _: &str, _: u64) -> Group {
        Group { lr_scale: 1.0, weight_decay: 0.0, frozen: false }
    }

    fn validate(&mut self, batch: &Voices) -> Result<(), TrainError> {
        let best = self.forward(batch).argmax(1).into_data().convert::<i32>();
        let best = best.try_to_vec::<i32>().map_err(|e| TrainError::Task(format!("{e:?}")))?;
        self.judged += best.len();
        self.right += best.iter().zip(&batch.speakers).filter(|(found, truth)| found == truth).count();
        Ok(())
    }

    fn finish_validation(&mut self) -> Vec<Metric> {
        let wrong = 1.0 - self.right as f64 / self.judged.max(1) as f64;
        (self.right, self.judged) = (0, 0);
        vec![Metric { name: "validation/error", value: wrong }]
    }

    fn selection(&self) -> &'static [&'static str] {
        &["validation/error"]
    }

    fn export(&self) -> Result<(NamedTensors, Metadata), TrainError> {
        let metadata = [("kind", "voices".to_string()), ("speakers", self.prepare.speakers.join(" "))];
        let metadata = metadata.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        Ok((params::collect(self.model()), metadata))
    }
}

/// Trains in a run directory; the share of recordings whose speaker is not recognised.
pub fn run(out: &Path) -> Result<f64, Box<dyn Error>> {
    let corpus = builtin::extract(&out.join("corpus"))?;
    // Every fourth recording of a speaker is validated on.
    let all = auricle::utterances(&[corpus.train])?;
    let mut speakers: Vec<String> = all.iter().filter_map(|utterance| utterance.speaker.clone()).collect();
    speakers.sort();
    speakers.dedup();
    let (mut train, mut validation) = (Vec::new(), Vec::new());
    for (i, utterance) in all.into_iter().enumerate() {
        if i % 4 == 0 { validation.push(utterance) } else { train.push(utterance) }
    }

    let recipe: Recipe = toml::from_str(RECIPE)?;
    let task = VoiceTask::new(recipe.seed, speakers, &recipe.train.device()?)?;
    let log = RunLog::open(out, recipe.train.steps, true)?;
    std::fs::create_dir_all(out.join("checkpoints"))?;
    let selection = Selection::new(&recipe, train, validation, TooLong::LeftOut)?;
    let mut trainer = Trainer::new(task, recipe, out, selection, log)?;
    trainer.run(&AtomicBool::new(false))?;
    let validation = Validation::read(out)?.ok_or("there is no validation")?;
    Ok(validation.selecting().ok_or("there is no score")?.1)
}

#[allow(dead_code)] // the tests call `run`
fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::args_os().nth(1).ok_or("give a folder to write")?;
    println!("{:.1} % of the recordings are given to another speaker", 100.0 * run(Path::new(&out))?);
    Ok(())
}
