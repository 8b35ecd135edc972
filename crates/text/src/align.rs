//! Edit alignment.

/// One step of an alignment, with positions in reference and hypothesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// The same on both sides.
    Correct(usize, usize),
    /// Another in the hypothesis.
    Substitution(usize, usize),
    /// Missing in the hypothesis.
    Deletion(usize),
    /// Only in the hypothesis.
    Insertion(usize),
}

/// A minimal sequence of edits from reference to hypothesis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alignment {
    /// Edits in order.
    pub edits: Vec<Edit>,
}

/// How a cell of a matrix of costs or scores is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Diagonal,
    Deletion,
    Insertion,
}

impl Step {
    /// Goes back from cell (`r`, `c`) to the one before; the edit on the way.
    pub(crate) fn back<T: PartialEq>(self, r: &mut usize, c: &mut usize, sides: [&[T]; 2]) -> Edit {
        let [reference, hypothesis] = sides;
        match self {
            Self::Diagonal => {
                (*r, *c) = (*r - 1, *c - 1);
                let correct = reference[*r] == hypothesis[*c];
                if correct { Edit::Correct(*r, *c) } else { Edit::Substitution(*r, *c) }
            }
            Self::Deletion => {
                *r -= 1;
                Edit::Deletion(*r)
            }
            Self::Insertion => {
                *c -= 1;
                Edit::Insertion(*c)
            }
        }
    }
}

/// This many steps are kept at once, or √(length of the reference) rows of them if that is more.
const KEPT_STEPS: usize = 1 << 20;

/// Levenshtein alignment: every edit costs 1; of equal ones, substitution before deletion before
/// insertion (from the end), as sclite.
///
/// Memory grows with R^½·H for a reference of R and a hypothesis of H items: of the cost matrix
/// every √R-th row is kept, and the rows between two of them are computed again on the way back.
pub fn align<T: PartialEq>(reference: &[T], hypothesis: &[T]) -> Alignment {
    align_in_blocks(reference, hypothesis, KEPT_STEPS)
}

fn align_in_blocks<T: PartialEq>(reference: &[T], hypothesis: &[T], kept_steps: usize) -> Alignment {
    let columns = hypothesis.len() + 1;
    let block = reference.len().isqrt().max(kept_steps / columns).max(1);
    let mut row: Vec<u32> = (0..columns as u32).collect();
    let mut block_starts = vec![row.clone()];
    let last_start = reference.len().saturating_sub(1) / block * block;
    for (r, item) in reference[..last_start].iter().enumerate() {
        advance(&mut row, item, hypothesis, |_, _| ());
        if (r + 1) % block == 0 {
            block_starts.push(row.clone());
        }
    }
    let mut edits = Vec::with_capacity(reference.len().max(hypothesis.len()));
    let (mut r, mut c) = (reference.len(), hypothesis.len());
    while let Some(mut row) = block_starts.pop() {
        let start = block_starts.len() * block;
        // The way back never turns right: later columns are of no use any more.
        let width = c + 1;
        row.truncate(width);
        let mut steps = vec![Step::Deletion; (r - start) * width];
        for (item, steps) in reference[start..r].iter().zip(steps.chunks_exact_mut(width)) {
            advance(&mut row, item, &hypothesis[..c], |c, step| steps[c] = step);
        }
        while r > start {
            let step = steps[(r - 1 - start) * width + c];
            edits.push(step.back(&mut r, &mut c, [reference, hypothesis]));
        }
    }
    edits.extend((0..c).rev().map(Edit::Insertion));
    edits.reverse();
    Alignment { edits }
}

/// The next row of the cost matrix; `each` is told how a column is reached, but for the first one.
fn advance<T: PartialEq>(row: &mut [u32], item: &T, hypothesis: &[T], mut each: impl FnMut(usize, Step)) {
    let Some(first) = row.first_mut() else { return };
    let (mut diagonal, mut left) = (*first, *first + 1);
    *first = left;
    for (c, (other, cell)) in hypothesis.iter().zip(&mut row[1..]).enumerate() {
        let (cost, step) = cheapest(diagonal + u32::from(item != other), *cell + 1, left + 1);
        (diagonal, left) = (*cell, cost);
        *cell = cost;
        each(c + 1, step);
    }
}

/// The one order in which equal costs are preferred.
fn cheapest(diagonal: u32, deletion: u32, insertion: u32) -> (u32, Step) {
    let cost = diagonal.min(deletion).min(insertion);
    let step = if diagonal == cost {
        Step::Diagonal
    } else if deletion == cost {
        Step::Deletion
    } else {
        Step::Insertion
    };
    (cost, step)
}

/// `(substitutions, deletions, insertions)` of [`align`], with one row in memory.
pub(crate) fn count_edits<T: PartialEq>(reference: &[T], hypothesis: &[T]) -> (usize, usize, usize) {
    // Cost, substitutions and deletions on the preferred way to a cell; the rest are insertions.
    let mut row: Vec<(u32, u32, u32)> = (0..=hypothesis.len() as u32).map(|c| (c, 0, 0)).collect();
    for (r, item) in reference.iter().enumerate() {
        let mut diagonal = row[0];
        let mut left = (r as u32 + 1, 0, r as u32 + 1);
        row[0] = left;
        for (other, cell) in hypothesis.iter().zip(&mut row[1..]) {
            let wrong = u32::from(item != other);
            let (cost, step) = cheapest(diagonal.0 + wrong, cell.0 + 1, left.0 + 1);
            let next = match step {
                Step::Diagonal => (cost, diagonal.1 + wrong, diagonal.2),
                Step::Deletion => (cost, cell.1, cell.2 + 1),
                Step::Insertion => (cost, left.1, left.2),
            };
            diagonal = *cell;
            *cell = next;
            left = next;
        }
    }
    let (cost, substitutions, deletions) = row[hypothesis.len()];
    (substitutions as usize, deletions as usize, (cost - substitutions - deletions) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The distance by its recursive definition.
    fn naive(a: &[u8], b: &[u8]) -> usize {
        match (a, b) {
            ([], rest) | (rest, []) => rest.len(),
            ([x, a_rest @ ..], [y, b_rest @ ..]) => {
                let diagonal = naive(a_rest, b_rest) + usize::from(x != y);
                diagonal.min(naive(a_rest, b) + 1).min(naive(a, b_rest) + 1)
            }
        }
    }

    /// The whole cost matrix, and the way back through it.
    fn by_matrix(a: &[u8], b: &[u8]) -> Vec<Edit> {
        let cost = |r: usize, c: usize| naive(&a[..r], &b[..c]);
        let (mut r, mut c, mut edits) = (a.len(), b.len(), Vec::new());
        while r > 0 || c > 0 {
            let wrong = r > 0 && c > 0 && a[r - 1] != b[c - 1];
            if r > 0 && c > 0 && cost(r - 1, c - 1) + usize::from(wrong) == cost(r, c) {
                (r, c) = (r - 1, c - 1);
                edits.push(if wrong { Edit::Substitution(r, c) } else { Edit::Correct(r, c) });
            } else if r > 0 && cost(r - 1, c) + 1 == cost(r, c) {
                r -= 1;
                edits.push(Edit::Deletion(r));
            } else {
                c -= 1;
                edits.push(Edit::Insertion(c));
            }
        }
        edits.reverse();
        edits
    }

    proptest! {
        #[test]
        fn counts_and_blocks_of_any_size_take_the_same_way(
            a in prop::collection::vec(0u8..3, 0..7), b in prop::collection::vec(0u8..3, 0..7), kept in 0usize..40,
        ) {
            let expected = by_matrix(&a, &b);
            prop_assert_eq!(&align_in_blocks(&a, &b, kept).edits, &expected);
            let count = |kind: fn(&Edit) -> bool| expected.iter().filter(|e| kind(e)).count();
            let counts = (
                count(|e| matches!(e, Edit::Substitution(..))),
                count(|e| matches!(e, Edit::Deletion(_))),
                count(|e| matches!(e, Edit::Insertion(_))),
            );
            prop_assert_eq!(count_edits(&a, &b), counts);
        }

        #[test]
        fn alignments_are_minimal_and_read_back(a in prop::collection::vec(0u8..3, 0..7), b in prop::collection::vec(0u8..3, 0..7)) {
            let alignment = align(&a, &b);
            let wrong = alignment.edits.iter().filter(|e| !matches!(e, Edit::Correct(..))).count();
            prop_assert_eq!(wrong, naive(&a, &b));
            let left = alignment.edits.iter().filter_map(|e| match e {
                Edit::Correct(r, _) | Edit::Substitution(r, _) | Edit::Deletion(r) => Some(*r),
                Edit::Insertion(_) => None,
            });
            prop_assert!(left.eq(0..a.len()));
            let right = alignment.edits.iter().filter_map(|e| match e {
                Edit::Correct(_, h) | Edit::Substitution(_, h) | Edit::Insertion(h) => Some(*h),
                Edit::Deletion(_) => None,
            });
            prop_assert!(right.eq(0..b.len()));
        }
    }
}
