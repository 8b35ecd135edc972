//! Recordings that come through a pipe: they can be read only once, and only from the front.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use auricle_io::Budget;

use super::detect;
use crate::error::AudioError;

/// Most bytes from all pipes of a program: 4.6 hours of 16-bit mono at 16 kHz.
const MAX_BYTES: u64 = 512 << 20;

/// This much is looked at before the rest is read: an endless source of something else is refused at once.
const HEAD_BYTES: u64 = 1 << 16;

/// What pipes gave, by their names. A recording is opened several times (to see its length, to decode it), and a pipe
/// gives its bytes once: they are kept as long as the program runs.
struct Pipes {
    contents: BTreeMap<PathBuf, Arc<Vec<u8>>>,
    budget: Budget,
}

static PIPES: Mutex<Pipes> = Mutex::new(Pipes {
    contents: BTreeMap::new(),
    budget: Budget::new("the recordings from pipes", MAX_BYTES),
});

/// What the pipe of this name gives or has given.
pub(super) fn read(path: &Path) -> Result<Arc<Vec<u8>>, AudioError> {
    let io = |action, source| AudioError::Io { action, path: path.to_owned(), source };
    let mut pipes = PIPES.lock().unwrap_or_else(PoisonError::into_inner);
    let Pipes { contents, budget } = &mut *pipes;
    if let Some(bytes) = contents.get(path) {
        return Ok(Arc::clone(bytes));
    }
    let mut file = File::open(path).map_err(|e| io("open", e))?;
    let mut bytes = Vec::new();
    (&mut file).take(HEAD_BYTES).read_to_end(&mut bytes).map_err(|e| io("read", e))?;
    let over = || AudioError::PipeTooLong { path: path.to_owned(), limit_bytes: MAX_BYTES };
    budget.charge(bytes.len() as u64).map_err(|_| over())?;
    if bytes.len() as u64 == HEAD_BYTES && detect::may_be_audio(&bytes) {
        let rest = budget.read_to_end(file).map_err(|e| match e.kind() {
            std::io::ErrorKind::FileTooLarge => over(),
            _ => io("read", e),
        })?;
        bytes.extend_from_slice(&rest);
    }
    let bytes = Arc::new(bytes);
    contents.insert(path.to_owned(), Arc::clone(&bytes));
    Ok(bytes)
}
