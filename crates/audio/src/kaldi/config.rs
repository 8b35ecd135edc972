//! The settings of Kaldi's features, and which of them are possible.

use serde::{Deserialize, Serialize};

use crate::dsp::{MAX_BINS, MAX_FFT_SIZE, MAX_FRAMES_PER_SEC, check_band};
use crate::error::AudioError;
use crate::time::check_rate;

/// Factors beyond this are a mistaken unit.
const MAX_SCALE: f32 = 1e9;

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

    pub(super) fn length_samples(&self) -> usize {
        self.samples_from_ms(self.length_ms)
    }

    pub(super) fn shift_samples(&self) -> usize {
        self.samples_from_ms(self.shift_ms)
    }

    /// The next power of two of a frame.
    pub(super) fn fft_size(&self) -> usize {
        self.length_samples().next_power_of_two()
    }

    /// Whether frames can be cut by these values, within memory and time that do not depend on them.
    ///
    /// # Errors
    /// The first value out of its domain: its name, and what is allowed.
    pub fn validate(&self) -> Result<(), AudioError> {
        check_rate("sample_rate", self.sample_rate)?;
        if !(2..=MAX_FFT_SIZE).contains(&self.length_samples()) {
            return Err(AudioError::config("length_ms", self.length_ms, "a duration of 2 to 65,536 samples"));
        }
        // More frames than this would take more memory than the signal many times over.
        let least_shift = (self.sample_rate / MAX_FRAMES_PER_SEC).max(2) as usize;
        if !(least_shift..=1 << 20).contains(&self.shift_samples()) {
            let expected = "2 to 1,048,576 samples, and at most 1,000 frames a second";
            return Err(AudioError::config("shift_ms", self.shift_ms, expected));
        }
        if !(self.input_scale.is_finite() && self.input_scale.abs() <= MAX_SCALE) {
            return Err(AudioError::config("input_scale", self.input_scale, "up to 1,000,000,000"));
        }
        if !(0.0..=MAX_SCALE).contains(&self.dither) {
            return Err(AudioError::config("dither", self.dither, "0 to 1,000,000,000"));
        }
        if !(0.0..=1.0).contains(&self.pre_emphasis) {
            return Err(AudioError::config("pre_emphasis", self.pre_emphasis, "0 to 1"));
        }
        Ok(())
    }
}

/// Settings of the mel filters: triangles that are equidistant on `1127·ln(1 + f/700)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MelBankConfig {
    /// Number of filters. Default: 80 (Kaldi: 23, which is also the usual choice for MFCC).
    pub num_bins: usize,
    /// Lower edge in Hz. Default: 20.
    pub low_hz: f64,
    /// Upper edge in Hz; 0 or below counts from half the sampling rate. Default: 0.
    pub high_hz: f64,
}

impl Default for MelBankConfig {
    fn default() -> Self {
        Self { num_bins: 80, low_hz: 20.0, high_hz: 0.0 }
    }
}

impl MelBankConfig {
    /// The edges of the band, counted from 0.
    pub(super) fn band_hz(&self, sample_rate: u32) -> (f64, f64) {
        let nyquist_hz = f64::from(sample_rate) / 2.0;
        let high_hz = if self.high_hz > 0.0 { self.high_hz } else { nyquist_hz + self.high_hz };
        (self.low_hz, high_hz)
    }

    /// Whether filters can be made of these values for such frames.
    ///
    /// # Errors
    /// The first value out of its domain: its name, and what is allowed.
    pub fn validate(&self, frame: &FrameConfig) -> Result<(), AudioError> {
        let (low_hz, high_hz) = self.band_hz(frame.sample_rate);
        check_band(low_hz, high_hz, frame.sample_rate)?;
        if !(3..=frame.fft_size().min(MAX_BINS)).contains(&self.num_bins) {
            let expected = "3 to the length of the Fourier transform, at most 1,024";
            return Err(AudioError::config("num_bins", self.num_bins, expected));
        }
        Ok(())
    }
}

/// Settings of the filter-bank features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FbankConfig {
    /// Cutting and windowing of frames.
    pub frame: FrameConfig,
    /// Mel filters.
    pub mel: MelBankConfig,
    /// Adds the log energy as the first value (the last one under `htk_compat`). Default: false.
    pub use_energy: bool,
    /// Energy before pre-emphasis and window. Default: true.
    pub raw_energy: bool,
    /// Least energy, 0 for none. Default: 0.
    pub energy_floor: f32,
    /// HTK's order of values. Default: false.
    pub htk_compat: bool,
    /// Natural logarithm of the filter outputs. Default: true.
    pub use_log: bool,
    /// Filters the power spectrum, not the magnitudes. Default: true.
    pub use_power: bool,
}

impl Default for FbankConfig {
    fn default() -> Self {
        Self {
            frame: FrameConfig::default(),
            mel: MelBankConfig::default(),
            use_energy: false,
            raw_energy: true,
            energy_floor: 0.0,
            htk_compat: false,
            use_log: true,
            use_power: true,
        }
    }
}

impl FbankConfig {
    /// Whether features can be made of these values.
    ///
    /// # Errors
    /// The first value out of its domain: its name, and what is allowed.
    pub fn validate(&self) -> Result<(), AudioError> {
        self.frame.validate()?;
        self.mel.validate(&self.frame)?;
        check_not_negative("energy_floor", self.energy_floor)
    }
}

/// Settings of the cepstral features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MfccConfig {
    /// Cutting and windowing of frames.
    pub frame: FrameConfig,
    /// Mel filters. Default: 23 of them.
    pub mel: MelBankConfig,
    /// Number of coefficients, with the zeroth. Default: 13.
    pub num_ceps: usize,
    /// Log energy in place of the zeroth coefficient. Default: true.
    pub use_energy: bool,
    /// Energy before pre-emphasis and window. Default: true.
    pub raw_energy: bool,
    /// Least energy, 0 for none. Default: 0.
    pub energy_floor: f32,
    /// Scale of the liftering `1 + Q/2·sin(πi/Q)`, 0 for none. Default: 22.
    pub cepstral_lifter: f32,
    /// HTK's order and scale of the zeroth coefficient. Default: false.
    pub htk_compat: bool,
}

impl Default for MfccConfig {
    fn default() -> Self {
        Self {
            frame: FrameConfig::default(),
            mel: MelBankConfig { num_bins: 23, ..MelBankConfig::default() },
            num_ceps: 13,
            use_energy: true,
            raw_energy: true,
            energy_floor: 0.0,
            cepstral_lifter: 22.0,
            htk_compat: false,
        }
    }
}

impl MfccConfig {
    /// Whether features can be made of these values.
    ///
    /// # Errors
    /// The first value out of its domain: its name, and what is allowed.
    pub fn validate(&self) -> Result<(), AudioError> {
        self.frame.validate()?;
        self.mel.validate(&self.frame)?;
        if !(1..=self.mel.num_bins).contains(&self.num_ceps) {
            return Err(AudioError::config("num_ceps", self.num_ceps, "1 to num_bins"));
        }
        check_not_negative("energy_floor", self.energy_floor)?;
        check_not_negative("cepstral_lifter", self.cepstral_lifter)
    }
}

fn check_not_negative(field: &'static str, value: f32) -> Result<(), AudioError> {
    if value >= 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(AudioError::config(field, value, "0 or a positive number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_of(result: Result<(), AudioError>) -> &'static str {
        match result {
            Err(AudioError::InvalidConfig { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_number_out_of_its_domain_is_named() {
        FbankConfig::default().validate().unwrap();
        MfccConfig::default().validate().unwrap();
        let frame = |frame| FbankConfig { frame, ..FbankConfig::default() }.validate();
        let default = FrameConfig::default;
        for rate in [0, 1, 999, 768_001, u32::MAX] {
            assert_eq!(field_of(frame(FrameConfig { sample_rate: rate, ..default() })), "sample_rate");
        }
        for ms in [0.0, -1.0, 1e-9, 1e9, f64::MAX, f64::INFINITY, f64::NAN] {
            assert_eq!(field_of(frame(FrameConfig { length_ms: ms, ..default() })), "length_ms");
            assert_eq!(field_of(frame(FrameConfig { shift_ms: ms, ..default() })), "shift_ms");
        }
        for x in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1e30] {
            assert_eq!(field_of(frame(FrameConfig { input_scale: x, ..default() })), "input_scale");
            assert_eq!(field_of(frame(FrameConfig { dither: x, ..default() })), "dither");
            assert_eq!(field_of(frame(FrameConfig { pre_emphasis: x, ..default() })), "pre_emphasis");
            let bad = FbankConfig { energy_floor: x, ..FbankConfig::default() };
            assert_eq!(field_of(bad.validate()), "energy_floor");
            let bad = MfccConfig { cepstral_lifter: x, ..MfccConfig::default() };
            assert_eq!(field_of(bad.validate()), "cepstral_lifter");
        }
        let mel = |num_bins, low_hz, high_hz| {
            let mel = MelBankConfig { num_bins, low_hz, high_hz };
            field_of(MfccConfig { mel, ..MfccConfig::default() }.validate())
        };
        for bins in [0, 2, 513, 1 << 40, usize::MAX] {
            assert_eq!(mel(bins, 20.0, 0.0), "num_bins");
        }
        for (low, high) in [(-1.0, 0.0), (20.0, 20.0), (20.0, 8_001.0), (f64::NAN, 0.0), (0.0, f64::NAN)] {
            assert_eq!(mel(23, low, high), "low_hz, high_hz");
        }
        for num_ceps in [0, 24, usize::MAX] {
            assert_eq!(field_of(MfccConfig { num_ceps, ..MfccConfig::default() }.validate()), "num_ceps");
        }
    }
}
