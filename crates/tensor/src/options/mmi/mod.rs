//! Graphs, settings and scores of LF-MMI.

mod graph;

pub(crate) use graph::Arcs;
pub use graph::{DenGraph, MmiArc, MmiGraphError, MmiState, NumGraph};

/// Settings of [`lf_mmi`](crate::ops::lf_mmi).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LfMmiOptions {
    /// Share η of its probability that every denominator state leaks in every frame to the graph's `leak` distribution.
    /// It adds to what the state has: nothing is taken away. Default: 0.1.
    pub leak: f64,
    /// c in the penalty `c·(|y| − 30)²` of logits beyond ±30, which the recursions clamp there. Default: 0.01.
    pub out_of_range: f64,
    /// λ in the penalty `λ·y²` of every valid logit. Default: 0.
    pub square: f64,
}

impl Default for LfMmiOptions {
    fn default() -> Self {
        Self { leak: 0.1, out_of_range: 0.01, square: 0.0 }
    }
}

/// Log-probabilities of one utterance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LfMmiScore {
    /// `ln P` of the transcript's graph; none where the utterance has too few frames for it.
    pub numerator: Option<f64>,
    /// `ln P` of the denominator.
    pub denominator: f64,
}

impl LfMmiScore {
    /// The objective `ln P_num − ln P_den`; 0 where there is no numerator.
    pub fn objective(&self) -> f64 {
        self.numerator.map_or(0.0, |numerator| numerator - self.denominator)
    }
}
