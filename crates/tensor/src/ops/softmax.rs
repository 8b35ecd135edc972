//! Softmax and its logarithm.

use burn::tensor::Tensor;

use crate::reference;

/// `exp(x) / Σ exp(x)` along `dim`. A row of −∞ gives zeros.
///
/// # Panics
/// Where `dim ≥ D`.
pub fn softmax<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
    reference::softmax(x, dim)
}

/// `x − ln Σ exp(x)` along `dim`.
///
/// # Panics
/// Where `dim ≥ D`.
pub fn log_softmax<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
    reference::log_softmax(x, dim)
}
