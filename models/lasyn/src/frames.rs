//! Units stretched to their lengths.

/// The unit of every frame, with its place in the unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    /// Phone or silence.
    pub unit: u32,
    /// Frames of the unit before it.
    pub place: usize,
    /// Frames of the unit.
    pub length: usize,
}

/// Units with their lengths as frames.
pub fn frames(units: impl IntoIterator<Item = (u32, usize)>) -> Vec<Frame> {
    units
        .into_iter()
        .flat_map(|(unit, length)| (0..length).map(move |place| Frame { unit, place, length }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_know_their_place() {
        let made = frames([(3, 2), (7, 1)]);
        let frame = |unit, place, length| Frame { unit, place, length };
        assert_eq!(made, [frame(3, 0, 2), frame(3, 1, 2), frame(7, 0, 1)]);
    }
}
