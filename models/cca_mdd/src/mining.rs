//! Mining of false accepts: mistakes of a kind that the model misses weigh more in its loss.

use crate::inventory::{CLASSES, DELETED};
use crate::slots::Slot;
use auricle_nn::params::NamedTensors;
use burn::tensor::TensorData;

/// Counts of the past fade by this factor a step: they remember some hundred steps, an epoch of a small corpus.
const FADE: f32 = 0.99;
/// Mistakes that a kind is credited with before it has been met, missed at the rate of all kinds.
const PRIOR: f32 = 5.0;
/// Name of the table in a checkpoint.
const NAME: &str = "mined";

/// How often the classifier accepted mistakes, by canonical phone and by what was said instead.
///
/// ```text
/// rate(c, s) = (missed(c, s) + 5·rate) / (met(c, s) + 5),   rate = Σ missed / Σ met
/// weight of a mistake in the loss of the state classifier: 1 + mining·rate(c, s)
/// ```
///
/// A mistake that is always missed counts twice where `mining` is 1: in expectation the same as showing it again,
/// which arXiv 2310.10477 does with a model's own errors, without a second pass over the audio and without
/// anything that loader threads would have to wait for.
#[derive(Debug, Clone, PartialEq)]
pub struct Mined {
    /// Pairs of missed and met mistakes, `[canonical, said]`.
    counts: Vec<[f32; 2]>,
}

impl Default for Mined {
    fn default() -> Self {
        Self { counts: vec![[0.0; 2]; CLASSES * CLASSES] }
    }
}

impl Mined {
    fn place(slot: &Slot) -> usize {
        slot.canonical as usize * CLASSES + slot.perceived.unwrap_or(DELETED) as usize
    }

    /// Shares of mistakes like that of a slot which were missed, from what has been met so far.
    pub fn rates(&self) -> impl Fn(&Slot) -> f32 {
        let (missed, met) = self.counts.iter().fold((0.0, 0.0), |(a, b), [x, y]| (a + x, b + y));
        let overall = if met > 0.0 { missed / met } else { 0.0 };
        move |slot| {
            let [missed, met] = self.counts.get(Self::place(slot)).copied().unwrap_or_default();
            (missed + PRIOR * overall) / (met + PRIOR)
        }
    }

    /// Fades what was counted in earlier steps.
    pub fn fade(&mut self) {
        self.counts.iter_mut().flatten().for_each(|count| *count *= FADE);
    }

    /// Counts a mistake.
    pub fn meet(&mut self, slot: &Slot, missed: bool) {
        if let Some(counts) = self.counts.get_mut(Self::place(slot)) {
            counts[0] += f32::from(u8::from(missed));
            counts[1] += 1.0;
        }
    }

    /// For a checkpoint.
    pub fn tensors(&self) -> NamedTensors {
        let values: Vec<f32> = self.counts.iter().flatten().copied().collect();
        NamedTensors::from([(NAME.to_string(), TensorData::new(values, [CLASSES, CLASSES, 2]))])
    }

    /// From a checkpoint; empty where that has no table.
    pub fn of(tensors: &NamedTensors) -> Option<Self> {
        let Some(table) = tensors.get(NAME) else { return Some(Self::default()) };
        let values = table.try_to_vec::<f32>().ok()?;
        let counts: Vec<[f32; 2]> = values.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect();
        (counts.len() == CLASSES * CLASSES).then_some(Self { counts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missed_weighs_more() {
        let slot = |canonical, perceived| Slot { canonical, perceived, badness: 1.0 };
        let mut mined = Mined::default();
        assert_eq!(mined.rates()(&slot(1, Some(2))), 0.0, "nothing is known");
        for _ in 0..45 {
            mined.meet(&slot(1, Some(2)), true);
            mined.meet(&slot(1, None), false);
        }
        let rates = mined.rates();
        // Half of all mistakes were missed: (45 + 2.5) / 50, 2.5 / 50 and, of a kind never met, 2.5 / 5.
        for (perceived, want) in [(Some(2), 0.95), (None, 0.05), (Some(3), 0.5)] {
            assert!((rates(&slot(1, perceived)) - want).abs() < 1e-6, "{perceived:?}");
        }
        let before = rates(&slot(1, Some(2)));
        drop(rates);
        mined.fade();
        assert!(mined.rates()(&slot(1, Some(2))) < before, "the past counts less");
    }

    #[test]
    fn a_checkpoint_keeps_every_count() {
        let mut mined = Mined::default();
        mined.meet(&Slot { canonical: 3, perceived: None, badness: 1.0 }, true);
        mined.fade();
        let mut tensors = mined.tensors();
        assert_eq!(Mined::of(&tensors), Some(mined));
        assert_eq!(Mined::of(&NamedTensors::new()), Some(Mined::default()));
        tensors.insert(NAME.into(), TensorData::new(vec![0f32; 3], [3]));
        assert_eq!(Mined::of(&tensors), None);
    }
}
