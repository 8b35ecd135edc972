//! Cutting a signal into windowed frames (Kaldi's feature-window.cc).

use std::f64::consts::TAU;
use std::ops::Range;

use auricle_rng::Stream;
use serde::{Deserialize, Serialize};

use super::Analysis;
use super::heads::Energy;
use crate::dsp::{LANES, Lanes, SpectrumBlock, SpectrumPlan, cosine_window, lane_sum};
use crate::error::AudioError;

/// Shape of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// Hann to the power 0.85, Kaldi's default.
    Povey,
    /// Raised cosine that reaches 0.
    Hanning,
    /// Raised cosine that ends at 0.08.
    Hamming,
    /// Three-term cosine with coefficient 0.42.
    Blackman,
    /// No window.
    Rectangular,
}

/// Settings of the frames; the defaults are Kaldi's, without dither.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FrameConfig {
    /// Sampling rate in Hz. Default: 16,000.
    pub sample_rate: u32,
    /// Length of a frame in milliseconds. Default: 25.
    pub length_ms: f64,
    /// Distance of frames in milliseconds. Default: 10.
    pub shift_ms: f64,
    /// Factor on samples before anything else. Default: 32,768 (samples in [−1, 1] to 16-bit range).
    pub input_scale: f32,
    /// Standard deviation of the dither, after scaling, where a random stream is given. Default: 1.
    pub dither: f32,
    /// Subtracts the mean of every frame. Default: true.
    pub remove_dc_offset: bool,
    /// Coefficient of the pre-emphasis. Default: 0.97.
    pub pre_emphasis: f32,
    /// Shape of the window. Default: Povey.
    pub window: WindowKind,
    /// Only frames that lie wholly inside the signal; otherwise one frame for every shift, with the
    /// edges reflected. Default: true.
    pub snip_edges: bool,
}

impl Default for FrameConfig {
    fn default() -> Self {
        Self {
            sample_rate: 16_000,
            length_ms: 25.0,
            shift_ms: 10.0,
            input_scale: 32_768.0,
            dither: 1.0,
            remove_dc_offset: true,
            pre_emphasis: 0.97,
            window: WindowKind::Povey,
            snip_edges: true,
        }
    }
}

impl FrameConfig {
    /// Samples in `ms` milliseconds, rounded down as Kaldi does.
    fn samples_from_ms(&self, ms: f64) -> usize {
        (f64::from(self.sample_rate) * 0.001 * ms + 1e-6) as usize
    }
}

/// The geometry of frames and the window, ready for use.
pub(super) struct Framing {
    config: FrameConfig,
    length_samples: usize,
    shift_samples: usize,
    window: Vec<f32>,
    pub(super) plan: SpectrumPlan,
}

impl Framing {
    pub(super) fn new(config: &FrameConfig) -> Result<Self, AudioError> {
        let config = config.clone();
        for (field, ms) in [("length_ms", config.length_ms), ("shift_ms", config.shift_ms)] {
            let samples = config.samples_from_ms(ms);
            if !(2..=1 << 20).contains(&samples) {
                return Err(AudioError::config(field, ms, "a duration of 2 to 1,048,576 samples"));
            }
        }
        for (field, value) in [
            ("input_scale", config.input_scale),
            ("dither", config.dither),
            ("pre_emphasis", config.pre_emphasis),
        ] {
            if !value.is_finite() {
                return Err(AudioError::config(field, value, "a finite number"));
            }
        }
        let length_samples = config.samples_from_ms(config.length_ms);
        let shift_samples = config.samples_from_ms(config.shift_ms);
        let window = window(config.window, length_samples);
        let plan = SpectrumPlan::new(length_samples.next_power_of_two());
        Ok(Self { config, length_samples, shift_samples, window, plan })
    }

    pub(super) fn config(&self) -> &FrameConfig {
        &self.config
    }

    /// Frames of a signal that has ended.
    pub(super) fn num_frames(&self, num_samples: usize) -> usize {
        if self.config.snip_edges {
            num_samples.checked_sub(self.length_samples).map_or(0, |n| n / self.shift_samples + 1)
        } else {
            (num_samples + self.shift_samples / 2) / self.shift_samples
        }
    }

    /// First sample of a frame; negative where the edge is reflected.
    fn first_sample(&self, frame: usize) -> i64 {
        let start = (frame * self.shift_samples) as i64;
        let centring = (self.shift_samples / 2) as i64 - (self.length_samples / 2) as i64;
        if self.config.snip_edges { start } else { start + centring }
    }

    /// Frames that lie wholly before `num_samples`, those that no later sample can change.
    pub(super) fn num_complete_frames(&self, num_samples: usize) -> usize {
        let spare = num_samples as i64 - self.first_sample(0) - self.length_samples as i64;
        usize::try_from(spare).map_or(0, |spare| spare / self.shift_samples + 1)
    }

    /// The first sample that frames from `frame` on can depend on, reflection included.
    pub(super) fn first_needed_sample(&self, frame: usize) -> usize {
        // A reflected frame of odd length reaches one sample further back.
        usize::try_from(self.first_sample(frame) - 1).unwrap_or(0)
    }

    /// Copies a frame of `signal`, whose first value has position `offset` and which ends at
    /// `num_samples`; positions outside are reflected with the edge repeated.
    fn copy_frame(&self, signal: &[f32], offset: usize, num_samples: usize, frame: usize, out: &mut [f32]) {
        let first = self.first_sample(frame);
        let inside = usize::try_from(first)
            .ok()
            .and_then(|first| first.checked_sub(offset))
            .and_then(|start| signal.get(start..start + self.length_samples));
        let scale = self.config.input_scale;
        if let Some(inside) = inside {
            for (y, x) in out.iter_mut().zip(inside) {
                *y = x * scale;
            }
            return;
        }
        let end = num_samples as i64;
        for (i, y) in out.iter_mut().enumerate() {
            let mut position = first + i as i64;
            while position < 0 || position >= end {
                position = if position < 0 { -position - 1 } else { 2 * end - 1 - position };
            }
            *y = signal[position as usize - offset] * scale;
        }
    }
}

/// Kaldi's windows, symmetric over `num_samples`.
fn window(kind: WindowKind, num_samples: usize) -> Vec<f32> {
    let step = TAU / (num_samples - 1) as f64;
    match kind {
        WindowKind::Rectangular => vec![1.0; num_samples],
        WindowKind::Hanning => cosine_window(num_samples, 0.5),
        WindowKind::Hamming => cosine_window(num_samples, 0.54),
        WindowKind::Povey => {
            (0..num_samples).map(|n| (0.5 - 0.5 * (step * n as f64).cos()).powf(0.85) as f32).collect()
        }
        WindowKind::Blackman => {
            let (a, c) = (0.42, 0.08);
            let value = |n: f64| a - 0.5 * (step * n).cos() + c * (2.0 * step * n).cos();
            (0..num_samples).map(|n| value(n as f64) as f32).collect()
        }
    }
}

/// Buffers of one running analysis.
pub(super) struct Scratch {
    block: SpectrumBlock,
    bands: Vec<Lanes>,
    features: Vec<Lanes>,
}

impl Analysis {
    pub(super) fn scratch(&self) -> Scratch {
        Scratch {
            block: self.framing.plan.scratch(),
            bands: vec![[0.0; LANES]; self.head.num_bands()],
            features: vec![[0.0; LANES]; self.head.num_features()],
        }
    }
}

impl Scratch {
    /// Appends the features of `frames`. See [`Framing::copy_frame`] for `signal`, `offset`, `num_samples`.
    #[expect(clippy::too_many_arguments, reason = "one private seam between offline and streaming")]
    pub(super) fn append(
        &mut self,
        analysis: &Analysis,
        signal: &[f32],
        offset: usize,
        frames: Range<usize>,
        num_samples: usize,
        mut dither: Option<&mut Stream>,
        out: &mut Vec<f32>,
    ) {
        let Analysis { framing, head } = analysis;
        let Self { block, bands, features } = self;
        let mut next = frames.start;
        while next < frames.end {
            let num_lanes = (frames.end - next).min(LANES);
            let mut energy = [0.0; LANES];
            for (lane, energy) in energy.iter_mut().take(num_lanes).enumerate() {
                block.set_lane(lane, framing.length_samples, |x| {
                    framing.copy_frame(signal, offset, num_samples, next + lane, x);
                    *energy = framing.condition(x, head.energy(), dither.as_deref_mut());
                });
            }
            head.apply(block.power_mut(), &energy, bands, features);
            crate::dsp::append_frames(features, num_lanes, out);
            next += num_lanes;
        }
    }
}

impl Framing {
    /// Dither, mean, pre-emphasis and window in place; returns the energy `Σx²` of the stage asked for.
    fn condition(&self, x: &mut [f32], energy: Energy, dither: Option<&mut Stream>) -> f32 {
        let FrameConfig { remove_dc_offset, pre_emphasis, .. } = self.config;
        if let Some(stream) = dither {
            for x in x.iter_mut() {
                *x += self.config.dither * stream.normal() as f32;
            }
        }
        if remove_dc_offset {
            let mean = lane_sum(x, |x| x) / x.len() as f32;
            for x in x.iter_mut() {
                *x -= mean;
            }
        }
        let raw = if energy == Energy::Raw { lane_sum(x, |x| x * x) } else { 0.0 };
        for i in (1..x.len()).rev() {
            x[i] -= pre_emphasis * x[i - 1];
        }
        x[0] -= pre_emphasis * x[0];
        for (x, w) in x.iter_mut().zip(&self.window) {
            *x *= w;
        }
        if energy == Energy::Windowed { lane_sum(x, |x| x * x) } else { raw }
    }
}
