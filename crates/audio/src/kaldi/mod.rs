//! Kaldi-compatible log-mel filter banks and MFCC, offline and streaming.
//!
//! The numbers are those of Kaldi's `compute-fbank-feats` and `compute-mfcc-feats`
//! (feature-window.cc, feature-fbank.cc, feature-mfcc.cc, mel-computations.cc), checked against the
//! `kaldi-native-fbank` package.
//!
//! # Differences from Kaldi
//! - Samples are in [−1, 1]; [`FrameConfig::input_scale`] brings them to Kaldi's 16-bit range.
//! - Dither is off unless a random stream is given, and is drawn from that stream.
//! - There is no vocal tract length normalisation.

mod frames;
mod heads;
mod streaming;

use std::sync::Arc;

use auricle_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::error::{AudioError, check_finite};
use crate::mel::Features;
use frames::Framing;
use heads::{Head, LogEnergy};

pub use frames::{FrameConfig, WindowKind};
pub use streaming::{StreamingFbank, StreamingKaldi};

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

/// What both kinds of features share: frames in, features out.
struct Analysis {
    framing: Framing,
    head: Head,
}

impl Analysis {
    fn compute(&self, samples: &[f32], dither: Option<&mut Stream>) -> Result<Features, AudioError> {
        check_finite(samples, 0)?;
        let num_frames = self.framing.num_frames(samples.len());
        let mut data = Vec::with_capacity(num_frames * self.head.num_features());
        let mut scratch = self.scratch();
        scratch.append(self, samples, 0, 0..num_frames, samples.len(), dither, &mut data);
        Ok(Features::from_data(data, self.head.num_features()))
    }
}

/// Kaldi's log-mel filter-bank features. Immutable: one instance serves all threads.
#[derive(Clone)]
pub struct Fbank(Arc<Analysis>);

impl Fbank {
    /// Plans transforms and filters.
    ///
    /// # Errors
    /// A value out of its domain.
    pub fn new(config: &FbankConfig) -> Result<Self, AudioError> {
        let framing = Framing::new(&config.frame)?;
        let energy = LogEnergy::new(config.use_energy, config.raw_energy, config.energy_floor)?;
        let head = Head::fbank(config, &framing, energy)?;
        Ok(Self(Arc::new(Analysis { framing, head })))
    }

    /// Values per frame: the filters, and the energy if asked for.
    pub fn num_features(&self) -> usize {
        self.0.head.num_features()
    }

    /// Features `[T, F]` of samples `[S]`. A signal shorter than a window has no frames under `snip_edges`.
    ///
    /// # Errors
    /// NaN or infinite samples.
    pub fn compute(&self, samples: &[f32], dither: Option<&mut Stream>) -> Result<Features, AudioError> {
        self.0.compute(samples, dither)
    }

    /// The same features for a signal that arrives in pieces.
    pub fn streaming(&self) -> StreamingFbank {
        StreamingKaldi::new(Arc::clone(&self.0))
    }
}

/// Kaldi's mel-frequency cepstral coefficients. Immutable: one instance serves all threads.
#[derive(Clone)]
pub struct Mfcc(Arc<Analysis>);

impl Mfcc {
    /// Plans transforms, filters and the cosine transform.
    ///
    /// # Errors
    /// A value out of its domain.
    pub fn new(config: &MfccConfig) -> Result<Self, AudioError> {
        let framing = Framing::new(&config.frame)?;
        let energy = LogEnergy::new(config.use_energy, config.raw_energy, config.energy_floor)?;
        let head = Head::mfcc(config, &framing, energy)?;
        Ok(Self(Arc::new(Analysis { framing, head })))
    }

    /// Values per frame.
    pub fn num_features(&self) -> usize {
        self.0.head.num_features()
    }

    /// Features `[T, num_ceps]` of samples `[S]`.
    ///
    /// # Errors
    /// NaN or infinite samples.
    pub fn compute(&self, samples: &[f32], dither: Option<&mut Stream>) -> Result<Features, AudioError> {
        self.0.compute(samples, dither)
    }

    /// The same features for a signal that arrives in pieces.
    pub fn streaming(&self) -> StreamingKaldi {
        StreamingKaldi::new(Arc::clone(&self.0))
    }
}
