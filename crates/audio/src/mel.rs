//! The log-mel front end of SPIRAL (arXiv 2201.10207), offline and streaming.
//!
//! Peak normalisation → dither (training) → pre-emphasis → short-time power spectrum with a
//! symmetric Hann window centred in the frame and reflected edges → Slaney mel filters →
//! `ln(m + 2⁻²⁴)` → normalisation of every mel bin over the utterance.

use auricle_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::dsp::{
    LANES, Lanes, SparseFilters, SpectrumBlock, SpectrumPlan, append_frames, cosine_window, fast_ln,
};
use crate::error::{AudioError, check_finite};

/// Added to the peak and to the standard deviation before dividing.
const EPSILON: f32 = 1e-5;

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
        Self {
            data,
            num_frames,
            num_bins,
        }
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
        Ok(Self {
            config,
            window,
            filters,
            plan,
        })
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
        let MelConfig {
            hop_samples,
            ref norm,
            ..
        } = self.config;
        let num_frames = frames_from_samples(samples.len(), hop_samples);
        let too_short = |num_samples, min_samples, needed_for| {
            Err(AudioError::TooShort {
                num_samples,
                min_samples,
                needed_for,
            })
        };
        if row_samples < self.min_samples() {
            return too_short(
                row_samples,
                self.min_samples(),
                "the reflection at the edges of the padded row",
            );
        }
        if row_samples < samples.len() {
            return too_short(
                row_samples,
                samples.len(),
                "the utterance inside its padded row",
            );
        }
        if num_frames == 0 {
            return too_short(0, 1, "a frame");
        }
        if num_frames == 1 && *norm == FeatureNorm::Utterance {
            return too_short(
                samples.len(),
                hop_samples + 1,
                "a standard deviation over frames",
            );
        }

        let extended = self.extended_signal(samples, row_samples, num_frames, dither);
        let mut data = Vec::with_capacity(num_frames * self.config.num_bins);
        self.scratch()
            .append_log_mel(self, &extended, num_frames, &mut data);
        match norm {
            FeatureNorm::Utterance => normalise_by_own_statistics(&mut data, self.config.num_bins),
            FeatureNorm::None => {}
            FeatureNorm::Fixed { mean, std } => normalise(&mut data, mean, std),
        }
        Ok(Features::from_data(data, self.config.num_bins))
    }

    /// Samples before the centre of a frame that its window covers.
    fn lead_samples(&self) -> usize {
        let MelConfig {
            fft_size,
            window_samples,
            ..
        } = self.config;
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
        let MelConfig {
            hop_samples,
            window_samples,
            pre_emphasis,
            ..
        } = self.config;
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
        if let Some(stream) = dither {
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
        Scratch {
            block: self.plan.scratch(),
            bands: vec![[0.0; LANES]; self.filters.len()],
        }
    }
}

/// Buffers of one running analysis.
struct Scratch {
    block: SpectrumBlock,
    bands: Vec<Lanes>,
}

impl Scratch {
    /// Appends the log-mel values of `num_frames` frames; frame `t` starts at `t·hop` of `signal`.
    fn append_log_mel(
        &mut self,
        front: &MelFrontEnd,
        signal: &[f32],
        num_frames: usize,
        out: &mut Vec<f32>,
    ) {
        let MelConfig {
            hop_samples,
            window_samples,
            log_offset,
            ..
        } = front.config;
        let Self { block, bands } = self;
        let mut frames = signal
            .windows(window_samples)
            .step_by(hop_samples)
            .take(num_frames)
            .fuse();
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

/// The front end for a signal that arrives in pieces.
///
/// Equal bit for bit to [`MelFrontEnd::compute`] with `row_samples = samples.len()`, for any chunking.
/// A frame is emitted as soon as the last sample under its window has arrived.
pub struct StreamingMel {
    front: MelFrontEnd,
    scratch: Scratch,
    gain: f32,
    /// From the first sample under the next frame on, with the reflection at the beginning.
    signal: Vec<f32>,
    /// The last scaled sample, for the pre-emphasis.
    last: f32,
    num_samples: u64,
    num_frames: u64,
    is_started: bool,
}

impl StreamingMel {
    /// # Errors
    /// A value out of its domain, or a normalisation that needs the whole utterance.
    pub fn new(config: MelConfig) -> Result<Self, AudioError> {
        let PeakNorm::Fixed(gain) = config.peak else {
            return Err(AudioError::config(
                "peak",
                "utterance",
                "a fixed gain for streaming",
            ));
        };
        if config.norm == FeatureNorm::Utterance {
            return Err(AudioError::config(
                "norm",
                "utterance",
                "`none` or fixed statistics for streaming",
            ));
        }
        let front = MelFrontEnd::new(config)?;
        let scratch = front.scratch();
        Ok(Self {
            front,
            scratch,
            gain,
            signal: Vec::new(),
            last: 0.0,
            num_samples: 0,
            num_frames: 0,
            is_started: false,
        })
    }

    /// Samples after the centre `t·hop` of frame `t` that it depends on. The first frames wait for
    /// one sample more, which the reflection at the beginning needs.
    pub fn lookahead_samples(&self) -> usize {
        self.front.config.window_samples - self.front.lead_samples()
    }

    /// Takes the next samples and appends the frames that are complete to `out`; returns their number.
    ///
    /// # Errors
    /// NaN or infinite samples; nothing is taken then.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<usize, AudioError> {
        check_finite(samples, self.num_samples)?;
        Ok(self.push_unchecked(samples, out))
    }

    fn push_unchecked(&mut self, samples: &[f32], out: &mut Vec<f32>) -> usize {
        let MelConfig {
            pre_emphasis,
            hop_samples,
            window_samples,
            ..
        } = self.front.config;
        let lead = self.front.lead_samples();
        let start = self.signal.len();
        self.signal.extend(samples.iter().map(|x| self.gain * x));
        let fresh = &mut self.signal[start..];
        if let Some(&next_last) = fresh.last() {
            let is_first = self.num_samples == 0;
            let last = std::mem::replace(&mut self.last, next_last);
            pre_emphasise(fresh, pre_emphasis);
            if !is_first {
                fresh[0] -= pre_emphasis * last;
            }
        }
        self.num_samples += samples.len() as u64;
        if !self.is_started {
            if self.signal.len() <= lead {
                return 0;
            }
            self.signal.splice(0..0, std::iter::repeat_n(0.0, lead));
            reflect_start(&mut self.signal, lead);
            self.is_started = true;
        }
        let complete = self
            .signal
            .len()
            .checked_sub(window_samples)
            .map_or(0, |n| n / hop_samples + 1);
        self.emit(complete, out)
    }

    /// Ends the signal: appends the remaining frames to `out`, returns their number, and makes the
    /// front end ready for a new signal.
    ///
    /// # Errors
    /// A signal shorter than [`MelFrontEnd::min_samples`].
    pub fn finish(&mut self, out: &mut Vec<f32>) -> Result<usize, AudioError> {
        let MelConfig {
            hop_samples,
            window_samples,
            ..
        } = self.front.config;
        let num_samples = std::mem::take(&mut self.num_samples);
        let num_emitted = std::mem::take(&mut self.num_frames);
        let is_started = std::mem::take(&mut self.is_started);
        let min_samples = self.front.min_samples();
        if num_samples < min_samples as u64 || !is_started {
            self.signal.clear();
            let num_samples = num_samples as usize;
            return Err(AudioError::TooShort {
                num_samples,
                min_samples,
                needed_for: "the reflection at the edges",
            });
        }
        let left = (num_samples.div_ceil(hop_samples as u64) - num_emitted) as usize;
        if left > 0 {
            reflect_end(&mut self.signal, (left - 1) * hop_samples + window_samples);
        }
        let emitted = self.emit(left, out);
        self.signal.clear();
        self.num_frames = 0;
        Ok(emitted)
    }

    fn emit(&mut self, num_frames: usize, out: &mut Vec<f32>) -> usize {
        let start = out.len();
        self.scratch
            .append_log_mel(&self.front, &self.signal, num_frames, out);
        if let FeatureNorm::Fixed { mean, std } = &self.front.config.norm {
            normalise(&mut out[start..], mean, std);
        }
        let used = (num_frames * self.front.config.hop_samples).min(self.signal.len());
        self.signal.drain(..used);
        self.num_frames += num_frames as u64;
        num_frames
    }
}

fn validate(config: &MelConfig) -> Result<(), AudioError> {
    let &MelConfig {
        sample_rate,
        num_bins,
        fft_size,
        window_samples,
        hop_samples,
        low_hz,
        high_hz,
        ..
    } = config;
    let nyquist_hz = f64::from(sample_rate) / 2.0;
    if fft_size < 2 || fft_size % 2 == 1 || fft_size > 1 << 20 {
        return Err(AudioError::config(
            "fft_size",
            fft_size,
            "an even number from 2 to 1,048,576",
        ));
    }
    if window_samples < 2 || window_samples > fft_size {
        return Err(AudioError::config(
            "window_samples",
            window_samples,
            "2 to fft_size",
        ));
    }
    if hop_samples == 0 || hop_samples > window_samples {
        return Err(AudioError::config(
            "hop_samples",
            hop_samples,
            "1 to window_samples",
        ));
    }
    if num_bins == 0 || num_bins > fft_size {
        return Err(AudioError::config("num_bins", num_bins, "1 to fft_size"));
    }
    if !(0.0 <= low_hz && low_hz < high_hz && high_hz <= nyquist_hz) {
        let value = format!("{low_hz} to {high_hz}");
        return Err(AudioError::config(
            "low_hz, high_hz",
            value,
            "0 ≤ low_hz < high_hz ≤ sample_rate/2",
        ));
    }
    if !(config.log_offset >= f32::MIN_POSITIVE && config.log_offset.is_finite()) {
        return Err(AudioError::config(
            "log_offset",
            config.log_offset,
            "a positive normal number",
        ));
    }
    for (field, value) in [
        ("pre_emphasis", config.pre_emphasis),
        ("dither", config.dither),
    ] {
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

/// max|x|, vectorised; NaN is ignored.
fn peak(samples: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (chunks, tail) = samples.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = if x.abs() > *lane { x.abs() } else { *lane };
        }
    }
    lanes
        .iter()
        .chain(tail)
        .fold(0.0, |peak, x| peak.max(x.abs()))
}

/// `y[n] ← y[n] − c·y[n−1]`, backwards so that it works in place; `y[0]` stays.
fn pre_emphasise(y: &mut [f32], coefficient: f32) {
    for i in (1..y.len()).rev() {
        y[i] -= coefficient * y[i - 1];
    }
}

/// Fills the first `lead` values by reflection about the value at `lead`.
fn reflect_start(signal: &mut [f32], lead: usize) {
    let (head, tail) = signal.split_at_mut(lead);
    for (y, &x) in head.iter_mut().rev().zip(&tail[1..]) {
        *y = x;
    }
}

/// Cuts the signal to `total` values, or extends it by reflection about its last value.
fn reflect_end(signal: &mut Vec<f32>, total: usize) {
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
fn mel_from_hz(hz: f64) -> f64 {
    let log_step = 6.4f64.ln() / 27.0;
    if hz < 1_000.0 {
        hz * 3.0 / 200.0
    } else {
        15.0 + (hz / 1_000.0).ln() / log_step
    }
}

/// Inverse of [`mel_from_hz`].
fn hz_from_mel(mel: f64) -> f64 {
    let log_step = 6.4f64.ln() / 27.0;
    if mel < 15.0 {
        mel * 200.0 / 3.0
    } else {
        1_000.0 * ((mel - 15.0) * log_step).exp()
    }
}

/// Triangles between equidistant mel values, each of area 1 (weights `2/(f_hi − f_lo)` at the top).
fn slaney_filters(config: &MelConfig) -> SparseFilters {
    let &MelConfig {
        sample_rate,
        num_bins,
        fft_size,
        low_hz,
        high_hz,
        ..
    } = config;
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

fn normalise(data: &mut [f32], mean: &[f32], std: &[f32]) {
    for frame in data.chunks_exact_mut(mean.len()) {
        for ((v, m), s) in frame.iter_mut().zip(mean).zip(std) {
            *v = (*v - m) / (s + EPSILON);
        }
    }
}

/// Mean and unbiased standard deviation of every bin over all frames, in two passes.
fn normalise_by_own_statistics(data: &mut [f32], num_bins: usize) {
    let num_frames = data.len() / num_bins;
    let sums = |f: &dyn Fn(&mut [f64], &[f32])| {
        let mut sums = vec![0.0f64; num_bins];
        data.chunks_exact(num_bins)
            .for_each(|frame| f(&mut sums, frame));
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
    let std: Vec<f32> = squares
        .iter()
        .map(|s| (s / (num_frames as f64 - 1.0)).sqrt() as f32)
        .collect();
    normalise(data, &mean, &std);
}
