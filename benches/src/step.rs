//! One SPIRAL training step and one encoder forward on random features.

use anyhow::{Context as _, Result};
use auricle_augment::Libraries;
use auricle_nn::{Context, Initializer};
use auricle_rng::{Key, Purpose};
use auricle_spiral::{SpiralAugment, SpiralBatch, SpiralTask, Student, draw_negatives};
use auricle_train::{AdamW, AdamWConfig, Draw, GradientSet, Precision, Recipe, Task as _};
use burn::module::Module as _;
use burn::tensor::{Tensor, TensorData};

/// Everything a step needs, data loading excluded.
pub struct StepBench {
    task: SpiralTask,
    optimizer: AdamW,
    batch: SpiralBatch,
    mel: Tensor<3>,
    precision: Precision,
    step: u64,
}

impl StepBench {
    /// A model of a named size and a batch of full length.
    ///
    /// # Errors
    /// An unknown size.
    pub fn new(model: &str, batch: usize, frames: usize, precision: Precision) -> Result<Self> {
        let config = crate::config(model).context("models: small, base")?;
        let bins = config.encoder.bins;
        let device = auricle_tensor::device("cpu")?.autodiff();
        let mut stream = Key::new(1).stream(Purpose::Init);
        let student = Student::new(&config, &mut Initializer::new(&mut stream, &device));
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
            &device,
        )?;
        let positions = vec![frames / 8; batch];
        let batch = SpiralBatch {
            student: crate::noise(1, batch * frames * bins, 1.0),
            teacher: crate::noise(2, batch * (frames + 128) * bins, 1.0),
            lengths: vec![frames; batch],
            frames,
            shift: (64, 64),
            negatives: draw_negatives(&positions, 100, &mut Key::new(1).stream(Purpose::Negatives)),
            positions,
        };
        let mel = TensorData::new(batch.student.clone(), [batch.lengths.len(), frames, bins]);
        let mel = Tensor::from_data(mel, &device.without_autodiff());
        let optimizer = AdamW::new(AdamWConfig { lr: 1e-4, ..AdamWConfig::default() });
        Ok(Self { task, optimizer, batch, mel, precision, step: 0 })
    }

    /// Student, teacher, loss, gradients, AdamW and the teacher's average.
    ///
    /// # Errors
    /// Those of the task.
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
        Ok(())
    }

    /// The student's encoder and projector on the same features, without gradients.
    pub fn forward(&self) -> Tensor<3> {
        let trunk = self.task.model().trunk.valid();
        self.precision.run(|| trunk.forward(self.mel.clone(), &self.batch.lengths, &mut Context::eval()).0)
    }
}
