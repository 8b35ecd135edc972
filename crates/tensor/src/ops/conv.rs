//! One-dimensional convolution, channels last.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use crate::cpu;
use crate::cpu::conv::{self as kernel, Sizes};
use crate::cpu::reduce::column_sums;
use crate::fused::{self, Kernel, dense, elements};
use crate::npu::{self, session::Session};
use crate::reference;

/// How [`conv1d`] moves over its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv1dOptions {
    /// Frames between two outputs.
    pub stride: usize,
    /// Zero frames before the first.
    pub pad_left: usize,
    /// Zero frames after the last.
    pub pad_right: usize,
    /// Channel groups: output group `g` sees input group `g` only.
    pub groups: usize,
}

impl Default for Conv1dOptions {
    fn default() -> Self {
        Self { stride: 1, pad_left: 0, pad_right: 0, groups: 1 }
    }
}

impl Conv1dOptions {
    /// Output frames for `frames` input frames: `⌊(frames + pads − kernel)/stride⌋ + 1`, or 0 where the kernel does not fit.
    pub fn output_frames(&self, frames: usize, kernel: usize) -> usize {
        match (frames + self.pad_left + self.pad_right).checked_sub(kernel) {
            Some(room) => room / self.stride + 1,
            None => 0,
        }
    }
}

/// `y[b, t, o] = bias[o] + Σ_{k, c} x[b, t·stride + k − pad_left, c] · weight[k, c, o]`.
///
/// # Shapes
/// `x [B, T, C_in]`, `weight [K, C_in/groups, C_out]`, `bias [C_out]` → `[B, T', C_out]`
/// with `T'` = [`Conv1dOptions::output_frames`].
///
/// # Panics
/// Where a stride or group count is 0, the groups divide neither channel count, or shapes disagree.
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
    let sizes = Sizes {
        batch,
        frames,
        outputs: options.output_frames(frames, kernel),
        kernel,
        input: inputs,
        output: outputs,
        options,
    };
    let empty = batch * sizes.outputs * kernel * inputs * outputs == 0;
    if empty
        || !fused::applies(&x)
        || !fused::applies(&weight)
        || bias.as_ref().is_some_and(|b| !fused::applies(b))
    {
        return reference::conv1d(x, weight, bias, options);
    }
    match bias {
        Some(bias) => fused::apply3(Conv1d(sizes), x, weight, bias),
        None => fused::apply2(Conv1d(sizes), x, weight),
    }
}

#[derive(Debug, Clone)]
struct Conv1d(Sizes);

impl Conv1d {
    fn product(
        &self,
        x: FlexTensor,
        weight: FlexTensor,
        bias: Option<FlexTensor>,
    ) -> (FlexTensor, (FlexTensor, FlexTensor)) {
        let (x, weight, bias) = (dense(x), dense(weight), bias.map(dense));
        let rows = self.0.batch * self.0.outputs;
        let mut y = cpu::bias_rows(rows, self.0.output, bias.as_ref().map(elements));
        kernel::forward(&mut y, elements(&x), elements(&weight), self.0);
        (fused::tensor(y, [self.0.batch, self.0.outputs, self.0.output]), (x, weight))
    }

    fn gradients(
        &self,
        (x, weight): (FlexTensor, FlexTensor),
        grad: FlexTensor,
        wanted: &[bool],
    ) -> [Option<FlexTensor>; 3] {
        let grad = dense(grad);
        let wants = |i: usize| wanted.get(i).is_some_and(|wanted| *wanted);
        let dx = wants(0).then(|| {
            let mut dx = fused::zeros(x.layout().shape().clone());
            kernel::input_gradient(dx.storage_mut(), elements(&grad), elements(&weight), self.0);
            dx
        });
        let dw = wants(1).then(|| {
            let dw = kernel::weight_gradient(elements(&x), elements(&grad), self.0);
            fused::tensor(dw, weight.layout().shape().clone())
        });
        let db = wants(2).then(|| {
            let mut db = fused::zeros([self.0.output]);
            column_sums(elements(&grad), self.0.output, db.storage_mut());
            db
        });
        [dx, dw, db]
    }
}

impl Conv1d {
    fn npu_product(
        &self,
        npu: &Session,
        x: &FlexTensor,
        weight: &FlexTensor,
        bias: Option<&FlexTensor>,
    ) -> Option<(FlexTensor, (FlexTensor, FlexTensor))> {
        let (x, weight, bias) = (dense(x.clone()), dense(weight.clone()), bias.cloned().map(dense));
        let bias = bias.as_ref().map(elements);
        let y = npu::ops::conv1d(npu, elements(&x), elements(&weight), bias, &self.0)?;
        Some((fused::tensor(y, [self.0.batch, self.0.outputs, self.0.output]), (x, weight)))
    }

    fn npu_gradients(
        &self,
        npu: &Session,
        (x, weight): &(FlexTensor, FlexTensor),
        grad: &FlexTensor,
        wanted: &[bool],
    ) -> Option<[Option<FlexTensor>; 3]> {
        let grad = dense(grad.clone());
        let wants = |i: usize| wanted.get(i).is_some_and(|wanted| *wanted);
        let (mut dx, mut dw, mut db) = (None, None, None);
        if wants(0) {
            let data = npu::ops::conv1d_input_gradient(npu, elements(&grad), elements(weight), &self.0);
            dx = data.map(|dx| fused::tensor(dx, x.layout().shape().clone()));
        }
        if wants(1) {
            let data = npu::ops::conv1d_weight_gradient(npu, elements(x), elements(&grad), &self.0);
            dw = data.map(|dw| fused::tensor(dw, weight.layout().shape().clone()));
        }
        if wants(2) {
            let data = npu::ops::column_sums(npu, elements(&grad), self.0.output);
            db = data.map(|db| fused::tensor(db, [self.0.output]));
        }
        let all = [dx, dw, db];
        (0..3).all(|i| !wants(i) || all[i].is_some()).then_some(all)
    }
}

impl Kernel<3> for Conv1d {
    type Saved = (FlexTensor, FlexTensor);

    fn forward(
        &self,
        [x, weight, bias]: [FlexTensor; 3],
        tracked: bool,
    ) -> (FlexTensor, Option<Self::Saved>) {
        let (y, saved) = self.product(x, weight, Some(bias));
        (y, tracked.then_some(saved))
    }

    fn backward(&self, saved: Self::Saved, grad: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        self.gradients(saved, grad, &wanted)
    }

    fn npu_forward(
        &self,
        npu: &Session,
        [x, weight, bias]: &[FlexTensor; 3],
    ) -> Option<(FlexTensor, Self::Saved)> {
        self.npu_product(npu, x, weight, Some(bias))
    }

    fn npu_backward(
        &self,
        npu: &Session,
        saved: &Self::Saved,
        grad: &FlexTensor,
        wanted: [bool; 3],
    ) -> Option<[Option<FlexTensor>; 3]> {
        self.npu_gradients(npu, saved, grad, &wanted)
    }
}

impl Kernel<2> for Conv1d {
    type Saved = (FlexTensor, FlexTensor);

    fn forward(&self, [x, weight]: [FlexTensor; 2], tracked: bool) -> (FlexTensor, Option<Self::Saved>) {
        let (y, saved) = self.product(x, weight, None);
        (y, tracked.then_some(saved))
    }

    fn backward(&self, saved: Self::Saved, grad: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let [dx, dw, _] = self.gradients(saved, grad, &wanted);
        [dx, dw]
    }

    fn npu_forward(&self, npu: &Session, [x, weight]: &[FlexTensor; 2]) -> Option<(FlexTensor, Self::Saved)> {
        self.npu_product(npu, x, weight, None)
    }

    fn npu_backward(
        &self,
        npu: &Session,
        saved: &Self::Saved,
        grad: &FlexTensor,
        wanted: [bool; 2],
    ) -> Option<[Option<FlexTensor>; 2]> {
        let [dx, dw, _] = self.npu_gradients(npu, saved, grad, &wanted)?;
        Some([dx, dw])
    }
}
