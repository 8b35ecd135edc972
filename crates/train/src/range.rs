//! Numbers within limits.

use crate::TrainError;
use auricle_augment::SpecAugmentConfig;
use std::fmt::Display;
use std::ops::RangeInclusive;

/// A number of a recipe within limits; what is no number is in no range.
///
/// # Errors
/// Key, value and limits.
pub fn within<T: PartialOrd + Display>(
    key: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), TrainError> {
    if range.contains(&value) {
        return Ok(());
    }
    let (from, to) = range.into_inner();
    Err(TrainError::Recipe(format!("{key}: {value} is not between {from} and {to}")))
}

/// Masks whose numbers can be meant.
///
/// # Errors
/// The first that is out of its range, by its key; `key` is that of the table.
pub fn check_masks(key: &str, masks: &SpecAugmentConfig) -> Result<(), TrainError> {
    for (name, mask) in [("time", masks.time), ("frequency", masks.frequency)] {
        within(&format!("{key}.{name}.prob"), mask.prob, 0.0..=1.0)?;
        within(&format!("{key}.{name}.length"), mask.length, 1..=100_000)?;
        within(&format!("{key}.{name}.min_spans"), mask.min_spans, 0..=1_000)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_out_of_range_are_named() {
        let good = SpecAugmentConfig::pretrain();
        assert!(check_masks("augment.spec", &good).is_ok());
        type Change = fn(&mut SpecAugmentConfig);
        let changes: [(&str, Change); 5] = [
            ("time.prob", |masks| masks.time.prob = f64::NAN),
            ("time.length", |masks| masks.time.length = 0),
            ("time.min_spans", |masks| masks.time.min_spans = usize::MAX),
            ("frequency.prob", |masks| masks.frequency.prob = 1.5),
            ("frequency.length", |masks| masks.frequency.length = usize::MAX),
        ];
        for (key, change) in changes {
            let mut masks = good;
            change(&mut masks);
            let error = check_masks("augment.spec", &masks).unwrap_err().to_string();
            assert!(error.contains(&format!("augment.spec.{key}")), "{error}");
        }
    }
}
