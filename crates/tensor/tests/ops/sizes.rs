//! Dimensions of size 0, and options with absurd numbers: a result as the definition says, forward and backward.

use auricle_tensor::ops::{self, AttentionOptions, Conv1dOptions};
use burn::tensor::{DType, Tensor, TensorData};

use crate::common::{assert_close, normal, on, run, values};

/// All lists of `N` of these sizes.
fn sizes<const N: usize>(choices: [usize; 3]) -> impl Iterator<Item = [usize; N]> {
    (0..3usize.pow(N as u32)).map(move |i| std::array::from_fn(|d| choices[i / 3usize.pow(d as u32) % 3]))
}

/// A leaf of the graph; burn's `reshape` takes 0 for "as before", so the shape comes with the data.
fn leaf<const D: usize>(seed: u64, shape: [usize; D]) -> Tensor<D> {
    let data = TensorData::new(normal(shape.iter().product(), seed), shape);
    Tensor::from_data(data, (&on(DType::F32).autodiff(), DType::F32)).require_grad()
}

/// The finite values of a result of this shape, whose backward pass runs.
fn result<const D: usize>(what: &str, y: Tensor<D>, shape: [usize; D]) -> Vec<f64> {
    assert_eq!(y.dims(), shape, "{what}");
    let got = values(y.clone());
    assert!(got.iter().all(|y| y.is_finite()), "{what}: {got:?}");
    if !got.is_empty() {
        // A result of nothing is no part of the graph; the other leaf is.
        drop(((y.clone() * y).sum() + leaf(9, [1])).backward());
    }
    got
}

#[test]
fn rows_and_columns_of_nothing() {
    for [rows, width] in sizes::<2>([0, 1, 3]) {
        let shape = [rows, width];
        let (x, gamma, beta) = (|| leaf(1, shape), || leaf(2, [width]), || leaf(3, [width]));
        result("gelu", ops::gelu(x()), shape);
        result("dropout", ops::dropout(x(), 0.5, 3), shape);
        result("softmax", ops::softmax(x(), 1), shape);
        result("log_softmax", ops::log_softmax(x(), 1), shape);
        for length in [0, 1, usize::MAX] {
            result("masked_softmax", ops::masked_softmax(x(), &vec![length; rows]), shape);
        }
        result("rms_norm", ops::rms_norm(x(), gamma(), 1e-5), shape);
        result("layer_norm", ops::layer_norm(x(), gamma(), beta(), 1e-5), shape);
        result("add_layer_norm", ops::add_layer_norm(x(), x(), gamma(), beta(), 1e-5, None), shape);
    }
}

#[test]
fn linear_maps_from_and_to_nothing() {
    for [rows, k, n] in sizes::<3>([0, 1, 3]) {
        let (x, w, b) = (normal(rows * k, 1), normal(k * n, 2), normal(n, 3));
        let (x_leaf, w_leaf, b_leaf) = (|| leaf(1, [rows, k]), || leaf(2, [k, n]), || leaf(3, [n]));
        let term = |i: usize| (0..k).map(|p| x[i / n * k + p] * w[p * n + i % n]).sum();
        let want: Vec<f64> = (0..rows * n).map(term).collect();
        let what = format!("[{rows}, {k}, {n}]");
        let got = result(&what, ops::linear(x_leaf(), w_leaf(), None), [rows, n]);
        assert_close(&what, &got, &want, 1e-6);
        let with_bias: Vec<f64> = want.iter().enumerate().map(|(i, y)| y + b[i % n]).collect();
        let got = result(&what, ops::linear(x_leaf(), w_leaf(), Some(b_leaf())), [rows, n]);
        assert_close(&what, &got, &with_bias, 1e-6);
        result(&what, ops::linear_gelu(x_leaf(), w_leaf(), b_leaf()), [rows, n]);
    }
}

/// A convolution by its definition.
fn convolved(
    x: &[f64],
    w: &[f64],
    bias: &[f64],
    [frames, kernel, input, output]: [usize; 4],
    o: Conv1dOptions,
    batch: usize,
) -> Vec<f64> {
    let outputs = o.output_frames(frames, kernel);
    let at = |b: usize, t: usize, c: usize| {
        t.checked_sub(o.pad_left).filter(|&t| t < frames).map_or(0.0, |t| x[(b * frames + t) * input + c])
    };
    let element = |i: usize| {
        let (b, t, out) = (i / (outputs * output), i / output % outputs, i % output);
        let terms =
            (0..kernel * input).map(|p| at(b, t * o.stride + p / input, p % input) * w[p * output + out]);
        bias[out] + terms.sum::<f64>()
    };
    (0..batch * outputs * output).map(element).collect()
}

#[test]
fn convolutions_of_nothing_and_by_absurd_strides() {
    for [batch, frames, kernel, input, output] in sizes::<5>([0, 1, 2]) {
        for stride in [1, 2, 1 << 40, usize::MAX] {
            for pad in [0, 1] {
                let options = Conv1dOptions { stride, pad_left: pad, pad_right: pad, groups: 1 };
                let (x, w) = (normal(batch * frames * input, 1), normal(kernel * input * output, 2));
                let bias = normal(output, 3);
                let want = convolved(&x, &w, &bias, [frames, kernel, input, output], options, batch);
                let what = format!("[{batch}, {frames}, {input}] by [{kernel}, {output}], {options:?}");
                let x = leaf(1, [batch, frames, input]);
                let y = ops::conv1d(x, leaf(2, [kernel, input, output]), Some(leaf(3, [output])), options);
                let shape = [batch, options.output_frames(frames, kernel), output];
                assert_close(&what, &result(&what, y, shape), &want, 1e-6);
            }
        }
    }
    let absurd = Conv1dOptions { pad_left: usize::MAX, pad_right: usize::MAX, ..Conv1dOptions::default() };
    assert_eq!(absurd.output_frames(usize::MAX, 0), usize::MAX);
    assert_eq!(absurd.output_frames(0, usize::MAX), 1);
}

#[test]
#[should_panic(expected = "more than memory can hold")]
fn padding_beyond_memory_is_refused_before_it_is_allocated() {
    let x = Tensor::<3>::zeros([1, 4, 2], &burn::tensor::Device::flex());
    let w = Tensor::<3>::zeros([3, 2, 2], &burn::tensor::Device::flex());
    let _ = ops::conv1d(x, w, None, Conv1dOptions { pad_left: 1 << 62, ..Conv1dOptions::default() });
}

#[test]
fn attention_of_nothing() {
    for [batch, queries, keys, width] in sizes::<4>([0, 1, 4]) {
        let (q, k, v) =
            (leaf(1, [batch, queries, width]), leaf(2, [batch, keys, width]), leaf(3, [batch, keys, width]));
        let y = ops::attention(q, k, v, AttentionOptions::new(1));
        result(&format!("{queries} queries, {keys} keys"), y, [batch, queries, width]);
    }
}

/// Numbers beyond all frames mean what the greatest sensible number means, and cost nothing.
#[test]
fn options_of_attention_with_absurd_numbers() {
    let (batch, frames, width) = (2, 5, 4);
    let inputs = [1, 2, 3].map(|seed| normal(batch * frames * width, seed));
    let attend = |options: AttentionOptions| {
        let op = |i: &[Tensor<1>]| {
            let [q, k, v] = [0, 1, 2].map(|at| i[at].clone().reshape([batch, frames, width]));
            ops::attention(q, k, v, options.clone()).reshape([-1])
        };
        run(&op, &inputs, DType::F32)
    };
    let plain = AttentionOptions::new(2);
    for causal in [false, true] {
        let plain = AttentionOptions { causal, ..plain.clone() };
        let want = attend(plain.clone());
        for absurd in [frames, 1 << 31, 1 << 53, usize::MAX - 5, usize::MAX - 1, usize::MAX] {
            for options in [
                AttentionOptions { left_context: Some(absurd), ..plain.clone() },
                AttentionOptions { key_lengths: Some(vec![absurd; batch]), ..plain.clone() },
                AttentionOptions { query_limits: Some(vec![absurd; batch * frames]), ..plain.clone() },
            ] {
                assert_eq!(attend(options.clone()), want, "{options:?}");
            }
        }
    }
}

#[test]
fn losses_of_nothing() {
    let device = burn::tensor::Device::flex();
    for (batch, frames) in [(0, 0), (0, 3), (2, 0), (2, 3)] {
        let targets = vec![vec![]; batch];
        let loss =
            ops::ctc_loss(Tensor::zeros([batch, frames, 4], &device), &targets, &vec![frames; batch], 0);
        assert_eq!(loss.dims(), [batch]);
    }
    for (rows, width) in [(0, 0), (0, 3), (2, 0), (2, 3)] {
        let x = || Tensor::<2>::zeros([rows, width], &device);
        let output = ops::contrastive_loss(x(), x(), &[], 0.1);
        assert!(
            output.loss.into_scalar::<f32>().is_finite() && output.accuracy.is_finite(),
            "[{rows}, {width}]"
        );
    }
}
