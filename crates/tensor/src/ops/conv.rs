//! One-dimensional convolution, channels last.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use crate::cpu::conv as kernel;
use crate::cpu::reduce::column_sums;
use crate::fused::{self, Kernel, dense, elements};
use crate::npu::{self, session::Session};
use crate::options::{Conv1dOptions, Conv1dSizes, Products};
use crate::reference;

/// `y[b, t, o] = bias[o] + Σ_{k, c} x[b, t·stride + k − pad_left, c] · weight[k, c, o]`.
///
/// # Shapes
/// `x [B, T, C_in]`, `weight [K, C_in/groups, C_out]`, `bias [C_out]` → `[B, T', C_out]`
/// with `T'` = [`Conv1dOptions::output_frames`].
///
/// # Panics
/// Where a stride or group count is 0, the groups divide neither channel count, shapes disagree, or the padding asks for more
/// than memory can hold.
pub fn conv1d(x: Tensor<3>, weight: Tensor<3>, bias: Option<Tensor<1>>, options: Conv1dOptions) -> Tensor<3> {
    let ([batch, frames, inputs], [kernel, inputs_per_group, outputs]) = (x.dims(), weight.dims());
    let groups = options.groups;
    assert!(
        options.stride > 0
            && groups > 0
            && inputs == inputs_per_group * groups
            && outputs.is_multiple_of(groups)
            && bias.as_ref().is_none_or(|bias| bias.dims() == [outputs]),
        "conv1d: {inputs} input channels, weight {:?}, {options:?}",
        weight.dims()
    );
    let padded = options.padded(frames);
    let most = [batch, padded, inputs.max(outputs), size_of::<f32>()];
    assert!(
        most.into_iter()
            .try_fold(1usize, usize::checked_mul)
            .is_some_and(|bytes| bytes <= isize::MAX as usize),
        "conv1d: {batch} times {frames} frames with {options:?} are more than memory can hold"
    );
    // A stride beyond the last frame gives one output, however long it is.
    let options = Conv1dOptions { stride: options.stride.min(padded.saturating_add(1)), ..options };
    let sizes = Conv1dSizes {
        batch,
        frames,
        outputs: options.output_frames(frames, kernel),
        kernel,
        input: inputs,
        output: outputs,
        options,
    };
    let empty = [batch, frames, sizes.outputs, kernel, inputs, outputs].contains(&0);
    if empty
        || !fused::applies(&x)
        || !fused::applies(&weight)
        || bias.as_ref().is_some_and(|b| !fused::applies(b))
    {
        return reference::conv1d(x, weight, bias, options);
    }
    let conv = Conv1d { sizes, products: Products::current() };
    match bias {
        Some(bias) => fused::apply3(conv, x, weight, bias),
        None => fused::apply2(conv, x, weight),
    }
}

/// The inputs are `x`, `weight` and, of three, `bias`.
#[derive(Debug, Clone)]
struct Conv1d {
    sizes: Conv1dSizes,
    products: Products,
}

impl Conv1d {
    fn output(&self, y: Vec<f32>) -> FlexTensor {
        fused::tensor(y, [self.sizes.batch, self.sizes.outputs, self.sizes.output])
    }
}

impl<const N: usize> Kernel<N> for Conv1d {
    type Saved = (FlexTensor, FlexTensor);

    fn forward(&self, inputs: [FlexTensor; N], tracked: bool) -> (FlexTensor, Option<Self::Saved>) {
        let inputs = inputs.map(dense);
        let (x, weight) = (&inputs[0], &inputs[1]);
        let bias = inputs.get(2).map(elements);
        let y = kernel::forward(elements(x), elements(weight), bias, self.sizes, self.products);
        (self.output(y), tracked.then(|| (x.clone(), weight.clone())))
    }

    fn backward(
        &self,
        (x, weight): Self::Saved,
        grad: FlexTensor,
        wanted: [bool; N],
    ) -> [Option<FlexTensor>; N] {
        let grad = dense(grad);
        let one = |i: usize| match i {
            0 => {
                let mut dx = fused::zeros(x.layout().shape().clone());
                kernel::input_gradient(
                    dx.storage_mut(),
                    elements(&grad),
                    elements(&weight),
                    self.sizes,
                    self.products,
                );
                dx
            }
            1 => {
                let dw = kernel::weight_gradient(elements(&x), elements(&grad), self.sizes, self.products);
                fused::tensor(dw, weight.layout().shape().clone())
            }
            _ => {
                let mut db = fused::zeros([self.sizes.output]);
                column_sums(elements(&grad), self.sizes.output, db.storage_mut());
                db
            }
        };
        std::array::from_fn(|i| wanted[i].then(|| one(i)))
    }

    fn npu_forward(&self, npu: &Session, inputs: &[FlexTensor; N]) -> Option<(FlexTensor, Self::Saved)> {
        let inputs = inputs.each_ref().map(|input| dense(input.clone()));
        let (x, weight) = (&inputs[0], &inputs[1]);
        let bias = inputs.get(2).map(elements);
        let y = npu::ops::conv1d(npu, elements(x), elements(weight), bias, self.sizes)?;
        Some((self.output(y), (x.clone(), weight.clone())))
    }

    fn npu_backward(
        &self,
        npu: &Session,
        (x, weight): &Self::Saved,
        grad: &FlexTensor,
        wanted: [bool; N],
    ) -> Option<[Option<FlexTensor>; N]> {
        let grad = dense(grad.clone());
        let g = elements(&grad);
        let one = |i: usize| match i {
            0 => {
                let dx = npu::ops::conv1d_input_gradient(npu, g, elements(weight), self.sizes)?;
                Some(fused::tensor(dx, x.layout().shape().clone()))
            }
            1 => {
                let dw = npu::ops::conv1d_weight_gradient(npu, elements(x), g, self.sizes)?;
                Some(fused::tensor(dw, weight.layout().shape().clone()))
            }
            _ => Some(fused::tensor(npu::ops::column_sums(npu, g, self.sizes.output)?, [self.sizes.output])),
        };
        fused::all_wanted(wanted, one)
    }
}
