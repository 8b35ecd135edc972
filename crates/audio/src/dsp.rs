//! Shared numerics: natural logarithm, windows, sparse filters, power spectra of frame blocks.
//!
//! Frames are analysed [`LANES`] at a time with the frame index as the fastest axis:
//! filters and logarithms then are long runs of equal operations that the compiler vectorises.
//! No operation mixes lanes, so a frame's result does not depend on its neighbours in the block,
//! which keeps streaming equal to offline bit for bit.

use std::f64::consts::PI;
use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};

use crate::error::AudioError;

/// Longest Fourier transform: a second at 65 kHz. Beyond, a frame is no frame any more.
pub(crate) const MAX_FFT_SIZE: usize = 1 << 16;

/// Most filters; a front end of 80 or 128 is usual. Each is laid out over all bins of the transform once.
pub(crate) const MAX_BINS: usize = 1024;

/// Most frames a second; 100 is usual.
pub(crate) const MAX_FRAMES_PER_SEC: u32 = 1_000;

/// Refuses a band that does not lie between 0 and half the sampling rate, or has no width.
pub(crate) fn check_band(low_hz: f64, high_hz: f64, sample_rate: u32) -> Result<(), AudioError> {
    let nyquist_hz = f64::from(sample_rate) / 2.0;
    if 0.0 <= low_hz && low_hz + 1.0 <= high_hz && high_hz <= nyquist_hz {
        return Ok(());
    }
    let value = format!("{low_hz} to {high_hz}");
    Err(AudioError::config("low_hz, high_hz", value, "0 ≤ low_hz, low_hz + 1 ≤ high_hz ≤ sample_rate/2"))
}

/// Frames analysed together.
pub(crate) const LANES: usize = 16;

/// One value for each frame of a block.
pub(crate) type Lanes = [f32; LANES];

/// `ln x` for positive, finite, normal `x`: within 1e-6 relative (absolute where |ln x| < 1) of
/// [`f32::ln`]. NaN stays NaN; other arguments give an unspecified value.
///
/// x = 2^e·(1+f) with 1+f in [√½, √2), ln x = e·ln 2 + ln(1+f), the latter by the degree-9
/// polynomial of the Cephes library (`logf`), branch-free so that loops over it vectorise.
#[inline(always)]
pub(crate) fn fast_ln(x: f32) -> f32 {
    const SQRT_HALF_BITS: u32 = 0x3f35_04f3;
    let shifted = x.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let exponent = (shifted as i32) >> 23;
    let f = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(SQRT_HALF_BITS)) - 1.0;
    let e = exponent as f32;

    let mut p = 7.037_683_6e-2;
    p = p * f - 1.151_461e-1;
    p = p * f + 1.167_699_9e-1;
    p = p * f - 1.242_014_1e-1;
    p = p * f + 1.424_932_3e-1;
    p = p * f - 1.666_805_8e-1;
    p = p * f + 2.000_071_4e-1;
    p = p * f - 2.499_999_4e-1;
    p = p * f + 3.333_333e-1;
    let square = f * f;
    // ln 2 in two parts, the upper one with few enough bits that its product with e is exact.
    let low = p * f * square + e * -2.121_944_4e-4 - 0.5 * square;
    let ln = f + low + e * 0.693_359_4;
    // Adding x·0 keeps NaN and infinities from looking like ordinary numbers.
    ln + x * 0.0
}

/// `Σ f(x)` in [`LANES`] partial sums: vectorised, and the same order everywhere.
pub(crate) fn lane_sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (chunks, tail) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (sum, &x) in sums.iter_mut().zip(chunk) {
            *sum += f(x);
        }
    }
    sums.iter().sum::<f32>() + tail.iter().map(|&x| f(x)).sum::<f32>()
}

/// The symmetric window `a − (1−a)·cos(2πn/(N−1))`; `a = 0.5` is Hann, `a = 0.54` Hamming.
pub(crate) fn cosine_window(num_samples: usize, a: f64) -> Vec<f32> {
    let step = 2.0 * PI / (num_samples.max(2) - 1) as f64;
    (0..num_samples).map(|n| (a - (1.0 - a) * (step * n as f64).cos()) as f32).collect()
}

/// A bank of filters over spectrum bins, each a short run of weights.
#[derive(Debug, Clone)]
pub(crate) struct SparseFilters {
    /// First bin and weights of each filter; no weights where the filter is empty.
    bands: Vec<(usize, Vec<f32>)>,
}

impl SparseFilters {
    /// From one dense row of weights for each filter, all of the same length; zeros at both ends are dropped.
    pub(crate) fn from_dense(rows: impl Iterator<Item = Vec<f32>>) -> Self {
        let bands = rows.map(|row| {
            let start = row.iter().position(|&w| w != 0.0).unwrap_or(0);
            let end = row.iter().rposition(|&w| w != 0.0).map_or(start, |i| i + 1);
            (start, row[start..end].to_vec())
        });
        Self { bands: bands.collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.bands.len()
    }

    #[cfg(test)]
    pub(crate) fn dense_row(&self, band: usize, num_bins: usize) -> Vec<f32> {
        let (start, weights) = &self.bands[band];
        let mut row = vec![0.0; num_bins];
        row[*start..start + weights.len()].copy_from_slice(weights);
        row
    }

    /// `out[band] = Σ weights·spectrum`, lane by lane.
    pub(crate) fn apply(&self, spectrum: &[Lanes], out: &mut [Lanes]) {
        for ((start, weights), out) in self.bands.iter().zip(out) {
            let mut sum = [0.0; LANES];
            for (&weight, bin) in weights.iter().zip(&spectrum[*start..]) {
                for (sum, &value) in sum.iter_mut().zip(bin) {
                    *sum += weight * value;
                }
            }
            *out = sum;
        }
    }
}

/// Plan of a real Fourier transform; shared, immutable.
#[derive(Clone)]
pub(crate) struct SpectrumPlan {
    fft: Arc<dyn RealToComplex<f32>>,
}

impl SpectrumPlan {
    pub(crate) fn new(fft_size: usize) -> Self {
        Self { fft: RealFftPlanner::new().plan_fft_forward(fft_size) }
    }

    /// `fft_size / 2 + 1`.
    pub(crate) fn num_bins(&self) -> usize {
        self.fft.len() / 2 + 1
    }

    pub(crate) fn scratch(&self) -> SpectrumBlock {
        SpectrumBlock {
            fft: Arc::clone(&self.fft),
            frame: self.fft.make_input_vec(),
            spectrum: self.fft.make_output_vec(),
            fft_scratch: self.fft.make_scratch_vec(),
            power: vec![[0.0; LANES]; self.num_bins()],
        }
    }
}

/// Power spectra of up to [`LANES`] frames, with all buffers they need.
pub(crate) struct SpectrumBlock {
    fft: Arc<dyn RealToComplex<f32>>,
    frame: Vec<f32>,
    spectrum: Vec<Complex32>,
    fft_scratch: Vec<Complex32>,
    power: Vec<Lanes>,
}

impl SpectrumBlock {
    /// Sets the power spectrum |X|² of one lane. `fill` writes the windowed frame to the beginning of
    /// a buffer of `fft_size` samples; the rest, from `frame_samples` on, is zero.
    pub(crate) fn set_lane(&mut self, lane: usize, frame_samples: usize, fill: impl FnOnce(&mut [f32])) {
        let (head, padding) = self.frame.split_at_mut(frame_samples);
        fill(head);
        padding.fill(0.0);
        // Fails for wrong buffer lengths only, and these buffers were made by the same plan.
        let done = self.fft.process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.fft_scratch);
        debug_assert!(done.is_ok(), "{done:?}");
        for (power, x) in self.power.iter_mut().zip(&self.spectrum) {
            power[lane] = x.re * x.re + x.im * x.im;
        }
    }

    pub(crate) fn power(&self) -> &[Lanes] {
        &self.power
    }

    pub(crate) fn power_mut(&mut self) -> &mut [Lanes] {
        &mut self.power
    }
}

/// Appends the first `num_frames` lanes of `[bin][lane]` as rows of bins.
pub(crate) fn append_frames(bins: &[Lanes], num_frames: usize, out: &mut Vec<f32>) {
    out.reserve(num_frames * bins.len());
    for lane in 0..num_frames.min(LANES) {
        out.extend(bins.iter().map(|values| values[lane]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_ln_agrees_with_the_library_over_all_binades() {
        let mut worst = 0.0f64;
        // Every positive normal binade, 5,003 mantissas in each (a prime step through all of them).
        for exponent in 1u32..255 {
            for k in 0..5_003u32 {
                let x = f32::from_bits((exponent << 23) | ((k * 1_677) & 0x7f_ffff));
                let exact = f64::from(x).ln();
                let error = (f64::from(fast_ln(x)) - exact).abs() / exact.abs().max(1.0);
                worst = worst.max(error);
                assert!((fast_ln(x) - x.ln()).abs() <= 1e-6 * x.ln().abs().max(1.0), "{x:e}");
            }
        }
        assert!(worst < 3e-7, "{worst:e}");
        assert_eq!(fast_ln(1.0), 0.0);
        assert!(fast_ln(f32::NAN).is_nan());
        assert!(!fast_ln(f32::INFINITY).is_finite());
    }

    #[test]
    fn power_spectrum_equals_the_definition() {
        let plan = SpectrumPlan::new(64);
        let mut block = plan.scratch();
        let x: Vec<f32> = (0..40).map(|n| ((n * n) as f32 * 0.37).sin()).collect();
        // A full lane before shows that the padding is cleared.
        block.set_lane(3, 64, |frame| frame.fill(9.0));
        block.set_lane(3, 40, |frame| frame.copy_from_slice(&x));
        for (k, power) in block.power().iter().enumerate() {
            let (mut re, mut im) = (0.0f64, 0.0f64);
            for (n, &v) in x.iter().enumerate() {
                let angle = -2.0 * PI * (k * n) as f64 / 64.0;
                re += f64::from(v) * angle.cos();
                im += f64::from(v) * angle.sin();
            }
            let expected = re * re + im * im;
            assert!((f64::from(power[3]) - expected).abs() < 1e-4 * expected.max(1.0));
        }
    }

    #[test]
    fn sparse_filters_equal_dense_ones() {
        let rows = [vec![0.0, 0.5, 0.0, 2.0, 0.0], vec![0.0; 5], vec![1.0, 0.0, 0.0, 0.0, 3.0]];
        let filters = SparseFilters::from_dense(rows.iter().cloned());
        let spectrum: Vec<Lanes> = (0..5).map(|bin| std::array::from_fn(|l| (bin * 20 + l) as f32)).collect();
        let mut out = vec![[7.0; LANES]; 3];
        filters.apply(&spectrum, &mut out);
        for (band, row) in rows.iter().enumerate() {
            assert_eq!(&filters.dense_row(band, 5), row);
            for lane in 0..LANES {
                let expected: f32 = row.iter().zip(&spectrum).map(|(w, s)| w * s[lane]).sum();
                assert_eq!(out[band][lane], expected);
            }
        }
    }
}
