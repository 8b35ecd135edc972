//! What a model computes in.

use crate::TrainError;
use auricle_nn::params;
use auricle_tensor::ops::{Products, with_products};
use burn::module::Module;
use burn::tensor::{Device, FloatDType, Tensor};
use serde::{Deserialize, Serialize};

/// What the encoder computes in.
///
/// Parameters, gradients of parameters, optimiser, averages, checkpoints and exported weights are in single precision
/// in any case, as are predictors, heads and losses. There is no loss scaling: bf16 has the range of f32.
///
/// `bf16` on a GPU halves the memory of the encoder's activations: every pass rounds its parameters and the features to
/// bf16, everything inside the encoder (and SPIRAL's projector) is computed in bf16, its normalisations and softmaxes
/// too, and the output comes back in single precision. No training on a GPU was run with it yet.
///
/// `bf16` on the CPU rounds the operands of the encoder's matrix products, and nothing else: sums, activations,
/// normalisations and softmaxes stay in single precision ([`auricle_tensor::ops::Products`]). Machines with AVX512-BF16
/// are faster by it; others compute the same numbers, slower than in `f32`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Single precision, everywhere.
    #[default]
    F32,
    /// bfloat16 in the encoder.
    Bf16,
}

impl Precision {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
    pub(crate) fn is_single(&self) -> bool {
        *self == Self::F32
    }

    /// Refuses a device that lacks it before the device is opened.
    pub(crate) fn check_name(self, device: &str) -> Result<(), TrainError> {
        if self == Self::Bf16 && device.starts_with("npu:") {
            return Err(TrainError::Recipe(format!(
                "train.precision = \"bf16\" is not for `{device}`, whose name says what its cube multiplies \
                 (`npu:sim:910b3:bf16`): set train.precision to \"f32\""
            )));
        }
        Ok(())
    }

    /// Refuses a device whose backend lacks it.
    pub(crate) fn check(self, name: &str, device: &Device) -> Result<(), TrainError> {
        if !self.casts_on(device) || device.supports_dtype(FloatDType::BF16) {
            return Ok(());
        }
        Err(TrainError::Recipe(format!(
            "train.precision = \"bf16\" needs a device that computes in it, and `{name}` does not: set train.device \
             to \"cpu\", \"cuda:0\" or \"rocm:0\" (or \"wgpu\", where the adapter has it), or train.precision to \"f32\""
        )))
    }

    /// Whether tensors are in bf16 there; on the CPU only the operands of products are.
    fn casts_on(self, device: &Device) -> bool {
        self == Self::Bf16 && !auricle_tensor::is_cpu(device)
    }

    /// A module as it computes on the device; gradients reach the parameters of `module`.
    pub fn module<M: Module>(self, module: &M, device: &Device) -> M {
        if self.casts_on(device) { params::cast(module, FloatDType::BF16) } else { module.clone() }
    }

    /// An input of such a module.
    pub fn input<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        if self.casts_on(&x.device()) { params::cast_tensor(x, FloatDType::BF16) } else { x }
    }

    /// Runs the forward pass of such a module.
    pub fn run<T>(self, forward: impl FnOnce() -> T) -> T {
        match self {
            Self::F32 => forward(),
            Self::Bf16 => with_products(Products::Bf16, forward),
        }
    }
}
