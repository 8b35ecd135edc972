//! Matrices of many rows into one safetensors file, without holding any of them in memory.

use super::Metadata;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write as _};

/// Most bytes of a matrix's entry in the header beside its name: three numbers of 20 digits, the width,
/// and the punctuation.
const ENTRY_BYTES: usize = 160;

/// Writes f32 matrices row by row; how many rows each has need not be known before.
///
/// The place of the header is kept free at the beginning of the file, which is why the names are asked
/// for first. Names that get no matrix cost that space only.
#[derive(Debug)]
pub struct MatrixWriter<'f> {
    out: BufWriter<&'f mut File>,
    header: Map<String, Value>,
    header_bytes: usize,
    /// Where the matrix that is being written begins and ends, in bytes after the header.
    open: (u64, u64),
}

impl<'f> MatrixWriter<'f> {
    /// A writer into an empty file, of matrices with these names at most.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn new<'n>(
        file: &'f mut File,
        names: impl IntoIterator<Item = &'n str>,
        metadata: &Metadata,
    ) -> io::Result<Self> {
        let header = Map::from_iter([("__metadata__".to_string(), json!(metadata))]);
        let names = names.into_iter().map(|name| json!(name).to_string().len() + ENTRY_BYTES);
        let header_bytes = names.sum::<usize>() + Value::Object(header.clone()).to_string().len();
        let header_bytes = header_bytes.next_multiple_of(8);
        let mut out = BufWriter::new(file);
        out.seek(SeekFrom::Start(8 + header_bytes as u64))?;
        Ok(Self { out, header, header_bytes, open: (0, 0) })
    }

    /// Adds values to the matrix that is being written.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn append(&mut self, values: &[f32]) -> io::Result<()> {
        for value in values {
            self.out.write_all(&value.to_le_bytes())?;
        }
        self.open.1 += 4 * values.len() as u64;
        Ok(())
    }

    /// Ends the matrix: its name and the length of its rows.
    pub fn end(&mut self, name: &str, width: usize) {
        let (start, end) = self.open;
        let rows = (end - start) / (4 * width.max(1) as u64);
        let entry = json!({ "dtype": "F32", "shape": [rows, width], "data_offsets": [start, end] });
        self.header.insert(name.to_string(), entry);
        self.open = (end, end);
    }

    /// Forgets what was appended since the last matrix ended.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn discard(&mut self) -> io::Result<()> {
        self.open.1 = self.open.0;
        self.out.seek(SeekFrom::Start(8 + self.header_bytes as u64 + self.open.0)).map(drop)
    }

    /// Number of matrices so far.
    pub fn count(&self) -> usize {
        self.header.len() - 1
    }

    /// Writes the header.
    ///
    /// # Errors
    /// A file that cannot be written; a name that was not announced.
    pub fn finish(mut self) -> io::Result<()> {
        self.discard()?;
        let mut header = Value::Object(self.header).to_string();
        let Some(free) = self.header_bytes.checked_sub(header.len()) else {
            return Err(io::Error::other("more or longer names than were announced"));
        };
        header.extend(std::iter::repeat_n(' ', free));
        self.out.flush()?;
        self.out.get_ref().set_len(8 + self.header_bytes as u64 + self.open.0)?;
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&(self.header_bytes as u64).to_le_bytes())?;
        self.out.write_all(header.as_bytes())?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::from_bytes;
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_discarded_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let mut file = File::create(&path).unwrap();
        let names = ["b\"\n", "dropped", "a", "none"];
        let metadata = Metadata::from([("layer".to_string(), "3".to_string())]);
        let mut writer = MatrixWriter::new(&mut file, names, &metadata).unwrap();
        writer.append(&[1.0, 2.0, 3.0]).unwrap();
        writer.append(&[4.0, 5.0, 6.0]).unwrap();
        writer.end(names[0], 2);
        writer.append(&[7.0; 10_000]).unwrap();
        writer.discard().unwrap();
        writer.append(&[8.0]).unwrap();
        writer.end("a", 1);
        writer.end("none", 5);
        writer.append(&[9.0; 10_000]).unwrap();
        assert_eq!(writer.count(), 3);
        writer.finish().unwrap();
        let (tensors, read) = from_bytes(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!((tensors.len(), read), (3, metadata));
        let check = |name: &str, shape: [usize; 2], values: &[f32]| {
            assert_eq!(tensors[name].shape().to_vec(), shape);
            assert_eq!(tensors[name].try_to_vec::<f32>().unwrap(), values);
        };
        check(names[0], [3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        check("a", [1, 1], &[8.0]);
        check("none", [0, 5], &[]);
    }
}
