//! From power spectra to features: mel filters, logarithm, cosine transform
//! (Kaldi's mel-computations.cc, feature-fbank.cc, feature-mfcc.cc).

use std::f64::consts::PI;

use super::frames::Framing;
use super::{FbankConfig, MelBankConfig, MfccConfig};
use crate::dsp::{Lanes, SparseFilters, fast_ln};
use crate::error::AudioError;

/// Which signal the log energy is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Energy {
    None,
    /// Before pre-emphasis and window.
    Raw,
    /// After them.
    Windowed,
}

/// The log energy and its floor.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogEnergy {
    energy: Energy,
    log_floor: f32,
}

impl LogEnergy {
    /// A floor of 0 is none.
    pub(super) fn new(use_energy: bool, raw_energy: bool, floor: f32) -> Result<Self, AudioError> {
        if !(floor >= 0.0 && floor.is_finite()) {
            return Err(AudioError::config("energy_floor", floor, "0 or a positive number"));
        }
        let energy = match (use_energy, raw_energy) {
            (false, _) => Energy::None,
            (true, true) => Energy::Raw,
            (true, false) => Energy::Windowed,
        };
        let log_floor = if floor > 0.0 { floor.ln() } else { f32::NEG_INFINITY };
        Ok(Self { energy, log_floor })
    }
}

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
    pub(super) fn fbank(
        config: &FbankConfig,
        framing: &Framing,
        energy: LogEnergy,
    ) -> Result<Self, AudioError> {
        let &FbankConfig { use_log, use_power, htk_compat, .. } = config;
        let filters = mel_filters(&config.mel, framing)?;
        Ok(Self { filters, use_power, energy, htk_compat, kind: Kind::Fbank { use_log } })
    }

    pub(super) fn mfcc(
        config: &MfccConfig,
        framing: &Framing,
        energy: LogEnergy,
    ) -> Result<Self, AudioError> {
        let &MfccConfig { num_ceps, cepstral_lifter, htk_compat, .. } = config;
        let filters = mel_filters(&config.mel, framing)?;
        let num_bins = filters.len();
        if num_ceps == 0 || num_ceps > num_bins {
            return Err(AudioError::config("num_ceps", num_ceps, "1 to num_bins"));
        }
        if !(cepstral_lifter >= 0.0 && cepstral_lifter.is_finite()) {
            return Err(AudioError::config("cepstral_lifter", cepstral_lifter, "0 or a positive number"));
        }
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
        self.energy.energy
    }

    pub(super) fn num_bands(&self) -> usize {
        self.filters.len()
    }

    pub(super) fn num_features(&self) -> usize {
        match &self.kind {
            Kind::Fbank { .. } => self.filters.len() + usize::from(self.has_energy()),
            Kind::Mfcc { transform } => transform.len(),
        }
    }

    fn has_energy(&self) -> bool {
        self.energy.energy != Energy::None
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
        let log_energy = energy.map(|e| e.max(f32::EPSILON).ln().max(self.energy.log_floor));
        match &self.kind {
            Kind::Fbank { .. } => {
                let energy_first = usize::from(self.has_energy() && !self.htk_compat);
                for (feature, band) in features.iter_mut().skip(energy_first).zip(bands.iter()) {
                    *feature = *band;
                }
                if self.has_energy() {
                    let position = if self.htk_compat { bands.len() } else { 0 };
                    features[position] = log_energy;
                }
            }
            Kind::Mfcc { transform } => {
                transform.apply(bands, features);
                if self.has_energy() {
                    features[0] = log_energy;
                }
                if self.htk_compat {
                    if !self.has_energy() {
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
fn mel_filters(config: &MelBankConfig, framing: &Framing) -> Result<SparseFilters, AudioError> {
    let &MelBankConfig { num_bins, low_hz, high_hz } = config;
    let sample_rate = f64::from(framing.config().sample_rate);
    let nyquist_hz = sample_rate / 2.0;
    let high_hz = if high_hz > 0.0 { high_hz } else { nyquist_hz + high_hz };
    if !(0.0 <= low_hz && low_hz < high_hz && high_hz <= nyquist_hz) {
        let value = format!("{low_hz} to {high_hz}");
        return Err(AudioError::config("low_hz, high_hz", value, "0 ≤ low_hz < high_hz ≤ sample_rate/2"));
    }
    if !(3..=framing.plan.fft_size()).contains(&num_bins) {
        return Err(AudioError::config("num_bins", num_bins, "3 to the length of the Fourier transform"));
    }
    let (low, high) = (mel_from_hz(low_hz), mel_from_hz(high_hz));
    let step = (high - low) / (num_bins + 1) as f64;
    let bin_hz = sample_rate / framing.plan.fft_size() as f64;
    Ok(SparseFilters::from_dense((0..num_bins).map(|band| {
        let left = low + band as f64 * step;
        let weight = |bin: usize| {
            let mel = mel_from_hz(bin as f64 * bin_hz);
            ((mel - left) / step).min((left + 2.0 * step - mel) / step).max(0.0) as f32
        };
        (0..framing.plan.fft_size() / 2).map(weight).collect()
    })))
}
