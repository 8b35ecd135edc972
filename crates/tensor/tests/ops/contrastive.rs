use auricle_rng::{Key, Purpose};
use auricle_tensor::{ops, reference};
use burn::tensor::{DType, Device, Tensor};

use crate::common::{check, check_gradients, constant, leaf, normal, on, values};

fn negatives(positions: usize, count: usize) -> Vec<u32> {
    let mut stream = Key::new(5).stream(Purpose::Negatives);
    (0..positions * count).map(|_| stream.below(positions) as u32).collect()
}

#[test]
fn loss_and_gradient() {
    for (positions, count, width) in [
        (1, 1, 4),
        (2, 0, 3),
        (5, 3, 1),
        (15, 4, 17),
        (16, 7, 31),
        (17, 31, 15),
        (31, 5, 16),
        (45, 100, 32),
        (257, 13, 257),
    ] {
        let negatives = negatives(positions, count);
        // Two equal targets, so that some negatives equal a positive.
        let mut target = normal(positions * width, 2);
        if positions > 1 {
            target.copy_within(..width, width);
        }
        let data = [normal(positions * width, 1), target];
        let shape = |x: &Tensor<1>| x.clone().reshape([positions, width]);
        let fused = |x: &[Tensor<1>]| {
            ops::contrastive_loss(shape(&x[0]), shape(&x[1]).detach(), &negatives, 0.3).loss
        };
        let composed = |x: &[Tensor<1>]| {
            reference::contrastive_loss(shape(&x[0]), shape(&x[1]).detach(), &negatives, 0.3).loss
        };
        // One component: the gradient is zero, and what is left of it rounding.
        check("contrastive", &fused, &composed, &data, if width == 1 { 0.05 } else { 3e-6 });
        let fixed = constant(&data[1], DType::F64, &Device::flex()).reshape([positions, width]);
        let op =
            |x: &[Tensor<1>]| reference::contrastive_loss(shape(&x[0]), fixed.clone(), &negatives, 0.3).loss;
        check_gradients("contrastive", &op, &data[..1]);
        let accuracy = |dtype| {
            let x = |i: usize| constant(&data[i], dtype, &on(dtype)).reshape([positions, width]);
            ops::contrastive_loss(x(0), x(1), &negatives, 0.3).accuracy
        };
        // One component has only two cosines: rounding decides its ties.
        assert!(width == 1 || accuracy(DType::F32) == accuracy(DType::F64));
    }
}

#[test]
fn a_perfect_prediction_and_a_collapsed_one() {
    let target = normal(20 * 8, 1);
    let tensor = |x: &[f64]| constant(x, DType::F32, &on(DType::F32)).reshape([20, 8]);
    let negatives: Vec<u32> = (0..20 * 4).map(|i| (i / 4 + 1 + i % 4) % 20).collect();
    assert_eq!(ops::contrastive_loss(tensor(&target), tensor(&target), &negatives, 0.1).accuracy, 1.0);
    // All targets equal: every negative equals the positive and is left out.
    let collapsed = ops::contrastive_loss(tensor(&target), tensor(&[1.0; 160]), &negatives, 0.1);
    assert_eq!(values(collapsed.loss), [0.0]);
    // No negatives: nothing to be right about.
    assert_eq!(ops::contrastive_loss(tensor(&target), tensor(&target), &[], 0.1).accuracy, 0.0);
}

#[test]
fn zero_vectors_and_no_positions() {
    let pred = leaf(&[0.0; 12], DType::F32);
    let target = constant(&normal(12, 1), DType::F32, &on(DType::F32)).reshape([3, 4]);
    let output = ops::contrastive_loss(pred.clone().reshape([3, 4]), target, &[1, 2, 0], 0.3);
    assert!((values(output.loss.clone())[0] - 2f64.ln()).abs() < 1e-6);
    assert!(values(pred.grad(&output.loss.backward()).unwrap()).iter().all(|g| g.is_finite()));
    let none = || Tensor::<2>::zeros([0, 4], (&on(DType::F32), DType::F32));
    let output = ops::contrastive_loss(none(), none(), &[], 0.3);
    assert_eq!((values(output.loss), output.accuracy), (vec![0.0], 0.0));
}
