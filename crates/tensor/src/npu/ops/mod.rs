//! What the operations of [`crate::ops`] do on an NPU, in terms of slices.
//!
//! Every function gives none where the CPU is to compute; shapes were checked by the caller.

mod conv;
mod losses;
mod updates;

use super::kernels::attention::Attention;
use super::kernels::matmul::Matmul;
use super::kernels::rows::Rows;
use super::runtime::OpDesc;
use super::session::Session;
use super::tile::Elem;
use crate::options::{AttentionOptions, AttentionSizes};

pub use conv::{conv1d, conv1d_input_gradient, conv1d_weight_gradient};
pub use losses::{Batch as CtcBatch, contrastive, ctc};
pub use updates::{adamw, dropout, dropout_mask, ema, scale_rows};

type Outputs = Option<Vec<Vec<f32>>>;

fn first(outputs: Outputs) -> Option<Vec<f32>> {
    outputs?.into_iter().next()
}

fn rows(rows: usize, cols: usize) -> Rows {
    Rows { rows, cols, elem: Elem::F32 }
}

/// `x·w + bias`, `[m, k]·[k, n]`
pub fn linear(
    s: &Session,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    [m, k, n]: [usize; 3],
) -> Option<Vec<f32>> {
    if m * k * n == 0 {
        return None;
    }
    let op = Matmul { bias: bias.is_some(), ..Matmul::new(m, k, n, s.elem()) };
    let inputs: Vec<&[f32]> = [Some(x), Some(w), bias].into_iter().flatten().collect();
    first(s.run(&OpDesc::Matmul(op), &inputs))
}

/// `dx = g·wᵀ`
pub fn linear_input_gradient(s: &Session, g: &[f32], w: &[f32], [m, k, n]: [usize; 3]) -> Option<Vec<f32>> {
    let op = Matmul { b_transposed: true, ..Matmul::new(m, n, k, s.elem()) };
    first(s.run(&OpDesc::Matmul(op), &[g, w]))
}

/// `dw = xᵀ·g`
pub fn linear_weight_gradient(s: &Session, x: &[f32], g: &[f32], [m, k, n]: [usize; 3]) -> Option<Vec<f32>> {
    let op = Matmul { a_transposed: true, ..Matmul::new(k, m, n, s.elem()) };
    first(s.run(&OpDesc::Matmul(op), &[x, g]))
}

/// Sums of the columns of `[m, n]`.
pub fn column_sums(s: &Session, g: &[f32], n: usize) -> Option<Vec<f32>> {
    if g.is_empty() {
        return None;
    }
    first(s.run(&OpDesc::ColumnSums(rows(g.len() / n, n)), &[g]))
}

/// Exact GELU.
pub fn gelu(s: &Session, x: &[f32]) -> Option<Vec<f32>> {
    updates::elementwise(s, OpDesc::Gelu, &[x])
}

/// Gradient of GELU.
pub fn gelu_backward(s: &Session, g: &[f32], x: &[f32]) -> Option<Vec<f32>> {
    updates::elementwise(s, OpDesc::GeluBackward, &[g, x])
}

/// Softmax of rows of `width`, or its logarithm.
pub fn softmax(s: &Session, x: &[f32], width: usize, logarithm: bool) -> Option<Vec<f32>> {
    if x.is_empty() {
        return None;
    }
    first(s.run(&OpDesc::Softmax { rows: rows(x.len() / width, width), logarithm }, &[x]))
}

/// Gradient of softmax with result `y`, or of its logarithm.
pub fn softmax_backward(
    s: &Session,
    g: &[f32],
    y: &[f32],
    width: usize,
    logarithm: bool,
) -> Option<Vec<f32>> {
    first(s.run(&OpDesc::SoftmaxBackward { rows: rows(y.len() / width, width), logarithm }, &[g, y]))
}

/// LayerNorm of rows as wide as `gamma`: results, means and inverse deviations.
pub fn layer_norm(
    s: &Session,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    epsilon: f32,
) -> Option<[Vec<f32>; 3]> {
    if x.is_empty() {
        return None;
    }
    let rows = rows(x.len() / gamma.len(), gamma.len());
    s.run(&OpDesc::LayerNorm { rows, epsilon }, &[x, gamma, beta])?.try_into().ok()
}

/// Gradients of LayerNorm, with what it gave as means and inverse deviations (the CPU gives none): of `x`, `gamma`, `beta`.
pub fn layer_norm_backward(
    s: &Session,
    g: &[f32],
    x: &[f32],
    moments: Option<[&[f32]; 2]>,
    gamma: &[f32],
) -> Option<[Vec<f32>; 3]> {
    let op = OpDesc::LayerNormBackward(rows(x.len() / gamma.len(), gamma.len()));
    let Some([means, rates]) = moments else {
        s.expect(&[op]);
        return None;
    };
    s.run(&op, &[g, x, means, rates, gamma])?.try_into().ok()
}

/// RMS norm of rows as wide as `gamma`.
pub fn rms_norm(s: &Session, x: &[f32], gamma: &[f32], epsilon: f32) -> Option<Vec<f32>> {
    if x.is_empty() {
        return None;
    }
    let rows = rows(x.len() / gamma.len(), gamma.len());
    first(s.run(&OpDesc::RmsNorm { rows, epsilon }, &[x, gamma]))
}

/// Gradients of RMS norm: of `x` and `gamma`.
pub fn rms_norm_backward(
    s: &Session,
    g: &[f32],
    x: &[f32],
    gamma: &[f32],
    epsilon: f32,
) -> Option<[Vec<f32>; 2]> {
    let rows = rows(x.len() / gamma.len(), gamma.len());
    s.run(&OpDesc::RmsNormBackward { rows, epsilon }, &[g, x, gamma])?.try_into().ok()
}

/// The operation and its masks, which the device takes from memory.
struct Masked {
    op: Attention,
    mask: Option<Vec<f32>>,
    drop: Option<Vec<f32>>,
}

impl Masked {
    fn new(s: &Session, sizes: &AttentionSizes, options: &AttentionOptions) -> Self {
        let AttentionSizes { batch, queries, keys, width, .. } = *sizes;
        let heads = options.heads;
        let hides = options.hides_by_query() || options.key_lengths.is_some();
        let mask = hides.then(|| {
            let mut mask = vec![0.0; batch * queries * keys];
            for (row, mask) in mask.chunks_exact_mut(keys).enumerate() {
                mask[options.visible(row / queries, row % queries, queries, keys)].fill(1.0);
            }
            mask
        });
        let drop = options.dropout.map(|dropout| {
            let count = batch * heads * queries;
            let kept = |i: usize| f32::from(u8::from(dropout.keeps((i / keys) as u64, (i % keys) as u32)));
            dropout_mask(s, dropout, [count, keys]).unwrap_or_else(|| (0..count * keys).map(kept).collect())
        });
        let op = Attention {
            batch,
            heads,
            queries,
            keys,
            dim: width / heads,
            masked: hides,
            alibi: options.alibi,
            dropout: options.dropout.map(|dropout| dropout.scale() as f32),
            elem: s.elem(),
        };
        Self { op, mask, drop }
    }

    fn append<'a>(&'a self, inputs: &mut Vec<&'a [f32]>) {
        inputs.extend(self.mask.as_deref());
        inputs.extend(self.drop.as_deref());
    }
}

/// Keys or values with zeros in frames that no query may see: weight 0 does not hide NaN.
fn hidden_zeroed(x: &[f32], sizes: &AttentionSizes, options: &AttentionOptions) -> Vec<f32> {
    let mut x = x.to_vec();
    for (row, x) in x.chunks_exact_mut(sizes.keys * sizes.width).enumerate() {
        let valid = options.valid_keys(row, sizes.keys);
        x[valid * sizes.width..].fill(0.0);
    }
    x
}

/// Attention: the result, and `ln Σ exp(score)` of every query.
pub fn attention(
    s: &Session,
    [q, k, v]: [&[f32]; 3],
    sizes: &AttentionSizes,
    options: &AttentionOptions,
) -> Option<[Vec<f32>; 2]> {
    let masked = Masked::new(s, sizes, options);
    let (k, v) = (hidden_zeroed(k, sizes, options), hidden_zeroed(v, sizes, options));
    // Where a window hides single keys, only the CPU keeps what is not finite out.
    if options.hides_by_query() && !v.iter().all(|x| x.is_finite()) {
        return None;
    }
    let mut inputs: Vec<&[f32]> = vec![q, &k, &v];
    masked.append(&mut inputs);
    s.run(&OpDesc::Attention(masked.op), &inputs)?.try_into().ok()
}

/// Gradients of attention's three operands.
pub fn attention_backward(
    s: &Session,
    [q, k, v]: [&[f32]; 3],
    grad: &[f32],
    sums: &[f32],
    sizes: &AttentionSizes,
    options: &AttentionOptions,
) -> Option<[Vec<f32>; 3]> {
    let masked = Masked::new(s, sizes, options);
    let (k, v) = (hidden_zeroed(k, sizes, options), hidden_zeroed(v, sizes, options));
    let mut inputs: Vec<&[f32]> = vec![q, &k, &v, grad, sums];
    masked.append(&mut inputs);
    s.run(&OpDesc::AttentionBackward(masked.op), &inputs)?.try_into().ok()
}
