//! LF-MMI: forward–backward passes through the denominator, many utterances at once, and through each numerator.

mod denominator;
mod numerator;

use std::sync::Arc;

use rayon::prelude::*;

use crate::options::{DenGraph, LfMmiOptions, LfMmiScore, NumGraph};
use denominator::LANES;

/// Logits beyond ± this are clamped.
pub const RANGE: f32 = 30.0;

/// A batch; numbers of states and outputs have been checked.
pub struct Batch<'a> {
    /// `[B, T, N]`
    pub logits: &'a [f32],
    /// T
    pub frames: usize,
    /// Valid frames of each utterance, at most T.
    pub lengths: &'a [usize],
    /// The denominator.
    pub denominator: &'a DenGraph,
    /// The numerator of each utterance.
    pub numerators: &'a [Arc<NumGraph>],
    /// Factor of each utterance.
    pub weights: &'a [f32],
    /// Settings.
    pub options: LfMmiOptions,
}

/// The logits of one utterance.
#[derive(Clone, Copy)]
pub struct Utterance<'a> {
    /// Of its valid frames, `[T, N]`.
    pub logits: &'a [f32],
    /// Valid frames.
    pub frames: usize,
    /// N
    pub outputs: usize,
}

/// Loss of each utterance with the log-probabilities in it; the gradient of the sum of the losses goes to `gradient`, the
/// posteriors of the numerators to `posteriors`, both `[B, T, N]` and zero before.
pub fn loss(batch: &Batch<'_>, gradient: &mut [f32], posteriors: &mut [f32]) -> (Vec<f32>, Vec<LfMmiScore>) {
    let outputs = batch.denominator.outputs();
    let row = batch.frames * outputs;
    let utterance = |b: usize| {
        let frames = batch.lengths[b];
        Utterance { logits: &batch.logits[b * row..][..frames * outputs], frames, outputs }
    };
    if row == 0 {
        let nothing = |graph: &Arc<NumGraph>| LfMmiScore {
            numerator: (graph.min_frames() == 0).then_some(0.0),
            denominator: 0.0,
        };
        return (vec![0.0; batch.lengths.len()], batch.numerators.iter().map(nothing).collect());
    }
    let denominators = |gradient: &mut [f32]| -> Vec<f64> {
        let groups = gradient.par_chunks_mut(LANES * row).enumerate();
        let groups = groups.map(|(group, gradient)| {
            let lanes: Vec<Utterance<'_>> =
                (group * LANES..batch.lengths.len().min((group + 1) * LANES)).map(utterance).collect();
            let rows: Vec<&mut [f32]> = gradient.chunks_mut(row).collect();
            denominator::forward_backward(batch.denominator, &lanes, batch.options.leak as f32, rows)
        });
        groups.collect::<Vec<_>>().concat()
    };
    let numerators = |posteriors: &mut [f32]| -> Vec<Option<f64>> {
        let rows = posteriors.par_chunks_mut(row).zip(batch.numerators).enumerate();
        rows.map(|(b, (posteriors, graph))| numerator::forward_backward(graph, utterance(b), posteriors))
            .collect()
    };
    let (denominators, numerators) = rayon::join(|| denominators(gradient), || numerators(posteriors));
    let rows = gradient.par_chunks_mut(row).zip(posteriors.par_chunks(row)).enumerate();
    let losses = rows
        .map(|(b, (gradient, posteriors))| {
            let Some(numerator) = numerators[b] else {
                gradient.fill(0.0);
                return 0.0;
            };
            let objective = numerator - denominators[b];
            combine(batch, b, utterance(b), gradient, posteriors) - f64::from(batch.weights[b]) * objective
        })
        .map(|loss| loss as f32)
        .collect();
    let scores = numerators.into_iter().zip(denominators);
    (losses, scores.map(|(numerator, denominator)| LfMmiScore { numerator, denominator }).collect())
}

/// Turns the posteriors of the denominator into the gradient; gives the penalties.
fn combine(
    batch: &Batch<'_>,
    b: usize,
    utterance: Utterance<'_>,
    gradient: &mut [f32],
    posteriors: &[f32],
) -> f64 {
    let LfMmiOptions { out_of_range, square, .. } = batch.options;
    let weight = batch.weights[b];
    let mut penalty = 0.0;
    for ((g, &numerator), &y) in gradient.iter_mut().zip(posteriors).zip(utterance.logits) {
        *g = weight * (*g - numerator) + 2.0 * square as f32 * y;
        penalty += square * f64::from(y) * f64::from(y);
        let beyond = y.abs() - RANGE;
        if beyond > 0.0 {
            // What the clamp hides may lead back, never further out.
            if *g * y < 0.0 {
                *g = 0.0;
            }
            *g += 2.0 * out_of_range as f32 * beyond * y.signum();
            penalty += out_of_range * f64::from(beyond) * f64::from(beyond);
        }
    }
    penalty
}
