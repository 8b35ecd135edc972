//! Mispronunciation detection and diagnosis: verdicts, and how good they are.
//!
//! Three strings meet here: what should be said (canonical C), what an annotator heard (perceived A)
//! and what the model says (hypothesis H). A mispronunciation is the positive case: a *true
//! rejection* is a wrong phone that was found.
//!
//! Everything is generic over the phones: [`crate::Phone`], [`crate::Perceived`] and token numbers do.

mod align;
mod counts;
mod curves;
mod evaluate;
mod fusion;
mod scorer;
mod statistics;

pub use align::{needleman_wunsch, needleman_wunsch_prefix};
pub use counts::MddCounts;
pub use curves::{Detection, PrCurve, PrPoint, Reliability, ReliabilityBin, precision_recall, reliability};
pub use evaluate::{Judged, MddReport, PhoneRow, evaluate};
pub use fusion::{Insertion, Said, Verdict, Verdicts};
pub use scorer::Scorer;
pub use statistics::{Interval, bootstrap, correlation, mean_squared_error, score_from_error_probability};

/// Why something cannot be scored.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MddError {
    /// A probability outside 0–1, or no number.
    #[error("probability {index} is {value}, not 0 to 1")]
    Probability {
        /// Its position.
        index: usize,
        /// The value.
        value: f64,
    },
    /// One value a canonical phone is needed.
    #[error("{what}: {found} values for {phones} canonical phones")]
    Length {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        phones: usize,
    },
    /// A reliability curve without bins.
    #[error("a reliability curve needs at least one bin")]
    NoBins,
}

fn probability(index: usize, value: f64) -> Result<f64, MddError> {
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(MddError::Probability { index, value }) }
}

#[cfg(test)]
mod tests;
