//! Programs as functions of numbers to numbers.

use auricle_rng::{Key, Purpose};
use auricle_tensor::npu::spec::DeviceSpec;
use auricle_tensor::npu::tile::exec::{decode, encode};
use auricle_tensor::npu::tile::{self, Elem, Order, Program, Role};

/// The device of most tests.
pub fn b3() -> DeviceSpec {
    DeviceSpec::named("910b3").unwrap()
}

/// Standard normal numbers.
pub fn normal(n: usize, seed: u64) -> Vec<f32> {
    let mut stream = Key::new(seed).stream(Purpose::Test);
    (0..n).map(|_| stream.normal() as f32).collect()
}

/// Whole numbers from −4 to 4.
pub fn whole(n: usize, seed: u64) -> Vec<f32> {
    normal(n, seed).into_iter().map(|x| (2.0 * x).round().clamp(-4.0, 4.0)).collect()
}

/// What is left of numbers in a type.
pub fn rounded(values: &[f32], elem: Elem) -> Vec<f32> {
    let mut words = vec![0; values.len() * elem.words()];
    encode(values, elem, &mut words);
    let mut back = vec![0.0; values.len()];
    decode(&words, elem, &mut back);
    back
}

/// The outputs of a program. Outputs and working memory hold nonsense before it starts.
pub fn outputs(program: &Program, spec: &DeviceSpec, inputs: &[&[f32]], order: Order) -> Vec<Vec<f32>> {
    let mut inputs = inputs.iter();
    let tensors = program.tensors.iter().map(|decl| {
        let mut words = vec![0xfeed; decl.len * decl.elem.words()];
        if decl.role == Role::Input {
            let values = inputs.next().unwrap();
            assert_eq!(values.len(), decl.len, "{}: {}", program.name, decl.name);
            encode(values, decl.elem, &mut words);
        }
        words
    });
    let tensors = tensors.collect();
    assert!(inputs.next().is_none(), "{}: too many inputs", program.name);
    let results = tile::run(program, spec, tensors, order).unwrap_or_else(|error| panic!("{error}"));
    let results = program.tensors.iter().zip(results).filter(|(decl, _)| decl.role == Role::Output);
    results
        .map(|(decl, words)| {
            let mut values = vec![0.0; decl.len];
            decode(&words, decl.elem, &mut values);
            values
        })
        .collect()
}

/// The outputs, which must not depend on the order in which pipes happen to run.
pub fn checked(program: &Program, spec: &DeviceSpec, inputs: &[&[f32]]) -> Vec<Vec<f32>> {
    let results = outputs(program, spec, inputs, Order::Forward);
    let bits = |results: &[Vec<f32>]| -> Vec<Vec<u32>> {
        results.iter().map(|r| r.iter().map(|x| x.to_bits()).collect()).collect()
    };
    let again = outputs(program, spec, inputs, Order::Backward);
    assert!(bits(&results) == bits(&again), "{}: depends on the schedule", program.name);
    results
}

/// Tolerance of a type, relative to the largest element.
pub fn tolerance(elem: Elem) -> f64 {
    match elem {
        Elem::F16 => 1e-3,
        Elem::Bf16 => 1e-2,
        Elem::F32 => 2e-6,
    }
}

/// Asserts that no element is off by more than `tolerance` times the largest.
pub fn assert_close(what: &str, got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    let scale = want.iter().fold(1e-6f64, |m, x| m.max(x.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let off = (f64::from(*g) - w).abs();
        assert!(off <= tolerance * scale, "{what}[{i}]: {g:e}, expected {w:e} (scale {scale:e})");
    }
}

/// `a·b` in double precision, row-major.
pub fn product(a: &[f32], b: &[f32], [m, k, n]: [usize; 3]) -> Vec<f64> {
    let mut out = vec![0.0; m * n];
    for i in 0..m {
        for p in 0..k {
            let x = f64::from(a[i * k + p]);
            for j in 0..n {
                out[i * n + j] += x * f64::from(b[p * n + j]);
            }
        }
    }
    out
}

/// The transpose of a `rows × cols` matrix.
pub fn transposed(x: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    (0..cols).flat_map(|c| (0..rows).map(move |r| x[r * cols + c])).collect()
}
