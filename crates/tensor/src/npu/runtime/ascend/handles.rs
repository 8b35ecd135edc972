//! Descriptors of the library that are destroyed when they go out of use.

use std::ptr::null_mut;

use super::library::{Api, Handle};
use super::{AscendRuntime, Mutation};
use crate::npu::runtime::{Buffer, RuntimeError};

/// Single precision, and the formats "any" and "channels before frames".
const FLOAT: i32 = 0;
const ND: i32 = 2;
const NCL: i32 = 47;

/// How a tensor lies in a buffer: sizes and, in elements, distances.
#[derive(Debug, Clone)]
pub struct Layout {
    dims: Vec<i64>,
    strides: Vec<i64>,
    format: i32,
    len: usize,
}

impl Layout {
    /// Rows one after another.
    pub fn dense(dims: &[usize]) -> Self {
        let mut strides = vec![1i64; dims.len()];
        for i in (1..dims.len()).rev() {
            strides[i - 1] = strides[i] * dims[i] as i64;
        }
        let len = dims.iter().product();
        Self { dims: dims.iter().map(|&d| d as i64).collect(), strides, format: ND, len }
    }

    /// The same elements with dimensions `order[0]`, `order[1]`, … first; nothing moves.
    pub fn permuted(self, order: &[usize]) -> Self {
        let pick = |from: &[i64]| order.iter().map(|&i| from[i]).collect();
        Self { dims: pick(&self.dims), strides: pick(&self.strides), ..self }
    }

    /// As the operand of a convolution: batch, channels, frames.
    pub fn channels_first(self) -> Self {
        Self { format: NCL, ..self }
    }
}

enum Kind {
    Tensor,
    Scalar,
    Ints,
    Bools,
}

/// A descriptor.
pub struct Descriptor<'a> {
    api: &'a Api,
    kind: Kind,
    /// What the library knows it by.
    pub handle: Handle,
    leaked: bool,
}

impl<'a> Descriptor<'a> {
    fn new(api: &'a Api, kind: Kind, call: &str, handle: Handle) -> Result<Self, RuntimeError> {
        if handle.is_null() {
            super::check(api, call, -1)?;
        }
        Ok(Self { api, kind, handle, leaked: false })
    }

    /// A single-precision tensor in a buffer.
    pub fn tensor(runtime: &'a AscendRuntime, buffer: Buffer, layout: &Layout) -> Result<Self, RuntimeError> {
        if layout.len * 4 > buffer.bytes {
            return Err(RuntimeError::Buffer(format!("{:?} in {} bytes", layout.dims, buffer.bytes)));
        }
        let mut strides = layout.strides.clone();
        if runtime.mutation == Some(Mutation::WrongStride) && strides.len() > 1 {
            strides[0] += 1;
        }
        let (rank, storage) = (layout.dims.len() as u64, [layout.len as i64]);
        // SAFETY: the arrays have `rank` and one element and are read during the call; the data are a buffer of the
        // device that holds every element of the view.
        let handle = unsafe {
            (runtime.api.aclCreateTensor)(
                layout.dims.as_ptr(),
                rank,
                FLOAT,
                strides.as_ptr(),
                0,
                layout.format,
                storage.as_ptr(),
                1,
                buffer.id as Handle,
            )
        };
        let mut tensor = Self::new(&runtime.api, Kind::Tensor, "aclCreateTensor", handle)?;
        tensor.leaked = runtime.mutation == Some(Mutation::LeakTensor);
        Ok(tensor)
    }

    /// A single-precision number.
    pub fn scalar(api: &'a Api, mut value: f32) -> Result<Self, RuntimeError> {
        // SAFETY: the number is read during the call.
        let handle = unsafe { (api.aclCreateScalar)((&raw mut value).cast(), FLOAT) };
        Self::new(api, Kind::Scalar, "aclCreateScalar", handle)
    }

    /// Whole numbers.
    pub fn ints(api: &'a Api, values: &[usize]) -> Result<Self, RuntimeError> {
        let values: Vec<i64> = values.iter().map(|&v| v as i64).collect();
        // SAFETY: the array is read during the call.
        let handle = unsafe { (api.aclCreateIntArray)(values.as_ptr(), values.len() as u64) };
        Self::new(api, Kind::Ints, "aclCreateIntArray", handle)
    }

    /// Truth values.
    pub fn bools(api: &'a Api, values: &[bool]) -> Result<Self, RuntimeError> {
        // SAFETY: the array is read during the call.
        let handle = unsafe { (api.aclCreateBoolArray)(values.as_ptr(), values.len() as u64) };
        Self::new(api, Kind::Bools, "aclCreateBoolArray", handle)
    }
}

impl Drop for Descriptor<'_> {
    fn drop(&mut self) {
        if self.leaked {
            return;
        }
        let destroy = match self.kind {
            Kind::Tensor => self.api.aclDestroyTensor,
            Kind::Scalar => self.api.aclDestroyScalar,
            Kind::Ints => self.api.aclDestroyIntArray,
            Kind::Bools => self.api.aclDestroyBoolArray,
        };
        // SAFETY: the handle came from the function that belongs to this one, and is destroyed once.
        unsafe { destroy(std::mem::replace(&mut self.handle, null_mut())) };
    }
}
