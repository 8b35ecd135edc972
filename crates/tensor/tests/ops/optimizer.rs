use auricle_tensor::ops::{self, AdamWStep};
use auricle_tensor::reference;
use burn::tensor::{DType, Device, Tensor};

use crate::common::{assert_close, constant, normal, on, values};

fn tensors(n: usize, dtype: DType, device: &Device) -> [Tensor<1>; 4] {
    let v: Vec<f64> = normal(n, 4).iter().map(|x| x * x).collect();
    [normal(n, 1), normal(n, 2), normal(n, 3), v].map(|x| constant(&x, dtype, device))
}

#[test]
fn adamw_follows_its_formula() {
    for (n, step) in [(1, 1), (17, 2), (257, 1000), (40_000, 3)] {
        let step = AdamWStep { lr: 3e-4, beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.01, step };
        let [p, g, m, v] = tensors(n, DType::F64, &on(DType::F64)).map(values);
        let [tp, tg, tm, tv] = tensors(n, DType::F32, &on(DType::F32));
        let (p2, m2, v2) = ops::adamw(tp, tg, tm, tv, step);
        let (rp, rm, rv) = {
            let [p, g, m, v] = tensors(n, DType::F64, &on(DType::F64));
            reference::adamw(p, g, m, v, step)
        };
        let (p2, m2, v2) = (values(p2), values(m2), values(v2));
        assert_close("param", &p2, &values(rp), 1e-7);
        assert_close("m", &m2, &values(rm), 1e-7);
        assert_close("v", &v2, &values(rv), 1e-7);
        for i in 0..n.min(100) {
            let m = 0.9 * m[i] + (1.0 - 0.9) * g[i];
            let v = 0.98 * v[i] + (1.0 - 0.98) * g[i] * g[i];
            let (c1, c2) = (1.0 - 0.9f64.powi(step.step as i32), 1.0 - 0.98f64.powi(step.step as i32));
            let want = p[i] * (1.0 - 3e-4 * 0.01) - 3e-4 * (m / c1) / ((v / c2).sqrt() + 1e-6);
            assert!((p2[i] - want).abs() < 2e-7 * want.abs().max(1.0));
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
    let p3 = ops::ema(p2, g, 0.9);
    assert_eq!(pointer(&p3), address);
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
