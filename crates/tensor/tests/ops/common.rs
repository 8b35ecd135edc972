//! The harness: an operation is a function of flat tensors to a flat tensor.

use auricle_rng::{Key, Purpose};
use auricle_tensor::is_cpu;
use burn::tensor::{DType, Device, Tensor, TensorData};

/// An operation under test; it reshapes its inputs as it needs.
pub type Op<'a> = &'a (dyn Fn(&[Tensor<1>]) -> Tensor<1> + Sync);

/// Relative to the largest element of a result, or to one: compositions take the difference of numbers of order
/// one where a kernel has it on paper.
const GPU_TOLERANCE: f64 = 1e-5;

/// Standard normal numbers that single precision holds exactly.
pub fn normal(n: usize, seed: u64) -> Vec<f64> {
    let mut stream = Key::new(seed).stream(Purpose::Test);
    (0..n).map(|_| f64::from(stream.normal() as f32)).collect()
}

/// Where a precision is tested: single precision on the device that `AURICLE_TEST_DEVICE` names (`wgpu`,
/// `cuda:0`; built with that feature), by default on the CPU, double precision on the CPU always.
pub fn on(dtype: DType) -> Device {
    match std::env::var("AURICLE_TEST_DEVICE") {
        Ok(name) if dtype == DType::F32 => auricle_tensor::device(&name).unwrap(),
        _ => Device::flex(),
    }
}

/// A leaf of the graph.
pub fn leaf(values: &[f64], dtype: DType) -> Tensor<1> {
    constant(values, dtype, &on(dtype).autodiff()).require_grad()
}

/// A tensor of given values.
pub fn constant(values: &[f64], dtype: DType, device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), (device, dtype))
}

/// The values of a tensor.
pub fn values<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().convert::<f64>().try_into_vec::<f64>().unwrap()
}

/// The output of `op`, and the gradient of `Σ outputᵢ·wᵢ` (fixed random weights) with respect to every input.
pub fn run(op: Op<'_>, inputs: &[Vec<f64>], dtype: DType) -> (Vec<f64>, Vec<Vec<f64>>) {
    let leaves: Vec<_> = inputs.iter().map(|x| leaf(x, dtype)).collect();
    let output = op(&leaves);
    let [n] = output.dims();
    let weights = constant(&normal(n, 99), dtype, &output.device());
    let grads = (output.clone() * weights).sum().backward();
    let gradients =
        leaves.iter().zip(inputs).map(|(leaf, x)| leaf.grad(&grads).map_or(vec![0.0; x.len()], values));
    (values(output), gradients.collect())
}

/// Whether single precision is tested on the CPU.
pub fn tests_cpu() -> bool {
    is_cpu(&on(DType::F32))
}

/// Asserts that no element is off by more than `tolerance` times the largest (or times 1e-4); GPUs, whose
/// exponentials and sums are coarser, are allowed [`GPU_TOLERANCE`].
pub fn assert_close(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    let (tolerance, least) =
        if tests_cpu() { (tolerance, 1e-4) } else { (tolerance.max(GPU_TOLERANCE), 1.0) };
    let scale = want.iter().fold(least, |m: f64, x| m.max(x.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance * scale, "{what}[{i}]: {g:e}, expected {w:e} (scale {scale:e})");
    }
}

/// The fused operation in single precision against the reference in double precision, forward and
/// every gradient; and, on the CPU, the fused operation against itself with one and two threads, bit for bit.
pub fn check(name: &str, fused: Op<'_>, reference: Op<'_>, inputs: &[Vec<f64>], tolerance: f64) {
    let (want, want_gradients) = run(reference, inputs, DType::F64);
    let (got, gradients) = run(fused, inputs, DType::F32);
    assert_close(name, &got, &want, tolerance);
    for (i, (got, want)) in gradients.iter().zip(&want_gradients).enumerate() {
        assert_close(&format!("{name}, gradient {i}"), got, want, tolerance);
    }
    if !tests_cpu() {
        return;
    }
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let again = pool.install(|| run(fused, inputs, DType::F32));
        // NaN never equals itself; the values were compared above.
        assert!(again == (got.clone(), gradients.clone()), "{name}: differs with {threads} threads");
    }
}

/// The gradients of `op` in double precision against central differences, at up to 20 elements of each input.
pub fn check_gradients(name: &str, op: Op<'_>, inputs: &[Vec<f64>]) {
    let (output, gradients) = run(op, inputs, DType::F64);
    let weights = normal(output.len(), 99);
    let objective = |inputs: &[Vec<f64>]| {
        let leaves: Vec<_> = inputs.iter().map(|x| leaf(x, DType::F64)).collect();
        values(op(&leaves)).iter().zip(&weights).map(|(y, w)| y * w).sum::<f64>()
    };
    for (i, x) in inputs.iter().enumerate() {
        let step = (x.len() / 20).max(1);
        for j in (0..x.len()).step_by(step) {
            let shifted = |delta: f64| {
                let mut inputs = inputs.to_vec();
                inputs[i][j] += delta;
                objective(&inputs)
            };
            let h = 1e-5;
            let want = (shifted(h) - shifted(-h)) / (2.0 * h);
            let got = gradients[i][j];
            assert!(
                (got - want).abs() < 1e-6 * (1.0 + want.abs()),
                "{name}: input {i}[{j}]: {got:e}, expected {want:e}"
            );
        }
    }
}
