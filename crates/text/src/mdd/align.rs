//! Global alignment as the verdicts use it.

use crate::align::{Alignment, Step};

/// Needleman–Wunsch alignment: match +1, mismatch −1, gap −1; of equal scores a match before a
/// substitution before a deletion before an insertion, from the end.
///
/// Unlike the Levenshtein alignment ([`crate::align()`]) it gains from every match, and so may give two
/// gaps for a mismatch. Time and memory grow with the product of the lengths: it is for utterances.
pub fn needleman_wunsch<T: PartialEq>(reference: &[T], hypothesis: &[T]) -> Alignment {
    let table = Table::new(reference, hypothesis);
    table.back(reference, hypothesis, reference.len())
}

/// [`needleman_wunsch`] of an utterance that is still being said: what follows the best end in the
/// reference has not been reached and costs nothing. The number of items that have been reached
/// comes with it; of equal ends the furthest.
pub fn needleman_wunsch_prefix<T: PartialEq>(reference: &[T], hypothesis: &[T]) -> (Alignment, usize) {
    let table = Table::new(reference, hypothesis);
    let reached = (0..=reference.len()).max_by_key(|end| (table.last_column[*end], *end)).unwrap_or(0);
    (table.back(reference, hypothesis, reached), reached)
}

struct Table {
    /// How each cell is reached, row by row.
    steps: Vec<Step>,
    /// Scores of the whole hypothesis against each beginning of the reference.
    last_column: Vec<i64>,
}

impl Table {
    fn new<T: PartialEq>(reference: &[T], hypothesis: &[T]) -> Self {
        let columns = hypothesis.len() + 1;
        let mut row: Vec<i64> = (0..columns as i64).map(|c| -c).collect();
        let mut steps = vec![Step::Insertion; columns];
        let mut last_column = vec![row[columns - 1]];
        for item in reference {
            let mut diagonal = row[0];
            row[0] -= 1;
            steps.push(Step::Deletion);
            for (c, other) in hypothesis.iter().enumerate() {
                let same = diagonal + if item == other { 1 } else { -1 };
                let (deletion, insertion) = (row[c + 1] - 1, row[c] - 1);
                diagonal = row[c + 1];
                let best = same.max(deletion).max(insertion);
                steps.push(match best {
                    best if best == same => Step::Diagonal,
                    best if best == deletion => Step::Deletion,
                    _ => Step::Insertion,
                });
                row[c + 1] = best;
            }
            last_column.push(row[columns - 1]);
        }
        Self { steps, last_column }
    }

    fn back<T: PartialEq>(&self, reference: &[T], hypothesis: &[T], end: usize) -> Alignment {
        let (mut r, mut c, mut edits) = (end, hypothesis.len(), Vec::new());
        while r > 0 || c > 0 {
            let step = self.steps[r * (hypothesis.len() + 1) + c];
            edits.push(step.back(&mut r, &mut c, [reference, hypothesis]));
        }
        edits.reverse();
        Alignment { edits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::Edit;
    use proptest::prelude::*;

    fn score(edits: &[Edit]) -> i64 {
        edits.iter().map(|edit| if matches!(edit, Edit::Correct(..)) { 1 } else { -1 }).sum()
    }

    /// The best score by its recursive definition.
    fn naive(a: &[u8], b: &[u8]) -> i64 {
        match (a, b) {
            ([], rest) | (rest, []) => -(rest.len() as i64),
            ([x, a_rest @ ..], [y, b_rest @ ..]) => {
                let diagonal = naive(a_rest, b_rest) + if x == y { 1 } else { -1 };
                diagonal.max(naive(a_rest, b) - 1).max(naive(a, b_rest) - 1)
            }
        }
    }

    #[test]
    fn ties() {
        use Edit::*;
        assert_eq!(needleman_wunsch(b"ab", b"b").edits, [Deletion(0), Correct(1, 0)]);
        assert_eq!(needleman_wunsch(b"aa", b"a").edits, [Deletion(0), Correct(1, 0)]);
        assert_eq!(needleman_wunsch(b"a", b"b").edits, [Substitution(0, 0)]);
        // Two gaps and a match (−1) instead of two mismatches (−2).
        assert_eq!(needleman_wunsch(b"ab", b"bc").edits, [Deletion(0), Correct(1, 0), Insertion(1)]);
        assert_eq!(needleman_wunsch(b"", b"").edits, []);
        // Substitution, then deletion: of equal scores the last step is the substitution.
        assert_eq!(needleman_wunsch(b"ab", b"c").edits, [Deletion(0), Substitution(1, 0)]);
    }

    #[test]
    fn what_is_not_said_yet_is_not_missing() {
        let (alignment, reached) = needleman_wunsch_prefix(b"went", b"we");
        assert_eq!((alignment.edits, reached), (vec![Edit::Correct(0, 0), Edit::Correct(1, 1)], 2));
        let (alignment, reached) = needleman_wunsch_prefix(b"went", b"wx");
        assert_eq!((alignment.edits, reached), (vec![Edit::Correct(0, 0), Edit::Substitution(1, 1)], 2));
        assert_eq!(needleman_wunsch_prefix(b"went", b"").1, 0);
        assert_eq!(needleman_wunsch_prefix(b"went", b"went").0, needleman_wunsch(b"went", b"went"));
        assert_eq!(needleman_wunsch_prefix(b"", b"a").0.edits, [Edit::Insertion(0)]);
    }

    proptest! {
        #[test]
        fn no_alignment_is_better_and_it_reads_back(
            a in prop::collection::vec(0u8..3, 0..7), b in prop::collection::vec(0u8..3, 0..7),
        ) {
            let edits = needleman_wunsch(&a, &b).edits;
            prop_assert_eq!(score(&edits), naive(&a, &b));
            let left = edits.iter().filter_map(|edit| match edit {
                Edit::Correct(r, _) | Edit::Substitution(r, _) | Edit::Deletion(r) => Some(*r),
                Edit::Insertion(_) => None,
            });
            prop_assert!(left.eq(0..a.len()));
            let right = edits.iter().filter_map(|edit| match edit {
                Edit::Correct(_, h) | Edit::Substitution(_, h) | Edit::Insertion(h) => Some(*h),
                Edit::Deletion(_) => None,
            });
            prop_assert!(right.eq(0..b.len()));
            let (prefix, reached) = needleman_wunsch_prefix(&a, &b);
            let best = (0..=a.len()).map(|end| naive(&a[..end], &b)).max();
            prop_assert_eq!(Some(score(&prefix.edits)), best);
            prop_assert_eq!(prefix, needleman_wunsch(&a[..reached], &b));
        }
    }
}
