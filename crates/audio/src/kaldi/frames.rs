//! Cutting a signal into windowed frames (Kaldi's feature-window.cc).

use std::f64::consts::TAU;

use auricle_rng::Stream;

use super::config::{FrameConfig, WindowKind};
use super::energy::Energy;
use crate::dsp::{SpectrumPlan, cosine_window, lane_sum};

/// The geometry of frames and the window, ready for use.
pub(super) struct Framing {
    config: FrameConfig,
    length_samples: usize,
    shift_samples: usize,
    window: Vec<f32>,
    pub(super) plan: SpectrumPlan,
}

impl Framing {
    /// The settings have been validated.
    pub(super) fn new(config: &FrameConfig) -> Self {
        let config = config.clone();
        let (length_samples, shift_samples) = (config.length_samples(), config.shift_samples());
        let window = window(config.window, length_samples);
        let plan = SpectrumPlan::new(config.fft_size());
        Self { config, length_samples, shift_samples, window, plan }
    }

    pub(super) fn length_samples(&self) -> usize {
        self.length_samples
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
    pub(super) fn copy_frame(
        &self,
        signal: &[f32],
        offset: usize,
        num_samples: usize,
        frame: usize,
        out: &mut [f32],
    ) {
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

impl Framing {
    /// Dither, mean, pre-emphasis and window in place; returns the energy `Σx²` of the stage asked for.
    pub(super) fn condition(&self, x: &mut [f32], energy: Energy, dither: Option<&mut Stream>) -> f32 {
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
