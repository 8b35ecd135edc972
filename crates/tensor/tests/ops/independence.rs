//! The result for a row or an utterance is the same bits whatever stands beside it and however many threads compute it.

use auricle_tensor::ops::{self, AttentionOptions, Conv1dOptions, Products, with_products};
use burn::tensor::{DType, Tensor};

use crate::common::{constant, normal, on, tests_cpu, values};

/// Rows of the same data that are computed alone.
const ROWS: [usize; 7] = [1, 2, 3, 7, 16, 33, 200];

/// Widths before and after: below and above what products cut their sums at, odd and round.
const WIDTHS: [[usize; 2]; 13] = [
    [1, 1],
    [1, 40],
    [2, 3],
    [3, 1],
    [5, 2],
    [31, 17],
    [64, 64],
    [65, 7],
    [257, 100],
    [512, 1],
    [513, 33],
    [768, 64],
    [1100, 257],
];

fn tensor<const D: usize>(values: &[f64], shape: [usize; D]) -> Tensor<D> {
    constant(values, DType::F32, &on(DType::F32)).reshape(shape)
}

/// Calls `f` with one and with two threads, and with operands as they are and rounded to bf16.
fn in_every_way(f: impl Fn(&str) + Sync) {
    if !tests_cpu() {
        return eprintln!("skipped: GPUs promise no bits");
    }
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for products in [Products::Single, Products::Bf16] {
            pool.install(|| with_products(products, || f(&format!("{products:?}, {threads} threads"))));
        }
    }
}

fn assert_same(what: &str, got: &[f64], want: &[f64]) {
    let differ = got.iter().zip(want).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    let first = got.iter().zip(want).find(|(a, b)| a.to_bits() != b.to_bits());
    assert!(got.len() == want.len() && differ == 0, "{what}: {differ} of {} differ, {first:?}", want.len());
}

/// An operation on rows of `[n, width]`: the first rows alone, and the last one alone, are those of all.
fn rows_are_independent(what: &str, width: usize, op: &dyn Fn(Tensor<2>) -> Tensor<2>) {
    let most = ROWS[ROWS.len() - 1];
    let data = normal(most * width, 7);
    let all = values(op(tensor(&data, [most, width])));
    let out = all.len() / most;
    for rows in ROWS {
        let first = values(op(tensor(&data[..rows * width], [rows, width])));
        assert_same(&format!("{what}, the first {rows} rows"), &first, &all[..rows * out]);
        let last = values(op(tensor(&data[(most - rows) * width..], [rows, width])));
        assert_same(&format!("{what}, the last {rows} rows"), &last, &all[(most - rows) * out..]);
    }
}

#[test]
fn rows_of_products() {
    in_every_way(|way| {
        for [k, n] in WIDTHS {
            let (w, b) = (tensor(&normal(k * n, 1), [k, n]), tensor(&normal(n, 2), [n]));
            let what = |op: &str| format!("{op} {k} to {n}, {way}");
            rows_are_independent(&what("product"), k, &|x| ops::linear(x, w.clone(), None));
            rows_are_independent(&what("linear"), k, &|x| ops::linear(x, w.clone(), Some(b.clone())));
            rows_are_independent(&what("linear_gelu"), k, &|x| ops::linear_gelu(x, w.clone(), b.clone()));
            // A weight whose terms are neighbours, as one that is tied to an embedding.
            let tied = tensor(&normal(n * k, 3), [n, k]).transpose();
            rows_are_independent(&what("transposed product"), k, &|x| ops::linear(x, tied.clone(), None));
        }
    });
}

#[test]
fn rows_of_everything_that_works_on_rows() {
    in_every_way(|way| {
        for width in [1, 2, 15, 16, 31, 33, 257, 600] {
            let (gamma, beta) = (tensor(&normal(width, 1), [width]), tensor(&normal(width, 2), [width]));
            let what = |op: &str| format!("{op} of {width}, {way}");
            rows_are_independent(&what("softmax"), width, &|x| ops::softmax(x, 1));
            rows_are_independent(&what("log_softmax"), width, &|x| ops::log_softmax(x, 1));
            rows_are_independent(&what("gelu"), width, &ops::gelu);
            rows_are_independent(&what("rms_norm"), width, &|x| ops::rms_norm(x, gamma.clone(), 1e-5));
            rows_are_independent(&what("layer_norm"), width, &|x| {
                ops::layer_norm(x, gamma.clone(), beta.clone(), 1e-5)
            });
            rows_are_independent(&what("add_layer_norm"), width, &|x| {
                ops::add_layer_norm(x.clone(), x, gamma.clone(), beta.clone(), 1e-5, None)
            });
        }
    });
}

/// The utterances of a batch, padded at the end with `padding`.
fn padded(lengths: &[usize], frames: usize, width: usize, padding: f64, seed: u64) -> Vec<f64> {
    let mut data = Vec::new();
    for (i, length) in lengths.iter().enumerate() {
        data.extend(normal(length * width, seed + 100 * i as u64));
        data.extend(std::iter::repeat_n(padding, (frames - length) * width));
    }
    data
}

#[test]
fn utterances_of_a_convolution() {
    in_every_way(|way| {
        for ([input, output, kernel], options) in [
            ([5, 3, 3], Conv1dOptions { stride: 1, pad_left: 1, pad_right: 1, groups: 1 }),
            ([16, 33, 5], Conv1dOptions { stride: 2, pad_left: 1, pad_right: 2, groups: 1 }),
            ([130, 40, 5], Conv1dOptions { stride: 2, pad_left: 1, pad_right: 2, groups: 1 }),
            ([300, 20, 1], Conv1dOptions::default()),
            ([600, 7, 2], Conv1dOptions { stride: 2, pad_left: 0, pad_right: 0, groups: 1 }),
            ([48, 48, 31], Conv1dOptions { stride: 1, pad_left: 15, pad_right: 15, groups: 4 }),
            ([32, 8, 4], Conv1dOptions { stride: 3, pad_left: 2, pad_right: 1, groups: 2 }),
        ] {
            let weight = normal(kernel * input / options.groups * output, 3);
            let weight = tensor(&weight, [kernel, input / options.groups, output]);
            for bias in [None, Some(tensor(&normal(output, 4), [output]))] {
                let conv = |data: &[f64], batch: usize, frames: usize| {
                    let x = tensor(data, [batch, frames, input]);
                    values(ops::conv1d(x, weight.clone(), bias.clone(), options))
                };
                let lengths = [200, 33, 7, 90, 6];
                let together = conv(&padded(&lengths, 200, input, 0.0, 9), lengths.len(), 200);
                let row = together.len() / lengths.len();
                for (i, &length) in lengths.iter().enumerate() {
                    let data = padded(&lengths, 200, input, 0.0, 9);
                    // As long as it is, with the zeros behind it that the longest leaves it.
                    for frames in [200, (length + kernel + 3).min(200)] {
                        let alone = conv(&data[i * 200 * input..][..frames * input], 1, frames);
                        let seen = options.output_frames(length, kernel).min(alone.len() / output);
                        let what = format!(
                            "{input} to {output} by {kernel}, {options:?}, {way}: {length} frames of {frames}"
                        );
                        assert_same(&what, &alone[..seen * output], &together[i * row..][..seen * output]);
                    }
                }
            }
        }
    });
}

#[test]
fn utterances_of_attention() {
    let plain = |heads| AttentionOptions::new(heads);
    in_every_way(|way| {
        for (lengths, frames, width, options) in [
            (vec![1, 2, 5, 9], 9, 8, plain(1)),
            (vec![40, 3, 17, 1, 0], 41, 32, plain(4)),
            (vec![200, 33, 16, 7], 250, 24, AttentionOptions { alibi: true, ..plain(2) }),
            (vec![130, 77, 1], 130, 16, AttentionOptions { causal: true, ..plain(2) }),
            (vec![700, 33, 599], 701, 16, plain(2)),
            (vec![1100, 520, 700], 1300, 10, AttentionOptions { causal: true, ..plain(1) }),
            (
                vec![1200, 700, 30],
                1500,
                8,
                AttentionOptions { causal: true, left_context: Some(601), ..plain(1) },
            ),
            (vec![300, 150], 1100, 8, AttentionOptions { left_context: Some(33), ..plain(1) }),
        ] {
            for padding in [0.0, f64::NAN] {
                let attend = |data: &[Vec<f64>], lengths: &[usize], frames: usize| {
                    let [q, k, v] = [0, 1, 2].map(|i| tensor(&data[i], [lengths.len(), frames, width]));
                    let options = AttentionOptions { key_lengths: Some(lengths.to_vec()), ..options.clone() };
                    values(ops::attention(q, k, v, options))
                };
                let parts = |lengths: &[usize], frames, seed| -> Vec<Vec<f64>> {
                    (0..3).map(|i| padded(lengths, frames, width, padding, seed + 10 * i)).collect()
                };
                let together = attend(&parts(&lengths, frames, 1), &lengths, frames);
                for (i, &length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
                    for room in [length, length + 1] {
                        let data = parts(&[length], room, 1 + 100 * i as u64);
                        let alone = attend(&data, &[length], room);
                        let what = format!(
                            "{lengths:?} of {frames} by {width}, {options:?}, {way}, row {i} in {room}"
                        );
                        let seen = length * width;
                        assert_same(&what, &alone[..seen], &together[i * frames * width..][..seen]);
                    }
                }
            }
        }
    });
}
