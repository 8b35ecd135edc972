//! A number within limits.

use crate::TrainError;
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
