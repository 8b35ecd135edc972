//! The log-mel front end of SPIRAL (arXiv 2201.10207), offline and streaming.
//!
//! Peak normalisation → dither (training) → pre-emphasis → short-time power spectrum with a
//! symmetric Hann window centred in the frame and reflected edges → Slaney mel filters →
//! `ln(m + 2⁻²⁴)` → normalisation of every mel bin over the utterance.

mod numerics;
mod streaming;

use auricle_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::dsp::{
    LANES, Lanes, SparseFilters, SpectrumBlock, SpectrumPlan, append_frames, cosine_window, fast_ln,
};
use crate::error::{AudioError, check_finite};
use numerics::{
    EPSILON, normalise, normalise_by_own_statistics, peak, pre_emphasise, reflect_end, reflect_start,
    slaney_filters,
};

pub use streaming::StreamingMel;

/// How the waveform is scaled.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeakNorm {
    /// `x / (max|x| + 1e-5)` over the utterance; needs the whole utterance.
    Utterance,
    /// `gain · x`; for streaming.
    Fixed(f32),
}

/// How log-mel values are normalised, bin by bin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureNorm {
    /// `(v − mean) / (std + 1e-5)` with the mean and the unbiased standard deviation over the valid
    /// frames of the utterance; needs the whole utterance.
    Utterance,
    /// As they are.
    None,
    /// `(v − mean) / (std + 1e-5)` with given statistics; for streaming.
    Fixed {
        /// Mean of every bin.
        mean: Vec<f32>,
        /// Standard deviation of every bin.
        std: Vec<f32>,
    },
}

/// Settings of the SPIRAL front end; the defaults are the published ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MelConfig {
    /// Sampling rate in Hz. Default: 16,000.
    pub sample_rate: u32,
    /// Mel bins `F`. Default: 128.
    pub num_bins: usize,
    /// Length of the Fourier transform in samples, even. Default: 512.
    pub fft_size: usize,
    /// Length of the window in samples. Default: 320 (20 ms).
    pub window_samples: usize,
    /// Distance of frames in samples. Default: 160 (10 ms).
    pub hop_samples: usize,
    /// Lower edge of the first filter in Hz. Default: 0.
    pub low_hz: f64,
    /// Upper edge of the last filter in Hz. Default: 8,000.
    pub high_hz: f64,
    /// Coefficient of `y[n] = x[n] − c·x[n−1]`. Default: 0.97.
    pub pre_emphasis: f32,
    /// Standard deviation of the dither that training adds to the normalised waveform. Default: 1e-5.
    pub dither: f32,
    /// Added to mel energies before the logarithm. Default: 2⁻²⁴.
    pub log_offset: f32,
    /// Scaling of the waveform. Default: by the peak of the utterance.
    pub peak: PeakNorm,
    /// Normalisation of the features. Default: over the utterance.
    pub norm: FeatureNorm,
}

impl MelConfig {
    /// Frames of a signal of `secs` seconds: one every `hop_samples`, the last one begun counts.
    pub fn num_frames_from_secs(&self, secs: f64) -> usize {
        let frames = secs * f64::from(self.sample_rate) / self.hop_samples.max(1) as f64;
        (frames - 1e-6).max(0.0).ceil() as usize
    }
}

impl Default for MelConfig {
    fn default() -> Self {
        Self {
            sample_rate: 16_000,
            num_bins: 128,
            fft_size: 512,
            window_samples: 320,
            hop_samples: 160,
            low_hz: 0.0,
            high_hz: 8_000.0,
            pre_emphasis: 0.97,
            dither: 1e-5,
            log_offset: 1.0 / 16_777_216.0,
            peak: PeakNorm::Utterance,
            norm: FeatureNorm::Utterance,
        }
    }
}

/// Frames of features, row-major `[T, F]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Features {
    /// `num_frames · num_bins` values.
    pub data: Vec<f32>,
    /// Frames `T`.
    pub num_frames: usize,
    /// Values per frame `F`.
    pub num_bins: usize,
}

impl Features {
    pub(crate) fn from_data(data: Vec<f32>, num_bins: usize) -> Self {
        let num_frames = data.len() / num_bins.max(1);
        Self { data, num_frames, num_bins }
    }

    /// Frames in order, each of `num_bins` values.
    pub fn frames(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.data.chunks_exact(self.num_bins.max(1))
    }
}

/// Number of frames of `num_samples` samples: `ceil(num_samples / hop_samples)`.
pub fn frames_from_samples(num_samples: usize, hop_samples: usize) -> usize {
    num_samples.div_ceil(hop_samples.max(1))
}

/// The offline front end. Immutable: one instance serves all threads.
#[derive(Clone)]
pub struct MelFrontEnd {
    config: MelConfig,
    window: Vec<f32>,
    filters: SparseFilters,
    plan: SpectrumPlan,
}

impl MelFrontEnd {
    /// Plans transforms and filters.
    ///
    /// # Errors
    /// A value out of its domain.
    pub fn new(config: MelConfig) -> Result<Self, AudioError> {
        validate(&config)?;
        let window = cosine_window(config.window_samples, 0.5);
        let filters = slaney_filters(&config);
        let plan = SpectrumPlan::new(config.fft_size);
        Ok(Self { config, window, filters, plan })
    }

    /// The settings.
    pub fn config(&self) -> &MelConfig {
        &self.config
    }

    /// Shortest row that has features: the reflection needs `fft_size/2 + 1` samples.
    pub fn min_samples(&self) -> usize {
        self.config.fft_size / 2 + 1
    }

    /// Features of one utterance of a batch.
    ///
    /// `samples` is the utterance and `row_samples ≥ samples.len()` the length of its zero-padded row in
    /// the batch, which the published program transforms as a whole: zeros follow the utterance, and
    /// the edges of the *row* are reflected. Only the `ceil(samples.len() / hop)` valid frames are
    /// computed and returned. `dither` is given in training only.
    ///
    /// # Shapes
    /// - samples: `[S]`
    /// - result: `[T, F]`, `T = ceil(S / hop_samples)`
    ///
    /// # Errors
    /// A row shorter than [`Self::min_samples`] or than the utterance; an empty utterance, or one of a
    /// single frame under [`FeatureNorm::Utterance`]; NaN or infinite samples.
    pub fn compute(
        &self,
        samples: &[f32],
        row_samples: usize,
        dither: Option<&mut Stream>,
    ) -> Result<Features, AudioError> {
        check_finite(samples, 0)?;
        self.compute_unchecked(samples, row_samples, dither)
    }

    /// [`Self::compute`] without the check for NaN, which a test lets through on purpose.
    fn compute_unchecked(
        &self,
        samples: &[f32],
        row_samples: usize,
        dither: Option<&mut Stream>,
    ) -> Result<Features, AudioError> {
        let MelConfig { hop_samples, ref norm, .. } = self.config;
        let num_frames = frames_from_samples(samples.len(), hop_samples);
        let too_short = |num_samples, min_samples, needed_for| {
            Err(AudioError::TooShort { num_samples, min_samples, needed_for })
        };
        if row_samples < self.min_samples() {
            return too_short(
                row_samples,
                self.min_samples(),
                "the reflection at the edges of the padded row",
            );
        }
        if row_samples < samples.len() {
            return too_short(row_samples, samples.len(), "the utterance inside its padded row");
        }
        if num_frames == 0 {
            return too_short(0, 1, "a frame");
        }
        if num_frames == 1 && *norm == FeatureNorm::Utterance {
            return too_short(samples.len(), hop_samples + 1, "a standard deviation over frames");
        }

        let extended = self.extended_signal(samples, row_samples, num_frames, dither);
        let mut data = Vec::with_capacity(num_frames * self.config.num_bins);
        self.scratch().append_log_mel(self, &extended, num_frames, &mut data);
        match norm {
            FeatureNorm::Utterance => normalise_by_own_statistics(&mut data, self.config.num_bins),
            FeatureNorm::None => {}
            FeatureNorm::Fixed { mean, std } => normalise(&mut data, mean, std),
        }
        Ok(Features::from_data(data, self.config.num_bins))
    }

    /// Samples before the centre of a frame that its window covers.
    fn lead_samples(&self) -> usize {
        let MelConfig { fft_size, window_samples, .. } = self.config;
        fft_size / 2 - (fft_size - window_samples) / 2
    }

    /// The pre-emphasised row from `lead` samples before its beginning to the end of the last
    /// valid frame, with reflected edges: frame `t` is `[t·hop, t·hop + window)` of it.
    fn extended_signal(
        &self,
        samples: &[f32],
        row_samples: usize,
        num_frames: usize,
        dither: Option<&mut Stream>,
    ) -> Vec<f32> {
        let MelConfig { hop_samples, window_samples, pre_emphasis, .. } = self.config;
        let lead = self.lead_samples();
        let total = (num_frames - 1) * hop_samples + window_samples;
        let gain = match self.config.peak {
            PeakNorm::Utterance => 1.0 / (peak(samples) + EPSILON),
            PeakNorm::Fixed(gain) => gain,
        };
        // Only this much of the row is seen by a valid frame.
        let row_used = row_samples.min((total - lead).max(lead + 1));
        let mut extended = vec![0.0; lead + row_used];
        let row = &mut extended[lead..];
        for (y, &x) in row.iter_mut().zip(samples) {
            *y = gain * x;
        }
        // Numbers that are multiplied by 0 are not drawn: they would cost as much as the spectra.
        if let Some(stream) = dither.filter(|_| self.config.dither > 0.0) {
            for y in row.iter_mut() {
                *y += self.config.dither * stream.normal() as f32;
            }
        }
        pre_emphasise(row, pre_emphasis);
        reflect_start(&mut extended, lead);
        reflect_end(&mut extended, total);
        extended
    }

    fn scratch(&self) -> Scratch {
        Scratch { block: self.plan.scratch(), bands: vec![[0.0; LANES]; self.filters.len()] }
    }
}

/// Buffers of one running analysis.
struct Scratch {
    block: SpectrumBlock,
    bands: Vec<Lanes>,
}

impl Scratch {
    /// Appends the log-mel values of `num_frames` frames; frame `t` starts at `t·hop` of `signal`.
    fn append_log_mel(&mut self, front: &MelFrontEnd, signal: &[f32], num_frames: usize, out: &mut Vec<f32>) {
        let MelConfig { hop_samples, window_samples, log_offset, .. } = front.config;
        let Self { block, bands } = self;
        let mut frames = signal.windows(window_samples).step_by(hop_samples).take(num_frames).fuse();
        let mut left = num_frames;
        while left > 0 {
            let num_lanes = left.min(LANES);
            for (lane, frame) in frames.by_ref().take(num_lanes).enumerate() {
                block.set_lane(lane, window_samples, |windowed| {
                    for ((y, x), w) in windowed.iter_mut().zip(frame).zip(&front.window) {
                        *y = x * w;
                    }
                });
            }
            front.filters.apply(block.power(), bands);
            for value in bands.as_flattened_mut() {
                *value = fast_ln(*value + log_offset);
            }
            append_frames(bands, num_lanes, out);
            left -= num_lanes;
        }
    }
}

fn validate(config: &MelConfig) -> Result<(), AudioError> {
    let &MelConfig { sample_rate, num_bins, fft_size, window_samples, hop_samples, low_hz, high_hz, .. } =
        config;
    let nyquist_hz = f64::from(sample_rate) / 2.0;
    if fft_size < 2 || fft_size % 2 == 1 || fft_size > 1 << 20 {
        return Err(AudioError::config("fft_size", fft_size, "an even number from 2 to 1,048,576"));
    }
    if window_samples < 2 || window_samples > fft_size {
        return Err(AudioError::config("window_samples", window_samples, "2 to fft_size"));
    }
    if hop_samples == 0 || hop_samples > window_samples {
        return Err(AudioError::config("hop_samples", hop_samples, "1 to window_samples"));
    }
    if num_bins == 0 || num_bins > fft_size {
        return Err(AudioError::config("num_bins", num_bins, "1 to fft_size"));
    }
    if !(0.0 <= low_hz && low_hz < high_hz && high_hz <= nyquist_hz) {
        let value = format!("{low_hz} to {high_hz}");
        return Err(AudioError::config("low_hz, high_hz", value, "0 ≤ low_hz < high_hz ≤ sample_rate/2"));
    }
    if !(config.log_offset >= f32::MIN_POSITIVE && config.log_offset.is_finite()) {
        return Err(AudioError::config("log_offset", config.log_offset, "a positive normal number"));
    }
    for (field, value) in [("pre_emphasis", config.pre_emphasis), ("dither", config.dither)] {
        if !value.is_finite() {
            return Err(AudioError::config(field, value, "a finite number"));
        }
    }
    if let PeakNorm::Fixed(gain) = config.peak
        && !gain.is_finite()
    {
        return Err(AudioError::config("peak", gain, "a finite gain"));
    }
    if let FeatureNorm::Fixed { mean, std } = &config.norm
        && (mean.len() != num_bins || std.len() != num_bins)
    {
        let value = format!("{} means, {} deviations", mean.len(), std.len());
        return Err(AudioError::config("norm", value, "num_bins values each"));
    }
    Ok(())
}
