//! Files of intermediate results, gone when nobody needs them.

use crate::atomic::temporary_beside;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file to write, rewind and read; it is removed when dropped.
///
/// On Unix it has no name from the start, so nothing of it stays even if the process is killed (Ctrl-C runs no
/// destructors). Elsewhere it keeps its name, which begins with `.` and ends with `.part`, until it is dropped.
#[derive(Debug)]
pub struct TemporaryFile {
    /// `None` only while it is dropped: some systems remove no open file.
    file: Option<File>,
    /// Where there is something left to remove.
    path: Option<PathBuf>,
}

impl TemporaryFile {
    /// An empty file in a folder, which must be there.
    ///
    /// # Errors
    /// What the file system says, with the folder that it says it of.
    pub fn create(folder: &Path) -> io::Result<Self> {
        let path = temporary_beside(&folder.join("auricle"));
        let file = File::options().read(true).write(true).create_new(true).open(&path).map_err(|error| {
            let text = format!("a temporary file in {}: {error}", folder.display());
            io::Error::new(error.kind(), text)
        })?;
        let removed = cfg!(unix) && fs::remove_file(&path).is_ok();
        Ok(Self { file: Some(file), path: (!removed).then_some(path) })
    }

    fn file(&mut self) -> io::Result<&mut File> {
        self.file.as_mut().ok_or_else(|| io::Error::other("the temporary file is closed"))
    }
}

impl Read for TemporaryFile {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.file()?.read(bytes)
    }
}

impl Write for TemporaryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file()?.flush()
    }
}

impl Seek for TemporaryFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file()?.seek(to)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        drop(self.file.take());
        if let Some(path) = &self.path {
            fs::remove_file(path).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (mut a, mut b) =
            (TemporaryFile::create(folder.path()).unwrap(), TemporaryFile::create(folder.path()).unwrap());
        a.write_all(b"one").unwrap();
        b.write_all(b"two").unwrap();
        if cfg!(unix) {
            let left = fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(left, 0, "a process that is killed now leaves files behind");
        }
        for (file, expected) in [(&mut a, "one"), (&mut b, "two")] {
            let mut text = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, expected);
        }
        drop((a, b));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let error = TemporaryFile::create(&folder.path().join("none")).unwrap_err();
        assert!(error.kind() == io::ErrorKind::NotFound && error.to_string().contains("none"), "{error}");
    }
}
