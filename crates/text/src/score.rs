//! Error rates and their uncertainty.

use crate::align::count_edits;
use auricle_rng::{Key, Purpose};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::AddAssign;

/// Edits and reference length, summed over utterances.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCounts {
    /// Wrong ones.
    pub substitutions: usize,
    /// Missing ones.
    pub deletions: usize,
    /// Surplus ones.
    pub insertions: usize,
    /// Length of the references.
    pub reference: usize,
}

impl ErrorCounts {
    /// Counts of one pair of sequences.
    pub fn of<T: PartialEq>(reference: &[T], hypothesis: &[T]) -> Self {
        let (substitutions, deletions, insertions) = count_edits(reference, hypothesis);
        Self { substitutions, deletions, insertions, reference: reference.len() }
    }

    /// S + D + I.
    pub fn errors(&self) -> usize {
        self.substitutions + self.deletions + self.insertions
    }

    /// (S + D + I)/N; with an empty reference 0 without errors, else 1 an error.
    pub fn rate(&self) -> f64 {
        self.errors() as f64 / self.reference.max(1) as f64
    }
}

impl AddAssign for ErrorCounts {
    fn add_assign(&mut self, other: Self) {
        self.substitutions += other.substitutions;
        self.deletions += other.deletions;
        self.insertions += other.insertions;
        self.reference += other.reference;
    }
}

/// Word errors between texts split at white space.
pub fn wer(reference: &str, hypothesis: &str) -> ErrorCounts {
    let words = |text: &'_ str| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
    ErrorCounts::of(&words(reference), &words(hypothesis))
}

/// Character errors between texts, single spaces between words counted as characters.
pub fn cer(reference: &str, hypothesis: &str) -> ErrorCounts {
    let characters =
        |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect::<Vec<_>>();
    ErrorCounts::of(&characters(reference), &characters(hypothesis))
}

/// One scored utterance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scored {
    /// Utterance id.
    pub id: String,
    /// Speaker, where known: the unit of the bootstrap and of the speaker table.
    pub speaker: Option<String>,
    /// Reference.
    pub reference: String,
    /// Hypothesis.
    pub hypothesis: String,
}

/// 95 % interval of a pooled error rate: percentile bootstrap over groups (speakers, or utterances
/// where speakers are unknown).
pub fn bootstrap_interval(groups: &[ErrorCounts], samples: usize, key: Key) -> (f64, f64) {
    let mut stream = key.stream(Purpose::Bootstrap);
    let mut rates: Vec<f64> = (0..samples.max(1))
        .map(|_| {
            let mut sum = ErrorCounts::default();
            for _ in groups {
                if let Some(counts) = groups.get(stream.below(groups.len())) {
                    sum += *counts;
                }
            }
            sum.rate()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    let at = |share: f64| rates[((rates.len() - 1) as f64 * share).round() as usize];
    (at(0.025), at(0.975))
}

/// References with their hypotheses, and what is left over on either side.
#[derive(Debug, Clone, Default)]
pub struct Paired {
    /// Every reference; one without hypothesis has an empty one.
    pub scored: Vec<Scored>,
    /// Ids of references without hypothesis.
    pub missing: Vec<String>,
    /// Ids of hypotheses without reference, which are not scored.
    pub extra: Vec<String>,
}

/// Finds each reference's hypothesis by id.
pub fn pair(references: Vec<Scored>, mut hypotheses: BTreeMap<String, String>) -> Paired {
    let mut paired = Paired::default();
    for mut item in references {
        match hypotheses.remove(&item.id) {
            Some(hypothesis) => item.hypothesis = hypothesis,
            None => paired.missing.push(item.id.clone()),
        }
        paired.scored.push(item);
    }
    paired.extra = hypotheses.into_keys().collect();
    paired
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_hand() {
        let counts = wer("the cat sat on the mat", "the hat sat the mat now");
        assert_eq!(counts, ErrorCounts { substitutions: 1, deletions: 1, insertions: 1, reference: 6 });
        assert!((counts.rate() - 0.5).abs() < 1e-12);
        assert_eq!(cer("ab  cd", "ab cd").errors(), 0);
        assert_eq!(cer("abc", "axcd").errors(), 2);
        assert_eq!(wer("", "").rate(), 0.0);
    }

    #[test]
    fn the_interval_covers_the_rate_and_narrows_with_data() {
        let groups = |n: usize| -> Vec<ErrorCounts> {
            (0..n)
                .map(|i| ErrorCounts { substitutions: i % 5, reference: 10, ..ErrorCounts::default() })
                .collect()
        };
        let width = |n| {
            let (low, high) = bootstrap_interval(&groups(n), 2000, Key::new(1));
            assert!(low <= 0.2 && 0.2 <= high);
            high - low
        };
        assert!(width(500) < width(20) / 3.0);
        assert_eq!(
            bootstrap_interval(&groups(9), 500, Key::new(3)),
            bootstrap_interval(&groups(9), 500, Key::new(3))
        );
    }

    #[test]
    fn what_is_only_on_one_side_is_told() {
        let reference = |id: &str| Scored {
            id: id.into(),
            speaker: None,
            reference: "x".into(),
            hypothesis: String::new(),
        };
        let hypotheses = ["b", "c", "d"].map(|id| (id.to_string(), format!("text of {id}")));
        let paired = pair(vec![reference("a"), reference("b")], BTreeMap::from(hypotheses));
        assert_eq!((paired.missing, paired.extra), (vec!["a".into()], vec!["c".into(), "d".into()]));
        assert_eq!(paired.scored[1].hypothesis, "text of b");
    }
}
