//! Where tokens stand in the speech, for triggered decoders.

#[cfg(feature = "train")]
use crate::LasynError;
use crate::Upper;
#[cfg(feature = "train")]
use auricle_decode::{by_frame, forced_alignment};

/// The encoder frame at which CTC's best path begins each token, after 0 for what begins the row. In rows that CTC
/// cannot read the tokens stand at equal distances.
#[cfg(feature = "train")]
pub(crate) fn places(upper: &Upper, targets: &[Vec<u32>], blank: u32) -> Result<Vec<Vec<f64>>, LasynError> {
    let [_, padded, classes] = upper.logits.dims();
    let logits = upper.logits.clone().detach().into_data();
    let logits = logits.try_to_vec::<f32>().map_err(|e| LasynError::Device(format!("{e:?}")))?;
    let row = |(row, target): (usize, &Vec<u32>)| {
        let frames = upper.lengths[row].min(padded);
        let scores = &logits[row * padded * classes..][..frames * classes];
        let starts: Vec<f64> = match forced_alignment(by_frame(scores, classes), blank, target) {
            Some(ranges) => ranges.iter().map(|range| range.start as f64).collect(),
            None => (0..target.len()).map(|u| (u * frames) as f64 / target.len() as f64).collect(),
        };
        let rate = frame_rate(upper, row);
        [0.0].into_iter().chain(starts.into_iter().map(|start| start * rate)).collect()
    };
    Ok(targets.iter().enumerate().map(row).collect())
}

/// Encoder frames per frame of the CTC head, which may have more.
pub(crate) fn frame_rate(upper: &Upper, row: usize) -> f64 {
    upper.memory_lengths[row] as f64 / upper.lengths[row].max(1) as f64
}

#[cfg(all(test, feature = "train"))]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor, TensorData};

    /// A head of twice the encoder's frames that is certain of a path; a row that is too short for its target.
    #[test]
    fn tokens_begin_where_the_head_says() {
        let path = [0, 1, 1, 0, 2, 2, 0, 2];
        let certain = path.iter().chain(&[1, 0, 0, 0, 0, 0, 0, 0]);
        let logits = certain.flat_map(|&best| (0..3).map(move |c| if c == best { 5.0f32 } else { 0.0 }));
        let device = Device::flex();
        let upper = Upper {
            memory: Tensor::zeros([2, 4, 1], &device),
            memory_lengths: vec![4, 1],
            logits: Tensor::from_data(TensorData::new(logits.collect::<Vec<_>>(), [2, 8, 3]), &device),
            lengths: vec![8, 2],
        };
        let found = places(&upper, &[vec![1, 2, 2], vec![1, 2, 1, 2]], 0).unwrap();
        assert_eq!(found, [vec![0.0, 0.5, 2.0, 3.5], vec![0.0, 0.0, 0.25, 0.5, 0.75]]);
    }
}
