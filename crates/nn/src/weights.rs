//! Weights as safetensors: named tensors and a string map that says what they are.
//!
//! Loading never executes anything and never trusts a size it was not given by the buffer. What was written here has a
//! [digest](Digest) in its metadata, which is checked on load.

use crate::params::NamedTensors;
use burn::tensor::{DType, TensorData, f16};
use safetensors::tensor::{Dtype, SafeTensors};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

mod digest;
mod matrices;
mod names;

use digest::DigestHash;
pub use digest::{Digest, seal};
pub use matrices::MatrixWriter;

/// Most bytes of a header. What it describes takes some times as much memory.
const MAX_HEADER_BYTES: u64 = 64 << 20;
/// Most sizes of a tensor.
const MAX_RANK: usize = 8;

/// What stands beside the tensors: configuration, vocabulary, licence, provenance.
pub type Metadata = BTreeMap<String, String>;

/// Why weights could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
    /// A header that is larger than any model's.
    #[error(
        "a header of {0} bytes; this limit of {MAX_HEADER_BYTES} guards against damaged and hostile files"
    )]
    Header(u64),
    /// A tensor of more dimensions than any layer has.
    #[error("tensor `{0}` has more than {MAX_RANK} dimensions")]
    Rank(String),
    /// The contents are not those that the digest was made of.
    #[error(
        "the weights are damaged, or were changed after they were written: their BLAKE3 is {found}, not {stored}; copy or download them again, or set AURICLE_SKIP_DIGEST=1 to use them all the same"
    )]
    Digest {
        /// What the metadata says.
        stored: String,
        /// What is there.
        found: String,
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
    let mut metadata = metadata.clone();
    metadata.insert(digest::FIELD.into(), digest_of(tensors.clone(), &metadata, precision, dtype, width)?);
    // The header is written here and not by safetensors, whose map of metadata comes in the order of
    // a hash seed: the same weights must be the same bytes.
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), serde_json::json!(metadata));
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
        each_value(name.as_ref(), data, precision, |bytes| out.write_all(bytes))?;
    }
    Ok(out.flush()?)
}

/// The digest of tensors as they are going to be written.
fn digest_of<'t, N: AsRef<str>>(
    tensors: impl Iterator<Item = (N, &'t TensorData)>,
    metadata: &Metadata,
    precision: Precision,
    dtype: &str,
    width: usize,
) -> Result<String, WeightsError> {
    let mut hash = DigestHash::default();
    let mut buffer = Vec::new();
    let mut tensors: Vec<(N, &TensorData)> = tensors.collect();
    tensors.sort_by(|(a, _), (b, _)| a.as_ref().cmp(b.as_ref()));
    for (name, data) in tensors {
        hash.tensor(name.as_ref(), dtype, &data.shape().to_vec(), width * data.num_elements());
        // Hashing is fast on many bytes at once only.
        each_value(name.as_ref(), data, precision, |bytes| {
            buffer.extend_from_slice(bytes);
            if buffer.len() >= 1 << 16 {
                hash.bytes(&buffer);
                buffer.clear();
            }
            Ok(())
        })?;
        hash.bytes(&buffer);
        buffer.clear();
    }
    Ok(hash.finish(metadata))
}

/// The stored bytes of every value of a tensor.
fn each_value(
    name: &str,
    data: &TensorData,
    precision: Precision,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), WeightsError> {
    for value in f32_values(name, data)?.iter() {
        match precision {
            Precision::F32 => take(&value.to_le_bytes())?,
            Precision::F16 => take(&f16::from_f32(*value).to_le_bytes())?,
        }
    }
    Ok(())
}

/// What stands before the tensors, checked.
struct Header {
    metadata: Metadata,
    described: safetensors::tensor::Metadata,
    /// Where the tensors begin.
    start: usize,
}

/// Name, type, sizes and bytes of a tensor.
type Stored<'b> = (String, String, Vec<usize>, &'b [u8]);

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, WeightsError> {
        if let Some((length, _)) = bytes.split_first_chunk::<8>() {
            let length = u64::from_le_bytes(*length);
            // One that is longer than the file is damaged, and that is said.
            if length > MAX_HEADER_BYTES && length <= bytes.len() as u64 {
                return Err(WeightsError::Header(length));
            }
        }
        // Sizes, offsets and the length of the file have to fit each other.
        let (length, described) = SafeTensors::read_metadata(bytes)?;
        let metadata = described.metadata().iter().flatten();
        let metadata = metadata.map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok(Self { metadata, described, start: 8 + length })
    }

    /// In the order of their names.
    fn tensors<'b>(&self, bytes: &'b [u8]) -> Result<Vec<Stored<'b>>, WeightsError> {
        let damaged = || WeightsError::Format(safetensors::SafeTensorError::MetadataIncompleteBuffer);
        let mut all = Vec::new();
        for (name, info) in self.described.tensors().into_iter().collect::<BTreeMap<_, _>>() {
            if info.shape.len() > MAX_RANK {
                return Err(WeightsError::Rank(name));
            }
            let (from, to) = info.data_offsets;
            let data = bytes.get(self.start..).and_then(|data| data.get(from..to)).ok_or_else(damaged)?;
            all.push((name, format!("{:?}", info.dtype), info.shape.clone(), data));
        }
        Ok(all)
    }
}

/// The tensors, under the names that they have today, and the metadata of safetensors bytes; half precision is
/// widened to f32.
///
/// # Errors
/// Bytes that are no safetensors file or not what their digest was made of; tensors that a model cannot use.
pub fn from_bytes(bytes: &[u8]) -> Result<(NamedTensors, Metadata), WeightsError> {
    let header = Header::read(bytes)?;
    let mut metadata = header.metadata.clone();
    let stored = metadata.remove(digest::FIELD);
    let mut hash = stored.is_some().then(DigestHash::default);
    let mut tensors = NamedTensors::new();
    for (name, dtype, shape, data) in header.tensors(bytes)? {
        if let Some(hash) = &mut hash {
            hash.tensor(&name, &dtype, &shape, data.len());
            hash.bytes(data);
        }
        let values: Vec<f32> = match dtype.as_str() {
            "F32" => data.as_chunks::<4>().0.iter().map(|c| f32::from_le_bytes(*c)).collect(),
            "F16" => data.as_chunks::<2>().0.iter().map(|c| f16::from_le_bytes(*c).to_f32()).collect(),
            "F64" => data.as_chunks::<8>().0.iter().map(|c| f64::from_le_bytes(*c) as f32).collect(),
            _ => return Err(WeightsError::Type { name, dtype }),
        };
        tensors.insert(names::current(name), TensorData::new(values, shape));
    }
    if let Some(hash) = hash {
        Digest { stored, found: hash.finish(&metadata) }.check()?;
    }
    Ok((tensors, metadata))
}

/// How the values of safetensors bytes are stored: in half precision if any are.
///
/// # Errors
/// Bytes that are no safetensors file.
pub fn precision(bytes: &[u8]) -> Result<Precision, WeightsError> {
    let header = Header::read(bytes)?;
    let half = header.described.tensors().values().any(|info| info.dtype == Dtype::F16);
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

    /// Headers that ask for much: of more bytes than a model's, of sizes beyond the file, of many sizes.
    #[test]
    fn headers_cannot_ask_for_more_than_the_file_has() {
        let file = |header: &str, data: usize| {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend_from_slice(header.as_bytes());
            bytes.resize(bytes.len() + data, 0);
            bytes
        };
        let long = file(&" ".repeat(MAX_HEADER_BYTES as usize + 1), 0);
        assert!(matches!(from_bytes(&long), Err(WeightsError::Header(_))));
        for (shape, end) in
            [("[1099511627776]", 4u64), ("[4294967296,4294967296,4294967296]", 0), ("[1]", 1 << 40)]
        {
            let header = format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#);
            assert!(from_bytes(&file(&header, 4)).is_err(), "{shape}");
        }
        let ones = vec!["1"; 100_000].join(",");
        let header = format!(r#"{{"a":{{"dtype":"F32","shape":[{ones}],"data_offsets":[0,4]}}}}"#);
        assert!(matches!(from_bytes(&file(&header, 4)), Err(WeightsError::Rank(_))));
    }
}
