//! Which units of a text a model knows.

use super::Vocabulary;
use crate::lm::{SPECIAL, UNKNOWN};
use std::collections::{BTreeSet, HashMap};

/// The units of a model.
pub(super) struct Chosen {
    /// The special ones, and the others in the order of their letters.
    pub units: Vec<String>,
    /// The unit of the model for each of the text's numbers.
    pub ids: Vec<u32>,
}

/// Chooses among the units of a text, given with their numbers and how often each number comes.
pub(super) fn choose(vocabulary: &Vocabulary, numbers: HashMap<Box<str>, u32>, counts: &[u64]) -> Chosen {
    let is_special = |unit: &str| SPECIAL.contains(&unit);
    let mut found: Vec<(Box<str>, u32)> = numbers.into_iter().filter(|(unit, _)| !is_special(unit)).collect();
    found.sort_unstable();
    let count_of = |number: u32| counts[number as usize];
    let mut extra = BTreeSet::new();
    match vocabulary {
        Vocabulary::MinCount(least) => found.retain(|(_, number)| count_of(*number) >= *least),
        Vocabulary::MostFrequent(size) => {
            // Stable: of equal counts the first in the order of letters.
            found.sort_by_key(|(_, number)| std::cmp::Reverse(count_of(*number)));
            found.truncate(*size);
        }
        Vocabulary::Listed(units) => {
            extra = units.iter().map(String::as_str).filter(|unit| !is_special(unit)).collect();
            found.retain(|(unit, _)| extra.remove(&**unit));
        }
    }
    let mut known: Vec<(Box<str>, Option<u32>)> =
        found.into_iter().map(|(unit, number)| (unit, Some(number))).collect();
    known.extend(extra.into_iter().map(|unit| (unit.into(), None)));
    known.sort_unstable();
    let mut units: Vec<String> = SPECIAL.map(str::to_owned).to_vec();
    let mut ids = vec![UNKNOWN; counts.len()];
    for (unit, number) in known {
        if let Some(number) = number {
            ids[number as usize] = units.len() as u32;
        }
        units.push(unit.into());
    }
    Chosen { units, ids }
}
