//! Dropout, AdamW and averages: the bits that the same operations give in their order on the host.

use auricle_tensor::npu::kernels::rows::Rows;
use auricle_tensor::npu::kernels::{dropout, updates};
use auricle_tensor::npu::tile::Elem;
use auricle_tensor::ops::Dropout;

use crate::common::{b3, checked, normal};

const SHAPES: [(usize, usize); 6] = [(1, 1), (1, 15), (16, 17), (31, 257), (3, 1024), (300, 64)];

#[test]
fn words_of_the_mask_are_those_of_the_counter() {
    let spec = b3();
    for (rows, cols) in SHAPES {
        for p in [0.0, 0.1, 0.5, 1.0] {
            let (op, drop) = (Rows { rows, cols, elem: Elem::F32 }, Dropout { p, seed: 77 });
            let threshold = (p * 4_294_967_296.0) as u32;
            // A row is a block of its own; its key is what keeps rows apart.
            let key = |row: usize| {
                let mix = |z: u64| {
                    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                    z ^ (z >> 31)
                };
                mix(mix(77).wrapping_add((row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            };
            let [start, low, high] = dropout::keys((0..rows).map(|row| (key(row), 5)));
            let lanes = dropout::lanes(cols);
            let mask = dropout::mask(&spec, op, threshold).unwrap();
            let got = checked(&mask, &spec, &[&lanes, &start, &low, &high]).remove(0);
            let want = |i: usize| drop.keeps((i / cols) as u64, (i % cols) as u32 + 5);
            assert!((0..got.len()).all(|i| got[i] == f32::from(u8::from(want(i)))), "{op:?} {p}");

            let mut x = normal(rows * cols, 3);
            x[0] = f32::NAN;
            let program = dropout::dropout(&spec, op, threshold, drop.scale() as f32).unwrap();
            let got = checked(&program, &spec, &[&x, &lanes, &start, &low, &high]).remove(0);
            for (i, (got, x)) in got.iter().zip(&x).enumerate() {
                let want = if want(i) { x * drop.scale() as f32 } else { 0.0 };
                assert!(
                    got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()),
                    "{op:?} {p} [{i}]"
                );
            }
        }
    }
}

#[test]
fn adamw_and_averages() {
    let spec = b3();
    let [beta1, rest1, beta2, rest2, decay, rate, root, eps] =
        [0.9, 0.1, 0.98, 0.02, 0.999_99, 3e-3, 4.1, 1e-6f32];
    for (rows, cols) in SHAPES {
        let (n, op) = (rows * cols, Rows { rows, cols, elem: Elem::F32 });
        let [p, g, m] = [1, 2, 3].map(|seed| normal(n, seed));
        let v: Vec<f32> = normal(n, 4).iter().map(|v| v * v).collect();
        let scalars = [beta1, rest1, beta2, rest2, decay, rate, root, eps];
        let got = checked(&updates::adamw(&spec, op).unwrap(), &spec, &[&p, &g, &m, &v, &scalars]);
        let blended = checked(&updates::ema(&spec, op).unwrap(), &spec, &[&p, &g, &[0.995, 0.005]]).remove(0);
        for i in 0..n {
            let m = m[i] * beta1 + g[i] * rest1;
            let v = v[i] * beta2 + g[i] * g[i] * rest2;
            let want = p[i] * decay - rate * (m / (v.sqrt() * root + eps));
            assert_eq!([got[0][i], got[1][i], got[2][i]], [want, m, v], "{op:?} [{i}]");
            assert_eq!(blended[i], p[i] * 0.995 + g[i] * 0.005);
        }
    }
}
