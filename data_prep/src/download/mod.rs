//! Official archives over HTTP, resumable.

mod archive;
mod md5;
mod tar_gz;
#[cfg(test)]
mod tests;

use crate::PrepError;
use crate::listing::root_of;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::Response;
use ureq::{Agent, Body};

/// An official archive.
#[derive(Debug)]
pub(crate) struct Archive {
    /// Below the mirror's address; ends in `.tar.gz` or `.zip`.
    pub path: &'static str,
    /// The folder of the corpus that is there when the archive has been unpacked.
    pub provides: &'static str,
    /// Its published MD5, in hexadecimal; without one only the archive's own check sums tell damage.
    pub md5: Option<&'static str>,
}

impl Archive {
    /// An archive with a published check sum.
    pub const fn new(path: &'static str, provides: &'static str, md5: &'static str) -> Self {
        Self { path, provides, md5: Some(md5) }
    }
}

/// So many attempts in a row that bring no byte are the end.
const MAX_FRUITLESS: u32 = 4;

/// A larger file is none of the archives: the largest has 30 GB.
const MAX_ARCHIVE_BYTES: u64 = 64 << 30;

/// A connection on which nothing moves for so long is given up.
const STALLED: Duration = Duration::from_secs(60);

/// Where archives come from.
pub(crate) struct Mirror {
    base: String,
    agent: Agent,
    /// Before the second attempt; doubled for each further one.
    pause: Duration,
    limits: archive::Limits,
}

/// Why an attempt ended.
enum Failure {
    /// Another attempt may do better.
    Passing(String),
    /// It would not.
    Final(String),
    /// The disk, not the network.
    Disk(PrepError),
}

impl Mirror {
    /// OpenSLR.
    pub fn openslr() -> Self {
        let agent = Agent::config_builder()
            .user_agent(concat!("auricle/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .timeout_connect(Some(STALLED))
            .timeout_recv_response(Some(STALLED))
            .timeout_per_read(Some(STALLED))
            .build();
        Self {
            base: "https://www.openslr.org/resources".to_owned(),
            agent: agent.into(),
            pause: Duration::from_secs(1),
            limits: archive::Limits::default(),
        }
    }

    /// Fetches and unpacks every archive whose folder is not there yet. `top` is the folder that the
    /// archives hold everything in; its content comes to be in the corpus folder itself.
    ///
    /// # Errors
    /// No network, a refusal of the server, a damaged or unacceptable archive.
    pub fn fetch_missing(
        &self,
        archives: &[Archive],
        top: &str,
        source: &Path,
        report: &mut dyn FnMut(&str),
    ) -> Result<(), PrepError> {
        fs::create_dir_all(source).map_err(PrepError::io(source))?;
        let folder = root_of(source, top);
        for archive in archives {
            if folder.join(archive.provides).is_dir() {
                continue;
            }
            let file = self.fetch(archive, &folder, report)?;
            verify(archive, &file, report)?;
            report(&format!("unpacking {}", file.display()));
            archive::unpack(&file, top, archive.provides, &folder, &self.limits)?;
            fs::remove_file(&file).map_err(PrepError::io(&file))?;
        }
        Ok(())
    }

    /// The whole archive as a file in `folder`. What has come of it so far is in `<file>.part`.
    fn fetch(
        &self,
        archive: &Archive,
        folder: &Path,
        report: &mut dyn FnMut(&str),
    ) -> Result<PathBuf, PrepError> {
        let name = archive.path.rsplit('/').next().unwrap_or(archive.path);
        let (file, part) = (folder.join(name), folder.join(format!("{name}.part")));
        if file.is_file() {
            return Ok(file);
        }
        let url = format!("{}/{}", self.base, archive.path);
        let failed = |reason| PrepError::Download { url: url.clone(), reason, folder: folder.to_owned() };
        let mut fruitless = 0;
        loop {
            let before = length(&part);
            match self.attempt(&url, name, &part, report) {
                Ok(()) => {
                    fs::rename(&part, &file).map_err(PrepError::io(&file))?;
                    return Ok(file);
                }
                Err(Failure::Disk(e)) => return Err(e),
                Err(Failure::Final(reason)) => return Err(failed(reason)),
                Err(Failure::Passing(reason)) => {
                    fruitless = if length(&part) > before { 0 } else { fruitless + 1 };
                    if fruitless == MAX_FRUITLESS {
                        return Err(failed(reason));
                    }
                    report(&format!(
                        "{name}: interrupted at {} ({reason}), trying again",
                        mib(length(&part))
                    ));
                    std::thread::sleep(self.pause * (1 << fruitless));
                }
            }
        }
    }

    /// Adds to `part` until it is whole.
    fn attempt(
        &self,
        url: &str,
        name: &str,
        part: &Path,
        report: &mut dyn FnMut(&str),
    ) -> Result<(), Failure> {
        let disk = |e| Failure::Disk(PrepError::io(part)(e));
        let mut have = length(part);
        let mut request = self.agent.get(url);
        if have > 0 {
            request = request.header("range", format!("bytes={have}-"));
        }
        let response = request.call().map_err(|e| Failure::Passing(e.to_string()))?;
        let range = content_range(&response);
        let total = match response.status().as_u16() {
            // Ranges are not served: from the beginning.
            200 => {
                have = 0;
                response.body().content_length()
            }
            206 => match range {
                Some((Some(start), total)) if start == have => total,
                _ => return Err(Failure::Final("the server sent another range than was asked for".into())),
            },
            // There is nothing behind what is here.
            416 if range.is_some_and(|(_, total)| total == Some(have)) => return Ok(()),
            416 => {
                fs::remove_file(part).map_err(disk)?;
                return Err(Failure::Passing("the file on the server is another one now".into()));
            }
            status @ (408 | 429 | 500..) => return Err(Failure::Passing(format!("HTTP status {status}"))),
            status => return Err(Failure::Final(format!("HTTP status {status}"))),
        };
        if total.is_some_and(|total| total > MAX_ARCHIVE_BYTES) {
            return Err(Failure::Final(format!("more than {}", mib(MAX_ARCHIVE_BYTES))));
        }
        let mut file = OpenOptions::new().create(true).append(true).open(part).map_err(disk)?;
        file.set_len(have).map_err(disk)?;
        let mut body = response.into_body().into_reader();
        let result = copy(&mut body, &mut file, have, total, &mut |bytes, percent| {
            let of = total.map_or_else(String::new, |total| format!(" of {}, {percent} %", mib(total)));
            report(&format!("{name}: {}{of}", mib(bytes)));
        });
        file.sync_all().map_err(disk)?;
        match (result?, total) {
            (bytes, Some(total)) if bytes != total => {
                Err(Failure::Passing(format!("{bytes} of {total} bytes came")))
            }
            _ => Ok(()),
        }
    }
}

/// Compares a fetched archive with its published check sum.
fn verify(archive: &Archive, file: &Path, report: &mut dyn FnMut(&str)) -> Result<(), PrepError> {
    let Some(published) = archive.md5 else {
        report(&format!("note: no check sum of {} is published", archive.path));
        return Ok(());
    };
    let found = File::open(file).and_then(md5::md5).map_err(PrepError::io(file))?;
    if found == published {
        return Ok(());
    }
    let reason = format!("its MD5 is {found}, the published one {published}");
    Err(PrepError::Archive { archive: file.to_owned(), reason })
}

/// Copies, reporting every 5 %, or every 256 MiB where the length is not known. Returns the
/// position reached.
fn copy(
    body: &mut impl Read,
    file: &mut File,
    mut position: u64,
    total: Option<u64>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, Failure> {
    let step = total.map_or(256 << 20, |total| (total / 20).max(1));
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = match body.read(&mut buffer) {
            Ok(0) => return Ok(position),
            Ok(read) => read,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Failure::Passing(e.to_string())),
        };
        file.write_all(buffer.get(..read).unwrap_or_default())
            .map_err(|e| Failure::Final(format!("it could not be written: {e}")))?;
        let before = position / step;
        position += read as u64;
        if position > MAX_ARCHIVE_BYTES {
            return Err(Failure::Final(format!("more than {}", mib(MAX_ARCHIVE_BYTES))));
        }
        if position / step > before {
            progress(position, total.map_or(0, |total| 100 * position / total.max(1)));
        }
    }
}

/// First byte and length of the whole, of a header such as `bytes 5-9/10` or `bytes */10`.
fn content_range(response: &Response<Body>) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) =
        response.headers().get("content-range")?.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-').and_then(|(start, _)| start.trim().parse().ok());
    Some((start, total.trim().parse().ok()))
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
