//! Lattice-free maximum mutual information (Povey et al. 2016).

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::{Tensor, TensorData};

use crate::cpu::mmi::{self as kernel, Batch};
use crate::fused::{self, Aside, Kernel, dense, elements, owned};
use crate::options::{DenGraph, LfMmiOptions, LfMmiScore, NumGraph};

/// What [`lf_mmi`] gives.
#[derive(Debug, Clone)]
pub struct LfMmiOutput {
    /// Loss of each utterance: `w·(ln P_den − ln P_num)` and the penalties, summed over its frames, `[B]`.
    pub loss: Tensor<1>,
    /// Posteriors of the outputs in the numerator, `[B, T, N]`, without gradient: targets of a cross-entropy branch.
    /// Zero beyond an utterance's frames.
    pub posteriors: Tensor<3>,
    /// Log-probabilities of each utterance.
    pub scores: Vec<LfMmiScore>,
}

/// Sequence-discriminative training without lattices: the logits `y` of an utterance are log-likelihoods of its frames, up to
/// a constant per frame, and
///
/// `F = ln Σ_{paths of the transcript} Π w·exp(y) − ln Σ_{all paths} Π w·exp(y)`.
///
/// `∂F/∂y(t, n) = γ_num(t, n) − γ_den(t, n)`, the difference of the posteriors of output `n` in frame `t`, by
/// forward–backward passes: single precision with a scale per frame and a leak for the denominator, double precision
/// without leak for the numerator. The leak makes the denominator a little larger than the sum over its paths.
///
/// An utterance that has too few frames for its transcript has loss 0 and no gradient. Frames at and beyond an utterance's
/// length have no influence and no gradient, whatever they hold, and the result for an utterance does not depend on the others.
/// `weights` multiply numerator and denominator of an utterance.
///
/// # Shapes
/// `logits [B, T, N]`
///
/// # Panics
/// Where there are not `B` lengths, numerators and weights, or a graph is not one of `N` outputs.
pub fn lf_mmi(
    logits: Tensor<3>,
    lengths: &[usize],
    denominator: &Arc<DenGraph>,
    numerators: &[Arc<NumGraph>],
    weights: &[f32],
    options: LfMmiOptions,
) -> LfMmiOutput {
    let [batch, frames, outputs] = logits.dims();
    assert!(
        lengths.len() == batch && numerators.len() == batch && weights.len() == batch,
        "lf_mmi: batch {batch}, {} lengths, {} numerators, {} weights",
        lengths.len(),
        numerators.len(),
        weights.len()
    );
    assert!(
        denominator.outputs == outputs && numerators.iter().all(|graph| graph.outputs == outputs),
        "lf_mmi: {outputs} outputs; the graphs have {} and {:?}",
        denominator.outputs,
        numerators.iter().map(|graph| graph.outputs).find(|&own| own != outputs)
    );
    let device = logits.device();
    let mmi = Mmi {
        lengths: lengths.iter().map(|&length| length.min(frames)).collect(),
        denominator: denominator.clone(),
        numerators: numerators.into(),
        weights: weights.into(),
        options,
        aside: Aside::default(),
    };
    let loss = if fused::applies(&logits) {
        fused::apply1(mmi.clone(), logits).reshape([batch])
    } else {
        surrogate(&mmi, logits)
    };
    let (posteriors, scores) = mmi.aside.take().unwrap_or_default();
    let posteriors = TensorData::new(posteriors, [batch, frames, outputs]);
    let posteriors = Tensor::from_data(posteriors, &device.without_autodiff());
    LfMmiOutput { loss, posteriors, scores }
}

/// On any device: the recursions run on the host, and a function that is linear in the logits, with their value and their
/// gradient, stands for the loss.
fn surrogate(mmi: &Mmi, logits: Tensor<3>) -> Tensor<1> {
    let shape = logits.dims();
    let plain = if logits.is_autodiff() { logits.clone().inner() } else { logits.clone() };
    let values = plain.into_data().convert::<f32>().try_to_vec::<f32>().unwrap_or_default();
    let (losses, gradient) = mmi.run(&values, shape);
    let device = logits.device();
    let gradient: Tensor<3> = Tensor::from_data(TensorData::new(gradient, shape), (&device, logits.dtype()));
    let losses: Tensor<1> = Tensor::from_data(TensorData::new(losses, [shape[0]]), (&device, logits.dtype()));
    // Padding may hold NaN, which no product with 0 removes.
    let kept = logits.mask_fill(gradient.clone().equal_elem(0.0), 0.0);
    let linear = (kept * gradient).sum_dim(2).sum_dim(1).reshape([shape[0]]);
    losses + linear.clone() - linear.detach()
}

/// Posteriors of the numerators and scores.
type Results = (Vec<f32>, Vec<LfMmiScore>);

#[derive(Debug, Clone)]
struct Mmi {
    lengths: Arc<[usize]>,
    denominator: Arc<DenGraph>,
    numerators: Arc<[Arc<NumGraph>]>,
    weights: Arc<[f32]>,
    options: LfMmiOptions,
    aside: Aside<Results>,
}

impl Mmi {
    /// Losses and the gradient of their sum; the rest is put aside.
    fn run(&self, logits: &[f32], [batch, frames, outputs]: [usize; 3]) -> (Vec<f32>, Vec<f32>) {
        let mut gradient = vec![0.0; batch * frames * outputs];
        let mut posteriors = vec![0.0; batch * frames * outputs];
        let (losses, scores) = kernel::loss(
            &Batch {
                logits,
                frames,
                lengths: &self.lengths,
                denominator: &self.denominator,
                numerators: &self.numerators,
                weights: &self.weights,
                options: self.options,
            },
            &mut gradient,
            &mut posteriors,
        );
        self.aside.put((posteriors, scores));
        (losses, gradient)
    }
}

impl Kernel<1> for Mmi {
    /// The gradient of the sum of the losses.
    type Saved = FlexTensor;

    fn forward(&self, [logits]: [FlexTensor; 1], tracked: bool) -> (FlexTensor, Option<FlexTensor>) {
        let logits = dense(logits);
        let shape: [usize; 3] = logits.layout().shape().dims();
        let (losses, gradient) = self.run(elements(&logits), shape);
        // An operation keeps the rank of its input.
        let losses = fused::tensor(losses, [shape[0], 1, 1]);
        (losses, tracked.then(|| fused::tensor(gradient, shape)))
    }

    fn backward(&self, saved: FlexTensor, grad: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let (mut saved, grad) = (owned(saved), dense(grad));
        crate::cpu::ctc::scale_rows(saved.storage_mut(), elements(&grad));
        [Some(saved)]
    }
}
