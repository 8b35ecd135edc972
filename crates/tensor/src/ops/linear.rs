//! Linear maps.

use burn::backend::flex::FlexTensor;
use burn::tensor::{Shape, Tensor};

use crate::cpu::gemm::{gemm, product};
use crate::cpu::reduce::{column_piece, column_sums};
use crate::cpu::view::{Threads, View, ViewMut};
use crate::cpu::{self, elementwise};
use crate::fused::{self, Kernel, dense, elements, owned, rows_of, sum_pieces};
use crate::npu::{self, session, session::Session};
use crate::ops::activation::gelu;
use crate::options::Products;
use crate::reference;

/// `x · weight + bias`.
///
/// # Shapes
/// `x [.., d_in]`, `weight [d_in, d_out]`, `bias [d_out]` → `[.., d_out]`
///
/// # Panics
/// Where the shapes disagree.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    if !applies(&x, &weight, bias.as_ref()) {
        return reference::linear(x, weight, bias);
    }
    let linear = Linear { products: Products::current(), gelu: false };
    match bias {
        Some(bias) => fused::apply3(linear, x, weight, bias),
        None => fused::apply2(linear, x, weight),
    }
}

/// `GELU(x · weight + bias)`, the first half of a feed-forward layer.
///
/// The product begins with the bias; without a backward pass GELU overwrites it. The backward pass goes through memory
/// once for the gradient before GELU and that of the bias.
///
/// # Shapes
/// As [`linear`].
///
/// # Panics
/// Where the shapes disagree.
pub fn linear_gelu<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<D> {
    if !applies(&x, &weight, Some(&bias)) {
        return reference::gelu(reference::linear(x, weight, Some(bias)));
    }
    if session::current().is_some() {
        // The NPU has bodies for the parts.
        return gelu(linear(x, weight, Some(bias)));
    }
    fused::apply3(Linear { products: Products::current(), gelu: true }, x, weight, bias)
}

/// Whether the kernel is for such tensors, whose shapes then must fit.
fn applies<const D: usize>(x: &Tensor<D>, weight: &Tensor<2>, bias: Option<&Tensor<1>>) -> bool {
    if !fused::applies(x) || !fused::applies(weight) || bias.is_some_and(|bias| !fused::applies(bias)) {
        return false;
    }
    let [inputs, outputs] = weight.dims();
    assert!(
        x.dims().last() == Some(&inputs) && bias.is_none_or(|bias| bias.dims() == [outputs]),
        "linear: x {:?}, weight {:?}, bias {:?}",
        x.dims(),
        weight.dims(),
        bias.map(Tensor::dims)
    );
    true
}

/// The inputs are `x`, `weight` and, of three, `bias`.
#[derive(Debug, Clone)]
struct Linear {
    products: Products,
    /// Whether GELU follows.
    gelu: bool,
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
    /// `x`, `weight` and, where GELU follows, what goes into it.
    type Saved = (FlexTensor, FlexTensor, Option<FlexTensor>);

    fn forward(&self, inputs: [FlexTensor; N], tracked: bool) -> (FlexTensor, Option<Self::Saved>) {
        let inputs = inputs.map(dense);
        let (x, weight) = (&inputs[0], &inputs[1]);
        let [rows, width, outputs] = sizes(x, weight);
        let view = View::new(elements(x), rows, width, width);
        let matrix = View::new(elements(weight), width, outputs, outputs);
        let mut y = match inputs.get(2).map(elements) {
            Some(bias) => {
                let mut y = cpu::bias_rows(rows, outputs, Some(bias));
                let out = ViewMut::new(&mut y, rows, outputs, outputs);
                gemm(out, true, 1.0, view, matrix, self.products, Threads::All);
                y
            }
            None => product(view, matrix, self.products, Threads::All),
        };
        let mut before = None;
        if self.gelu && tracked {
            let active = cpu::map(&y, cpu::PIECE, elementwise::gelu);
            before = Some(output(std::mem::replace(&mut y, active), x, outputs));
        } else if self.gelu {
            cpu::for_pieces(&mut y, cpu::PIECE, |_, y| elementwise::gelu_in_place(y));
        }
        (output(y, x, outputs), tracked.then(|| (x.clone(), weight.clone(), before)))
    }

    fn backward(
        &self,
        (x, weight, before): Self::Saved,
        grad: FlexTensor,
        wanted: [bool; N],
    ) -> [Option<FlexTensor>; N] {
        let [rows, width, outputs] = sizes(&x, &weight);
        let mut sums = None;
        let grad = match &before {
            Some(before) => {
                let mut grad = owned(grad);
                let [sum] =
                    sum_pieces(&mut grad, before, [outputs, column_piece(outputs)], |_, g, h, [sum]| {
                        elementwise::gelu_backward(g, h);
                        g.chunks_exact(outputs).for_each(|row| elementwise::add(sum, row));
                    });
                sums = Some(sum);
                grad
            }
            None => dense(grad),
        };
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
            _ => sums.clone().unwrap_or_else(|| {
                let mut db = fused::zeros([outputs]);
                column_sums(elements(&grad), outputs, db.storage_mut());
                db
            }),
        };
        std::array::from_fn(|i| wanted[i].then(|| one(i)))
    }

    fn npu_forward(&self, npu: &Session, inputs: &[FlexTensor; N]) -> Option<(FlexTensor, Self::Saved)> {
        // Chosen between `linear_gelu` and here.
        if self.gelu {
            return None;
        }
        let inputs = inputs.each_ref().map(|input| dense(input.clone()));
        let (x, weight) = (&inputs[0], &inputs[1]);
        let sizes = sizes(x, weight);
        let bias = inputs.get(2).map(elements);
        let y = npu::ops::linear(npu, elements(x), elements(weight), bias, sizes)?;
        Some((output(y, x, sizes[2]), (x.clone(), weight.clone(), None)))
    }

    fn npu_backward(
        &self,
        npu: &Session,
        (x, weight, before): &Self::Saved,
        grad: &FlexTensor,
        wanted: [bool; N],
    ) -> Option<[Option<FlexTensor>; N]> {
        let grad = dense(grad.clone());
        let sizes = sizes(x, weight);
        // With GELU it began on the CPU.
        if sizes.contains(&0) || before.is_some() {
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
