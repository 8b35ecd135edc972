use auricle_tensor::ops::{DenGraph, LfMmiOptions, LfMmiOutput, MmiArc, MmiState, NumGraph, lf_mmi};
use burn::tensor::{DType, Tensor};
use std::slice::from_ref;
use std::sync::Arc;

use crate::common::{constant, leaf, normal, on, values};

const OUTPUTS: usize = 4;

fn state(enter: u32, stay: u32, stay_weight: f64) -> MmiState {
    MmiState { enter, stay, stay_weight }
}

fn arc(from: u32, to: u32, weight: f64) -> MmiArc {
    MmiArc { from, to, weight }
}

/// A graph in pieces, for the slow program.
#[derive(Clone)]
struct Pieces {
    states: Vec<MmiState>,
    arcs: Vec<MmiArc>,
    initial: Vec<f64>,
    leak: Vec<f64>,
    finals: Vec<f64>,
}

impl Pieces {
    /// The graph whose values were computed by hand.
    fn small() -> Self {
        Self {
            states: vec![state(0, 0, 0.0), state(0, 2, 0.5), state(1, 3, 0.5)],
            arcs: vec![
                arc(0, 1, 0.6),
                arc(0, 2, 0.4),
                arc(1, 2, 0.3),
                arc(1, 1, 0.2),
                arc(2, 0, 0.0),
                arc(2, 2, 0.0),
            ],
            initial: vec![0.5, 0.3, 0.2],
            leak: vec![0.5, 0.3, 0.2],
            finals: vec![1.0; 3],
        }
    }

    fn den(&self) -> Arc<DenGraph> {
        let Self { states, arcs, initial, leak, finals } = self;
        Arc::new(DenGraph::new(OUTPUTS, states, arcs, initial, leak, finals).unwrap())
    }

    fn num(&self) -> Arc<NumGraph> {
        let Self { states, arcs, initial, finals, .. } = self;
        Arc::new(NumGraph::new(OUTPUTS, states, arcs, initial, finals).unwrap())
    }

    /// `ln P`, and the posteriors, by going through all paths one by one.
    fn enumerate(&self, y: &[f64]) -> (f64, Vec<f64>) {
        let frames = y.len() / OUTPUTS;
        let mut posteriors = vec![0.0; y.len()];
        let mut total = 0.0;
        // Paths so far: state, weight, outputs.
        let mut paths: Vec<(usize, f64, Vec<usize>)> =
            (0..self.states.len()).map(|i| (i, self.initial[i], vec![])).collect();
        for t in 0..frames {
            let mut next = Vec::new();
            for (at, weight, outputs) in &paths {
                let mut go = |to: usize, w: f64, n: u32| {
                    if weight * w > 0.0 {
                        let mut outputs = outputs.clone();
                        outputs.push(n as usize);
                        next.push((to, weight * w * y[t * OUTPUTS + n as usize].exp(), outputs));
                    }
                };
                for arc in self.arcs.iter().filter(|arc| arc.from as usize == *at) {
                    go(arc.to as usize, arc.weight, self.states[arc.to as usize].enter);
                }
                go(*at, self.states[*at].stay_weight, self.states[*at].stay);
            }
            paths = next;
        }
        for (at, weight, outputs) in &paths {
            let weight = weight * self.finals[*at];
            total += weight;
            outputs.iter().enumerate().for_each(|(t, n)| posteriors[t * OUTPUTS + n] += weight);
        }
        posteriors.iter_mut().for_each(|p| *p /= total);
        (total.ln(), posteriors)
    }
}

fn options(leak: f64) -> LfMmiOptions {
    LfMmiOptions { leak, ..LfMmiOptions::default() }
}

/// Scores, numerator posteriors and the gradient of the sum of losses; utterances may differ in length.
fn run(
    logits: &[Vec<f64>],
    den: &Arc<DenGraph>,
    nums: &[Arc<NumGraph>],
    weights: &[f32],
    options: LfMmiOptions,
    padding: f64,
) -> (LfMmiOutput, Vec<Vec<f64>>) {
    let lengths: Vec<usize> = logits.iter().map(|y| y.len() / OUTPUTS).collect();
    let frames = lengths.iter().copied().max().unwrap();
    let mut all = Vec::new();
    for y in logits {
        all.extend_from_slice(y);
        all.resize(all.len() + frames * OUTPUTS - y.len(), padding);
    }
    let x = leaf(&all, DType::F32);
    let output =
        lf_mmi(x.clone().reshape([logits.len(), frames, OUTPUTS]), &lengths, den, nums, weights, options);
    let grads = output.loss.clone().sum().backward();
    let gradient = values(x.grad(&grads).unwrap());
    let rows = gradient.chunks(frames * OUTPUTS).zip(&lengths);
    let rows = rows
        .map(|(row, &length)| {
            assert!(row[length * OUTPUTS..].iter().all(|&g| g == 0.0), "a gradient in padding");
            row[..length * OUTPUTS].to_vec()
        })
        .collect();
    (output, rows)
}

/// The vectors of the specification, of which an arc from 1 to itself and one from 2 to 1 are by hand here.
#[test]
fn values_by_hand() {
    let mut graph = Pieces::small();
    graph.arcs = vec![arc(0, 1, 0.6), arc(0, 2, 0.4), arc(1, 2, 0.3), arc(1, 1, 0.2), arc(2, 1, 0.5)];
    let y = [
        [0.001, 0.299, -0.274, -0.891],
        [-0.455, -0.992, 0.06, 1.34],
        [-0.492, -0.62, 0.49, 0.357],
        [0.105, -0.93, -0.029, 0.695],
        [-1.344, -0.458, -1.901, -1.29],
    ]
    .concat();
    let (exact, _) = graph.enumerate(&y);
    assert!((exact - -0.668_670_164_499).abs() < 1e-11, "{exact}");
    let num = graph.num();
    for (leak, log, rows) in [
        (
            0.1,
            -0.149_173_443_305,
            Some([[0.242253, 0.631497, 0.060003, 0.066247], [0.300477, 0.372745, 0.131665, 0.195113]]),
        ),
        (0.0, -0.668_670_164_499, None),
    ] {
        let (output, gradient) = run(from_ref(&y), &graph.den(), from_ref(&num), &[1.0], options(leak), 0.0);
        let score = output.scores[0];
        assert!((score.denominator - log).abs() < 1e-5, "{} at leak {leak}", score.denominator);
        // The logits are rounded to single precision.
        assert!((score.numerator.unwrap() - exact).abs() < 1e-6);
        // The gradient is γ_den − γ_num.
        let numerator = values(output.posteriors);
        if let Some([first, last]) = rows {
            for n in 0..OUTPUTS {
                assert!((gradient[0][n] + numerator[n] - first[n]).abs() < 2e-5);
                assert!((gradient[0][16 + n] + numerator[16 + n] - last[n]).abs() < 2e-5);
            }
        } else {
            assert!(gradient[0].iter().all(|g| g.abs() < 1e-6), "equal graphs, and a gradient");
        }
    }
}

/// A graph of `n` states with random arcs, loops and outputs.
fn random(n: usize, seed: u64) -> Pieces {
    let mut numbers = normal(8 * n * n, seed).into_iter().map(f64::abs);
    let mut next = || numbers.next().unwrap();
    let states = (0..n)
        .map(|i| {
            state(
                (next() * 10.0) as u32 % 4,
                (next() * 10.0) as u32 % 4,
                if i > 0 { 0.3 * next() } else { 0.0 },
            )
        })
        .collect();
    let mut arcs = Vec::new();
    for from in 0..n as u32 {
        for to in 0..n as u32 {
            if next() > 0.5 || to == from + 1 {
                arcs.push(arc(from, to, 0.5 * next()));
            }
        }
    }
    let mut initial = vec![0.0; n];
    initial[0] = 1.0;
    let leak: Vec<f64> = (0..n).map(|_| next() / n as f64).collect();
    Pieces { states, arcs, initial, leak, finals: vec![1.0; n] }
}

/// The transcript's part of a graph: only some arcs, and an end in the last state only.
fn part(graph: &Pieces) -> Pieces {
    let mut part = graph.clone();
    part.arcs.retain(|arc| arc.to > arc.from);
    part.finals
        .iter_mut()
        .enumerate()
        .for_each(|(i, f)| *f = f64::from(u8::from(i + 1 == graph.states.len())));
    part
}

#[test]
fn equal_to_the_sum_over_all_paths() {
    for seed in 0..6 {
        let graph = random(4, seed);
        let numerator = part(&graph);
        for frames in [1, 2, 5] {
            let y = normal(frames * OUTPUTS, 10 + seed);
            let (den, den_posteriors) = graph.enumerate(&y);
            let (num, num_posteriors) = numerator.enumerate(&y);
            let (output, gradient) =
                run(&[y], &graph.den(), &[numerator.num()], &[1.0], options(0.0), f64::NAN);
            let score = output.scores[0];
            assert!((score.denominator - den).abs() < 1e-5, "{} {den}", score.denominator);
            let Some(own) = score.numerator else {
                assert_eq!(num, f64::NEG_INFINITY);
                assert!(frames < numerator.num().min_frames() && gradient[0].iter().all(|&g| g == 0.0));
                continue;
            };
            assert!((own - num).abs() < 1e-9, "{own} {num}");
            assert!(score.objective() <= 1e-6, "a part is not more than the whole");
            for (i, g) in gradient[0].iter().enumerate() {
                assert!((g - (den_posteriors[i] - num_posteriors[i])).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn posteriors_sum_to_one_and_gradients_are_finite_differences() {
    let graph = random(6, 3);
    let numerator = part(&graph).num();
    let y = normal(9 * OUTPUTS, 4);
    let with = LfMmiOptions { square: 0.02, ..options(0.1) };
    let loss = |y: &[f64]| {
        let (output, gradient) = run(&[y.to_vec()], &graph.den(), from_ref(&numerator), &[0.7], with, 0.0);
        let score = output.scores[0];
        let square: f64 = y.iter().map(|y| 0.02 * y * y).sum();
        let exact = -0.7 * score.objective() + square;
        assert!((values(output.loss)[0] - exact).abs() < 1e-5 * exact.abs().max(1.0));
        (exact, gradient, values(output.posteriors))
    };
    let (_, gradient, posteriors) = loss(&y);
    for (t, row) in posteriors.chunks(OUTPUTS).enumerate() {
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-6);
        let sum: f64 = gradient[0][t * OUTPUTS..][..OUTPUTS].iter().sum();
        let square: f64 = y[t * OUTPUTS..][..OUTPUTS].iter().map(|y| 0.04 * y).sum();
        assert!((sum - square).abs() < 1e-5, "the differences of posteriors sum to {sum}");
    }
    for i in 0..y.len() {
        let step = 1e-2;
        let moved = |by: f64| {
            let mut y = y.clone();
            y[i] += by;
            loss(&y).0
        };
        let difference = (moved(step) - moved(-step)) / (2.0 * step);
        assert!((gradient[0][i] - difference).abs() < 2e-4, "{i}: {} {difference}", gradient[0][i]);
    }
}

#[test]
fn a_batch_of_unequal_lengths_is_its_utterances_to_the_bit_in_any_order() {
    let graph = random(5, 8);
    let den = graph.den();
    let numerators = [part(&graph).num(), graph.num()];
    // More than one group of lanes; one without enough frames for the first kind of numerator.
    let logits: Vec<Vec<f64>> =
        [3, 17, 8, 1, 12, 12, 5, 9, 20, 4, 7].iter().map(|t| normal(t * OUTPUTS, 20 + *t as u64)).collect();
    let nums: Vec<Arc<NumGraph>> = (0..logits.len()).map(|i| numerators[i % 2].clone()).collect();
    let weights: Vec<f32> = (0..logits.len()).map(|i| 1.0 - 0.05 * i as f32).collect();
    let singles: Vec<_> = (0..logits.len())
        .map(|i| run(&logits[i..=i], &den, &nums[i..=i], &weights[i..=i], options(0.1), 0.0))
        .collect();
    let order: Vec<usize> = (0..logits.len()).map(|i| (i * 7) % logits.len()).collect();
    let pick = |i: &usize| (logits[*i].clone(), nums[*i].clone(), weights[*i]);
    let (logits, (nums, weights)): (Vec<_>, (Vec<_>, Vec<_>)) =
        order.iter().map(pick).map(|(a, b, c)| (a, (b, c))).unzip();
    let (output, gradients) = run(&logits, &den, &nums, &weights, options(0.1), f64::NAN);
    for (at, &i) in order.iter().enumerate() {
        let (single, gradient) = &singles[i];
        assert_eq!(output.scores[at], single.scores[0], "utterance {i}");
        assert_eq!(gradients[at], gradient[0], "utterance {i}");
    }
}

/// A denominator that knows one sentence: nothing is left to learn.
#[test]
fn a_language_model_of_one_sentence_reaches_equality() {
    let line = Pieces {
        states: vec![state(0, 0, 0.0), state(0, 1, 0.5), state(2, 3, 0.5), state(1, 1, 0.5)],
        arcs: vec![arc(0, 1, 1.0), arc(1, 2, 0.5), arc(2, 3, 0.5)],
        initial: vec![1.0, 0.0, 0.0, 0.0],
        leak: vec![0.25; 4],
        finals: vec![0.0, 0.0, 0.0, 1.0],
    };
    let y = normal(30 * OUTPUTS, 5);
    let (output, gradient) = run(&[y], &line.den(), &[line.num()], &[1.0], options(0.0), 0.0);
    assert!(output.scores[0].objective().abs() < 1e-4, "{:?}", output.scores);
    assert!(gradient[0].iter().all(|g| g.abs() < 1e-4));
}

/// What is beyond the range of numbers in probabilities: a transcript that the network thinks nearly impossible.
#[test]
fn a_transcript_that_nearly_cannot_be_has_a_score() {
    let line = Pieces {
        states: vec![state(0, 0, 0.0), state(0, 1, 0.5), state(2, 2, 0.5)],
        arcs: vec![arc(0, 1, 1.0), arc(1, 2, 0.5)],
        initial: vec![1.0, 0.0, 0.0],
        leak: vec![1.0 / 3.0; 3],
        finals: vec![0.0, 0.0, 1.0],
    };
    // The first half says output 2, the second 1: the other way round than the transcript.
    let frames = 80;
    let y: Vec<f64> = (0..frames)
        .flat_map(|t| if t < frames / 2 { [-25.0, -25.0, 25.0, 0.0] } else { [-25.0, 25.0, -25.0, 0.0] })
        .collect();
    let (output, gradient) = run(from_ref(&y), &line.den(), &[line.num()], &[1.0], options(0.1), 0.0);
    // Log-add over the only choice: the frame in which the second state is entered.
    let path = |enter: usize| -> f64 {
        (0..frames)
            .map(|t| {
                let n = if t == 0 {
                    0
                } else if t < enter {
                    1
                } else {
                    2
                };
                y[t * OUTPUTS + n] + if t == 0 { 0.0 } else { 0.5f64.ln() }
            })
            .sum()
    };
    let best = (1..frames).map(path).fold(f64::NEG_INFINITY, f64::max);
    let exact = best + (1..frames).map(|enter| (path(enter) - best).exp()).sum::<f64>().ln();
    let own = output.scores[0].numerator.unwrap();
    assert!((own - exact).abs() < 1e-6 * exact.abs(), "{own} {exact}");
    assert!(gradient[0].iter().all(|g| g.is_finite()));
    for row in values(output.posteriors).chunks(OUTPUTS) {
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-5);
    }
}

#[test]
fn logits_out_of_range_are_led_back_and_nan_is_not_hidden() {
    let graph = random(4, 2);
    let num = part(&graph).num();
    let mut y = normal(6 * OUTPUTS, 6);
    (y[1], y[6]) = (35.0, -40.0);
    let (output, gradient) = run(from_ref(&y), &graph.den(), from_ref(&num), &[1.0], options(0.1), 0.0);
    assert!(gradient[0][1] >= 2.0 * 0.01 * 5.0 - 1e-6 && gradient[0][6] <= -2.0 * 0.01 * 10.0 + 1e-6);
    let penalty = 0.01 * (25.0 + 100.0);
    assert!((values(output.loss)[0] - (penalty - output.scores[0].objective())).abs() < 1e-4);
    y[3] = f64::NAN;
    let other = normal(6 * OUTPUTS, 7);
    let clean = run(from_ref(&other), &graph.den(), from_ref(&num), &[1.0], options(0.1), 0.0).0;
    let (both, _) = run(&[y, other], &graph.den(), &[num.clone(), num], &[1.0; 2], options(0.1), 0.0);
    assert!(values(both.loss.clone())[0].is_nan());
    assert_eq!(both.scores[1], clean.scores[0], "and not passed on");
}

#[test]
fn other_backends_have_the_same_loss_and_gradient() {
    let graph = random(5, 9);
    let (den, nums) = (graph.den(), [part(&graph).num(), graph.num()]);
    let y = normal(2 * 9 * OUTPUTS, 11);
    let run = |dtype: DType| {
        let x = leaf(&y, dtype);
        let output =
            lf_mmi(x.clone().reshape([2, 9, OUTPUTS]), &[9, 6], &den, &nums, &[1.0, 0.5], options(0.1));
        let weights = constant(&[2.0, 3.0], dtype, &output.loss.device());
        let grads = (output.loss.clone() * weights).sum().backward();
        (values(output.loss), values(x.grad(&grads).unwrap()))
    };
    let ((a, ga), (b, gb)) = (run(DType::F32), run(DType::F64));
    a.iter().zip(&b).chain(ga.iter().zip(&gb)).for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{a} {b}"));
    let _ = Tensor::<1>::zeros([1], &on(DType::F32));
}

#[test]
fn graphs_of_wrong_numbers_are_refused() {
    let Pieces { states, arcs, initial, leak, finals } = Pieces::small();
    let new = |outputs: usize, arcs: &[MmiArc], finals: &[f64]| {
        DenGraph::new(outputs, &states, arcs, &initial, &leak, finals).unwrap_err().to_string()
    };
    assert!(new(3, &arcs, &finals).contains("output 3 is not below 3"));
    assert!(new(4, &[arc(0, 3, 0.1)], &finals).contains("state 3 is not below 3"));
    assert!(new(4, &[arc(0, 1, f64::NAN)], &finals).contains("an arc"));
    assert!(new(4, &arcs, &[1.0]).contains("3 states and 1 final weights"));
    assert!(NumGraph::new(4, &[], &[], &[], &[]).is_err());
    let dead = NumGraph::new(4, &states, &arcs, &initial, &[0.0; 3]).unwrap();
    assert!(dead.min_frames() > 1_000_000);
}
