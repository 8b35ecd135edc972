//! The operations of a network on a few rows in host memory, for streaming.
//!
//! No tensor, no gradient, no thread and no allocation. The result for a row does not depend on how
//! many rows come with it, bit for bit, so a stream may be cut anywhere.

use crate::cpu::{elementwise, norm, reduce, rows as kernel, softmax};

/// `out = x·W + b` for rows of `x`.
///
/// # Shapes
/// `x [n, D_in]`, `weight [D_in, D_out]`, `bias [D_out]`, `out [n, D_out]`
///
/// # Panics
/// Where the sizes disagree.
pub fn linear(out: &mut [f32], x: &[f32], weight: &[f32], bias: &[f32]) {
    let width = bias.len();
    let input = weight.len() / width.max(1);
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
    kernel::add_product(out, x, weight, width);
}

/// Layer norm of the rows of `x`, see [`ops::layer_norm`](crate::ops::layer_norm).
pub fn layer_norm(out: &mut [f32], x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f64) {
    norm::layer_norm(out, x, gamma, beta, epsilon as f32);
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
