//! How much memory foreign bytes may ask for.

use std::io::{self, Read};

/// A limit on what reading something may cost, charged before memory is allocated.
///
/// A file says of itself how many samples, tensors or lines it has; a file of some bytes can claim gigabytes, and a
/// compressed one can hold them. A reader therefore charges its budget with what it is about to allocate, and hands
/// the error on when the budget is spent.
///
/// ```
/// let mut budget = auricle_io::Budget::new("the samples of a recording", 1 << 20);
/// budget.charge(4 * 1000)?;
/// assert!(budget.charge(u64::MAX).is_err());
/// assert_eq!(budget.left(), (1 << 20) - 4000);
/// # Ok::<(), auricle_io::OverBudget>(())
/// ```
#[derive(Debug, Clone)]
pub struct Budget {
    what: &'static str,
    limit: u64,
    left: u64,
}

/// More was asked for than the budget has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} would take more than {}; this limit guards against damaged and hostile files", size(*limit))]
pub struct OverBudget {
    /// What the budget is for, as the error names it.
    pub what: &'static str,
    /// The whole budget, in bytes.
    pub limit: u64,
}

impl From<OverBudget> for io::Error {
    fn from(error: OverBudget) -> Self {
        Self::new(io::ErrorKind::FileTooLarge, error)
    }
}

impl Budget {
    /// A budget of `limit` bytes for `what` ("the samples of a recording").
    pub const fn new(what: &'static str, limit: u64) -> Self {
        Self { what, limit, left: limit }
    }

    /// Bytes that may still be charged.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Takes `bytes` from the budget.
    ///
    /// # Errors
    /// The budget has not that much left; then nothing is taken.
    pub fn charge(&mut self, bytes: u64) -> Result<(), OverBudget> {
        self.left = self.left.checked_sub(bytes).ok_or(OverBudget { what: self.what, limit: self.limit })?;
        Ok(())
    }

    /// Takes what `count` values of `T` occupy.
    ///
    /// # Errors
    /// As [`charge`](Self::charge); a size that overflows is over every budget.
    pub fn charge_for<T>(&mut self, count: usize) -> Result<(), OverBudget> {
        let bytes = (count as u64).saturating_mul(size_of::<T>() as u64);
        self.charge(bytes)
    }

    /// Reads to the end, charging what comes.
    ///
    /// # Errors
    /// The reader's; [`OverBudget`] as an error of kind [`io::ErrorKind::FileTooLarge`].
    pub fn read_to_end(&mut self, reader: impl Read) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // One more than may come, to tell "exactly full" from "too much".
        reader.take(self.left.saturating_add(1)).read_to_end(&mut bytes)?;
        self.charge(bytes.len() as u64)?;
        Ok(bytes)
    }
}

/// A number of bytes as people say it.
fn size(bytes: u64) -> String {
    match bytes {
        ..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_once_and_says_what_it_was_for() {
        let mut budget = Budget::new("the lines of a list", 3 << 20);
        budget.charge_for::<f32>(1 << 18).unwrap();
        assert_eq!(budget.left(), 2 << 20);
        let error = budget.charge_for::<u64>(usize::MAX).unwrap_err();
        assert!(error.to_string().starts_with("the lines of a list would take more than 3 MiB"), "{error}");
        assert_eq!(budget.left(), 2 << 20, "what was refused is not charged");
        budget.charge(2 << 20).unwrap();
        assert!(budget.charge(1).is_err());
    }

    #[test]
    fn reading_stops_at_the_limit() {
        let mut exact = Budget::new("x", 10);
        assert_eq!(exact.read_to_end([1u8; 10].as_slice()).unwrap().len(), 10);
        let mut endless = Budget::new("x", 10);
        let error = endless.read_to_end(io::repeat(0)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
