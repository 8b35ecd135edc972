//! The best path through a graph.

use super::{Graph, GraphError};

/// A phone with its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhoneSpan {
    /// The phone.
    pub phone: u16,
    /// Its first frame.
    pub start: usize,
    /// The frame after its last.
    pub end: usize,
}

/// The phones of the best path that begins in state 0 and ends in an end, with their frames, and the path's log-score.
///
/// `scores` are the outputs of the acoustic model, log-likelihoods up to a constant per frame, `[T, outputs]`. States whose score
/// falls below the best of a frame by more than `beam` are given up; with an infinite beam the path is the best there is.
///
/// # Errors
/// Scores of another width; no path has as many frames, or the beam has lost all that do.
pub fn best_path(
    graph: &Graph,
    scores: &[f32],
    outputs: usize,
    beam: f32,
) -> Result<(Vec<PhoneSpan>, f64), GraphError> {
    if outputs == 0 || !scores.len().is_multiple_of(outputs) {
        return Err(GraphError::Scores { values: scores.len(), outputs });
    }
    let known = graph.states.iter().all(|state| (state.enter.max(state.stay) as usize) < outputs);
    if !known {
        return Err(GraphError::Scores { values: scores.len(), outputs });
    }
    let count = graph.states.len();
    let mut starts = vec![0u32; count + 1];
    for arc in &graph.arcs {
        starts[arc.from as usize + 1] += 1;
    }
    (0..count).for_each(|i| starts[i + 1] += starts[i]);
    let log_weights: Vec<f32> = graph.arcs.iter().map(|arc| arc.weight.ln() as f32).collect();
    let log_stays: Vec<f32> = graph.states.iter().map(|state| state.stay_weight.ln() as f32).collect();

    let frames = scores.len() / outputs;
    // Of the states that are alive after each frame: the state, and twice the place in the list of the frame before, with 1
    // where it was entered by an arc and not kept by its loop.
    let mut history: Vec<Vec<(u32, u32)>> = Vec::with_capacity(frames);
    let mut alive: Vec<u32> = vec![0];
    let mut now = vec![0f32; 1];
    let mut offset = 0.0f64;
    let mut best = vec![f32::NEG_INFINITY; count];
    let mut from = vec![0u32; count];
    for row in scores.chunks_exact(outputs) {
        let mut reached: Vec<u32> = Vec::with_capacity(alive.len() * 2);
        let mut reach = |state: u32, score: f32, place: usize, entered: bool| {
            let own = &mut best[state as usize];
            if *own == f32::NEG_INFINITY && score > f32::NEG_INFINITY {
                reached.push(state);
            }
            if score > *own {
                *own = score;
                from[state as usize] = (place as u32) << 1 | u32::from(entered);
            }
        };
        for (place, (&state, &score)) in alive.iter().zip(&now).enumerate() {
            let i = state as usize;
            reach(state, score + log_stays[i] + row[graph.states[i].stay as usize], place, false);
            let own = starts[i] as usize..starts[i + 1] as usize;
            for (arc, weight) in graph.arcs[own.clone()].iter().zip(&log_weights[own]) {
                let enter = row[graph.states[arc.to as usize].enter as usize];
                reach(arc.to, score + weight + enter, place, true);
            }
        }
        let top = reached.iter().map(|&state| best[state as usize]).fold(f32::NEG_INFINITY, f32::max);
        alive.clear();
        now.clear();
        let mut kept = Vec::with_capacity(reached.len());
        for &state in &reached {
            let score = std::mem::replace(&mut best[state as usize], f32::NEG_INFINITY);
            if score >= top - beam {
                alive.push(state);
                // Relative to the best, so that precision does not fall with time.
                now.push(score - top);
                kept.push((state, from[state as usize]));
            }
        }
        offset += f64::from(top);
        history.push(kept);
    }
    let ends = alive.iter().zip(&now).enumerate();
    let ends =
        ends.map(|(place, (&state, &score))| (place, score + graph.finals[state as usize].ln() as f32));
    let last =
        ends.filter(|(_, score)| *score > f32::NEG_INFINITY).reduce(|a, b| if b.1 > a.1 { b } else { a });
    let (mut place, score) = last.ok_or(GraphError::Impossible)?;
    let mut spans: Vec<PhoneSpan> = Vec::new();
    let mut is_begun = true;
    for t in (0..frames).rev() {
        let (state, before) = history[t][place];
        if let Some(phone) = graph.states[state as usize].phone {
            if is_begun {
                spans.push(PhoneSpan { phone, start: t, end: t + 1 });
            }
            if let Some(span) = spans.last_mut() {
                span.start = t;
            }
        }
        // Going back, another phone begins where this state was entered.
        is_begun = before & 1 == 1;
        place = (before >> 1) as usize;
    }
    spans.reverse();
    Ok((spans, offset + f64::from(score)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Denominator, Numerator, Outputs, Topology, Transcript};
    use auricle_rng::{Key, Purpose};
    use auricle_text::Phone::{Ah, B, Dh};
    use auricle_text::phone_lm::{PhoneLm, PhoneLmConfig};
    use auricle_text::units::UNITS;

    fn parts(topology: Topology) -> (Outputs, Denominator) {
        let [ah, b, dh] = [Ah, B, Dh].map(|phone| phone.index() as u16);
        let texts: [&[u16]; 3] = [&[b, ah, dh, ah], &[b, ah, ah, b], &[dh, ah, b, ah]];
        let lm = PhoneLm::estimate(texts, UNITS, PhoneLmConfig::default()).unwrap();
        let outputs = Outputs::mono(topology, UNITS);
        let denominator = Denominator::new(&lm, &outputs);
        (outputs, denominator)
    }

    /// The best of all paths, one by one.
    fn slow(graph: &Graph, scores: &[f32], outputs: usize) -> f64 {
        let mut paths = vec![(0usize, 0f64)];
        for row in scores.chunks(outputs) {
            let mut next = Vec::new();
            for (state, score) in paths {
                let own = graph.states[state];
                next.push((state, score + own.stay_weight.ln() + f64::from(row[own.stay as usize])));
                for arc in graph.leaving(state as u32) {
                    let enter = graph.states[arc.to as usize].enter;
                    next.push((arc.to as usize, score + arc.weight.ln() + f64::from(row[enter as usize])));
                }
            }
            next.retain(|(_, score)| score.is_finite());
            paths = next;
        }
        let ended = paths.iter().map(|&(state, score)| score + graph.finals[state].ln());
        ended.fold(f64::NEG_INFINITY, f64::max)
    }

    #[test]
    fn the_best_path_is_the_best_of_all() {
        for topology in [Topology::Chain, Topology::ChainOne, Topology::Ctc] {
            let (outputs, denominator) = parts(topology);
            let pronunciations = [vec![B, Ah], vec![Dh, Ah]];
            let transcript = Transcript::new(&[("w", &pronunciations)], true).unwrap();
            let numerator = Numerator::new(&transcript, &denominator).unwrap();
            for seed in 0..4 {
                let mut stream = Key::new(seed).stream(Purpose::Test);
                let scores: Vec<f32> = (0..6 * outputs.count()).map(|_| stream.normal() as f32).collect();
                for graph in [&denominator.graph, &numerator.graph] {
                    let (spans, score) = best_path(graph, &scores, outputs.count(), f32::INFINITY).unwrap();
                    let best = slow(graph, &scores, outputs.count());
                    assert!((score - best).abs() < 1e-4, "{score} {best}");
                    assert!(spans.iter().all(|span| span.start < span.end && span.end <= 6));
                    if topology != Topology::Ctc {
                        assert!(
                            spans.windows(2).all(|pair| pair[0].end == pair[1].start),
                            "phones fill the time"
                        );
                        assert_eq!((spans[0].start, spans[spans.len() - 1].end), (0, 6));
                    }
                }
            }
        }
    }

    #[test]
    fn phones_lie_where_they_are_heard() {
        let (outputs, denominator) = parts(Topology::Chain);
        let pronunciations = [vec![B, Ah, Ah, B]];
        let transcript = Transcript::new(&[("w", &pronunciations)], false).unwrap();
        let numerator = Numerator::new(&transcript, &denominator).unwrap();
        let said = [(B, 0..2), (Ah, 2..5), (Ah, 5..6), (B, 6..9)];
        let mut scores = vec![-5f32; 9 * outputs.count()];
        for (phone, frames) in said.clone() {
            let [first, other] = outputs.of(None, phone.index() as u16);
            for t in frames.clone() {
                let output = if t == frames.start { first } else { other };
                scores[t * outputs.count() + output as usize] = 5.0;
            }
        }
        let expected: Vec<PhoneSpan> = said
            .iter()
            .map(|(phone, frames)| PhoneSpan {
                phone: phone.index() as u16,
                start: frames.start,
                end: frames.end,
            })
            .collect();
        for graph in [&numerator.graph, &denominator.graph] {
            assert_eq!(best_path(graph, &scores, outputs.count(), 20.0).unwrap().0, expected);
        }
        let short = &scores[..3 * outputs.count()];
        assert_eq!(best_path(&numerator.graph, short, outputs.count(), 20.0), Err(GraphError::Impossible));
        assert!(matches!(best_path(&numerator.graph, &scores[1..], 82, 9.0), Err(GraphError::Scores { .. })));
        assert_eq!(best_path(&denominator.graph, &[], 82, 9.0).unwrap().0, []);
    }
}
