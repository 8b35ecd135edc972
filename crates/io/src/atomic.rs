//! Files that are either the old or the new one, never a part.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a file through a temporary one in the same folder: write, fsync, rename, fsync folder.
///
/// On any failure (a full disk, a lost permission) the old file is as it was and the temporary one is removed. What is
/// no regular file (`/dev/stdout`, a named pipe) is written to directly; a link is followed, so that the link stays.
///
/// # Errors
/// What the file system says, with the path that it says it of.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    atomic_write_with(path, |file| file.write_all(bytes))
}

/// As [`atomic_write`], with the writing done by `write`.
///
/// # Errors
/// What the file system or `write` says.
pub fn atomic_write_with<T, E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<T, E>,
) -> Result<T, E> {
    let mut file = AtomicFile::create(path)?;
    let result = write(&mut file.file)?;
    file.commit()?;
    Ok(result)
}

/// A file under way: it appears under its name at [`commit`](Self::commit), and never does if that is not called.
///
/// Two writers of one path do not disturb each other; the last to commit wins.
#[derive(Debug)]
pub struct AtomicFile {
    file: File,
    target: PathBuf,
    /// `None` where the target is written to directly, or where nothing is left to remove.
    temporary: Option<PathBuf>,
}

impl AtomicFile {
    /// Begins a file beside `path`.
    ///
    /// # Errors
    /// What the file system says, with the path that it says it of.
    pub fn create(path: &Path) -> io::Result<Self> {
        // A link is kept and what it names replaced; a link to nothing is replaced itself.
        let target = match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()),
            _ => path.to_path_buf(),
        };
        let of = |path: &Path| {
            let path = path.to_path_buf();
            move |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        };
        match fs::metadata(&target) {
            Ok(found) if found.is_dir() => {
                let text = format!("{}: is a folder; name a file in it", path.display());
                return Err(io::Error::new(io::ErrorKind::IsADirectory, text));
            }
            Ok(found) if !found.is_file() => {
                let file = File::options().write(true).open(&target).map_err(of(path))?;
                return Ok(Self { file, target, temporary: None });
            }
            _ => {}
        }
        let temporary = temporary_beside(&target);
        let file = File::create(&temporary).map_err(of(path))?;
        if let Ok(found) = fs::metadata(&target) {
            // Whoever could read the old file can read the new one.
            fs::set_permissions(&temporary, found.permissions()).ok();
        }
        Ok(Self { file, target, temporary: Some(temporary) })
    }

    /// Makes the file durable and gives it its name.
    ///
    /// # Errors
    /// What the file system says; then the old file is as it was.
    pub fn commit(mut self) -> io::Result<()> {
        let Some(temporary) = &self.temporary else { return self.file.flush() };
        self.file.sync_all()?;
        fs::rename(temporary, &self.target)?;
        self.temporary = None;
        sync_folder(&self.target)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            fs::remove_file(temporary).ok();
        }
    }
}

/// A name in the same folder that no other writer uses, in this process or another.
pub(crate) fn temporary_beside(path: &Path) -> PathBuf {
    static WRITERS: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Names have at most 255 bytes on common file systems.
    let name: String = name.chars().take(50).collect();
    let writer = WRITERS.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}-{writer}.part", std::process::id()))
}

/// Removes what writers that were killed have left half done in a folder.
///
/// Only for a folder that nobody else writes to.
///
/// # Errors
/// What the file system says.
pub fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(".part") {
            fs::remove_file(entry.path())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

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
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), 1);
        atomic_write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        // What a killed process leaves.
        fs::write(folder.path().join(".state.1.part"), b"half").unwrap();
        remove_unfinished(folder.path()).unwrap();
        assert_eq!(names(folder.path()), 1);
    }

    #[test]
    fn two_writers_of_one_file_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let (mut a, mut b) = (AtomicFile::create(&path).unwrap(), AtomicFile::create(&path).unwrap());
        a.write_all(b"aaaa").unwrap();
        b.write_all(b"b").unwrap();
        a.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"aaaa");
        b.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"b");
        assert_eq!(names(folder.path()), 1);
    }

    #[test]
    fn folders_are_refused_and_paths_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = atomic_write(folder.path(), b"x").unwrap_err().to_string();
        assert!(error.contains("is a folder"), "{error}");
        let error = atomic_write(&folder.path().join("none/x"), b"x").unwrap_err().to_string();
        assert!(error.contains("none"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_links_and_devices_devices() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, b"old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        atomic_write(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"new");
        atomic_write(Path::new("/dev/null"), b"gone").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
