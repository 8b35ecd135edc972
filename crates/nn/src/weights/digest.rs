//! The digest of stored weights: one flipped bit and they are not used.

use super::{Header, Metadata, WeightsError};
use serde_json::{Map, Value};

/// The field of the metadata that holds it.
pub(super) const FIELD: &str = "blake3";
/// Set to anything, it lets weights be read that do not match their digest.
const SKIP: &str = "AURICLE_SKIP_DIGEST";

/// What a file says of its contents, and what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// The digest in the metadata; files of older versions and of other programs have none.
    pub stored: Option<String>,
    /// The digest of what is there.
    pub found: String,
}

impl Digest {
    /// Reads all of a file's bytes.
    ///
    /// # Errors
    /// Bytes that are no safetensors file.
    pub fn of(bytes: &[u8]) -> Result<Self, WeightsError> {
        let header = Header::read(bytes)?;
        let mut hash = DigestHash::default();
        for (name, dtype, shape, data) in header.tensors(bytes)? {
            hash.tensor(&name, &dtype, &shape, data.len());
            hash.bytes(data);
        }
        Ok(Self { found: hash.finish(&header.metadata), stored: header.metadata.get(FIELD).cloned() })
    }

    /// Whether a stored digest, if there is one, is that of the contents.
    pub fn holds(&self) -> bool {
        self.stored.as_ref().is_none_or(|stored| *stored == self.found)
    }

    /// # Errors
    /// The contents have changed since the digest was stored, and [`SKIP`] is not set.
    pub(super) fn check(self) -> Result<(), WeightsError> {
        if self.holds() || std::env::var_os(SKIP).is_some() {
            return Ok(());
        }
        Err(WeightsError::Digest { stored: self.stored.unwrap_or_default(), found: self.found })
    }
}

/// BLAKE3 over the tensors in the order of their names (name, type, sizes, bytes), then over the metadata without the
/// digest itself, each part preceded by its length.
#[derive(Default)]
pub(super) struct DigestHash(blake3::Hasher);

impl DigestHash {
    /// What stands before the bytes of a tensor.
    pub(super) fn tensor(&mut self, name: &str, dtype: &str, shape: &[usize], bytes: usize) {
        self.text(name);
        self.text(dtype);
        self.number(shape.len());
        shape.iter().for_each(|&size| self.number(size));
        self.number(bytes);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(mut self, metadata: &Metadata) -> String {
        for (name, value) in metadata.iter().filter(|(name, _)| *name != FIELD) {
            self.text(name);
            self.text(value);
        }
        self.0.finalize().to_hex().to_string()
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.update(text.as_bytes());
    }

    fn number(&mut self, number: usize) {
        self.0.update(&(number as u64).to_le_bytes());
    }
}

/// The same file with the digest of its contents in its metadata; no byte of a tensor changes.
///
/// # Errors
/// Bytes that are no safetensors file.
pub fn seal(bytes: &[u8]) -> Result<Vec<u8>, WeightsError> {
    let Digest { found, .. } = Digest::of(bytes)?;
    let start = Header::read(bytes)?.start;
    let text = bytes.get(8..start).unwrap_or_default();
    let damaged = |_| WeightsError::Format(safetensors::SafeTensorError::MetadataIncompleteBuffer);
    let mut header: Map<String, Value> = serde_json::from_slice(text).map_err(damaged)?;
    let metadata = header.entry("__metadata__").or_insert_with(|| Value::Object(Map::new()));
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert(FIELD.into(), found.into());
    }
    let mut text = Value::Object(header).to_string();
    text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
    let data = bytes.get(start..).unwrap_or_default();
    let mut sealed = Vec::with_capacity(8 + text.len() + data.len());
    sealed.extend_from_slice(&(text.len() as u64).to_le_bytes());
    sealed.extend_from_slice(text.as_bytes());
    sealed.extend_from_slice(data);
    Ok(sealed)
}

#[cfg(test)]
mod tests {
    use super::super::{Precision, from_bytes, to_bytes};
    use super::*;
    use crate::params::NamedTensors;
    use burn::tensor::TensorData;

    fn bytes(precision: Precision) -> Vec<u8> {
        let mut tensors = NamedTensors::new();
        tensors.insert("b.weight".into(), TensorData::new(vec![1.5f32, -0.25, 0.0, 2.0], [2, 2]));
        tensors.insert("a".into(), TensorData::new(vec![0.1f32], [1]));
        let metadata = Metadata::from([("kind".into(), "ctc".into()), ("config".into(), "{}".into())]);
        to_bytes(&tensors, &metadata, precision).unwrap()
    }

    /// Every bit of the file: it is an error, or the file says the same as before.
    #[test]
    fn no_flipped_bit_is_used() {
        for precision in [Precision::F32, Precision::F16] {
            let good = bytes(precision);
            let said = from_bytes(&good).unwrap();
            assert!(!said.1.contains_key(FIELD), "the digest is the file's matter");
            let mut refused = 0;
            for bit in 0..8 * good.len() {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                match from_bytes(&bad) {
                    // The name of the digest's field may be lost: then it is a field that nobody knows.
                    Ok(mut read) => {
                        read.1.retain(|name, _| said.1.contains_key(name));
                        assert!(read == said, "bit {bit}");
                    }
                    Err(_) => refused += 1,
                }
            }
            // Blanks of the header may become another blank.
            assert!(refused > 8 * good.len() * 9 / 10, "{refused}");
            let header = Header::read(&good).unwrap().start;
            for bit in 8 * header..8 * good.len() {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                let error = from_bytes(&bad).unwrap_err().to_string();
                assert!(error.contains("AURICLE_SKIP_DIGEST"), "{error}");
                assert!(!Digest::of(&bad).unwrap().holds());
            }
        }
    }

    #[test]
    fn older_files_are_read_and_sealing_changes_no_tensor() {
        let sealed = bytes(Precision::F16);
        let digest = Digest::of(&sealed).unwrap();
        assert_eq!(digest.stored.as_ref(), Some(&digest.found));
        // As older versions wrote it.
        let text = String::from_utf8_lossy(&sealed[8..Header::read(&sealed).unwrap().start]).into_owned();
        let mut header: Map<String, Value> = serde_json::from_str(&text).unwrap();
        header["__metadata__"].as_object_mut().unwrap().remove(FIELD);
        let header = Value::Object(header).to_string();
        let data = &sealed[Header::read(&sealed).unwrap().start..];
        let old = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat();
        assert_eq!(Digest::of(&old).unwrap(), Digest { stored: None, ..digest.clone() });
        let again = seal(&old).unwrap();
        assert_eq!(Digest::of(&again).unwrap(), digest);
        assert!(again.ends_with(data) && from_bytes(&again).unwrap() == from_bytes(&old).unwrap());
    }
}
