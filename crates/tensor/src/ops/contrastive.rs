//! The contrastive loss of SPIRAL (arXiv 2201.10207).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::cpu::contrastive::{self as kernel, Position, Targets};
use crate::cpu::elementwise;
use crate::fused::{self, Kernel, dense, elements, owned};
use crate::npu::{self, session::Session};
use crate::reference::{self, ContrastiveOutput};

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
pub fn contrastive_loss(
    pred: Tensor<2>,
    target: Tensor<2>,
    negatives: &[u32],
    temperature: f64,
) -> ContrastiveOutput {
    let [positions, _] = pred.dims();
    assert!(
        pred.dims() == target.dims()
            && (negatives.is_empty() || positions > 0 && negatives.len().is_multiple_of(positions)),
        "contrastive_loss: pred {:?}, target {:?}, {} negatives",
        pred.dims(),
        target.dims(),
        negatives.len()
    );
    if let Some(index) = negatives.iter().find(|&&index| index as usize >= positions) {
        panic!("contrastive_loss: negative {index} of {positions} positions");
    }
    let target = target.inner();
    let is_fused = positions > 0 && fused::applies(&pred) && fused::applies(&target);
    match target.clone().try_into_primitive::<Flex>() {
        Ok(target) if is_fused => {
            let correct = Arc::new(AtomicUsize::new(0));
            let kernel = Contrastive {
                target: dense(target),
                negatives: negatives.into(),
                temperature: temperature as f32,
                correct: correct.clone(),
            };
            // The kernel gives [1, 1]: an operation keeps the rank of its input.
            let loss = fused::apply1(kernel, pred).reshape([1]);
            ContrastiveOutput { loss, accuracy: correct.load(Ordering::Relaxed) as f64 / positions as f64 }
        }
        _ => reference::contrastive_loss(pred, target, negatives, temperature),
    }
}

#[derive(Debug, Clone)]
struct Contrastive {
    target: FlexTensor,
    negatives: Arc<[u32]>,
    temperature: f32,
    /// Receives the number of correct positions.
    correct: Arc<AtomicUsize>,
}

/// Positions of one task.
const POSITIONS: usize = 16;

impl Kernel<1> for Contrastive {
    /// The gradient of the loss.
    type Saved = FlexTensor;

    fn forward(&self, [pred]: [FlexTensor; 1], tracked: bool) -> (FlexTensor, Option<FlexTensor>) {
        let pred = dense(pred);
        let [positions, width]: [usize; 2] = pred.layout().shape().dims();
        let (rows, count) = (elements(&self.target), self.negatives.len() / positions);
        let norms: Vec<f32> = (0..positions).map(|i| kernel::norm(&rows[i * width..][..width])).collect();
        let targets = Targets { rows, norms: &norms, width };
        let mut grad = tracked.then(|| fused::zeros([positions, width]));
        let one = |scores: &mut Vec<f32>, i: usize, grad: Option<&mut [f32]>| {
            let pred = &elements(&pred)[i * width..][..width];
            let negatives = &self.negatives[i * count..][..count];
            kernel::position(pred, targets, i, negatives, self.temperature, scores, grad)
        };
        let indices = (0..positions).into_par_iter().with_min_len(POSITIONS);
        let results: Vec<Position> = match &mut grad {
            Some(grad) if width > 0 => {
                let grads = grad.storage_mut::<f32>().par_chunks_exact_mut(width);
                indices
                    .zip(grads)
                    .map_init(Vec::new, |scores, (i, grad)| one(scores, i, Some(grad)))
                    .collect()
            }
            _ => indices.map_init(Vec::new, |scores, i| one(scores, i, None)).collect(),
        };
        let share = 1.0 / positions as f64;
        if let Some(grad) = &mut grad {
            elementwise::scale(grad.storage_mut(), share as f32);
        }
        self.correct.store(results.iter().filter(|position| position.is_correct).count(), Ordering::Relaxed);
        let mut loss = fused::zeros([1, 1]);
        loss.storage_mut::<f32>()
            .fill((results.iter().map(|position| position.loss).sum::<f64>() * share) as f32);
        (loss, grad)
    }

    fn backward(&self, saved: FlexTensor, grad: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let (mut saved, grad) = (owned(saved), dense(grad));
        elements(&grad).iter().for_each(|&grad| elementwise::scale(saved.storage_mut(), grad));
        [Some(saved)]
    }

    fn npu_forward(&self, npu: &Session, [pred]: &[FlexTensor; 1]) -> Option<(FlexTensor, FlexTensor)> {
        let pred = dense(pred.clone());
        let sizes: [usize; 2] = pred.layout().shape().dims();
        let target = elements(&self.target);
        let result =
            npu::ops::contrastive(npu, elements(&pred), target, sizes, &self.negatives, self.temperature)?;
        self.correct.store(result.correct, Ordering::Relaxed);
        Some((fused::tensor(vec![result.loss], [1, 1]), fused::tensor(result.grad, sizes)))
    }

    fn npu_backward(
        &self,
        npu: &Session,
        saved: &FlexTensor,
        grad: &FlexTensor,
        _: [bool; 1],
    ) -> Option<[Option<FlexTensor>; 1]> {
        let [positions, width]: [usize; 2] = saved.layout().shape().dims();
        let scales = elements(&dense(grad.clone())).repeat(positions);
        let dx = npu::ops::scale_rows(npu, elements(saved), &scales)?;
        Some([Some(fused::tensor(dx, [positions, width]))])
    }
}
