use auricle_tensor::npu::kernels::KernelError;
use auricle_tensor::npu::kernels::matmul::{Matmul, matmul};
use auricle_tensor::npu::spec::DeviceSpec;
use auricle_tensor::npu::tile::Elem;

use crate::common::{assert_close, b3, checked, normal, product, rounded, tolerance, transposed, whole};

fn check(op: Matmul, spec: &DeviceSpec) {
    let (m, k, n) = (op.m, op.k, op.n);
    for exact in [true, false] {
        let make = |n, seed| if exact { whole(n, seed) } else { rounded(&normal(n, seed), op.elem) };
        let (a, b, bias) = (make(m * k, 1), make(k * n, 2), make(n, 3));
        let mut want = product(&a, &b, [m, k, n]);
        if op.bias {
            want.chunks_mut(n)
                .for_each(|row| row.iter_mut().zip(&bias).for_each(|(y, b)| *y += f64::from(*b)));
        }
        let a = if op.a_transposed { transposed(&a, m, k) } else { a };
        let b = if op.b_transposed { transposed(&b, k, n) } else { b };
        let program = matmul(spec, op, None).unwrap();
        let inputs: Vec<&[f32]> = if op.bias { vec![&a, &b, &bias] } else { vec![&a, &b] };
        let got = checked(&program, spec, &inputs).remove(0);
        if exact {
            let want: Vec<f32> = want.iter().map(|&x| x as f32).collect();
            assert!(got == want, "{op:?} of whole numbers is not exact");
        } else {
            assert_close(&format!("{op:?}"), &got, &want, tolerance(op.elem));
        }
    }
}

#[test]
fn products_equal_those_of_the_cpu() {
    let spec = b3();
    for elem in [Elem::F16, Elem::Bf16] {
        for (m, k, n) in [
            (1, 1, 1),
            (15, 16, 17),
            (16, 31, 1),
            (1, 257, 16),
            (31, 17, 257),
            (257, 129, 300),
            (130, 600, 20),
        ] {
            for form in 0..8 {
                let base = Matmul::new(m, k, n, elem);
                check(
                    Matmul {
                        a_transposed: form & 1 > 0,
                        b_transposed: form & 2 > 0,
                        bias: form & 4 > 0,
                        ..base
                    },
                    &spec,
                );
            }
        }
    }
    check(Matmul::new(100, 100, 100, Elem::F16), &DeviceSpec::named("910a").unwrap());
    check(Matmul::new(100, 100, 100, Elem::F16), &DeviceSpec::named("310p3").unwrap());
}

#[test]
fn old_parts_multiply_no_bf16() {
    let error = matmul(&DeviceSpec::named("910a").unwrap(), Matmul::new(16, 16, 16, Elem::Bf16), None);
    assert!(matches!(error, Err(KernelError::Type { .. })));
}
