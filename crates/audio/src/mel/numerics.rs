//! The single steps of the front end.

use super::config::MelConfig;
use crate::dsp::{LANES, SparseFilters};

/// Added to the peak and to the standard deviation before dividing.
pub(super) const EPSILON: f32 = 1e-5;

/// max|x|, vectorised; NaN is ignored.
pub(super) fn peak(samples: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (chunks, tail) = samples.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = if x.abs() > *lane { x.abs() } else { *lane };
        }
    }
    lanes.iter().chain(tail).fold(0.0, |peak, x| peak.max(x.abs()))
}

/// `y[n] ← y[n] − c·y[n−1]`, backwards so that it works in place; `y[0]` stays.
pub(super) fn pre_emphasise(y: &mut [f32], coefficient: f32) {
    for i in (1..y.len()).rev() {
        y[i] -= coefficient * y[i - 1];
    }
}

/// Fills the first `lead` values by reflection about the value at `lead`.
pub(super) fn reflect_start(signal: &mut [f32], lead: usize) {
    let (head, tail) = signal.split_at_mut(lead);
    for (y, &x) in head.iter_mut().rev().zip(&tail[1..]) {
        *y = x;
    }
}

/// Cuts the signal to `total` values, or extends it by reflection about its last value.
pub(super) fn reflect_end(signal: &mut Vec<f32>, total: usize) {
    let len = signal.len();
    if total <= len {
        signal.truncate(total);
    } else {
        let first = (2 * len).saturating_sub(total + 1);
        signal.extend_from_within(first..len - 1);
        signal[len..].reverse();
    }
}

/// Mel value of a frequency on Slaney's scale: linear below 1 kHz (200/3 Hz per mel), then logarithmic.
pub(super) fn mel_from_hz(hz: f64) -> f64 {
    let log_step = 6.4f64.ln() / 27.0;
    if hz < 1_000.0 { hz * 3.0 / 200.0 } else { 15.0 + (hz / 1_000.0).ln() / log_step }
}

/// Inverse of [`mel_from_hz`].
pub(super) fn hz_from_mel(mel: f64) -> f64 {
    let log_step = 6.4f64.ln() / 27.0;
    if mel < 15.0 { mel * 200.0 / 3.0 } else { 1_000.0 * ((mel - 15.0) * log_step).exp() }
}

/// Triangles between equidistant mel values, each of area 1 (weights `2/(f_hi − f_lo)` at the top).
pub(super) fn slaney_filters(config: &MelConfig) -> SparseFilters {
    let &MelConfig { sample_rate, num_bins, fft_size, low_hz, high_hz, .. } = config;
    let (low, high) = (mel_from_hz(low_hz), mel_from_hz(high_hz));
    let edge_hz = |i: usize| hz_from_mel(low + (high - low) * i as f64 / (num_bins + 1) as f64);
    SparseFilters::from_dense((0..num_bins).map(|band| {
        let (left, centre, right) = (edge_hz(band), edge_hz(band + 1), edge_hz(band + 2));
        let weight = |bin: usize| {
            let hz = bin as f64 * f64::from(sample_rate) / fft_size as f64;
            let slope = ((hz - left) / (centre - left)).min((right - hz) / (right - centre));
            (slope.max(0.0) * 2.0 / (right - left)) as f32
        };
        (0..=fft_size / 2).map(weight).collect()
    }))
}

pub(super) fn normalise(data: &mut [f32], mean: &[f32], std: &[f32]) {
    for frame in data.chunks_exact_mut(mean.len()) {
        for ((v, m), s) in frame.iter_mut().zip(mean).zip(std) {
            *v = (*v - m) / (s + EPSILON);
        }
    }
}

/// Mean and unbiased standard deviation of every bin over all frames, in two passes.
pub(super) fn normalise_by_own_statistics(data: &mut [f32], num_bins: usize) {
    let num_frames = data.len() / num_bins;
    let sums = |f: &dyn Fn(&mut [f64], &[f32])| {
        let mut sums = vec![0.0f64; num_bins];
        data.chunks_exact(num_bins).for_each(|frame| f(&mut sums, frame));
        sums
    };
    let sum = sums(&|sums, frame| {
        for (s, &v) in sums.iter_mut().zip(frame) {
            *s += f64::from(v);
        }
    });
    let mean: Vec<f32> = sum.iter().map(|s| (s / num_frames as f64) as f32).collect();
    let squares = sums(&|sums, frame| {
        for ((s, &v), &m) in sums.iter_mut().zip(frame).zip(&mean) {
            *s += f64::from((v - m) * (v - m));
        }
    });
    let std: Vec<f32> = squares.iter().map(|s| (s / (num_frames as f64 - 1.0)).sqrt() as f32).collect();
    normalise(data, &mean, &std);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slaney_scale_has_its_fixed_points_and_inverts() {
        assert!((mel_from_hz(1_000.0) - 15.0).abs() < 1e-12);
        assert!((mel_from_hz(6_400.0) - 42.0).abs() < 1e-12);
        for hz in [0.0, 60.0, 999.0, 1_000.0, 1_001.0, 7_999.0] {
            assert!((hz_from_mel(mel_from_hz(hz)) - hz).abs() < 1e-9);
        }
    }

    #[test]
    fn filters_of_the_published_front_end() {
        let filters = slaney_filters(&MelConfig::default());
        let non_zero: Vec<usize> =
            (0..128).map(|b| filters.dense_row(b, 257).iter().filter(|&&w| w != 0.0).count()).collect();
        assert!(non_zero.iter().all(|&n| n > 0));
        assert_eq!(non_zero.iter().filter(|&&n| n == 1).count(), 25);
    }

    #[test]
    fn reflection_does_not_repeat_the_edge() {
        let mut y = vec![0.0, 0.0, 1.0, 2.0, 3.0, 4.0];
        reflect_start(&mut y, 2);
        assert_eq!(y, [3.0, 2.0, 1.0, 2.0, 3.0, 4.0]);
        reflect_end(&mut y, 9);
        assert_eq!(y, [3.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 2.0, 1.0]);
        reflect_end(&mut y, 2);
        assert_eq!(y, [3.0, 2.0]);
    }
}
