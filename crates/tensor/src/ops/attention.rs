//! Scaled dot-product attention.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use crate::cpu::attention as kernel;
use crate::fused::{self, Kernel, dense, elements};
use crate::npu::{self, session::Session};
use crate::options::{AttentionOptions, AttentionSizes, Products};
use crate::reference;

/// `softmax(q·kᵀ / √Dh + bias) · v` per head. A query that may look at nothing gives zeros.
///
/// Heads lie side by side in the last dimension; nothing is transposed or copied.
///
/// # Shapes
/// `q [B, T_q, H·Dh]`, `k`, `v` `[B, T_k, H·Dh]` → `[B, T_q, H·Dh]`
///
/// # Panics
/// Where the shapes disagree, `heads` does not divide the width, `key_lengths` has not `B` entries or `query_limits` not `B·T_q`.
pub fn attention(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, options: AttentionOptions) -> Tensor<3> {
    let ([batch, queries, width], k_dims) = (q.dims(), k.dims());
    assert!(
        options.heads > 0
            && width.is_multiple_of(options.heads)
            && k_dims == v.dims()
            && k_dims[0] == batch
            && k_dims[2] == width
            && options.key_lengths.as_ref().is_none_or(|lengths| lengths.len() == batch)
            && options.query_limits.as_ref().is_none_or(|limits| limits.len() == batch * queries),
        "attention: q {:?}, k {k_dims:?}, v {:?}, {options:?}",
        q.dims(),
        v.dims()
    );
    let empty = [batch, queries, k_dims[1], width].contains(&0);
    if empty || ![&q, &k, &v].into_iter().all(fused::applies) {
        return reference::attention(q, k, v, &options);
    }
    let sizes = AttentionSizes { batch, queries, keys: k_dims[1], width, products: Products::current() };
    fused::apply3(Attention { sizes, options }, q, k, v)
}

#[derive(Debug, Clone)]
struct Attention {
    sizes: AttentionSizes,
    options: AttentionOptions,
}

impl Kernel<3> for Attention {
    /// The inputs, and the logarithmic sum of every query's exponentials.
    type Saved = ([FlexTensor; 3], FlexTensor);

    fn forward(&self, inputs: [FlexTensor; 3], tracked: bool) -> (FlexTensor, Option<Self::Saved>) {
        let inputs = inputs.map(dense);
        let AttentionSizes { batch, queries, width, .. } = self.sizes;
        let mut out = fused::zeros([batch, queries, width]);
        let mut sums = tracked.then(|| fused::zeros([batch, self.options.heads, queries]));
        let into = sums.as_mut().map(|sums| sums.storage_mut());
        kernel::forward(out.storage_mut(), into, inputs.each_ref().map(elements), self.sizes, &self.options);
        (out, sums.map(|sums| (inputs, sums)))
    }

    fn backward(
        &self,
        (inputs, sums): Self::Saved,
        grad: FlexTensor,
        _: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let grad = dense(grad);
        let mut grads = inputs.each_ref().map(|x| fused::zeros(x.layout().shape().clone()));
        let into = grads.each_mut().map(|grad| grad.storage_mut());
        let inputs = inputs.each_ref().map(elements);
        kernel::backward(into, elements(&grad), elements(&sums), inputs, self.sizes, &self.options);
        grads.map(Some)
    }

    fn npu_forward(&self, npu: &Session, inputs: &[FlexTensor; 3]) -> Option<(FlexTensor, Self::Saved)> {
        let inputs = inputs.clone().map(dense);
        let AttentionSizes { batch, queries, width, .. } = self.sizes;
        let parts = inputs.each_ref().map(elements);
        let [out, sums] = npu::ops::attention(npu, parts, &self.sizes, &self.options)?;
        let sums = fused::tensor(sums, [batch, self.options.heads, queries]);
        Some((fused::tensor(out, [batch, queries, width]), (inputs, sums)))
    }

    fn npu_backward(
        &self,
        npu: &Session,
        (inputs, sums): &Self::Saved,
        grad: &FlexTensor,
        _: [bool; 3],
    ) -> Option<[Option<FlexTensor>; 3]> {
        let grad = dense(grad.clone());
        let parts = inputs.each_ref().map(elements);
        let grads = npu::ops::attention_backward(
            npu,
            parts,
            elements(&grad),
            elements(sums),
            &self.sizes,
            &self.options,
        )?;
        let mut shapes = inputs.iter().map(|x| x.layout().shape().clone());
        Some(grads.map(|grad| shapes.next().map(|shape| fused::tensor(grad, shape))))
    }
}
