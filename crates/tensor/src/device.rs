//! Devices by name.

use burn::tensor::Device;

use crate::npu::session::{self, Mode, Session};

/// A device name that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceError {
    /// The name follows no known pattern.
    #[error(
        "unknown device {name:?}: use \"cpu\", \"cuda:0\", \"rocm:0\", \"wgpu\", \"metal\", \"npu:sim:910b3\" or \"npu:ascend:0\""
    )]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The name is understood, but this program was built without that backend.
    #[error("device {name:?} is not in this build: build with `--features {feature}`, or use \"cpu\"")]
    NotBuilt {
        /// What was asked for.
        name: String,
        /// The cargo feature that adds it.
        feature: &'static str,
    },
    /// The NPU is unknown or not there.
    #[error("device {name:?}: {why}")]
    Npu {
        /// What was asked for.
        name: String,
        /// What is wrong.
        why: String,
    },
}

/// The device called `name`, without automatic differentiation (see [`Device::autodiff`]).
///
/// Names: `cpu`; with the cargo feature of that name `cuda[:index]`, `rocm[:index]`, `wgpu`, `metal`; `npu:sim:<description>`
/// (simulated, see [`crate::npu::spec`]) and `npu:ascend:<index>`.
///
/// An NPU is chosen for the whole process, until this function is asked for another device: tensors stay on the
/// host, and [`crate::ops`] computes on the device what it can (see [`crate::npu::session`]).
///
/// # Errors
/// [`DeviceError`] where the name is unknown or its backend is not in this build.
pub fn device(name: &str) -> Result<Device, DeviceError> {
    let unknown = || DeviceError::Unknown { name: name.to_owned() };
    if let Some(npu) = name.strip_prefix("npu:") {
        let opened = Session::open(npu, Mode::Execute);
        let why =
            |error: session::SessionError| DeviceError::Npu { name: name.to_owned(), why: error.to_string() };
        session::choose(Some(opened.map_err(why)?));
        return Ok(Device::flex());
    }
    let device = plain_device(name, unknown)?;
    session::choose(None);
    Ok(device)
}

/// Whether tensors of the device are in the memory of the host and computed by this crate's kernels.
pub fn is_cpu(device: &Device) -> bool {
    device.clone().without_autodiff() == Device::flex()
}

fn plain_device(name: &str, unknown: impl Fn() -> DeviceError) -> Result<Device, DeviceError> {
    let (kind, index) = match name.split_once(':') {
        Some((kind, index)) => (kind, Some(index.parse::<usize>().map_err(|_| unknown())?)),
        None => (name, None),
    };
    match (kind, index) {
        ("cpu", None) => Ok(Device::flex()),
        ("cuda", index) => cuda(name, index.unwrap_or(0)),
        ("rocm", index) => rocm(name, index.unwrap_or(0)),
        ("wgpu", None) => wgpu(name),
        ("metal", None) => metal(name),
        _ => Err(unknown()),
    }
}

#[cfg(feature = "cuda")]
fn cuda(_name: &str, index: usize) -> Result<Device, DeviceError> {
    Ok(Device::cuda(index))
}

#[cfg(not(feature = "cuda"))]
fn cuda(name: &str, _index: usize) -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt { name: name.to_owned(), feature: "cuda" })
}

#[cfg(feature = "rocm")]
fn rocm(_name: &str, index: usize) -> Result<Device, DeviceError> {
    Ok(Device::rocm(index))
}

#[cfg(not(feature = "rocm"))]
fn rocm(name: &str, _index: usize) -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt { name: name.to_owned(), feature: "rocm" })
}

#[cfg(feature = "wgpu")]
fn wgpu(_name: &str) -> Result<Device, DeviceError> {
    Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice))
}

#[cfg(not(feature = "wgpu"))]
fn wgpu(name: &str) -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt { name: name.to_owned(), feature: "wgpu" })
}

#[cfg(feature = "metal")]
fn metal(_name: &str) -> Result<Device, DeviceError> {
    Ok(Device::metal(burn::tensor::DeviceKind::DefaultDevice))
}

#[cfg(not(feature = "metal"))]
fn metal(name: &str) -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt { name: name.to_owned(), feature: "metal" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood_or_explained() {
        assert!(device("cpu").is_ok_and(|cpu| is_cpu(&cpu) && is_cpu(&cpu.autodiff())));
        for wrong in ["", "gpu", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "wgpu:1", "metal:0", "npu"] {
            assert_eq!(device(wrong), Err(DeviceError::Unknown { name: wrong.to_owned() }));
        }
        for wrong in
            ["npu:", "npu:sim", "npu:sim:910z", "npu:sim:910a:bf16", "npu:ascend:x", "npu:sim:910b3:int4"]
        {
            let error = device(wrong).unwrap_err();
            assert!(matches!(error, DeviceError::Npu { .. }) && error.to_string().contains(wrong), "{error}");
        }
        if !cfg!(feature = "cuda") {
            let message = device("cuda:1").unwrap_err().to_string();
            assert!(message.contains("cuda:1") && message.contains("--features cuda"), "{message}");
        }
    }
}
