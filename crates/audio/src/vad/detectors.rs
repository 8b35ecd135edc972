//! The two detectors: energy above a tracked noise floor, and the neural network of `earshot`.

use serde::{Deserialize, Serialize};

use super::Vad;
use crate::dsp::lane_sum;
use crate::error::AudioError;
use crate::time::check_rate;

/// Settings of [`EnergyVad`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnergyVadConfig {
    /// Sampling rate in Hz. Default: 16,000.
    pub sample_rate: u32,
    /// Length of a frame in milliseconds. Default: 10.
    pub frame_ms: f64,
    /// Level above the noise floor that has probability ½, in dB. Default: 12.
    pub margin_db: f32,
    /// Level below which nothing is speech, in dB of full scale. Default: −60.
    pub silence_db: f32,
    /// How fast the noise floor rises while the level is above it, in dB per second. It falls at once
    /// to a lower level. Default: 2.
    pub rise_db_per_sec: f32,
}

impl Default for EnergyVadConfig {
    fn default() -> Self {
        Self { sample_rate: 16_000, frame_ms: 10.0, margin_db: 12.0, silence_db: -60.0, rise_db_per_sec: 2.0 }
    }
}

/// Speech is what stands out of the noise floor: level = 10·log₁₀(mean square), smoothed over about
/// two frames, and probability = 1 / (1 + exp(−(level − floor − margin) / 2 dB)).
///
/// For clean recordings, any sampling rate, and as the reference of the others.
#[derive(Debug, Clone)]
pub struct EnergyVad {
    config: EnergyVadConfig,
    frame_samples: usize,
    rise_db_per_frame: f32,
    level_db: f32,
    floor_db: f32,
}

impl EnergyVad {
    /// Assumed noise floor before anything was heard, in dB of full scale.
    const FIRST_FLOOR_DB: f32 = -50.0;
    /// Weight of the newest frame in the smoothed level.
    const SMOOTHING: f32 = 0.5;

    /// # Errors
    /// A value out of its domain.
    pub fn new(config: EnergyVadConfig) -> Result<Self, AudioError> {
        check_rate("sample_rate", config.sample_rate)?;
        for (field, value) in [
            ("margin_db", config.margin_db),
            ("silence_db", config.silence_db),
            ("rise_db_per_sec", config.rise_db_per_sec),
        ] {
            if !value.is_finite() {
                return Err(AudioError::config(field, value, "a finite number"));
            }
        }
        let frame_samples = f64::from(config.sample_rate) * config.frame_ms / 1_000.0;
        if !(1.0..=1e6).contains(&frame_samples) {
            return Err(AudioError::config(
                "frame_ms",
                config.frame_ms,
                "a duration of 1 to 1,000,000 samples",
            ));
        }
        let rise_db_per_frame = config.rise_db_per_sec * (config.frame_ms / 1_000.0) as f32;
        let frame_samples = frame_samples.round() as usize;
        let mut vad = Self { config, frame_samples, rise_db_per_frame, level_db: 0.0, floor_db: 0.0 };
        vad.reset();
        Ok(vad)
    }
}

impl Vad for EnergyVad {
    fn sample_rate(&self) -> u32 {
        self.config.sample_rate
    }

    fn frame_samples(&self) -> usize {
        self.frame_samples
    }

    fn speech_probability(&mut self, frame: &[f32]) -> f32 {
        if frame.len() != self.frame_samples {
            return 0.0;
        }
        let mean_square = lane_sum(frame, |x| x * x) / frame.len() as f32;
        let frame_db = 10.0 * (mean_square + 1e-10).log10();
        self.level_db += Self::SMOOTHING * (frame_db - self.level_db);
        let level_db = self.level_db;
        self.floor_db = level_db.min(self.floor_db + self.rise_db_per_frame).max(-100.0);
        if level_db < self.config.silence_db {
            return 0.0;
        }
        1.0 / (1.0 + (-(level_db - self.floor_db - self.config.margin_db) / 2.0).exp())
    }

    fn reset(&mut self) {
        self.level_db = Self::FIRST_FLOOR_DB;
        self.floor_db = Self::FIRST_FLOOR_DB;
    }
}

/// The small recurrent network of the `earshot` crate: 16 kHz, frames of 16 ms, robust against noise.
#[derive(Default)]
pub struct EarshotVad {
    detector: Box<earshot::Detector>,
    clipped: Vec<f32>,
}

impl EarshotVad {
    /// Length of its frames in samples.
    const FRAME_SAMPLES: usize = 256;

    /// A detector at the beginning of a signal.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Vad for EarshotVad {
    fn sample_rate(&self) -> u32 {
        16_000
    }

    fn frame_samples(&self) -> usize {
        Self::FRAME_SAMPLES
    }

    fn speech_probability(&mut self, frame: &[f32]) -> f32 {
        if frame.len() != Self::FRAME_SAMPLES {
            return 0.0;
        }
        // It accepts nothing outside [−1, 1].
        self.clipped.clear();
        self.clipped.extend(frame.iter().map(|x| x.clamp(-1.0, 1.0)));
        self.detector.predict_f32(&self.clipped).clamp(0.0, 1.0)
    }

    fn reset(&mut self) {
        self.detector.reset();
    }
}
