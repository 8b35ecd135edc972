//! The two ways in which the literature counts verdicts from three phone strings.

use super::MddCounts;
use crate::align::{Edit, align};
use crate::phones::Slot;
use serde::{Deserialize, Serialize};

/// How verdicts are counted. All alignments of strings are Levenshtein's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scorer {
    /// "F", as Fu et al. (arXiv 2104.08428) and CoCA-MDD (arXiv 2111.08191) report: from the alignments C–A, A–H
    /// and C–H. A deleted phone is judged on C–H, every annotated phone on A–H. What H has beside phones
    /// that were said right is not charged, so TA + FR is the number of right phones and FA + TR of
    /// wrong ones, whatever the hypothesis. For comparison with published numbers.
    Fu,
    /// "M", as Yang et al. (arXiv 2203.15937) report: C–A as annotated, C–H aligned, both walked through at
    /// once. What only the annotator heard beside the canonical phones is a false acceptance, what only H has a
    /// false rejection. The stricter of the two.
    #[default]
    Mpl,
}

/// What became of an item of the first string of an alignment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Same,
    Other(usize),
    Gone,
}

/// The fate of each of the `length` items of the reference.
fn fates(edits: &[Edit], length: usize) -> Vec<Fate> {
    let mut fates = vec![Fate::Gone; length];
    for edit in edits {
        match *edit {
            Edit::Correct(r, _) => fates[r] = Fate::Same,
            Edit::Substitution(r, h) => fates[r] = Fate::Other(h),
            Edit::Deletion(_) | Edit::Insertion(_) => {}
        }
    }
    fates
}

impl Scorer {
    /// Counts of one utterance, silence removed beforehand from all strings.
    pub fn count<T: PartialEq + Clone>(self, annotation: &[Slot<T>], hypothesis: &[T]) -> MddCounts {
        match self {
            Self::Fu => count_fu(annotation, hypothesis),
            Self::Mpl => count_mpl(annotation, hypothesis),
        }
    }
}

fn count_fu<T: PartialEq + Clone>(annotation: &[Slot<T>], hypothesis: &[T]) -> MddCounts {
    let canonical: Vec<T> = annotation.iter().filter_map(|slot| slot.canonical.clone()).collect();
    let perceived: Vec<T> = annotation.iter().filter_map(|slot| slot.perceived.clone()).collect();
    let in_perceived = fates(&align(&perceived, hypothesis).edits, perceived.len());
    let in_canonical = fates(&align(&canonical, hypothesis).edits, canonical.len());
    let mut counts = MddCounts::default();
    for edit in align(&canonical, &perceived).edits {
        let cell = match edit {
            Edit::Correct(_, a) if in_perceived[a] == Fate::Same => &mut counts.true_acceptances,
            Edit::Correct(..) => &mut counts.false_rejections,
            Edit::Substitution(c, a) => match in_perceived[a] {
                Fate::Same => &mut counts.correct_diagnoses,
                Fate::Other(h) if hypothesis[h] == canonical[c] => &mut counts.false_acceptances,
                Fate::Other(_) | Fate::Gone => &mut counts.diagnosis_errors,
            },
            Edit::Deletion(c) => match in_canonical[c] {
                Fate::Gone => &mut counts.correct_diagnoses,
                Fate::Other(_) => &mut counts.diagnosis_errors,
                Fate::Same => &mut counts.false_acceptances,
            },
            Edit::Insertion(a) => match in_perceived[a] {
                Fate::Same => &mut counts.correct_diagnoses,
                Fate::Other(_) => &mut counts.diagnosis_errors,
                Fate::Gone => &mut counts.false_acceptances,
            },
        };
        *cell += 1;
    }
    counts
}

fn count_mpl<T: PartialEq + Clone>(annotation: &[Slot<T>], hypothesis: &[T]) -> MddCounts {
    let canonical: Vec<T> = annotation.iter().filter_map(|slot| slot.canonical.clone()).collect();
    let edits = align(&canonical, hypothesis).edits;
    let said = fates(&edits, canonical.len());
    // What the hypothesis has before each canonical phone, and behind the last one.
    let mut surplus: Vec<Vec<usize>> = vec![vec![]; canonical.len() + 1];
    let mut c = 0;
    for edit in edits {
        match edit {
            Edit::Insertion(h) => surplus[c].push(h),
            _ => c += 1,
        }
    }
    let mut counts = MddCounts::default();
    let (mut c, mut used) = (0, 0);
    for slot in annotation {
        let Some(should) = &slot.canonical else {
            // Heard beside the canonical phones: one after the other with what the hypothesis has there.
            let cell = match surplus[c].get(used) {
                None => &mut counts.false_acceptances,
                Some(h) if slot.perceived.as_ref() == Some(&hypothesis[*h]) => &mut counts.correct_diagnoses,
                Some(_) => &mut counts.diagnosis_errors,
            };
            *cell += 1;
            used += 1;
            continue;
        };
        counts.false_rejections += surplus[c].len().saturating_sub(used);
        let heard = slot.perceived.as_ref();
        let cell = match (heard == Some(should), said[c]) {
            (true, Fate::Same) => &mut counts.true_acceptances,
            (true, _) => &mut counts.false_rejections,
            (false, Fate::Same) => &mut counts.false_acceptances,
            (false, Fate::Other(h)) if heard == Some(&hypothesis[h]) => &mut counts.correct_diagnoses,
            (false, Fate::Gone) if heard.is_none() => &mut counts.correct_diagnoses,
            (false, _) => &mut counts.diagnosis_errors,
        };
        *cell += 1;
        (c, used) = (c + 1, 0);
    }
    counts.false_rejections += surplus[c].len().saturating_sub(used);
    counts
}
