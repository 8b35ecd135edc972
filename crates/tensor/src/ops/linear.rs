//! Linear maps.

use burn::backend::flex::FlexTensor;
use burn::tensor::{Shape, Tensor};

use crate::cpu;
use crate::cpu::gemm::{Threads, View, ViewMut, gemm, product};
use crate::cpu::reduce::column_sums;
use crate::fused::{self, Kernel, dense, elements, rows_of};
use crate::npu::{self, session::Session};
use crate::reference;

/// `x · weight + bias`.
///
/// # Shapes
/// `x [.., d_in]`, `weight [d_in, d_out]`, `bias [d_out]` → `[.., d_out]`
///
/// # Panics
/// Where the shapes disagree.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    if !fused::applies(&x)
        || !fused::applies(&weight)
        || bias.as_ref().is_some_and(|bias| !fused::applies(bias))
    {
        return reference::linear(x, weight, bias);
    }
    let [inputs, outputs] = weight.dims();
    assert!(
        x.dims().last() == Some(&inputs) && bias.as_ref().is_none_or(|bias| bias.dims() == [outputs]),
        "linear: x {:?}, weight {:?}, bias {:?}",
        x.dims(),
        weight.dims(),
        bias.as_ref().map(|bias| bias.dims())
    );
    match bias {
        Some(bias) => fused::apply3(Linear, x, weight, bias),
        None => fused::apply2(Linear, x, weight),
    }
}

#[derive(Debug, Clone)]
struct Linear;

impl Linear {
    fn map(
        x: FlexTensor,
        weight: FlexTensor,
        bias: Option<FlexTensor>,
    ) -> (FlexTensor, (FlexTensor, FlexTensor)) {
        let (x, weight) = (dense(x), dense(weight));
        let [inputs, outputs]: [usize; 2] = weight.layout().shape().dims();
        let rows = rows(&x, inputs);
        let mut shape: Vec<usize> = x.layout().shape().iter().copied().collect();
        if let Some(last) = shape.last_mut() {
            *last = outputs;
        }
        let bias = bias.map(dense);
        let view = View::new(elements(&x), rows, inputs, inputs);
        let matrix = View::new(elements(&weight), inputs, outputs, outputs);
        let y = match bias.as_ref().map(elements) {
            Some(bias) => {
                let mut y = cpu::bias_rows(rows, outputs, Some(bias));
                gemm(ViewMut::new(&mut y, rows, outputs, outputs), true, 1.0, view, matrix, Threads::All);
                y
            }
            None => product(view, matrix, Threads::All),
        };
        (fused::tensor(y, Shape::from(shape)), (x, weight))
    }

    fn gradients(
        (x, weight): (FlexTensor, FlexTensor),
        grad: FlexTensor,
        wanted: &[bool],
    ) -> [Option<FlexTensor>; 3] {
        let grad = dense(grad);
        let [inputs, outputs]: [usize; 2] = weight.layout().shape().dims();
        let rows = rows(&x, inputs);
        let g = View::new(elements(&grad), rows, outputs, outputs);
        let wants = |i: usize| wanted.get(i).is_some_and(|wanted| *wanted);
        let dx = wants(0).then(|| {
            let transposed = View::new(elements(&weight), inputs, outputs, outputs).t();
            fused::tensor(product(g, transposed, Threads::All), x.layout().shape().clone())
        });
        let dw = wants(1).then(|| {
            let transposed = View::new(elements(&x), rows, inputs, inputs).t();
            fused::tensor(product(transposed, g, Threads::All), [inputs, outputs])
        });
        let db = wants(2).then(|| {
            let mut db = fused::zeros([outputs]);
            column_sums(elements(&grad), outputs, db.storage_mut());
            db
        });
        [dx, dw, db]
    }
}

impl Linear {
    fn npu_map(
        npu: &Session,
        x: &FlexTensor,
        weight: &FlexTensor,
        bias: Option<&FlexTensor>,
    ) -> Option<(FlexTensor, (FlexTensor, FlexTensor))> {
        let (x, weight, bias) = (dense(x.clone()), dense(weight.clone()), bias.cloned().map(dense));
        let [inputs, outputs]: [usize; 2] = weight.layout().shape().dims();
        let sizes = [rows(&x, inputs), inputs, outputs];
        let y = npu::ops::linear(npu, elements(&x), elements(&weight), bias.as_ref().map(elements), sizes)?;
        let mut shape: Vec<usize> = x.layout().shape().iter().copied().collect();
        if let Some(last) = shape.last_mut() {
            *last = outputs;
        }
        Some((fused::tensor(y, Shape::from(shape)), (x, weight)))
    }

    fn npu_gradients(
        npu: &Session,
        (x, weight): &(FlexTensor, FlexTensor),
        grad: &FlexTensor,
        wanted: &[bool],
    ) -> Option<[Option<FlexTensor>; 3]> {
        let grad = dense(grad.clone());
        let [inputs, outputs]: [usize; 2] = weight.layout().shape().dims();
        let sizes = [rows(x, inputs), inputs, outputs];
        if sizes.contains(&0) {
            return None;
        }
        let wants = |i: usize| wanted.get(i).is_some_and(|wanted| *wanted);
        let (mut dx, mut dw, mut db) = (None, None, None);
        if wants(0) {
            let data = npu::ops::linear_input_gradient(npu, elements(&grad), elements(weight), sizes);
            dx = data.map(|dx| fused::tensor(dx, x.layout().shape().clone()));
        }
        if wants(1) {
            let data = npu::ops::linear_weight_gradient(npu, elements(x), elements(&grad), sizes);
            dw = data.map(|dw| fused::tensor(dw, [inputs, outputs]));
        }
        if wants(2) {
            let data = npu::ops::column_sums(npu, elements(&grad), outputs);
            db = data.map(|db| fused::tensor(db, [outputs]));
        }
        let all = [dx, dw, db];
        (0..3).all(|i| !wants(i) || all[i].is_some()).then_some(all)
    }
}

/// Rows of a matrix whose last dimension may be 0.
fn rows(x: &FlexTensor, inputs: usize) -> usize {
    if inputs > 0 { rows_of(x).0 } else { x.layout().shape().iter().rev().skip(1).product() }
}

impl Kernel<3> for Linear {
    type Saved = (FlexTensor, FlexTensor);

    fn forward(
        &self,
        [x, weight, bias]: [FlexTensor; 3],
        tracked: bool,
    ) -> (FlexTensor, Option<Self::Saved>) {
        let (y, saved) = Self::map(x, weight, Some(bias));
        (y, tracked.then_some(saved))
    }

    fn backward(&self, saved: Self::Saved, grad: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        Self::gradients(saved, grad, &wanted)
    }

    fn npu_forward(
        &self,
        npu: &Session,
        [x, weight, bias]: &[FlexTensor; 3],
    ) -> Option<(FlexTensor, Self::Saved)> {
        Self::npu_map(npu, x, weight, Some(bias))
    }

    fn npu_backward(
        &self,
        npu: &Session,
        saved: &Self::Saved,
        grad: &FlexTensor,
        wanted: [bool; 3],
    ) -> Option<[Option<FlexTensor>; 3]> {
        Self::npu_gradients(npu, saved, grad, &wanted)
    }
}

impl Kernel<2> for Linear {
    type Saved = (FlexTensor, FlexTensor);

    fn forward(&self, [x, weight]: [FlexTensor; 2], tracked: bool) -> (FlexTensor, Option<Self::Saved>) {
        let (y, saved) = Self::map(x, weight, None);
        (y, tracked.then_some(saved))
    }

    fn backward(&self, saved: Self::Saved, grad: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let [dx, dw, _] = Self::gradients(saved, grad, &wanted);
        [dx, dw]
    }

    fn npu_forward(&self, npu: &Session, [x, weight]: &[FlexTensor; 2]) -> Option<(FlexTensor, Self::Saved)> {
        Self::npu_map(npu, x, weight, None)
    }

    fn npu_backward(
        &self,
        npu: &Session,
        saved: &Self::Saved,
        grad: &FlexTensor,
        wanted: [bool; 2],
    ) -> Option<[Option<FlexTensor>; 2]> {
        let [dx, dw, _] = Self::npu_gradients(npu, saved, grad, &wanted)?;
        Some([dx, dw])
    }
}
