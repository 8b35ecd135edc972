//! The graph of one transcript: the part of the denominator that says it.

use super::{Arc, Denominator, Graph, GraphError, Transcript};
use std::collections::BTreeMap;

/// The most states of a numerator.
const MAX_STATES: usize = 1 << 20;

/// The numerator of LF-MMI: transcript and denominator composed.
///
/// All weights are the denominator's, so that every path is one of it with the same probability, and the objective is at most 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Numerator {
    /// States and arcs.
    pub graph: Graph,
    /// Frames of the shortest path.
    pub min_frames: usize,
}

impl Numerator {
    /// The paths of the denominator that say a transcript.
    ///
    /// # Errors
    /// There is none, or there are too many.
    pub fn new(transcript: &Transcript, denominator: &Denominator) -> Result<Self, GraphError> {
        let whole = &denominator.graph;
        let mut numbers = BTreeMap::from([((0u32, 0u32), 0u32)]);
        let mut found = vec![(0u32, 0u32)];
        let mut arcs = Vec::new();
        let mut next = 0;
        while let Some(&(said, state)) = found.get(next) {
            let from = next as u32;
            next += 1;
            let following = &transcript.arcs[said as usize];
            for arc in whole.leaving(state) {
                let after = match whole.states[arc.to as usize].phone {
                    // A blank says nothing.
                    None => said,
                    Some(phone) => match following.binary_search_by_key(&phone, |&(phone, _)| phone) {
                        Ok(place) => following[place].1,
                        Err(_) => continue,
                    },
                };
                let fresh = found.len() as u32;
                let to = *numbers.entry((after, arc.to)).or_insert_with(|| {
                    found.push((after, arc.to));
                    fresh
                });
                arcs.push(Arc { from, to, weight: arc.weight });
            }
            if found.len() > MAX_STATES {
                return Err(GraphError::Size(MAX_STATES));
            }
        }
        let is_end = |&(said, state): &(u32, u32)| {
            if transcript.ends[said as usize] { whole.finals[state as usize] } else { 0.0 }
        };
        let finals: Vec<f64> = found.iter().map(is_end).collect();
        let states = found.iter().map(|&(_, state)| whole.states[state as usize]).collect();
        pruned(Graph { states, arcs, finals })
    }

    /// Whether there are frames enough.
    ///
    /// # Errors
    /// There are not; `millis` is the length of one.
    pub fn check(&self, frames: usize, millis: u32) -> Result<(), GraphError> {
        match self.min_frames > frames {
            true => Err(GraphError::TooShort { needs: self.min_frames, has: frames, millis }),
            false => Ok(()),
        }
    }
}

/// Without the states from which no end can be reached.
fn pruned(graph: Graph) -> Result<Numerator, GraphError> {
    let count = graph.states.len();
    let mut entering: Vec<Vec<u32>> = vec![Vec::new(); count];
    for arc in &graph.arcs {
        entering[arc.to as usize].push(arc.from);
    }
    let mut frames = vec![usize::MAX; count];
    let mut reached: Vec<u32> = (0..count as u32).filter(|&i| graph.finals[i as usize] > 0.0).collect();
    reached.iter().for_each(|&i| frames[i as usize] = 0);
    let mut next = 0;
    while let Some(&state) = reached.get(next) {
        next += 1;
        for &before in &entering[state as usize] {
            if frames[before as usize] == usize::MAX {
                frames[before as usize] = frames[state as usize] + 1;
                reached.push(before);
            }
        }
    }
    let min_frames = frames[0];
    if min_frames == usize::MAX {
        return Err(GraphError::Impossible);
    }
    let mut numbers = vec![u32::MAX; count];
    let mut kept = Graph::default();
    for i in (0..count).filter(|&i| frames[i] < usize::MAX) {
        numbers[i] = kept.states.len() as u32;
        kept.states.push(graph.states[i]);
        kept.finals.push(graph.finals[i]);
    }
    let renumbered = graph.arcs.into_iter().map(|arc| Arc {
        from: numbers[arc.from as usize],
        to: numbers[arc.to as usize],
        ..arc
    });
    kept.arcs = renumbered.filter(|arc| arc.from < u32::MAX && arc.to < u32::MAX).collect();
    Ok(Numerator { graph: kept, min_frames })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Outputs, Topology};
    use auricle_text::Phone::{self, Ah, B, Dh};
    use auricle_text::phone_lm::{PhoneLm, PhoneLmConfig};
    use auricle_text::units::{SILENCE, UNITS, units_of};

    fn lm() -> PhoneLm {
        let [ah, b, dh] = [Ah, B, Dh].map(|phone: Phone| phone.index() as u16);
        let texts: [&[u16]; 4] =
            [&[SILENCE, b, ah, dh, ah, SILENCE], &[b, ah, ah, b], &[ah, b, b, ah, SILENCE], &[dh, ah, b, ah]];
        PhoneLm::estimate(texts, UNITS, PhoneLmConfig::default()).unwrap()
    }

    /// Probability of a sequence of states of a graph, loops not counted.
    fn total(graph: &Graph) -> BTreeMap<Vec<u16>, f64> {
        let mut all = BTreeMap::new();
        let mut paths = vec![(0u32, Vec::new(), 1.0)];
        while let Some((state, phones, weight)) = paths.pop() {
            if graph.finals[state as usize] > 0.0 {
                *all.entry(phones.clone()).or_default() += weight;
            }
            for arc in graph.leaving(state) {
                let mut phones = phones.clone();
                phones.extend(graph.states[arc.to as usize].phone);
                if phones.len() <= 8 {
                    paths.push((arc.to, phones, weight * arc.weight));
                }
            }
        }
        all
    }

    #[test]
    fn every_path_is_one_of_the_denominator_with_its_probability() {
        let denominator = Denominator::new(&lm(), &Outputs::mono(Topology::Chain, UNITS));
        let all = total(&denominator.graph);
        let b = [vec![B], vec![B, Ah]];
        let the = [vec![Dh, Ah], vec![B, Ah], vec![Ah, B]];
        let transcript = Transcript::new(&[("b", &b), ("the", &the)], true).unwrap();
        let numerator = Numerator::new(&transcript, &denominator).unwrap();
        let own = total(&numerator.graph);
        assert!(!own.is_empty());
        for (phones, weight) in &own {
            assert_eq!(all.get(phones), Some(weight), "{phones:?}");
        }
        assert_eq!(numerator.min_frames, own.keys().map(Vec::len).min().unwrap());
        // Nothing leads nowhere: from every state there is an arc or an end.
        for (i, end) in numerator.graph.finals.iter().enumerate() {
            assert!(*end > 0.0 || !numerator.graph.leaving(i as u32).is_empty());
        }
        let error = numerator.check(numerator.min_frames - 1, 30).unwrap_err().to_string();
        assert!(error.contains("frames of 30 ms, has"), "{error}");
        assert!(numerator.check(numerator.min_frames, 30).is_ok());
    }

    #[test]
    fn ctc_needs_a_frame_more_between_equal_phones() {
        let denominator = Denominator::new(&lm(), &Outputs::mono(Topology::Ctc, UNITS));
        let numerator = |phones: Vec<Phone>| {
            let pronunciations = [phones];
            let transcript = Transcript::new(&[("w", &pronunciations)], false).unwrap();
            Numerator::new(&transcript, &denominator).unwrap().min_frames
        };
        assert_eq!((numerator(vec![B, Ah]), numerator(vec![Ah, B, B, Ah])), (2, 5));
    }

    #[test]
    fn what_the_language_model_does_not_know_is_an_answer() {
        let denominator = Denominator::new(&lm(), &Outputs::mono(Topology::Chain, UNITS));
        let unknown = [vec![Dh, Dh]];
        let transcript = Transcript::new(&[("dhdh", &unknown)], true).unwrap();
        assert_eq!(Numerator::new(&transcript, &denominator), Err(GraphError::Impossible));
        assert_eq!(units_of(&[Dh]).count(), 1);
    }
}
