//! From power spectra to features: mel filters, logarithm, cosine transform
//! (Kaldi's mel-computations.cc, feature-fbank.cc, feature-mfcc.cc).

use std::f64::consts::PI;

use super::config::{FbankConfig, FrameConfig, MelBankConfig, MfccConfig};
use super::energy::{Energy, LogEnergy};
use crate::dsp::{Lanes, SparseFilters, fast_ln};
use crate::error::AudioError;

enum Kind {
    Fbank {
        use_log: bool,
    },
    /// Rows of the cosine transform with the lifter multiplied in.
    Mfcc {
        transform: SparseFilters,
    },
}

pub(super) struct Head {
    filters: SparseFilters,
    use_power: bool,
    energy: LogEnergy,
    htk_compat: bool,
    kind: Kind,
}

impl Head {
    /// The settings have been validated.
    pub(super) fn fbank(config: &FbankConfig) -> Result<Self, AudioError> {
        let &FbankConfig { use_log, use_power, htk_compat, .. } = config;
        let filters = mel_filters(&config.mel, &config.frame);
        let energy = LogEnergy::new(config.use_energy, config.raw_energy, config.energy_floor)?;
        Ok(Self { filters, use_power, energy, htk_compat, kind: Kind::Fbank { use_log } })
    }

    /// The settings have been validated.
    pub(super) fn mfcc(config: &MfccConfig) -> Result<Self, AudioError> {
        let &MfccConfig { num_ceps, cepstral_lifter, htk_compat, .. } = config;
        let filters = mel_filters(&config.mel, &config.frame);
        let energy = LogEnergy::new(config.use_energy, config.raw_energy, config.energy_floor)?;
        let num_bins = filters.len();
        let q = f64::from(cepstral_lifter);
        let row = |k: usize| {
            let lifter = if q > 0.0 { 1.0 + 0.5 * q * (PI * k as f64 / q).sin() } else { 1.0 };
            let norm = (if k == 0 { 1.0 } else { 2.0 } / num_bins as f64).sqrt();
            (0..num_bins)
                .map(|n| (lifter * norm * (PI / num_bins as f64 * (n as f64 + 0.5) * k as f64).cos()) as f32)
                .collect()
        };
        let transform = SparseFilters::from_dense((0..num_ceps).map(row));
        Ok(Self { filters, use_power: true, energy, htk_compat, kind: Kind::Mfcc { transform } })
    }

    pub(super) fn energy(&self) -> Energy {
        self.energy.stage()
    }

    pub(super) fn num_bands(&self) -> usize {
        self.filters.len()
    }

    pub(super) fn num_features(&self) -> usize {
        match &self.kind {
            Kind::Fbank { .. } => self.filters.len() + usize::from(self.energy.is_used()),
            Kind::Mfcc { transform } => transform.len(),
        }
    }

    /// `[bin][lane]` power spectra and energies `Σx²` to `[feature][lane]`; `power` is overwritten.
    pub(super) fn apply(
        &self,
        power: &mut [Lanes],
        energy: &Lanes,
        bands: &mut [Lanes],
        features: &mut [Lanes],
    ) {
        if !self.use_power {
            for value in power.as_flattened_mut() {
                *value = value.sqrt();
            }
        }
        self.filters.apply(power, bands);
        let use_log = !matches!(self.kind, Kind::Fbank { use_log: false });
        if use_log {
            for value in bands.as_flattened_mut() {
                *value = fast_ln(value.max(f32::EPSILON));
            }
        }
        let log_energy = self.energy.log(energy);
        match &self.kind {
            Kind::Fbank { .. } => {
                let energy_first = usize::from(self.energy.is_used() && !self.htk_compat);
                for (feature, band) in features.iter_mut().skip(energy_first).zip(bands.iter()) {
                    *feature = *band;
                }
                if self.energy.is_used() {
                    let position = if self.htk_compat { bands.len() } else { 0 };
                    features[position] = log_energy;
                }
            }
            Kind::Mfcc { transform } => {
                transform.apply(bands, features);
                if self.energy.is_used() {
                    features[0] = log_energy;
                }
                if self.htk_compat {
                    if !self.energy.is_used() {
                        features[0] = features[0].map(|c| c * std::f32::consts::SQRT_2);
                    }
                    features.rotate_left(1);
                }
            }
        }
    }
}

fn mel_from_hz(hz: f64) -> f64 {
    1127.0 * (1.0 + hz / 700.0).ln()
}

/// Triangles in the mel domain with height 1, on all bins below half the sampling rate.
fn mel_filters(config: &MelBankConfig, frame: &FrameConfig) -> SparseFilters {
    let (low_hz, high_hz) = config.band_hz(frame.sample_rate);
    let (low, high) = (mel_from_hz(low_hz), mel_from_hz(high_hz));
    let step = (high - low) / (config.num_bins + 1) as f64;
    let bin_hz = f64::from(frame.sample_rate) / frame.fft_size() as f64;
    SparseFilters::from_dense((0..config.num_bins).map(|band| {
        let left = low + band as f64 * step;
        let weight = |bin: usize| {
            let mel = mel_from_hz(bin as f64 * bin_hz);
            ((mel - left) / step).min((left + 2.0 * step - mel) / step).max(0.0) as f32
        };
        (0..frame.fft_size() / 2).map(weight).collect()
    }))
}
