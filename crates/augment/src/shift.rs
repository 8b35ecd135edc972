//! Position randomisation of the teacher's input (SPIRAL §5).

use auricle_rng::Stream;
use ndarray::{Array2, ArrayView2, s};

/// Frames put before and after an utterance, so that position tells the student nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionShift {
    /// Frames before.
    pub left_frames: usize,
    /// Frames after.
    pub right_frames: usize,
}

impl PositionShift {
    /// Two independent draws, uniform on 0…`max_units` units of `unit` frames each.
    pub fn draw(max_units: usize, unit: usize, stream: &mut Stream) -> Self {
        Self {
            left_frames: unit * stream.below(max_units + 1),
            right_frames: unit * stream.below(max_units + 1),
        }
    }

    /// The valid frames of one utterance with the mask vector on either side.
    ///
    /// # Shapes
    /// [frames, bins] → [left + frames + right, bins]; `mask_vector` has a value per bin.
    pub fn apply(&self, features: ArrayView2<'_, f32>, mask_vector: &[f32]) -> Array2<f32> {
        let (frames, bins) = features.dim();
        let valid = self.left_frames..self.left_frames + frames;
        let mut shifted = Array2::zeros((valid.end + self.right_frames, bins));
        shifted.slice_mut(s![valid.clone(), ..]).assign(&features);
        for (at, mut frame) in shifted.rows_mut().into_iter().enumerate() {
            if !valid.contains(&at) {
                frame.iter_mut().zip(mask_vector).for_each(|(value, masked)| *value = *masked);
            }
        }
        shifted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};
    use ndarray::array;

    #[test]
    fn all_shifts_occur_and_the_utterance_stays_in_between() {
        let mut seen = [[false; 17]; 2];
        let mut stream = Key::new(1).stream(Purpose::Shift);
        for _ in 0..2000 {
            let shift = PositionShift::draw(16, 8, &mut stream);
            assert!(shift.left_frames.is_multiple_of(8) && shift.right_frames.is_multiple_of(8));
            seen[0][shift.left_frames / 8] = true;
            seen[1][shift.right_frames / 8] = true;
        }
        assert!(seen.iter().flatten().all(|&s| s));
        let shift = PositionShift { left_frames: 1, right_frames: 2 };
        let shifted = shift.apply(array![[1.0, 2.0]].view(), &[8.0, 9.0]);
        assert_eq!(shifted, array![[8.0, 9.0], [1.0, 2.0], [8.0, 9.0], [8.0, 9.0]]);
    }
}
