//! Dropout whose mask is a pure function of a seed, see [`Dropout`].

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use crate::cpu::{self, elementwise};
use crate::fused::{self, Kernel, dense, elements, owned};
use crate::npu::{self, session::Session};
use crate::options::dropout::{BLOCK, Dropout, block_key};
use crate::reference;

/// Inverted dropout: zero with probability `p`, the rest scaled by `1/(1−p)`.
///
/// Element `i` (in row-major order) is element `i mod 4096` of block `⌊i/4096⌋` of [`Dropout::keeps`].
pub fn dropout<const D: usize>(x: Tensor<D>, p: f64, seed: u64) -> Tensor<D> {
    let mask = Dropout { p, seed };
    if !fused::applies(&x) {
        return reference::dropout(x, mask);
    }
    fused::apply1(mask, x)
}

impl Kernel<1> for Dropout {
    type Saved = ();

    fn forward(&self, [x]: [FlexTensor; 1], _: bool) -> (FlexTensor, Option<()>) {
        (self.apply(x), Some(()))
    }

    fn backward(&self, (): (), grad: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(self.apply(grad))]
    }

    fn npu_forward(&self, npu: &Session, [x]: &[FlexTensor; 1]) -> Option<(FlexTensor, ())> {
        Some((self.apply_on(npu, x)?, ()))
    }

    fn npu_backward(
        &self,
        npu: &Session,
        _: &(),
        grad: &FlexTensor,
        _: [bool; 1],
    ) -> Option<[Option<FlexTensor>; 1]> {
        Some([Some(self.apply_on(npu, grad)?)])
    }
}

impl Dropout {
    fn apply(&self, x: FlexTensor) -> FlexTensor {
        let mut x = owned(x);
        cpu::for_pieces(x.storage_mut(), cpu::PIECE, |piece, x| self.apply_at(piece * cpu::PIECE, x));
        x
    }

    /// Drops what it drops of the elements from number `first` on.
    pub(super) fn apply_at(&self, first: usize, x: &mut [f32]) {
        let (threshold, scale) = (self.threshold(), self.scale() as f32);
        let mut at = first;
        let mut rest = x;
        while !rest.is_empty() {
            let lane = at % BLOCK;
            let here;
            (here, rest) = rest.split_at_mut((BLOCK - lane).min(rest.len()));
            let key = block_key(self.seed, (at / BLOCK) as u64);
            at += here.len();
            elementwise::dropout(here, key, lane as u32, threshold, scale);
        }
    }

    fn apply_on(&self, npu: &Session, x: &FlexTensor) -> Option<FlexTensor> {
        let x = dense(x.clone());
        let y = npu::ops::dropout(npu, elements(&x), *self)?;
        Some(fused::tensor(y, x.layout().shape().clone()))
    }
}
