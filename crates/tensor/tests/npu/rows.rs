use auricle_tensor::npu::kernels::KernelError;
use auricle_tensor::npu::kernels::rows::{self, Rows};
use auricle_tensor::npu::spec::DeviceSpec;
use auricle_tensor::npu::tile::Elem;

use crate::common::{assert_close, b3, checked, normal, outputs, rounded, tolerance};

const SHAPES: [(usize, usize); 7] = [(1, 1), (15, 16), (16, 15), (17, 31), (257, 64), (3, 257), (600, 40)];

/// Calls `f` for rows of double-precision numbers.
fn by_row(inputs: &[&[f32]], cols: usize, f: impl Fn(&[Vec<f64>]) -> Vec<f64>) -> Vec<f64> {
    let row = |x: &[f32], r: usize| x[r * cols..][..cols].iter().map(|&x| f64::from(x)).collect();
    (0..inputs[0].len() / cols)
        .flat_map(|r| f(&inputs.iter().map(|x| row(x, r)).collect::<Vec<_>>()))
        .collect()
}

fn softmax(x: &[f64]) -> Vec<f64> {
    let top = x.iter().copied().fold(f64::MIN, f64::max);
    let total: f64 = x.iter().map(|x| (x - top).exp()).sum();
    x.iter().map(|x| (x - top).exp() / total).collect()
}

/// Abramowitz and Stegun 7.1.5 in double precision, for |x| < 6.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

fn each(test: impl Fn(Rows, &str)) {
    for elem in [Elem::F32, Elem::F16, Elem::Bf16] {
        for (rows, cols) in SHAPES {
            let op = Rows { rows, cols, elem };
            test(op, &format!("{op:?}"));
        }
    }
}

#[test]
fn softmax_and_its_logarithm() {
    let spec = b3();
    each(|op, name| {
        let n = op.rows * op.cols;
        let (x, g) = (rounded(&normal(n, 1), op.elem), rounded(&normal(n, 2), op.elem));
        for logarithm in [false, true] {
            let y = checked(&rows::softmax(&spec, op, logarithm).unwrap(), &spec, &[&x]).remove(0);
            let want = by_row(&[&x], op.cols, |x| {
                softmax(&x[0]).into_iter().map(|p| if logarithm { p.ln() } else { p }).collect()
            });
            assert_close(name, &y, &want, tolerance(op.elem));
            let dx =
                checked(&rows::softmax_backward(&spec, op, logarithm).unwrap(), &spec, &[&g, &y]).remove(0);
            let want = by_row(&[&g, &y], op.cols, |x| {
                let (g, y) = (&x[0], &x[1]);
                let mean: f64 = g.iter().zip(y).map(|(g, y)| if logarithm { *g } else { g * y }).sum();
                let term = |(g, y): (&f64, &f64)| if logarithm { g - y.exp() * mean } else { y * (g - mean) };
                g.iter().zip(y).map(term).collect()
            });
            assert_close(&format!("{name} backward"), &dx, &want, 2.0 * tolerance(op.elem));
        }
    });
}

#[test]
fn a_row_of_minus_infinity_gives_zeros() {
    let spec = b3();
    let op = Rows { rows: 2, cols: 5, elem: Elem::F32 };
    let mut x = vec![f32::NEG_INFINITY; 10];
    x[7] = 3.0;
    let y = outputs(
        &rows::softmax(&spec, op, false).unwrap(),
        &spec,
        &[&x],
        auricle_tensor::npu::tile::Order::Forward,
    );
    assert_eq!(y[0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn layer_norm_and_its_gradients() {
    let spec = b3();
    let epsilon = 1e-5;
    each(|op, name| {
        let n = op.rows * op.cols;
        let (x, g) = (rounded(&normal(n, 1), op.elem), rounded(&normal(n, 2), op.elem));
        let (gamma, beta) = (normal(op.cols, 3), normal(op.cols, 4));
        let program = rows::layer_norm(&spec, op, epsilon as f32).unwrap();
        let got = checked(&program, &spec, &[&x, &gamma, &beta]);
        let moments = |x: &[f64]| {
            let mean = x.iter().sum::<f64>() / x.len() as f64;
            let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / x.len() as f64;
            (mean, 1.0 / (variance + epsilon).sqrt())
        };
        let want = by_row(&[&x], op.cols, |x| {
            let (mean, rate) = moments(&x[0]);
            let scaled = x[0].iter().zip(&gamma).zip(&beta);
            scaled.map(|((x, &g), &b)| (x - mean) * rate * f64::from(g) + f64::from(b)).collect()
        });
        assert_close(name, &got[0], &want, tolerance(op.elem));
        let program = rows::layer_norm_backward(&spec, op).unwrap();
        let back = checked(&program, &spec, &[&g, &x, &got[1], &got[2], &gamma]);
        let (mut dgamma, mut dbeta) = (vec![0.0; op.cols], vec![0.0; op.cols]);
        let want = by_row(&[&g, &x], op.cols, |row| {
            let (mean, rate) = moments(&row[1]);
            let normal: Vec<f64> = row[1].iter().map(|x| (x - mean) * rate).collect();
            let g: Vec<f64> = row[0].iter().zip(&gamma).map(|(g, &s)| g * f64::from(s)).collect();
            let level = g.iter().sum::<f64>() / g.len() as f64;
            let slope = g.iter().zip(&normal).map(|(g, n)| g * n).sum::<f64>() / g.len() as f64;
            g.iter().zip(&normal).map(|(g, n)| rate * (g - level - n * slope)).collect()
        });
        for (row, grad) in x.chunks(op.cols).zip(g.chunks(op.cols)) {
            let (mean, rate) = moments(&row.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
            for (i, (&x, &g)) in row.iter().zip(grad).enumerate() {
                dgamma[i] += f64::from(g) * (f64::from(x) - mean) * rate;
                dbeta[i] += f64::from(g);
            }
        }
        // A row of one element has no gradient but rounding.
        if op.cols > 1 {
            assert_close(&format!("{name} dx"), &back[0], &want, 2.0 * tolerance(op.elem));
        }
        assert_close(&format!("{name} dgamma"), &back[1], &dgamma, 2e-5);
        assert_close(&format!("{name} dbeta"), &back[2], &dbeta, 2e-6);
    });
}

#[test]
fn rms_norm_and_its_gradients() {
    let spec = b3();
    let epsilon = 1e-5;
    each(|op, name| {
        let n = op.rows * op.cols;
        let (x, g) = (rounded(&normal(n, 1), op.elem), rounded(&normal(n, 2), op.elem));
        let gamma = normal(op.cols, 3);
        let program = rows::rms_norm(&spec, op, epsilon as f32).unwrap();
        let got = checked(&program, &spec, &[&x, &gamma]).remove(0);
        let rate = |x: &[f64]| 1.0 / (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64 + epsilon).sqrt();
        let want = by_row(&[&x], op.cols, |x| {
            let rate = rate(&x[0]);
            x[0].iter().zip(&gamma).map(|(x, &g)| x * rate * f64::from(g)).collect()
        });
        assert_close(name, &got, &want, tolerance(op.elem));
        let program = rows::rms_norm_backward(&spec, op, epsilon as f32).unwrap();
        let back = checked(&program, &spec, &[&g, &x, &gamma]);
        let mut dgamma = vec![0.0; op.cols];
        for (x, g) in x.chunks(op.cols).zip(g.chunks(op.cols)) {
            let rate = rate(&x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
            let terms = x.iter().zip(g).map(|(&x, &g)| f64::from(g) * f64::from(x) * rate);
            dgamma.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        }
        let want = by_row(&[&g, &x], op.cols, |row| {
            let rate = rate(&row[1]);
            let g: Vec<f64> = row[0].iter().zip(&gamma).map(|(g, &s)| g * f64::from(s)).collect();
            let slope = g.iter().zip(&row[1]).map(|(g, x)| g * x).sum::<f64>() * rate * rate / g.len() as f64;
            g.iter().zip(&row[1]).map(|(g, x)| rate * (g - x * slope)).collect()
        });
        // A row of one element has no gradient but rounding.
        if op.cols > 1 {
            assert_close(&format!("{name} dx"), &back[0], &want, 2.0 * tolerance(op.elem));
        }
        assert_close(&format!("{name} dgamma"), &back[1], &dgamma, 2e-5);
    });
}

#[test]
fn gelu_and_its_gradient() {
    let spec = b3();
    each(|op, name| {
        let n = op.rows * op.cols;
        let (x, g) = (rounded(&normal(n, 1), op.elem), rounded(&normal(n, 2), op.elem));
        let cumulative = |x: f64| 0.5 * (1.0 + erf(x / std::f64::consts::SQRT_2));
        let want: Vec<f64> = x.iter().map(|&x| f64::from(x) * cumulative(x.into())).collect();
        let y = checked(&rows::gelu(&spec, op).unwrap(), &spec, &[&x]).remove(0);
        assert_close(name, &y, &want, tolerance(op.elem));
        let dx = checked(&rows::gelu_backward(&spec, op).unwrap(), &spec, &[&g, &x]).remove(0);
        let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let want: Vec<f64> = x
            .iter()
            .zip(&g)
            .map(|(&x, &g)| (f64::from(x), f64::from(g)))
            .map(|(x, g)| g * (cumulative(x) + x * density(x)))
            .collect();
        assert_close(&format!("{name} backward"), &dx, &want, tolerance(op.elem));
    });
}

#[test]
fn column_sums_are_exact_on_whole_numbers() {
    let spec = b3();
    let op = Rows { rows: 500, cols: 300, elem: Elem::F32 };
    let x = crate::common::whole(op.rows * op.cols, 5);
    let mut want = vec![0.0f32; op.cols];
    x.chunks(op.cols).for_each(|row| want.iter_mut().zip(row).for_each(|(sum, x)| *sum += x));
    assert_eq!(checked(&rows::column_sums(&spec, op).unwrap(), &spec, &[&x])[0], want);
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let op = Rows { rows: 1, cols: 1 << 20, elem: Elem::F32 };
    let error = rows::softmax(&DeviceSpec::named("910b3").unwrap(), op, false).unwrap_err();
    assert!(matches!(error, KernelError::TooWide { cols: 1_048_576, .. }), "{error}");
}
