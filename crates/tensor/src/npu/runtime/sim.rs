//! The simulator: tile programs computed on the host, times modelled.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Buffer, NpuRuntime, OpDesc, RuntimeError, RuntimeInfo};
use crate::npu::Basis;
use crate::npu::spec::DeviceSpec;
use crate::npu::tile::{self, Order, Program, Role, Timeline, time};

/// A device that is only described. Operations run when they are launched.
pub struct SimRuntime {
    spec: DeviceSpec,
    memory: Mutex<HashMap<u64, Vec<u16>>>,
    programs: Mutex<HashMap<String, Arc<Program>>>,
    timelines: Mutex<HashMap<String, Arc<Timeline>>>,
    next: AtomicU64,
}

impl SimRuntime {
    /// A device of this description, with empty memory.
    pub fn new(spec: DeviceSpec) -> Self {
        Self {
            spec,
            memory: Mutex::default(),
            programs: Mutex::default(),
            timelines: Mutex::default(),
            next: AtomicU64::new(1),
        }
    }

    /// The description.
    pub fn spec(&self) -> &DeviceSpec {
        &self.spec
    }

    /// Buffers that were not given back.
    pub fn live(&self) -> usize {
        locked(&self.memory).len()
    }

    /// The program of an operation, built once.
    pub fn program(&self, op: &OpDesc) -> Result<Arc<Program>, RuntimeError> {
        let key = format!("{op:?}");
        if let Some(program) = locked(&self.programs).get(&key) {
            return Ok(program.clone());
        }
        let program = Arc::new(op.program(&self.spec)?);
        locked(&self.programs).insert(key, program.clone());
        Ok(program)
    }
}

/// The content, also where another thread stopped while it held the lock: every change is complete in itself.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unknown(buffer: Buffer) -> RuntimeError {
    RuntimeError::Buffer(format!("number {} of {} bytes is not of this device", buffer.id, buffer.bytes))
}

impl NpuRuntime for SimRuntime {
    fn info(&self) -> RuntimeInfo {
        RuntimeInfo {
            name: format!("sim:{}", self.spec.name),
            title: format!("{}, computed on the host", self.spec.title),
            basis: Basis::Modelled,
        }
    }

    fn alloc(&self, bytes: usize) -> Result<Buffer, RuntimeError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        locked(&self.memory).insert(id, vec![0xfeed; bytes.div_ceil(2)]);
        Ok(Buffer { id, bytes })
    }

    fn free(&self, buffer: Buffer) {
        locked(&self.memory).remove(&buffer.id);
    }

    fn h2d(&self, to: Buffer, words: &[u16]) -> Result<(), RuntimeError> {
        let mut memory = locked(&self.memory);
        let place = memory.get_mut(&to.id).and_then(|place| place.get_mut(..words.len()));
        place.ok_or_else(|| unknown(to))?.copy_from_slice(words);
        Ok(())
    }

    fn d2h(&self, from: Buffer, words: &mut [u16]) -> Result<(), RuntimeError> {
        let memory = locked(&self.memory);
        let place = memory.get(&from.id).and_then(|place| place.get(..words.len()));
        words.copy_from_slice(place.ok_or_else(|| unknown(from))?);
        Ok(())
    }

    fn launch(&self, op: &OpDesc, tensors: &[Buffer]) -> Result<(), RuntimeError> {
        let program = self.program(op)?;
        let mut buffers = tensors.iter();
        let mut arguments = Vec::new();
        for decl in &program.tensors {
            if decl.role == Role::Work {
                arguments.push(vec![0xfeed; decl.len * decl.elem.words()]);
                continue;
            }
            let missing = || RuntimeError::Buffer(format!("{} has no {}", program.name, decl.name));
            let buffer = *buffers.next().ok_or_else(missing)?;
            let words = locked(&self.memory).get(&buffer.id).cloned().ok_or_else(|| unknown(buffer))?;
            arguments.push(words);
        }
        let results = tile::run(&program, &self.spec, arguments, Order::Forward)?;
        let given = program.tensors.iter().zip(results).filter(|(decl, _)| decl.role != Role::Work);
        for ((decl, words), buffer) in given.zip(tensors) {
            if decl.role == Role::Output {
                locked(&self.memory).insert(buffer.id, words);
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), RuntimeError> {
        Ok(())
    }

    fn timeline(&self, op: &OpDesc) -> Option<Result<Arc<Timeline>, RuntimeError>> {
        let key = format!("{op:?}");
        if let Some(timeline) = locked(&self.timelines).get(&key) {
            return Some(Ok(timeline.clone()));
        }
        let timed = self.program(op).map(|program| Arc::new(time(&program, &self.spec, false)));
        if let Ok(timeline) = &timed {
            locked(&self.timelines).insert(key, timeline.clone());
        }
        Some(timed)
    }
}
