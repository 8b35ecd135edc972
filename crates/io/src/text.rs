//! Text files as people save them.

use crate::{Budget, OverBudget};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// First bytes of a gzip stream.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The byte order mark of UTF-8, which Windows editors write.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// What can be wrong with a line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The file system's or the decompressor's error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A longer line is not one of this kind of file.
    #[error("line {line} is longer than {limit} bytes; it is probably not a text file of this kind")]
    LongLine {
        /// Its number, from 1.
        line: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The bytes are not UTF-8.
    #[error("{} is not UTF-8; save the file as UTF-8", if *line == 0 { "the text".to_string() } else { format!("line {line}") })]
    Encoding {
        /// Line number, from 1; 0 where lines are not told apart.
        line: usize,
    },
    /// UTF-16, as Windows' "Unicode" is.
    #[error("the file is in UTF-16; save it as UTF-8")]
    Utf16,
    /// The file is too large.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
}

/// Opens a file and unpacks it where its first bytes are gzip's, whatever its name; a byte order mark is passed over.
///
/// # Errors
/// A file that cannot be opened or begins with a damaged gzip header.
pub fn open(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    let mut file = File::open(path)?;
    // Pipes may give one byte at a time, so the first two are read and put back.
    let mut start = Vec::new();
    file.by_ref().take(GZIP.len() as u64).read_to_end(&mut start)?;
    let is_packed = start == GZIP;
    let whole = io::Cursor::new(start).chain(file);
    let mut reader: Box<dyn BufRead + Send> = match is_packed {
        true => Box::new(BufReader::new(MultiGzDecoder::new(whole))),
        false => Box::new(BufReader::new(whole)),
    };
    let mut mark = Vec::new();
    reader.by_ref().take(MARK.len() as u64).read_to_end(&mut mark)?;
    if mark == MARK {
        mark.clear();
    }
    Ok(Box::new(io::Cursor::new(mark).chain(reader)))
}

/// A whole text file, unpacked, without its byte order mark.
///
/// # Errors
/// A file that cannot be read, is larger than `budget`, or is not UTF-8.
pub fn read_to_string(path: &Path, budget: &mut Budget) -> Result<String, TextError> {
    let bytes = budget.read_to_end(open(path)?)?;
    refuse_utf16(&bytes)?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        TextError::Encoding { line: before.iter().filter(|&&byte| byte == b'\n').count() + 1 }
    })
}

/// Text without a byte order mark at its start.
pub fn strip_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn refuse_utf16(start: &[u8]) -> Result<(), TextError> {
    match start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
        true => Err(TextError::Utf16),
        false => Ok(()),
    }
}

/// The lines of a text, numbered from 1, without their ends, in a buffer that is used again.
///
/// ```
/// let mut lines = auricle_io::Lines::new("one\r\ntwo\n".as_bytes(), 1024);
/// assert_eq!(lines.next_line()?, Some((1, "one")));
/// assert_eq!(lines.next_line()?, Some((2, "two")));
/// assert_eq!(lines.next_line()?, None);
/// # Ok::<(), auricle_io::TextError>(())
/// ```
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    number: usize,
    limit: usize,
}

impl<R: BufRead> Lines<R> {
    /// Lines of at most `limit` bytes.
    pub fn new(reader: R, limit: usize) -> Self {
        Self { reader, buffer: Vec::new(), number: 0, limit }
    }

    /// The next line and its number; `None` at the end. After a line that is too long or not UTF-8 the next call
    /// goes on behind it.
    ///
    /// # Errors
    /// What the reader says; a line above the limit; a line that is not UTF-8.
    pub fn next_line(&mut self) -> Result<Option<(usize, &str)>, TextError> {
        self.buffer.clear();
        let allowed = self.limit as u64 + 2;
        if self.reader.by_ref().take(allowed).read_until(b'\n', &mut self.buffer)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.number == 1 {
            refuse_utf16(&self.buffer)?;
        }
        let ended = self.buffer.ends_with(b"\n");
        if !ended && self.buffer.len() as u64 == allowed {
            self.pass_over()?;
            return Err(TextError::LongLine { line: self.number, limit: self.limit });
        }
        let mut line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.number == 1 {
            line = line.strip_prefix(MARK).unwrap_or(line);
        }
        if line.len() > self.limit {
            return Err(TextError::LongLine { line: self.number, limit: self.limit });
        }
        match std::str::from_utf8(line) {
            Ok(line) => Ok(Some((self.number, line))),
            Err(_) => Err(TextError::Encoding { line: self.number }),
        }
    }

    /// Reads to the end of the line without keeping it.
    fn pass_over(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            match buffer.iter().position(|&byte| byte == b'\n') {
                Some(at) => {
                    self.reader.consume(at + 1);
                    return Ok(());
                }
                None => {
                    let length = buffer.len();
                    self.reader.consume(length);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn lines(text: &[u8], limit: usize) -> Vec<Result<String, String>> {
        let mut lines = Lines::new(text, limit);
        let mut all = Vec::new();
        loop {
            match lines.next_line() {
                Ok(None) => return all,
                Ok(Some((_, line))) => all.push(Ok(line.to_string())),
                Err(error) => all.push(Err(error.to_string())),
            }
        }
    }

    #[test]
    fn lines_lose_their_ends_and_the_mark() {
        assert_eq!(
            lines("\u{feff}a\r\nb\n\nc".as_bytes(), 8),
            ["a", "b", "", "c"].map(|l| Ok(l.to_string()))
        );
        assert_eq!(lines(b"12345678\r\n12345678", 8), ["12345678"; 2].map(|l| Ok(l.to_string())));
    }

    #[test]
    fn a_bad_line_is_told_and_the_next_one_read() {
        let long = lines(b"123456789\nb\n", 8);
        assert!(long[0].as_ref().is_err_and(|e| e.contains("line 1 is longer than 8 bytes")), "{long:?}");
        assert_eq!(long[1..], [Ok("b".to_string())]);
        let much = lines(&[b"a\n".to_vec(), vec![b'x'; 100_000], b"\nb".to_vec()].concat(), 8);
        assert!(much[1].is_err() && much[2] == Ok("b".to_string()) && much.len() == 3, "{much:?}");
        let latin = lines(b"caf\xe9\nb", 8);
        assert!(latin[0].as_ref().is_err_and(|e| e.contains("UTF-8")) && latin[1] == Ok("b".to_string()));
        assert!(lines(b"\xff\xfea\0\n\0", 8)[0].as_ref().is_err_and(|e| e.contains("UTF-16")));
    }

    #[test]
    fn gzip_is_known_by_its_bytes_and_bounded_by_the_budget() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("no-ending");
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all("\u{feff}ten\n".as_bytes()).unwrap();
        std::fs::write(&path, packed.finish().unwrap()).unwrap();
        assert_eq!(read_to_string(&path, &mut Budget::new("a text", 100)).unwrap(), "ten\n");
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        for _ in 0..64 {
            bomb.write_all(&[b'a'; 1 << 16]).unwrap();
        }
        std::fs::write(&path, bomb.finish().unwrap()).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() < 8192);
        let error = read_to_string(&path, &mut Budget::new("a text", 1 << 20)).unwrap_err();
        assert!(error.to_string().contains("a text would take more than 1 MiB"), "{error}");
    }

    #[test]
    fn the_line_that_is_not_utf8_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latin.txt");
        std::fs::write(&path, b"one\ntw\xf6\n").unwrap();
        let error = read_to_string(&path, &mut Budget::new("a text", 100)).unwrap_err();
        assert!(error.to_string().starts_with("line 2 is not UTF-8"), "{error}");
    }
}
