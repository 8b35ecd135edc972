//! Activations.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use crate::cpu::{self, elementwise};
use crate::fused::{self, Kernel, dense, elements, owned};
use crate::npu::{self, session::Session};
use crate::reference;

/// Exact GELU, `x/2 · (1 + erf(x/√2))` (not the tanh approximation).
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if !fused::applies(&x) {
        return reference::gelu(x);
    }
    fused::apply1(Gelu, x)
}

#[derive(Debug, Clone)]
struct Gelu;

impl Kernel<1> for Gelu {
    type Saved = FlexTensor;

    fn forward(&self, [x]: [FlexTensor; 1], tracked: bool) -> (FlexTensor, Option<FlexTensor>) {
        let mut x = dense(x);
        // In inference the input is needed no more; one array less goes through memory.
        if !tracked && x.is_unique() {
            cpu::for_pieces(x.storage_mut(), cpu::PIECE, |_, x| elementwise::gelu_in_place(x));
            return (x, None);
        }
        let y = cpu::map(elements(&x), cpu::PIECE, elementwise::gelu);
        (fused::tensor(y, x.layout().shape().clone()), tracked.then_some(x))
    }

    fn backward(&self, x: FlexTensor, grad: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let mut grad = owned(grad);
        cpu::map_pieces(grad.storage_mut(), elements(&x), cpu::PIECE, |_, g, x| {
            elementwise::gelu_backward(g, x)
        });
        [Some(grad)]
    }

    fn npu_forward(&self, npu: &Session, [x]: &[FlexTensor; 1]) -> Option<(FlexTensor, FlexTensor)> {
        let x = dense(x.clone());
        let y = npu::ops::gelu(npu, elements(&x))?;
        Some((fused::tensor(y, x.layout().shape().clone()), x))
    }

    fn npu_backward(
        &self,
        npu: &Session,
        x: &FlexTensor,
        grad: &FlexTensor,
        _: [bool; 1],
    ) -> Option<[Option<FlexTensor>; 1]> {
        let dx = npu::ops::gelu_backward(npu, elements(&dense(grad.clone())), elements(x))?;
        Some([Some(fused::tensor(dx, x.layout().shape().clone()))])
    }
}
