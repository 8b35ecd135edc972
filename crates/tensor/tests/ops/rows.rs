//! Operations along the last dimension, and dropout.

use auricle_tensor::ops::{self, Dropout};
use auricle_tensor::reference;
use burn::tensor::{DType, Tensor};

use crate::common::{check, check_gradients, constant, normal, on, values};

const WIDTHS: [usize; 7] = [1, 15, 16, 17, 31, 257, 768];

fn matrix(x: &Tensor<1>, width: usize) -> Tensor<2> {
    x.clone().reshape([-1, width as i32])
}

#[test]
fn softmax() {
    check_gradients("softmax", &|x| reference::softmax(matrix(&x[0], 5), 1).reshape([-1]), &[normal(20, 1)]);
    check_gradients(
        "log_softmax",
        &|x| reference::log_softmax(matrix(&x[0], 5), 1).reshape([-1]),
        &[normal(20, 1)],
    );
    for width in WIDTHS {
        let x = [normal(70 * width, 2)];
        let plain = |x: &[Tensor<1>]| ops::softmax(matrix(&x[0], width), 1).reshape([-1]);
        check("softmax", &plain, &|x| reference::softmax(matrix(&x[0], width), 1).reshape([-1]), &x, 1e-6);
        let logs = |x: &[Tensor<1>]| ops::log_softmax(matrix(&x[0], width), 1).reshape([-1]);
        check(
            "log_softmax",
            &logs,
            &|x| reference::log_softmax(matrix(&x[0], width), 1).reshape([-1]),
            &x,
            1e-6,
        );
    }
    let across = |x: &[Tensor<1>]| ops::softmax(matrix(&x[0], 7), 0).reshape([-1]);
    check(
        "softmax over rows",
        &across,
        &|x| reference::softmax(matrix(&x[0], 7), 0).reshape([-1]),
        &[normal(70, 3)],
        1e-6,
    );
}

#[test]
fn a_row_of_minus_infinity_gives_zeros() {
    let x = [f64::NEG_INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY, 1.0];
    for dtype in [DType::F32, DType::F64] {
        let y = values(ops::softmax(matrix(&constant(&x, dtype, &on(dtype)), 2), 1));
        assert_eq!(y, [0.0, 0.0, 0.0, 1.0]);
    }
}

#[test]
fn layer_norm() {
    let reference = |width: usize| {
        move |x: &[Tensor<1>]| {
            reference::layer_norm(matrix(&x[0], width), x[1].clone(), x[2].clone(), 1e-5).reshape([-1])
        }
    };
    check_gradients("layer_norm", &reference(6), &[normal(24, 1), normal(6, 2), normal(6, 3)]);
    for width in WIDTHS {
        for rows in [1, 50, 4000 / width + 3] {
            // A row far from zero, where a one-pass variance would lose everything.
            let shifted = normal(rows * width, 1).iter().map(|x| f64::from((x + 30.0) as f32)).collect();
            let fused = |x: &[Tensor<1>]| {
                ops::layer_norm(matrix(&x[0], width), x[1].clone(), x[2].clone(), 1e-5).reshape([-1])
            };
            let inputs = [shifted, normal(width, 2), normal(width, 3)];
            check("layer_norm", &fused, &reference(width), &inputs, 1e-4);
            let inputs = [normal(rows * width, 1), normal(width, 2), normal(width, 3)];
            // One element normalises to zero: its gradient is rounding noise.
            check("layer_norm", &fused, &reference(width), &inputs, if width == 1 { 1e-3 } else { 3e-6 });
        }
    }
}

#[test]
fn rms_norm() {
    let reference = |width: usize| {
        move |x: &[Tensor<1>]| reference::rms_norm(matrix(&x[0], width), x[1].clone(), 1e-5).reshape([-1])
    };
    check_gradients("rms_norm", &reference(6), &[normal(24, 1), normal(6, 2)]);
    for width in WIDTHS.into_iter().skip(1) {
        for rows in [1, 50, 4000 / width + 3] {
            let fused =
                |x: &[Tensor<1>]| ops::rms_norm(matrix(&x[0], width), x[1].clone(), 1e-5).reshape([-1]);
            check("rms_norm", &fused, &reference(width), &[normal(rows * width, 1), normal(width, 2)], 3e-6);
        }
    }
}

#[test]
fn dropout() {
    for n in [1, 17, 4096, 4097, 70_001] {
        for p in [0.0, 0.1, 1.0] {
            let fused = |x: &[Tensor<1>]| ops::dropout(x[0].clone(), p, 77);
            let reference = |x: &[Tensor<1>]| reference::dropout(x[0].clone(), Dropout { p, seed: 77 });
            check("dropout", &fused, &reference, &[normal(n, 1)], 1e-6);
        }
    }
    // What is dropped does not matter.
    let x = constant(&vec![f64::NAN; 100], DType::F32, &on(DType::F32));
    assert_eq!(values(ops::dropout(x, 1.0, 3)), [0.0; 100]);
}
