//! Where the errors are: speakers, words, alignments.

use crate::{Edit, ErrorCounts, Scored, align};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The text report shows so many words of a list.
const SHOWN: usize = 20;

/// Word errors by speaker and by word.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Breakdown {
    /// In the order of their names; `-` are the utterances of unknown speakers.
    pub speakers: Vec<SpeakerErrors>,
    /// Words taken for others, most frequent first.
    pub substitutions: Vec<Confusion>,
    /// Words left out, most frequent first.
    pub deletions: Vec<WordCount>,
    /// Words that nobody said, most frequent first.
    pub insertions: Vec<WordCount>,
}

/// Word errors of one speaker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpeakerErrors {
    /// Who.
    pub speaker: String,
    /// Number of utterances.
    pub utterances: usize,
    /// Word error rate.
    pub wer: f64,
    /// Word errors.
    pub words: ErrorCounts,
}

/// A word taken for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// What was said.
    pub reference: String,
    /// What was recognised.
    pub hypothesis: String,
    /// How often.
    pub count: usize,
}

/// How often a word is in error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WordCount {
    /// The word.
    pub word: String,
    /// How often.
    pub count: usize,
}

/// Errors by speaker and by word.
pub fn breakdown(utterances: &[Scored]) -> Breakdown {
    let mut tally = Tally::default();
    for utterance in utterances {
        tally.add(utterance, &align(&words(&utterance.reference), &words(&utterance.hypothesis)).edits);
    }
    tally.finish()
}

/// A report in the manner of sclite: speaker table, frequent errors, each utterance's alignment.
pub fn report(utterances: &[Scored]) -> String {
    let (mut tally, mut alignments) = (Tally::default(), String::new());
    for utterance in utterances {
        let (reference, hypothesis) = (words(&utterance.reference), words(&utterance.hypothesis));
        let edits = align(&reference, &hypothesis).edits;
        let counts = tally.add(utterance, &edits);
        let (mut upper, mut lower) = (String::from("REF:"), String::from("HYP:"));
        for edit in edits {
            let stars = |word: &str| "*".repeat(word.chars().count());
            let (r, h) = match edit {
                Edit::Correct(r, h) => (reference[r].to_string(), hypothesis[h].to_string()),
                Edit::Substitution(r, h) => (reference[r].to_uppercase(), hypothesis[h].to_uppercase()),
                Edit::Deletion(r) => (reference[r].to_uppercase(), stars(reference[r])),
                Edit::Insertion(h) => (stars(hypothesis[h]), hypothesis[h].to_uppercase()),
            };
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
    let breakdown = tally.finish();
    let mut text = String::from("speaker            utts   words   corr%    sub%    del%    ins%    err%\n");
    let mut total = (ErrorCounts::default(), 0);
    for SpeakerErrors { speaker, utterances, words, .. } in &breakdown.speakers {
        line(&mut text, speaker, words, *utterances);
        total.0 += *words;
        total.1 += utterances;
    }
    line(&mut text, "all", &total.0, total.1);
    let pair = |c: &Confusion| (c.count, format!("{} ==> {}", c.reference, c.hypothesis));
    let word = |w: &WordCount| (w.count, w.word.clone());
    list(&mut text, "substitutions (reference ==> hypothesis)", breakdown.substitutions.iter().map(pair));
    list(&mut text, "deletions", breakdown.deletions.iter().map(word));
    list(&mut text, "insertions", breakdown.insertions.iter().map(word));
    text + "\n" + &alignments
}

/// The words of an utterance in the order of the alignment, each with what became of it: words and kinds of the
/// reference (correct, substituted, deleted), then of the hypothesis (correct, substituted, inserted).
///
/// ```
/// use auricle_text::{Edit, differences};
///
/// let (said, recognised) = differences("a big dog", "big log");
/// assert_eq!(said[0], ("a", Edit::Deletion(0)));
/// assert_eq!(recognised[1], ("log", Edit::Substitution(2, 1)));
/// ```
pub fn differences<'a>(reference: &'a str, hypothesis: &'a str) -> (Differences<'a>, Differences<'a>) {
    let (reference, hypothesis) = (words(reference), words(hypothesis));
    let (mut said, mut recognised) = (Vec::new(), Vec::new());
    for edit in align(&reference, &hypothesis).edits {
        if let Edit::Correct(r, _) | Edit::Substitution(r, _) | Edit::Deletion(r) = edit {
            said.push((reference[r], edit));
        }
        if let Edit::Correct(_, h) | Edit::Substitution(_, h) | Edit::Insertion(h) = edit {
            recognised.push((hypothesis[h], edit));
        }
    }
    (said, recognised)
}

/// Words of one side of an alignment, each with its edit.
pub type Differences<'a> = Vec<(&'a str, Edit)>;

/// Sums while utterances are gone through.
#[derive(Default)]
struct Tally {
    speakers: BTreeMap<String, (ErrorCounts, usize)>,
    substitutions: BTreeMap<(String, String), usize>,
    deletions: BTreeMap<String, usize>,
    insertions: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, utterance: &Scored, edits: &[Edit]) -> ErrorCounts {
        let (reference, hypothesis) = (words(&utterance.reference), words(&utterance.hypothesis));
        let mut counts = ErrorCounts { reference: reference.len(), ..ErrorCounts::default() };
        for edit in edits {
            match *edit {
                Edit::Correct(..) => {}
                Edit::Substitution(r, h) => {
                    counts.substitutions += 1;
                    let pair = (reference[r].to_string(), hypothesis[h].to_string());
                    *self.substitutions.entry(pair).or_default() += 1;
                }
                Edit::Deletion(r) => {
                    counts.deletions += 1;
                    *self.deletions.entry(reference[r].to_string()).or_default() += 1;
                }
                Edit::Insertion(h) => {
                    counts.insertions += 1;
                    *self.insertions.entry(hypothesis[h].to_string()).or_default() += 1;
                }
            }
        }
        let speaker = utterance.speaker.as_deref().unwrap_or("-").to_string();
        let entry = self.speakers.entry(speaker).or_default();
        entry.0 += counts;
        entry.1 += 1;
        counts
    }

    fn finish(self) -> Breakdown {
        let speaker = |(speaker, (words, utterances)): (String, (ErrorCounts, usize))| SpeakerErrors {
            speaker,
            utterances,
            wer: words.rate(),
            words,
        };
        let word = |(word, count)| WordCount { word, count };
        let pair = |((reference, hypothesis), count)| Confusion { reference, hypothesis, count };
        Breakdown {
            speakers: self.speakers.into_iter().map(speaker).collect(),
            substitutions: by_frequency(self.substitutions).map(pair).collect(),
            deletions: by_frequency(self.deletions).map(word).collect(),
            insertions: by_frequency(self.insertions).map(word).collect(),
        }
    }
}

/// Most frequent first, equal ones in the order of their keys.
fn by_frequency<K: Ord>(counts: BTreeMap<K, usize>) -> impl Iterator<Item = (K, usize)> {
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    sorted.into_iter()
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn list(text: &mut String, title: &str, items: impl ExactSizeIterator<Item = (usize, String)>) {
    writeln!(text, "\nmost frequent {title}: {} different", items.len()).ok();
    for (count, item) in items.take(SHOWN) {
        writeln!(text, "{count:6}  {item}").ok();
    }
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

    fn scored() -> Vec<Scored> {
        let scored = |id: &str, speaker: &str, reference: &str, hypothesis: &str| Scored {
            id: id.into(),
            speaker: Some(speaker.into()),
            reference: reference.into(),
            hypothesis: hypothesis.into(),
        };
        vec![
            scored("u1", "ann", "a big dog", "a pig dog"),
            scored("u2", "bob", "so big dog", "so pig dog cat"),
            scored("u3", "bob", "the end", "end"),
        ]
    }

    #[test]
    fn the_report_shows_speakers_errors_and_alignments() {
        let text = report(&scored());
        assert!(
            text.contains("substitutions (reference ==> hypothesis): 1 different\n     2  big ==> pig\n")
        );
        assert!(text.contains("deletions: 1 different\n     1  the\n"), "{text}");
        assert!(text.contains("insertions: 1 different\n     1  cat\n"));
        assert!(text.contains("REF: a BIG dog\nHYP: a PIG dog"));
        assert!(text.contains("Scores: (#C #S #D #I) 2 1 0 1"));
        let all = text.lines().find(|l| l.starts_with("all")).unwrap();
        assert!(all.ends_with("50.0"), "{all}");
    }

    #[test]
    fn the_breakdown_counts_by_speaker_and_word() {
        let breakdown = breakdown(&scored());
        let speakers: Vec<_> =
            breakdown.speakers.iter().map(|s| (s.speaker.as_str(), s.utterances, s.words.errors())).collect();
        assert_eq!(speakers, [("ann", 1, 1), ("bob", 2, 3)]);
        assert!((breakdown.speakers[1].wer - 0.6).abs() < 1e-12);
        let pair = Confusion { reference: "big".into(), hypothesis: "pig".into(), count: 2 };
        assert_eq!(breakdown.substitutions, [pair]);
        assert_eq!(breakdown.deletions, [WordCount { word: "the".into(), count: 1 }]);
        assert_eq!(breakdown.insertions, [WordCount { word: "cat".into(), count: 1 }]);
    }

    #[test]
    fn every_word_is_told_with_what_became_of_it() {
        let (said, recognised) = differences("the cat sat on the mat", "a the cut sat mat");
        let wrong = |side: &Differences<'_>| -> Vec<String> {
            side.iter()
                .filter(|(_, edit)| !matches!(edit, Edit::Correct(..)))
                .map(|(w, _)| w.to_string())
                .collect()
        };
        assert_eq!(
            (wrong(&said).join(" "), wrong(&recognised).join(" ")),
            ("cat on the".into(), "a cut".into())
        );
        assert_eq!(
            said.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" "),
            "the cat sat on the mat"
        );
        assert_eq!(recognised[0], ("a", Edit::Insertion(0)));
        assert_eq!(differences("", " "), (Vec::new(), Vec::new()));
    }
}
