//! Settings of perturbations that cannot be.

/// A setting is out of its domain, or recordings are missing. `augment.` is the table of a recipe.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AugmentError {
    /// A number outside of its limits.
    #[error("augment.{field}: {value} is not between {low} and {high}")]
    Number {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: f64,
        /// The least that is allowed.
        low: f64,
        /// The most.
        high: f64,
    },
    /// Two numbers that are no range.
    #[error("augment.{field}: [{}, {}] is no range {expected}", value[0], value[1])]
    Range {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: [f64; 2],
        /// What a range is here.
        expected: &'static str,
    },
    /// A perturbation without recordings to draw from.
    #[error("augment.{field} needs {recordings}")]
    NoRecordings {
        /// The perturbation.
        field: &'static str,
        /// What is needed, and the setting that names it.
        recordings: &'static str,
    },
}

impl AugmentError {
    /// Refuses a number outside of its limits, and what is no number.
    pub(crate) fn check(field: &'static str, value: f64, low: f64, high: f64) -> Result<(), Self> {
        if (low..=high).contains(&value) { Ok(()) } else { Err(Self::Number { field, value, low, high }) }
    }
}
