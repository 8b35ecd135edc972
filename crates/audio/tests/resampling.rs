//! Resampling: length, alignment, quality, and law 1 (streaming equals offline).

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use std::f64::consts::TAU;

use auricle_audio::resample::{StreamingResampler, resample, resampled_len};
use auricle_rng::{Key, Purpose};
use proptest::prelude::*;

const RATES: [(u32, u32); 10] = [
    (8_000, 16_000),
    (16_000, 8_000),
    (22_050, 16_000),
    (44_100, 16_000),
    (48_000, 16_000),
    (48_000, 44_100),
    (11_025, 16_000),
    (96_000, 16_000),
    (9_000, 10_000),
    (16_001, 16_000),
];

fn noise(seed: u64, num_samples: usize) -> Vec<f32> {
    let mut stream = Key::new(seed).stream(Purpose::Test);
    (0..num_samples).map(|_| stream.normal() as f32 * 0.3).collect()
}

#[test]
fn a_sine_stays_the_same_sine_at_the_same_time() {
    for (from, to) in RATES {
        // Two frequencies that both rates can carry.
        for relative in [0.03, 0.35] {
            let hz = relative * f64::from(from.min(to));
            let sine = |rate: u32, n: usize| (TAU * hz * n as f64 / f64::from(rate)).sin() as f32;
            let num_samples = 20_000;
            let x: Vec<f32> = (0..num_samples).map(|n| sine(from, n)).collect();
            let y = resample(&x, from, to).unwrap();
            assert_eq!(y.len(), resampled_len(num_samples, from, to));
            // Away from the ends, where the signal is cut off.
            let margin = y.len() / 8;
            let error = (margin..y.len() - margin).map(|k| (y[k] - sine(to, k)).abs()).fold(0.0, f32::max);
            assert!(error < 2e-3, "{from} → {to}, {hz} Hz: {error:e}");
        }
    }
}

#[test]
fn what_the_lower_rate_cannot_carry_is_removed() {
    let x: Vec<f32> = (0..48_000).map(|n| (TAU * 11_000.0 * f64::from(n) / 48_000.0).sin() as f32).collect();
    let y = resample(&x, 48_000, 16_000).unwrap();
    let peak = y[2_000..y.len() - 2_000].iter().fold(0.0f32, |m, v| m.max(v.abs()));
    assert!(peak < 1e-3, "{peak:e}");
}

#[test]
fn equal_rates_are_the_identity_and_bad_rates_errors() {
    let x = noise(1, 1_000);
    assert_eq!(resample(&x, 16_000, 16_000).unwrap(), x);
    assert_eq!(resample(&[], 8_000, 16_000).unwrap(), []);
    assert!(resample(&[0.0, f32::NAN], 8_000, 16_000).is_err());
    // Finite, but its Fourier transform is not.
    assert!(resample(&[f32::MAX; 4_000], 8_000, 16_000).unwrap().iter().any(|v| v.is_nan()));
    for (from, to) in [(0, 16_000), (16_000, 0), (u32::MAX, 16_000)] {
        assert!(resample(&x, from, to).is_err());
    }
}

#[test]
fn length_is_rounded_half_up() {
    assert_eq!(resampled_len(3, 2, 1), 2);
    assert_eq!(resampled_len(1, 3, 1), 0);
    assert_eq!(resampled_len(44_100, 44_100, 16_000), 16_000);
    assert_eq!(resampled_len(usize::MAX, 1, 2), usize::MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn streaming_equals_offline_bit_for_bit(
        seed: u64,
        pair in 0..RATES.len(),
        num_samples in 0usize..12_000,
        chunks in proptest::collection::vec(0usize..3_000, 1..40),
    ) {
        let (from, to) = RATES[pair];
        let x = noise(seed, num_samples);
        let offline = resample(&x, from, to).unwrap();
        prop_assert_eq!(offline.len(), resampled_len(num_samples, from, to));
        let mut streaming = StreamingResampler::new(from, to).unwrap();
        // Twice: `finish` must leave nothing behind.
        for _ in 0..2 {
            let mut out = Vec::new();
            let mut rest = x.as_slice();
            for &chunk in &chunks {
                let (head, tail) = rest.split_at(chunk.min(rest.len()));
                streaming.push(head, &mut out);
                rest = tail;
            }
            streaming.push(rest, &mut out);
            streaming.finish(&mut out);
            prop_assert!(out == offline);
        }
    }

    #[test]
    fn sees_no_further_than_its_lookahead(seed: u64, pair in 0..RATES.len(), known in 0usize..40_000) {
        let (from, to) = RATES[pair];
        let num_samples = 60_000;
        let x = noise(seed, num_samples);
        let offline = resample(&x, from, to).unwrap();
        let mut streaming = StreamingResampler::new(from, to).unwrap();
        let mut out = Vec::new();
        streaming.push(&x[..known], &mut out);
        let emitted = out.len();
        prop_assert!(out == offline[..emitted]);
        // The declared look-ahead is enough.
        let expected = resampled_len(known.saturating_sub(streaming.lookahead_samples()), from, to);
        prop_assert!(emitted >= expected, "{} < {}", emitted, expected);
        // A poisoned future leaves alone what it cannot reach, makes the rest NaN, and is then forgotten.
        streaming.push(&vec![f32::NAN; num_samples - known], &mut out);
        streaming.finish(&mut out);
        prop_assert!(out[..expected] == offline[..expected]);
        prop_assert!(out[emitted..].iter().any(|v| v.is_nan()));
        out.clear();
        streaming.push(&x, &mut out);
        streaming.finish(&mut out);
        prop_assert!(out == offline);
    }
}
