//! Tensors of PyTorch checkpoints, read without executing anything.
//!
//! A checkpoint is a *pickle*: a program for a stack machine that may name any Python function and
//! call it. The machine here knows containers, numbers, strings and tensors; every other name
//! becomes an inert object, and calling one makes another inert object. Only `state_dict` is read.
//!
//! Both layouts are read: the zip archive of PyTorch 1.6 and later, and the older plain stream.

mod archive;
mod pickle;

use auricle_io::Budget;
use pickle::{Machine, Node, NodeId};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A tensor's values, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct StateTensor {
    /// Sizes.
    pub shape: Vec<usize>,
    /// Values; whole numbers and half precision are converted.
    pub data: Vec<f32>,
}

/// Why a checkpoint could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PytorchError {
    /// The file could not be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not a checkpoint that is understood.
    #[error("{path} is no readable PyTorch checkpoint: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The tensors take far more memory than the file.
    #[error(
        "{path} holds {file_bytes} bytes, but its tensors up to `{tensor}` take {needed_bytes}, more than the limit \
         of {limit_bytes}: too many of them share their numbers, or the archive is compressed; save a copy of \
         each tensor, uncompressed, as PyTorch does"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The tensor that breaks the limit.
        tensor: String,
        /// Bytes of the file.
        file_bytes: u64,
        /// Bytes of numbers read and of tensors made, this one included.
        needed_bytes: u64,
        /// Sixteen times the file.
        limit_bytes: u64,
    },
}

/// Memory that tensors may take in multiples of their file: widened to f32, bytes are four times as large,
/// and every number is held twice, as stored and in its tensor; that leaves room for shared weights.
const MAX_EXPANSION: u64 = 16;
/// Files below this size are treated as if they had it.
const SMALL_FILE_BYTES: u64 = 1 << 20;

/// What the objects of a pickle may take beside a multiple of the file.
const OBJECT_BYTES: u64 = 32 << 20;
/// What each byte of the file may take as an object: an opcode of one byte makes one of some hundred.
const OBJECT_EXPANSION: u64 = 256;
/// The largest model of the field has some hundred thousand objects.
const MAX_OBJECT_BYTES: u64 = 1 << 30;

/// Reads the tensors of a checkpoint's `state_dict`, or of a plain dictionary of tensors.
///
/// The objects of the pickle take at most 32 MiB and 256 times the file, and never more than 1 GiB; the numbers of
/// the tensors sixteen times the file. An optimiser's state is skipped.
///
/// # Errors
/// No checkpoint, a damaged one, one without tensors, tensors beyond their stored values, or tensors that
/// share them so often that they take many times the memory of the file.
pub fn read_state_dict(path: &Path) -> Result<BTreeMap<String, StateTensor>, PytorchError> {
    let format = |reason: String| PytorchError::Format { path: path.to_owned(), reason };
    let io = |source| PytorchError::Io { path: path.to_owned(), source };
    let mut file = std::fs::File::open(path).map_err(io)?;
    let file_bytes = file.metadata().map_err(io)?.len();
    let object_bytes = OBJECT_EXPANSION.saturating_mul(file_bytes).saturating_add(OBJECT_BYTES);
    let budget = Budget::new("the objects of the checkpoint", object_bytes.min(MAX_OBJECT_BYTES));
    let mut checkpoint = archive::open(&mut file, budget).map_err(format)?;
    let wanted = state_dict(&checkpoint.machine, checkpoint.root).map_err(format)?;
    let limit_bytes = MAX_EXPANSION * file_bytes.max(SMALL_FILE_BYTES);
    let mut needed_bytes = 0u64;
    let mut spend = |tensor: &str, numbers: usize| {
        needed_bytes = needed_bytes.saturating_add((numbers as u64).saturating_mul(size_of::<f32>() as u64));
        if needed_bytes <= limit_bytes {
            return Ok(());
        }
        let (path, tensor) = (path.to_owned(), tensor.to_owned());
        Err(PytorchError::TooLarge { path, tensor, file_bytes, needed_bytes, limit_bytes })
    };
    let mut tensors = BTreeMap::new();
    let mut last: Option<(Storage, Vec<f32>)> = None;
    for (name, view) in wanted {
        let values = match last.take().filter(|(storage, _)| *storage == view.storage) {
            Some((_, values)) => values,
            None => {
                spend(&name, view.storage.length)?;
                checkpoint.read_storage(&view.storage).map_err(format)?
            }
        };
        spend(&name, view.shape.iter().fold(1, |n: usize, &size| n.saturating_mul(size)).min(values.len()))?;
        let tensor = view.gather(&values).map_err(|reason| format(format!("tensor `{name}`: {reason}")))?;
        tensors.insert(name, tensor);
        last = Some((view.storage, values));
    }
    Ok(tensors)
}

/// The stored values that a tensor looks at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Storage {
    key: String,
    kind: Kind,
    length: usize,
}

/// Number formats of storages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
}

impl Kind {
    /// By PyTorch's name of the storage class.
    fn from_name(name: &str) -> Option<Self> {
        Some(match name.strip_prefix("torch ")? {
            "DoubleStorage" => Self::F64,
            "FloatStorage" => Self::F32,
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::Bf16,
            "LongStorage" => Self::I64,
            "IntStorage" => Self::I32,
            "ShortStorage" => Self::I16,
            "CharStorage" => Self::I8,
            "ByteStorage" | "BoolStorage" => Self::U8,
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 => 1,
        }
    }

    /// Little-endian values.
    fn values(self, bytes: &[u8]) -> Vec<f32> {
        use burn::tensor::{bf16, f16};
        fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
            bytes.as_chunks::<N>().0.iter().map(|chunk| value(*chunk)).collect()
        }
        match self {
            Self::F64 => each(bytes, |b| f64::from_le_bytes(b) as f32),
            Self::F32 => each(bytes, f32::from_le_bytes),
            Self::F16 => each(bytes, |b| f16::from_le_bytes(b).to_f32()),
            Self::Bf16 => each(bytes, |b| bf16::from_le_bytes(b).to_f32()),
            Self::I64 => each(bytes, |b| i64::from_le_bytes(b) as f32),
            Self::I32 => each(bytes, |b| i32::from_le_bytes(b) as f32),
            Self::I16 => each(bytes, |b| f32::from(i16::from_le_bytes(b))),
            Self::I8 => each(bytes, |b: [u8; 1]| f32::from(b[0].cast_signed())),
            Self::U8 => each(bytes, |b: [u8; 1]| f32::from(b[0])),
        }
    }
}

/// A tensor: sizes and strides over a storage.
#[derive(Debug, Clone, PartialEq)]
struct View {
    storage: Storage,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl View {
    /// The values, row by row.
    fn gather(&self, values: &[f32]) -> Result<StateTensor, String> {
        let overflow = || "sizes beyond memory".to_string();
        let count =
            self.shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size)).ok_or_else(overflow)?;
        // An expanded view could claim any size over a few stored values.
        if count > values.len() || self.shape.len() != self.strides.len() {
            return Err(format!("{:?} values over {} stored ones", self.shape, values.len()));
        }
        let mut data = Vec::with_capacity(count);
        let mut position = vec![0; self.shape.len()];
        for _ in 0..count {
            let index = position
                .iter()
                .zip(&self.strides)
                .try_fold(self.offset, |at, (&p, &stride)| at.checked_add(stride.checked_mul(p)?))
                .ok_or_else(overflow)?;
            data.push(*values.get(index).ok_or_else(|| format!("value {index} of {}", values.len()))?);
            for (p, &size) in position.iter_mut().zip(&self.shape).rev() {
                *p += 1;
                if *p < size {
                    break;
                }
                *p = 0;
            }
        }
        Ok(StateTensor { shape: self.shape.clone(), data })
    }
}

/// The tensors of `root["state_dict"]`, or of `root` itself.
fn state_dict(machine: &Machine, root: NodeId) -> Result<Vec<(String, View)>, String> {
    let entries = |id: NodeId| match machine.node(id) {
        Node::Dict(entries) => entries.as_slice(),
        _ => &[],
    };
    let text = |id: NodeId| match machine.node(id) {
        Node::Text(text) => Some(text.as_str()),
        _ => None,
    };
    let inner = entries(root).iter().rev().find(|(key, _)| text(*key) == Some("state_dict"));
    // By name, the last one of equal names: nothing is copied as often as it is named.
    let mut tensors = BTreeMap::new();
    for &(key, value) in entries(inner.map_or(root, |&(_, value)| value)) {
        if let (Some(name), Node::Tensor(view)) = (text(key), machine.node(value)) {
            tensors.insert(name, view);
        }
    }
    if tensors.is_empty() {
        return Err("it has no `state_dict` with tensors".into());
    }
    let mut tensors: Vec<_> =
        tensors.into_iter().map(|(name, view)| (name.to_owned(), view.clone())).collect();
    // Those of one storage after one another, so that it is read once.
    tensors.sort_by(|(_, a), (_, b)| a.storage.cmp(&b.storage));
    Ok(tensors)
}
