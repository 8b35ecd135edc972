//! Files that are either the old or the new one, never a part.

use crate::TrainError;
use auricle_nn::weights::{self, Metadata, Precision, WeightsError};
use burn::tensor::TensorData;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes a file through a temporary one in the same folder: write, fsync, rename, fsync folder.
///
/// On any failure (a full disk, a lost permission) the old file is as it was and the temporary one
/// is removed.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    atomic_write_with(path, |file| file.write_all(bytes))
}

/// As [`atomic_write`], with the writing done by `write`.
pub fn atomic_write_with<T, E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<T, E>,
) -> Result<T, E> {
    let temporary = temporary_beside(path);
    let written = || {
        let mut file = File::create(&temporary)?;
        let result = write(&mut file)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        Ok(result)
    };
    let result = written().inspect_err(|_: &E| {
        // The first error is the one to report; a file that was never made cannot be removed.
        std::fs::remove_file(&temporary).ok();
    })?;
    sync_folder(path)?;
    Ok(result)
}

/// Writes weights atomically, without a second copy of them in memory.
///
/// # Errors
/// A file that cannot be written, tensors that are no weights.
pub fn write_weights<'t, N: AsRef<str> + 't>(
    path: &Path,
    tensors: impl IntoIterator<Item = (N, &'t TensorData), IntoIter: Clone>,
    metadata: &Metadata,
    precision: Precision,
) -> Result<(), TrainError> {
    let written = atomic_write_with(path, |file| weights::write_to(file, tensors, metadata, precision));
    written.map_err(|error| match error {
        WeightsError::Io(error) => TrainError::io(path)(error),
        other => TrainError::Checkpoint { path: path.to_path_buf(), reason: other.to_string() },
    })
}

/// A name in the same folder that no other process uses.
fn temporary_beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.part", std::process::id()))
}

/// Removes what writers that were killed have left half done in a folder.
///
/// Only for a folder that nobody else writes to, see [`RunLock`].
pub fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(".part") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Makes the rename itself durable; not every file system can.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if cfg!(unix) => Err(error),
        _ => Ok(()),
    }
}

/// Keeps a second process out of a run directory for as long as it lives.
///
/// The lock belongs to the open file, so a killed process leaves none behind.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Locks `<run>/.lock`.
    pub fn acquire(run: &Path) -> io::Result<Self> {
        let file = File::options().create(true).truncate(false).write(true).open(run.join(".lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) => Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                format!(
                    "{} is in use by another process; wait for it or choose another --run",
                    run.display()
                ),
            )),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        atomic_write(&path, b"old").unwrap();
        let error = atomic_write_with(&path, |file| {
            file.write_all(b"half of the new")?;
            Err::<(), _>(io::Error::new(io::ErrorKind::StorageFull, "no space left on device"))
        });
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        atomic_write(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        // What a killed process leaves.
        std::fs::write(folder.path().join(".state.1.part"), b"half").unwrap();
        remove_unfinished(folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_run_directory_has_one_user() {
        let folder = tempfile::tempdir().unwrap();
        let first = RunLock::acquire(folder.path()).unwrap();
        assert!(RunLock::acquire(folder.path()).unwrap_err().to_string().contains("in use"));
        drop(first);
        RunLock::acquire(folder.path()).unwrap();
    }
}
