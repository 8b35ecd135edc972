//! Graphs of phones over the outputs of an acoustic model: everything a phone language model allows, what one transcript
//! allows, and the best path through either.
//!
//! Both kinds of graph share one form, in which an arc costs what its probability is and everything that is emitted belongs
//! to the state that is entered: every arc into a state emits its `enter` output, and its loop the `stay` output.

mod denominator;
mod numerator;
mod topology;
mod transcript;
mod viterbi;

pub use denominator::Denominator;
pub use numerator::Numerator;
pub use topology::{Outputs, Topology};
pub use transcript::Transcript;
pub use viterbi::{PhoneSpan, best_path};

/// Why there is no graph, or no path through it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// A word without pronunciation.
    #[error("`{0}` has no pronunciation; add it to the lexicon")]
    Pronunciation(String),
    /// The phone language model gives no probability to any way to say the text.
    #[error("the phone language model knows no way to say the text; estimate it on this text, too")]
    Impossible,
    /// More states than are reasonable.
    #[error("the graph needs more than {0} states; split the text")]
    Size(usize),
    /// Fewer frames than the shortest way to say the text.
    #[error("needs {needs} frames of {millis} ms, has {has}; drop the utterance, or correct its text")]
    TooShort {
        /// Frames of the shortest path.
        needs: usize,
        /// Frames that there are.
        has: usize,
        /// Length of a frame.
        millis: u32,
    },
    /// Scores that are not a whole number of frames.
    #[error("{values} scores are no whole number of frames of {outputs} outputs")]
    Scores {
        /// How many there are.
        values: usize,
        /// Outputs of a frame.
        outputs: usize,
    },
    /// A stored table that does not fit.
    #[error("outputs of the acoustic model: {0}")]
    Outputs(String),
}

/// A state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State {
    /// The phone that is said in it; none at the beginning and for the blank of CTC.
    pub phone: Option<u16>,
    /// Output of every arc into it.
    pub enter: u32,
    /// Output while it stays.
    pub stay: u32,
    /// Probability of staying.
    pub stay_weight: f64,
}

/// An arc.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arc {
    /// State before.
    pub from: u32,
    /// State after.
    pub to: u32,
    /// Probability.
    pub weight: f64,
}

/// States and arcs, the arcs in the order of the states that they leave. Paths begin in state 0.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Graph {
    /// States.
    pub states: Vec<State>,
    /// Arcs other than loops.
    pub arcs: Vec<Arc>,
    /// Weight of ending in each state.
    pub finals: Vec<f64>,
}

impl Graph {
    /// Arcs that leave a state.
    pub fn leaving(&self, state: u32) -> &[Arc] {
        let first = self.arcs.partition_point(|arc| arc.from < state);
        let last = self.arcs.partition_point(|arc| arc.from <= state);
        self.arcs.get(first..last).unwrap_or_default()
    }

    /// Number of arcs with loops.
    pub fn num_arcs(&self) -> usize {
        self.arcs.len() + self.states.iter().filter(|state| state.stay_weight > 0.0).count()
    }
}
