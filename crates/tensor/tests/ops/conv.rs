use auricle_tensor::ops::{self, Conv1dOptions};
use auricle_tensor::reference;
use burn::tensor::{DType, Tensor};

use crate::common::{assert_close, check, check_gradients, normal, on, run};

/// The definition, in double precision.
fn naive(x: &[f64], w: &[f64], bias: &[f64], [b, t, ci, k, co]: [usize; 5], o: Conv1dOptions) -> Vec<f64> {
    let (gi, go, outputs) = (ci / o.groups, co / o.groups, o.output_frames(t, k));
    let mut y = Vec::new();
    for row in 0..b {
        for j in 0..outputs {
            for out in 0..co {
                let mut sum = bias[out];
                for tap in 0..k {
                    let Some(frame) = (j * o.stride + tap).checked_sub(o.pad_left).filter(|f| *f < t) else {
                        continue;
                    };
                    for c in 0..gi {
                        sum += x[(row * t + frame) * ci + out / go * gi + c] * w[(tap * gi + c) * co + out];
                    }
                }
                y.push(sum);
            }
        }
    }
    y
}

fn check_conv(dims @ [b, t, ci, k, co]: [usize; 5], options: Conv1dOptions) {
    let name = format!("{dims:?} {options:?}");
    let data = [normal(b * t * ci, 1), normal(k * ci / options.groups * co, 2), normal(co, 3)];
    let shape = |x: &[Tensor<1>]| {
        (
            x[0].clone().reshape([b, t, ci]),
            x[1].clone().reshape([k, ci / options.groups, co]),
            Some(x[2].clone()),
        )
    };
    let fused = |i: &[Tensor<1>]| {
        let (x, w, b) = shape(i);
        ops::conv1d(x, w, b, options).reshape([-1])
    };
    let composed = |i: &[Tensor<1>]| {
        let (x, w, b) = shape(i);
        reference::conv1d(x, w, b, options).reshape([-1])
    };
    let want = naive(&data[0], &data[1], &data[2], dims, options);
    assert_close(&name, &run(&composed, &data, DType::F64).0, &want, 1e-12);
    check(&name, &fused, &composed, &data, 3e-6);
    let fused = |i: &[Tensor<1>]| ops::conv1d(shape(i).0, shape(i).1, None, options).reshape([-1]);
    let composed = |i: &[Tensor<1>]| reference::conv1d(shape(i).0, shape(i).1, None, options).reshape([-1]);
    check(&format!("{name} without bias"), &fused, &composed, &data, 3e-6);
}

fn options(stride: usize, pad_left: usize, pad_right: usize, groups: usize) -> Conv1dOptions {
    Conv1dOptions { stride, pad_left, pad_right, groups }
}

#[test]
fn gradients_of_the_composition() {
    let data = [normal(2 * 7 * 4, 1), normal(3 * 2 * 6, 2), normal(6, 3)];
    let conv = |x: &[Tensor<1>], bias| {
        let (x, w) = (x[0].clone().reshape([2, 7, 4]), x[1].clone().reshape([3, 2, 6]));
        reference::conv1d(x, w, bias, options(2, 1, 2, 2)).reshape([-1])
    };
    check_gradients("conv1d", &|x| conv(x, Some(x[2].clone())), &data);
    check_gradients("conv1d without bias", &|x| conv(x, None), &data[..2]);
}

#[test]
fn dense() {
    check_conv([1, 1, 1, 1, 1], options(1, 0, 0, 1));
    check_conv([3, 17, 15, 1, 31], options(1, 0, 0, 1));
    check_conv([2, 31, 16, 5, 17], options(1, 2, 2, 1));
    check_conv([2, 32, 16, 5, 24], options(2, 1, 2, 1));
    check_conv([2, 31, 7, 5, 9], options(2, 1, 2, 1));
    check_conv([2, 3, 7, 5, 9], options(2, 1, 2, 1));
    check_conv([1, 257, 3, 4, 5], options(3, 0, 1, 1));
    check_conv([2, 20, 3, 2, 5], options(5, 0, 0, 1));
    check_conv([2, 20, 3, 2, 5], options(5, 7, 9, 1));
    check_conv([2, 1, 3, 5, 4], options(1, 2, 2, 1));
}

#[test]
fn grouped() {
    check_conv([2, 19, 32, 128, 32], options(1, 64, 63, 2));
    check_conv([1, 40, 96, 16, 96], options(1, 8, 7, 2));
    check_conv([2, 33, 30, 5, 12], options(2, 1, 2, 3));
    check_conv([3, 15, 16, 3, 16], options(1, 1, 1, 16));
    check_conv([2, 17, 8, 7, 200], options(3, 0, 5, 2));
    check_conv([2, 9, 130, 4, 34], options(1, 2, 1, 2));
}

#[test]
fn no_output_frame() {
    let device = on(DType::F32).autodiff();
    for frames in [0, 1, 3] {
        let x = Tensor::<3>::zeros([2, frames, 4], (&device, DType::F32)).require_grad();
        let w = Tensor::<3>::zeros([5, 4, 6], (&device, DType::F32)).require_grad();
        let y = ops::conv1d(x.clone(), w.clone(), None, options(2, 0, 0, 1));
        assert_eq!(y.dims(), [2, 0, 6]);
        // Nothing comes back from nothing: what is left is the gradient of the sums.
        let gradients = (y.sum() + x.clone().sum() + w.clone().sum()).backward();
        for gradient in [x.grad(&gradients), w.grad(&gradients)].into_iter().flatten() {
            assert!(crate::common::values(gradient).iter().all(|&g| g == 1.0));
        }
    }
}

#[test]
fn a_transposed_input() {
    let shape =
        |x: &[Tensor<1>]| (x[0].clone().reshape([2, 6, 11]).swap_dims(1, 2), x[1].clone().reshape([3, 6, 4]));
    check(
        "conv1d",
        &|x| ops::conv1d(shape(x).0, shape(x).1, None, options(1, 1, 1, 1)).reshape([-1]),
        &|x| reference::conv1d(shape(x).0, shape(x).1, None, options(1, 1, 1, 1)).reshape([-1]),
        &[normal(132, 1), normal(72, 2)],
        3e-6,
    );
}
