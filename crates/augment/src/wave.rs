//! Perturbations of a waveform that need nothing but the waveform.

use realfft::RealFftPlanner;
use std::f64::consts::PI;

/// Zero crossings of the interpolation kernel on either side.
const KERNEL_ZEROS: f64 = 16.0;

/// Speed factors are counted in thousandths.
const STEPS: usize = 1000;

/// Plays faster (`factor` > 1) or slower: tempo and pitch change together, as Kaldi's `sp`.
///
/// `y(n) = x(n·factor)` by windowed-sinc interpolation, low-passed where the factor is above 1;
/// the result has `round(len/factor)` samples. The factor is rounded to thousandths, so that the places between
/// samples repeat and their kernels are made once. A factor beyond 0.01 to 100 changes nothing.
pub fn speed(samples: &[f32], factor: f64) -> Vec<f32> {
    let thousandths = (factor * STEPS as f64).round() as usize;
    if thousandths == STEPS || !(0.01..=100.0).contains(&factor) {
        return samples.to_vec();
    }
    let shared = greatest_common_divisor(thousandths, STEPS);
    let (numerator, denominator) = (thousandths / shared, STEPS / shared);
    let cutoff = (denominator as f64 / numerator as f64).min(1.0);
    let reach = (KERNEL_ZEROS / cutoff).ceil() as usize;
    let kernels: Vec<Vec<f64>> = (0..denominator)
        .map(|phase| {
            let centre = reach as f64 + phase as f64 / denominator as f64;
            let tap = |i: usize| cutoff * windowed_sinc((i as f64 - centre) * cutoff, KERNEL_ZEROS);
            (0..=2 * reach + 1).map(tap).collect()
        })
        .collect();
    let length = (samples.len() * denominator + numerator / 2) / numerator;
    (0..length)
        .map(|n| {
            let (whole, phase) = (n * numerator / denominator, n * numerator % denominator);
            let (first, skipped) = (whole.saturating_sub(reach), reach.saturating_sub(whole));
            let taps = kernels[phase].iter().skip(skipped);
            taps.zip(samples.iter().skip(first)).map(|(tap, &x)| tap * f64::from(x)).sum::<f64>() as f32
        })
        .collect()
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Multiplies by a gain.
pub fn volume(samples: &[f32], gain_db: f64) -> Vec<f32> {
    let gain = 10f64.powf(gain_db / 20.0) as f32;
    samples.iter().map(|x| x * gain).collect()
}

/// Puts the signal into a room: convolution with an impulse response of the same sample rate.
///
/// The response is scaled to unit energy and aligned at its largest value (the direct path), so
/// that words stay where they were; the result is as long as the input.
pub fn reverb(samples: &[f32], impulse_response: &[f32]) -> Vec<f32> {
    let energy: f64 = impulse_response.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    if energy <= 0.0 || !energy.is_finite() || samples.is_empty() {
        return samples.to_vec();
    }
    let scale = (1.0 / energy.sqrt()) as f32;
    let strongest = |(_, a): &(usize, &f32), (_, b): &(usize, &f32)| a.abs().total_cmp(&b.abs());
    let direct = impulse_response.iter().enumerate().max_by(strongest).map_or(0, |(i, _)| i);
    let full = convolve(samples, impulse_response);
    full.into_iter().skip(direct).take(samples.len()).map(|x| x * scale).collect()
}

/// Removes what is above `cutoff_hz` with a linear-phase windowed-sinc filter: a narrow-band
/// channel without a codec. The result is as long as the input and not delayed.
pub fn low_pass(samples: &[f32], cutoff_hz: f64, sample_rate: u32) -> Vec<f32> {
    let cutoff = (2.0 * cutoff_hz / f64::from(sample_rate)).clamp(0.0, 1.0);
    if cutoff >= 1.0 || samples.is_empty() {
        return samples.to_vec();
    }
    let half = 64i64;
    let taps = (-half..=half).map(|i| cutoff * windowed_sinc(i as f64 * cutoff, (half + 1) as f64 * cutoff));
    let taps: Vec<f32> = taps.map(|tap| tap as f32).collect();
    convolve(samples, &taps).into_iter().skip(half as usize).take(samples.len()).collect()
}

/// sinc(x) under a Hann window of half-width `reach`.
fn windowed_sinc(x: f64, reach: f64) -> f64 {
    if x.abs() >= reach {
        return 0.0;
    }
    let sinc = if x.abs() < 1e-9 { 1.0 } else { (PI * x).sin() / (PI * x) };
    sinc * (0.5 + 0.5 * (PI * x / reach).cos())
}

/// Full linear convolution, `len(a) + len(b) − 1` samples, by overlap-add.
fn convolve(a: &[f32], b: &[f32]) -> Vec<f32> {
    let block = (4 * b.len()).next_power_of_two().max(512);
    let step = block - b.len() + 1;
    let mut planner = RealFftPlanner::<f32>::new();
    let (forward, inverse) = (planner.plan_fft_forward(block), planner.plan_fft_inverse(block));
    let transform = |samples: &[f32]| {
        let mut time = samples.to_vec();
        time.resize(block, 0.0);
        let mut spectrum = forward.make_output_vec();
        forward.process(&mut time, &mut spectrum).map(|()| spectrum)
    };
    let mut out = vec![0.0; a.len() + b.len() - 1];
    let Ok(filter) = transform(b) else { return out };
    for (index, piece) in a.chunks(step).enumerate() {
        let Ok(mut spectrum) = transform(piece) else { continue };
        for (value, factor) in spectrum.iter_mut().zip(&filter) {
            *value *= factor;
        }
        let mut time = inverse.make_output_vec();
        // Rounding may leave a tiny imaginary part at DC and Nyquist, which the transform refuses.
        if let Some(first) = spectrum.first_mut() {
            first.im = 0.0;
        }
        if let Some(last) = spectrum.last_mut() {
            last.im = 0.0;
        }
        if inverse.process(&mut spectrum, &mut time).is_ok() {
            for (sum, value) in out.iter_mut().skip(index * step).zip(&time) {
                *sum += value / block as f32;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tone(len: usize, hz: f64) -> Vec<f32> {
        (0..len).map(|i| (0.5 * (2.0 * PI * hz * i as f64 / 16_000.0).sin()) as f32).collect()
    }

    fn rms(x: &[f32]) -> f64 {
        (x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / x.len() as f64).sqrt()
    }

    #[test]
    fn speed_moves_a_tone_and_removes_what_would_alias() {
        for factor in [0.9, 1.1] {
            let fast = speed(&tone(16_000, 1000.0), factor);
            assert_eq!(fast.len(), (16_000.0 / factor).round() as usize);
            let expected = tone(fast.len(), 1000.0 * factor);
            let inner = 200..fast.len() - 200;
            let worst = inner.map(|i| (fast[i] - expected[i]).abs()).fold(0.0, f32::max);
            assert!(worst < 2e-3, "{factor}: {worst}");
        }
        let aliased = speed(&tone(16_000, 7_600.0), 1.25);
        assert!(rms(&aliased[200..12_000]) < 0.01);
    }

    #[test]
    fn low_pass_passes_low_and_stops_high() {
        let filtered =
            |hz| rms(&low_pass(&tone(16_000, hz), 4_000.0, 16_000)[500..15_000]) / rms(&tone(16_000, hz));
        assert!((filtered(2_000.0) - 1.0).abs() < 0.01 && filtered(5_000.0) < 0.01);
        let x = tone(4_000, 500.0);
        let y = low_pass(&x, 4_000.0, 16_000);
        assert!((500..3_500).all(|i| (x[i] - y[i]).abs() < 5e-3), "no delay");
    }

    #[test]
    fn a_room_of_one_echo() {
        let mut response = vec![0.0f32; 400];
        response[20] = 0.8;
        response[320] = 0.6;
        let mut x = vec![0.0f32; 1000];
        x[100] = 1.0;
        let y = reverb(&x, &response);
        assert_eq!(y.len(), 1000);
        assert!((y[100] - 0.8).abs() < 1e-5 && (y[400] - 0.6).abs() < 1e-5 && y[99].abs() < 1e-5);
        assert_eq!(reverb(&x, &[0.0; 10]), x);
    }

    proptest! {
        #[test]
        fn fast_convolution_equals_the_sum(a in prop::collection::vec(-1.0f32..1.0, 1..700), b in prop::collection::vec(-1.0f32..1.0, 1..90)) {
            let fast = convolve(&a, &b);
            for (n, value) in fast.iter().enumerate() {
                let naive: f64 = (0..b.len()).filter(|&k| n >= k && n - k < a.len()).map(|k| f64::from(a[n - k]) * f64::from(b[k])).sum();
                prop_assert!((f64::from(*value) - naive).abs() < 1e-4);
            }
        }

        #[test]
        fn speed_is_the_sum_over_the_kernel(x in prop::collection::vec(-1.0f32..1.0, 1..200), thousandths in 500u32..2000) {
            let factor = f64::from(thousandths) / 1000.0;
            let fast = speed(&x, factor);
            prop_assert!((fast.len() as f64 - x.len() as f64 / factor).abs() < 0.5 + 1e-6);
            let cutoff = (1.0 / factor).min(1.0);
            for (n, value) in fast.iter().enumerate() {
                let at = |(i, &x): (usize, &f32)| f64::from(x) * cutoff * windowed_sinc((i as f64 - n as f64 * factor) * cutoff, KERNEL_ZEROS);
                let direct: f64 = match thousandths { 1000 => f64::from(x[n]), _ => x.iter().enumerate().map(at).sum() };
                prop_assert!((f64::from(*value) - direct).abs() < 1e-5, "{}: {} {}", n, value, direct);
            }
        }

        #[test]
        fn volume_is_a_factor(db in -20.0f64..20.0) {
            let y = volume(&[0.5], db);
            prop_assert!((20.0 * (f64::from(y[0]) / 0.5).log10() - db).abs() < 1e-4);
        }
    }
}
