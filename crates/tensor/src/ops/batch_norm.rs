//! Normalisation of channels over the frames of a batch, with what stands around it in TDNN layers.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::cpu::batch_norm as kernel;
use crate::cpu::elementwise;
use crate::fused::{self, Aside, Kernel, dense, elements, owned};
use crate::options::{BatchMoments, BatchNormOptions};
use crate::reference;

/// `y = (relu(x) − mean)/√(var + ε) + s·residual`, with mean and variance of each channel over the valid frames of the batch;
/// frames beyond an utterance's length are 0.
///
/// There is no scale and no offset. The moments come beside the result, for running averages.
///
/// # Shapes
/// `x [B, T, C]`, `residual [B, T, C]` with its factor `s` → `[B, T, C]`
///
/// # Panics
/// Where shapes disagree or there are not `B` lengths.
pub fn batch_norm(
    x: Tensor<3>,
    residual: Option<(Tensor<3>, f64)>,
    lengths: &[usize],
    options: BatchNormOptions,
) -> (Tensor<3>, BatchMoments) {
    let [batch, frames, width] = x.dims();
    assert!(
        lengths.len() == batch && residual.as_ref().is_none_or(|(residual, _)| residual.dims() == x.dims()),
        "batch_norm: x {:?}, {} lengths, residual {:?}",
        x.dims(),
        lengths.len(),
        residual.as_ref().map(|(residual, _)| residual.dims())
    );
    let lengths: Vec<usize> = lengths.iter().map(|&length| length.min(frames)).collect();
    let empty = batch * frames * width == 0;
    if empty
        || !fused::applies(&x)
        || residual.as_ref().is_some_and(|(residual, _)| !fused::applies(residual))
    {
        return reference::batch_norm(x, residual, &lengths, options);
    }
    let scale = residual.as_ref().map_or(0.0, |(_, scale)| *scale as f32);
    let norm = BatchNorm { lengths: lengths.into(), options, scale, aside: Aside::default() };
    let y = match residual {
        Some((residual, _)) => fused::apply2(norm.clone(), x, residual),
        None => fused::apply1(norm.clone(), x),
    };
    (y, norm.aside.take().unwrap_or_default())
}

/// The inputs are `x` and, of two, the residual.
#[derive(Debug, Clone)]
struct BatchNorm {
    lengths: Arc<[usize]>,
    options: BatchNormOptions,
    scale: f32,
    aside: Aside<BatchMoments>,
}

impl BatchNorm {
    /// Two sums over the valid rows of each utterance, in the order of utterances.
    fn sums(
        &self,
        [frames, width]: [usize; 2],
        rows: impl Fn(std::ops::Range<usize>, &mut [f32], &mut [f32]) + Sync,
    ) -> [Vec<f64>; 2] {
        let partials: Vec<[Vec<f64>; 2]> = self
            .lengths
            .par_iter()
            .enumerate()
            .map(|(b, &length)| {
                let mut totals = [vec![0f64; width], vec![0f64; width]];
                for first in (0..length).step_by(kernel::ROWS) {
                    let last = length.min(first + kernel::ROWS);
                    let (mut one, mut other) = (vec![0f32; width], vec![0f32; width]);
                    rows((b * frames + first) * width..(b * frames + last) * width, &mut one, &mut other);
                    for (total, part) in totals.iter_mut().zip([one, other]) {
                        total.iter_mut().zip(part).for_each(|(total, part)| *total += f64::from(part));
                    }
                }
                totals
            })
            .collect();
        let mut totals = [vec![0f64; width], vec![0f64; width]];
        for partial in partials {
            for (total, part) in totals.iter_mut().zip(partial) {
                total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
            }
        }
        totals
    }
}

impl<const N: usize> Kernel<N> for BatchNorm {
    /// `x`, mean and inverse deviation.
    type Saved = (FlexTensor, Arc<[Vec<f32>; 2]>);

    fn forward(&self, inputs: [FlexTensor; N], tracked: bool) -> (FlexTensor, Option<Self::Saved>) {
        let inputs = inputs.map(dense);
        let x = &inputs[0];
        let [batch, frames, width]: [usize; 3] = x.layout().shape().dims();
        let BatchNormOptions { relu, epsilon } = self.options;
        let [sum, squares] = self.sums([frames, width], |range, sum, squares| {
            kernel::moments(&elements(x)[range], relu, sum, squares);
        });
        let count = self.lengths.iter().sum::<usize>().max(1) as f64;
        let mean: Vec<f64> = sum.iter().map(|sum| sum / count).collect();
        let variance: Vec<f64> =
            squares.iter().zip(&mean).map(|(square, mean)| (square / count - mean * mean).max(0.0)).collect();
        let single = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<f32>>();
        let rate: Vec<f32> =
            variance.iter().map(|variance| (variance + epsilon).sqrt().recip() as f32).collect();
        let mean = single(&mean);
        self.aside.put(BatchMoments { mean: mean.clone(), variance: single(&variance) });
        let mut y = fused::zeros([batch, frames, width]);
        y.storage_mut::<f32>().par_chunks_mut(frames * width).enumerate().for_each(|(b, y)| {
            let range = b * frames * width..(b * frames + self.lengths[b]) * width;
            let y = &mut y[..range.len()];
            let x = &elements(x)[range.clone()];
            match inputs.get(1) {
                Some(residual) => {
                    let residual = &elements(residual)[range];
                    kernel::normalise_add(y, x, residual, relu, &mean, &rate, self.scale);
                }
                None => kernel::normalise(y, x, relu, &mean, &rate),
            }
        });
        (y, tracked.then(|| (x.clone(), Arc::new([mean, rate]))))
    }

    fn backward(
        &self,
        (x, moments): Self::Saved,
        grad: FlexTensor,
        wanted: [bool; N],
    ) -> [Option<FlexTensor>; N] {
        let [batch, frames, width]: [usize; 3] = x.layout().shape().dims();
        let relu = self.options.relu;
        let [mean, rate] = &*moments;
        let grad = dense(grad);
        let [sum, products] = self.sums([frames, width], |range, sum, products| {
            kernel::gradient_sums(&elements(&grad)[range.clone()], &elements(&x)[range], relu, sum, products);
        });
        let residual = (N > 1 && wanted[N - 1]).then(|| {
            let mut residual = fused::zeros([batch, frames, width]);
            residual.storage_mut::<f32>().par_chunks_mut(frames * width).enumerate().for_each(|(b, to)| {
                let valid = self.lengths[b] * width;
                let from = &elements(&grad)[b * frames * width..][..valid];
                elementwise::add_scaled(&mut to[..valid], self.scale, from);
            });
            residual
        });
        // dx = rate·(g − mean(g) − xhat·mean(g·xhat)) = rate·g + slope·x + shift.
        let count = self.lengths.iter().sum::<usize>().max(1) as f64;
        let (mut slope, mut shift) = (vec![0f32; width], vec![0f32; width]);
        for c in 0..width {
            let (mean, rate) = (f64::from(mean[c]), f64::from(rate[c]));
            let along = rate * (products[c] - mean * sum[c]) / count;
            slope[c] = (-rate * rate * along) as f32;
            shift[c] = (-rate * sum[c] / count + rate * rate * along * mean) as f32;
        }
        let mut grad = owned(grad);
        grad.storage_mut::<f32>().par_chunks_mut(frames * width).enumerate().for_each(|(b, g)| {
            let (valid, padding) = g.split_at_mut(self.lengths[b] * width);
            let x = &elements(&x)[b * frames * width..][..valid.len()];
            kernel::gradient(valid, x, relu, rate, &slope, &shift);
            padding.fill(0.0);
        });
        let mut gradients = [const { None }; N];
        gradients[0] = Some(grad);
        if N > 1 {
            gradients[N - 1] = residual;
        }
        gradients
    }
}
