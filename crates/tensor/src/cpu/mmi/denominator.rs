//! The leaky forward–backward pass through the denominator for several utterances at once.
//!
//! Every arc into a state emits the same output, so emissions and posteriors belong to states and not to arcs: an arc costs one
//! multiplication and addition in either direction. A value is a row of [`LANES`] utterances.
//!
//! With `x(t, n) = exp(y(t, n))`, `tot(t) = Σ_i α(t, i)` and `α'(t, i) = α(t, i) + η·tot(t)·π_i`:
//!
//! ```text
//! α(t+1, j) = (Σ_i w_ij·α'(t, i)·x(t, enter_j) + s_j·α'(t, j)·x(t, stay_j)) / tot(t)
//! ln P      = ln Σ_i α'(T, i)·f_i + Σ_t ln tot(t)
//! β'(t, i)  = s_i·β(t+1, i)·x(t, stay_i)/tot(t) + Σ_j w_ij·β(t+1, j)·x(t, enter_j)/tot(t)
//! β(t, i)   = β'(t, i) + η·Σ_j π_j·β'(t, j)
//! ```
//!
//! `α(t+1, j)·β(t+1, j)` is the posterior of being in `j` after frame `t`, of which `s_j·α'(t, j)·x(t, stay_j)·β(t+1, j)/tot(t)` are those
//! who stayed.
//!
//! Subnormal numbers, which are slow, do not occur with a leak: no value falls below the share that leaks to its state.

use super::{RANGE, Utterance};
use crate::cpu::math::{exp, fma};
use crate::cpu::simd;
use crate::options::{Arcs, DenGraph};

/// Utterances that go through the graph at once: as many as one vector of the machine holds.
pub const LANES: usize = 8;

/// A value of each lane.
pub type Row = [f32; LANES];

/// `ln P` of each lane. Posteriors are added to `posteriors`, a `[T, N]` per lane.
///
/// A lane is NaN where it cannot be computed: a logit is no number, or nothing is left of a graph without leak.
pub fn forward_backward(
    graph: &DenGraph,
    lanes: &[Utterance<'_>],
    leak: f32,
    mut posteriors: Vec<&mut [f32]>,
) -> Vec<f64> {
    let states = graph.num_states();
    let frames = lanes.iter().map(|lane| lane.frames).max().unwrap_or(0);
    let mut alphas = vec![[0f32; LANES]; (frames + 1) * states];
    let mut totals = vec![[1f32; LANES]; frames + 1];
    let mut x = vec![[0f32; LANES]; graph.outputs()];
    for (row, &initial) in alphas.iter_mut().zip(&graph.initial) {
        *row = [initial; LANES];
    }
    totals[0] = [graph.initial.iter().sum(); LANES];
    add_leak(&mut alphas[..states], &graph.leak, &totals[0].map(|total| leak * total));
    let mut ends = [f64::NAN; LANES];
    let mut logs = [0f64; LANES];
    end_lanes(graph, lanes, 0, &alphas[..states], &logs, &mut ends);
    for t in 0..frames {
        emissions(lanes, t, &mut x);
        let (before, after) = alphas[t * states..][..2 * states].split_at_mut(states);
        let total = forward_frame(
            after,
            before,
            &graph.incoming,
            &graph.emitted,
            &graph.stay_weights,
            &x,
            &totals[t].map(f32::recip),
        );
        totals[t + 1] = total;
        add_leak(after, &graph.leak, &total.map(|total| leak * total));
        for (log, total) in logs.iter_mut().zip(&totals[t]) {
            *log += f64::from(*total).ln();
        }
        end_lanes(graph, lanes, t + 1, after, &logs, &mut ends);
    }

    // β' of the frame after, without what leaks, which `leaked` adds.
    let mut betas = vec![[0f32; LANES]; states];
    let mut leaked = [0f32; LANES];
    let mut entering = vec![[0f32; LANES]; states];
    let mut gamma = vec![[0f32; LANES]; graph.outputs()];
    for t in (0..frames).rev() {
        begin_lanes(
            graph,
            lanes,
            t + 1,
            &alphas[(t + 1) * states..][..states],
            leak,
            &mut betas,
            &mut leaked,
        );
        emissions(lanes, t, &mut x);
        gamma.fill([0.0; LANES]);
        let (before, after) = alphas[t * states..][..2 * states].split_at(states);
        spread(
            &mut betas,
            &mut entering,
            &mut gamma,
            [before, after],
            &graph.emitted,
            &graph.stay_weights,
            &graph.leak,
            &x,
            &totals[t].map(f32::recip),
            &totals[t + 1].map(|total| leak * total),
            &leaked,
        );
        leaked = backward_frame(&mut betas, &entering, &graph.outgoing, &graph.leak).map(|sum| leak * sum);
        for (lane, (utterance, posteriors)) in lanes.iter().zip(&mut posteriors).enumerate() {
            if t < utterance.frames {
                let row = &mut posteriors[t * utterance.outputs..][..utterance.outputs];
                row.iter_mut().zip(&gamma).for_each(|(to, gamma)| *to = gamma[lane]);
                // What was lost in the recursion would be a wrong gradient.
                let sum: f32 = row.iter().sum();
                let is_whole = (sum - 1.0).abs() < 0.01;
                if t == 0 && !is_whole {
                    ends[lane] = f64::NAN;
                }
            }
        }
    }
    ends[..lanes.len()].to_vec()
}

/// `exp(y(t, n))`; 1 for lanes that have ended or are empty.
fn emissions(lanes: &[Utterance<'_>], t: usize, x: &mut [Row]) {
    for lane in 0..LANES {
        match lanes.get(lane).filter(|utterance| t < utterance.frames) {
            Some(utterance) => {
                let row = &utterance.logits[t * utterance.outputs..][..utterance.outputs];
                x.iter_mut().zip(row).for_each(|(x, &y)| x[lane] = y);
            }
            None => x.iter_mut().for_each(|x| x[lane] = 0.0),
        }
    }
    exponentials(x);
}

/// `ln P` of the lanes whose frames are all done.
fn end_lanes(
    graph: &DenGraph,
    lanes: &[Utterance<'_>],
    t: usize,
    alphas: &[Row],
    logs: &[f64; LANES],
    ends: &mut [f64; LANES],
) {
    for (lane, _) in lanes.iter().enumerate().filter(|(_, lane)| lane.frames == t) {
        ends[lane] = final_sum(graph, alphas, lane).ln() + logs[lane];
    }
}

/// Σ_i α'(T, i)·f_i.
fn final_sum(graph: &DenGraph, alphas: &[Row], lane: usize) -> f64 {
    alphas.iter().zip(&graph.finals).map(|(row, &weight)| f64::from(row[lane]) * f64::from(weight)).sum()
}

/// β' of the lanes that end here, going backwards: `f_i / Σ α'·f`.
fn begin_lanes(
    graph: &DenGraph,
    lanes: &[Utterance<'_>],
    t: usize,
    alphas: &[Row],
    leak: f32,
    betas: &mut [Row],
    leaked: &mut Row,
) {
    for (lane, _) in lanes.iter().enumerate().filter(|(_, lane)| lane.frames == t) {
        let scale = final_sum(graph, alphas, lane).recip();
        let mut sum = 0.0;
        for ((beta, &weight), &target) in betas.iter_mut().zip(&graph.finals).zip(&graph.leak) {
            beta[lane] = (f64::from(weight) * scale) as f32;
            sum += f64::from(beta[lane]) * f64::from(target);
        }
        leaked[lane] = leak * sum as f32;
    }
}

simd! {
    /// `x ← exp(x)`, clamped.
    pub fn exponentials(x: &mut [Row]) {
        for x in x.as_flattened_mut() {
            // NaN passes through a clamp.
            *x = exp::<FMA>(x.clamp(-RANGE, RANGE));
        }
    }

    /// `α' = α + η·tot·π`.
    pub fn add_leak(alphas: &mut [Row], target: &[f32], amount: &Row) {
        for (row, &target) in alphas.iter_mut().zip(target) {
            for lane in 0..LANES {
                row[lane] = fma::<FMA>(target, amount[lane], row[lane]);
            }
        }
    }

    /// α of the next frame, without what leaks; gives its sum.
    pub fn forward_frame(
        after: &mut [Row],
        before: &[Row],
        incoming: &Arcs<f32>,
        emitted: &[[u32; 2]],
        stay_weights: &[f32],
        x: &[Row],
        scale: &Row,
    ) -> Row {
        let mut sum = [0f32; LANES];
        let states = before.len();
        let (after, emitted, stay_weights) = (&mut after[..states], &emitted[..states], &stay_weights[..states]);
        for state in 0..states {
            let mut entering = [0f32; LANES];
            for end in incoming.of(state) {
                let from = &before[end.state as usize];
                for lane in 0..LANES {
                    entering[lane] = fma::<FMA>(end.weight, from[lane], entering[lane]);
                }
            }
            let [enter, stay] = emitted[state];
            let (enter, stay) = (&x[enter as usize], &x[stay as usize]);
            let (own, weight) = (&before[state], stay_weights[state]);
            for lane in 0..LANES {
                let staying = weight * own[lane] * stay[lane];
                let alpha = fma::<FMA>(entering[lane], enter[lane], staying) * scale[lane];
                after[state][lane] = alpha;
                sum[lane] += alpha;
            }
        }
        sum
    }

    /// From β' after a frame (with `leaked` still to be added): what goes into each state on entering, what stays (to `betas`), and
    /// posteriors of the outputs.
    pub fn spread(
        betas: &mut [Row],
        entering: &mut [Row],
        gamma: &mut [Row],
        alphas: [&[Row]; 2],
        emitted: &[[u32; 2]],
        stay_weights: &[f32],
        target: &[f32],
        x: &[Row],
        scale: &Row,
        amount: &Row,
        leaked: &Row,
    ) {
        let states = betas.len();
        let [before, after] = alphas.map(|alphas| &alphas[..states]);
        let (emitted, stay_weights, target) = (&emitted[..states], &stay_weights[..states], &target[..states]);
        let entering = &mut entering[..states];
        for state in 0..states {
            let [enter, stay] = emitted[state];
            let (weight, target) = (stay_weights[state], target[state]);
            let (x_enter, x_stay) = (&x[enter as usize], &x[stay as usize]);
            let (mut stayed, mut entered) = ([0f32; LANES], [0f32; LANES]);
            for lane in 0..LANES {
                let beta = betas[state][lane] + leaked[lane];
                let scaled = beta * scale[lane];
                entering[state][lane] = scaled * x_enter[lane];
                let back = weight * scaled * x_stay[lane];
                betas[state][lane] = back;
                let alpha = fma::<FMA>(-target, amount[lane], after[state][lane]);
                stayed[lane] = before[state][lane] * back;
                // What is left by rounding of two equal numbers is nothing.
                entered[lane] = fma::<FMA>(alpha, beta, -stayed[lane]).max(0.0);
            }
            for lane in 0..LANES {
                gamma[enter as usize][lane] += entered[lane];
            }
            for lane in 0..LANES {
                gamma[stay as usize][lane] += stayed[lane];
            }
        }
    }

    /// Adds to β' what leaves each state; gives `Σ_j π_j·β'_j`.
    pub fn backward_frame(betas: &mut [Row], entering: &[Row], outgoing: &Arcs<f32>, target: &[f32]) -> Row {
        let mut sum = [0f32; LANES];
        let target = &target[..betas.len()];
        for state in 0..betas.len() {
            let mut leaving = betas[state];
            for end in outgoing.of(state) {
                let into = &entering[end.state as usize];
                for lane in 0..LANES {
                    leaving[lane] = fma::<FMA>(end.weight, into[lane], leaving[lane]);
                }
            }
            betas[state] = leaving;
            for lane in 0..LANES {
                sum[lane] = fma::<FMA>(target[state], leaving[lane], sum[lane]);
            }
        }
        sum
    }
}
