use auricle_tensor::ops::{self, BatchNormOptions};
use auricle_tensor::reference;
use burn::tensor::{DType, Tensor};

use crate::common::{assert_close, check, check_gradients, normal, run};

const SHAPE: [usize; 3] = [3, 7, 5];
const LENGTHS: [usize; 3] = [7, 1, 4];

fn options(relu: bool) -> BatchNormOptions {
    BatchNormOptions { relu, epsilon: 1e-3 }
}

#[test]
fn equal_to_its_composition_with_and_without_its_surroundings() {
    let n = SHAPE.iter().product();
    for relu in [false, true] {
        let inputs = [normal(n, 1), normal(n, 2)];
        let fused = |x: &[Tensor<1>]| {
            let residual = x.get(1).map(|r| (r.clone().reshape(SHAPE), 0.66));
            ops::batch_norm(x[0].clone().reshape(SHAPE), residual, &LENGTHS, options(relu)).0.flatten(0, 2)
        };
        let plain = |x: &[Tensor<1>]| {
            let residual = x.get(1).map(|r| (r.clone().reshape(SHAPE), 0.66));
            reference::batch_norm(x[0].clone().reshape(SHAPE), residual, &LENGTHS, options(relu))
                .0
                .flatten(0, 2)
        };
        check("batch_norm", &fused, &plain, &inputs, 2e-6);
        check("batch_norm", &fused, &plain, &inputs[..1], 2e-6);
        check_gradients("batch_norm", &plain, &inputs);
    }
}

#[test]
fn valid_frames_have_mean_zero_and_variance_one_whatever_stands_beyond() {
    let mut x = normal(SHAPE.iter().product(), 3);
    let op = |x: &[Tensor<1>]| {
        ops::batch_norm(x[0].clone().reshape(SHAPE), None, &LENGTHS, options(false)).0.flatten(0, 2)
    };
    let (clean, clean_gradients) = run(&op, &[x.clone()], DType::F32);
    let count = LENGTHS.iter().sum::<usize>() as f64;
    for c in 0..SHAPE[2] {
        let channel = || clean.iter().skip(c).step_by(SHAPE[2]);
        assert!((channel().sum::<f64>() / count).abs() < 1e-6);
        assert!((channel().map(|v| v * v).sum::<f64>() / count - 1.0).abs() < 1e-2);
    }
    for (b, &length) in LENGTHS.iter().enumerate() {
        x[(b * SHAPE[1] + length) * SHAPE[2]..(b + 1) * SHAPE[1] * SHAPE[2]].fill(f64::NAN);
    }
    let (dirty, dirty_gradients) = run(&op, &[x], DType::F32);
    assert_eq!(clean, dirty);
    assert_close("gradients with NaN as padding", &dirty_gradients[0], &clean_gradients[0], 1e-12);
}

#[test]
fn moments_come_beside() {
    let x: Vec<f64> = vec![1.0, -2.0, 3.0, 4.0, 100.0, 100.0];
    let x = crate::common::constant(&x, DType::F32, &crate::common::on(DType::F32)).reshape([1, 3, 2]);
    let (_, moments) = ops::batch_norm(x.clone(), None, &[2], options(false));
    assert_eq!((moments.mean, moments.variance), (vec![2.0, 1.0], vec![1.0, 9.0]));
    let (_, moments) = ops::batch_norm(x, None, &[2], options(true));
    assert_eq!((moments.mean, moments.variance), (vec![2.0, 2.0], vec![1.0, 4.0]));
}
