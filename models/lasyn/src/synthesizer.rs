//! Text to latents, without training: the fixed projections.

use crate::units::{SILENCE, UNITS};
use crate::{Bank, LasynError};
use auricle_rng::Stream;
use serde::{Deserialize, Serialize};

/// Makes latents of the words of a text, given as phones.
pub trait Synthesizer: Send + Sync {
    /// D.
    fn width(&self) -> usize;

    /// Seconds per frame.
    fn frame_secs(&self) -> f64;

    /// Latents `[T, D]` of a sentence; other draws are other voices and tempi.
    ///
    /// # Errors
    /// A device that fails.
    fn synthesize(&self, words: &[Vec<u32>], stream: &mut Stream) -> Result<Vec<f32>, LasynError>;

    /// Latents of words that will not come again, such as a sentence with random gaps.
    ///
    /// # Errors
    /// A device that fails.
    fn synthesize_once(&self, words: &[Vec<u32>], stream: &mut Stream) -> Result<Vec<f32>, LasynError> {
        self.synthesize(words, stream)
    }

    /// Seconds that a sentence is expected to take.
    fn expected_secs(&self, words: &[Vec<u32>]) -> f64;
}

/// How long phones are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Durations {
    /// The same number of frames for every phone.
    Fixed {
        /// Frames.
        frames: usize,
    },
    /// As often as in real speech, phone by phone.
    Empirical,
}

/// What stands for a phone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Projection {
    /// The mean of its real latents, with noise of their variance, smoothed over three frames.
    Statistics {
        /// Scale σ of the noise; 1 is the variance of real latents.
        noise: f64,
        /// Lengths.
        durations: Durations,
    },
    /// Real latents of the phone, chosen as in unit selection: a neighbour that was really said next
    /// to it, the same phones to the left and right, the same speaker.
    Exemplars,
}

/// Latents without a trained network (spec: "FP-A").
///
/// # Differences from the paper
/// The paper names a fixed-projection synthesizer; its form was not known to us. This one is our proposal.
#[derive(Debug, Clone)]
pub struct FixedProjection {
    bank: Bank,
    projection: Projection,
    /// Exemplars of every unit.
    by_unit: Vec<Vec<usize>>,
    /// Expected frames of every unit.
    expected: Vec<f64>,
}

impl FixedProjection {
    /// A synthesizer that draws from a bank.
    pub fn new(bank: Bank, projection: Projection) -> Self {
        let mut by_unit = vec![Vec::new(); UNITS];
        for (i, exemplar) in bank.exemplars.iter().enumerate() {
            by_unit[exemplar.unit as usize].push(i);
        }
        let mean = |row: &Vec<f64>| {
            let total: f64 = row.iter().sum();
            let sum: f64 = row.iter().enumerate().map(|(i, n)| (i + 1) as f64 * n).sum();
            if total > 0.0 { sum / total } else { 2.0 }
        };
        let expected = bank.durations.iter().map(mean).collect();
        Self { bank, projection, by_unit, expected }
    }

    /// The bank.
    pub fn bank(&self) -> &Bank {
        &self.bank
    }

    /// Phones with the silences that a reader would make; a word without phones is a silence.
    pub(crate) fn units(&self, words: &[Vec<u32>], stream: &mut Stream) -> Vec<u32> {
        let mut units = vec![SILENCE];
        for word in words {
            let pauses =
                units.last() != Some(&SILENCE) && (word.is_empty() || stream.chance(self.bank.info.pause));
            if pauses {
                units.push(SILENCE);
            }
            units.extend_from_slice(word);
        }
        if units.len() == 1 || units.last() != Some(&SILENCE) {
            units.push(SILENCE);
        }
        units
    }

    /// A length as in real speech for each unit.
    pub(crate) fn lengths(&self, units: &[u32], stream: &mut Stream) -> Vec<usize> {
        units.iter().map(|&unit| draw(&self.bank.durations[unit as usize], stream) + 1).collect()
    }

    fn statistics(&self, units: &[u32], noise: f64, durations: Durations, stream: &mut Stream) -> Vec<f32> {
        let width = self.bank.info.width;
        let mut latents = Vec::new();
        for &unit in units {
            let frames = match durations {
                Durations::Fixed { frames } => frames.max(1),
                Durations::Empirical => draw(&self.bank.durations[unit as usize], stream) + 1,
            };
            let rows = unit as usize * width..(unit as usize + 1) * width;
            for _ in 0..frames {
                let mean = self.bank.gaussians.mean[rows.clone()].iter();
                let variance = &self.bank.gaussians.variance[rows.clone()];
                latents
                    .extend(mean.zip(variance).map(|(m, v)| m + v.sqrt() * (noise * stream.normal()) as f32));
            }
        }
        smooth(&latents, width)
    }

    fn exemplars(&self, units: &[u32], stream: &mut Stream) -> Vec<f32> {
        let speaker = match self.bank.exemplars.len() {
            0 => 0,
            n => self.bank.exemplars[stream.below(n)].speaker,
        };
        let mut latents = Vec::new();
        let mut previous: Option<usize> = None;
        for (i, &unit) in units.iter().enumerate() {
            let left = i.checked_sub(1).map(|i| units[i]);
            let right = units.get(i + 1).copied();
            let score = |candidate: usize| {
                let exemplar = &self.bank.exemplars[candidate];
                let before = candidate.checked_sub(1).filter(|_| !exemplar.first);
                let after = self.bank.exemplars.get(candidate + 1).filter(|next| !next.first);
                let unit_at = |i: Option<usize>| i.map(|i| self.bank.exemplars[i].unit);
                let joined = before.is_some() && before == previous;
                3.0 * f64::from(u8::from(joined))
                    + f64::from(u8::from(unit_at(before) == left))
                    + 2.0 * f64::from(u8::from(after.map(|next| next.unit) == right))
                    + f64::from(u8::from(exemplar.speaker == speaker))
            };
            let mut best: Option<(f64, usize)> = None;
            for &candidate in &self.by_unit[unit as usize] {
                let score = score(candidate) + 1.5 * stream.uniform();
                if best.is_none_or(|(top, _)| score > top) {
                    best = Some((score, candidate));
                }
            }
            previous = best.map(|(_, candidate)| candidate);
            match previous {
                Some(candidate) => latents.extend_from_slice(self.bank.rows(&self.bank.exemplars[candidate])),
                // A phone that the bank doesn't have.
                None => latents.extend(self.statistics(&[unit], 0.5, Durations::Empirical, stream)),
            }
        }
        latents
    }
}

impl Synthesizer for FixedProjection {
    fn width(&self) -> usize {
        self.bank.info.width
    }

    fn frame_secs(&self) -> f64 {
        self.bank.info.frame_secs
    }

    fn synthesize(&self, words: &[Vec<u32>], stream: &mut Stream) -> Result<Vec<f32>, LasynError> {
        let units = self.units(words, stream);
        Ok(match self.projection {
            Projection::Statistics { noise, durations } => self.statistics(&units, noise, durations, stream),
            Projection::Exemplars => self.exemplars(&units, stream),
        })
    }

    fn expected_secs(&self, words: &[Vec<u32>]) -> f64 {
        let silence = self.expected[SILENCE as usize];
        let phones: f64 = words.iter().flatten().map(|&phone| self.expected[phone as usize]).sum();
        let pauses = 2.0 + self.bank.info.pause * words.len().saturating_sub(1) as f64;
        (phones + pauses * silence) * self.bank.info.frame_secs
    }
}

/// An index, as likely as its weight; 1 where there are no weights.
fn draw(weights: &[f64], stream: &mut Stream) -> usize {
    let total: f64 = weights.iter().sum();
    let mut left = stream.uniform() * total;
    for (i, &weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return i;
        }
    }
    1
}

/// Each frame with half of the neighbours on either side: weights 1, 2, 1.
fn smooth(latents: &[f32], width: usize) -> Vec<f32> {
    let frames = latents.len() / width;
    let row = |t: usize| &latents[t * width..(t + 1) * width];
    (0..frames)
        .flat_map(|t| {
            let (left, right) = (row(t.saturating_sub(1)), row((t + 1).min(frames - 1)));
            let middle = row(t);
            (0..width).map(move |i| 0.25 * left[i] + 0.5 * middle[i] + 0.25 * right[i])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bank::tests::bank;
    use auricle_rng::{Key, Purpose};

    fn stream(seed: u64) -> Stream {
        Key::new(seed).stream(Purpose::Test)
    }

    #[test]
    fn latents_look_like_the_phones_they_stand_for() {
        let words = vec![vec![3, 7], vec![1]];
        for projection in [
            Projection::Exemplars,
            Projection::Statistics { noise: 0.3, durations: Durations::Fixed { frames: 3 } },
        ] {
            let synthesizer = FixedProjection::new(bank(), projection);
            let latents = synthesizer.synthesize(&words, &mut stream(1)).unwrap();
            let path = crate::align::align(&synthesizer.bank().gaussians, &latents, &words).unwrap();
            for segment in path.iter().filter(|s| s.unit != SILENCE) {
                let rows = &latents[segment.start * 4..segment.end * 4];
                let mean = rows.iter().sum::<f32>() / rows.len() as f32;
                assert!((mean - segment.unit as f32).abs() < 1.2, "{segment:?} {mean} {projection:?}");
            }
            assert_eq!(latents, synthesizer.synthesize(&words, &mut stream(1)).unwrap());
            assert_ne!(latents, synthesizer.synthesize(&words, &mut stream(2)).unwrap());
        }
    }

    /// Silence at both ends, between words as often as in the bank, and for a word that has no phones.
    #[test]
    fn silences_are_where_a_reader_makes_them() {
        let mut bank = bank();
        bank.info.pause = 0.3;
        let synthesizer = FixedProjection::new(bank, Projection::Exemplars);
        let mut stream = stream(5);
        let words: Vec<Vec<u32>> = (0..2000).map(|i| vec![i % 9, 9]).collect();
        let units = synthesizer.units(&words, &mut stream);
        assert_eq!((units[0], units[units.len() - 1]), (SILENCE, SILENCE));
        let share = (units.iter().filter(|&&unit| unit == SILENCE).count() - 2) as f64 / 1999.0;
        assert!((share - 0.3).abs() < 0.04, "{share}");
        let gap = synthesizer.units(&[vec![1], vec![], vec![], vec![2], vec![]], &mut stream);
        assert_eq!(gap, [SILENCE, 1, SILENCE, 2, SILENCE]);
        assert_eq!(synthesizer.units(&[], &mut stream), [SILENCE, SILENCE]);
    }

    /// What was said in the bank is taken as a whole where it can be.
    #[test]
    fn neighbours_stay_together() {
        let synthesizer = FixedProjection::new(bank(), Projection::Exemplars);
        let bank = synthesizer.bank();
        let said: Vec<u32> =
            bank.exemplars.iter().take_while(|e| !e.first || e.start == 0).map(|e| e.unit).collect();
        let phones: Vec<u32> = said.into_iter().filter(|&unit| unit != SILENCE).collect();
        let latents = synthesizer.synthesize(&[phones], &mut stream(3)).unwrap();
        let joined = |rows: &[f32]| bank.latents.windows(rows.len()).step_by(4).any(|window| window == rows);
        let pairs = latents.chunks_exact(4).collect::<Vec<_>>();
        let together = pairs.windows(2).filter(|pair| joined(&pair.concat())).count();
        assert!(together * 10 >= (pairs.len() - 1) * 6, "{together} of {}", pairs.len());
    }

    #[test]
    fn a_sentence_takes_about_as_long_as_expected() {
        let synthesizer = FixedProjection::new(
            bank(),
            Projection::Statistics { noise: 1.0, durations: Durations::Empirical },
        );
        let words = vec![vec![1, 2, 3], vec![4, 5], vec![6, 7, 8, 9]];
        let mean = (0..200)
            .map(|seed| synthesizer.synthesize(&words, &mut stream(seed)).unwrap().len() as f64 / 4.0 * 0.04)
            .sum::<f64>()
            / 200.0;
        let expected = synthesizer.expected_secs(&words);
        assert!((mean / expected - 1.0).abs() < 0.1, "{mean} {expected}");
    }
}
