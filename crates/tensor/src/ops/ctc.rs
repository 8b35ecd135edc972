//! Connectionist temporal classification (Graves et al. 2006).

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::cpu::ctc::{self as kernel, Utterance};
use crate::fused::{self, Kernel, dense, elements, owned};
use crate::npu::{self, session::Session};
use crate::reference;

/// `−ln p(target | logits)` of each utterance, with the log-softmax inside.
///
/// An utterance whose target cannot be emitted in its frames (`U + repeats > input_len`) has loss 0
/// and no gradient. An empty target is emitted by blanks only; without frames its loss is 0.
/// Frames at and beyond an utterance's length have no influence and no gradient, whatever they hold.
///
/// # Shapes
/// `logits [B, T', V]` → `[B]`
///
/// # Panics
/// Where there are not `B` targets and lengths, `blank` is outside `0..V`, or a target holds `blank`
/// or a token outside `0..V`.
pub fn ctc_loss(logits: Tensor<3>, targets: &[Vec<u32>], input_lens: &[usize], blank: u32) -> Tensor<1> {
    let [batch, _, vocabulary] = logits.dims();
    assert!(
        targets.len() == batch && input_lens.len() == batch && (blank as usize) < vocabulary,
        "ctc_loss: batch {batch}, {} targets, {} lengths, blank {blank} of {vocabulary}",
        targets.len(),
        input_lens.len()
    );
    for (utterance, target) in targets.iter().enumerate() {
        if let Some(token) = target.iter().find(|&&t| t == blank || t as usize >= vocabulary) {
            panic!(
                "ctc_loss: target {utterance} holds token {token}; vocabulary {vocabulary}, blank {blank}"
            );
        }
    }
    if !fused::applies(&logits) {
        return reference::ctc_loss(logits, targets, input_lens, blank);
    }
    let kernel = Ctc { targets: targets.into(), input_lens: input_lens.into(), blank };
    // The kernel gives [B, 1, 1]: an operation keeps the rank of its input.
    fused::apply1(kernel, logits).reshape([batch])
}

#[derive(Debug, Clone)]
struct Ctc {
    targets: Arc<[Vec<u32>]>,
    input_lens: Arc<[usize]>,
    blank: u32,
}

impl Kernel<1> for Ctc {
    /// The gradient of the sum of the losses.
    type Saved = FlexTensor;

    fn forward(&self, [logits]: [FlexTensor; 1], tracked: bool) -> (FlexTensor, Option<FlexTensor>) {
        let logits = dense(logits);
        let [batch, frames, vocabulary]: [usize; 3] = logits.layout().shape().dims();
        let row = frames * vocabulary;
        let mut grad = tracked.then(|| fused::zeros([batch, frames, vocabulary]));
        let mut losses = fused::zeros([batch, 1, 1]);
        let run = |b: usize, grad: Option<&mut [f32]>| {
            let valid = self.input_lens[b].min(frames) * vocabulary;
            let logits = &elements(&logits)[b * row..][..valid];
            let utterance = Utterance { logits, vocabulary, target: &self.targets[b], blank: self.blank };
            kernel::loss(utterance, grad.map(|grad| &mut grad[..valid])).unwrap_or(0.0) as f32
        };
        let into = losses.storage_mut::<f32>().par_iter_mut().enumerate();
        match &mut grad {
            Some(grad) if row > 0 => {
                let grads = grad.storage_mut::<f32>().par_chunks_exact_mut(row);
                into.zip(grads).for_each(|((b, loss), grad)| *loss = run(b, Some(grad)));
            }
            _ => into.for_each(|(b, loss)| *loss = run(b, None)),
        }
        (losses, grad)
    }

    fn backward(&self, saved: FlexTensor, grad: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let (mut saved, grad) = (owned(saved), dense(grad));
        kernel::scale_rows(saved.storage_mut(), elements(&grad));
        [Some(saved)]
    }

    fn npu_forward(&self, npu: &Session, [logits]: &[FlexTensor; 1]) -> Option<(FlexTensor, FlexTensor)> {
        let logits = dense(logits.clone());
        let [batch, frames, vocabulary]: [usize; 3] = logits.layout().shape().dims();
        let [losses, grad] = npu::ops::ctc(
            npu,
            &npu::ops::CtcBatch {
                logits: elements(&logits),
                frames,
                vocabulary,
                targets: &self.targets,
                input_lens: &self.input_lens,
                blank: self.blank,
            },
        )?;
        Some((fused::tensor(losses, [batch, 1, 1]), fused::tensor(grad, [batch, frames, vocabulary])))
    }

    fn npu_backward(
        &self,
        npu: &Session,
        saved: &FlexTensor,
        grad: &FlexTensor,
        _: [bool; 1],
    ) -> Option<[Option<FlexTensor>; 1]> {
        let dx = npu::ops::scale_rows(npu, elements(saved), elements(&dense(grad.clone())))?;
        Some([Some(fused::tensor(dx, saved.layout().shape().clone()))])
    }
}
