//! Linear maps.

use burn::backend::flex::FlexTensor;
use burn::tensor::{Shape, Tensor};

use crate::cpu;
use crate::cpu::gemm::{Threads, View, ViewMut, gemm, product};
use crate::cpu::reduce::column_sums;
use crate::fused::{self, Kernel, dense, elements, rows_of};
use crate::npu::{self, session::Session};
use crate::ops::Products;
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
    let linear = Linear { products: Products::current() };
    match bias {
        Some(bias) => fused::apply3(linear, x, weight, bias),
        None => fused::apply2(linear, x, weight),
    }
}

/// The inputs are `x`, `weight` and, of three, `bias`.
#[derive(Debug, Clone)]
struct Linear {
    products: Products,
}

/// Rows of `x`, inputs and outputs of the map.
fn sizes(x: &FlexTensor, weight: &FlexTensor) -> [usize; 3] {
    let [inputs, outputs]: [usize; 2] = weight.layout().shape().dims();
    // The last dimension may be 0.
    let rows = if inputs > 0 { rows_of(x).0 } else { x.layout().shape().iter().rev().skip(1).product() };
    [rows, inputs, outputs]
}

/// The result's rows in the shape of `x`.
fn output(y: Vec<f32>, x: &FlexTensor, outputs: usize) -> FlexTensor {
    let mut shape: Vec<usize> = x.layout().shape().iter().copied().collect();
    if let Some(last) = shape.last_mut() {
        *last = outputs;
    }
    fused::tensor(y, Shape::from(shape))
}

impl<const N: usize> Kernel<N> for Linear {
    type Saved = (FlexTensor, FlexTensor);

    fn forward(&self, inputs: [FlexTensor; N], tracked: bool) -> (FlexTensor, Option<Self::Saved>) {
        let inputs = inputs.map(dense);
        let (x, weight) = (&inputs[0], &inputs[1]);
        let [rows, width, outputs] = sizes(x, weight);
        let view = View::new(elements(x), rows, width, width);
        let matrix = View::new(elements(weight), width, outputs, outputs);
        let y = match inputs.get(2).map(elements) {
            Some(bias) => {
                let mut y = cpu::bias_rows(rows, outputs, Some(bias));
                let out = ViewMut::new(&mut y, rows, outputs, outputs);
                gemm(out, true, 1.0, view, matrix, self.products, Threads::All);
                y
            }
            None => product(view, matrix, self.products, Threads::All),
        };
        (output(y, x, outputs), tracked.then(|| (x.clone(), weight.clone())))
    }

    fn backward(
        &self,
        (x, weight): Self::Saved,
        grad: FlexTensor,
        wanted: [bool; N],
    ) -> [Option<FlexTensor>; N] {
        let grad = dense(grad);
        let [rows, width, outputs] = sizes(&x, &weight);
        let g = View::new(elements(&grad), rows, outputs, outputs);
        let one = |i: usize| match i {
            0 => {
                let transposed = View::new(elements(&weight), width, outputs, outputs).t();
                let dx = product(g, transposed, self.products, Threads::All);
                fused::tensor(dx, x.layout().shape().clone())
            }
            1 => {
                let transposed = View::new(elements(&x), rows, width, width).t();
                fused::tensor(product(transposed, g, self.products, Threads::All), [width, outputs])
            }
            _ => {
                let mut db = fused::zeros([outputs]);
                column_sums(elements(&grad), outputs, db.storage_mut());
                db
            }
        };
        std::array::from_fn(|i| wanted[i].then(|| one(i)))
    }

    fn npu_forward(&self, npu: &Session, inputs: &[FlexTensor; N]) -> Option<(FlexTensor, Self::Saved)> {
        let inputs = inputs.each_ref().map(|input| dense(input.clone()));
        let (x, weight) = (&inputs[0], &inputs[1]);
        let sizes = sizes(x, weight);
        let bias = inputs.get(2).map(elements);
        let y = npu::ops::linear(npu, elements(x), elements(weight), bias, sizes)?;
        Some((output(y, x, sizes[2]), (x.clone(), weight.clone())))
    }

    fn npu_backward(
        &self,
        npu: &Session,
        (x, weight): &Self::Saved,
        grad: &FlexTensor,
        wanted: [bool; N],
    ) -> Option<[Option<FlexTensor>; N]> {
        let grad = dense(grad.clone());
        let sizes = sizes(x, weight);
        if sizes.contains(&0) {
            return None;
        }
        let (g, [_, width, outputs]) = (elements(&grad), sizes);
        let one = |i: usize| match i {
            0 => {
                let dx = npu::ops::linear_input_gradient(npu, g, elements(weight), sizes)?;
                Some(fused::tensor(dx, x.layout().shape().clone()))
            }
            1 => {
                let dw = npu::ops::linear_weight_gradient(npu, elements(x), g, sizes)?;
                Some(fused::tensor(dw, [width, outputs]))
            }
            _ => Some(fused::tensor(npu::ops::column_sums(npu, g, outputs)?, [outputs])),
        };
        fused::all_wanted(wanted, one)
    }
}
