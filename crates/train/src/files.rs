//! Files of a run: weights that are written whole, and a lock.

use crate::TrainError;
use auricle_io::atomic_write_with;
use auricle_nn::weights::{self, Metadata, Precision, WeightsError};
use burn::tensor::TensorData;
use std::fs::File;
use std::io;
use std::path::Path;

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
    fn a_run_directory_has_one_user() {
        let folder = tempfile::tempdir().unwrap();
        let first = RunLock::acquire(folder.path()).unwrap();
        assert!(RunLock::acquire(folder.path()).unwrap_err().to_string().contains("in use"));
        drop(first);
        RunLock::acquire(folder.path()).unwrap();
    }
}
