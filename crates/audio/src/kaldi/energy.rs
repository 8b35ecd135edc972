//! The log energy of a frame.

use crate::dsp::Lanes;
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
    pub(super) fn stage(&self) -> Energy {
        self.energy
    }

    pub(super) fn is_used(&self) -> bool {
        self.energy != Energy::None
    }

    /// The logarithm of energies `Σx²`, not below the floor.
    pub(super) fn log(&self, energy: &Lanes) -> Lanes {
        energy.map(|e| e.max(f32::EPSILON).ln().max(self.log_floor))
    }

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
