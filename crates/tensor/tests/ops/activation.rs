use auricle_tensor::{ops, reference};

use crate::common::{check, check_gradients, normal};

#[test]
fn gelu() {
    check_gradients("gelu", &|x| reference::gelu(x[0].clone()), &[normal(40, 1)]);
    for n in [0, 1, 15, 16, 17, 31, 257, 40_000] {
        let x: Vec<f64> = normal(n, n as u64).iter().map(|x| f64::from((3.0 * x) as f32)).collect();
        check("gelu", &|x| ops::gelu(x[0].clone()), &|x| reference::gelu(x[0].clone()), &[x], 5e-7);
    }
}

#[test]
fn gelu_of_a_transposed_view() {
    let view = |x: &burn::tensor::Tensor<1>| x.clone().reshape([7, 19]).swap_dims(0, 1);
    check(
        "gelu",
        &|x| ops::gelu(view(&x[0])).reshape([-1]),
        &|x| reference::gelu(view(&x[0])).reshape([-1]),
        &[normal(133, 5)],
        5e-7,
    );
}

#[test]
fn gelu_of_a_slice_leaves_its_source_alone() {
    let x = crate::common::constant(
        &normal(100, 5),
        burn::tensor::DType::F32,
        &crate::common::on(burn::tensor::DType::F32),
    );
    let before = crate::common::values(x.clone());
    let slice = x.clone().narrow(0, 10, 33);
    assert_eq!(crate::common::values(ops::gelu(slice.clone())).len(), 33);
    assert_eq!(crate::common::values(slice), before[10..43]);
    assert_eq!(crate::common::values(x), before);
}

#[test]
fn gelu_overwrites_its_input_only_where_nobody_else_holds_it() {
    let x = crate::common::constant(
        &normal(257, 6),
        burn::tensor::DType::F32,
        &crate::common::on(burn::tensor::DType::F32),
    );
    let before = crate::common::values(x.clone());
    let held = crate::common::values(ops::gelu(x.clone()));
    assert_eq!(crate::common::values(x.clone()), before);
    assert_eq!(crate::common::values(ops::gelu(x)), held);
}

/// Products of matrices are twenty times slower with subnormal numbers; gradients of units that are far off are none.
#[test]
fn gradients_far_to_the_left_are_zero_and_not_subnormal() {
    if !crate::common::tests_cpu() {
        eprintln!("skipped: the CPU's kernel");
        return;
    }
    let x: Vec<f64> = (0..4000).map(|i| f64::from(-0.01f32 * i as f32)).collect();
    let leaf = crate::common::leaf(&x, burn::tensor::DType::F32);
    let y = ops::gelu(leaf.clone());
    let gradients = crate::common::values(leaf.grad(&(y.clone() * y).sum().backward()).unwrap());
    assert!(gradients.iter().all(|g| *g == 0.0 || g.abs() > f64::from(f32::MIN_POSITIVE)));
    assert!(gradients[..800].iter().skip(1).all(|g| *g != 0.0));
}
