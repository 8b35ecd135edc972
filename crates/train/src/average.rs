//! Averages of weights: over the best checkpoints, and over the steps of a run.

use crate::{AdamW, GradientSet, Group, TrainError};
use auricle_nn::params::{self, NamedTensors};
use auricle_nn::warm_momentum;
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
/// `m` is [`warm_momentum`].
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

    /// Updates a model at step `step`, and takes its new weights in.
    pub fn step(
        &mut self,
        optimizer: &mut AdamW,
        model: M,
        gradients: GradientSet,
        lr: f64,
        group: &dyn Fn(&str) -> Group,
        step: u64,
    ) -> M {
        let momentum = warm_momentum(self.momentum, step);
        let Some(own) = self.model.take() else { return optimizer.step(model, gradients, lr, group) };
        let (model, own) = optimizer.step_averaged(model, gradients, lr, group, (own, momentum));
        self.model = Some(own);
        model
    }

    /// Exchanges the average and the given weights; twice is nothing.
    pub fn swap(&mut self, model: M) -> M {
        match self.model.replace(model) {
            Some(average) => average,
            // Never: it is only away within `step`.
            None => unreachable!("the average is only away within `step`"),
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
    use crate::AdamWConfig;
    use auricle_nn::ema_update;
    use burn::module::Param;
    use burn::tensor::{Device, Tensor};

    #[derive(Module, Debug)]
    struct Two {
        matrix: Param<Tensor<2>>,
        frozen: Param<Tensor<1>>,
    }

    fn two() -> Two {
        let device = Device::flex().autodiff();
        let matrix = Tensor::<2>::from_data([[1.0, -2.0, 3.0], [0.5, 0.25, -4.0]], &device);
        let frozen = Tensor::<1>::from_data([0.1, 0.7], &device);
        Two { matrix: Param::from_tensor(matrix), frozen: Param::from_tensor(frozen) }
    }

    /// Weights after some steps, and their average, which either moves with the update or after it.
    fn trained(together: bool) -> [NamedTensors; 2] {
        let mut model = two();
        let mut optimizer = AdamW::new(AdamWConfig { lr: 0.1, ..AdamWConfig::default() });
        let mut average = MovingAverage::new(0.5, &model);
        let mut apart = average.model.clone();
        let group = |name: &str| Group { lr_scale: 1.0, weight_decay: 0.01, frozen: name == "frozen" };
        for step in 0..4 {
            let loss = (model.matrix.val().powf_scalar(2.0)).sum() + model.frozen.val().sum();
            let gradients = GradientSet::collect(&model, &mut loss.backward());
            if together {
                model = average.step(&mut optimizer, model, gradients, 0.1, &group, step);
            } else {
                model = optimizer.step(model, gradients, 0.1, &group);
                let momentum = warm_momentum(0.5, step);
                apart = apart.map(|own| ema_update(own, &model, momentum));
                // The plain update knows of nothing frozen.
                apart = apart.map(|own| Two { frozen: model.valid().frozen, ..own });
            }
        }
        let own = if together { average.collect() } else { params::collect(apart.as_ref().unwrap()) };
        [params::collect(&model), own]
    }

    #[test]
    fn an_average_moves_with_the_update_as_it_would_after_it() {
        let (together, apart) = (trained(true), trained(false));
        assert_eq!(together, apart);
        assert_ne!(together[0]["matrix"], together[1]["matrix"]);
        assert_eq!(together[0]["frozen"], together[1]["frozen"], "what does not move is its own average");
    }

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
