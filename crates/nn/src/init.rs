//! Initial values of parameters.

use auricle_rng::Stream;
use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// How the linear maps of Transformer blocks start.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// N(0, 0.02²), as SPIRAL.
    #[default]
    Standard,
    /// N(0, 1/(2·D·L)) with width D and L layers: "TinyInit" of Pangu Ultra (arXiv 2504.07866).
    Tiny,
}

impl Init {
    /// The standard deviation of a linear map in a block of `layers` layers of width `width`.
    pub fn std(self, width: usize, layers: usize) -> f64 {
        match self {
            Self::Standard => 0.02,
            Self::Tiny => (1.0 / (2.0 * width.max(1) as f64 * layers.max(1) as f64)).sqrt(),
        }
    }
}

/// Creates parameters from one random stream, in construction order, on one device.
///
/// Values are drawn on the host, so that they are the same on every device.
#[derive(Debug)]
pub struct Initializer<'a> {
    stream: &'a mut Stream,
    device: &'a Device,
}

impl<'a> Initializer<'a> {
    /// An initializer that draws from `stream` and places parameters on `device`.
    pub fn new(stream: &'a mut Stream, device: &'a Device) -> Self {
        Self { stream, device }
    }

    /// The device of the parameters.
    pub fn device(&self) -> &Device {
        self.device
    }

    /// N(0, std²).
    pub fn normal<const D: usize>(&mut self, shape: [usize; D], std: f64) -> Param<Tensor<D>> {
        let stream = &mut *self.stream;
        Self::param(shape, self.device, || (std * stream.normal()) as f32)
    }

    /// Uniform on [−bound, bound].
    pub fn uniform<const D: usize>(&mut self, shape: [usize; D], bound: f64) -> Param<Tensor<D>> {
        let stream = &mut *self.stream;
        Self::param(shape, self.device, || stream.uniform_in(-bound, bound) as f32)
    }

    /// One value everywhere.
    pub fn constant<const D: usize>(&mut self, shape: [usize; D], value: f64) -> Param<Tensor<D>> {
        Self::param(shape, self.device, || value as f32)
    }

    /// PyTorch's default for the bias (and, with the same formula, the weight) of a map with
    /// `fan_in` inputs per output: uniform on ±1/√fan_in.
    pub fn fan_in_uniform<const D: usize>(&mut self, shape: [usize; D], fan_in: usize) -> Param<Tensor<D>> {
        self.uniform(shape, 1.0 / (fan_in.max(1) as f64).sqrt())
    }

    fn param<const D: usize>(
        shape: [usize; D],
        device: &Device,
        mut draw: impl FnMut() -> f32,
    ) -> Param<Tensor<D>> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| draw()).collect();
        Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
    }
}
