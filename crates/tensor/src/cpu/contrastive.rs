//! One position of the contrastive loss.

use super::elementwise::{add_scaled, scale};
use super::reduce::dot;
use super::softmax::softmax;

/// Norms below this count as this.
const SMALLEST_NORM: f32 = 1e-8;

/// The norm that vectors are divided by.
pub fn norm(x: &[f32]) -> f32 {
    dot(x, x).sqrt().max(SMALLEST_NORM)
}

/// All positions' targets.
#[derive(Debug, Clone, Copy)]
pub struct Targets<'a> {
    /// `[N, D]`.
    pub rows: &'a [f32],
    /// Their norms.
    pub norms: &'a [f32],
    /// `D`.
    pub width: usize,
}

impl<'a> Targets<'a> {
    fn row(&self, i: usize) -> &'a [f32] {
        &self.rows[i * self.width..][..self.width]
    }
}

/// What one position gives.
#[derive(Debug, Clone, Copy)]
pub struct Position {
    /// Cross-entropy in nats.
    pub loss: f64,
    /// Whether the positive scores highest, and not all scores are equal.
    pub is_correct: bool,
}

/// Scores position `index` with prediction `pred`; where `grad` is given, the gradient with respect to `pred` goes there.
///
/// `scores` is working memory.
pub fn position(
    pred: &[f32],
    targets: Targets<'_>,
    index: usize,
    negatives: &[u32],
    temperature: f32,
    scores: &mut Vec<f32>,
    grad: Option<&mut [f32]>,
) -> Position {
    let own = targets.row(index);
    let pred_norm = norm(pred);
    let score = |j: usize| dot(pred, targets.row(j)) / (pred_norm * targets.norms[j]) / temperature;
    let positive = score(index);
    scores.clear();
    scores.push(positive);
    scores.extend(negatives.iter().map(|&j| {
        let j = j as usize;
        if j == index || targets.row(j) == own { f32::NEG_INFINITY } else { score(j) }
    }));
    let is_correct = scores[1..].iter().all(|s| *s <= positive) && scores[1..].iter().any(|s| *s < positive);
    let loss = f64::from(softmax(scores)) - f64::from(positive);
    if let Some(grad) = grad {
        grad.fill(0.0);
        // With respect to the unit prediction.
        add_scaled(grad, (scores[0] - 1.0) / (temperature * targets.norms[index]), own);
        for (&weight, &j) in scores[1..].iter().zip(negatives).filter(|(weight, _)| **weight > 0.0) {
            add_scaled(grad, weight / (temperature * targets.norms[j as usize]), targets.row(j as usize));
        }
        scale(grad, 1.0 / pred_norm);
        if pred_norm > SMALLEST_NORM {
            // Only the part across the prediction changes its direction.
            let along = dot(grad, pred) / (pred_norm * pred_norm);
            add_scaled(grad, -along, pred);
        }
    }
    Position { loss, is_correct }
}
