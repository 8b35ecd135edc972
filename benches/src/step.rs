//! One SPIRAL training step and one encoder forward on random features.

use anyhow::{Context as _, Result};
use auricle_augment::Libraries;
use auricle_nn::{Context, Initializer};
use auricle_rng::{Key, Purpose};
use auricle_spiral::{SpiralAugment, SpiralBatch, SpiralTask, Student, draw_negatives};
use auricle_train::{AdamW, AdamWConfig, Draw, GradientSet, Precision, Recipe, Task as _};
use burn::module::Module as _;
use burn::tensor::{Device, Tensor, TensorData};

/// Frames before and after the teacher's input.
const SHIFT: usize = 64;

/// Everything a step needs, data loading excluded.
pub struct StepBench {
    task: SpiralTask,
    optimizer: AdamW,
    bins: usize,
    batch: SpiralBatch,
    mel: Tensor<3>,
    precision: Precision,
    device: Device,
    step: u64,
}

impl StepBench {
    /// A model of a named size on a device without automatic differentiation, and a batch of full length.
    ///
    /// # Errors
    /// An unknown size.
    pub fn new(
        model: &str,
        batch: usize,
        frames: usize,
        precision: Precision,
        device: &Device,
    ) -> Result<Self> {
        let config = crate::config(model).context("models: small, base")?;
        let bins = config.encoder.bins;
        let tracking = device.clone().autodiff();
        let mut stream = Key::new(1).stream(Purpose::Init);
        let student = Student::new(&config, &mut Initializer::new(&mut stream, &tracking));
        let mut recipe: Recipe = toml::from_str(
            "task = 'spiral'\ndata = { train = [] }\nschedule = { kind = 'constant' }\ntrain = { steps = 1 }\n",
        )?;
        recipe.train.precision = precision;
        let task = SpiralTask::with_student(
            &recipe,
            config,
            SpiralAugment::default(),
            student,
            vec![0.0; bins],
            Libraries::default(),
            &tracking,
        )?;
        let batch = random_batch(vec![frames; batch], bins);
        let mel = TensorData::new(batch.student.clone(), [batch.lengths.len(), batch.frames, bins]);
        let mel = Tensor::from_data(mel, device);
        let optimizer = AdamW::new(AdamWConfig { lr: 1e-4, ..AdamWConfig::default() });
        Ok(Self { task, optimizer, bins, batch, mel, precision, device: device.clone(), step: 0 })
    }

    /// Makes a batch of utterances of these lengths, in mel frames, that of the following steps.
    pub fn set_lengths(&mut self, lengths: Vec<usize>) {
        self.batch = random_batch(lengths, self.bins);
    }

    /// Student, teacher, loss, gradients, AdamW and the teacher's average, until the device has done them.
    ///
    /// # Errors
    /// Those of the task and of the device.
    pub fn step(&mut self) -> Result<()> {
        let step = self.step;
        self.step += 1;
        self.task.begin_step(step);
        let draw = Draw::Train { epoch: Key::new(1), batch: step };
        let mut output = self.task.forward_backward(&self.batch, step, draw)?;
        let mut gradients = Some(GradientSet::collect(self.task.model(), &mut output.gradients));
        let groups = self.task.group("", step);
        let optimizer = &mut self.optimizer;
        self.task.map_model(&mut |model| {
            optimizer.step(model, gradients.take().unwrap_or_default(), 1e-4, &|_| groups)
        });
        Ok(self.device.sync()?)
    }

    /// The student's encoder and projector on the features of the first batch, without gradients, until the device
    /// has done them.
    ///
    /// # Errors
    /// Those of the device.
    pub fn forward(&self) -> Result<Tensor<3>> {
        let trunk = self.precision.module(&self.task.model().trunk.valid(), &self.device);
        let mel = self.precision.input(self.mel.clone());
        let [rows, frames, _] = mel.dims();
        let output = self.precision.run(|| trunk.forward(mel, &vec![frames; rows], &mut Context::eval()).0);
        self.device.sync()?;
        Ok(output)
    }
}

/// Random features of utterances of these lengths, padded to whole encoder frames of the longest.
fn random_batch(lengths: Vec<usize>, bins: usize) -> SpiralBatch {
    let frames = lengths.iter().copied().max().unwrap_or(0).next_multiple_of(8);
    let positions: Vec<usize> = lengths.iter().map(|length| length.div_ceil(8)).collect();
    SpiralBatch {
        student: crate::noise(1, lengths.len() * frames * bins, 1.0),
        teacher: crate::noise(2, lengths.len() * (frames + 2 * SHIFT) * bins, 1.0),
        frames,
        shift: (SHIFT, SHIFT),
        negatives: draw_negatives(&positions, 100, &mut Key::new(1).stream(Purpose::Negatives)),
        positions,
        lengths,
    }
}
