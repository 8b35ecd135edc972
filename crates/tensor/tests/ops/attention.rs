use auricle_tensor::ops::{self, AttentionOptions, Dropout};
use auricle_tensor::reference;
use burn::tensor::{DType, Tensor};

use crate::common::{assert_close, check, check_gradients, constant, normal, on, run, tests_cpu, values};

/// The definition, in double precision.
fn naive(q: &[f64], k: &[f64], v: &[f64], [b, tq, tk, width]: [usize; 4], o: &AttentionOptions) -> Vec<f64> {
    let dim = width / o.heads;
    let mut out = vec![0.0; b * tq * width];
    for row in 0..b {
        for head in 0..o.heads {
            for i in 0..tq {
                let position = i as isize + tk as isize - tq as isize;
                let sees = |j: usize| {
                    o.key_lengths.as_ref().is_none_or(|l| j < l[row])
                        && o.query_limits.as_ref().is_none_or(|l| j < l[row * tq + i])
                        && (!o.causal || j as isize <= position)
                        && o.left_context.is_none_or(|left| j as isize >= position - left as isize)
                };
                let at = |frames: usize, t: usize| (row * frames + t) * width + head * dim;
                let score = |j: usize| {
                    let (q, k) = (&q[at(tq, i)..][..dim], &k[at(tk, j)..][..dim]);
                    let dot = q.iter().zip(k).map(|(q, k)| q * k).sum::<f64>() / (dim as f64).sqrt();
                    let slope =
                        if o.alibi { (-8.0 * (head + 1) as f64 / o.heads as f64).exp2() } else { 0.0 };
                    (dot - slope * (position as f64 - j as f64).abs()).exp()
                };
                let total: f64 = (0..tk).filter(|&j| sees(j)).map(score).sum();
                for j in (0..tk).filter(|&j| sees(j)) {
                    let mask = (row * o.heads + head) * tq + i;
                    let kept = o
                        .dropout
                        .map_or(1.0, |d| if d.keeps(mask as u64, j as u32) { d.scale() } else { 0.0 });
                    for c in 0..dim {
                        out[at(tq, i) + c] += score(j) / total * kept * v[at(tk, j) + c];
                    }
                }
            }
        }
    }
    out
}

fn check_attention(dims @ [b, tq, tk, width]: [usize; 4], options: &AttentionOptions) {
    let name = format!("{dims:?} {options:?}");
    let data = [normal(b * tq * width, 1), normal(b * tk * width, 2), normal(b * tk * width, 3)];
    let shape = |x: &[Tensor<1>]| {
        [
            x[0].clone().reshape([b, tq, width]),
            x[1].clone().reshape([b, tk, width]),
            x[2].clone().reshape([b, tk, width]),
        ]
    };
    let fused = |x: &[Tensor<1>]| {
        let [q, k, v] = shape(x);
        ops::attention(q, k, v, options.clone()).reshape([-1])
    };
    let composed = |x: &[Tensor<1>]| {
        let [q, k, v] = shape(x);
        reference::attention(q, k, v, options).reshape([-1])
    };
    let want = naive(&data[0], &data[1], &data[2], dims, options);
    assert_close(&name, &run(&composed, &data, DType::F64).0, &want, 1e-12);
    check(&name, &fused, &composed, &data, 3e-6);
}

#[test]
fn plain() {
    check_attention([1, 1, 1, 1], &AttentionOptions::new(1));
    for (t, width, heads) in [(15, 8, 2), (16, 64, 1), (17, 12, 3), (31, 128, 2), (257, 32, 2), (600, 16, 1)]
    {
        check_attention([2, t, t, width], &AttentionOptions::new(heads));
    }
    check_attention([2, 5, 31, 24], &AttentionOptions::new(3));
    check_attention([1, 31, 5, 24], &AttentionOptions::new(3));
}

#[test]
fn gradients_of_the_composition() {
    let base = AttentionOptions::new(2);
    let dropout = Some(Dropout { p: 0.3, seed: 9 });
    for options in [
        AttentionOptions { key_lengths: Some(vec![4, 0]), causal: true, ..base.clone() },
        AttentionOptions { causal: true, left_context: Some(1), ..base.clone() },
        AttentionOptions { alibi: true, ..base.clone() },
        AttentionOptions { dropout, ..base.clone() },
        AttentionOptions { query_limits: Some(vec![1, 5, 0, 3, 2, 4, 4, 1, 5, 9]), ..base.clone() },
        AttentionOptions { left_context: Some(2), alibi: true, dropout, ..base },
    ] {
        let op = |x: &[Tensor<1>]| {
            let x = |i: usize| x[i].clone().reshape([2, 5, 6]);
            reference::attention(x(0), x(1), x(2), &options).reshape([-1])
        };
        let inputs = [normal(60, 1), normal(60, 2), normal(60, 3)];
        check_gradients(&format!("{options:?}"), &op, &inputs);
    }
}

#[test]
fn masks() {
    let base = AttentionOptions::new(2);
    let lengths = Some(vec![31, 1, 0]);
    let dropout = Some(Dropout { p: 0.3, seed: 9 });
    for options in [
        AttentionOptions { key_lengths: lengths.clone(), ..base.clone() },
        AttentionOptions { causal: true, ..base.clone() },
        AttentionOptions { left_context: Some(3), ..base.clone() },
        AttentionOptions { causal: true, left_context: Some(0), ..base.clone() },
        AttentionOptions {
            causal: true,
            left_context: Some(7),
            key_lengths: lengths.clone(),
            ..base.clone()
        },
        AttentionOptions { dropout, ..base.clone() },
        AttentionOptions { alibi: true, ..base.clone() },
        AttentionOptions { alibi: true, causal: true, left_context: Some(7), dropout, ..base.clone() },
        AttentionOptions {
            causal: true,
            left_context: Some(7),
            key_lengths: lengths.clone(),
            dropout,
            ..base.clone()
        },
    ] {
        check_attention([3, 31, 31, 16], &options);
        check_attention([3, 4, 31, 16], &options);
        check_attention([3, 31, 4, 16], &options);
    }
    // Every query has its own end, in no order, some at nothing, some behind the last key.
    for (tq, tk) in [(31, 31), (4, 31), (31, 4), (300, 200)] {
        let limits: Vec<usize> = (0..3 * tq).map(|i| (i * 37 + 5) % (tk + 3)).collect();
        let own = AttentionOptions { query_limits: Some(limits), ..base.clone() };
        check_attention([3, tq, tk, 16], &own);
        check_attention([3, tq, tk, 16], &AttentionOptions { key_lengths: lengths.clone(), dropout, ..own });
    }
    let long = AttentionOptions { causal: true, left_context: Some(40), dropout, ..base };
    check_attention([1, 600, 600, 8], &long);
}

#[test]
fn hidden_keys_have_no_influence_whatever_they_hold() {
    let device = on(DType::F32);
    let (mut k, mut v) = (normal(2 * 40 * 16, 2), normal(2 * 40 * 16, 3));
    let tensor = |x: &[f64]| constant(x, DType::F32, &device).reshape([2, 40, 16]);
    let q = tensor(&normal(2 * 40 * 16, 1));
    let padded = AttentionOptions { key_lengths: Some(vec![25, 40]), ..AttentionOptions::new(4) };
    let causal = AttentionOptions { causal: true, ..AttentionOptions::new(4) };
    let run = |k: &[f64], v: &[f64], o: &AttentionOptions| {
        values(ops::attention(q.clone(), tensor(k), tensor(v), o.clone()))
    };
    let (clean_padded, clean_causal) = (run(&k, &v, &padded), run(&k, &v, &causal));
    for t in 25..40 {
        k[t * 16..][..16].fill(f64::NAN);
        v[t * 16..][..16].fill(f64::NAN);
    }
    assert_eq!(run(&k, &v, &padded), clean_padded);
    if !tests_cpu() {
        // The composition multiplies what is hidden from some queries only by zero: it must be finite.
        v[25 * 16..].fill(1e9);
        k[25 * 16..].fill(1e9);
    }
    assert_close("before the first NaN", &run(&k, &v, &causal)[..25 * 16], &clean_causal[..25 * 16], 1e-6);
}

#[test]
fn empty_sequences() {
    let device = on(DType::F32);
    let zeros = |t: usize| Tensor::<3>::ones([2, t, 8], (&device, DType::F32));
    assert_eq!(ops::attention(zeros(0), zeros(5), zeros(5), AttentionOptions::new(2)).dims(), [2, 0, 8]);
    assert_eq!(values(ops::attention(zeros(3), zeros(0), zeros(0), AttentionOptions::new(2))), [0.0; 48]);
    let device = device.autodiff();
    for (queries, keys) in [(0, 5), (3, 0)] {
        let leaf = |t: usize| Tensor::<3>::ones([2, t, 8], (&device, DType::F32)).require_grad();
        let x = [leaf(queries), leaf(keys), leaf(keys)];
        let y = ops::attention(x[0].clone(), x[1].clone(), x[2].clone(), AttentionOptions::new(2));
        let sums = x.iter().map(|x| x.clone().sum()).reduce(|a, b| a + b).unwrap();
        let gradients = (y.sum() + sums).backward();
        for x in &x {
            let gradient = x.grad(&gradients).map(values).unwrap_or_default();
            assert!(gradient.iter().all(|&g| g == 1.0), "{queries} queries, {keys} keys: {gradient:?}");
        }
    }
}

#[test]
fn transposed_operands() {
    let op = |f: fn(Tensor<3>, Tensor<3>, Tensor<3>) -> Tensor<3>| {
        move |x: &[Tensor<1>]| {
            let x = |i: usize| x[i].clone().reshape([8, 2, 5]).permute([1, 2, 0]);
            f(x(0), x(1), x(2)).reshape([-1])
        }
    };
    let fused = op(|q, k, v| ops::attention(q, k, v, AttentionOptions::new(2)));
    let composed = op(|q, k, v| reference::attention(q, k, v, &AttentionOptions::new(2)));
    check("attention", &fused, &composed, &[normal(80, 1), normal(80, 2), normal(80, 3)], 3e-6);
}
