//! Linear maps.

use burn::tensor::Tensor;

use crate::reference;

/// `x · weight + bias`.
///
/// # Shapes
/// `x [.., d_in]`, `weight [d_in, d_out]`, `bias [d_out]` → `[.., d_out]`
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    reference::linear(x, weight, bias)
}
