//! Statistics of normalisation for weights that were averaged.

use crate::{MmiBatch, MmiModel};
use auricle_nn::params::NamedTensors;
use auricle_tensor::ops::BatchMoments;
use auricle_train::TrainError;
use burn::tensor::{Device, Tensor, TensorData};

/// Batches that are kept.
const BATCHES: usize = 8;

/// The first batches of a run, from which the statistics of other weights than those in training are made anew.
///
/// A moving average of weights never normalised anything: the running statistics are those of the weights that were
/// averaged. What the first batches hold (some hundred seconds of training speech, without masks) tells its own.
#[derive(Debug, Clone, Default)]
pub struct Probes {
    batches: Vec<Probe>,
}

#[derive(Debug, Clone)]
struct Probe {
    /// `[B, T, F]`
    features: Vec<f32>,
    lengths: Vec<usize>,
    frames: usize,
}

impl Probes {
    /// Keeps the batch of a step, if it is one of the first.
    pub fn see(&mut self, batch: &MmiBatch, step: u64) {
        if self.batches.len() < BATCHES && step == self.batches.len() as u64 {
            let (features, lengths) = (batch.features.clone(), batch.lengths.clone());
            self.batches.push(Probe { features, lengths, frames: batch.frames });
        }
    }

    /// The model (outside of any graph) with statistics of its own; as it is where nothing was kept.
    pub fn renew(&self, model: MmiModel, bins: usize, device: &Device) -> MmiModel {
        let mut all: Vec<Vec<BatchMoments>> = Vec::new();
        for Probe { features, lengths, frames } in &self.batches {
            let shape = [lengths.len(), *frames, bins];
            let mel = Tensor::from_data(TensorData::new(features.clone(), shape), device);
            all.push(model.forward_train(mel, lengths).3);
        }
        if all.is_empty() { model } else { model.absorb(mean(&all), 1.0) }
    }

    /// For a checkpoint.
    pub fn state(&self, bins: usize) -> NamedTensors {
        let mut state = NamedTensors::new();
        for (i, Probe { features, lengths, frames }) in self.batches.iter().enumerate() {
            let shape = [lengths.len(), *frames, bins];
            state.insert(format!("probe.{i}.features"), TensorData::new(features.clone(), shape));
            let lengths: Vec<f32> = lengths.iter().map(|&length| length as f32).collect();
            let count = lengths.len();
            state.insert(format!("probe.{i}.lengths"), TensorData::new(lengths, [count]));
        }
        state
    }

    /// Restores what [`Self::state`] gave.
    ///
    /// # Errors
    /// Tensors that do not fit.
    pub fn load(state: &mut NamedTensors, bins: usize) -> Result<Self, TrainError> {
        let wrong =
            |i: usize| TrainError::Task(format!("the checkpoint's batch {i} of statistics is damaged"));
        let mut batches = Vec::new();
        while let Some(features) = state.remove(&format!("probe.{}.features", batches.len())) {
            let i = batches.len();
            let shape = features.shape().to_vec();
            let lengths = state.remove(&format!("probe.{i}.lengths"));
            let lengths = lengths.and_then(|data| data.try_to_vec::<f32>().ok()).ok_or_else(|| wrong(i))?;
            let lengths: Vec<usize> = lengths.into_iter().map(|length| length as usize).collect();
            let &[rows, frames, width] = shape.as_slice() else { return Err(wrong(i)) };
            let fits =
                rows == lengths.len() && width == bins && lengths.iter().all(|&length| length <= frames);
            let features = features.try_to_vec::<f32>().ok().filter(|_| fits).ok_or_else(|| wrong(i))?;
            batches.push(Probe { features, lengths, frames });
        }
        Ok(Self { batches })
    }
}

/// Moments of each layer over batches of equal weight.
fn mean(all: &[Vec<BatchMoments>]) -> Vec<BatchMoments> {
    let layers = all.first().map_or(0, Vec::len);
    let count = all.len() as f64;
    let layer = |layer: usize| {
        let channels = all.first().map_or(0, |batch| batch[layer].mean.len());
        let over = |value: &dyn Fn(&BatchMoments) -> f64| {
            all.iter().map(|batch| value(&batch[layer])).sum::<f64>() / count
        };
        let mut moments = BatchMoments::default();
        for c in 0..channels {
            let mean = over(&|batch| f64::from(batch.mean[c]));
            let square = over(&|batch| f64::from(batch.variance[c]) + f64::from(batch.mean[c]).powi(2));
            moments.mean.push(mean as f32);
            moments.variance.push((square - mean * mean).max(0.0) as f32);
        }
        moments
    };
    (0..layers).map(layer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_batches_are_those_of_all_their_frames() {
        let one =
            |mean: f32, variance: f32| vec![BatchMoments { mean: vec![mean], variance: vec![variance] }];
        // Values 1, 3 and 5, 9.
        let all = mean(&[one(2.0, 1.0), one(7.0, 4.0)]);
        assert_eq!(all, one(4.5, 8.75));
    }
}
