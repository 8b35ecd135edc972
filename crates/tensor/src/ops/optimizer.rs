//! Parameter updates.

use burn::tensor::Tensor;

use crate::reference;

/// The scalars of one AdamW update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Number of this update, from 1.
    pub step: u64,
}

impl AdamWStep {
    /// `1 − beta1^step` and `1 − beta2^step`.
    pub(crate) fn bias_corrections(&self) -> (f64, f64) {
        let step = self.step as f64;
        (1.0 - self.beta1.powf(step), 1.0 - self.beta2.powf(step))
    }
}

/// One AdamW update (Loshchilov & Hutter 2019, PyTorch's order of operations); gives the new `(param, m, v)`.
///
/// `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`,
/// `θ ← θ(1 − lr·decay) − lr · m/(1−β₁ᵗ) / (√(v/(1−β₂ᵗ)) + ε)`.
///
/// Tensors are updated in place where nobody else holds them. The result carries no graph.
///
/// # Panics
/// Where the four shapes differ.
pub fn adamw<const D: usize>(
    param: Tensor<D>,
    grad: Tensor<D>,
    m: Tensor<D>,
    v: Tensor<D>,
    step: AdamWStep,
) -> (Tensor<D>, Tensor<D>, Tensor<D>) {
    assert!(
        param.dims() == grad.dims() && param.dims() == m.dims() && param.dims() == v.dims(),
        "adamw: param {:?}, grad {:?}, m {:?}, v {:?}",
        param.dims(),
        grad.dims(),
        m.dims(),
        v.dims()
    );
    reference::adamw(param, grad, m, v, step)
}

/// Exponential moving average: `teacher ← momentum·teacher + (1 − momentum)·student`.
///
/// In place where nobody else holds the teacher. The result carries no graph.
///
/// # Panics
/// Where the two shapes differ.
pub fn ema<const D: usize>(teacher: Tensor<D>, student: Tensor<D>, momentum: f64) -> Tensor<D> {
    assert!(teacher.dims() == student.dims(), "ema: teacher {:?}, student {:?}", teacher.dims(), student.dims());
    reference::ema(teacher, student, momentum)
}
