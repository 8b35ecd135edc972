//! The forward–backward pass through one transcript, in double precision and without leak.

use super::{RANGE, Utterance};
use crate::cpu::math::ln_add;
use crate::options::NumGraph;

/// Stands for ln 0: finite, so that differences of two are 0 and not NaN.
const LOG_ZERO: f64 = -1e300;

/// `ln P`, or none where there are too few frames. Posteriors go to `posteriors`, `[T, N]`.
pub fn forward_backward(graph: &NumGraph, utterance: Utterance<'_>, posteriors: &mut [f32]) -> Option<f64> {
    if graph.min_frames() > utterance.frames {
        return None;
    }
    if utterance.logits.iter().any(|y| y.is_nan()) {
        return Some(f64::NAN);
    }
    let passes = Passes { graph, utterance };
    // The parts of a path may differ by more than the range of numbers; logarithms, which are slower, have no such limit.
    Some(match passes.scaled(posteriors) {
        Some(log) => log,
        None => {
            posteriors.fill(0.0);
            passes.logarithmic(posteriors)
        }
    })
}

struct Passes<'a> {
    graph: &'a NumGraph,
    utterance: Utterance<'a>,
}

impl Passes<'_> {
    fn log_emissions(&self, t: usize, into: &mut [f64]) -> f64 {
        let row = &self.utterance.logits[t * self.utterance.outputs..][..self.utterance.outputs];
        let mut largest = f64::NEG_INFINITY;
        for (into, &output) in into.iter_mut().zip(&self.graph.used) {
            *into = f64::from(row[output as usize].clamp(-RANGE, RANGE));
            largest = largest.max(*into);
        }
        largest
    }

    /// Whether an end can be reached from a state with the frames after the first `done`.
    fn can_end(&self, state: usize, done: usize) -> bool {
        self.graph.remaining[state] as usize <= self.utterance.frames - done
    }

    /// With probabilities, scaled in every frame; none where they are lost by that.
    fn scaled(&self, posteriors: &mut [f32]) -> Option<f64> {
        let Self { graph, utterance } = self;
        let (states, frames) = (graph.num_states(), utterance.frames);
        let mut alphas = vec![0f64; (frames + 1) * states];
        let mut scales = vec![0f64; frames];
        let mut x = vec![0f64; frames * graph.used.len()];
        for (state, alpha) in alphas[..states].iter_mut().enumerate() {
            *alpha = if self.can_end(state, 0) { graph.initial[state] } else { 0.0 };
        }
        let mut log = 0.0;
        for t in 0..frames {
            let x = &mut x[t * graph.used.len()..][..graph.used.len()];
            let largest = self.log_emissions(t, x);
            x.iter_mut().for_each(|x| *x = (*x - largest).exp());
            let (before, after) = alphas[t * states..][..2 * states].split_at_mut(states);
            let mut sum = 0.0;
            for state in 0..states {
                if !self.can_end(state, t + 1) {
                    continue;
                }
                let [enter, stay] = graph.emitted[state];
                let arcs = graph.incoming.of(state).iter();
                let entering: f64 = arcs.map(|end| end.weight * before[end.state as usize]).sum();
                let staying = graph.stay_weights[state] * before[state];
                after[state] = entering * x[enter as usize] + staying * x[stay as usize];
                sum += after[state];
            }
            if sum < 1e-200 {
                return None;
            }
            scales[t] = sum.recip();
            after.iter_mut().for_each(|alpha| *alpha *= scales[t]);
            log += sum.ln() + largest;
        }
        let last = &alphas[frames * states..];
        let end: f64 = last.iter().zip(&graph.finals).map(|(alpha, weight)| alpha * weight).sum();
        if end < 1e-200 {
            return None;
        }
        let mut betas: Vec<f64> = graph.finals.iter().map(|weight| weight / end).collect();
        let mut entering = vec![0f64; states];
        for t in (0..frames).rev() {
            let x = &x[t * graph.used.len()..][..graph.used.len()];
            let (before, after) = alphas[t * states..][..2 * states].split_at(states);
            let row = &mut posteriors[t * utterance.outputs..][..utterance.outputs];
            for state in 0..states {
                let [enter, stay] = graph.emitted[state];
                let scaled = betas[state] * scales[t];
                entering[state] = scaled * x[enter as usize];
                let back = graph.stay_weights[state] * scaled * x[stay as usize];
                let stayed = before[state] * back;
                let entered = (after[state] * betas[state] - stayed).max(0.0);
                betas[state] = back;
                if entered > 0.0 {
                    row[graph.used[enter as usize] as usize] += entered as f32;
                }
                if stayed > 0.0 {
                    row[graph.used[stay as usize] as usize] += stayed as f32;
                }
            }
            for (state, beta) in betas.iter_mut().enumerate() {
                let arcs = graph.outgoing.of(state).iter();
                *beta += arcs.map(|end| end.weight * entering[end.state as usize]).sum::<f64>();
            }
        }
        let begin: f64 = alphas[..states].iter().zip(&betas).map(|(alpha, beta)| alpha * beta).sum();
        // Both directions see the same paths, unless one of them has lost some.
        ((begin - 1.0).abs() < 1e-6).then(|| log + end.ln())
    }

    /// With logarithms of probabilities.
    fn logarithmic(&self, posteriors: &mut [f32]) -> f64 {
        let Self { graph, utterance } = self;
        let (states, frames) = (graph.num_states(), utterance.frames);
        let ln = |weight: f64| if weight > 0.0 { weight.ln() } else { LOG_ZERO };
        let add = |a: f64, b: f64| ln_add::<false>(a, b, LOG_ZERO);
        let mut alphas = vec![LOG_ZERO; (frames + 1) * states];
        let mut x = vec![0f64; graph.used.len()];
        alphas.iter_mut().zip(&graph.initial).for_each(|(alpha, &weight)| *alpha = ln(weight));
        for t in 0..frames {
            self.log_emissions(t, &mut x);
            let (before, after) = alphas[t * states..][..2 * states].split_at_mut(states);
            for state in 0..states {
                let [enter, stay] = graph.emitted[state];
                let arcs = graph.incoming.of(state).iter();
                let entering =
                    arcs.map(|end| before[end.state as usize] + ln(end.weight)).fold(LOG_ZERO, add);
                let staying = before[state] + ln(graph.stay_weights[state]);
                after[state] = add(entering + x[enter as usize], staying + x[stay as usize]);
            }
        }
        let last = alphas[frames * states..].iter().zip(&graph.finals);
        let log = last.map(|(alpha, &weight)| alpha + ln(weight)).fold(LOG_ZERO, add);
        let mut betas: Vec<f64> = graph.finals.iter().map(|&weight| ln(weight) - log).collect();
        let mut entering = vec![LOG_ZERO; states];
        for t in (0..frames).rev() {
            self.log_emissions(t, &mut x);
            let (before, after) = alphas[t * states..][..2 * states].split_at(states);
            let row = &mut posteriors[t * utterance.outputs..][..utterance.outputs];
            for state in 0..states {
                let [enter, stay] = graph.emitted[state];
                entering[state] = betas[state] + x[enter as usize];
                let back = betas[state] + ln(graph.stay_weights[state]) + x[stay as usize];
                let stayed = (before[state] + back).exp();
                let occupied = (after[state] + betas[state]).exp();
                betas[state] = back;
                row[graph.used[enter as usize] as usize] += (occupied - stayed).max(0.0) as f32;
                row[graph.used[stay as usize] as usize] += stayed as f32;
            }
            for (state, beta) in betas.iter_mut().enumerate() {
                let arcs = graph.outgoing.of(state).iter();
                let leaving = arcs.map(|end| ln(end.weight) + entering[end.state as usize]);
                *beta = leaving.fold(*beta, add);
            }
        }
        log
    }
}
