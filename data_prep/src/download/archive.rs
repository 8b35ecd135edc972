//! Unpacking archives that one has no reason to trust.

use super::tar_gz::TarGz;
use crate::PrepError;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};
use tar::EntryType;

/// Bounds on what an archive may hold.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub max_file_bytes: u64,
    pub max_total_bytes: u64,
    pub max_members: usize,
}

impl Default for Limits {
    /// About twice the largest official archive.
    fn default() -> Self {
        Self { max_file_bytes: 1 << 30, max_total_bytes: 64 << 30, max_members: 500_000 }
    }
}

/// Unpacks what is below the folder `top` of an archive into `folder`; `provides` comes last, so that
/// where it is, all is. What is there already stays.
///
/// # Errors
/// A damaged or cut archive; members that are links or devices, that come twice or would lie
/// elsewhere; more than the limits allow; no folder `top`/`provides`. Then `folder` is as it was.
pub(super) fn unpack(
    archive: &Path,
    top: &str,
    provides: &str,
    folder: &Path,
    limits: &Limits,
) -> Result<(), PrepError> {
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let staging = folder.join(format!(".unpacking-{name}"));
    match fs::remove_dir_all(&staging) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(PrepError::io(&staging)(e)),
        _ => fs::create_dir(&staging).map_err(PrepError::io(&staging))?,
    }
    let mut target = Target { archive, top, staging: &staging, limits, bytes: 0, members: 0 };
    let result = if name.ends_with(".zip") { target.unpack_zip() } else { target.unpack_tar_gz() }
        .and_then(|()| move_into(archive, &staging, provides, folder));
    fs::remove_dir_all(&staging).ok();
    result
}

fn move_into(archive: &Path, staging: &Path, provides: &str, folder: &Path) -> Result<(), PrepError> {
    if !staging.join(provides).is_dir() {
        return Err(refused(archive, format!("holds no folder {provides}")));
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(staging).map_err(PrepError::io(staging))? {
        names.push(entry.map_err(PrepError::io(staging))?.file_name());
    }
    names.sort_by_key(|name| name == provides);
    for name in names {
        let to = folder.join(&name);
        if !to.exists() {
            fs::rename(staging.join(&name), &to).map_err(PrepError::io(&to))?;
        }
    }
    Ok(())
}

fn refused(archive: &Path, reason: impl Into<String>) -> PrepError {
    PrepError::Archive { archive: archive.to_owned(), reason: reason.into() }
}

/// Where members go, and how much has come so far.
struct Target<'a> {
    archive: &'a Path,
    top: &'a str,
    staging: &'a Path,
    limits: &'a Limits,
    bytes: u64,
    members: usize,
}

impl Target<'_> {
    fn unpack_tar_gz(&mut self) -> Result<(), PrepError> {
        let archive = self.archive;
        let broken = |e: io::Error| refused(archive, format!("is damaged or cut ({e})"));
        let file = File::open(archive).map_err(PrepError::io(archive))?;
        // What stands between the members counts too.
        let bound = self.limits.max_total_bytes.saturating_mul(2);
        let mut members = TarGz::new(BufReader::new(file), bound);
        members.for_each(&broken, |member| match member.kind {
            EntryType::Directory => self.folder(&member.path),
            EntryType::Regular | EntryType::Continuous => {
                self.file(&member.path, member.size, member.content)
            }
            kind => Err(self.refused(&member.path, &format!("is a link or device ({kind:?})"))),
        })
    }

    fn unpack_zip(&mut self) -> Result<(), PrepError> {
        let broken = |e: zip::result::ZipError| refused(self.archive, format!("is damaged or cut ({e})"));
        let file = File::open(self.archive).map_err(PrepError::io(self.archive))?;
        let mut members = zip::ZipArchive::new(BufReader::new(file)).map_err(broken)?;
        for index in 0..members.len() {
            let mut member = members.by_index(index).map_err(broken)?;
            let path = PathBuf::from(member.name().map_err(broken)?.as_ref());
            let size = member.size();
            if member.is_dir() {
                self.folder(&path)?;
            } else if member.is_symlink() {
                return Err(self.refused(&path, "is a link"));
            } else {
                self.file(&path, size, &mut member)?;
            }
        }
        Ok(())
    }

    fn folder(&mut self, member: &Path) -> Result<(), PrepError> {
        match self.place(member, 0)? {
            Some(path) => fs::create_dir_all(&path).map_err(PrepError::io(&path)),
            None => Ok(()),
        }
    }

    fn file(&mut self, member: &Path, size: u64, content: &mut dyn Read) -> Result<(), PrepError> {
        let Some(path) = self.place(member, size)? else {
            return Ok(());
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(PrepError::io(folder))?;
        }
        let mut file = File::create_new(&path).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => self.refused(member, "comes twice"),
            _ => PrepError::io(&path)(e),
        })?;
        // One byte more than declared would show.
        let copied = io::copy(&mut content.take(size.saturating_add(1)), &mut file)
            .map_err(|e| self.refused(member, &format!("is damaged or cut ({e})")))?;
        if copied != size {
            return Err(self.refused(member, &format!("has {copied} of {size} bytes")));
        }
        Ok(())
    }

    /// Where a member belongs; `None` for what is outside of `top`.
    fn place(&mut self, member: &Path, size: u64) -> Result<Option<PathBuf>, PrepError> {
        self.members += 1;
        self.bytes = self.bytes.saturating_add(size);
        let Limits { max_file_bytes, max_total_bytes, max_members } = *self.limits;
        if size > max_file_bytes || self.bytes > max_total_bytes || self.members > max_members {
            let limit = format!(
                "goes beyond {max_file_bytes} bytes in a file, {max_total_bytes} bytes or {max_members} members in all"
            );
            return Err(self.refused(member, &limit));
        }
        let mut below = PathBuf::new();
        for component in member.components() {
            match component {
                Component::Normal(name) => below.push(name),
                Component::CurDir => {}
                _ => return Err(self.refused(member, "would lie outside of the folder")),
            }
        }
        let below = below.strip_prefix(self.top).ok().filter(|path| !path.as_os_str().is_empty());
        Ok(below.map(|path| self.staging.join(path)))
    }

    fn refused(&self, member: &Path, reason: &str) -> PrepError {
        refused(self.archive, format!("member {} {reason}", member.display()))
    }
}
