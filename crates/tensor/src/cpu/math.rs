//! Elementary functions in single precision, written so that a loop over them vectorises.
//!
//! `FMA` says whether the target has a fused multiply-add; without one, `mul_add` would be a call.

/// `a·b + c`.
#[inline(always)]
pub fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Where single precision runs out of normal numbers for eˣ.
const LOWEST: f32 = -87.3;

/// eˣ; 0 below −87.3. Relative error ≤ 2e-7.
#[inline(always)]
pub fn exp<const FMA: bool>(x: f32) -> f32 {
    let y = exp_in_range::<FMA>(x.clamp(LOWEST, 88.3));
    // NaN passes through the clamp and the polynomial.
    if x < LOWEST { 0.0 } else { y }
}

/// eˣ for −87.3 ≤ x ≤ 88.3.
#[inline(always)]
fn exp_in_range<const FMA: bool>(x: f32) -> f32 {
    // Adding 1.5·2²³ rounds to an integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = fma::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts, the first with few enough bits that its product with n is exact.
    let r = fma::<FMA>(n, -0.693_359_4, x);
    let r = fma::<FMA>(n, 2.121_944_4e-4, r);
    let p = fma::<FMA>(1.987_569_1e-4, r, 1.398_199_9e-3);
    let p = fma::<FMA>(p, r, 8.333_452e-3);
    let p = fma::<FMA>(p, r, 4.166_579_6e-2);
    let p = fma::<FMA>(p, r, 1.666_666_5e-1);
    let p = fma::<FMA>(p, r, 0.5);
    let p = fma::<FMA>(p, r * r, r + 1.0);
    f32::from_bits(shifted.to_bits().wrapping_add(127) << 23) * p
}

/// Φ(x) = erfc(−x/√2)/2 and e^(−x²/2).
///
/// `erfc(z) = e^(−z²)·t·P(t)`, `t = 1/(1 + 0.35 z)`, for z ≥ 0, with P a degree-9 near-minimax fit
/// (relative error 1e-8 before rounding) of e^(z²)·erfc(z)/t on 0 ≤ z ≤ 10. The left tail keeps its
/// relative accuracy, which `1 + erf` would lose.
#[inline(always)]
pub fn normal_cdf<const FMA: bool>(x: f32) -> (f32, f32) {
    // From here on the density is below the normal numbers, and taken as 0; the square stays finite.
    const END: f32 = 13.2;
    let size = x.abs();
    // One instruction where `f32::min` is three; NaN passes.
    let size = if size > END { END } else { size };
    let t = 1.0 / fma::<FMA>(size, 0.35 * std::f32::consts::FRAC_1_SQRT_2, 1.0);
    // −x²/2 in two parts: rounding x² alone would cost x²·6e-8 of relative error.
    let half = 0.5 * size;
    let square = half * size;
    let rest = if FMA { half.mul_add(size, -square) } else { 0.0 };
    let density = exp_in_range::<FMA>(-square);
    let density = fma::<FMA>(-density, rest, density);
    let density = if size >= END { 0.0 } else { density };
    // The coefficients of P, halved.
    let p = fma::<FMA>(0.5 * 0.036_654_73, t, 0.5 * -0.149_543_54);
    let p = fma::<FMA>(p, t, 0.5 * 0.159_641_2);
    let p = fma::<FMA>(p, t, 0.5 * 0.001_045_613_5);
    let p = fma::<FMA>(p, t, 0.5 * 0.063_405_11);
    let p = fma::<FMA>(p, t, 0.5 * 0.158_554_69);
    let p = fma::<FMA>(p, t, 0.5 * 0.146_915_78);
    let p = fma::<FMA>(p, t, 0.5 * 0.188_806_4);
    let p = fma::<FMA>(p, t, 0.5 * 0.197_030_74);
    let p = fma::<FMA>(p, t, 0.5 * 0.197_489_27);
    let tail = density * t * p;
    (if x > 0.0 { 1.0 - tail } else { tail }, density)
}

/// `x·Φ(x) = max(x, 0) − a·Φ(−a)`, `a = |x|`, without a division or an exponential.
///
/// `Φ(−a)` is the eighth power of a polynomial of degree 12 in `2a/6.5 − 1`: the root is flat enough for one polynomial
/// to follow it through ten decades (fit by weighted minimax, 2.6e-9). Off by at most 2e-7·max(1, |x|); relative to the
/// result, by 3e-6 for x ≥ −5 and 1e-5 for x ≥ −6. Beyond −6.5, where the true value is within 3e-10 of 0, it is −2.6e-10.
#[inline(always)]
pub fn gelu<const FMA: bool>(x: f32) -> f32 {
    const END: f32 = 6.5;
    let size = x.abs();
    // One instruction where `f32::min` is three; NaN passes.
    let size = if size > END { END } else { size };
    let u = fma::<FMA>(size, 2.0 / END, -1.0);
    let p = fma::<FMA>(-5.335_607_8e-5, u, -6.116_055e-5);
    let p = fma::<FMA>(p, u, 3.639_601_3e-4);
    let p = fma::<FMA>(p, u, 7.638_907_4e-4);
    let p = fma::<FMA>(p, u, -3.639_371_4e-3);
    let p = fma::<FMA>(p, u, -1.913_785_7e-3);
    let p = fma::<FMA>(p, u, 2.527_185e-2);
    let p = fma::<FMA>(p, u, -1.867_496_6e-2);
    let p = fma::<FMA>(p, u, -9.028_374e-2);
    let p = fma::<FMA>(p, u, 0.148_864_28);
    let p = fma::<FMA>(p, u, 0.158_243_92);
    let p = fma::<FMA>(p, u, -0.562_393_6);
    let p = fma::<FMA>(p, u, 0.393_685_43);
    let p = p * p;
    let p = p * p;
    let p = p * p;
    fma::<FMA>(-size, p, if x > 0.0 { x } else { 0.0 })
}

/// eˣ for x ≤ 0 in double precision; 0 below −708. Relative error ≤ 4e-16.
#[inline(always)]
pub fn exp_f64<const FMA: bool>(x: f64) -> f64 {
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let clamped = x.clamp(-708.0, 0.0);
    let shifted = clamped * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, the first with few enough bits that its product with n is exact.
    let r = (clamped - n * 0.693_147_180_369_123_8) - n * 1.908_214_929_270_587_7e-10;
    // Taylor to degree 12: |r| ≤ ln 2 / 2.
    let mut p = 1.0 / 479_001_600.0f64;
    for c in [
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        p = if FMA { p.mul_add(r, c) } else { p * r + c };
    }
    let y = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52) * p;
    if x < -708.0 { 0.0 } else { y }
}

/// ln x for 1 ≤ x ≤ 3 in double precision. Absolute error ≤ 4e-16.
#[inline(always)]
pub fn ln_1_to_3<const FMA: bool>(x: f64) -> f64 {
    // x = √3·(1+y)/(1−y) with |y| ≤ 0.268, and ln((1+y)/(1−y)) = 2·Σ y^(2n+1)/(2n+1).
    const ROOT_3: f64 = 1.732_050_807_568_877_2;
    const LN_ROOT_3: f64 = 0.549_306_144_334_054_8;
    let y = (x - ROOT_3) / (x + ROOT_3);
    let square = y * y;
    let mut p = 1.0 / 25.0f64;
    for n in [23.0, 21.0, 19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0f64] {
        p = if FMA { p.mul_add(square, 1.0 / n) } else { p * square + 1.0 / n };
    }
    LN_ROOT_3 + 2.0 * y * p
}

/// ln(eᵃ + eᵇ + eᶜ).
#[inline(always)]
pub fn ln_add<const FMA: bool>(a: f64, b: f64, c: f64) -> f64 {
    let top = a.max(b).max(c);
    top + ln_1_to_3::<FMA>(exp_f64::<FMA>(a - top) + exp_f64::<FMA>(b - top) + exp_f64::<FMA>(c - top))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// erfc by its continued fraction or series, in double precision.
    fn cdf(x: f64) -> f64 {
        let z = x.abs() / std::f64::consts::SQRT_2;
        let tail = if z < 3.0 {
            // erf(z) = 2/√π Σ (−1)ⁿ z^(2n+1) / (n! (2n+1)), in the all-positive form.
            let (mut term, mut sum) = (z, z);
            for n in 1..200 {
                term *= 2.0 * z * z / f64::from(2 * n + 1);
                sum += term;
            }
            0.5 - sum * (-z * z).exp() / std::f64::consts::PI.sqrt()
        } else {
            let mut fraction = z;
            for n in (1..200).rev() {
                fraction = z + f64::from(n) / 2.0 / fraction;
            }
            0.5 * (-z * z).exp() / (fraction * std::f64::consts::PI.sqrt())
        };
        if x > 0.0 { 1.0 - tail } else { tail }
    }

    #[test]
    fn exp_is_accurate_and_total() {
        for i in -87_000..=88_000 {
            let x = i as f32 * 1e-3;
            let want = f64::from(x).exp();
            assert!((f64::from(exp::<true>(x)) / want - 1.0).abs() < 2e-7, "exp({x})");
            assert!((f64::from(exp::<false>(x)) / want - 1.0).abs() < 2e-7, "exp({x})");
        }
        assert_eq!(exp::<true>(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp::<true>(0.0), 1.0);
        assert!(exp::<true>(f32::NAN).is_nan());
    }

    #[test]
    fn double_precision_functions() {
        for i in 0..70_800 {
            let x = -f64::from(i) * 1e-2;
            assert!((exp_f64::<true>(x) / x.exp() - 1.0).abs() < 4e-16, "exp({x})");
        }
        assert_eq!(exp_f64::<true>(-1e300), 0.0);
        for i in 0..=20_000 {
            let x = 1.0 + f64::from(i) * 1e-4;
            assert!((ln_1_to_3::<true>(x) - x.ln()).abs() < 4e-16, "ln({x})");
        }
        assert!((ln_add::<false>(-3.0, -700.0, -2.0) - (-2.0 + (1.0 + (-1.0f64).exp()).ln())).abs() < 1e-15);
        assert_eq!(ln_add::<true>(-1e300, -1e300, -1e300), -1e300);
    }

    #[test]
    fn the_normal_distribution_is_accurate_in_the_tail() {
        for i in -12_500..=12_500 {
            let x = i as f32 * 1e-3;
            let want = cdf(f64::from(x));
            let error = |got: f32| (f64::from(got) / want - 1.0).abs();
            assert!(error(normal_cdf::<true>(x).0) < 5e-7, "{x}: {:e}", error(normal_cdf::<true>(x).0));
            // Without a fused multiply-add the square is rounded.
            assert!(error(normal_cdf::<false>(x).0) < 5e-7 + 6e-8 * f64::from(x * x), "{x}");
        }
        assert_eq!(normal_cdf::<true>(f32::INFINITY).0, 1.0);
        assert_eq!(normal_cdf::<true>(f32::NEG_INFINITY).0, 0.0);
    }

    #[test]
    fn gelu_is_accurate_and_total() {
        for gelu in [gelu::<true>, gelu::<false>] {
            for i in -9_000..=9_000 {
                let x = i as f32 * 1e-3;
                let want = f64::from(x) * cdf(f64::from(x));
                let error = (f64::from(gelu(x)) - want).abs();
                assert!(error <= 2e-7 * f64::from(x.abs().max(1.0)), "{x}: {error:e}");
                let relative = if x >= -5.0 { 3e-6 } else { 1e-5 };
                assert!(x < -6.0 || error <= relative * want.abs(), "{x}: {:e}", error / want.abs());
            }
            assert_eq!(gelu(0.0), 0.0);
            assert_eq!(gelu(f32::INFINITY), f32::INFINITY);
            assert!(gelu(f32::NEG_INFINITY).abs() < 3e-10 && gelu(f32::MIN).abs() < 3e-10);
            assert!(gelu(f32::NAN).is_nan());
        }
    }
}
