//! N-grams as numbers, sorted on disk: runs of what fits into memory, merged.

use auricle_io::TemporaryFile;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, BufReader, BufWriter, Read, Seek as _, Write as _};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// Bytes of a reader's or writer's buffer.
const BUFFER_BYTES: usize = 64 << 10;
/// So many runs are merged at once; together their buffers take 4 MiB.
const MAX_RUNS: usize = 64;
/// Bytes of the longest key.
const KEY_BYTES: usize = 16;
/// Bytes of the longest value.
const VALUE_BYTES: usize = 16;

/// What a key stands for in a file.
pub(super) trait Value: Copy {
    /// At most [`VALUE_BYTES`].
    const BYTES: usize;
    fn put(self, to: &mut [u8]);
    fn get(from: &[u8]) -> Self;
}

fn eight(from: &[u8]) -> [u8; 8] {
    std::array::from_fn(|i| from[i])
}

impl Value for u64 {
    const BYTES: usize = 8;

    fn put(self, to: &mut [u8]) {
        to.copy_from_slice(&self.to_le_bytes());
    }

    fn get(from: &[u8]) -> Self {
        Self::from_le_bytes(eight(from))
    }
}

impl Value for f64 {
    const BYTES: usize = 8;

    fn put(self, to: &mut [u8]) {
        to.copy_from_slice(&self.to_le_bytes());
    }

    fn get(from: &[u8]) -> Self {
        Self::from_le_bytes(eight(from))
    }
}

impl Value for (f64, f64) {
    const BYTES: usize = 16;

    fn put(self, to: &mut [u8]) {
        self.0.put(&mut to[..8]);
        self.1.put(&mut to[8..]);
    }

    fn get(from: &[u8]) -> Self {
        (f64::get(&from[..8]), f64::get(&from[8..]))
    }
}

/// A file of records under way.
pub(super) struct Spool<V> {
    file: BufWriter<TemporaryFile>,
    records: u64,
    key_bytes: usize,
    value: PhantomData<V>,
}

impl<V: Value> Spool<V> {
    /// A file in `folder` of keys of `key_bits` bits.
    pub fn create(folder: &Path, key_bits: u32) -> io::Result<Self> {
        let file = BufWriter::with_capacity(BUFFER_BYTES, TemporaryFile::create(folder)?);
        Ok(Self { file, records: 0, key_bytes: key_bits.div_ceil(8) as usize, value: PhantomData })
    }

    pub fn push(&mut self, key: u128, value: V) -> io::Result<()> {
        let mut record = [0; KEY_BYTES + VALUE_BYTES];
        record[..KEY_BYTES].copy_from_slice(&key.to_le_bytes());
        let end = self.key_bytes + V::BYTES;
        value.put(&mut record[self.key_bytes..end]);
        self.records += 1;
        self.file.write_all(&record[..end])
    }

    pub fn finish(self) -> io::Result<Stored<V>> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Stored { file, records: self.records, key_bytes: self.key_bytes, value: PhantomData })
    }
}

/// A file of records, which can be read more than once.
pub(super) struct Stored<V> {
    file: TemporaryFile,
    records: u64,
    key_bytes: usize,
    value: PhantomData<V>,
}

impl<V: Value> Stored<V> {
    /// Number of records.
    pub fn len(&self) -> u64 {
        self.records
    }

    /// The records from the first.
    pub fn stream(&mut self) -> io::Result<Stream<&mut TemporaryFile, V>> {
        self.file.rewind()?;
        Ok(Stream::new(&mut self.file, self.records, self.key_bytes))
    }

    fn into_stream(mut self) -> io::Result<Stream<TemporaryFile, V>> {
        self.file.rewind()?;
        Ok(Stream::new(self.file, self.records, self.key_bytes))
    }
}

/// Records in their order.
pub(super) struct Stream<R, V> {
    reader: BufReader<R>,
    left: u64,
    key_bytes: usize,
    value: PhantomData<V>,
}

impl<R: Read, V: Value> Stream<R, V> {
    fn new(file: R, left: u64, key_bytes: usize) -> Self {
        let reader = BufReader::with_capacity(BUFFER_BYTES, file);
        Self { reader, left, key_bytes, value: PhantomData }
    }

    pub fn next(&mut self) -> io::Result<Option<(u128, V)>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut record = [0; KEY_BYTES + VALUE_BYTES];
        self.reader.read_exact(&mut record[..self.key_bytes + V::BYTES])?;
        let value = V::get(&record[self.key_bytes..self.key_bytes + V::BYTES]);
        record[self.key_bytes..KEY_BYTES].fill(0);
        let key = u128::from_le_bytes(std::array::from_fn(|i| record[i]));
        Ok(Some((key, value)))
    }
}

/// Sorted runs.
struct Runs<V> {
    folder: PathBuf,
    key_bits: u32,
    runs: Vec<Stored<V>>,
}

impl<V: Value> Runs<V> {
    fn add(&mut self, run: Stored<V>) -> io::Result<()> {
        self.runs.push(run);
        if self.runs.len() == MAX_RUNS {
            let mut whole = Spool::create(&self.folder, self.key_bits)?;
            let mut merged = Sorted::of(std::mem::take(&mut self.runs))?;
            while let Some((key, value)) = merged.next()? {
                whole.push(key, value)?;
            }
            self.runs.push(whole.finish()?);
        }
        Ok(())
    }
}

/// Records in the order of their keys; equal ones in the order in which they came.
pub(super) struct Sorted<V> {
    streams: Vec<Stream<TemporaryFile, V>>,
    /// The next value of each stream, and the keys of all.
    values: Vec<Option<V>>,
    keys: BinaryHeap<Reverse<(u128, usize)>>,
}

impl<V: Value> Sorted<V> {
    fn of(runs: Vec<Stored<V>>) -> io::Result<Self> {
        let streams = runs.into_iter().map(Stored::into_stream).collect::<io::Result<Vec<_>>>()?;
        let mut sorted = Self { values: vec![None; streams.len()], streams, keys: BinaryHeap::new() };
        for at in 0..sorted.streams.len() {
            sorted.advance(at)?;
        }
        Ok(sorted)
    }

    fn advance(&mut self, at: usize) -> io::Result<()> {
        let next = self.streams[at].next()?;
        if let Some((key, _)) = next {
            self.keys.push(Reverse((key, at)));
        }
        self.values[at] = next.map(|(_, value)| value);
        Ok(())
    }

    pub fn next(&mut self) -> io::Result<Option<(u128, V)>> {
        let Some(Reverse((key, at))) = self.keys.pop() else { return Ok(None) };
        let Some(value) = self.values[at] else { return Ok(None) };
        self.advance(at)?;
        Ok(Some((key, value)))
    }
}

/// Memory for `bytes` bytes of records, at least one; it is touched only as far as it is filled.
fn buffer<T>(bytes: usize) -> io::Result<Vec<T>> {
    let mut buffer = Vec::new();
    let capacity = (bytes / size_of::<T>()).max(1);
    buffer.try_reserve_exact(capacity).map_err(|error| {
        io::Error::new(io::ErrorKind::OutOfMemory, format!("{bytes} bytes for sorting: {error}"))
    })?;
    Ok(buffer)
}

/// Sorts records in about `memory` bytes.
pub(super) struct Sorter<V> {
    buffer: Vec<(u128, V)>,
    runs: Runs<V>,
}

impl<V: Value> Sorter<V> {
    pub fn new(folder: &Path, key_bits: u32, memory: usize) -> io::Result<Self> {
        let runs = Runs { folder: folder.into(), key_bits, runs: Vec::new() };
        Ok(Self { buffer: buffer(memory)?, runs })
    }

    pub fn push(&mut self, key: u128, value: V) -> io::Result<()> {
        if self.buffer.len() == self.buffer.capacity() {
            self.spill()?;
        }
        self.buffer.push((key, value));
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        // Keys of a sorter are all different, so that the order is one.
        self.buffer.sort_unstable_by_key(|(key, _)| *key);
        let mut run = Spool::create(&self.runs.folder, self.runs.key_bits)?;
        for (key, value) in self.buffer.drain(..) {
            run.push(key, value)?;
        }
        self.runs.add(run.finish()?)
    }

    pub fn finish(mut self) -> io::Result<Sorted<V>> {
        self.spill()?;
        Sorted::of(self.runs.runs)
    }
}

/// Counts keys in about `memory` bytes.
pub(super) struct Counter {
    buffer: Vec<u128>,
    runs: Runs<u64>,
}

impl Counter {
    pub fn new(folder: &Path, key_bits: u32, memory: usize) -> io::Result<Self> {
        let runs = Runs { folder: folder.into(), key_bits, runs: Vec::new() };
        Ok(Self { buffer: buffer(memory)?, runs })
    }

    pub fn push(&mut self, key: u128) -> io::Result<()> {
        if self.buffer.len() == self.buffer.capacity() {
            self.spill()?;
        }
        self.buffer.push(key);
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        self.buffer.sort_unstable();
        let mut run = Spool::create(&self.runs.folder, self.runs.key_bits)?;
        for equal in self.buffer.chunk_by(|a, b| a == b) {
            run.push(equal[0], equal.len() as u64)?;
        }
        self.buffer.clear();
        self.runs.add(run.finish()?)
    }

    pub fn finish(mut self) -> io::Result<Counted> {
        self.spill()?;
        let mut sorted = Sorted::of(self.runs.runs)?;
        let next = sorted.next()?;
        Ok(Counted { sorted, next })
    }
}

/// Keys in their order with how often they came.
pub(super) struct Counted {
    sorted: Sorted<u64>,
    next: Option<(u128, u64)>,
}

impl Counted {
    pub fn next(&mut self) -> io::Result<Option<(u128, u64)>> {
        let Some((key, mut count)) = self.next else { return Ok(None) };
        loop {
            self.next = self.sorted.next()?;
            match self.next {
                Some((same, more)) if same == key => count += more,
                _ => return Ok(Some((key, count))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};

    #[test]
    fn more_runs_than_are_merged_at_once() {
        let folder = tempfile::tempdir().unwrap();
        // 10 records a run, so more than 64 runs.
        let mut sorter = Sorter::<u64>::new(folder.path(), 20, 10 * size_of::<(u128, u64)>()).unwrap();
        let mut counter = Counter::new(folder.path(), 9, 160).unwrap();
        let mut stream = Key::new(7).stream(Purpose::Test);
        let mut counts = std::collections::BTreeMap::<u128, u64>::new();
        let (count, step) = (1_500u64, 1_009u64);
        for i in 0..count {
            sorter.push(u128::from(i * step % count) << 4, i).unwrap();
            let key = stream.below(300) as u128;
            counter.push(key).unwrap();
            *counts.entry(key).or_default() += 1;
        }
        let mut sorted = sorter.finish().unwrap();
        for at in 0..count {
            let (key, i) = sorted.next().unwrap().unwrap();
            assert_eq!((key >> 4, i * step % count), (u128::from(at), at));
        }
        assert!(sorted.next().unwrap().is_none());
        let mut counted = counter.finish().unwrap();
        for expected in counts {
            assert_eq!(counted.next().unwrap(), Some(expected));
        }
        assert!(counted.next().unwrap().is_none());
    }
}
