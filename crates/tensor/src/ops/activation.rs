//! Activations.

use burn::tensor::Tensor;

use crate::reference;

/// Exact GELU, `x/2 · (1 + erf(x/√2))` (not the tanh approximation).
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    reference::gelu(x)
}
