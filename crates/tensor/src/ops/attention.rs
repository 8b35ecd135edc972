//! Scaled dot-product attention.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::{Dropout, Products};
use crate::cpu::attention::{self as kernel, Sizes};
use crate::fused::{self, Kernel, dense, elements};
use crate::npu::{self, session::Session};
use crate::reference;

/// What a query may look at, and what is dropped.
///
/// Query `i` of `T_q` stands at key position `i + T_k − T_q`: with cached keys the queries are the newest frames.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AttentionOptions {
    /// Number of heads `H`.
    pub heads: usize,
    /// Valid keys of each row of the batch; keys beyond get no weight, whatever they hold.
    pub key_lengths: Option<Vec<usize>>,
    /// Hides keys after the query's own position.
    pub causal: bool,
    /// Hides keys more than this many positions before the query's own.
    pub left_context: Option<usize>,
    /// Keys that each query may look at, counted from the first, `[B·T_q]`: the others are hidden from it.
    pub query_limits: Option<Vec<usize>>,
    /// Linear position bias: `−2^(−8(h+1)/H)·|i − j|` on the scaled score of query position `i`, key `j` and head `h`
    /// ("ALiBi", arXiv 2108.12409).
    pub alibi: bool,
    /// Dropout of the attention probabilities; row `(b·H + h)·T_q + i` is the block, the key is the lane.
    pub dropout: Option<Dropout>,
}

impl AttentionOptions {
    /// Plain attention over all keys.
    pub fn new(heads: usize) -> Self {
        Self { heads, ..Self::default() }
    }

    /// How many of `keys` keys of row `b` are valid.
    pub(crate) fn valid_keys(&self, b: usize, keys: usize) -> usize {
        self.key_lengths.as_ref().map_or(keys, |lengths| lengths[b].min(keys))
    }

    /// The keys that query `i` of row `b` may look at.
    pub(crate) fn visible(&self, b: usize, i: usize, queries: usize, keys: usize) -> std::ops::Range<usize> {
        let valid = self.valid_keys(b, keys);
        // The query's own position plus one, shifted by `queries` to stay unsigned.
        let next = i + 1 + keys;
        let valid = self.query_limits.as_ref().map_or(valid, |limits| limits[b * queries + i].min(valid));
        let end = if self.causal { next.saturating_sub(queries).min(valid) } else { valid };
        let start = self.left_context.map_or(0, |left| next.saturating_sub(queries + 1 + left));
        start.min(end)..end
    }

    /// Whether queries of one row may look at different keys.
    pub(crate) fn hides_by_query(&self) -> bool {
        self.causal || self.left_context.is_some() || self.query_limits.is_some()
    }
}

/// The slope of the position bias of one of `heads` heads, `2^(−8(h+1)/H)`.
pub fn alibi_slope(head: usize, heads: usize) -> f32 {
    (-8.0 * (head + 1) as f32 / heads as f32).exp2()
}

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
    let empty = batch * queries * k_dims[1] * width == 0;
    if empty || ![&q, &k, &v].into_iter().all(fused::applies) {
        return reference::attention(q, k, v, &options);
    }
    let sizes = Sizes { batch, queries, keys: k_dims[1], width, products: Products::current() };
    fused::apply3(Attention { sizes, options }, q, k, v)
}

#[derive(Debug, Clone)]
struct Attention {
    sizes: Sizes,
    options: AttentionOptions,
}

impl Kernel<3> for Attention {
    /// The inputs, and the logarithmic sum of every query's exponentials.
    type Saved = ([FlexTensor; 3], FlexTensor);

    fn forward(&self, inputs: [FlexTensor; 3], tracked: bool) -> (FlexTensor, Option<Self::Saved>) {
        let inputs = inputs.map(dense);
        let Sizes { batch, queries, width, .. } = self.sizes;
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
        let Sizes { batch, queries, width, .. } = self.sizes;
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
