//! Arithmetic of the vector unit on single-precision rows.

use super::ir::{Binary, Reduce, Unary, VecOp, Word};

/// Operand: elements in row-major order, and its size.
pub struct Operand<'a> {
    /// Elements.
    pub values: &'a [f32],
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

impl Operand<'_> {
    /// Element of a larger matrix that this one is repeated over.
    fn at(&self, row: usize, col: usize) -> f32 {
        let (row, col) = (if self.rows == 1 { 0 } else { row }, if self.cols == 1 { 0 } else { col });
        self.values[row * self.cols + col]
    }
}

/// Computes `op` into `to` of `rows × cols` elements, which holds what was there before.
pub fn apply(op: VecOp, to: &mut [f32], cols: usize, a: &Operand<'_>, b: Option<&Operand<'_>>) {
    let second = |i: usize| b.map_or(0.0, |b| b.at(i / cols.max(1), i % cols.max(1)));
    match op {
        VecOp::Fill(value) => to.fill(value),
        VecOp::Cast => to.copy_from_slice(a.values),
        VecOp::Unary(f) => to.iter_mut().zip(a.values).for_each(|(to, &x)| *to = unary(f, x)),
        VecOp::Scalar(f, value) => {
            to.iter_mut().zip(a.values).for_each(|(to, &x)| *to = binary(f, x, value));
        }
        VecOp::Binary(f) => {
            for (i, (to, &x)) in to.iter_mut().zip(a.values).enumerate() {
                *to = binary(f, x, second(i));
            }
        }
        VecOp::RowReduce(f) => {
            for (to, row) in to.iter_mut().zip(a.values.chunks_exact(a.cols.max(1))) {
                *to = reduce(f, row);
            }
        }
        VecOp::AddColumns => {
            for row in a.values.chunks_exact(a.cols.max(1)) {
                to.iter_mut().zip(row).for_each(|(to, x)| *to += x);
            }
        }
        VecOp::MaxColumns => {
            for row in a.values.chunks_exact(a.cols.max(1)) {
                to.iter_mut().zip(row).for_each(|(to, x)| *to = to.max(*x));
            }
        }
        VecOp::Ramp { first, step } => {
            to.iter_mut().enumerate().for_each(|(i, to)| *to = first + step * i as f32);
        }
        VecOp::Word(f) => {
            for (i, (to, x)) in to.iter_mut().zip(a.values).enumerate() {
                *to = word(f, x.to_bits(), second(i).to_bits());
            }
        }
        VecOp::Select(value) => {
            for (i, (to, &x)) in to.iter_mut().zip(a.values).enumerate() {
                *to = if second(i) != 0.0 { x } else { value };
            }
        }
    }
}

fn unary(f: Unary, x: f32) -> f32 {
    match f {
        Unary::Exp => x.exp(),
        Unary::Ln => x.ln(),
        Unary::Sqrt => x.sqrt(),
        Unary::Reciprocal if x == 0.0 => 0.0,
        Unary::Reciprocal => 1.0 / x,
        Unary::Erf => erf(x),
        Unary::Abs => x.abs(),
    }
}

fn binary(f: Binary, a: f32, b: f32) -> f32 {
    match f {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Max => a.max(b),
        Binary::Div => a / b,
    }
}

/// A float that carries the bits of a word; moving it does not change them.
fn word(f: Word, a: u32, b: u32) -> f32 {
    match f {
        Word::Add => f32::from_bits(a.wrapping_add(b)),
        Word::Xor => f32::from_bits(a ^ b),
        Word::Times(factor) => f32::from_bits(a.wrapping_mul(factor)),
        Word::Shift(places) => f32::from_bits(a >> places),
        Word::AtLeast(least) => f32::from(u8::from(a >= least)),
    }
}

/// Sums of 64 lanes, then of the lanes, as the unit adds.
fn reduce(f: Reduce, row: &[f32]) -> f32 {
    match f {
        Reduce::Max => row.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        Reduce::Sum => {
            let mut lanes = [0.0f32; 64];
            for part in row.chunks(64) {
                lanes.iter_mut().zip(part).for_each(|(lane, x)| *lane += x);
            }
            lanes.iter().sum()
        }
    }
}

/// The error function: its power series up to 2, `1 − e^(−x²)/(x√π)·…` as a continued fraction beyond (Abramowitz and
/// Stegun 7.1.6 and 7.1.14).
fn erf(x: f32) -> f32 {
    let magnitude = f64::from(x.abs());
    if magnitude.is_nan() {
        return x;
    }
    let square = magnitude * magnitude;
    let value = if magnitude < 2.0 {
        let (mut term, mut sum, mut n) = (magnitude, magnitude, 0.5);
        while term > 1e-10 * sum {
            n += 1.0;
            term *= square / n;
            sum += term;
        }
        sum * (-square).exp() * std::f64::consts::FRAC_2_SQRT_PI
    } else {
        let fraction = (1..=24).rev().fold(0.0, |inner, k| f64::from(k) / 2.0 / (magnitude + inner));
        1.0 - (-square).exp() / (magnitude + fraction) * 0.5 * std::f64::consts::FRAC_2_SQRT_PI
    };
    (value as f32).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_function_has_its_known_values() {
        // Abramowitz and Stegun, table 7.1.
        for (x, want) in [
            (0.0, 0.0),
            (0.5, 0.520_499_9),
            (1.0, 0.842_700_8),
            (1.9, 0.992_790_4),
            (2.0, 0.995_322_3),
            (3.0, 0.999_977_9),
        ] {
            assert!((erf(x) - want).abs() < 1e-6 && (erf(-x) + want).abs() < 1e-6, "erf({x}) = {}", erf(x));
        }
        assert_eq!(erf(f32::INFINITY), 1.0);
        assert!(erf(f32::NAN).is_nan());
    }
}
