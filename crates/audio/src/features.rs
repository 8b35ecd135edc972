//! The array that front ends give.

use ndarray::Array2;

use crate::error::AudioError;

/// Features of a signal, in memory frame by frame.
///
/// # Shapes
/// [frames, bins]: one row of mel bins (or filters, or coefficients) every `hop_samples`.
pub type Features = Array2<f32>;

/// The values of features, frame by frame, with `fill` behind them up to `frames` frames: a row of a padded batch.
/// Takes the memory of the features; nothing is copied but what memory has to grow.
pub fn padded(features: Features, frames: usize, fill: f32) -> Vec<f32> {
    let bins = features.ncols();
    let features =
        if features.is_standard_layout() { features } else { features.as_standard_layout().into_owned() };
    let (mut values, offset) = features.into_raw_vec_and_offset();
    values.drain(..offset.unwrap_or(0).min(values.len()));
    values.resize(frames * bins, fill);
    values
}

/// Rows of `num_bins` values as an array.
pub(crate) fn features_from_values(values: Vec<f32>, num_bins: usize) -> Result<Features, AudioError> {
    let num_frames = values.len() / num_bins.max(1);
    Array2::from_shape_vec((num_frames, num_bins), values)
        .map_err(|_| AudioError::config("num_bins", num_bins, "a divisor of the number of values"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{array, s};

    #[test]
    fn rows_are_padded_and_cut_whatever_the_layout() {
        let features = array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
        assert_eq!(padded(features.clone(), 4, 9.0), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 9.0, 9.0]);
        assert_eq!(padded(features.clone(), 1, 9.0), [1.0, 2.0]);
        assert_eq!(padded(features.clone().slice_move(s![1.., ..]), 2, 0.0), [3.0, 4.0, 5.0, 6.0]);
        let turned = array![[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]].reversed_axes();
        assert_eq!(padded(turned, 3, 0.0), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert!(features_from_values(vec![0.0; 5], 2).is_err());
        assert_eq!(features_from_values(Vec::new(), 2).unwrap().dim(), (0, 2));
    }
}
