//! Averages of weights: over the best checkpoints, and over the steps of a run.

use crate::TrainError;
use auricle_nn::ema_update;
use auricle_nn::params::{self, NamedTensors};
use burn::module::Module;
use burn::tensor::TensorData;

/// The mean of the same tensors, added up in the order given; none of none.
///
/// # Errors
/// The first that cannot be had.
pub fn mean_of_weights(
    models: impl Iterator<Item = Result<NamedTensors, TrainError>>,
) -> Result<Option<NamedTensors>, TrainError> {
    let mut sum: Option<NamedTensors> = None;
    let mut count = 0.0f32;
    for model in models {
        let model = model?;
        count += 1.0;
        sum = Some(match sum {
            None => model,
            Some(sum) => zip(sum, &model, |a, b| a + b),
        });
    }
    Ok(sum.map(|sum| zip(sum, &NamedTensors::new(), |a, _| a / count)))
}

/// Combines tensors of the same name value by value; a missing partner counts as zeros.
fn zip(mut tensors: NamedTensors, others: &NamedTensors, combine: impl Fn(f32, f32) -> f32) -> NamedTensors {
    for (name, data) in &mut tensors {
        let Ok(mut values) = data.try_to_vec::<f32>() else { continue };
        let other = others.get(name).and_then(|other| other.try_to_vec::<f32>().ok()).unwrap_or_default();
        for (i, value) in values.iter_mut().enumerate() {
            *value = combine(*value, other.get(i).copied().unwrap_or(0.0));
        }
        *data = TensorData::new(values, data.shape().to_vec());
    }
    tensors
}

/// The moving average of a model's weights, `θ̄ ← m·θ̄ + (1 − m)·θ` after every step.
///
/// `m` grows from 0 with the steps, `min(momentum, (1 + s)/(10 + s))`, so that the average of a short
/// run is not the random start.
pub(crate) struct MovingAverage<M> {
    momentum: f64,
    model: Option<M>,
}

impl<M: Module> MovingAverage<M> {
    /// Starts at the model as it is.
    pub fn new(momentum: f64, model: &M) -> Self {
        let plain = model.valid();
        // The values were just read from the same structure, so every name is there.
        let copy = params::load(plain.clone(), "", &mut params::collect(model)).unwrap_or(plain);
        Self { momentum, model: Some(copy) }
    }

    /// Takes in the weights of step `step`.
    pub fn update(&mut self, model: &M, step: u64) {
        let momentum = self.momentum.min((1.0 + step as f64) / (10.0 + step as f64));
        self.model = self.model.take().map(|own| ema_update(own, model, momentum));
    }

    /// Exchanges the average and the given weights; twice is nothing.
    pub fn swap(&mut self, model: M) -> M {
        match self.model.replace(model) {
            Some(average) => average,
            // Never: it is only away within `update`.
            None => unreachable!("the average is only away within `update`"),
        }
    }

    /// Its values.
    pub fn collect(&self) -> NamedTensors {
        self.model.as_ref().map(params::collect).unwrap_or_default()
    }

    /// Restores what [`Self::collect`] gave.
    pub fn load(&mut self, mut tensors: NamedTensors) -> Result<(), TrainError> {
        if let Some(model) = self.model.take() {
            self.model =
                Some(params::load(model, "", &mut tensors).map_err(|e| TrainError::Task(e.to_string()))?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_checkpoints_is_their_mean() {
        let one = |value: f32| {
            Ok(NamedTensors::from([("w".to_string(), TensorData::new(vec![value, 2.0 * value], [2]))]))
        };
        let mean = mean_of_weights([one(1.0), one(2.0), one(6.0)].into_iter()).unwrap().unwrap();
        assert_eq!(mean["w"].try_to_vec::<f32>().unwrap(), [3.0, 6.0]);
        assert!(super::mean_of_weights(std::iter::empty()).unwrap().is_none());
    }
}
