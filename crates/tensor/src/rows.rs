//! The operations of a network on a few rows in host memory, for streaming.
//!
//! No tensor, no gradient, no thread and no allocation. The result for a row does not depend on how
//! many rows come with it, bit for bit, so a stream may be cut anywhere.

use crate::cpu::{elementwise, norm, reduce, rows as kernel, softmax};
use burn::tensor::f16;

/// A matrix in host memory, in half precision where that holds every value exactly.
///
/// A product of a few rows takes as long as it takes to read the matrix; models that come in half
/// precision are read in half of the time, and the results are the same.
#[derive(Debug, Clone)]
pub enum Matrix {
    /// Single precision.
    Single(Vec<f32>),
    /// Half precision, as bits, in the order in which a product reads them.
    Half(Vec<u16>),
}

impl Matrix {
    /// Takes the values, row-major, in rows of `width`.
    pub fn new(values: Vec<f32>, width: usize) -> Self {
        let half: Vec<u16> = values.iter().map(|&x| f16::from_f32(x).to_bits()).collect();
        let same = |(&x, &bits): (&f32, &u16)| x.is_finite() && kernel::half_value(bits) == x;
        match values.iter().zip(&half).all(same) {
            true => Self::Half(kernel::tiled(&half, width)),
            false => Self::Single(values),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Single(values) => values.len(),
            Self::Half(values) => values.len(),
        }
    }

    /// Values per column, for rows of `width`.
    pub fn rows(&self, width: usize) -> usize {
        self.len() / width.max(1)
    }
}

/// `out = x·W + b` for rows of `x`.
///
/// # Shapes
/// `x [n, D_in]`, `weight [D_in, D_out]`, `bias [D_out]`, `out [n, D_out]`
///
/// # Panics
/// Where the sizes disagree.
pub fn linear(out: &mut [f32], x: &[f32], weight: &Matrix, bias: &[f32]) {
    let width = bias.len();
    let input = weight.rows(width);
    assert!(
        width > 0 && input * width == weight.len() && x.len() * width == out.len() * input,
        "linear: {} values by a matrix of {} to {} with a bias of {width}",
        x.len(),
        weight.len(),
        out.len()
    );
    for out in out.chunks_exact_mut(width) {
        out.copy_from_slice(bias);
    }
    match weight {
        Matrix::Single(weight) => kernel::add_product(out, x, weight, width),
        Matrix::Half(weight) => kernel::add_product_of_half(out, x, weight, width),
    }
}

/// Layer norm of the rows of `x`, see [`ops::layer_norm`](crate::ops::layer_norm).
pub fn layer_norm(out: &mut [f32], x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f64) {
    norm::layer_norm_over(out, x, gamma, beta, epsilon as f32);
}

/// Exact GELU, in place.
pub fn gelu(x: &mut [f32]) {
    elementwise::gelu_in_place(x);
}

/// `max(x, 0)`, in place.
pub fn relu(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = x.max(0.0));
}

/// `y += x`.
pub fn add(y: &mut [f32], x: &[f32]) {
    elementwise::add(y, x);
}

/// `y += a·x`.
pub fn add_scaled(y: &mut [f32], a: f32, x: &[f32]) {
    elementwise::add_scaled(y, a, x);
}

/// `Σ x·y`.
pub fn dot(x: &[f32], y: &[f32]) -> f32 {
    reduce::dot(x, y)
}

/// `x ← softmax(x)`.
pub fn softmax(x: &mut [f32]) {
    softmax::softmax(x);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut draw = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| draw()).collect()
    }

    #[test]
    fn products_are_those_of_the_definition_one_row_or_many() {
        for (input, width) in [(1, 1), (3, 5), (4, 64), (17, 65), (33, 200)] {
            let (x, bias) = (noise(3 * input, 1), noise(width, 2));
            let single = noise(input * width, 3);
            let half: Vec<f32> = single.iter().map(|&w| f16::from_f32(w).to_f32()).collect();
            for weight in [single, half] {
                let matrix = Matrix::new(weight.clone(), width);
                let mut out = vec![0.0; 3 * width];
                linear(&mut out, &x, &matrix, &bias);
                for (row, x) in out.chunks_exact(width).zip(x.chunks_exact(input)) {
                    for (j, y) in row.iter().enumerate() {
                        let want: f64 = f64::from(bias[j])
                            + (0..input)
                                .map(|i| f64::from(x[i]) * f64::from(weight[i * width + j]))
                                .sum::<f64>();
                        assert!((f64::from(*y) - want).abs() < 1e-5, "{input} to {width}: {y} {want}");
                    }
                    let mut alone = vec![0.0; width];
                    linear(&mut alone, x, &matrix, &bias);
                    assert_eq!(alone, row);
                    let mut single = vec![0.0; width];
                    linear(&mut single, x, &Matrix::Single(weight.clone()), &bias);
                    assert_eq!(single, row, "half precision changes nothing");
                }
            }
        }
    }

    #[test]
    fn half_precision_holds_only_what_it_holds_exactly() {
        let is_half = |x: f32| matches!(Matrix::new(vec![x], 1), Matrix::Half(_));
        for x in [0.0, 1.0, -2.5, 65_504.0, f16::from_bits(1).to_f32(), f16::from_bits(0x03ff).to_f32()] {
            assert!(is_half(x), "{x}");
        }
        for x in [0.1, 70_000.0, 1e-8, f32::NAN, f32::INFINITY] {
            assert!(!is_half(x), "{x}");
        }
        for bits in (0..0x7c00).chain(0x8000..0xfc00) {
            assert_eq!(kernel::half_value(bits).to_bits(), f16::from_bits(bits).to_f32().to_bits());
        }
    }
}
