//! Weights as safetensors: named tensors and a string map that says what they are.
//!
//! Loading never executes anything and never trusts a size it was not given by the buffer.

use crate::params::NamedTensors;
use burn::tensor::{DType, TensorData, f16};
use safetensors::tensor::{Dtype, SafeTensors};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

mod matrices;

pub use matrices::MatrixWriter;

/// What stands beside the tensors: configuration, vocabulary, licence, provenance.
pub type Metadata = BTreeMap<String, String>;

/// Why weights could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The bytes are not a safetensors file, or a damaged one.
    #[error("not a safetensors file, or a damaged one ({0}); copy or download it again")]
    Format(#[from] safetensors::SafeTensorError),
    /// A tensor has a type that a model cannot use.
    #[error("tensor `{name}` has type {dtype}; only f32 and f16 weights are read")]
    Type {
        /// Its name.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// The bytes could not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// How values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Exactly.
    F32,
    /// Rounded to half precision: half the size, about three decimal digits.
    F16,
}

/// The safetensors bytes of named tensors, in the order of their names.
pub fn to_bytes(
    tensors: &NamedTensors,
    metadata: &Metadata,
    precision: Precision,
) -> Result<Vec<u8>, WeightsError> {
    let mut bytes = Vec::new();
    write_to(&mut bytes, tensors, metadata, precision)?;
    Ok(bytes)
}

/// Writes what [`to_bytes`] gives, tensor by tensor: no second copy of the weights is made.
///
/// # Errors
/// What the writer says; a tensor that holds no floating-point numbers.
pub fn write_to<'t, N: AsRef<str> + 't>(
    out: impl Write,
    tensors: impl IntoIterator<Item = (N, &'t TensorData), IntoIter: Clone>,
    metadata: &Metadata,
    precision: Precision,
) -> Result<(), WeightsError> {
    let tensors = tensors.into_iter();
    let (dtype, width) = match precision {
        Precision::F32 => ("F32", 4),
        Precision::F16 => ("F16", 2),
    };
    // The header is written here and not by safetensors, whose map of metadata comes in the order of
    // a hash seed: the same weights must be the same bytes.
    let mut header = serde_json::Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), serde_json::json!(metadata));
    }
    let mut start = 0;
    for (name, data) in tensors.clone() {
        let (shape, end) = (data.shape().to_vec(), start + width * data.num_elements());
        let entry = serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] });
        header.insert(name.as_ref().to_string(), entry);
        start = end;
    }
    let mut header = serde_json::Value::Object(header).to_string();
    // The data begins at a multiple of 8 bytes.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let mut out = BufWriter::with_capacity(1 << 18, out);
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    for (name, data) in tensors {
        for value in f32_values(name.as_ref(), data)?.iter() {
            match precision {
                Precision::F32 => out.write_all(&value.to_le_bytes())?,
                Precision::F16 => out.write_all(&f16::from_f32(*value).to_le_bytes())?,
            }
        }
    }
    Ok(out.flush()?)
}

/// The tensors and the metadata of safetensors bytes; half precision is widened to f32.
pub fn from_bytes(bytes: &[u8]) -> Result<(NamedTensors, Metadata), WeightsError> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let metadata =
        header.metadata().as_ref().map(|m| m.iter().map(|(k, v)| (k.clone(), v.clone())).collect());
    let file = SafeTensors::deserialize(bytes)?;
    let mut tensors = NamedTensors::new();
    for (name, view) in file.iter() {
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => view.data().as_chunks::<4>().0.iter().map(|c| f32::from_le_bytes(*c)).collect(),
            Dtype::F16 => {
                view.data().as_chunks::<2>().0.iter().map(|c| f16::from_le_bytes(*c).to_f32()).collect()
            }
            Dtype::F64 => {
                view.data().as_chunks::<8>().0.iter().map(|c| f64::from_le_bytes(*c) as f32).collect()
            }
            other => return Err(WeightsError::Type { name: name.to_string(), dtype: format!("{other:?}") }),
        };
        tensors.insert(name.to_string(), TensorData::new(values, view.shape().to_vec()));
    }
    Ok((tensors, metadata.unwrap_or_default()))
}

/// How the values of safetensors bytes are stored: in half precision if any are.
///
/// # Errors
/// Bytes that are no safetensors file.
pub fn precision(bytes: &[u8]) -> Result<Precision, WeightsError> {
    let file = SafeTensors::deserialize(bytes)?;
    let half = file.iter().any(|(_, view)| view.dtype() == Dtype::F16);
    Ok(if half { Precision::F16 } else { Precision::F32 })
}

fn f32_values<'d>(name: &str, data: &'d TensorData) -> Result<Cow<'d, [f32]>, WeightsError> {
    let fail = || WeightsError::Type { name: name.to_string(), dtype: format!("{:?}", data.dtype()) };
    match data.dtype() {
        DType::F32 => data.as_slice::<f32>().map(Cow::Borrowed).map_err(|_| fail()),
        _ => data.clone().convert::<f32>().try_to_vec::<f32>().map(Cow::Owned).map_err(|_| fail()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (NamedTensors, Metadata) {
        let mut tensors = NamedTensors::new();
        tensors.insert("b.weight".into(), TensorData::new(vec![1.5f32, -0.25, f32::MIN_POSITIVE], [3, 1]));
        tensors.insert("a".into(), TensorData::new(vec![0.1f32], [1]));
        let fields = [("licence", "CC BY 4.0"), ("kind", "a \"b\""), ("config", "{}"), ("format", "1")];
        (tensors, fields.map(|(name, value)| (name.to_string(), value.to_string())).into())
    }

    #[test]
    fn round_trip_is_bit_exact_in_f32_and_rounded_in_f16() {
        let (tensors, metadata) = sample();
        let bytes = to_bytes(&tensors, &metadata, Precision::F32).unwrap();
        // Several fields of metadata: each call would have its own order of a hash map.
        assert!((0..8).all(|_| bytes == to_bytes(&tensors, &metadata, Precision::F32).unwrap()));
        let (back, meta) = from_bytes(&bytes).unwrap();
        assert_eq!(meta, metadata);
        for (name, data) in &tensors {
            assert_eq!(back[name].try_to_vec::<f32>().unwrap(), data.try_to_vec::<f32>().unwrap());
            assert_eq!(back[name].shape(), data.shape());
        }
        let half = to_bytes(&tensors, &metadata, Precision::F16).unwrap();
        assert_eq!((precision(&bytes).unwrap(), precision(&half).unwrap()), (Precision::F32, Precision::F16));
        let (half, _) = from_bytes(&half).unwrap();
        assert!((half["a"].try_to_vec::<f32>().unwrap()[0] - 0.1).abs() < 1e-4);
    }

    #[test]
    fn damaged_bytes_are_an_error() {
        let (tensors, metadata) = sample();
        let bytes = to_bytes(&tensors, &metadata, Precision::F32).unwrap();
        for cut in 0..bytes.len() {
            assert!(from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut lying = bytes.clone();
        lying[0..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(from_bytes(&lying).is_err());
    }
}
