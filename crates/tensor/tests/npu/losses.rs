use auricle_tensor::npu::kernels::KernelError;
use auricle_tensor::npu::kernels::contrastive::{Contrastive, contrastive};
use auricle_tensor::npu::kernels::ctc::{Ctc, LANES, LOG_ZERO, ctc};
use auricle_tensor::npu::spec::DeviceSpec;
use auricle_tensor::npu::tile::Elem;

use crate::common::{assert_close, b3, checked, normal, tolerance};

/// `[losses, own, highest, lowest, dpred]` in double precision.
fn naive(op: Contrastive, pred: &[f32], target: &[f32], table: &[f32]) -> [Vec<f64>; 5] {
    let (n, d, tau) = (op.positions, op.width, f64::from(op.temperature));
    let unit = |x: &[f32]| -> (Vec<f64>, f64) {
        let norm = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt().max(1e-8);
        (x.iter().map(|&x| f64::from(x) / norm).collect(), norm)
    };
    let p: Vec<_> = pred.chunks(d).map(unit).collect();
    let t: Vec<_> = target.chunks(d).map(unit).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut out = [const { Vec::new() }; 5];
    for i in 0..n {
        let score = |j: usize| dot(&p[i].0, &t[j].0) / tau;
        let counted: Vec<usize> = (0..n).filter(|&j| table[i * n + j] > 0.0).collect();
        let weight = |j: usize| f64::from(table[i * n + j]) * score(j).exp();
        let total = score(i).exp() + counted.iter().map(|&j| weight(j)).sum::<f64>();
        out[0].push(total.ln() - score(i));
        out[1].push(score(i));
        out[2].push(counted.iter().map(|&j| score(j)).fold(f64::NEG_INFINITY, f64::max));
        out[3].push(counted.iter().map(|&j| score(j)).fold(f64::INFINITY, f64::min));
        let mut g = vec![0.0; d];
        for j in counted.iter().copied().chain([i]) {
            let share = if j == i { score(i).exp() / total - 1.0 } else { weight(j) / total };
            g.iter_mut().zip(&t[j].0).for_each(|(g, t)| *g += share * t / (tau * n as f64));
        }
        let along = dot(&g, &p[i].0);
        let (unit, norm) = &p[i];
        out[4].extend(g.iter().zip(unit).map(|(g, p)| (g - along * p) / norm));
    }
    out
}

#[test]
fn contrastive_losses_and_gradients() {
    for device in ["910b3", "910a"] {
        let spec = DeviceSpec::named(device).unwrap();
        for (positions, width) in [(1, 4), (2, 3), (16, 31), (31, 1), (45, 32), (257, 17), (70, 257)] {
            for elem in [Elem::F16, Elem::Bf16] {
                if elem == Elem::Bf16 && !spec.bf16 {
                    continue;
                }
                let op = Contrastive { positions, width, temperature: 0.3, elem };
                let (pred, target) = (normal(positions * width, 1), normal(positions * width, 2));
                // Every third other position, some twice; the last row has no negatives.
                let mut table: Vec<f32> = (0..positions * positions)
                    .map(|at| match (at / positions, at % positions) {
                        (i, j) if i == j || (i + j) % 3 > 0 => 0.0,
                        (_, j) => 1.0 + (j % 2) as f32,
                    })
                    .collect();
                table[(positions - 1) * positions..].fill(0.0);
                let got = checked(&contrastive(&spec, op).unwrap(), &spec, &[&pred, &target, &table]);
                let want = naive(op, &pred, &target, &table);
                let tolerance = 2.0 * tolerance(elem);
                assert_close(&format!("{op:?} losses"), &got[0], &want[0], tolerance);
                assert_close(&format!("{op:?} own"), &got[1], &want[1], 2e-6);
                for row in 0..positions {
                    for side in [2, 3] {
                        let (got, want) = (f64::from(got[side][row]), want[side][row]);
                        assert!(
                            got == want || (got - want).abs() < tolerance / 0.3,
                            "{op:?} {row}: {got} {want}"
                        );
                    }
                }
                // One component: only the direction's sign is left, and the gradient is rounding.
                if width > 1 {
                    assert_close(&format!("{op:?} gradient"), &got[4], &want[4], 2.0 * tolerance);
                }
            }
        }
    }
}

/// Utterances: frames, and for every state whether it may be entered from two before.
struct Case {
    frames: usize,
    skips: Vec<bool>,
}

/// `ln p` and occupancies `[T, S]` by products of probabilities, which are not small here.
fn recursion(case: &Case, emitted: impl Fn(usize, usize) -> f64) -> (f64, Vec<f64>) {
    let (frames, states) = (case.frames, case.skips.len());
    let mut alpha = vec![0.0; frames * states];
    let mut beta = vec![0.0; frames * states];
    for t in 0..frames {
        for s in 0..states {
            let before = |back: usize| if s >= back { alpha[(t - 1) * states + s - back] } else { 0.0 };
            let sum = match t {
                0 => f64::from(u8::from(s < 2)),
                _ => before(0) + before(1) + if case.skips[s] { before(2) } else { 0.0 },
            };
            alpha[t * states + s] = sum * emitted(t, s);
        }
    }
    for t in (0..frames).rev() {
        for s in 0..states {
            let after = |on: usize| {
                if s + on < states { beta[(t + 1) * states + s + on] * emitted(t + 1, s + on) } else { 0.0 }
            };
            beta[t * states + s] = if t + 1 == frames {
                f64::from(u8::from(s + 2 >= states))
            } else {
                after(0) + after(1) + if s + 2 < states && case.skips[s + 2] { after(2) } else { 0.0 }
            };
        }
    }
    let p: f64 = alpha[(frames - 1) * states..].iter().rev().take(2).sum();
    (p.ln(), alpha.iter().zip(&beta).map(|(a, b)| a * b / p).collect())
}

#[test]
fn ctc_occupancies_are_those_of_the_products() {
    let spec = b3();
    for (count, longest, most) in [(1, 1, 1), (3, 15, 3), (9, 31, 7), (17, 40, 17)] {
        // Utterances of many lengths: some with a single frame, some with nothing but blanks.
        let cases: Vec<Case> = (0..count)
            .map(|b| {
                let states = 2 * (b % (most / 2 + 1)) + 1;
                Case {
                    frames: (longest - b % longest).max(states),
                    skips: (0..states).map(|s| s % 2 == 1 && s > 1 && (s + b) % 3 > 0).collect(),
                }
            })
            .collect();
        let frames = cases.iter().map(|case| case.frames).max().unwrap();
        let states = cases.iter().map(|case| case.skips.len()).max().unwrap();
        let op = Ctc { groups: cases.len().div_ceil(LANES), frames, states };
        let at = |b: usize, t: usize, s: usize| ((b / LANES * frames + t) * states + s) * LANES + b % LANES;
        let in_table = |b: usize, s: usize| (b / LANES * states + s) * LANES + b % LANES;
        let tables = op.groups * states * LANES;
        let (mut emitted, mut skip) = (vec![0.0; tables * frames], vec![LOG_ZERO; tables]);
        let (mut entry, mut finish) = (vec![LOG_ZERO; op.groups * frames * LANES], vec![LOG_ZERO; tables]);
        let noise = normal(tables * frames, 4);
        for (b, case) in cases.iter().enumerate() {
            let (first, own) = (frames - case.frames, case.skips.len());
            for t in first..frames {
                (0..states).for_each(|s| {
                    emitted[at(b, t, s)] = if s < own { -noise[at(b, t, s)].abs() } else { LOG_ZERO };
                });
            }
            (0..own).filter(|&s| s == 1 || case.skips[s]).for_each(|s| skip[in_table(b, s)] = 0.0);
            (own.saturating_sub(2)..own).for_each(|s| finish[in_table(b, s)] = 0.0);
            entry[(b / LANES * frames + first) * LANES + b % LANES] = 0.0;
        }
        let got = checked(&ctc(&spec, op).unwrap(), &spec, &[&emitted, &skip, &entry, &finish]);
        for (b, case) in cases.iter().enumerate() {
            let (first, own) = (frames - case.frames, case.skips.len());
            let (score, occupied) = recursion(case, |t, s| f64::from(emitted[at(b, first + t, s)]).exp());
            assert!((f64::from(got[0][b]) - score).abs() < 1e-5 * score.abs().max(1.0), "{op:?} {b}");
            let mine: Vec<f32> =
                (0..case.frames * own).map(|i| got[1][at(b, first + i / own, i % own)]).collect();
            assert_close(&format!("{op:?} {b}"), &mine, &occupied, 2e-5);
            for (t, s) in (0..frames).flat_map(|t| (0..states).map(move |s| (t, s))) {
                assert!(
                    t >= first && s < own || got[1][at(b, t, s)] == 0.0,
                    "{op:?} {b}: [{t}, {s}] is not its own"
                );
            }
        }
    }
}

#[test]
fn targets_that_do_not_fit_are_refused() {
    let error = ctc(&b3(), Ctc { groups: 1, frames: 2000, states: 1001 }).unwrap_err();
    assert!(matches!(error, KernelError::TooWide { cols: 1001, .. }), "{error}");
    let op = Contrastive { positions: 20_000, width: 8, temperature: 0.1, elem: Elem::F16 };
    assert!(matches!(contrastive(&b3(), op), Err(KernelError::TooWide { .. })));
}
