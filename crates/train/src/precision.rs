//! What a model computes in.

use crate::TrainError;
use auricle_nn::params;
use burn::module::Module;
use burn::tensor::{Device, FloatDType, Tensor};
use serde::{Deserialize, Serialize};

/// What the encoder computes in.
///
/// `bf16` halves the memory of the encoder's activations. Its parameters stay in single precision; every
/// pass rounds them and the features to bf16, everything inside the encoder (and SPIRAL's projector) is
/// computed in bf16, its normalisations and softmaxes too, and the output comes back in single precision.
/// Predictors, heads and losses, gradients of parameters, optimiser, averages, checkpoints and exported
/// weights are in single precision. There is no loss scaling: bf16 has the range of f32.
///
/// `bf16` was tested on the CPU only, by the reference operations, which no recipe can choose: there it
/// would be slower than `f32`. No training on a GPU was run with it yet.
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
        let on_host = device == "cpu" || device.starts_with("npu:");
        if self == Self::Bf16 && on_host { Err(lacks_bf16(device)) } else { Ok(()) }
    }

    /// Refuses a device whose backend lacks it.
    pub(crate) fn check(self, name: &str, device: &Device) -> Result<(), TrainError> {
        let lacks = self == Self::Bf16 && !device.supports_dtype(FloatDType::BF16);
        if lacks { Err(lacks_bf16(name)) } else { Ok(()) }
    }

    /// A module as it computes; gradients reach the parameters of `module`.
    pub fn module<M: Module>(self, module: &M) -> M {
        match self {
            Self::F32 => module.clone(),
            Self::Bf16 => params::cast(module, FloatDType::BF16),
        }
    }

    /// An input of such a module.
    pub fn input<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::F32 => x,
            Self::Bf16 => params::cast_tensor(x, FloatDType::BF16),
        }
    }
}

fn lacks_bf16(device: &str) -> TrainError {
    TrainError::Recipe(format!(
        "train.precision = \"bf16\" needs a device that computes in it, and `{device}` does not: set train.device \
         to \"cuda:0\" or \"rocm:0\" (or \"wgpu\", where the adapter has it), or train.precision to \"f32\""
    ))
}
