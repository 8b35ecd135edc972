use auricle_tensor::ops::{self, AdamWStep};
use auricle_tensor::reference;
use burn::tensor::{DType, Device, Tensor};

use crate::common::{assert_close, constant, normal, on, values};

/// Empty, one, around the widths of vectors, and more than one task's worth.
const SIZES: [usize; 8] = [0, 1, 15, 16, 17, 31, 257, 40_000];

fn tensors(n: usize, dtype: DType, device: &Device) -> [Tensor<1>; 4] {
    let v: Vec<f64> = normal(n, 4).iter().map(|x| x * x).collect();
    [normal(n, 1), normal(n, 2), normal(n, 3), v].map(|x| constant(&x, dtype, device))
}

/// Runs `f` on pools of one and two threads, which must give the same bits.
fn on_pools(f: impl Fn() -> Vec<Vec<f64>> + Sync) -> Vec<Vec<f64>> {
    let run = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(&f);
    let (one, two) = (run(1), run(2));
    assert!(one == two, "differs with the number of threads");
    one
}

#[test]
fn adamw_follows_its_formula() {
    for (i, n) in SIZES.into_iter().enumerate() {
        let step = AdamWStep {
            lr: 3e-4,
            beta1: 0.9,
            beta2: 0.98,
            eps: 1e-6,
            weight_decay: 0.01,
            step: [1, 2, 3, 1000][i % 4],
        };
        let update = |dtype, f: fn(_, _, _, _, _) -> (_, _, _)| {
            let [p, g, m, v] = tensors(n, dtype, &on(dtype));
            let (p, m, v): (Tensor<1>, Tensor<1>, Tensor<1>) = f(p, g, m, v, step);
            [p, m, v].map(values).to_vec()
        };
        let got = on_pools(|| update(DType::F32, ops::adamw));
        let composed = update(DType::F64, reference::adamw);
        for ((name, got), want) in ["param", "m", "v"].into_iter().zip(&got).zip(&composed) {
            assert_close(&format!("{name} of {n}"), got, want, 1e-7);
        }
        let [p, g, m, v] = tensors(n, DType::F64, &on(DType::F64)).map(values);
        for i in 0..n.min(100) {
            let m = 0.9 * m[i] + (1.0 - 0.9) * g[i];
            let v = 0.98 * v[i] + (1.0 - 0.98) * g[i] * g[i];
            let (c1, c2) = (1.0 - 0.9f64.powi(step.step as i32), 1.0 - 0.98f64.powi(step.step as i32));
            let want = p[i] * (1.0 - 3e-4 * 0.01) - 3e-4 * (m / c1) / ((v / c2).sqrt() + 1e-6);
            assert!((got[0][i] - want).abs() < 2e-7 * want.abs().max(1.0));
        }
    }
}

#[test]
fn updates_are_in_place_only_where_nobody_else_looks() {
    let step = AdamWStep { lr: 0.1, beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.01, step: 1 };
    let [p, g, m, v] = tensors(100, DType::F32, &Device::flex());
    let kept = p.clone();
    let before = values(kept.clone());
    let (p2, ..) = ops::adamw(p, g.clone(), m, v, step);
    assert_eq!(values(kept.clone()), before);
    assert_ne!(values(p2.clone()), before);

    let pointer = |x: &Tensor<1>| {
        let x = x.clone().try_into_primitive::<burn::backend::Flex>().unwrap();
        x.bytes().as_ptr()
    };
    let address = pointer(&p2);
    let p3 = ops::ema(p2, g.clone(), 0.9);
    assert_eq!(pointer(&p3), address);

    // In one pass: the average of somebody else stays, one's own is overwritten.
    let [p, _, m, v] = tensors(100, DType::F32, &Device::flex());
    let average = constant(&normal(100, 9), DType::F32, &Device::flex());
    let (held, before) = (average.clone(), values(average.clone()));
    let (p, moments, average) = ops::adamw_ema(p, g.clone(), [m, v], average, step, 0.9);
    assert_eq!(values(held), before);
    assert_ne!(values(average.clone()), before);
    let addresses = [pointer(&p), pointer(&average)];
    let (p, _, average) = ops::adamw_ema(p, g, moments, average, step, 0.9);
    assert_eq!([pointer(&p), pointer(&average)], addresses);
}

#[test]
fn one_pass_gives_the_bits_of_two() {
    let step = AdamWStep { lr: 3e-4, beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.01, step: 3 };
    for n in SIZES {
        let all = || {
            let own = constant(&normal(n, 9), DType::F32, &on(DType::F32));
            (tensors(n, DType::F32, &on(DType::F32)), own)
        };
        let two = on_pools(|| {
            let ([p, g, m, v], own) = all();
            let (p, m, v) = ops::adamw(p, g, m, v, step);
            let own = ops::ema(own, p.clone(), 0.995);
            [p, m, v, own].map(values).to_vec()
        });
        let one = on_pools(|| {
            let ([p, g, m, v], own) = all();
            let (p, [m, v], own) = ops::adamw_ema(p, g, [m, v], own, step, 0.995);
            [p, m, v, own].map(values).to_vec()
        });
        assert_eq!(one, two, "{n}");
    }
}

#[test]
fn ema_follows_its_formula() {
    for n in SIZES {
        let update = |dtype, f: fn(_, _, _) -> Tensor<1>| {
            let [teacher, student, ..] = tensors(n, dtype, &on(dtype));
            vec![values(f(teacher, student, 0.995))]
        };
        let got = on_pools(|| update(DType::F32, ops::ema)).remove(0);
        let pairs = normal(n, 1).into_iter().zip(normal(n, 2));
        let want: Vec<f64> = pairs.map(|(t, s)| 0.995 * t + (1.0 - 0.995) * s).collect();
        assert_close(&format!("ema of {n}"), &got, &want, 1e-7);
        assert_close(&format!("reference of {n}"), &update(DType::F64, reference::ema)[0], &want, 1e-12);
    }
}

#[test]
fn ema_blends_tracked_and_untracked_tensors() {
    let teacher = constant(&normal(50, 1), DType::F32, &on(DType::F32));
    let student = constant(&normal(50, 2), DType::F32, &on(DType::F32).autodiff()).require_grad();
    let got = values(ops::ema(teacher, student, 0.995));
    let want: Vec<f64> =
        normal(50, 1).iter().zip(normal(50, 2)).map(|(t, s)| 0.995 * t + (1.0 - 0.995) * s).collect();
    assert_close("ema", &got, &want, 1e-7);
}
