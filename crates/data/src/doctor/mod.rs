//! What is wrong with a corpus, and how to mend it.
//!
//! [`read_sets`] reads lists as they are, [`check()`] hears every recording, [`fix()`] leaves out or mends what has errors.
//! [`training_fault`] is what training itself asks of every utterance.

mod check;
mod fix;
mod report;
mod sets;
mod training;

pub use check::check;
pub use fix::fix;
pub use report::{CheckConfig, CheckReport, Finding, Set, Severity, advice};
pub use sets::read_sets;
pub use training::{alignment_fault, cannot_align, frames_needed, training_fault};
