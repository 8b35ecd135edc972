//! The front end for a whole utterance.

use auricle_rng::Stream;

use super::config::{FeatureNorm, MelConfig, PeakNorm};
use super::numerics::{
    EPSILON, normalise, normalise_by_own_statistics, peak, pre_emphasise, reflect_end, reflect_start,
    slaney_filters,
};
use crate::dsp::{
    LANES, Lanes, SparseFilters, SpectrumBlock, SpectrumPlan, append_frames, cosine_window, fast_ln,
};
use crate::error::{AudioError, check_finite};
use crate::features::{Features, features_from_values};

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
        config.validate()?;
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
    /// - result: [frames, bins] = `[T, F]`, `T = ceil(S / hop_samples)`
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
    pub(super) fn compute_unchecked(
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
        features_from_values(data, self.config.num_bins)
    }

    /// Samples before the centre of a frame that its window covers.
    pub(super) fn lead_samples(&self) -> usize {
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

    pub(super) fn scratch(&self) -> Scratch {
        Scratch { block: self.plan.scratch(), bands: vec![[0.0; LANES]; self.filters.len()] }
    }
}

/// Buffers of one running analysis.
pub(super) struct Scratch {
    block: SpectrumBlock,
    bands: Vec<Lanes>,
}

impl Scratch {
    /// Appends the log-mel values of `num_frames` frames; frame `t` starts at `t·hop` of `signal`.
    pub(super) fn append_log_mel(
        &mut self,
        front: &MelFrontEnd,
        signal: &[f32],
        num_frames: usize,
        out: &mut Vec<f32>,
    ) {
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
