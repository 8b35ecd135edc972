//! The graph of everything that a phone language model allows.

use super::{Arc, Graph, Outputs, State, Topology};
use auricle_text::phone_lm::PhoneLm;
use std::collections::BTreeMap;

/// Steps over which the distribution of a path's place is averaged.
const STEPS: usize = 100;

/// The denominator of LF-MMI, which is also a free phone loop.
///
/// A state is a state of the language model together with the phone that was said last and its outputs; from order 3 on the
/// former tells the latter, except after the beginning. An arc has the probability that the phone before ends times
/// `P(phone | history)`. No arc is empty, and nothing is minimised: states with one label each are what makes the forward–backward
/// pass cheap.
#[derive(Debug, Clone, PartialEq)]
pub struct Denominator {
    /// States and arcs; every state is an end of weight 1.
    pub graph: Graph,
    /// State of the language model of each state.
    pub lm_states: Vec<u32>,
    /// The distribution of the place in the middle of a text: the average over 100 steps from the beginning.
    pub occupancy: Vec<f64>,
}

/// What makes two states one.
type Identity = (u32, Option<u16>, [u32; 2]);

impl Denominator {
    /// The graph of a language model over outputs of as many units.
    pub fn new(lm: &PhoneLm, outputs: &Outputs) -> Self {
        let mut builder = Builder::default();
        let start = (0, None, outputs.blank().map_or([0, 0], |blank| [blank, blank]));
        builder.number(start);
        let mut arcs = Vec::new();
        let mut next = 0;
        while let Some(&(lm_state, phone, own)) = builder.found.get(next) {
            let from = next as u32;
            next += 1;
            let Some(state) = lm.states().get(lm_state as usize) else { continue };
            // What ends the phone before, CTC's phones and blanks at no cost.
            let leave = match (outputs.topology(), phone) {
                (Topology::Ctc, _) | (_, None) => 1.0,
                (Topology::Chain | Topology::ChainOne, Some(_)) => 0.5,
            };
            let before = state.history.last().copied().flatten();
            let total = state.total() as f64;
            for arc in &state.arcs {
                // Equal neighbours of CTC are parted by a blank.
                if outputs.blank().is_some() && phone == Some(arc.phone) {
                    continue;
                }
                let to = builder.number((arc.to, Some(arc.phone), outputs.of(before, arc.phone)));
                arcs.push(Arc { from, to, weight: leave * arc.count as f64 / total });
            }
            if let (Some(blank), Some(_)) = (outputs.blank(), phone) {
                let to = builder.number((lm_state, None, [blank, blank]));
                arcs.push(Arc { from, to, weight: 1.0 });
            }
            let stay_weight = match (outputs.topology(), phone) {
                (Topology::Ctc, _) => 1.0,
                (_, None) => 0.0,
                (_, Some(_)) => 0.5,
            };
            builder.states.push(State { phone, enter: own[0], stay: own[1], stay_weight });
        }
        let Builder { states, found, .. } = builder;
        let finals = vec![1.0; states.len()];
        let lm_states: Vec<u32> = found.iter().map(|&(state, ..)| state).collect();
        let graph = Graph { states, arcs, finals };
        let ends: Vec<f64> = lm_states
            .iter()
            .map(|&state| lm.states().get(state as usize).map_or(0.0, |s| s.ends as f64 / s.total() as f64))
            .collect();
        let occupancy = occupancy(&graph, &ends);
        Self { graph, lm_states, occupancy }
    }

    /// All mass on the state in which paths begin.
    pub fn start(&self) -> Vec<f64> {
        let mut start = vec![0.0; self.graph.states.len()];
        if let Some(first) = start.first_mut() {
            *first = 1.0;
        }
        start
    }
}

#[derive(Default)]
struct Builder {
    numbers: BTreeMap<Identity, u32>,
    found: Vec<Identity>,
    states: Vec<State>,
}

impl Builder {
    fn number(&mut self, identity: Identity) -> u32 {
        let fresh = self.found.len() as u32;
        *self.numbers.entry(identity).or_insert_with(|| {
            self.found.push(identity);
            fresh
        })
    }
}

/// The average over [`STEPS`] steps of the distribution of the place, each normalised; `ends` are the probabilities of an end of
/// the text, which count among a state's outgoing weights.
fn occupancy(graph: &Graph, ends: &[f64]) -> Vec<f64> {
    let count = graph.states.len();
    let mut leaving: Vec<f64> =
        graph.states.iter().zip(ends).map(|(state, end)| state.stay_weight + end).collect();
    for arc in &graph.arcs {
        leaving[arc.from as usize] += arc.weight;
    }
    let mut now = vec![0.0; count];
    if let Some(first) = now.first_mut() {
        *first = 1.0;
    }
    let mut sum = vec![0.0; count];
    for _ in 0..STEPS {
        sum.iter_mut().zip(&now).for_each(|(sum, now)| *sum += now / STEPS as f64);
        let mut next = vec![0.0; count];
        for (i, state) in graph.states.iter().enumerate() {
            next[i] += now[i] * state.stay_weight / leaving[i];
        }
        for arc in &graph.arcs {
            let from = arc.from as usize;
            next[arc.to as usize] += now[from] * arc.weight / leaving[from];
        }
        let total: f64 = next.iter().sum();
        if total <= 0.0 {
            break;
        }
        next.iter_mut().for_each(|mass| *mass /= total);
        now = next;
    }
    let total: f64 = sum.iter().sum();
    sum.iter_mut().for_each(|mass| *mass /= total);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_text::phone_lm::PhoneLmConfig;

    fn lm(order: usize) -> PhoneLm {
        let texts: [&[u16]; 4] = [&[0, 1, 2, 2], &[1, 1, 0], &[2, 0, 1], &[0, 1]];
        let config = PhoneLmConfig { order, no_prune_order: 2, extra_states: 100 };
        PhoneLm::estimate(texts, 3, config).unwrap()
    }

    #[test]
    fn chain_leaves_every_state_with_all_of_its_probability_but_the_end() {
        for order in [2, 3, 4] {
            let lm = lm(order);
            let Denominator { graph, lm_states, occupancy } =
                Denominator::new(&lm, &Outputs::mono(Topology::Chain, 3));
            assert_eq!(graph.states.len(), lm.states().len(), "the history tells the phone");
            assert_eq!(graph.arcs.len(), lm.num_arcs());
            assert!((occupancy.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            for (i, state) in graph.states.iter().enumerate() {
                let own = &lm.states()[lm_states[i] as usize];
                let end = own.ends as f64 / own.total() as f64;
                let leaving: f64 = graph.leaving(i as u32).iter().map(|arc| arc.weight).sum();
                let share = if i == 0 { 1.0 } else { 0.5 };
                assert!(
                    (leaving - share * (1.0 - end)).abs() < 1e-12 && (state.stay_weight > 0.0) == (i > 0)
                );
            }
        }
    }

    #[test]
    fn ctc_parts_equal_neighbours() {
        let graph = Denominator::new(&lm(3), &Outputs::mono(Topology::Ctc, 3)).graph;
        let blank = 3;
        for arc in &graph.arcs {
            let (from, to) = (graph.states[arc.from as usize], graph.states[arc.to as usize]);
            assert!(from.phone.is_none() || from.phone != to.phone);
            assert_eq!(to.phone.is_none(), to.enter == blank);
        }
        let blanks = graph.states.iter().filter(|state| state.phone.is_none()).count();
        assert_eq!(2 * blanks, graph.states.len() + 1);
    }

    #[test]
    fn context_tells_states_apart_where_the_history_does_not() {
        let texts: [&[u16]; 1] = [&[0, 1, 2, 1, 0, 1, 2, 1]];
        let outputs = Outputs::left(Topology::Chain, 3, texts, 2);
        let mono = Denominator::new(&lm(2), &Outputs::mono(Topology::Chain, 3)).graph;
        let left = Denominator::new(&lm(2), &outputs).graph;
        assert!(left.states.len() > mono.states.len());
        // A graph of a longer history needs none.
        let lm = lm(4);
        assert_eq!(Denominator::new(&lm, &outputs).graph.states.len(), lm.states().len());
    }
}
