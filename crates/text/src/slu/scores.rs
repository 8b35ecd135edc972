//! Counts and distances of slots, as SLURP's evaluation has them.

use super::Entity;
use crate::align::count_edits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// Positives, fractions of them where distances are counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Found and right.
    pub true_positives: f64,
    /// Found and wrong.
    pub false_positives: f64,
    /// Not found.
    pub false_negatives: f64,
}

/// Counts by the label of the slot.
pub type LabelCounts = BTreeMap<String, Counts>;

impl Counts {
    /// TP/(TP + FP); 0 where nothing was found.
    pub fn precision(&self) -> f64 {
        share(self.true_positives, self.false_positives)
    }

    /// TP/(TP + FN); 0 where there was nothing to find.
    pub fn recall(&self) -> f64 {
        share(self.true_positives, self.false_negatives)
    }

    /// 2PR/(P + R); 0 where both are.
    pub fn f1(&self) -> f64 {
        let (precision, recall) = (self.precision(), self.recall());
        if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 }
    }
}

fn share(part: f64, rest: f64) -> f64 {
    if part > 0.0 { part / (part + rest) } else { 0.0 }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.true_positives += other.true_positives;
        self.false_positives += other.false_positives;
        self.false_negatives += other.false_negatives;
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}

/// The sum over labels.
pub fn total(counts: &LabelCounts) -> Counts {
    counts.values().copied().sum()
}

/// Entity span counts: a predicted slot is right if one of the same type and value is left in the
/// reference, which it then uses up (multisets, the order does not matter).
pub fn span_counts(reference: &[Entity], predicted: &[Entity]) -> LabelCounts {
    let mut counts = LabelCounts::new();
    let mut left: Vec<&Entity> = reference.iter().collect();
    for entity in predicted {
        let of = counts.entry(entity.kind.clone()).or_default();
        match left.iter().position(|other| *other == entity) {
            Some(found) => {
                left.remove(found);
                of.true_positives += 1.0;
            }
            None => of.false_positives += 1.0,
        }
    }
    count_missed(&left, &mut counts);
    counts
}

/// Span-distance counts (Bastianelli et al., SLURP, EMNLP 2020, section 5): the predicted slots in order
/// each take the nearest value of the same type that is left in the reference, of equal ones the first.
/// That is a true positive, and its distance δ is added to the false positives and to the false negatives.
///
/// With [`word_distance`] they give Word-F1, with [`char_distance`] Char-F1; the F1 of the sum of both
/// is SLU-F1.
pub fn distance_counts(
    reference: &[Entity],
    predicted: &[Entity],
    distance: fn(&str, &str) -> f64,
) -> LabelCounts {
    let mut counts = LabelCounts::new();
    let mut left: Vec<&Entity> = reference.iter().collect();
    for entity in predicted {
        let same_type = left.iter().enumerate().filter(|(_, other)| other.kind == entity.kind);
        let distances = same_type.map(|(at, other)| (at, distance(&other.value, &entity.value)));
        // `min_by` gives the first of equal ones.
        let nearest = distances.min_by(|a, b| a.1.total_cmp(&b.1));
        let of = counts.entry(entity.kind.clone()).or_default();
        match nearest {
            Some((at, distance)) => {
                left.remove(at);
                *of += Counts { true_positives: 1.0, false_positives: distance, false_negatives: distance };
            }
            None => of.false_positives += 1.0,
        }
    }
    count_missed(&left, &mut counts);
    counts
}

fn count_missed(left: &[&Entity], counts: &mut LabelCounts) {
    for entity in left {
        counts.entry(entity.kind.clone()).or_default().false_negatives += 1.0;
    }
}

/// Word error rate of a value, (S + D + I)/N; may be above 1.
pub fn word_distance(reference: &str, value: &str) -> f64 {
    let words = |text: &'_ str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let reference = words(reference);
    edits(&reference, &words(value)) / reference.len().max(1) as f64
}

/// Levenshtein distance in characters, divided by the length of the longer one; 0 to 1.
pub fn char_distance(reference: &str, value: &str) -> f64 {
    let (reference, value): (Vec<char>, Vec<char>) = (reference.chars().collect(), value.chars().collect());
    edits(&reference, &value) / reference.len().max(value.len()).max(1) as f64
}

fn edits<T: PartialEq>(reference: &[T], value: &[T]) -> f64 {
    let (substitutions, deletions, insertions) = count_edits(reference, value);
    (substitutions + deletions + insertions) as f64
}
