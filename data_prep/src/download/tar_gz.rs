//! The members of a `.tar.gz`, with long names read within limits.
//!
//! A tar archive can give a name or attributes in members of their own, before the one that they belong to. A reader that
//! trusts their size holds gigabytes of a file of megabytes; here they may have [`MAX_HEADER_BYTES`].

use crate::PrepError;
use flate2::read::MultiGzDecoder;
use std::io::{self, Read};
use std::path::PathBuf;
use tar::EntryType;

/// A longer name, or more attributes, are none of a corpus.
const MAX_HEADER_BYTES: u64 = 64 << 10;

/// A member, with what its own headers say of it.
pub(super) struct Member<'a> {
    pub path: PathBuf,
    pub kind: EntryType,
    pub size: u64,
    pub content: &'a mut dyn Read,
}

/// A compressed archive.
pub(super) struct TarGz<R> {
    reader: io::Take<MultiGzDecoder<R>>,
}

/// What comes before a member and is about it.
#[derive(Default)]
struct Ahead {
    path: Option<PathBuf>,
    size: Option<u64>,
}

impl<R: Read> TarGz<R> {
    /// An archive of at most `max_bytes` when it is unpacked.
    pub fn new(reader: R, max_bytes: u64) -> Self {
        Self { reader: MultiGzDecoder::new(reader).take(max_bytes) }
    }

    /// Calls `each` with every member; `broken` makes an error of what the archive's reader says.
    ///
    /// # Errors
    /// A damaged or cut archive; names or attributes that are too long; what `each` returns.
    pub fn for_each(
        &mut self,
        broken: &impl Fn(io::Error) -> PrepError,
        mut each: impl FnMut(Member<'_>) -> Result<(), PrepError>,
    ) -> Result<(), PrepError> {
        let mut ahead = Ahead::default();
        let mut archive = tar::Archive::new(&mut self.reader);
        for entry in archive.entries().map_err(broken)?.raw(true) {
            let mut entry = entry.map_err(broken)?;
            let size = entry.size();
            match entry.header().entry_type() {
                EntryType::GNULongName => {
                    let name = header(&mut entry, size).map_err(broken)?;
                    let name = name.strip_suffix(b"\0").unwrap_or(&name);
                    ahead.path = Some(path(name).map_err(broken)?);
                }
                EntryType::XHeader => {
                    attributes(&header(&mut entry, size).map_err(broken)?, &mut ahead).map_err(broken)?;
                }
                // Attributes of all members: dates and comments.
                EntryType::XGlobalHeader => drop(header(&mut entry, size).map_err(broken)?),
                kind => {
                    let Ahead { path, size: said } = std::mem::take(&mut ahead);
                    if said.is_some_and(|said| said != size) {
                        // Sizes above 8 GiB, which no file of a corpus has.
                        return Err(broken(invalid("the attributes of a member say another size than it")));
                    }
                    let path = match path {
                        Some(path) => path,
                        None => entry.path().map_err(broken)?.into_owned(),
                    };
                    each(Member { path, kind, size, content: &mut entry })?;
                }
            }
        }
        // The check sum stands at the very end.
        io::copy(&mut self.reader, &mut io::sink()).map_err(broken)?;
        Ok(())
    }
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// The content of a member that is a header.
fn header(entry: &mut impl Read, size: u64) -> io::Result<Vec<u8>> {
    if size > MAX_HEADER_BYTES {
        return Err(invalid(&format!("a name or attributes of {size} bytes, more than {MAX_HEADER_BYTES}")));
    }
    let mut content = Vec::new();
    entry.take(size).read_to_end(&mut content)?;
    Ok(content)
}

fn path(name: &[u8]) -> io::Result<PathBuf> {
    std::str::from_utf8(name).map(PathBuf::from).map_err(|_| invalid("a name that is not UTF-8"))
}

/// Records `LENGTH NAME=VALUE\n` of POSIX's attributes.
fn attributes(mut content: &[u8], ahead: &mut Ahead) -> io::Result<()> {
    let damaged = || invalid("damaged attributes of a member");
    while !content.is_empty() {
        let blank = content.iter().position(|&byte| byte == b' ').ok_or_else(damaged)?;
        let length = std::str::from_utf8(&content[..blank]).ok().and_then(|length| length.parse().ok());
        let length: usize = length.filter(|&length| length > blank + 1).ok_or_else(damaged)?;
        let record = content.get(blank + 1..length).and_then(|record| record.strip_suffix(b"\n"));
        let record = record.ok_or_else(damaged)?;
        let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(damaged)?;
        let (name, value) = (&record[..equals], &record[equals + 1..]);
        match name {
            b"path" => ahead.path = Some(path(value)?),
            b"size" => {
                let size = std::str::from_utf8(value).ok().and_then(|size| size.parse().ok());
                ahead.size = Some(size.ok_or_else(damaged)?);
            }
            _ => {}
        }
        content = &content[length..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;
    use tar::Header;

    fn member(name: &str, kind: EntryType, size: u64, content: &[u8]) -> Vec<u8> {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    fn plain(name: &str, kind: EntryType, content: &[u8]) -> Vec<u8> {
        member(name, kind, content.len() as u64, content)
    }

    /// What is found: names and contents, or why it is refused.
    fn read(tar: &[u8]) -> Result<Vec<(String, usize)>, String> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(tar).unwrap();
        let packed = packed.finish().unwrap();
        let mut found = Vec::new();
        let broken = |e: io::Error| PrepError::layout(std::path::Path::new("a.tar.gz"), e.to_string());
        let result = TarGz::new(packed.as_slice(), 1 << 20).for_each(&broken, |member| {
            let copied = io::copy(&mut member.content.take(member.size), &mut io::sink()).map_err(broken)?;
            found.push((member.path.display().to_string(), copied as usize));
            Ok(())
        });
        result.map(|()| found).map_err(|e| e.to_string())
    }

    #[test]
    fn long_names_of_both_kinds_are_read() {
        let long = format!("top/{}/x.wav", "deep/".repeat(60));
        let record = |text: &str| {
            let mut length = text.len() + 3;
            while format!("{length} {text}\n").len() != length {
                length += 1;
            }
            format!("{length} {text}\n")
        };
        let mut tar = plain("././@LongLink", EntryType::GNULongName, format!("{long}\0").as_bytes());
        tar.extend(plain("cut", EntryType::Regular, b"12"));
        let attributes = record("mtime=1.5") + &record(&format!("path={long}")) + &record("size=3");
        tar.extend(plain("p", EntryType::XHeader, attributes.as_bytes()));
        tar.extend(plain("cut", EntryType::Regular, b"123"));
        tar.extend(plain("plain", EntryType::Regular, b"1"));
        tar.extend([0; 1024]);
        assert_eq!(read(&tar).unwrap(), [(long.clone(), 2), (long, 3), ("plain".into(), 1)]);
        let mut other = plain("p", EntryType::XHeader, record("size=9999999999").as_bytes());
        other.extend(plain("x", EntryType::Regular, b"123"));
        assert!(read(&other).unwrap_err().contains("another size"));
    }

    #[test]
    fn a_header_of_gigabytes_is_refused_before_it_is_read() {
        for kind in [EntryType::GNULongName, EntryType::XHeader, EntryType::XGlobalHeader] {
            let tar = member("p", kind, 2 << 30, &[b'a'; 4096]);
            let message = read(&tar).unwrap_err();
            assert!(message.contains("2147483648 bytes"), "{kind:?}: {message}");
        }
    }

    #[test]
    fn damaged_archives_end_in_an_error_or_in_what_is_whole() {
        let mut tar = plain("p", EntryType::XHeader, b"12 path=a/b\n");
        tar.extend(plain("x", EntryType::Regular, &[7; 700]));
        tar.extend(plain("././@LongLink", EntryType::GNULongName, b"c/d\0"));
        tar.extend(plain("y", EntryType::Regular, b"1"));
        tar.extend([0; 1024]);
        let mut stream = Key::new(1).stream(Purpose::Noise);
        let (mut read_whole, mut refused) = (0, 0);
        for _ in 0..400 {
            let mut changed = tar.clone();
            for _ in 0..=stream.below(4) {
                let at = stream.below(changed.len());
                changed[at] = stream.below(256) as u8;
            }
            changed.truncate(changed.len() - stream.below(2) * stream.below(2000));
            match read(&changed) {
                Ok(found) => read_whole += usize::from(found.len() <= 4),
                Err(_) => refused += 1,
            }
        }
        assert_eq!(read_whole + refused, 400);
        assert!(read_whole > 20 && refused > 20, "{read_whole} read, {refused} refused");
    }
}
