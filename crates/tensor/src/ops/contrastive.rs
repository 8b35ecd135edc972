//! The contrastive loss of SPIRAL (arXiv 2201.10207).

use burn::tensor::Tensor;

use crate::reference;

/// What [`contrastive_loss`] gives.
#[derive(Debug, Clone)]
pub struct ContrastiveOutput {
    /// Mean cross-entropy in nats, `[1]`.
    pub loss: Tensor<1>,
    /// Share of positions whose positive scores highest. A position where all scores are equal is not correct.
    pub accuracy: f64,
}

/// Cross-entropy of picking a position's own target among its negatives by cosine similarity.
///
/// `score(i, j) = cos(pred_i, target_j) / temperature`, norms clamped at 1e-8; position `i` has the positive
/// `target_i` and `K` negatives `target_j`, `j` from `negatives[i·K .. (i+1)·K]`. A negative whose vector equals the
/// positive in all components scores −∞. The loss is the mean over the positions; the gradient reaches `pred` only.
/// Without positions, loss and accuracy are 0.
///
/// # Shapes
/// `pred`, `target` `[N, D]`; `negatives` `N·K` row indices → loss `[1]`
///
/// # Panics
/// Where the shapes differ, `negatives` is no multiple of `N`, or an index is not below `N`.
pub fn contrastive_loss(pred: Tensor<2>, target: Tensor<2>, negatives: &[u32], temperature: f64) -> ContrastiveOutput {
    let [positions, _] = pred.dims();
    assert!(
        pred.dims() == target.dims() && (negatives.is_empty() || positions > 0 && negatives.len().is_multiple_of(positions)),
        "contrastive_loss: pred {:?}, target {:?}, {} negatives",
        pred.dims(),
        target.dims(),
        negatives.len()
    );
    if let Some(index) = negatives.iter().find(|&&index| index as usize >= positions) {
        panic!("contrastive_loss: negative {index} of {positions} positions");
    }
    reference::contrastive_loss(pred, target, negatives, temperature)
}
