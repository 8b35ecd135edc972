//! Dimensions of size 0, and options with absurd numbers: a result as the definition says, forward and backward.

use auricle_tensor::ops::{self, AttentionOptions, Conv1dOptions};
use burn::tensor::{DType, Tensor};

use crate::common::{assert_close, normal, run};

/// All lists of `N` of these sizes.
fn sizes<const N: usize>(choices: [usize; 3]) -> impl Iterator<Item = [usize; N]> {
    (0..3usize.pow(N as u32)).map(move |i| std::array::from_fn(|d| choices[i / 3usize.pow(d as u32) % 3]))
}

#[test]
fn rows_and_columns_of_nothing() {
    for [rows, width] in sizes::<2>([0, 1, 3]) {
        let inputs = [normal(rows * width, 1), normal(width, 2), normal(width, 3)];
        let len = |op: &(dyn Fn(&[Tensor<1>]) -> Tensor<2> + Sync)| {
            let flat = |x: &[Tensor<1>]| op(x).reshape([-1]);
            // An empty tensor cannot be told by -1 what it is.
            let flat_of_none = |x: &[Tensor<1>]| op(x).reshape([0]);
            let op: crate::common::Op<'_> = if rows * width == 0 { &flat_of_none } else { &flat };
            let (y, gradients) = run(op, &inputs, DType::F32);
            assert_eq!(y.len(), rows * width, "[{rows}, {width}]");
            assert!(y.iter().chain(gradients.iter().flatten()).all(|y| y.is_finite()), "[{rows}, {width}]");
        };
        let x = move |x: &[Tensor<1>]| x[0].clone().reshape([rows, width]);
        len(&|i| ops::gelu(x(i)));
        len(&|i| ops::dropout(x(i), 0.5, 3));
        len(&|i| ops::softmax(x(i), 1));
        len(&|i| ops::log_softmax(x(i), 1));
        for length in [0, 1, usize::MAX] {
            len(&|i| ops::masked_softmax(x(i), &vec![length; rows]));
        }
        len(&|i| ops::rms_norm(x(i), i[1].clone(), 1e-5));
        len(&|i| ops::layer_norm(x(i), i[1].clone(), i[2].clone(), 1e-5));
        len(&|i| ops::add_layer_norm(x(i), x(i), i[1].clone(), i[2].clone(), 1e-5, None));
    }
}

#[test]
fn linear_maps_from_and_to_nothing() {
    for [rows, k, n] in sizes::<3>([0, 1, 3]) {
        let inputs = [normal(rows * k, 1), normal(k * n, 2), normal(n, 3)];
        let shape = |y: Tensor<2>| y.reshape([rows * n]);
        let x = |x: &[Tensor<1>]| x[0].clone().reshape([rows, k]);
        let w = |x: &[Tensor<1>]| x[1].clone().reshape([k, n]);
        let term = |i: usize| (0..k).map(|p| inputs[0][i / n * k + p] * inputs[1][p * n + i % n]).sum();
        let want: Vec<f64> = (0..rows * n).map(term).collect();
        let what = format!("[{rows}, {k}, {n}]");
        let op = |i: &[Tensor<1>]| shape(ops::linear(x(i), w(i), None));
        assert_close(&what, &run(&op, &inputs, DType::F32).0, &want, 1e-6);
        let op = |i: &[Tensor<1>]| shape(ops::linear(x(i), w(i), Some(i[2].clone())));
        let with_bias: Vec<f64> = want.iter().enumerate().map(|(i, y)| y + inputs[2][i % n]).collect();
        assert_close(&what, &run(&op, &inputs, DType::F32).0, &with_bias, 1e-6);
        let op = |i: &[Tensor<1>]| shape(ops::linear_gelu(x(i), w(i), i[2].clone()));
        assert_eq!(run(&op, &inputs, DType::F32).0.len(), rows * n, "{what}");
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
                let inputs = [
                    normal(batch * frames * input, 1),
                    normal(kernel * input * output, 2),
                    normal(output, 3),
                ];
                let outputs = options.output_frames(frames, kernel);
                let op = |i: &[Tensor<1>]| {
                    let x = i[0].clone().reshape([batch, frames, input]);
                    let w = i[1].clone().reshape([kernel, input, output]);
                    ops::conv1d(x, w, Some(i[2].clone()), options).reshape([batch * outputs * output])
                };
                let sizes = [frames, kernel, input, output];
                let want = convolved(&inputs[0], &inputs[1], &inputs[2], sizes, options, batch);
                let what = format!("[{batch}, {frames}, {input}] by [{kernel}, {output}], {options:?}");
                assert_close(&what, &run(&op, &inputs, DType::F32).0, &want, 1e-6);
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
        let inputs = [
            normal(batch * queries * width, 1),
            normal(batch * keys * width, 2),
            normal(batch * keys * width, 3),
        ];
        let op = |i: &[Tensor<1>]| {
            let [q, k, v] = [(0, queries), (1, keys), (2, keys)]
                .map(|(at, frames)| i[at].clone().reshape([batch, frames, width]));
            ops::attention(q, k, v, AttentionOptions::new(1)).reshape([batch * queries * width])
        };
        let (y, gradients) = run(&op, &inputs, DType::F32);
        assert!(y.iter().chain(gradients.iter().flatten()).all(|y| y.is_finite()));
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
