//! Fused operations inside graphs: constants, shared inputs, recomputation.

use auricle_tensor::ops::{self, AttentionOptions, Conv1dOptions};
use burn::tensor::{DType, Device, Tensor, activation};

use crate::common::{assert_close, constant, leaf, normal, on, values};

/// A chain that mixes fused operations with burn's own, uses one tensor twice and one parameter twice.
fn network(x: Tensor<3>, w: Tensor<2>, gamma: Tensor<1>) -> Tensor<1> {
    let conv = w.clone().reshape([3, 8, 8]);
    let h =
        ops::conv1d(x.clone(), conv, None, Conv1dOptions { pad_left: 1, pad_right: 1, ..Default::default() });
    let h = activation::relu(ops::layer_norm(h.clone(), gamma.clone(), gamma.clone(), 1e-5)) + h;
    let h = ops::gelu(h.clone()).exp() + ops::attention(h.clone(), h.clone(), h, AttentionOptions::new(2));
    let h = ops::dropout(ops::linear(h, w.narrow(0, 0, 8), Some(gamma.clone())), 0.2, 5);
    ops::rms_norm(ops::softmax(h, 2) * x, gamma, 1e-5).reshape([-1])
}

fn gradients(device: &Device, dtype: DType) -> Vec<Vec<f64>> {
    let leaves = [normal(2 * 9 * 8, 1), normal(24 * 8, 2), normal(8, 3)];
    let [x, w, gamma] = leaves.map(|v| constant(&v, dtype, device).require_grad());
    let y = network(x.clone().reshape([2, 9, 8]), w.clone().reshape([24, 8]), gamma.clone());
    let weights = constant(&normal(144, 4), dtype, device);
    let grads = (y * weights).sum().backward();
    [x, w, gamma].map(|leaf| values(leaf.grad(&grads).unwrap())).into()
}

#[test]
fn a_network_with_and_without_recomputation() {
    let plain = gradients(&on(DType::F32).autodiff(), DType::F32);
    let double = gradients(&Device::flex().autodiff(), DType::F64);
    let recomputed = gradients(&on(DType::F32).autodiff().gradient_checkpointing(), DType::F32);
    for ((plain, double), recomputed) in plain.iter().zip(&double).zip(&recomputed) {
        assert_close("single against double precision", plain, double, 1e-4);
        assert_eq!(plain, recomputed);
    }
}

#[test]
fn constants_mix_with_tracked_tensors() {
    let weight = leaf(&normal(12, 1), DType::F32);
    let x = constant(&normal(8, 2), DType::F32, &on(DType::F32)).reshape([2, 4]);
    let y = ops::linear(x.clone(), weight.clone().reshape([4, 3]), None);
    let grads = y.sum().backward();
    let column_sums = values(x.sum_dim(0));
    let want: Vec<f64> = column_sums.iter().flat_map(|&s| [s; 3]).collect();
    assert_close("weight", &values(weight.grad(&grads).unwrap()), &want, 1e-6);
}

#[test]
fn an_input_survives_what_is_computed_from_it() {
    let x = constant(&normal(5000, 1), DType::F32, &on(DType::F32).autodiff());
    let before = values(x.clone());
    let tracked = x.clone().require_grad();
    let y =
        ops::dropout(tracked.clone(), 0.5, 1) + ops::softmax(tracked.clone(), 0) + ops::gelu(tracked.clone());
    drop(y.sum().backward());
    assert_eq!(values(tracked), before);
    assert_eq!(values(x), before);
}
