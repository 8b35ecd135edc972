//! Position randomisation of the teacher's input (SPIRAL §5).

use auricle_rng::Stream;

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
    /// `[T, F]` → `[left + T + right, F]`
    pub fn apply(&self, features: &[f32], bins: usize, mask_vector: &[f32]) -> Vec<f32> {
        let added = (self.left_frames + self.right_frames) * bins;
        let mut shifted = Vec::with_capacity(features.len() + added);
        shifted.extend(mask_vector.iter().cycle().take(self.left_frames * bins));
        shifted.extend_from_slice(features);
        shifted.extend(mask_vector.iter().cycle().take(self.right_frames * bins));
        shifted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};

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
        assert_eq!(shift.apply(&[1.0, 2.0], 2, &[8.0, 9.0]), [8.0, 9.0, 1.0, 2.0, 8.0, 9.0, 8.0, 9.0]);
    }
}
