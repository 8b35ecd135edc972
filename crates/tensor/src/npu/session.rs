//! The NPU that this process computes on.
//!
//! burn's list of devices is closed: a tensor cannot say that it is on an NPU. So the choice is one for the whole process:
//! after [`crate::device()`] was asked for `npu:…`, tensors still live on the host (as those of `cpu` do), and every
//! operation of [`crate::ops`] that has an NPU body copies its operands to the device, runs there and copies its results
//! back. Operations without a body, and plain tensor arithmetic of burn, stay on the CPU. Asking for another
//! device ends it; the last choice holds, for all threads.
//!
//! Operands of matrix products are rounded to the session's type on their way to the device; results, and
//! everything else, are single precision.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::runtime::ascend::AscendRuntime;
use super::runtime::sim::SimRuntime;
use super::runtime::{Held, NpuRuntime, OpDesc, RuntimeError};
use super::spec::{DeviceSpec, SpecError, names};
use super::tile::Elem;
use super::tile::exec::{decode, encode};

/// A device that cannot be chosen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The name follows no known pattern.
    #[error("unknown NPU {name:?}: use \"npu:sim:<{}>[:fp16|bf16]\" or \"npu:ascend:<index>\"", names().join("|"))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The cube of the device does not multiply the type.
    #[error("{device} multiplies no bf16; use \":fp16\"")]
    Type {
        /// The device.
        device: String,
    },
    /// The description cannot be used.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The device cannot be opened.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// What an operation does with the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Operations run on the device.
    Execute,
    /// Operations are written down, and computed on the CPU.
    Record,
}

/// How often an operation was asked for.
#[derive(Debug, Clone)]
pub struct Record {
    /// The operation.
    pub op: OpDesc,
    /// How often.
    pub count: usize,
    /// Why the device did not run it, if it did not.
    pub refused: Option<String>,
}

/// A chosen device.
pub struct Session {
    runtime: Arc<dyn NpuRuntime>,
    /// Type of the operands of matrix products.
    elem: Elem,
    mode: Mode,
    records: Mutex<Records>,
    failed: AtomicBool,
}

#[derive(Default)]
struct Records {
    /// In the order of their first appearance.
    list: Vec<Record>,
    index: BTreeMap<String, usize>,
}

static CHOSEN: RwLock<Option<Arc<Session>>> = RwLock::new(None);
/// Whether any session was chosen: saves a lock for every operation of those who have none.
static ANY: AtomicBool = AtomicBool::new(false);

/// The session of this process.
pub fn current() -> Option<Arc<Session>> {
    if !ANY.load(Ordering::Acquire) {
        return None;
    }
    CHOSEN.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Chooses a session for this process, or none.
pub fn choose(session: Option<Arc<Session>>) {
    let mut chosen = CHOSEN.write().unwrap_or_else(PoisonError::into_inner);
    ANY.store(session.is_some(), Ordering::Release);
    *chosen = session;
}

impl Session {
    /// The device called `name`: what follows `npu:` in `npu:sim:910b3`, `npu:sim:910a:fp16`, `npu:ascend:0`.
    ///
    /// # Errors
    /// [`SessionError`] where the name is unknown or the device is not there.
    pub fn open(name: &str, mode: Mode) -> Result<Arc<Self>, SessionError> {
        let unknown = || SessionError::Unknown { name: name.to_owned() };
        let parts: Vec<&str> = name.split(':').collect();
        match parts.as_slice() {
            ["sim", device, rest @ ..] => {
                let spec = DeviceSpec::named(device)?;
                let elem = match rest {
                    [] if spec.bf16 => Elem::Bf16,
                    [] | ["fp16"] => Elem::F16,
                    ["bf16"] if spec.bf16 => Elem::Bf16,
                    ["bf16"] => return Err(SessionError::Type { device: spec.name }),
                    _ => return Err(unknown()),
                };
                Ok(Self::new(Arc::new(SimRuntime::new(spec)), elem, mode))
            }
            ["ascend", index] => {
                let index = index.parse().map_err(|_| unknown())?;
                Ok(Self::new(Arc::new(AscendRuntime::open(index)?), Elem::F32, mode))
            }
            _ => Err(unknown()),
        }
    }

    /// A session on a runtime; `elem` is the type of the operands of matrix products.
    pub fn new(runtime: Arc<dyn NpuRuntime>, elem: Elem, mode: Mode) -> Arc<Self> {
        Arc::new(Self { runtime, elem, mode, records: Mutex::default(), failed: AtomicBool::new(false) })
    }

    /// The device.
    pub fn runtime(&self) -> &dyn NpuRuntime {
        &*self.runtime
    }

    /// Type of the operands of matrix products.
    pub fn elem(&self) -> Elem {
        self.elem
    }

    /// What was asked for since the session began or was last asked, in the order of its first appearance.
    pub fn take_records(&self) -> Vec<Record> {
        std::mem::take(&mut *self.locked()).list
    }

    fn locked(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, op: &OpDesc, refused: Option<String>) {
        let mut records = self.locked();
        let key = format!("{op:?}");
        if let Some(&at) = records.index.get(&key) {
            records.list[at].count += 1;
            return;
        }
        let at = records.list.len();
        records.index.insert(key, at);
        records.list.push(Record { op: *op, count: 1, refused });
    }

    /// Writes down operations that are to follow one whose results they need, where nothing runs.
    pub(crate) fn expect(&self, ops: &[OpDesc]) {
        if self.mode == Mode::Execute {
            return;
        }
        for op in ops {
            let refused = self.runtime.timeline(op).and_then(Result::err).map(|error| error.to_string());
            self.note(op, refused);
        }
    }

    /// The outputs of an operation; none where the CPU is to compute them.
    ///
    /// A device that fails is left for the rest of the process, with a message: the CPU goes on.
    pub fn run(&self, op: &OpDesc, inputs: &[&[f32]]) -> Option<Vec<Vec<f32>>> {
        if self.failed.load(Ordering::Relaxed) {
            return None;
        }
        if self.mode == Mode::Record {
            self.expect(&[*op]);
            return None;
        }
        match self.execute(op, inputs) {
            Ok(outputs) => {
                self.note(op, None);
                Some(outputs)
            }
            Err(error @ (RuntimeError::Kernel(_) | RuntimeError::Unsupported { .. })) => {
                self.note(op, Some(error.to_string()));
                None
            }
            Err(error) => {
                self.failed.store(true, Ordering::Relaxed);
                eprintln!("warning: {}: {error}; going on with the CPU", self.runtime.info().name);
                None
            }
        }
    }

    fn execute(&self, op: &OpDesc, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>, RuntimeError> {
        let slots = op.signature();
        let runtime = self.runtime();
        let held: Vec<Held<'_>> = slots
            .iter()
            .map(|slot| Held::new(runtime, slot.len * slot.elem.bytes()))
            .collect::<Result<_, _>>()?;
        let mut words = Vec::new();
        let mut given = inputs.iter();
        for (slot, held) in slots.iter().zip(&held).filter(|(slot, _)| !slot.output) {
            let input = given.next().filter(|input| input.len() == slot.len);
            let input = input.ok_or_else(|| RuntimeError::Buffer(format!("wrong operands of {op:?}")))?;
            words.clear();
            words.resize(slot.len * slot.elem.words(), 0);
            encode(input, slot.elem, &mut words);
            runtime.h2d(held.buffer, &words)?;
        }
        let buffers: Vec<_> = held.iter().map(|held| held.buffer).collect();
        runtime.launch(op, &buffers)?;
        runtime.sync()?;
        let outputs = slots.iter().zip(&held).filter(|(slot, _)| slot.output);
        outputs
            .map(|(slot, held)| {
                words.clear();
                words.resize(slot.len * slot.elem.words(), 0);
                runtime.d2h(held.buffer, &mut words)?;
                let mut values = vec![0.0; slot.len];
                decode(&words, slot.elem, &mut values);
                Ok(values)
            })
            .collect()
    }
}
