//! Device descriptions.
//!
//! A description is a TOML file of this folder's `devices/`; each number is a [`Fact`] with its source and how much it
//! can be trusted. Facts restate published numbers; no vendor file is copied.

use serde::Deserialize;

use super::Basis;

/// How much a number can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Stated by the source.
    Published,
    /// Computed from what the source states.
    Derived,
    /// Chosen so that the model meets published times (which are then no test of it).
    Calibrated,
    /// A guess in want of a source.
    Assumed,
}

impl Confidence {
    /// Whether others state the number, or the model brings it along.
    pub fn basis(self) -> Basis {
        match self {
            Self::Published => Basis::Published,
            Self::Derived | Self::Calibrated | Self::Assumed => Basis::Modelled,
        }
    }
}

impl std::fmt::Display for Confidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Published => "published",
            Self::Derived => "derived",
            Self::Calibrated => "calibrated",
            Self::Assumed => "assumed",
        })
    }
}

/// A number and where it comes from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// The number.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// How much it can be trusted.
    pub confidence: Confidence,
    /// Who says so, or why.
    pub source: String,
}

impl Fact {
    /// The number as a count.
    pub fn count(&self) -> usize {
        self.value as usize
    }
}

/// How cube and vector units are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// One core has both.
    Fused,
    /// Cube cores and vector cores are separate and exchange data through memory.
    Split,
}

/// A device of the family.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceSpec {
    /// Name in `npu:sim:<name>`.
    pub name: String,
    /// Name for people.
    pub title: String,
    /// Arrangement of the units.
    pub architecture: Architecture,
    /// Whether the cube multiplies bf16.
    pub bf16: bool,
    /// Counts and clock.
    pub cores: Cores,
    /// Sizes of the buffers of a core, bytes.
    pub buffers: Buffers,
    /// Memory shared by the cores.
    pub memory: Memory,
    /// Bytes per cycle and core.
    pub rates: Rates,
    /// Fixed costs.
    pub heads: Heads,
}

/// Counts and clock.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cores {
    /// Cube units; each multiplies 16×16 by 16×16 half-precision matrices every cycle.
    pub cube: Fact,
    /// Vector units.
    pub vector: Fact,
    /// Clock, Hz.
    pub clock: Fact,
    /// Single-precision lanes of a vector unit.
    pub vector_lanes: Fact,
}

/// Sizes of the buffers of a core, bytes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Buffers {
    /// Left operands of the cube.
    pub l0a: Fact,
    /// Right operands of the cube.
    pub l0b: Fact,
    /// Results of the cube, single precision.
    pub l0c: Fact,
    /// Staging of operands.
    pub l1: Fact,
    /// Operands of the vector unit.
    pub ub: Fact,
}

/// Memory shared by the cores.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Second-level cache, bytes.
    pub l2: Fact,
    /// Main memory, bytes.
    pub hbm: Fact,
    /// Main memory, bytes a second.
    pub hbm_rate: Fact,
    /// Second-level cache, bytes a second for all cores.
    pub l2_rate: Fact,
}

/// Bytes per cycle and core.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Memory to L1.
    pub gm_to_l1: Fact,
    /// Memory to UB.
    pub gm_to_ub: Fact,
    /// UB to memory.
    pub ub_to_gm: Fact,
    /// L0C to memory.
    pub l0c_to_gm: Fact,
    /// L1 to L0A.
    pub l1_to_l0a: Fact,
    /// L1 to L0B.
    pub l1_to_l0b: Fact,
}

/// Fixed costs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heads {
    /// Cycles of a matrix instruction beside its steps.
    pub mmad: Fact,
    /// Cycles of a transfer beside its bytes.
    pub transfer: Fact,
    /// Cycles of a vector instruction beside its elements.
    pub vector: Fact,
    /// Cycles of a flag inside a core.
    pub local_flag: Fact,
    /// Cycles of a flag between cores.
    pub core_flag: Fact,
    /// Seconds to start a program.
    pub launch: Fact,
}

/// A description that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// No description has this name.
    #[error("no NPU description {name:?}: known are {}", names().join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The file is not a description.
    #[error("NPU description: {0}")]
    Syntax(#[from] toml::de::Error),
    /// A number cannot be right.
    #[error("NPU description {device}: {what}")]
    Invalid {
        /// The description.
        device: String,
        /// What is wrong.
        what: String,
    },
}

const DEVICES: [(&str, &str); 7] = [
    ("310p3", include_str!("devices/310p3.toml")),
    ("910a", include_str!("devices/910a.toml")),
    ("910b1", include_str!("devices/910b1.toml")),
    ("910b2", include_str!("devices/910b2.toml")),
    ("910b3", include_str!("devices/910b3.toml")),
    ("910b4", include_str!("devices/910b4.toml")),
    ("910c-die", include_str!("devices/910c-die.toml")),
];

/// Names of the descriptions that come with the program.
pub fn names() -> Vec<&'static str> {
    DEVICES.iter().map(|(name, _)| *name).collect()
}

impl DeviceSpec {
    /// The description called `name`.
    pub fn named(name: &str) -> Result<Self, SpecError> {
        match DEVICES.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Self::parse(text),
            None => Err(SpecError::Unknown { name: name.to_owned() }),
        }
    }

    /// Reads and checks a description.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let spec: Self = toml::from_str(text)?;
        spec.validate()?;
        Ok(spec)
    }

    /// All numbers, by name.
    pub fn facts(&self) -> Vec<(&'static str, &Fact)> {
        let (c, b, m, r, h) = (&self.cores, &self.buffers, &self.memory, &self.rates, &self.heads);
        vec![
            ("cores.cube", &c.cube),
            ("cores.vector", &c.vector),
            ("cores.clock", &c.clock),
            ("cores.vector_lanes", &c.vector_lanes),
            ("buffers.l0a", &b.l0a),
            ("buffers.l0b", &b.l0b),
            ("buffers.l0c", &b.l0c),
            ("buffers.l1", &b.l1),
            ("buffers.ub", &b.ub),
            ("memory.l2", &m.l2),
            ("memory.hbm", &m.hbm),
            ("memory.hbm_rate", &m.hbm_rate),
            ("memory.l2_rate", &m.l2_rate),
            ("rates.gm_to_l1", &r.gm_to_l1),
            ("rates.gm_to_ub", &r.gm_to_ub),
            ("rates.ub_to_gm", &r.ub_to_gm),
            ("rates.l0c_to_gm", &r.l0c_to_gm),
            ("rates.l1_to_l0a", &r.l1_to_l0a),
            ("rates.l1_to_l0b", &r.l1_to_l0b),
            ("heads.mmad", &h.mmad),
            ("heads.transfer", &h.transfer),
            ("heads.vector", &h.vector),
            ("heads.local_flag", &h.local_flag),
            ("heads.core_flag", &h.core_flag),
            ("heads.launch", &h.launch),
        ]
    }

    fn validate(&self) -> Result<(), SpecError> {
        let invalid = |what: String| SpecError::Invalid { device: self.name.clone(), what };
        for (name, fact) in self.facts() {
            let whole = name.starts_with("cores") || name.starts_with("buffers");
            if !(fact.value.is_finite() && fact.value > 0.0) {
                return Err(invalid(format!("{name} is {}, which is no positive number", fact.value)));
            }
            if whole && fact.value.fract() != 0.0 {
                return Err(invalid(format!("{name} is {}, which is not whole", fact.value)));
            }
            if fact.source.trim().is_empty() {
                return Err(invalid(format!("{name} has no source")));
            }
        }
        for (name, fact) in self.facts().into_iter().filter(|(name, _)| name.starts_with("buffers")) {
            if !fact.count().is_multiple_of(512) {
                return Err(invalid(format!(
                    "{name} of {} bytes is no multiple of a 512-byte block",
                    fact.value
                )));
            }
        }
        if self.memory.l2_rate.value < self.memory.hbm_rate.value {
            return Err(invalid("memory.l2_rate is below memory.hbm_rate".into()));
        }
        if self.cores.clock.value < 1e8 || self.cores.clock.value > 1e10 {
            return Err(invalid(format!("cores.clock of {} Hz", self.cores.clock.value)));
        }
        Ok(())
    }

    /// Peak of the cube units, multiply-adds a second: cores · 16³ · clock.
    pub fn peak_macs(&self) -> f64 {
        self.cores.cube.value * 4096.0 * self.cores.clock.value
    }

    /// Seconds of a number of cycles.
    pub fn secs_from_cycles(&self, cycles: f64) -> f64 {
        cycles / self.cores.clock.value
    }
}
