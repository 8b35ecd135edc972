//! Connectionist temporal classification (Graves et al. 2006).

use burn::tensor::Tensor;

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
            panic!("ctc_loss: target {utterance} holds token {token}; vocabulary {vocabulary}, blank {blank}");
        }
    }
    reference::ctc_loss(logits, targets, input_lens, blank)
}
