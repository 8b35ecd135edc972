//! AscendCL, loaded at run time: nothing is linked, and a machine without it only learns what is missing.
//!
//! Names and signatures restate what the vendor documents; see [`library`] for where the libraries are looked for.
//! The binding is tested against a stub with the same names; on hardware it has not been run.
//!
//! # How it differs from the simulator
//! - Tensors are single precision in memory ([`Elem::F32`](crate::npu::tile::Elem)); `cubeMathType` 1 lets the cube round operands (to HF32 on
//!   910B, to half precision on older parts).
//! - Attention has no body yet: it is left to the CPU.
//! - Operations run on one stream, in order. Memory of an operation is given back after the next [`sync`](NpuRuntime::sync).

// A C interface: each use says why it is sound.
#![allow(unsafe_code)]

mod calls;
mod handles;
pub mod library;

use std::cell::RefCell;
use std::ffi::{CStr, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use library::{Api, Place};

use super::{Buffer, NpuRuntime, OpDesc, RuntimeError, RuntimeInfo};
use crate::npu::Basis;

/// Memory copies: host to device, device to host.
const H2D: i32 = 1;
const D2H: i32 = 2;
/// What `aclInit` says the second time in a process.
const REPEATED: i32 = 100_002;

/// Deliberate mistakes, with which tests show that the stub notices them.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// Leaves the device of a thread unset.
    UnsetDevice,
    /// Keeps tensor descriptors.
    LeakTensor,
    /// Gives row strides that are one too large.
    WrongStride,
    /// Copies results without waiting for them.
    MissingSync,
    /// Starts an executor a second time.
    ReuseExecutor,
}

/// A device behind AscendCL.
pub struct AscendRuntime {
    api: Api,
    index: i32,
    number: u64,
    title: String,
    /// Pointers as numbers: a stream belongs to the device, not to a thread.
    stream: usize,
    /// Workspaces of operations that may still run.
    pending: Mutex<Vec<usize>>,
    /// Something was started and not waited for with success.
    in_flight: AtomicBool,
    mutation: Option<Mutation>,
}

thread_local! {
    /// Runtimes whose device was set on this thread.
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

impl AscendRuntime {
    /// Device `index`, with the libraries of the usual places.
    pub fn open(index: i32) -> Result<Self, RuntimeError> {
        Self::open_at(&library::places(), index, None)
    }

    /// Device `index`, with the libraries of `places`.
    #[doc(hidden)]
    pub fn open_at(places: &[Place], index: i32, mutation: Option<Mutation>) -> Result<Self, RuntimeError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let api = Api::open(places)?;
        // SAFETY: a null path asks for the default configuration.
        let code = unsafe { (api.aclInit)(null()) };
        if code != REPEATED {
            check(&api, "aclInit", code)?;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut runtime = Self {
            api,
            index,
            number,
            title: String::new(),
            stream: 0,
            pending: Mutex::default(),
            in_flight: AtomicBool::new(false),
            mutation,
        };
        runtime.check_index()?;
        runtime.enter()?;
        let mut stream = null_mut();
        // SAFETY: the pointer is valid for the call, which writes a handle to it.
        let code = unsafe { (runtime.api.aclrtCreateStream)(&mut stream) };
        check(&runtime.api, "aclrtCreateStream", code)?;
        runtime.stream = stream as usize;
        // SAFETY: gives null or a string that lives as long as the library.
        let name = unsafe { text((runtime.api.aclrtGetSocName)()) };
        runtime.title = if name.is_empty() { "unnamed device".into() } else { name };
        Ok(runtime)
    }

    fn check_index(&self) -> Result<(), RuntimeError> {
        let mut count = 0u32;
        // SAFETY: the pointer is valid for the call.
        let code = unsafe { (self.api.aclrtGetDeviceCount)(&mut count) };
        check(&self.api, "aclrtGetDeviceCount", code)?;
        if u32::try_from(self.index).is_ok_and(|index| index < count) {
            return Ok(());
        }
        Err(RuntimeError::Missing(format!("there is no NPU {}: AscendCL counts {count}", self.index)))
    }

    /// Makes the device that of this thread: the library keeps it for every thread apart.
    fn enter(&self) -> Result<(), RuntimeError> {
        if self.mutation == Some(Mutation::UnsetDevice)
            || ENTERED.with_borrow(|entered| entered.last() == Some(&self.number))
        {
            return Ok(());
        }
        // SAFETY: takes a number.
        self.check("aclrtSetDevice", unsafe { (self.api.aclrtSetDevice)(self.index) })?;
        ENTERED.with_borrow_mut(|entered| *entered = vec![self.number]);
        Ok(())
    }

    fn check(&self, call: &str, code: i32) -> Result<(), RuntimeError> {
        check(&self.api, call, code)
    }

    fn malloc(&self, bytes: usize) -> Result<usize, RuntimeError> {
        let mut pointer = null_mut();
        // SAFETY: the pointer is valid for the call; policy 0 prefers large pages.
        let code = unsafe { (self.api.aclrtMalloc)(&mut pointer, bytes.max(32), 0) };
        self.check("aclrtMalloc", code)?;
        Ok(pointer as usize)
    }

    fn release(&self, pointer: usize) {
        // SAFETY: the pointer came from `malloc` and nobody uses it any more. A failure leaves nothing to do.
        unsafe { (self.api.aclrtFree)(pointer as *mut c_void) };
    }

    fn copy(&self, to: usize, from: usize, bytes: usize, kind: i32) -> Result<(), RuntimeError> {
        self.enter()?;
        // SAFETY: both sides have `bytes` bytes: callers compared them with the buffer and the slice.
        let code =
            unsafe { (self.api.aclrtMemcpy)(to as *mut c_void, bytes, from as *const c_void, bytes, kind) };
        self.check(
            if kind == H2D { "aclrtMemcpy to the device" } else { "aclrtMemcpy from the device" },
            code,
        )
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, Vec<usize>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for what was started, then gives its workspaces back.
    fn wait(&self) -> Result<(), RuntimeError> {
        // SAFETY: the stream lives as long as the runtime.
        let code = unsafe { (self.api.aclrtSynchronizeStream)(self.stream as *mut c_void) };
        self.check("aclrtSynchronizeStream", code)?;
        self.in_flight.store(false, Ordering::Relaxed);
        self.release_pending();
        Ok(())
    }

    fn release_pending(&self) {
        let pending = std::mem::take(&mut *self.pending());
        pending.into_iter().for_each(|pointer| self.release(pointer));
    }
}

/// A C string, or nothing.
///
/// # Safety
/// The pointer is null or points to a string that ends with 0 and lives during the call.
unsafe fn text(pointer: *const std::ffi::c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: see above.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

fn check(api: &Api, call: &str, code: i32) -> Result<(), RuntimeError> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: gives null or a string that lives until the next call of this thread.
    let message = unsafe { text((api.aclGetRecentErrMsg)()) };
    Err(RuntimeError::Call { call: call.to_owned(), code, message })
}

impl Drop for AscendRuntime {
    fn drop(&mut self) {
        if self.enter().is_err() || self.stream == 0 {
            return;
        }
        // What may still run after two waits that failed keeps its memory and its stream.
        if self.wait().is_err() && self.wait().is_err() {
            return;
        }
        // SAFETY: the stream came from `aclrtCreateStream`; it is not used after this.
        unsafe { (self.api.aclrtDestroyStream)(self.stream as *mut c_void) };
    }
}

impl NpuRuntime for AscendRuntime {
    fn info(&self) -> RuntimeInfo {
        RuntimeInfo {
            name: format!("ascend:{}", self.index),
            title: self.title.clone(),
            basis: Basis::Measured,
        }
    }

    fn pads_alike(&self) -> bool {
        true
    }

    fn alloc(&self, bytes: usize) -> Result<Buffer, RuntimeError> {
        self.enter()?;
        Ok(Buffer { id: self.malloc(bytes)? as u64, bytes })
    }

    fn free(&self, buffer: Buffer) {
        // Something may still run after an error; where it cannot be waited for, it keeps its memory.
        if self.in_flight.load(Ordering::Relaxed) && self.sync().is_err() {
            return;
        }
        self.release(buffer.id as usize);
    }

    fn h2d(&self, to: Buffer, words: &[u16]) -> Result<(), RuntimeError> {
        if size_of_val(words) > to.bytes {
            return Err(RuntimeError::Buffer(format!("{} bytes into {}", size_of_val(words), to.bytes)));
        }
        self.copy(to.id as usize, words.as_ptr() as usize, size_of_val(words), H2D)
    }

    fn d2h(&self, from: Buffer, words: &mut [u16]) -> Result<(), RuntimeError> {
        if size_of_val(words) > from.bytes {
            return Err(RuntimeError::Buffer(format!("{} bytes from {}", size_of_val(words), from.bytes)));
        }
        self.copy(words.as_mut_ptr() as usize, from.id as usize, size_of_val(words), D2H)
    }

    fn launch(&self, op: &OpDesc, tensors: &[Buffer]) -> Result<(), RuntimeError> {
        self.enter()?;
        calls::launch(self, op, tensors)
    }

    fn sync(&self) -> Result<(), RuntimeError> {
        if self.mutation == Some(Mutation::MissingSync) {
            return Ok(());
        }
        self.enter()?;
        self.wait()
    }
}
