//! Operations along the last dimension, and dropout.

use auricle_tensor::ops::{self, Dropout};
use auricle_tensor::reference;
use burn::tensor::{DType, Tensor};

use crate::common::{Op, assert_close, check, check_gradients, constant, normal, on, run, values};

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
fn a_row_of_minus_infinity_has_probabilities_of_zero_and_no_gradient() {
    // Shorter than a vector, as long, longer, several.
    for width in [2, 3, 15, 16, 17, 31, 257] {
        masked_row(width);
    }
}

fn masked_row(width: usize) {
    const NOTHING: f64 = f64::NEG_INFINITY;
    // The middle row is masked, and an element of each of the others.
    let mut x = [normal(3 * width, 5)];
    x[0][1] = NOTHING;
    x[0][width..=2 * width].fill(NOTHING);
    // The weights that `run` gives the elements of a result.
    let weights = normal(3 * width, 99);
    let rows = || x[0].chunks(width).zip(weights.chunks(width));
    let softmax = |x: &[f64]| -> Vec<f64> {
        let total: f64 = x.iter().map(|x| x.exp()).sum();
        x.iter().map(|x| if total > 0.0 { x.exp() / total } else { 0.0 }).collect()
    };
    let gradient = |(x, w): (&[f64], &[f64])| -> Vec<f64> {
        let p = softmax(x);
        let mean: f64 = p.iter().zip(w).map(|(p, w)| p * w).sum();
        p.iter().zip(w).map(|(p, w)| p * (w - mean)).collect()
    };
    let gradient_of_logarithm = |(x, w): (&[f64], &[f64])| -> Vec<f64> {
        let (p, total) = (softmax(x), w.iter().sum::<f64>());
        let is_masked = p.iter().all(|&p| p == 0.0);
        p.iter().zip(w).map(|(p, w)| if is_masked { 0.0 } else { w - p * total }).collect()
    };
    let want: Vec<f64> = rows().flat_map(|(x, _)| softmax(x)).collect();
    let want_gradient: Vec<f64> = rows().flat_map(gradient).collect();
    let want_gradient_of_logarithm: Vec<f64> = rows().flat_map(gradient_of_logarithm).collect();
    for dtype in [DType::F32, DType::F64] {
        let (y, gradients) = run(&|x| ops::softmax(matrix(&x[0], width), 1).reshape([-1]), &x, dtype);
        assert_close("softmax", &y, &want, 1e-6);
        assert_close("its gradient", &gradients[0], &want_gradient, 1e-6);
        let (y, gradients) = run(&|x| ops::log_softmax(matrix(&x[0], width), 1).reshape([-1]), &x, dtype);
        assert_close("log_softmax", &y.iter().map(|y| y.exp()).collect::<Vec<_>>(), &want, 1e-6);
        assert_close("its gradient", &gradients[0], &want_gradient_of_logarithm, 1e-6);
    }
}

#[test]
fn masked_softmax() {
    // Two utterances of `rows` rows each; none, one, some and all of the elements, and more than there are.
    for (rows, width) in [(1usize, 1usize), (3, 5), (2, 16), (7, 17), (5, 31), (40, 257), (1, 768)] {
        for lengths in [[width, 1], [width / 2, width], [0, width.saturating_sub(1)], [width + 3, 0]] {
            let x = normal(2 * rows * width, 7);
            let shaped = |x: &Tensor<1>| x.clone().reshape([2, rows, width]);
            let composed = |x: &[Tensor<1>]| reference::masked_softmax(shaped(&x[0]), &lengths).reshape([-1]);
            let fused = |x: &[Tensor<1>]| ops::masked_softmax(shaped(&x[0]), &lengths).reshape([-1]);
            if rows * width < 40 {
                check_gradients("masked_softmax", &composed, std::slice::from_ref(&x));
            }
            check("masked_softmax", &fused, &composed, &[x], 1e-6);
        }
    }
}

#[test]
fn what_a_mask_hides_has_no_influence() {
    let mut x = normal(2 * 3 * 5, 7);
    let lengths = [2, 4];
    let run_on = |x: &[f64]| {
        let op =
            |x: &[Tensor<1>]| ops::masked_softmax(x[0].clone().reshape([2, 3, 5]), &lengths).reshape([-1]);
        run(&op, &[x.to_vec()], DType::F32)
    };
    let before = run_on(&x);
    for (row, x) in x.chunks_exact_mut(5).enumerate() {
        x[lengths[row / 3]..].fill(f64::NAN);
    }
    assert_eq!(run_on(&x), before);
}

#[test]
fn add_layer_norm() {
    for mask in [None, Some(Dropout { p: 0.3, seed: 5 })] {
        let both = |x: &[Tensor<1>], width: usize| (matrix(&x[0], width), matrix(&x[1], width));
        let composed = |x: &[Tensor<1>], width: usize| {
            let (own, branch) = both(x, width);
            reference::add_layer_norm(own, branch, x[2].clone(), x[3].clone(), 1e-5, mask).reshape([-1])
        };
        let fused = |x: &[Tensor<1>], width: usize| {
            let (own, branch) = both(x, width);
            ops::add_layer_norm(own, branch, x[2].clone(), x[3].clone(), 1e-5, mask).reshape([-1])
        };
        let inputs = |rows: usize, width: usize| {
            [normal(rows * width, 1), normal(rows * width, 2), normal(width, 3), normal(width, 4)]
        };
        check_gradients("add_layer_norm", &|x| composed(x, 6), &inputs(4, 6));
        for width in [15, 16, 17, 31, 257, 768] {
            for rows in [1, 50, 70_000 / width + 3] {
                let inputs = inputs(rows, width);
                check("add_layer_norm", &|x| fused(x, width), &|x| composed(x, width), &inputs, 3e-6);
            }
        }
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
    for width in WIDTHS {
        for rows in [1, 50, 4000 / width + 3] {
            let fused =
                |x: &[Tensor<1>]| ops::rms_norm(matrix(&x[0], width), x[1].clone(), 1e-5).reshape([-1]);
            let inputs = [normal(rows * width, 1), normal(width, 2)];
            // One element becomes its sign: its gradient is rounding noise.
            check("rms_norm", &fused, &reference(width), &inputs, if width == 1 { 1e-3 } else { 3e-6 });
        }
    }
}

#[test]
fn dropout() {
    let fixed = Dropout { p: 0.3, seed: 77 };
    check_gradients("dropout", &|x| reference::dropout(x[0].clone(), fixed), &[normal(40, 1)]);
    for n in [1, 15, 16, 17, 31, 257, 4096, 4097, 70_001] {
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

#[test]
fn no_rows() {
    let rows = |x: &[Tensor<1>]| x[0].clone().reshape([0, 5]);
    let check = |name: &str, fused: Op<'_>, composed: Op<'_>| {
        check(name, fused, composed, &[vec![], normal(5, 1), normal(5, 2)], 0.0);
    };
    check("gelu", &|x| ops::gelu(rows(x)).reshape([-1]), &|x| reference::gelu(rows(x)).reshape([-1]));
    check("softmax", &|x| ops::softmax(rows(x), 1).reshape([-1]), &|x| {
        reference::softmax(rows(x), 1).reshape([-1])
    });
    check("log_softmax", &|x| ops::log_softmax(rows(x), 1).reshape([-1]), &|x| {
        reference::log_softmax(rows(x), 1).reshape([-1])
    });
    check(
        "layer_norm",
        &|x| ops::layer_norm(rows(x), x[1].clone(), x[2].clone(), 1e-5).reshape([-1]),
        &|x| reference::layer_norm(rows(x), x[1].clone(), x[2].clone(), 1e-5).reshape([-1]),
    );
    check(
        "add_layer_norm",
        &|x| ops::add_layer_norm(rows(x), rows(x), x[1].clone(), x[2].clone(), 1e-5, None).reshape([-1]),
        &|x| {
            reference::add_layer_norm(rows(x), rows(x), x[1].clone(), x[2].clone(), 1e-5, None).reshape([-1])
        },
    );
    check("masked_softmax", &|x| ops::masked_softmax(rows(x), &[]).reshape([-1]), &|x| {
        reference::masked_softmax(rows(x), &[]).reshape([-1])
    });
    check("rms_norm", &|x| ops::rms_norm(rows(x), x[1].clone(), 1e-5).reshape([-1]), &|x| {
        reference::rms_norm(rows(x), x[1].clone(), 1e-5).reshape([-1])
    });
    check("dropout", &|x| ops::dropout(rows(x), 0.3, 7).reshape([-1]), &|x| {
        reference::dropout(rows(x), Dropout { p: 0.3, seed: 7 }).reshape([-1])
    });
}
