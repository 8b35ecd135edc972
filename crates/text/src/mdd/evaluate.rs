//! Everything there is to say about a test set.

use super::statistics::bootstrap;
use super::{Interval, MddCounts, Scorer};
use crate::align::{Edit, align};
use crate::phones::Slot;
use crate::score::{ErrorCounts, bootstrap_interval};
use auricle_rng::Key;
use std::collections::BTreeMap;

/// An utterance with annotation and hypothesis.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged<T> {
    /// Utterance id.
    pub id: String,
    /// Speaker, where known: the unit of the bootstrap.
    pub speaker: Option<String>,
    /// What the table of groups is made by, for example the first language.
    pub group: Option<String>,
    /// What should be said and what was heard, without silence.
    pub annotation: Vec<Slot<T>>,
    /// What the model says, without silence.
    pub hypothesis: Vec<T>,
}

/// What became of one canonical phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneRow<T> {
    /// Verdicts on it, counted position by position as [`Scorer::Mpl`] does (insertions have no phone).
    pub counts: MddCounts,
    /// What annotators heard, and how often; `None` is nothing.
    pub perceived: BTreeMap<Option<T>, usize>,
    /// What the model says, and how often; `None` is nothing.
    pub hypothesis: BTreeMap<Option<T>, usize>,
}

/// Scores of a test set.
#[derive(Debug, Clone, PartialEq)]
pub struct MddReport<T> {
    /// How it was counted.
    pub scorer: Scorer,
    /// Counts of all utterances.
    pub counts: MddCounts,
    /// 95 % interval of F1 over speakers (utterances where unknown); `None` where there is too little.
    pub f1_interval: Option<Interval>,
    /// Phone errors of the hypothesis against what was heard.
    pub phone_errors: ErrorCounts,
    /// 95 % interval of the phone error rate over the same units.
    pub phone_error_interval: Interval,
    /// By group; utterances without one are not in it.
    pub groups: BTreeMap<String, MddCounts>,
    /// By speaker; utterances without one are not in it.
    pub speakers: BTreeMap<String, MddCounts>,
    /// By canonical phone.
    pub phones: BTreeMap<T, PhoneRow<T>>,
}

/// Scores utterances; the intervals come from `samples` resampled test sets.
pub fn evaluate<T: Ord + Clone>(
    utterances: &[Judged<T>],
    scorer: Scorer,
    samples: usize,
    key: Key,
) -> MddReport<T> {
    let mut units = BTreeMap::<(bool, &str), (MddCounts, ErrorCounts)>::new();
    let (mut groups, mut speakers) = (BTreeMap::<_, MddCounts>::new(), BTreeMap::<_, MddCounts>::new());
    let mut phones = BTreeMap::new();
    for utterance in utterances {
        let counts = scorer.count(&utterance.annotation, &utterance.hypothesis);
        let heard: Vec<T> = utterance.annotation.iter().filter_map(|slot| slot.perceived.clone()).collect();
        // An id that happens to be a speaker's name is another unit.
        let unit = match &utterance.speaker {
            Some(speaker) => (true, speaker.as_str()),
            None => (false, utterance.id.as_str()),
        };
        let unit = units.entry(unit).or_default();
        unit.0 += counts;
        unit.1 += ErrorCounts::of(&heard, &utterance.hypothesis);
        if let Some(group) = &utterance.group {
            *groups.entry(group.clone()).or_default() += counts;
        }
        if let Some(speaker) = &utterance.speaker {
            *speakers.entry(speaker.clone()).or_default() += counts;
        }
        add_phones(utterance, &mut phones);
    }
    let (counts, errors): (Vec<MddCounts>, Vec<ErrorCounts>) = units.into_values().unzip();
    let mut phone_errors = ErrorCounts::default();
    errors.iter().for_each(|unit| phone_errors += *unit);
    let (low, high) = bootstrap_interval(&errors, samples, key);
    MddReport {
        scorer,
        counts: counts.iter().sum(),
        f1_interval: bootstrap(&counts, samples, key, |drawn| drawn.iter().copied().sum::<MddCounts>().f1()),
        phone_errors,
        phone_error_interval: Interval { low, high },
        groups,
        speakers,
        phones,
    }
}

fn add_phones<T: Ord + Clone>(utterance: &Judged<T>, phones: &mut BTreeMap<T, PhoneRow<T>>) {
    let canonical: Vec<T> = utterance.annotation.iter().filter_map(|slot| slot.canonical.clone()).collect();
    let mut said: Vec<Option<T>> = vec![None; canonical.len()];
    for edit in align(&canonical, &utterance.hypothesis).edits {
        if let Edit::Correct(c, h) | Edit::Substitution(c, h) = edit {
            said[c] = Some(utterance.hypothesis[h].clone());
        }
    }
    let slots =
        utterance.annotation.iter().filter_map(|slot| Some((slot.canonical.as_ref()?, &slot.perceived)));
    for ((should, heard), said) in slots.zip(said) {
        let row = phones.entry(should.clone()).or_insert_with(|| PhoneRow {
            counts: MddCounts::default(),
            perceived: BTreeMap::new(),
            hypothesis: BTreeMap::new(),
        });
        let right = |side: &Option<T>| side.as_ref() == Some(should);
        let cell = match (right(heard), right(&said)) {
            (true, true) => &mut row.counts.true_acceptances,
            (true, false) => &mut row.counts.false_rejections,
            (false, true) => &mut row.counts.false_acceptances,
            (false, false) if *heard == said => &mut row.counts.correct_diagnoses,
            (false, false) => &mut row.counts.diagnosis_errors,
        };
        *cell += 1;
        *row.perceived.entry(heard.clone()).or_default() += 1;
        *row.hypothesis.entry(said).or_default() += 1;
    }
}
