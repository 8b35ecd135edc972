use auricle_tensor::npu::kernels::attention::{Attention, attention};
use auricle_tensor::npu::kernels::attention_backward::attention_backward;
use auricle_tensor::npu::spec::DeviceSpec;
use auricle_tensor::npu::tile::Elem;

use crate::common::{assert_close, b3, checked, normal, rounded, tolerance};

struct Want {
    out: Vec<f64>,
    sums: Vec<f64>,
    grads: [Vec<f64>; 3],
}

/// The definition in double precision, with gradients.
fn naive(op: &Attention, [q, k, v, g]: [&[f32]; 4], mask: &[f32], drop: &[f32]) -> Want {
    let (width, d) = (op.heads * op.dim, op.dim);
    let (tq, tk) = (op.queries, op.keys);
    let mut want = Want {
        out: vec![0.0; q.len()],
        sums: vec![0.0; op.batch * op.heads * tq],
        grads: [vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]],
    };
    let scale = 1.0 / (d as f64).sqrt();
    for head in 0..op.batch * op.heads {
        let at = |frames: usize, t: usize| (head / op.heads * frames + t) * width + head % op.heads * d;
        let dot = |x: &[f32], i: usize, y: &[f32], j: usize| -> f64 {
            (0..d).map(|c| f64::from(x[i + c]) * f64::from(y[j + c])).sum()
        };
        for i in 0..tq {
            let sees = |j: usize| !op.masked || mask[(head / op.heads * tq + i) * tk + j] != 0.0;
            let kept =
                |j: usize| op.dropout.map_or(1.0, |scale| f64::from(scale * drop[(head * tq + i) * tk + j]));
            let slope = (-8.0 * (head % op.heads + 1) as f64 / op.heads as f64).exp2();
            let bias = |j: usize| {
                if op.alibi { slope * (i as f64 + tk as f64 - tq as f64 - j as f64).abs() } else { 0.0 }
            };
            let score = |j: usize| {
                if sees(j) { (dot(q, at(tq, i), k, at(tk, j)) * scale - bias(j)).exp() } else { 0.0 }
            };
            let e: Vec<f64> = (0..tk).map(score).collect();
            let total: f64 = e.iter().sum();
            let p: Vec<f64> = e.iter().map(|e| if total > 0.0 { e / total } else { 0.0 }).collect();
            want.sums[head * tq + i] = total.ln();
            let dp: Vec<f64> = (0..tk).map(|j| kept(j) * dot(g, at(tq, i), v, at(tk, j))).collect();
            let mean: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
            for j in 0..tk {
                let ds = scale * p[j] * (dp[j] - mean);
                for c in 0..d {
                    let (row, key) = (at(tq, i) + c, at(tk, j) + c);
                    want.out[row] += kept(j) * p[j] * f64::from(v[key]);
                    want.grads[0][row] += ds * f64::from(k[key]);
                    want.grads[1][key] += ds * f64::from(q[row]);
                    want.grads[2][key] += kept(j) * p[j] * f64::from(g[row]);
                }
            }
        }
    }
    want
}

fn check(op: Attention, spec: &DeviceSpec) {
    let name = format!("{op:?}");
    let width = op.heads * op.dim;
    let make = |n, seed| rounded(&normal(n, seed), op.elem);
    let (n, m) = (op.batch * op.queries * width, op.batch * op.keys * width);
    let (q, k, v, g) = (make(n, 1), make(m, 2), make(m, 3), make(n, 4));
    let bits = |n, seed, share: f32| -> Vec<f32> {
        normal(n, seed).iter().map(|&x| f32::from(u8::from(x < share))).collect()
    };
    let mut mask = bits(op.batch * op.queries * op.keys, 5, 0.7);
    mask[..op.keys].fill(0.0);
    let drop = bits(op.batch * op.heads * op.queries * op.keys, 6, 1.0);
    let want = naive(&op, [&q, &k, &v, &g], &mask, &drop);
    let masks = |mut inputs: Vec<Vec<f32>>| {
        inputs.extend(op.masked.then(|| mask.clone()));
        inputs.extend(op.dropout.map(|_| drop.clone()));
        inputs
    };
    let run = |program, inputs: Vec<Vec<f32>>| {
        checked(&program, spec, &inputs.iter().map(Vec::as_slice).collect::<Vec<_>>())
    };
    let inputs = masks(vec![q.clone(), k.clone(), v.clone()]);
    let got = run(attention(spec, op).unwrap(), inputs);
    assert_close(&name, &got[0], &want.out, tolerance(op.elem));
    for (got, want) in got[1].iter().zip(&want.sums) {
        assert!(
            *want == f64::NEG_INFINITY && *got < -3e38 || (f64::from(*got) - want).abs() < 1e-4,
            "{name}: {got} {want}"
        );
    }
    let inputs = masks(vec![q, k, v, g, got[1].clone()]);
    let got = run(attention_backward(spec, op).unwrap(), inputs);
    for (i, (got, want)) in got.iter().zip(&want.grads).enumerate() {
        assert_close(&format!("{name} gradient {i}"), got, want, 2.0 * tolerance(op.elem));
    }
}

#[test]
fn attention_and_its_gradients_equal_the_definition() {
    let plain = |batch, heads, queries, keys, dim, elem| Attention {
        batch,
        heads,
        queries,
        keys,
        dim,
        masked: false,
        alibi: false,
        dropout: None,
        elem,
    };
    let spec = b3();
    for (b, h, tq, tk, d) in
        [(1, 1, 1, 1, 1), (2, 2, 15, 17, 8), (1, 1, 31, 257, 16), (2, 1, 130, 5, 33), (1, 1, 300, 600, 64)]
    {
        for elem in [Elem::F16, Elem::Bf16] {
            let op = plain(b, h, tq, tk, d, elem);
            check(op, &spec);
            check(Attention { masked: true, ..op }, &spec);
            check(Attention { alibi: true, ..op }, &spec);
        }
        check(
            Attention { masked: true, alibi: true, dropout: Some(1.25), ..plain(b, h, tq, tk, d, Elem::F16) },
            &spec,
        );
        check(Attention { dropout: Some(2.0), ..plain(b, h, tq, tk, d, Elem::F16) }, &spec);
    }
    for device in ["910a", "310p3", "910c-die"] {
        check(
            Attention { masked: true, ..plain(2, 2, 40, 90, 24, Elem::F16) },
            &DeviceSpec::named(device).unwrap(),
        );
    }
}
