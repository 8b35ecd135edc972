//! Kernels for neural processing units of the Da Vinci family (Ascend), and an honest stand-in for the hardware.
//!
//! | layer | what it is |
//! |---|---|
//! | [`spec`] | device descriptions; every number with its source and confidence |
//! | [`tile`] | instructions, an executor that computes and checks, a scheduler that counts cycles |
//! | [`kernels`] | tile programs, forward and backward, of the operations of the models |
//! | [`runtime`] | one interface to a device: the simulator, or AscendCL loaded at run time |
//! | [`session`] | the device chosen for this process (`npu:sim:910b3`, `npu:ascend:0`) |
//! | [`profile`] | modelled times of the operations of a step |
//! | `ops` | the bodies that [`crate::ops`] takes while such a device is chosen |
//!
//! No such device was at hand when this was written. Results come from the functional executor, times
//! from a model: every figure that is printed carries its [`Basis`].

pub mod kernels;
pub(crate) mod ops;
pub mod profile;
pub mod runtime;
pub mod session;
pub mod spec;
pub mod tile;

/// Where a figure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// Timed by this program on the hardware named beside it.
    Measured,
    /// Stated by others about hardware; the source stands beside it.
    Published,
    /// Computed by this program's model of a device.
    Modelled,
}

impl std::fmt::Display for Basis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Measured => "measured",
            Self::Published => "published",
            Self::Modelled => "modelled",
        })
    }
}
