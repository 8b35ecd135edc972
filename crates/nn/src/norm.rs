//! Normalisation layers.

use crate::Initializer;
use auricle_tensor::ops;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

/// Layer normalisation over the last dimension, `y = γ·(x − mean)/√(var + ε) + β`.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// γ, `[C]`
    pub gamma: Param<Tensor<1>>,
    /// β, `[C]`
    pub beta: Param<Tensor<1>>,
    /// ε
    pub epsilon: f64,
}

impl LayerNorm {
    /// γ = `gain`, β = 0, ε = 1e-5.
    pub fn new(channels: usize, gain: f64, init: &mut Initializer<'_>) -> Self {
        Self { gamma: init.constant([channels], gain), beta: init.constant([channels], 0.0), epsilon: 1e-5 }
    }

    /// # Shapes
    /// `[B, T, C]` → `[B, T, C]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        ops::layer_norm(x, self.gamma.val(), self.beta.val(), self.epsilon)
    }
}

/// Statistics of one training batch, to be folded into the running ones after the step.
#[derive(Debug, Clone)]
pub struct BatchStats {
    mean: Tensor<1>,
    unbiased_var: Tensor<1>,
}

/// Batch normalisation over batch and time, `y = γ·(x − mean)/√(var + ε) + β`.
///
/// Training normalises by the statistics of the batch over *all* positions, padding included, as
/// SPIRAL does; evaluation by the running ones. The running variance is the unbiased one.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// γ, `[C]`
    pub gamma: Param<Tensor<1>>,
    /// β, `[C]`
    pub beta: Param<Tensor<1>>,
    /// Running mean, `[C]`, not trained.
    pub running_mean: Param<Tensor<1>>,
    /// Running variance, `[C]`, not trained.
    pub running_var: Param<Tensor<1>>,
    /// ε
    pub epsilon: f64,
    /// Share of the batch in the update of the running statistics.
    pub momentum: f64,
}

impl BatchNorm {
    /// γ = 1, β = 0, running mean 0 and variance 1.
    pub fn new(channels: usize, epsilon: f64, momentum: f64, init: &mut Initializer<'_>) -> Self {
        Self {
            gamma: init.constant([channels], 1.0),
            beta: init.constant([channels], 0.0),
            running_mean: init.constant([channels], 0.0).set_require_grad(false),
            running_var: init.constant([channels], 1.0).set_require_grad(false),
            epsilon,
            momentum,
        }
    }

    /// Evaluation: by the running statistics.
    ///
    /// # Shapes
    /// `[B, T, C]` → `[B, T, C]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.affine(x, self.running_mean.val().unsqueeze(), self.running_var.val().unsqueeze())
    }

    /// Training: by the statistics of this batch, which are returned for [`Self::update`].
    ///
    /// # Shapes
    /// `[B, T, C]` → `[B, T, C]`
    pub fn forward_train(&self, x: Tensor<3>) -> (Tensor<3>, BatchStats) {
        let [batch, frames, channels] = x.dims();
        let count = batch * frames;
        let rows = x.clone().reshape([count, channels]);
        let mean = rows.clone().mean_dim(0);
        let centred = rows - mean.clone();
        let var = (centred.clone() * centred).mean_dim(0);
        let unbiased = count as f64 / (count.max(2) - 1) as f64;
        let stats = BatchStats {
            mean: mean.clone().inner_value(),
            unbiased_var: var.clone().mul_scalar(unbiased).inner_value(),
        };
        (self.affine(x, mean.unsqueeze(), var.unsqueeze()), stats)
    }

    /// running ← (1 − momentum)·running + momentum·batch.
    #[must_use]
    pub fn update(mut self, stats: BatchStats) -> Self {
        let momentum = self.momentum;
        let blend = |running: Param<Tensor<1>>, batch: Tensor<1>| {
            running.map(|r| {
                let device = r.device();
                let blended = r.inner_value() * (1.0 - momentum) + batch * momentum;
                Tensor::from_data(blended.into_data(), &device).set_require_grad(false)
            })
        };
        self.running_mean = blend(self.running_mean, stats.mean);
        self.running_var = blend(self.running_var, stats.unbiased_var);
        self
    }

    fn affine(&self, x: Tensor<3>, mean: Tensor<3>, var: Tensor<3>) -> Tensor<3> {
        let scale = var.add_scalar(self.epsilon).sqrt().recip();
        (x - mean) * scale * self.gamma.val().unsqueeze() + self.beta.val().unsqueeze()
    }
}

/// A value cut off from the gradient graph.
trait InnerValue {
    fn inner_value(self) -> Tensor<1>;
}

impl<const D: usize> InnerValue for Tensor<D> {
    fn inner_value(self) -> Tensor<1> {
        let plain = if self.is_autodiff() { self.inner() } else { self };
        plain.flatten(0, D - 1)
    }
}
