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

/// Levenshtein alignment: every edit costs 1; of equal ones, substitution before deletion before
/// insertion (from the end), as sclite.
pub fn align<T: PartialEq>(reference: &[T], hypothesis: &[T]) -> Alignment {
    let (rows, columns) = (reference.len() + 1, hypothesis.len() + 1);
    let mut cost = vec![0u32; rows * columns];
    for (c, first) in cost.iter_mut().take(columns).enumerate() {
        *first = c as u32;
    }
    for r in 1..rows {
        cost[r * columns] = r as u32;
        for c in 1..columns {
            let wrong = u32::from(reference[r - 1] != hypothesis[c - 1]);
            let diagonal = cost[(r - 1) * columns + c - 1] + wrong;
            let deletion = cost[(r - 1) * columns + c] + 1;
            let insertion = cost[r * columns + c - 1] + 1;
            cost[r * columns + c] = diagonal.min(deletion).min(insertion);
        }
    }
    let mut edits = Vec::with_capacity(rows.max(columns));
    let (mut r, mut c) = (reference.len(), hypothesis.len());
    while r > 0 || c > 0 {
        let here = cost[r * columns + c];
        if r > 0 && c > 0 {
            let correct = reference[r - 1] == hypothesis[c - 1];
            if cost[(r - 1) * columns + c - 1] + u32::from(!correct) == here {
                (r, c) = (r - 1, c - 1);
                edits.push(if correct { Edit::Correct(r, c) } else { Edit::Substitution(r, c) });
                continue;
            }
        }
        if r > 0 && cost[(r - 1) * columns + c] + 1 == here {
            r -= 1;
            edits.push(Edit::Deletion(r));
        } else {
            c -= 1;
            edits.push(Edit::Insertion(c));
        }
    }
    edits.reverse();
    Alignment { edits }
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

    proptest! {
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
