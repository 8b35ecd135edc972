//! Error rates and their uncertainty.

use crate::{Edit, align};
use auricle_rng::{Key, Purpose};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
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
        let mut counts = Self { reference: reference.len(), ..Self::default() };
        for edit in align(reference, hypothesis).edits {
            match edit {
                Edit::Correct(..) => {}
                Edit::Substitution(..) => counts.substitutions += 1,
                Edit::Deletion(_) => counts.deletions += 1,
                Edit::Insertion(_) => counts.insertions += 1,
            }
        }
        counts
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
#[derive(Debug, Clone)]
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

/// A report in the manner of sclite: speaker table, confusions, and each utterance's alignment.
pub fn report(utterances: &[Scored]) -> String {
    let mut by_speaker = BTreeMap::<&str, (ErrorCounts, usize)>::new();
    let mut confusions = BTreeMap::<(String, String), usize>::new();
    let mut alignments = String::new();
    for utterance in utterances {
        let reference: Vec<&str> = utterance.reference.split_whitespace().collect();
        let hypothesis: Vec<&str> = utterance.hypothesis.split_whitespace().collect();
        let counts = ErrorCounts::of(&reference, &hypothesis);
        let entry = by_speaker.entry(utterance.speaker.as_deref().unwrap_or("-")).or_default();
        entry.0 += counts;
        entry.1 += 1;
        let (mut upper, mut lower) = (String::from("REF:"), String::from("HYP:"));
        for edit in align(&reference, &hypothesis).edits {
            let (r, h) = match edit {
                Edit::Correct(r, h) => (reference[r].to_string(), hypothesis[h].to_string()),
                Edit::Substitution(r, h) => (reference[r].to_uppercase(), hypothesis[h].to_uppercase()),
                Edit::Deletion(r) => (reference[r].to_uppercase(), "*".repeat(reference[r].chars().count())),
                Edit::Insertion(h) => {
                    ("*".repeat(hypothesis[h].chars().count()), hypothesis[h].to_uppercase())
                }
            };
            if !matches!(edit, Edit::Correct(..)) {
                *confusions.entry((r.to_lowercase(), h.to_lowercase())).or_default() += 1;
            }
            let width = r.chars().count().max(h.chars().count());
            // Writing to a String cannot fail.
            write!(upper, " {r:width$}").ok();
            write!(lower, " {h:width$}").ok();
        }
        let ErrorCounts { substitutions, deletions, insertions, reference } = counts;
        let correct = reference - substitutions - deletions;
        let header = format!(
            "id: ({})\nScores: (#C #S #D #I) {correct} {substitutions} {deletions} {insertions}",
            utterance.id
        );
        writeln!(alignments, "{header}\n{}\n{}\n", upper.trim_end(), lower.trim_end()).ok();
    }
    let mut text = String::from("speaker            utts   words   corr%    sub%    del%    ins%    err%\n");
    let mut total = (ErrorCounts::default(), 0);
    for (speaker, (counts, number)) in &by_speaker {
        line(&mut text, speaker, counts, *number);
        total.0 += *counts;
        total.1 += number;
    }
    line(&mut text, "all", &total.0, total.1);
    let mut frequent: Vec<_> = confusions.into_iter().collect();
    frequent.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    text.push_str("\nmost frequent errors (reference ==> hypothesis)\n");
    for ((reference, hypothesis), count) in frequent.iter().take(20) {
        writeln!(text, "{count:6}  {reference} ==> {hypothesis}").ok();
    }
    text + "\n" + &alignments
}

fn line(text: &mut String, speaker: &str, counts: &ErrorCounts, utterances: usize) {
    let ErrorCounts { substitutions, deletions, insertions, reference } = *counts;
    let percent = |n: usize| 100.0 * n as f64 / reference.max(1) as f64;
    let correct = reference - substitutions - deletions;
    writeln!(
        text,
        "{speaker:16} {utterances:6} {reference:7} {:7.1} {:7.1} {:7.1} {:7.1} {:7.1}",
        percent(correct),
        percent(substitutions),
        percent(deletions),
        percent(insertions),
        percent(counts.errors())
    )
    .ok();
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
    fn the_report_shows_speakers_confusions_and_alignments() {
        let scored = |id: &str, speaker: &str, reference: &str, hypothesis: &str| Scored {
            id: id.into(),
            speaker: Some(speaker.into()),
            reference: reference.into(),
            hypothesis: hypothesis.into(),
        };
        let text = report(&[
            scored("u1", "ann", "a big dog", "a pig dog"),
            scored("u2", "bob", "so big dog", "so pig dog cat"),
        ]);
        assert!(text.contains("     2  big ==> pig") && text.contains("     1  *** ==> cat"));
        assert!(text.contains("REF: a BIG dog\nHYP: a PIG dog"));
        assert!(text.contains("Scores: (#C #S #D #I) 2 1 0 1"));
        let all = text.lines().find(|l| l.starts_with("all")).unwrap();
        assert!(all.ends_with("50.0"), "{all}");
    }
}
