//! SPIRAL as a training task.

use crate::{SpiralAugment, SpiralBatch, SpiralConfig, SpiralPrepare, Student, Trunk};
use auricle_augment::Libraries;
use auricle_nn::params::{self, LoadError, NamedTensors};
use auricle_nn::weights::Metadata;
use auricle_nn::{Context, Initializer, ema_update};
use auricle_rng::{Key, Purpose};
use auricle_tensor::ops;
use auricle_train::{
    AdamWConfig, Draw, Group, Held, Metric, Precision, Recipe, StepOutput, Task, TrainError,
};
use burn::module::Module;
use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData};
use std::sync::Arc;

/// Pre-training of a [`Student`] against its moving average.
pub struct SpiralTask {
    config: SpiralConfig,
    optimizer: AdamWConfig,
    precision: Precision,
    student: Held<Student>,
    teacher: Option<Trunk>,
    averaged_step: u64,
    mask_vector: Vec<f32>,
    prepare: Arc<SpiralPrepare>,
    device: Device,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    loss: f64,
    accuracy: f64,
    positions: f64,
}

impl SpiralTask {
    /// The task of a recipe on a device, with initial values from the recipe's seed or, as far as they
    /// go, from `pretrained` weights.
    pub fn new(
        recipe: &Recipe,
        config: SpiralConfig,
        augment: SpiralAugment,
        pretrained: Option<NamedTensors>,
        libraries: Libraries,
        device: &Device,
    ) -> Result<Self, TrainError> {
        config.validate().map_err(|e| TrainError::Recipe(e.to_string()))?;
        let mut stream = Key::new(recipe.seed).stream(Purpose::Init);
        let mut mask_vector: Vec<f32> =
            (0..config.encoder.bins).map(|_| (0.01 * stream.normal()) as f32).collect();
        let student = Student::new(&config, &mut Initializer::new(&mut stream, device));
        let Some(mut pretrained) = pretrained else {
            return Self::with_student(recipe, config, augment, student, mask_vector, libraries, device);
        };
        let brought = pretrained.remove("mask_vector").and_then(|d| d.try_to_vec::<f32>().ok());
        mask_vector = brought.filter(|v| v.len() == config.encoder.bins).unwrap_or(mask_vector);
        let (student, teacher) = start_from(student, &mut pretrained)
            .map_err(|e| TrainError::Recipe(format!("model.init_from: {e}")))?;
        let mut task = Self::with_student(recipe, config, augment, student, mask_vector, libraries, device)?;
        task.teacher = teacher.or(task.teacher);
        Ok(task)
    }

    /// The task with a given student (an imported one) and mask vector.
    pub fn with_student(
        recipe: &Recipe,
        config: SpiralConfig,
        augment: SpiralAugment,
        student: Student,
        mask_vector: Vec<f32>,
        libraries: Libraries,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let prepare = Arc::new(SpiralPrepare::new(config.clone(), augment, mask_vector.clone(), libraries)?);
        let teacher = copy_of(&student.trunk);
        Ok(Self {
            config,
            optimizer: recipe.optimizer.clone(),
            precision: recipe.train.precision,
            student: Held::new(student),
            teacher: Some(teacher),
            averaged_step: 0,
            mask_vector,
            prepare,
            device: device.clone(),
            tally: Tally::default(),
        })
    }

    /// The teacher's trunk.
    pub fn teacher(&self) -> Option<&Trunk> {
        self.teacher.as_ref()
    }

    /// Replaces the teacher (for a checkpoint that brings its own).
    pub fn set_teacher(&mut self, teacher: Trunk) {
        self.teacher = Some(teacher);
    }

    /// The fixed vector that stands for masked frames.
    pub fn mask_vector(&self) -> &[f32] {
        &self.mask_vector
    }

    /// What a trunk makes of features: computed in the recipe's precision, given in single precision.
    fn trunk(
        &self,
        trunk: &Trunk,
        mel: Tensor<3>,
        lengths: &[usize],
        context: &mut Context,
    ) -> (Tensor<3>, Vec<usize>) {
        let trunk = self.precision.module(trunk, &self.device);
        let mel = self.precision.input(mel);
        let (x, lengths) = self.precision.run(|| trunk.forward(mel, lengths, context));
        (params::cast_tensor(x, FloatDType::F32), lengths)
    }

    /// Teacher targets of all valid positions, `[N, P]`, without gradient.
    fn targets(&self, batch: &SpiralBatch, context: &mut Context) -> Tensor<2> {
        let Some(teacher) = &self.teacher else {
            return Tensor::zeros([0, self.config.projection], &self.device);
        };
        let (left, right) = batch.shift;
        let rows = batch.lengths.len();
        let frames = batch.frames + left + right;
        let mel = input(&batch.teacher, rows, frames, self.config.encoder.bins, &plain(&self.device));
        let lengths: Vec<usize> = batch.lengths.iter().map(|length| length + left + right).collect();
        let (outputs, _) = self.trunk(teacher, mel, &lengths, context);
        let unit = self.config.encoder.downsampling();
        let [_, total, width] = outputs.dims();
        let kept = total - (left + right) / unit;
        let restored = outputs.slice([0..rows, left / unit..left / unit + kept, 0..width]);
        let targets = valid_rows(restored, &batch.positions);
        if self.config.center_targets { targets.clone() - targets.mean_dim(0) } else { targets }
    }
}

/// Student and, where there is one, teacher from weights named as `auricle model import` writes them.
///
/// # Errors
/// Weights of another configuration.
pub fn start_from(
    student: Student,
    weights: &mut NamedTensors,
) -> Result<(Student, Option<Trunk>), LoadError> {
    let has = |weights: &NamedTensors, prefix: &str| weights.keys().any(|name| name.starts_with(prefix));
    let Student { mut trunk, mut predictor } = student;
    trunk.encoder = params::load(trunk.encoder, "encoder", weights)?;
    if has(weights, "projector.") {
        trunk.projector = params::load(trunk.projector, "projector", weights)?;
    }
    if has(weights, "predictor.") {
        predictor = params::load(predictor, "predictor", weights)?;
    }
    let teacher = if has(weights, "teacher.") {
        Some(params::load(copy_of(&trunk), "teacher", weights)?)
    } else {
        None
    };
    Ok((Student { trunk, predictor }, teacher))
}

/// `[B, T, F]` from host memory.
fn input(values: &[f32], rows: usize, frames: usize, bins: usize, device: &Device) -> Tensor<3> {
    Tensor::from_data(TensorData::new(values.to_vec(), [rows, frames, bins]), device)
}

/// The device without gradient tracking.
fn plain(device: &Device) -> Device {
    device.clone().without_autodiff()
}

/// An independent copy outside the gradient graph.
fn copy_of(trunk: &Trunk) -> Trunk {
    let mut values = params::collect(trunk);
    let teacher = trunk.valid();
    // The values were just read from the same structure, so every name is there.
    params::load(teacher.clone(), "", &mut values).unwrap_or(teacher)
}

/// The rows of valid positions, `[B, T', P]` → `[N, P]`.
fn valid_rows(x: Tensor<3>, positions: &[usize]) -> Tensor<2> {
    let [rows, frames, width] = x.dims();
    if positions.iter().all(|&p| p == frames) {
        return x.reshape([rows * frames, width]);
    }
    let indices: Vec<i64> = positions
        .iter()
        .enumerate()
        .flat_map(|(b, &n)| (0..n).map(move |t| (b * frames + t) as i64))
        .collect();
    let count = indices.len();
    let indices: Tensor<1, Int> = Tensor::from_data(TensorData::new(indices, [count]), &x.device());
    x.reshape([rows * frames, width]).select(0, indices)
}

impl Task for SpiralTask {
    type Model = Student;
    type Prepare = SpiralPrepare;

    fn preparer(&self) -> Arc<SpiralPrepare> {
        self.prepare.clone()
    }

    fn model(&self) -> &Student {
        self.student.get()
    }

    fn map_model(&mut self, update: &mut dyn FnMut(Student) -> Student) {
        self.student.map(update);
    }

    fn begin_step(&mut self, step: u64) {
        // Once per optimiser step, before the targets of the next one are computed (SPIRAL §4).
        if step > self.averaged_step {
            let momentum = self.config.momentum.at(step);
            if let Some(teacher) = self.teacher.take() {
                self.teacher = Some(ema_update(teacher, &self.student.get().trunk, momentum));
            }
            self.averaged_step = step;
        }
    }

    fn forward_backward(
        &mut self,
        batch: &SpiralBatch,
        step: u64,
        draw: Draw,
    ) -> Result<StepOutput, TrainError> {
        let key = draw.batch();
        let mut teacher_context =
            Context::train(key.stream(Purpose::TeacherDropout), key.stream(Purpose::TeacherLayerDrop));
        let targets = self.targets(batch, &mut teacher_context);
        let spread = target_spread(&targets);

        let mut context = Context::train(key.stream(Purpose::Dropout), key.stream(Purpose::LayerDrop));
        let mel =
            input(&batch.student, batch.lengths.len(), batch.frames, self.config.encoder.bins, &self.device);
        let student = self.model();
        let (projected, positions) = self.trunk(&student.trunk, mel, &batch.lengths, &mut context);
        let (predicted, stats) = student.predictor.forward_train(projected, &positions);
        let predicted = valid_rows(predicted, &positions);
        let output = ops::contrastive_loss(predicted, targets, &batch.negatives, self.config.temperature);
        let loss = f64::from(output.loss.clone().into_scalar::<f32>());
        let gradients = output.loss.backward();
        if loss.is_finite() {
            let mut stats = Some(stats);
            self.map_model(&mut |student| match stats.take() {
                Some(stats) => Student { predictor: student.predictor.update(stats), ..student },
                None => student,
            });
        }
        let metrics = vec![
            Metric { name: "train/accuracy", value: output.accuracy },
            Metric { name: "train/target_spread", value: spread },
            Metric { name: "train/momentum", value: self.config.momentum.at(step) },
        ];
        Ok(StepOutput { loss, metrics, gradients })
    }

    fn group(&self, _name: &str, _step: u64) -> Group {
        Group { lr_scale: 1.0, weight_decay: self.optimizer.weight_decay, frozen: false }
    }

    fn validate(&mut self, batch: &SpiralBatch) -> Result<(), TrainError> {
        let targets = self.targets(batch, &mut Context::eval());
        let student = self.model().valid();
        let device = plain(&self.device);
        let mel = input(&batch.student, batch.lengths.len(), batch.frames, self.config.encoder.bins, &device);
        let (projected, positions) = self.trunk(&student.trunk, mel, &batch.lengths, &mut Context::eval());
        let predicted = valid_rows(student.predictor.forward(projected, &positions), &positions);
        let count = positions.iter().sum::<usize>() as f64;
        let output = ops::contrastive_loss(predicted, targets, &batch.negatives, self.config.temperature);
        self.tally.loss += count * f64::from(output.loss.into_scalar::<f32>());
        self.tally.accuracy += count * output.accuracy;
        self.tally.positions += count;
        Ok(())
    }

    fn finish_validation(&mut self) -> Vec<Metric> {
        let Tally { loss, accuracy, positions } = std::mem::take(&mut self.tally);
        let positions = positions.max(1.0);
        vec![
            Metric { name: "validation/loss", value: loss / positions },
            Metric { name: "validation/accuracy", value: accuracy / positions },
        ]
    }

    fn selection(&self) -> &'static [&'static str] {
        &["validation/loss"]
    }

    fn state(&self) -> NamedTensors {
        let mut state = NamedTensors::new();
        if let Some(teacher) = &self.teacher {
            state.extend(
                params::collect(teacher).into_iter().map(|(name, data)| (format!("teacher.{name}"), data)),
            );
        }
        state.insert(
            "mask_vector".into(),
            TensorData::new(self.mask_vector.clone(), [self.mask_vector.len()]),
        );
        state.insert("averaged_step".into(), TensorData::new(vec![self.averaged_step as f32], [1]));
        state
    }

    fn load_state(&mut self, mut state: NamedTensors) -> Result<(), TrainError> {
        let fail =
            |what: &str| TrainError::Task(format!("the checkpoint's SPIRAL state has no usable `{what}`"));
        if let Some(teacher) = self.teacher.take() {
            self.teacher = Some(
                params::load(teacher, "teacher", &mut state).map_err(|e| TrainError::Task(e.to_string()))?,
            );
        }
        let step = state
            .remove("averaged_step")
            .and_then(|d| d.try_to_vec::<f32>().ok())
            .and_then(|v| v.first().copied());
        self.averaged_step = step.ok_or_else(|| fail("averaged_step"))? as u64;
        let saved = state
            .remove("mask_vector")
            .and_then(|d| d.try_to_vec::<f32>().ok())
            .ok_or_else(|| fail("mask_vector"))?;
        if saved != self.mask_vector {
            return Err(fail("mask_vector: it is another run's"));
        }
        Ok(())
    }

    fn export(&self) -> Result<(NamedTensors, Metadata), TrainError> {
        let trunk = &self.model().trunk;
        let mut tensors: NamedTensors = params::collect(&trunk.encoder)
            .into_iter()
            .map(|(name, data)| (format!("encoder.{name}"), data))
            .collect();
        tensors.insert(
            "mask_vector".into(),
            TensorData::new(self.mask_vector.clone(), [self.mask_vector.len()]),
        );
        let config = serde_json::to_string(&self.config).map_err(|e| TrainError::Task(e.to_string()))?;
        let metadata = Metadata::from([
            ("format".to_string(), "auricle-model-1".to_string()),
            ("kind".to_string(), "spiral".to_string()),
            ("config".to_string(), config),
        ]);
        Ok((tensors, metadata))
    }
}

/// Mean over dimensions of the standard deviation over positions of the length-normalised targets,
/// times √P: about 1 for targets spread over the sphere, 0 where the teacher has collapsed.
fn target_spread(targets: &Tensor<2>) -> f64 {
    let [count, width] = targets.dims();
    if count < 2 {
        return 0.0;
    }
    let norms = (targets.clone() * targets.clone()).sum_dim(1).sqrt().add_scalar(1e-8);
    let unit = targets.clone() / norms;
    let mean = unit.clone().mean_dim(0);
    let variance = (unit.clone() * unit).mean_dim(0) - mean.clone() * mean;
    let spread = variance.clamp_min(0.0).sqrt().mean().into_scalar::<f32>();
    f64::from(spread) * (width as f64).sqrt()
}
