//! The settings of the front end, and which of them are possible.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::dsp::{MAX_BINS, MAX_FFT_SIZE, MAX_FRAMES_PER_SEC, check_band};
use crate::error::AudioError;
use crate::time::check_rate;

/// Factors beyond this are a mistaken unit.
const MAX_GAIN: f32 = 1e6;

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
///
/// Deserialising checks the values, so that no part of a program meets a distance of 0 samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", default, deny_unknown_fields)]
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
    /// Whether a front end can be made of these values, within memory and time that do not depend on them.
    ///
    /// # Errors
    /// The first value out of its domain: its name, and what is allowed.
    pub fn validate(&self) -> Result<(), AudioError> {
        let &Self { sample_rate, num_bins, fft_size, window_samples, hop_samples, low_hz, high_hz, .. } =
            self;
        check_rate("sample_rate", sample_rate)?;
        if fft_size < 2 || fft_size % 2 == 1 || fft_size > MAX_FFT_SIZE {
            return Err(AudioError::config("fft_size", fft_size, "an even number from 2 to 65,536"));
        }
        if window_samples < 2 || window_samples > fft_size {
            return Err(AudioError::config("window_samples", window_samples, "2 to fft_size"));
        }
        // More frames than this would take more memory than the signal many times over.
        let least_hop = (sample_rate / MAX_FRAMES_PER_SEC).max(1) as usize;
        if hop_samples < least_hop || hop_samples > window_samples {
            let expected = "up to window_samples, and at most 1,000 frames a second";
            return Err(AudioError::config("hop_samples", hop_samples, expected));
        }
        if num_bins == 0 || num_bins > fft_size.min(MAX_BINS) {
            return Err(AudioError::config("num_bins", num_bins, "1 to fft_size, at most 1,024"));
        }
        check_band(low_hz, high_hz, sample_rate)?;
        if !(self.log_offset >= f32::MIN_POSITIVE && self.log_offset.is_finite()) {
            return Err(AudioError::config("log_offset", self.log_offset, "a positive normal number"));
        }
        if !(0.0..=1.0).contains(&self.pre_emphasis) {
            return Err(AudioError::config("pre_emphasis", self.pre_emphasis, "0 to 1"));
        }
        if !(0.0..=MAX_GAIN).contains(&self.dither) {
            return Err(AudioError::config("dither", self.dither, "0 to 1,000,000"));
        }
        if let PeakNorm::Fixed(gain) = self.peak
            && !(gain > 0.0 && gain <= MAX_GAIN)
        {
            return Err(AudioError::config("peak", gain, "a gain above 0, up to 1,000,000"));
        }
        if let FeatureNorm::Fixed { mean, std } = &self.norm {
            if mean.len() != num_bins || std.len() != num_bins {
                let value = format!("{} means, {} deviations", mean.len(), std.len());
                return Err(AudioError::config("norm", value, "num_bins values each"));
            }
            if let Some(bad) = mean.iter().find(|x| !x.is_finite()) {
                return Err(AudioError::config("norm.mean", bad, "finite numbers"));
            }
            if let Some(bad) = std.iter().find(|x| !(x.is_finite() && **x >= 0.0)) {
                return Err(AudioError::config("norm.std", bad, "finite numbers, none below 0"));
            }
        }
        Ok(())
    }

    /// Frames of a signal of `secs` seconds: one every `hop_samples`, the last one begun counts.
    pub fn num_frames_from_secs(&self, secs: f64) -> usize {
        let frames = secs * f64::from(self.sample_rate) / self.hop_samples.max(1) as f64;
        (frames - 1e-6).max(0.0).ceil() as usize
    }
}

impl Serialize for MelConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for MelConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let config = Self::deserialize(deserializer)?;
        config.validate().map_err(D::Error::custom)?;
        Ok(config)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut MelConfig)) -> Result<(), AudioError> {
        let mut config = MelConfig::default();
        change(&mut config);
        config.validate()
    }

    #[test]
    fn every_number_out_of_its_domain_is_named() {
        assert!(with(|_| ()).is_ok());
        for count in [0, 1 << 17, 1 << 40, usize::MAX] {
            for (name, result) in [
                ("fft_size", with(|c| c.fft_size = count)),
                ("window_samples", with(|c| c.window_samples = count)),
                ("hop_samples", with(|c| c.hop_samples = count)),
                ("num_bins", with(|c| c.num_bins = count)),
                (
                    "sample_rate",
                    with(|c| c.sample_rate = u32::try_from(count).unwrap_or(u32::MAX).wrapping_mul(9)),
                ),
            ] {
                let Err(AudioError::InvalidConfig { field, .. }) = result else { panic!("{name} = {count}") };
                assert_eq!(field, name, "{count}");
            }
        }
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e300] {
            assert!(with(|c| c.low_hz = x).is_err(), "{x}");
            assert!(with(|c| c.high_hz = x).is_err(), "{x}");
            let x = x as f32;
            assert!(with(|c| c.pre_emphasis = x).is_err(), "{x}");
            assert!(with(|c| c.dither = x).is_err(), "{x}");
            assert!(with(|c| c.log_offset = x).is_err(), "{x}");
            assert!(with(|c| c.peak = PeakNorm::Fixed(x)).is_err(), "{x}");
            let fixed = |mean, std| FeatureNorm::Fixed { mean: vec![mean; 128], std: vec![std; 128] };
            assert!(with(|c| c.norm = fixed(0.0, x)).is_err(), "{x}");
            assert!(x == -1.0 || with(|c| c.norm = fixed(x, 1.0)).is_err(), "{x}");
        }
        // Filters without width would divide by 0.
        assert!(with(|c| (c.low_hz, c.high_hz) = (7_999.999_999_999, 8_000.0)).is_err());
        assert!(with(|c| c.norm = FeatureNorm::Fixed { mean: vec![0.0], std: vec![1.0; 128] }).is_err());
        // One sample a frame.
        assert!(with(|c| c.hop_samples = 1).is_err());
    }

    #[test]
    fn a_file_cannot_bring_in_what_construction_refuses() {
        let read = |json: &str| serde_json::from_str::<MelConfig>(json);
        let config = read(r#"{"num_bins": 80, "peak": {"fixed": 1.0}}"#).unwrap();
        assert_eq!((config.num_bins, config.hop_samples), (80, 160));
        let again = serde_json::to_string(&config).unwrap();
        assert_eq!(read(&again).unwrap(), config);
        let error = read(r#"{"hop_samples": 0}"#).unwrap_err().to_string();
        assert!(error.contains("hop_samples = 0 is invalid"), "{error}");
        let error = read(r#"{"hop": 1}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `hop`"), "{error}");
    }
}
