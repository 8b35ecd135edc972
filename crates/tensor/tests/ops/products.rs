//! Products of operands rounded to bf16.

use auricle_tensor::ops::{self, AttentionOptions, Conv1dOptions, Products, with_products};
use auricle_tensor::reference;
use burn::tensor::{DType, Tensor};

use crate::common::{assert_close, check, constant, leaf, normal, run, tests_cpu, values};

fn rounded(x: &[f64]) -> Vec<f64> {
    x.iter().map(|&x| half::bf16::from_f32(x as f32).to_f64()).collect()
}

/// Runs an operation in bf16.
fn bf16<T>(f: impl FnOnce() -> T) -> T {
    with_products(Products::Bf16, f)
}

/// `a·b` in double precision.
fn product(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    let term = |i: usize| (0..k).map(|p| a[i / n * k + p] * b[p * n + i % n]).sum();
    (0..m * n).map(term).collect()
}

fn transposed(x: &[f64], rows: usize, cols: usize) -> Vec<f64> {
    (0..cols * rows).map(|i| x[i % rows * cols + i / rows]).collect()
}

#[test]
fn a_linear_map_and_its_gradients_are_products_of_rounded_operands() {
    if !tests_cpu() {
        eprintln!("skipped: products in bf16 are the CPU's kernels");
        return;
    }
    for [m, k, n] in [[1, 1, 1], [15, 17, 31], [16, 257, 16], [257, 31, 50], [130, 300, 401]] {
        let (x, w, bias) = (normal(m * k, 1), normal(k * n, 2), normal(n, 3));
        let op = |x: &[Tensor<1>]| {
            let (a, w) = (x[0].clone().reshape([m, k]), x[1].clone().reshape([k, n]));
            bf16(|| ops::linear(a, w, Some(x[2].clone()))).reshape([-1])
        };
        let inputs = [x.clone(), w.clone(), bias.clone()];
        let (got, grads) = run(&op, &inputs, DType::F32);
        // The weights of the loss, which are the gradient that comes in.
        let g = normal(m * n, 99);
        let (rx, rw, rg) = (rounded(&x), rounded(&w), rounded(&g));
        let mut want = product(&rx, &rw, [m, k, n]);
        want.iter_mut().enumerate().for_each(|(i, y)| *y += bias[i % n]);
        assert_close("linear", &got, &want, 2e-6);
        let dx = product(&rg, &transposed(&rw, k, n), [m, n, k]);
        assert_close("dx", &grads[0], &dx, 2e-6);
        let dw = product(&transposed(&rx, m, k), &rg, [k, m, n]);
        assert_close("dw", &grads[1], &dw, 2e-6);
        // Sums of columns are no products.
        let db: Vec<f64> = (0..n).map(|j| (0..m).map(|i| g[i * n + j]).sum()).collect();
        assert_close("db", &grads[2], &db, 2e-6);
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(
                pool.install(|| run(&op, &inputs, DType::F32)) == (got.clone(), grads.clone()),
                "{threads} threads"
            );
        }
    }
}

#[test]
fn attention_and_convolutions_are_close_to_single_precision() {
    let data: Vec<Vec<f64>> = (1..4).map(|seed| normal(2 * 57 * 32, seed)).collect();
    let options =
        AttentionOptions { causal: true, key_lengths: Some(vec![57, 31]), ..AttentionOptions::new(2) };
    let shape = |x: &[Tensor<1>], i: usize| x[i].clone().reshape([2, 57, 32]);
    check(
        "attention",
        &|x| bf16(|| ops::attention(shape(x, 0), shape(x, 1), shape(x, 2), options.clone())).reshape([-1]),
        &|x| reference::attention(shape(x, 0), shape(x, 1), shape(x, 2), &options).reshape([-1]),
        &data,
        1e-2,
    );
    let strided = Conv1dOptions { stride: 2, pad_left: 1, pad_right: 2, groups: 1 };
    let conv = |x: &[Tensor<1>]| (x[0].clone().reshape([3, 31, 15]), x[1].clone().reshape([5, 15, 17]));
    check(
        "conv1d",
        &|x| bf16(|| ops::conv1d(conv(x).0, conv(x).1, Some(x[2].clone()), strided)).reshape([-1]),
        &|x| reference::conv1d(conv(x).0, conv(x).1, Some(x[2].clone()), strided).reshape([-1]),
        &[normal(3 * 31 * 15, 1), normal(5 * 15 * 17, 2), normal(17, 3)],
        1e-2,
    );
}

#[test]
fn the_choice_belongs_to_the_operation_and_ends_with_its_scope() {
    if !tests_cpu() {
        eprintln!("skipped: products in bf16 are the CPU's kernels");
        return;
    }
    let (x, w) = (normal(40 * 30, 1), normal(30 * 20, 2));
    let map = |x: &Tensor<1>| {
        let w = constant(&w, DType::F32, &x.device());
        ops::linear(x.clone().reshape([40, 30]), w.reshape([30, 20]), None)
    };
    let gradient = |inside: bool| {
        let x = leaf(&x, DType::F32);
        let y = bf16(|| map(&x));
        let loss = (y.clone() * y).sum();
        let grads = if inside { bf16(|| loss.backward()) } else { loss.backward() };
        values(x.grad(&grads).unwrap())
    };
    assert_eq!(gradient(true), gradient(false), "the backward pass keeps what the forward pass had");
    let x = constant(&x, DType::F32, &burn::tensor::Device::flex());
    let (single, half) = (values(map(&x)), values(bf16(|| map(&x))));
    assert_ne!(single, half);
    let nested = bf16(|| (values(with_products(Products::Single, || map(&x))), values(map(&x))));
    assert_eq!(nested, (single.clone(), half));
    let stopped = std::panic::catch_unwind(|| bf16(|| panic!("as a wrong shape does")));
    assert!(stopped.is_err());
    assert_eq!(values(map(&x)), single);
}
