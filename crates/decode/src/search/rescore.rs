//! Another language model for a lattice.

use super::SearchError;
use super::lattice::{Lattice, LatticeArc};
use super::token::LEAST_SCORE;
use auricle_text::lm::{NgramLm, State};
use std::sync::Arc;

/// The most arcs of a lattice.
const MAX_ARCS: usize = 1 << 24;

impl Lattice {
    /// The lattice with the probabilities of another language model, usually a larger one, in place of those that it was made with,
    /// and its weight λ. Exact within the lattice: nodes are told apart by the states of the new model as well.
    ///
    /// Words that the new model does not have get the probability that the search gives new words.
    ///
    /// # Errors
    /// The lattice becomes too large.
    pub fn rescore(&self, lm: &NgramLm, lm_weight: f32) -> Result<Self, SearchError> {
        let (old, config) = (&self.decoder.lm, &self.decoder.config);
        let old_weight = f64::from(config.lm_weight);
        let weight = f64::from(lm_weight);
        let log = |value: f32| f64::from(value.max(LEAST_SCORE));
        let count = self.frames().len();
        let last = count - 1;
        // Of each node: the state of the old model, which is one, whether nothing has been said, and its new nodes.
        let mut old_states = vec![old.begin(); count];
        let mut is_silent = vec![true; count];
        let mut new_nodes: Vec<Vec<(State, u32)>> = vec![Vec::new(); count];
        new_nodes[0].push((lm.begin(), 0));
        let mut frames = vec![self.frames()[0]];
        let mut arcs: Vec<LatticeArc> = Vec::new();
        for group in self.arcs().chunk_by(|a, b| a.to == b.to) {
            let first = arcs.len();
            for arc in group {
                let (from, to) = (arc.from as usize, arc.to as usize);
                let mut old_log = 0.0;
                let mut old_state = old_states[from];
                if let Some(word) = arc.word {
                    let (own, next) = config.log_probability(old, old_state, self.decoder.tree.unit(word));
                    (old_log, old_state) = (log(own), next);
                }
                // Where nothing is said there is no sentence that could end.
                let silent = is_silent[from] && arc.word.is_none();
                let ends = to == last && !silent;
                if ends {
                    old_log += log(old.end(old_state));
                }
                (old_states[to], is_silent[to]) = (old_state, silent);
                let unit = arc.word.map(|word| lm.unit(self.word(word)));
                for (state, new_from) in new_nodes[from].clone() {
                    let (mut new_log, mut state) = (0.0, state);
                    if let Some(unit) = unit {
                        let (own, next) = config.log_probability(lm, state, unit);
                        (new_log, state) = (log(own), next);
                    }
                    if ends {
                        new_log += log(lm.end(state));
                    }
                    // The end is one, whatever was said.
                    let state = if to == last { State::default() } else { state };
                    let known = new_nodes[to].iter().find(|(own, _)| *own == state).map(|(_, node)| *node);
                    let new_to = known.unwrap_or_else(|| {
                        let node = frames.len() as u32;
                        frames.push(self.frames()[to]);
                        new_nodes[to].push((state, node));
                        node
                    });
                    let more = weight * new_log - old_weight * old_log;
                    let (score, lm_score) = (arc.score + more, arc.lm_score + more as f32);
                    arcs.push(LatticeArc { from: new_from, to: new_to, score, lm_score, ..*arc });
                }
                if arcs.len() > MAX_ARCS {
                    return Err(SearchError::LatticeSize(MAX_ARCS));
                }
            }
            arcs[first..].sort_by_key(|arc| arc.to);
        }
        Ok(Self::new(Arc::clone(&self.decoder), frames, arcs, f32::INFINITY))
    }
}
