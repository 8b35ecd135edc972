//! Normalisation over the last dimension.

use burn::tensor::Tensor;

use crate::reference;

/// Layer norm: `(x − mean) / √(var + epsilon) · gamma + beta`, with the biased variance.
///
/// # Shapes
/// `[.., C]` → `[.., C]`; `gamma`, `beta` `[C]`
pub fn layer_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f64) -> Tensor<D> {
    reference::layer_norm(x, gamma, beta, epsilon)
}

/// RMS norm: `x / √(mean(x²) + epsilon) · gamma`.
///
/// # Shapes
/// `[.., C]` → `[.., C]`; `gamma` `[C]`
pub fn rms_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, epsilon: f64) -> Tensor<D> {
    reference::rms_norm(x, gamma, epsilon)
}
