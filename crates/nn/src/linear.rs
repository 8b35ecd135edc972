//! Affine map over the last dimension.

use crate::Initializer;
use auricle_tensor::ops;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

/// `y = x·W + b`.
///
/// `W` is stored `[D_in, D_out]` (the transpose of PyTorch's layout).
#[derive(Module, Debug)]
pub struct Linear {
    /// `[D_in, D_out]`
    pub weight: Param<Tensor<2>>,
    /// `[D_out]`
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// Weights N(0, std²), zero bias.
    pub fn normal(input: usize, output: usize, std: f64, init: &mut Initializer<'_>) -> Self {
        Self { weight: init.normal([input, output], std), bias: init.constant([output], 0.0) }
    }

    /// PyTorch's default: weights and bias uniform on ±1/√D_in.
    pub fn uniform(input: usize, output: usize, init: &mut Initializer<'_>) -> Self {
        Self {
            weight: init.fan_in_uniform([input, output], input),
            bias: init.fan_in_uniform([output], input),
        }
    }

    /// # Shapes
    /// - input `[B, T, D_in]`
    /// - output `[B, T, D_out]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        ops::linear(x, self.weight.val(), Some(self.bias.val()))
    }

    /// `GELU(x·W + b)`.
    ///
    /// # Shapes
    /// As [`Self::forward`].
    pub fn forward_gelu(&self, x: Tensor<3>) -> Tensor<3> {
        ops::linear_gelu(x, self.weight.val(), self.bias.val())
    }
}
