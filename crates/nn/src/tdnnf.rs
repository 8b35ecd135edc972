//! Factored time-delay networks (Povey et al. 2018, "Semi-orthogonal low-rank matrix factorization for deep neural networks").

use crate::{Initializer, Linear, zero_beyond};
use auricle_tensor::ops::{self, BatchMoments, BatchNormOptions, Conv1dOptions};
use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Input frames of 10 ms for each output frame.
pub const SUBSAMPLING: usize = 3;

const EPSILON: f64 = 1e-3;

/// Sizes of a [`Tdnnf`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TdnnfConfig {
    /// Values of an input frame. Default: 40.
    pub bins: usize,
    /// Channels of the first convolution. Default: 256.
    pub front: usize,
    /// Width of the layers. Default: 512.
    pub width: usize,
    /// Width of the narrow part of a layer. Default: 96.
    pub bottleneck: usize,
    /// Factored layers, each of which sees one frame before and one after. Default: 11.
    pub layers: usize,
    /// Share of a layer's input that is added to its output. Default: 0.66.
    pub bypass: f64,
    /// Width of the linear map at the end, and of that of each head. Default: 192.
    pub linear: usize,
}

impl Default for TdnnfConfig {
    fn default() -> Self {
        Self { bins: 40, front: 256, width: 512, bottleneck: 96, layers: 11, bypass: 0.66, linear: 192 }
    }
}

impl TdnnfConfig {
    /// What is wrong with this configuration, in words, or `Ok`.
    pub fn validate(&self) -> Result<(), String> {
        let Self { bins, front, width, bottleneck, layers, bypass, linear } = *self;
        let widths = [
            ("bins", bins),
            ("front", front),
            ("width", width),
            ("bottleneck", bottleneck),
            ("linear", linear),
        ];
        if let Some((name, value)) = widths.iter().find(|(_, value)| !(1..=8192).contains(value)) {
            return Err(format!("model.net.{name}: {value} is not between 1 and 8192"));
        }
        if !(1..=64).contains(&layers) {
            return Err(format!("model.net.layers: {layers} is not between 1 and 64"));
        }
        if !(0.0..=1.0).contains(&bypass) {
            return Err(format!("model.net.bypass: {bypass} is not between 0 and 1"));
        }
        if bottleneck > 2 * width || linear > width {
            return Err("model.net: a bottleneck or linear map is wider than what it narrows".into());
        }
        Ok(())
    }
}

/// Where batch normalisation takes its moments from.
#[derive(Debug)]
pub enum Moments<'a> {
    /// From the running averages: evaluation.
    Running,
    /// From the batch; they are added here in the order of the layers: training.
    Batch(&'a mut Vec<BatchMoments>),
}

/// `(relu(x) − mean)/√(var + 1e-3)` of each channel, without scale or offset; the ReLU is optional.
///
/// Moments are those of the valid frames, in training of the batch, in evaluation running averages. Frames beyond an
/// utterance's length become 0.
#[derive(Module, Debug)]
pub struct FrameNorm {
    /// Running mean, `[C]`, not trained.
    pub running_mean: Param<Tensor<1>>,
    /// Running variance, `[C]`, not trained.
    pub running_var: Param<Tensor<1>>,
    /// Whether a ReLU comes first.
    pub relu: bool,
}

impl FrameNorm {
    /// Mean 0, variance 1.
    pub fn new(channels: usize, relu: bool, init: &mut Initializer<'_>) -> Self {
        Self {
            running_mean: init.constant([channels], 0.0).set_require_grad(false),
            running_var: init.constant([channels], 1.0).set_require_grad(false),
            relu,
        }
    }

    /// `residual` is added to the normalised values, times its factor.
    ///
    /// # Shapes
    /// `[B, T, C]` → `[B, T, C]`
    pub fn forward(
        &self,
        x: Tensor<3>,
        residual: Option<(Tensor<3>, f64)>,
        lengths: &[usize],
        moments: &mut Moments<'_>,
    ) -> Tensor<3> {
        match moments {
            Moments::Batch(all) => {
                let options = BatchNormOptions { relu: self.relu, epsilon: EPSILON };
                let (y, moments) = ops::batch_norm(x, residual, lengths, options);
                all.push(moments);
                y
            }
            Moments::Running => {
                let x = if self.relu { relu(x) } else { x };
                let rate = (self.running_var.val() + EPSILON).sqrt().recip();
                let y = (x - self.running_mean.val().unsqueeze()) * rate.unsqueeze();
                let y = match residual {
                    Some((residual, scale)) => y + residual * scale,
                    None => y,
                };
                zero_beyond(y, lengths)
            }
        }
    }

    /// running ← (1 − share)·running + share·batch, with the next of the moments.
    #[must_use]
    fn absorb(self, moments: &mut impl Iterator<Item = BatchMoments>, share: f64) -> Self {
        let Some(BatchMoments { mean, variance }) = moments.next() else { return self };
        let blend = |running: Param<Tensor<1>>, batch: Vec<f32>| {
            running.map(|running| {
                let device = running.device();
                let plain = if running.is_autodiff() { running.inner() } else { running };
                let channels = batch.len();
                let batch = Tensor::<1>::from_data(TensorData::new(batch, [channels]), &plain.device());
                let blended = plain * (1.0 - share) + batch * share;
                Tensor::from_data(blended.into_data(), &device).set_require_grad(false)
            })
        };
        Self {
            running_mean: blend(self.running_mean, mean),
            running_var: blend(self.running_var, variance),
            ..self
        }
    }
}

/// Narrow linear map of frames (t − 1, t), affine map of (t, t + 1), ReLU, normalisation, and a share of the input.
///
/// Input frames before the first and after the last valid one are 0.
#[derive(Module, Debug)]
pub struct TdnnfLayer {
    /// `[2, D, b]`, kept semi-orthogonal.
    pub narrow: Param<Tensor<3>>,
    /// `[2, b, D]`
    pub weight: Param<Tensor<3>>,
    /// `[D]`
    pub bias: Param<Tensor<1>>,
    /// ReLU and normalisation.
    pub norm: FrameNorm,
    /// Share of the input that is added.
    pub bypass: f64,
}

impl TdnnfLayer {
    fn new(config: &TdnnfConfig, init: &mut Initializer<'_>) -> Self {
        let TdnnfConfig { width, bottleneck, bypass, .. } = *config;
        let std = |inputs: usize| (1.0 / inputs as f64).sqrt();
        Self {
            narrow: init.normal([2, width, bottleneck], std(2 * width)),
            weight: init.normal([2, bottleneck, width], std(2 * bottleneck)),
            bias: init.constant([width], 0.0),
            norm: FrameNorm::new(width, true, init),
            bypass,
        }
    }

    fn forward(&self, x: Tensor<3>, lengths: &[usize], moments: &mut Moments<'_>) -> Tensor<3> {
        // One frame more than the input, so that the last sees the 0 after it as in a longer batch.
        let around = Conv1dOptions { pad_left: 1, pad_right: 1, ..Conv1dOptions::default() };
        let narrow = ops::conv1d(x.clone(), self.narrow.val(), None, around);
        let wide = ops::conv1d(narrow, self.weight.val(), Some(self.bias.val()), Conv1dOptions::default());
        self.norm.forward(wide, Some((x, self.bypass)), lengths, moments)
    }
}

/// Two convolutions, the second of which takes every third frame, factored layers and a linear map.
#[derive(Module, Debug)]
pub struct Tdnnf {
    /// `[5, F, C]`
    pub front: Param<Tensor<3>>,
    /// `[C]`
    pub front_bias: Param<Tensor<1>>,
    /// ReLU and normalisation.
    pub front_norm: FrameNorm,
    /// `[5, C, D]`, every third frame.
    pub reduce: Param<Tensor<3>>,
    /// `[D]`
    pub reduce_bias: Param<Tensor<1>>,
    /// ReLU and normalisation.
    pub reduce_norm: FrameNorm,
    /// The factored layers.
    pub layers: Vec<TdnnfLayer>,
    /// `[D, L]`, kept semi-orthogonal.
    pub linear: Param<Tensor<2>>,
}

impl Tdnnf {
    /// A network with initial values N(0, 1/inputs).
    pub fn new(config: &TdnnfConfig, init: &mut Initializer<'_>) -> Self {
        let TdnnfConfig { bins, front, width, layers, linear, .. } = *config;
        let std = |inputs: usize| (1.0 / inputs as f64).sqrt();
        Self {
            front: init.normal([5, bins, front], std(5 * bins)),
            front_bias: init.constant([front], 0.0),
            front_norm: FrameNorm::new(front, true, init),
            reduce: init.normal([5, front, width], std(5 * front)),
            reduce_bias: init.constant([width], 0.0),
            reduce_norm: FrameNorm::new(width, true, init),
            layers: (0..layers).map(|_| TdnnfLayer::new(config, init)).collect(),
            linear: init.normal([width, linear], std(width)),
        }
    }

    /// Output frames of an utterance.
    pub fn output_frames(frames: usize) -> usize {
        frames.div_ceil(SUBSAMPLING)
    }

    /// # Shapes
    /// - input `[B, T, F]` with T a multiple of 3, and valid lengths; padding may hold anything
    /// - output `[B, T/3, L]` and valid lengths
    pub fn forward(
        &self,
        x: Tensor<3>,
        lengths: &[usize],
        moments: &mut Moments<'_>,
    ) -> (Tensor<3>, Vec<usize>) {
        let x = zero_beyond(x, lengths);
        let same = Conv1dOptions { pad_left: 2, pad_right: 2, ..Conv1dOptions::default() };
        let x = ops::conv1d(x, self.front.val(), Some(self.front_bias.val()), same);
        let x = self.front_norm.forward(x, None, lengths, moments);
        // Output frame t sees the input frames 3t − 1 to 3t + 3.
        let third = Conv1dOptions { stride: SUBSAMPLING, pad_left: 1, pad_right: 2, groups: 1 };
        let x = ops::conv1d(x, self.reduce.val(), Some(self.reduce_bias.val()), third);
        let lengths: Vec<usize> = lengths.iter().map(|&length| Self::output_frames(length)).collect();
        let mut x = self.reduce_norm.forward(x, None, &lengths, moments);
        for layer in &self.layers {
            x = layer.forward(x, &lengths, moments);
        }
        (ops::linear(x, self.linear.val(), None), lengths)
    }

    /// Takes the moments of a batch into the running averages.
    #[must_use]
    pub fn absorb(self, moments: &mut impl Iterator<Item = BatchMoments>, share: f64) -> Self {
        let absorb = |layer: TdnnfLayer, moments: &mut _| TdnnfLayer {
            norm: layer.norm.absorb(moments, share),
            ..layer
        };
        Self {
            front_norm: self.front_norm.absorb(moments, share),
            reduce_norm: self.reduce_norm.absorb(moments, share),
            layers: self.layers.into_iter().map(|layer| absorb(layer, &mut *moments)).collect(),
            ..self
        }
    }

    /// One step of all maps that narrow towards semi-orthogonality; see [`semi_orthogonal_step`].
    #[must_use]
    pub fn towards_orthogonal(self) -> Self {
        let step = |layer: TdnnfLayer| {
            let narrow = layer.narrow.map(|weight| {
                let [taps, inputs, outputs] = weight.dims();
                update(weight.reshape([taps * inputs, outputs])).reshape([taps, inputs, outputs])
            });
            TdnnfLayer { narrow: tracked(narrow), ..layer }
        };
        Self {
            layers: self.layers.into_iter().map(step).collect(),
            linear: tracked(self.linear.map(update)),
            ..self
        }
    }
}

/// A head: affine map, ReLU, normalisation, linear map, normalisation, and an affine map to the outputs that starts at 0.
#[derive(Module, Debug)]
pub struct TdnnfHead {
    /// `L` → `D`
    pub hidden: Linear,
    /// ReLU and normalisation.
    pub hidden_norm: FrameNorm,
    /// `[D, L]`, kept semi-orthogonal.
    pub linear: Param<Tensor<2>>,
    /// Normalisation.
    pub linear_norm: FrameNorm,
    /// `L` → outputs
    pub output: Linear,
}

impl TdnnfHead {
    /// A head of a network for `outputs` outputs.
    pub fn new(config: &TdnnfConfig, outputs: usize, init: &mut Initializer<'_>) -> Self {
        let TdnnfConfig { width, linear, .. } = *config;
        Self {
            hidden: Linear::normal(linear, width, (1.0 / linear as f64).sqrt(), init),
            hidden_norm: FrameNorm::new(width, true, init),
            linear: init.normal([width, linear], (1.0 / width as f64).sqrt()),
            linear_norm: FrameNorm::new(linear, false, init),
            output: Linear {
                weight: init.constant([linear, outputs], 0.0),
                bias: init.constant([outputs], 0.0),
            },
        }
    }

    /// # Shapes
    /// `[B, T, L]` → `[B, T, outputs]`
    pub fn forward(&self, x: Tensor<3>, lengths: &[usize], moments: &mut Moments<'_>) -> Tensor<3> {
        let x = self.hidden_norm.forward(self.hidden.forward(x), None, lengths, moments);
        let x = ops::linear(x, self.linear.val(), None);
        self.output.forward(self.linear_norm.forward(x, None, lengths, moments))
    }

    /// See [`Tdnnf::absorb`].
    #[must_use]
    pub fn absorb(self, moments: &mut impl Iterator<Item = BatchMoments>, share: f64) -> Self {
        Self {
            hidden_norm: self.hidden_norm.absorb(moments, share),
            linear_norm: self.linear_norm.absorb(moments, share),
            ..self
        }
    }

    /// See [`Tdnnf::towards_orthogonal`].
    #[must_use]
    pub fn towards_orthogonal(self) -> Self {
        Self { linear: tracked(self.linear.map(update)), ..self }
    }
}

/// The step outside of the graph of gradients.
fn update(weight: Tensor<2>) -> Tensor<2> {
    match weight.is_autodiff() {
        true => Tensor::from_inner(semi_orthogonal_step(weight.inner())),
        false => semi_orthogonal_step(weight),
    }
}

/// A parameter that asks for gradients, as before its value was replaced.
fn tracked<const D: usize>(param: Param<Tensor<D>>) -> Param<Tensor<D>> {
    let autodiff = param.val().is_autodiff();
    if autodiff { param.map(|value| value.detach().require_grad()) } else { param }
}

/// One step towards columns of equal length that are orthogonal to each other.
///
/// With `P = WᵀW` and `s² = tr(P²)/tr(P)`: `W ← W − (4ν/s²)·W·(P − s²·I)`, which shrinks the distance of `P` to a multiple of
/// the identity, whatever the multiple (the "floating" case). ν is ⅛, half of that where `tr(P²)·cols/tr(P)²` is above 1.02 and a
/// quarter where it is above 1.1: far away, a full step may overshoot.
///
/// # Shapes
/// `[inputs, outputs]`, not more outputs than inputs, on a device without gradients
pub fn semi_orthogonal_step(weight: Tensor<2>) -> Tensor<2> {
    let [_, columns] = weight.dims();
    let product = weight.clone().transpose().matmul(weight.clone());
    let trace = f64::from((weight.clone() * weight.clone()).sum().into_scalar::<f32>());
    let square = f64::from((product.clone() * product.clone()).sum().into_scalar::<f32>());
    if !(trace > 0.0 && square.is_finite()) {
        return weight;
    }
    let scale = square / trace;
    let speed = match square * columns as f64 / (trace * trace) {
        ratio if ratio > 1.1 => 0.25,
        ratio if ratio > 1.02 => 0.5,
        _ => 1.0,
    };
    let rate = 4.0 * 0.125 * speed / scale;
    // W − rate·W·P + rate·s²·W.
    weight.clone() * (1.0 + rate * scale) - weight.matmul(product) * rate
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};
    use burn::tensor::Device;

    fn config() -> TdnnfConfig {
        TdnnfConfig { bins: 6, front: 8, width: 12, bottleneck: 4, layers: 3, bypass: 0.66, linear: 5 }
    }

    fn values(x: Tensor<3>) -> Vec<f32> {
        x.into_data().try_to_vec().unwrap()
    }

    fn input(batch: usize, frames: usize) -> Vec<f32> {
        let mut stream = Key::new(2).stream(Purpose::Test);
        (0..batch * frames * 6).map(|_| stream.normal() as f32).collect()
    }

    /// A network whose running averages are those of a batch.
    fn network(device: &Device) -> (Tdnnf, TdnnfHead) {
        let mut stream = Key::new(1).stream(Purpose::Init);
        let mut init = Initializer::new(&mut stream, device);
        let (net, mut head) = (Tdnnf::new(&config(), &mut init), TdnnfHead::new(&config(), 7, &mut init));
        head.output = Linear::uniform(5, 7, &mut init);
        let mut moments = Vec::new();
        let x = Tensor::from_data(TensorData::new(input(2, 30), [2, 30, 6]), device);
        let (y, lengths) = net.forward(x, &[30, 30], &mut Moments::Batch(&mut moments));
        head.forward(y, &lengths, &mut Moments::Batch(&mut moments));
        let mut moments = moments.into_iter();
        let all = (net.absorb(&mut moments, 1.0), head.absorb(&mut moments, 1.0));
        assert!(moments.next().is_none());
        all
    }

    #[test]
    fn an_utterance_does_not_depend_on_its_batch_whatever_stands_in_the_padding() {
        let (net, head) = network(&Device::flex());
        let lengths = [30, 17, 1, 24];
        let mut x = input(4, 30);
        for (b, &length) in lengths.iter().enumerate() {
            x[(b * 30 + length) * 6..(b + 1) * 30 * 6].fill(f32::NAN);
        }
        let run = |x: Vec<f32>, frames: usize, lengths: &[usize]| {
            let x = Tensor::from_data(TensorData::new(x, [lengths.len(), frames, 6]), &Device::flex());
            let (y, lengths) = net.forward(x, lengths, &mut Moments::Running);
            (values(head.forward(y, &lengths, &mut Moments::Running)), lengths)
        };
        let (batch, frames) = run(x.clone(), 30, &lengths);
        assert_eq!(frames, [10, 6, 1, 8]);
        for (b, &length) in lengths.iter().enumerate() {
            let padded = length.next_multiple_of(3);
            let mut own = x[b * 30 * 6..][..length * 6].to_vec();
            own.resize(padded * 6, 0.0);
            let (single, _) = run(own, padded, &[length]);
            for (a, b) in single.iter().zip(&batch[b * 10 * 7..]) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
    }

    #[test]
    fn every_parameter_learns_and_an_update_keeps_it_so() {
        let device = Device::flex().autodiff();
        let (net, head) = network(&device);
        let (net, head) = (net.towards_orthogonal(), head.towards_orthogonal());
        let x = Tensor::from_data(TensorData::new(input(2, 30), [2, 30, 6]), &device);
        let mut moments = Vec::new();
        let (y, lengths) = net.forward(x, &[30, 20], &mut Moments::Batch(&mut moments));
        let y = head.forward(y, &lengths, &mut Moments::Batch(&mut moments));
        let gradients = (y.clone() * y).mean().backward();
        struct Count<'g>(usize, &'g burn::tensor::Gradients);
        impl burn::module::ModuleVisitor for Count<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0 += usize::from(param.val().grad(self.1).is_some());
            }
        }
        let mut count = Count(0, &gradients);
        net.visit(&mut count);
        head.visit(&mut count);
        assert_eq!(count.0, 4 + 3 * 3 + 1 + 2 + 1 + 2);
    }

    /// Steps bring any matrix to orthogonal columns of equal length.
    #[test]
    fn steps_lead_to_semi_orthogonal_maps() {
        let mut stream = Key::new(3).stream(Purpose::Test);
        let values: Vec<f32> = (0..40 * 8).map(|_| 3.0 * stream.normal() as f32).collect();
        let mut weight = Tensor::<2>::from_data(TensorData::new(values, [40, 8]), &Device::flex());
        for _ in 0..200 {
            weight = semi_orthogonal_step(weight);
        }
        let product: Vec<f32> = weight.clone().transpose().matmul(weight).into_data().try_to_vec().unwrap();
        let length = product[0];
        for (i, value) in product.iter().enumerate() {
            let expected = if i % 9 == 0 { length } else { 0.0 };
            assert!((value - expected).abs() < 1e-3 * length, "{i}: {value} {expected}");
        }
    }
}
