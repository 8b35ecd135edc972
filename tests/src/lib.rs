//! Helpers of the whole-program tests.

pub mod browser;
pub mod cut;
pub mod program;
pub mod published;
pub mod server;
pub mod sounds;

use burn::tensor::TensorData;
use safetensors::tensor::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The golden directory: `$AURICLE_GOLDEN`, else the committed subset.
pub fn golden_dir() -> PathBuf {
    std::env::var_os("AURICLE_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("golden"), PathBuf::from)
}

/// A golden file: floating-point tensors as f64 values with their shapes, integers apart.
#[derive(Debug)]
pub struct Golden {
    /// Its path, for messages.
    pub path: PathBuf,
    floats: BTreeMap<String, (Vec<f64>, Vec<usize>)>,
    integers: BTreeMap<String, (Vec<i64>, Vec<usize>)>,
}

impl Golden {
    /// Reads a file.
    ///
    /// # Panics
    /// Where it is not a readable safetensors file: a golden file that cannot be read is a failure.
    #[allow(clippy::unwrap_used, clippy::panic)]
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let file = SafeTensors::deserialize(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (mut floats, mut integers) = (BTreeMap::new(), BTreeMap::new());
        for (name, view) in file.iter() {
            let (data, shape) = (view.data(), view.shape().to_vec());
            match view.dtype() {
                Dtype::F32 => {
                    let values =
                        data.as_chunks::<4>().0.iter().map(|c| f64::from(f32::from_le_bytes(*c))).collect();
                    floats.insert(name.to_string(), (values, shape));
                }
                Dtype::F64 => {
                    let values = data.as_chunks::<8>().0.iter().map(|c| f64::from_le_bytes(*c)).collect();
                    floats.insert(name.to_string(), (values, shape));
                }
                Dtype::I64 => {
                    let values = data.as_chunks::<8>().0.iter().map(|c| i64::from_le_bytes(*c)).collect();
                    integers.insert(name.to_string(), (values, shape));
                }
                // Masks that were drawn: the masked features themselves are what is compared.
                Dtype::BOOL => {}
                other => panic!("{}: {name} has type {other:?}", path.display()),
            }
        }
        Self { path: path.to_path_buf(), floats, integers }
    }

    /// Names of floating-point tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.floats.keys().map(String::as_str)
    }

    /// A floating-point tensor: values and shape, where it is there.
    pub fn get(&self, name: &str) -> Option<(&[f64], &[usize])> {
        self.floats.get(name).map(|(values, shape)| (values.as_slice(), shape.as_slice()))
    }

    /// A floating-point tensor.
    ///
    /// # Panics
    /// Where it is missing.
    #[allow(clippy::panic)]
    pub fn floats(&self, name: &str) -> (&[f64], &[usize]) {
        self.get(name).unwrap_or_else(|| panic!("{}: no tensor {name}", self.path.display()))
    }

    /// An integer tensor.
    ///
    /// # Panics
    /// Where it is missing.
    #[allow(clippy::panic)]
    pub fn integers(&self, name: &str) -> (&[i64], &[usize]) {
        let (values, shape) =
            self.integers.get(name).unwrap_or_else(|| panic!("{}: no integers {name}", self.path.display()));
        (values, shape)
    }

    /// A floating-point tensor in single precision.
    pub fn tensor(&self, name: &str) -> TensorData {
        let (values, shape) = self.floats(name);
        TensorData::new(values.iter().map(|&v| v as f32).collect::<Vec<_>>(), shape.to_vec())
    }

    /// All floating-point tensors whose names start with a prefix, without it.
    pub fn tensors(&self, prefix: &str) -> auricle_nn::params::NamedTensors {
        self.names().filter_map(|n| Some((n.strip_prefix(prefix)?.to_string(), self.tensor(n)))).collect()
    }
}

/// Channels-first `[B, C, T]` values as frames-first `[B, T, C]`.
pub fn frames_first(values: &[f64], shape: &[usize]) -> Vec<f32> {
    let [batch, channels, frames] = shape else { return Vec::new() };
    let mut out = Vec::with_capacity(values.len());
    for b in 0..*batch {
        for t in 0..*frames {
            out.extend((0..*channels).map(|c| values[(b * channels + c) * frames + t] as f32));
        }
    }
    out
}
