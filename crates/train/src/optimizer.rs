//! AdamW over the parameters of a module.

use crate::GradientSet;
use auricle_nn::params::NamedTensors;
use auricle_tensor::ops::{self, AdamWStep};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};

/// Configuration of [`AdamW`] (SPIRAL §8).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWConfig {
    /// Peak learning rate, which the schedule multiplies. Default: 1e-3.
    pub lr: f64,
    /// Decay of the first moment. Default: 0.9.
    pub beta1: f64,
    /// Decay of the second moment. Default: 0.98.
    pub beta2: f64,
    /// Added to the root of the second moment. Default: 1e-6.
    pub epsilon: f64,
    /// Decoupled weight decay. Default: 0.01.
    pub weight_decay: f64,
    /// Weight decay of the encoder in fine-tuning. Default: the same as `weight_decay`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder_weight_decay: Option<f64>,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.98,
            epsilon: 1e-6,
            weight_decay: 0.01,
            encoder_weight_decay: None,
        }
    }
}

/// What a parameter's group says about its update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// Factor on the learning rate.
    pub lr_scale: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Not updated at all in this step.
    pub frozen: bool,
}

/// AdamW (decoupled weight decay) with bias correction:
/// `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`, `θ ← θ − lr·(λθ + m̂/(√v̂ + ε))`.
#[derive(Debug, Default)]
pub struct AdamW {
    config: AdamWConfig,
    moments: BTreeMap<String, Moments>,
}

#[derive(Debug)]
struct Moments {
    first: Tensor<1>,
    second: Tensor<1>,
    /// Updates this parameter has had: a parameter that starts frozen corrects its own bias.
    updates: u64,
}

impl AdamW {
    /// An optimizer without history.
    pub fn new(config: AdamWConfig) -> Self {
        Self { config, moments: BTreeMap::new() }
    }

    /// One update of every parameter that has a gradient.
    pub fn step<M: Module>(
        &mut self,
        module: M,
        gradients: GradientSet,
        lr: f64,
        group: &dyn Fn(&str) -> Group,
    ) -> M {
        module.map(&mut Update { optimizer: self, gradients, lr, group, path: Vec::new(), average: None })
    }

    /// As [`Self::step`]; `average`, a module of the same structure outside of any graph, becomes
    /// `momentum·average + (1 − momentum)·module` of the updated module, in the same pass over memory.
    pub fn step_averaged<M: Module>(
        &mut self,
        module: M,
        gradients: GradientSet,
        lr: f64,
        group: &dyn Fn(&str) -> Group,
        (average, momentum): (M, f64),
    ) -> (M, M) {
        // Alone in the queue, a tensor can be updated in place.
        let mut taken = Taken::default();
        let empty = average.map(&mut taken);
        let average = Some(Average { before: taken.0, after: VecDeque::new(), momentum });
        let mut update = Update { optimizer: self, gradients, lr, group, path: Vec::new(), average };
        let module = module.map(&mut update);
        let after = update.average.map(|average| average.after).unwrap_or_default();
        (module, empty.map(&mut Given(after)))
    }

    /// The moments as named tensors `first.<name>` and `second.<name>`, and the update counts.
    pub fn state(&self) -> (NamedTensors, BTreeMap<String, u64>) {
        let mut tensors = NamedTensors::new();
        let mut updates = BTreeMap::new();
        for (name, moments) in &self.moments {
            tensors.insert(format!("first.{name}"), moments.first.to_data());
            tensors.insert(format!("second.{name}"), moments.second.to_data());
            updates.insert(name.clone(), moments.updates);
        }
        (tensors, updates)
    }

    /// Restores what [`Self::state`] gave; entries without both moments are ignored.
    pub fn load_state(
        &mut self,
        mut tensors: NamedTensors,
        updates: &BTreeMap<String, u64>,
        device: &burn::tensor::Device,
    ) {
        self.moments.clear();
        for (name, &updates) in updates {
            let first = tensors.remove(&format!("first.{name}"));
            let second = tensors.remove(&format!("second.{name}"));
            if let (Some(first), Some(second)) = (first, second) {
                let moments = Moments {
                    first: Tensor::from_data(first, device),
                    second: Tensor::from_data(second, device),
                    updates,
                };
                self.moments.insert(name.clone(), moments);
            }
        }
    }
}

struct Update<'a> {
    optimizer: &'a mut AdamW,
    gradients: GradientSet,
    lr: f64,
    group: &'a dyn Fn(&str) -> Group,
    path: Vec<String>,
    average: Option<Average>,
}

/// Tensors of a module, in the order in which it is walked.
type Tensors = VecDeque<Box<dyn Any>>;

/// The moving average beside an update: what is still to be blended, and what has been.
struct Average {
    before: Tensors,
    after: Tensors,
    momentum: f64,
}

impl Average {
    /// Takes the next tensor; one of another rank is left as it is.
    fn next<const D: usize>(&mut self) -> Option<Tensor<D>> {
        match self.before.pop_front()?.downcast::<Tensor<D>>() {
            Ok(own) => Some(*own),
            Err(other) => {
                self.after.push_back(other);
                None
            }
        }
    }

    /// Gives it back.
    fn put<const D: usize>(&mut self, own: Tensor<D>) {
        self.after.push_back(Box::new(own));
    }
}

/// Moves the tensors of a module out of it.
#[derive(Default)]
struct Taken(Tensors);

impl ModuleMapper for Taken {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, mapper) = param.consume();
        let nothing = Tensor::zeros([0; D], &value.device());
        self.0.push_back(Box::new(value));
        Param::from_mapped_value(id, nothing, mapper)
    }
}

/// Moves them back.
struct Given(Tensors);

impl ModuleMapper for Given {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(value) = self.0.pop_front().and_then(|value| value.downcast::<Tensor<D>>().ok()) else {
            return param;
        };
        let (id, _, mapper) = param.consume();
        Param::from_mapped_value(id, *value, mapper)
    }
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.join(".");
        let group = (self.group)(&name);
        let Some(gradient) = self.gradients.take(&name).filter(|_| !group.frozen) else {
            if let Some(average) = &mut self.average
                && let Some(own) = average.next::<D>()
            {
                // What is frozen is its own average to the bit, which a weighted mean of equals is not.
                let own = if group.frozen {
                    param.val().inner()
                } else {
                    ops::ema(own, param.val(), average.momentum)
                };
                average.put(own);
            }
            return param;
        };
        let AdamWConfig { beta1, beta2, epsilon, .. } = self.optimizer.config;
        let (id, value, mapper) = param.consume();
        let shape = value.dims();
        let value = value.inner().flatten::<1>(0, D - 1);
        let device = value.device();
        let Moments { first, second, updates } =
            self.optimizer.moments.remove(&name).unwrap_or_else(|| Moments {
                first: Tensor::zeros(value.shape(), &device),
                second: Tensor::zeros(value.shape(), &device),
                updates: 0,
            });
        let step = AdamWStep {
            lr: self.lr * group.lr_scale,
            beta1,
            beta2,
            eps: epsilon,
            weight_decay: group.weight_decay,
            step: updates + 1,
        };
        let own = self.average.as_mut().and_then(Average::next::<D>);
        let (value, first, second) = match (own, &mut self.average) {
            (Some(own), Some(average)) => {
                let own = own.flatten::<1>(0, D - 1);
                let (value, [first, second], own) =
                    ops::adamw_ema(value, gradient, [first, second], own, step, average.momentum);
                average.put(own.reshape(shape));
                (value, first, second)
            }
            _ => ops::adamw(value, gradient, first, second, step),
        };
        self.optimizer.moments.insert(name, Moments { first, second, updates: updates + 1 });
        let value = Tensor::from_inner(value.reshape(shape)).require_grad();
        Param::from_mapped_value(id, value, mapper)
    }
}
