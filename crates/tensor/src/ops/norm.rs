//! Normalisation over the last dimension.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use crate::cpu::{self, elementwise, norm as kernel};
use crate::fused::{self, Kernel, dense, elements, owned, sum_pieces};
use crate::npu::{self, session, session::Session};
use crate::ops::dropout::dropout;
use crate::options::Dropout;
use crate::reference;

/// Layer norm: `(x − mean) / √(var + epsilon) · gamma + beta`, with the biased variance.
///
/// # Shapes
/// `[.., C]` → `[.., C]`; `gamma`, `beta` `[C]`
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    if !fused::applies(&x) || !fused::applies(&gamma) || !fused::applies(&beta) || gamma.dims() == [0] {
        return reference::layer_norm(x, gamma, beta, epsilon);
    }
    assert_width(&x, &gamma);
    assert_width(&x, &beta);
    fused::apply3(LayerNorm { epsilon: epsilon as f32 }, x, gamma, beta)
}

/// The end of a sub-layer in a sandwich: `x + Drop(LN(branch))`, in one pass over memory.
///
/// The mask, where there is one, is that of [`dropout()`].
///
/// # Shapes
/// `x`, `branch` `[.., C]` → `[.., C]`; `gamma`, `beta` `[C]`
///
/// # Panics
/// Where the shapes disagree.
pub fn add_layer_norm<const D: usize>(
    x: Tensor<D>,
    branch: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    mask: Option<Dropout>,
) -> Tensor<D> {
    assert!(x.dims() == branch.dims(), "add_layer_norm: {:?} and {:?}", x.dims(), branch.dims());
    let applies = fused::applies(&x) && fused::applies(&branch);
    if !applies || !fused::applies(&gamma) || !fused::applies(&beta) || gamma.dims() == [0] {
        return reference::add_layer_norm(x, branch, gamma, beta, epsilon, mask);
    }
    assert_width(&x, &gamma);
    assert_width(&x, &beta);
    if session::current().is_some() {
        // The NPU has bodies for the parts.
        let branch = layer_norm(branch, gamma, beta, epsilon);
        return x + mask.map_or(branch.clone(), |mask| dropout(branch, mask.p, mask.seed));
    }
    fused::apply4(AddLayerNorm { epsilon: epsilon as f32, mask }, [x, branch], gamma, beta)
}

/// RMS norm: `x / √(mean(x²) + epsilon) · gamma`.
///
/// # Shapes
/// `[.., C]` → `[.., C]`; `gamma` `[C]`
pub fn rms_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, epsilon: f64) -> Tensor<D> {
    if !fused::applies(&x) || !fused::applies(&gamma) || gamma.dims() == [0] {
        return reference::rms_norm(x, gamma, epsilon);
    }
    assert_width(&x, &gamma);
    fused::apply2(RmsNorm { epsilon: epsilon as f32 }, x, gamma)
}

fn assert_width<const D: usize>(x: &Tensor<D>, scale: &Tensor<1>) {
    assert!(
        x.dims().last() == scale.dims().last(),
        "norm of {:?} with scales or shifts {:?}",
        x.dims(),
        scale.dims()
    );
}

/// Elements of the rows of `width` that one task normalises.
fn piece(width: usize) -> usize {
    width * (2 * cpu::PIECE / width).max(1)
}

#[derive(Debug, Clone)]
struct LayerNorm {
    epsilon: f32,
}

impl Kernel<3> for LayerNorm {
    /// Input and scale; where an NPU computed, also its means and inverse deviations of the rows.
    type Saved = (FlexTensor, FlexTensor, Option<Arc<[Vec<f32>; 2]>>);

    fn forward(&self, [x, gamma, beta]: [FlexTensor; 3], tracked: bool) -> (FlexTensor, Option<Self::Saved>) {
        let (x, gamma, beta) = (dense(x), dense(gamma), dense(beta));
        let (scale, shift) = (elements(&gamma), elements(&beta));
        let y = cpu::map(elements(&x), piece(scale.len()), |y, x| {
            kernel::layer_norm(y, x, scale, shift, self.epsilon)
        });
        (fused::tensor(y, x.layout().shape().clone()), tracked.then_some((x, gamma, None)))
    }

    fn backward(
        &self,
        (x, gamma, _): Self::Saved,
        grad: FlexTensor,
        _: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let mut grad = owned(grad);
        let scale = elements(&gamma);
        let width = scale.len();
        let [dg, db] = sum_pieces(&mut grad, &x, [width, piece(width)], |_, g, x, [dg, db]| {
            kernel::layer_norm_backward(g, x, scale, dg, db, self.epsilon);
        });
        [Some(grad), Some(dg), Some(db)]
    }

    fn npu_forward(
        &self,
        npu: &Session,
        [x, gamma, beta]: &[FlexTensor; 3],
    ) -> Option<(FlexTensor, Self::Saved)> {
        let (x, gamma, beta) = (dense(x.clone()), dense(gamma.clone()), dense(beta.clone()));
        let [y, means, rates] =
            npu::ops::layer_norm(npu, elements(&x), elements(&gamma), elements(&beta), self.epsilon)?;
        let y = fused::tensor(y, x.layout().shape().clone());
        Some((y, (x, gamma, Some(Arc::new([means, rates])))))
    }

    fn npu_backward(
        &self,
        npu: &Session,
        (x, gamma, moments): &Self::Saved,
        grad: &FlexTensor,
        _: [bool; 3],
    ) -> Option<[Option<FlexTensor>; 3]> {
        let (grad, scale) = (dense(grad.clone()), elements(gamma));
        let moments = moments.as_ref().map(|moments| moments.each_ref().map(Vec::as_slice));
        let [dx, dg, db] = npu::ops::layer_norm_backward(npu, elements(&grad), elements(x), moments, scale)?;
        let dx = fused::tensor(dx, x.layout().shape().clone());
        Some([Some(dx), Some(fused::tensor(dg, [scale.len()])), Some(fused::tensor(db, [scale.len()]))])
    }
}

#[derive(Debug, Clone)]
struct AddLayerNorm {
    epsilon: f32,
    mask: Option<Dropout>,
}

impl Kernel<4> for AddLayerNorm {
    type Saved = (FlexTensor, FlexTensor);

    fn forward(
        &self,
        [x, branch, gamma, beta]: [FlexTensor; 4],
        tracked: bool,
    ) -> (FlexTensor, Option<Self::Saved>) {
        let (x, branch, gamma, beta) = (dense(x), dense(branch), dense(gamma), dense(beta));
        let (scale, shift) = (elements(&gamma), elements(&beta));
        let (piece, input) = (piece(scale.len()), elements(&branch));
        // A piece stays in the cache from the norm to the sum.
        let y = cpu::create(input.len(), piece, |i, y| {
            let part = i * piece..i * piece + y.len();
            let y = kernel::layer_norm(y, &input[part.clone()], scale, shift, self.epsilon);
            if let Some(mask) = self.mask {
                mask.apply_at(part.start, y);
            }
            elementwise::add(y, &elements(&x)[part]);
            y
        });
        (fused::tensor(y, x.layout().shape().clone()), tracked.then_some((branch, gamma)))
    }

    fn backward(
        &self,
        (branch, gamma): Self::Saved,
        grad: FlexTensor,
        _: [bool; 4],
    ) -> [Option<FlexTensor>; 4] {
        let grad = dense(grad);
        let mut own = owned(grad.clone());
        let scale = elements(&gamma);
        let [dg, db] =
            sum_pieces(&mut own, &branch, [scale.len(), piece(scale.len())], |first, g, x, [dg, db]| {
                if let Some(mask) = self.mask {
                    mask.apply_at(first, g);
                }
                kernel::layer_norm_backward(g, x, scale, dg, db, self.epsilon);
            });
        [Some(grad), Some(own), Some(dg), Some(db)]
    }
}

#[derive(Debug, Clone)]
struct RmsNorm {
    epsilon: f32,
}

impl Kernel<2> for RmsNorm {
    type Saved = (FlexTensor, FlexTensor);

    fn forward(&self, [x, gamma]: [FlexTensor; 2], tracked: bool) -> (FlexTensor, Option<Self::Saved>) {
        let (x, gamma) = (dense(x), dense(gamma));
        let scale = elements(&gamma);
        let y =
            cpu::map(elements(&x), piece(scale.len()), |y, x| kernel::rms_norm(y, x, scale, self.epsilon));
        (fused::tensor(y, x.layout().shape().clone()), tracked.then_some((x, gamma)))
    }

    fn backward(&self, (x, gamma): Self::Saved, grad: FlexTensor, _: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let mut grad = owned(grad);
        let scale = elements(&gamma);
        let [dg] = sum_pieces(&mut grad, &x, [scale.len(), piece(scale.len())], |_, g, x, [dg]| {
            kernel::rms_norm_backward(g, x, scale, dg, self.epsilon);
        });
        [Some(grad), Some(dg)]
    }

    fn npu_forward(&self, npu: &Session, [x, gamma]: &[FlexTensor; 2]) -> Option<(FlexTensor, Self::Saved)> {
        let (x, gamma) = (dense(x.clone()), dense(gamma.clone()));
        let y = npu::ops::rms_norm(npu, elements(&x), elements(&gamma), self.epsilon)?;
        Some((fused::tensor(y, x.layout().shape().clone()), (x, gamma)))
    }

    fn npu_backward(
        &self,
        npu: &Session,
        (x, gamma): &Self::Saved,
        grad: &FlexTensor,
        _: [bool; 2],
    ) -> Option<[Option<FlexTensor>; 2]> {
        let (grad, scale) = (dense(grad.clone()), elements(gamma));
        let [dx, dg] = npu::ops::rms_norm_backward(npu, elements(&grad), elements(x), scale, self.epsilon)?;
        let dx = fused::tensor(dx, x.layout().shape().clone());
        Some([Some(dx), Some(fused::tensor(dg, [scale.len()]))])
    }
}
