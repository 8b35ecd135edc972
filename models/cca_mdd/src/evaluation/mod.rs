//! How well a model judges pronunciation: its verdicts on a labelled set, counted.

mod evaluate;
mod scores;
mod simulated;
mod tally;

pub use evaluate::{EvaluationConfig, EvaluationError, evaluate};
pub use scores::{
    BestThreshold, Detected, Diagnosed, Evaluation, Graded, GroupScores, Other, PhoneScores, Rates,
    Simulation, Waits,
};
