//! Golden files and development data, where they exist.

#[allow(dead_code)]
pub mod make;
#[allow(dead_code)]
pub mod peak;

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

/// A file below the crate's `tests` folder.
#[allow(dead_code)]
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// A folder named by an environment variable or else lying in `shared` beside the repository;
/// `None`, with a note, where there is neither.
#[allow(dead_code)]
pub fn optional_folder(variable: &str, shared_name: &str) -> Option<PathBuf> {
    let fallback = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(shared_name);
    let folder = std::env::var_os(variable).map_or_else(fallback, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: {} is not a folder (set {variable})", folder.display());
    None
}

#[allow(dead_code)]
pub struct Golden(Vec<u8>);

#[allow(dead_code)]
impl Golden {
    pub fn open(path: &Path) -> Self {
        Self(std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }

    /// Shape and values of a float32 tensor.
    pub fn f32(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let tensors = SafeTensors::deserialize(&self.0).unwrap();
        let view = tensors.tensor(name).unwrap();
        let values = view.data().as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        (view.shape().to_vec(), values)
    }

    /// Values of an int64 tensor.
    pub fn i64(&self, name: &str) -> Vec<i64> {
        let tensors = SafeTensors::deserialize(&self.0).unwrap();
        let view = tensors.tensor(name).unwrap();
        view.data().as_chunks::<8>().0.iter().map(|&b| i64::from_le_bytes(b)).collect()
    }
}

/// Largest absolute difference.
#[allow(dead_code)]
pub fn max_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    // `max` would swallow NaN.
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |m, d| if d <= m { m } else { d })
}
