use auricle_tensor::{ops, reference};
use burn::tensor::{DType, Tensor};

use crate::common::{check, check_gradients, constant, normal, on, run, values};

#[test]
fn linear() {
    for (rows, inputs, outputs) in
        [(1, 1, 1), (3, 15, 17), (16, 31, 16), (257, 64, 31), (40, 257, 128), (400, 300, 512)]
    {
        let shape = |x: &[Tensor<1>]| {
            (x[0].clone().reshape([rows, 1, inputs]), x[1].clone().reshape([inputs, outputs]), x[2].clone())
        };
        let fused = |x: &[Tensor<1>]| {
            let (x, w, b) = shape(x);
            ops::linear(x, w, Some(b)).reshape([-1])
        };
        let composed = |x: &[Tensor<1>]| {
            let (x, w, b) = shape(x);
            reference::linear(x, w, Some(b)).reshape([-1])
        };
        let data = [normal(rows * inputs, 1), normal(inputs * outputs, 2), normal(outputs, 3)];
        check("linear", &fused, &composed, &data, 2e-6);
        if rows < 10 {
            check_gradients("linear", &composed, &data);
        }
        let fused = |x: &[Tensor<1>]| {
            let (x, w, b) = shape(x);
            ops::linear_gelu(x, w, b).reshape([-1])
        };
        let active = |x: &[Tensor<1>]| reference::gelu(composed(x));
        check("linear gelu", &fused, &active, &data, 2e-6);
        if rows < 10 {
            check_gradients("linear gelu", &active, &data);
        }
        let fused = |x: &[Tensor<1>]| ops::linear(shape(x).0, shape(x).1, None).reshape([-1]);
        let composed = |x: &[Tensor<1>]| reference::linear(shape(x).0, shape(x).1, None).reshape([-1]);
        check("linear without bias", &fused, &composed, &data, 2e-6);
    }
}

#[test]
fn transposed_operands() {
    let shape = |x: &[Tensor<1>]| {
        (
            x[0].clone().reshape([5, 3, 7]).swap_dims(0, 1),
            x[1].clone().reshape([9, 5]).narrow(0, 1, 7).narrow(1, 0, 4),
        )
    };
    let x = |x: &[Tensor<1>]| shape(x).0.reshape([3, 5, 7]);
    check(
        "linear",
        &|i| ops::linear(shape(i).0, shape(i).1, None).reshape([-1]),
        &|i| reference::linear(x(i), shape(i).1, None).reshape([-1]),
        &[normal(105, 1), normal(45, 2)],
        2e-6,
    );
}

#[test]
fn nothing_in_nothing_out() {
    let device = on(DType::F32);
    let zeros = |shape: [usize; 2]| Tensor::<2>::zeros(shape, (&device, DType::F32));
    assert_eq!(ops::linear(zeros([0, 4]), zeros([4, 3]), None).dims(), [0, 3]);
    let none = Tensor::<1>::zeros([0], (&device, DType::F32));
    assert_eq!(ops::linear_gelu(zeros([3, 4]), zeros([4, 0]), none).dims(), [3, 0]);
    assert_eq!(
        ops::linear(zeros([2, 0]), zeros([0, 3]), Some(Tensor::ones([3], &device)))
            .sum()
            .into_scalar::<f32>(),
        6.0
    );
}

/// The same bits as the two operations one after the other, with gradients and without.
#[test]
fn with_gelu_it_is_the_two() {
    let data = [normal(64 * 33, 1), normal(33 * 17, 2), normal(17, 3)];
    let shaped =
        |x: &[Tensor<1>]| (x[0].clone().reshape([64, 33]), x[1].clone().reshape([33, 17]), x[2].clone());
    let fused = |x: &[Tensor<1>]| {
        let (x, w, b) = shaped(x);
        ops::linear_gelu::<2>(x, w, b).reshape([-1])
    };
    let two = |x: &[Tensor<1>]| {
        let (x, w, b) = shaped(x);
        ops::gelu(ops::linear::<2>(x, w, Some(b))).reshape([-1])
    };
    assert_eq!(run(&fused, &data, DType::F32), run(&two, &data, DType::F32));
    let plain = data.each_ref().map(|data| constant(data, DType::F32, &on(DType::F32)));
    assert_eq!(values(fused(&plain)), values(two(&plain)));
}
