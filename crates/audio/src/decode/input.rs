//! The bytes of a recording: a file, what came through a pipe, or memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use symphonia::core::io::MediaSource;

use super::pipe;
use crate::error::AudioError;

/// A stretch of the bytes, with a position of its own. Cheap to clone.
#[derive(Clone)]
pub(super) struct Input {
    store: Store,
    start: u64,
    end: u64,
    position: u64,
    /// Bytes that are seen instead of the stored ones, from this offset on.
    patch: Option<(u64, Arc<[u8]>)>,
}

#[derive(Clone)]
enum Store {
    File(Arc<Mutex<File>>),
    Memory(Arc<Vec<u8>>),
}

impl Input {
    /// Opens a file. What cannot be entered in the middle (a pipe, standard input) is read into memory, once.
    pub(super) fn open(path: &Path) -> Result<Self, AudioError> {
        let io = |action, source| AudioError::Io { action, path: path.to_owned(), source };
        let metadata = std::fs::metadata(path).map_err(|e| io("open", e))?;
        if metadata.is_dir() {
            return Err(io("open", io::Error::from(io::ErrorKind::IsADirectory)));
        }
        if !metadata.is_file() {
            return Ok(Self::of_memory(pipe::read(path)?));
        }
        let file = File::open(path).map_err(|e| io("open", e))?;
        let end = file.metadata().map_err(|e| io("open", e))?.len();
        Ok(Self { store: Store::File(Arc::new(Mutex::new(file))), start: 0, end, position: 0, patch: None })
    }

    pub(super) fn of_memory(bytes: Arc<Vec<u8>>) -> Self {
        let end = bytes.len() as u64;
        Self { store: Store::Memory(bytes), start: 0, end, position: 0, patch: None }
    }

    /// Bytes in the stretch.
    pub(super) fn len(&self) -> u64 {
        self.end - self.start
    }

    /// The part from byte `from` to byte `to` of this stretch, with the position at its beginning.
    pub(super) fn part(&self, from: u64, to: u64) -> Self {
        let to = to.min(self.len());
        let from = from.min(to);
        let patch = match &self.patch {
            Some((at, bytes)) if *at >= from => Some((at - from, Arc::clone(bytes))),
            _ => None,
        };
        Self { store: self.store.clone(), start: self.start + from, end: self.start + to, position: 0, patch }
    }

    /// The same bytes with others in place of those from `at` on.
    pub(super) fn patched(mut self, at: u64, bytes: &[u8]) -> Self {
        self.patch = Some((at, bytes.into()));
        self
    }

    /// Up to `len` bytes from byte `at` on; fewer where the stretch ends. The position stays.
    pub(super) fn peek(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let part = self.part(at, at.saturating_add(len as u64));
        bytes.reserve_exact(part.len() as usize);
        part.take(len as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.len().saturating_sub(self.position);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..wanted).filter(|b| !b.is_empty()) else { return Ok(0) };
        let at = self.start + self.position;
        let read = match &self.store {
            Store::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(at))?;
                file.read(buffer)?
            }
            Store::Memory(bytes) => {
                let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
                let read = rest.len().min(buffer.len());
                buffer[..read].copy_from_slice(&rest[..read]);
                read
            }
        };
        if let Some((patch_at, bytes)) = &self.patch {
            for (offset, byte) in (*patch_at..).zip(bytes.iter()) {
                if let Some(place) = offset.checked_sub(self.position).filter(|&i| i < read as u64) {
                    buffer[place as usize] = *byte;
                }
            }
        }
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for Input {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.len().checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl MediaSource for Input {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_patches_are_seen_from_every_position() {
        let all = Input::of_memory(Arc::new((0..20).collect())).patched(10, &[99, 98]);
        let mut part = all.part(5, 15);
        assert_eq!(part.len(), 10);
        let mut bytes = Vec::new();
        part.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [5, 6, 7, 8, 9, 99, 98, 12, 13, 14]);
        assert_eq!(part.seek(SeekFrom::End(-4)).unwrap(), 6);
        let mut two = [0; 2];
        part.read_exact(&mut two).unwrap();
        assert_eq!(two, [98, 12]);
        assert_eq!(part.peek(9, 100).unwrap(), [14]);
        assert!(part.seek(SeekFrom::Current(-100)).is_err());
        assert_eq!(all.part(30, 40).len(), 0);
    }
}
