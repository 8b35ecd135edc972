//! From sound to decisions while it comes.

use crate::{Scored, ScoredWord};
use auricle_text::mdd::Verdict;
use std::time::Duration;

/// A whole chain on a signal that arrives in pieces: samples in, decisions out.
///
/// The events do not depend on how the signal is cut: those of all pieces, one after another, are those of the
/// whole signal given at once.
pub trait Streaming {
    /// A decision.
    type Event;
    /// Why the signal cannot be used.
    type Error;

    /// For how much sound after its own time a decision waits, at most.
    fn lookahead(&self) -> Duration;

    /// Takes samples; what they have decided, in order. The events are kept until the next call.
    ///
    /// # Errors
    /// Samples that cannot be used.
    fn push(&mut self, samples: &[f32]) -> Result<&[Self::Event], Self::Error>;

    /// Ends the signal; what was still open is decided. Nothing can be pushed after it.
    ///
    /// # Errors
    /// A signal that cannot be decided upon.
    fn finish(&mut self) -> Result<&[Self::Event], Self::Error>;
}

/// A decision on a prompt that is being read aloud. Times are seconds of the recording.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The decoder heard a phone, whatever the prompt asks for.
    Heard {
        /// Class number.
        phone: u32,
        /// Where it begins.
        start_secs: f64,
    },
    /// The decoder's verdict on a canonical phone has changed. It may change again with the next phone.
    Phone(PartialPhone),
    /// A word has been said. Its scores are those of the classifier on what was heard so far; they are final in
    /// [`Event::Final`].
    Word(PartialWord),
    /// The result for the whole: final verdicts, diagnosis, scores and times.
    Final(Scored),
}

/// Where a canonical phone stands in the partial alignment of prompt and phones heard.
#[derive(Debug, Clone, PartialEq)]
pub struct PartialPhone {
    /// Which canonical phone, from 0.
    pub index: usize,
    /// What was heard in its place; `None` where the phone is open again, because later phones fit better to
    /// earlier ones of the prompt.
    pub verdict: Option<Verdict<u32>>,
    /// Where the phone begins that was heard in its place; of a phone that was left out, the next one.
    pub start_secs: f64,
    /// End of the frame that brought this verdict.
    pub at_secs: f64,
}

/// A word of the prompt that has been said.
#[derive(Debug, Clone, PartialEq)]
pub struct PartialWord {
    /// Which one, from 0.
    pub index: usize,
    /// Provisional verdicts, diagnosis and scores.
    pub result: ScoredWord,
    /// End of the frame that brought them.
    pub at_secs: f64,
}
