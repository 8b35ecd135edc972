//! The one writer of all commands: what a command says on its two streams.
//!
//! - [`outln!`] and [`out!`] write to the standard output. Where nobody reads it any more (`auricle … | head -1`)
//!   they do nothing, and the program ends with status 141, as others do; where it cannot be written (a full disk) the
//!   program ends with an error. Neither ends work that is under way, and neither panics.
//! - [`errln!`] and [`err!`] write to the error stream, and never fail: a terminal that is gone must not end a training.
//! - Control characters are shown and not sent: names and texts come from files, and a terminal obeys what it is sent.

use anyhow::{Context as _, Result};
use auricle_io::AtomicFile;
use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Writes a line to the standard output.
macro_rules! outln {
    ($($text:tt)*) => { $crate::shared::out::standard(format_args!($($text)*), "\n") };
}

/// Writes to the standard output.
macro_rules! out {
    ($($text:tt)*) => { $crate::shared::out::standard(format_args!($($text)*), "") };
}

/// Writes a line to the error stream.
macro_rules! errln {
    ($($text:tt)*) => { $crate::shared::out::error(format_args!($($text)*), "\n") };
}

/// Exit status of a program whose reader is gone: 128 and SIGPIPE.
const NOBODY_READS: u8 = 141;

/// The first failure of the standard output; nothing is written after it.
static FAILED: OnceLock<io::Error> = OnceLock::new();

/// What [`outln!`] does.
pub fn standard(text: fmt::Arguments<'_>, end: &str) {
    if FAILED.get().is_some() {
        return;
    }
    let written = send(&mut io::stdout().lock(), text, end);
    if let Err(error) = written {
        FAILED.set(error).ok();
    }
}

/// What [`errln!`] does.
pub fn error(text: fmt::Arguments<'_>, end: &str) {
    send(&mut io::stderr().lock(), text, end).ok();
}

/// In one piece, so that lines of two threads do not mix.
fn send(stream: &mut dyn io::Write, text: fmt::Arguments<'_>, end: &str) -> io::Result<()> {
    let mut line = String::new();
    // Writing to a String cannot fail.
    line.write_fmt(text).ok();
    let mut line = plain(&line).into_owned();
    line.push_str(end);
    stream.write_all(line.as_bytes())
}

/// Whether the standard output can still be written.
pub fn is_open() -> bool {
    FAILED.get().is_none()
}

/// The standard output's part in how the program ends: a status where nobody reads it, an error where it cannot be
/// written.
pub fn finish() -> Result<Option<u8>> {
    if let (None, Err(error)) = (FAILED.get(), io::stdout().lock().flush()) {
        FAILED.set(error).ok();
    }
    match FAILED.get() {
        None => Ok(None),
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Some(NOBODY_READS)),
        Some(error) => anyhow::bail!("the standard output cannot be written: {error}"),
    }
}

/// A text without control characters: `\u001b` stands for an escape, as in JSON. Ends of lines and tabs stay.
pub fn plain(text: &str) -> Cow<'_, str> {
    shown(text, |c| c.is_control() && !matches!(c, '\n' | '\t'))
}

/// The same on one line, for a name or a value in the middle of others.
pub fn one_line(text: &str) -> Cow<'_, str> {
    shown(text, char::is_control)
}

fn shown(text: &str, hides: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&hides) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hides(c) {
            // Control characters are all below 2¹⁶, and writing to a String cannot fail.
            write!(shown, "\\u{:04x}", u32::from(c)).ok();
        } else {
            shown.push(c);
        }
    }
    shown.into()
}

/// Where a command's result goes: the standard output, or a file that appears when it is whole.
pub enum Sink {
    /// The standard output.
    Standard,
    /// A file, and where it will be.
    File(BufWriter<AtomicFile>, PathBuf),
}

impl Sink {
    /// A file where a path is given.
    ///
    /// # Errors
    /// A file that cannot be made: found out now, and not after hours of work.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::Standard) };
        let file = AtomicFile::create(path).with_context(|| path.display().to_string())?;
        Ok(Self::File(BufWriter::new(file), path.to_path_buf()))
    }

    /// Writes a piece of text. Nothing more needs to be computed after an error.
    ///
    /// # Errors
    /// A file or a standard output that cannot be written.
    pub fn write(&mut self, text: &str) -> Result<()> {
        match self {
            Self::File(file, path) => {
                file.write_all(text.as_bytes()).with_context(|| path.display().to_string())
            }
            Self::Standard => {
                out!("{text}");
                if is_open() { Ok(()) } else { Err(Stopped.into()) }
            }
        }
    }

    /// Makes the file appear.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn finish(self) -> Result<()> {
        let Self::File(file, path) = self else { return Ok(()) };
        let named = || path.display().to_string();
        let file = file.into_inner().map_err(io::IntoInnerError::into_error).with_context(named)?;
        file.commit().with_context(named)
    }
}

/// Work was given up because its standard output is gone; [`finish`] says how.
#[derive(Debug, thiserror::Error)]
#[error("the standard output is gone")]
pub struct Stopped;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_sent_no_escape() {
        // An escape, its one-byte form, a bell, a backspace, a return that overwrites the line; letters of all kinds stay.
        let hostile = "\u{1b}]0;title\u{7}\u{9b}31m\u{8}\rnaïve 漢字 العربية\tend\n";
        assert_eq!(plain(hostile), "\\u001b]0;title\\u0007\\u009b31m\\u0008\\u000dnaïve 漢字 العربية\tend\n");
        assert_eq!(one_line("a\nlicence CC0"), "a\\u000alicence CC0");
        assert!(matches!(plain("plain text\n"), Cow::Borrowed(_)));
        // In JSON the shown form means the same character.
        let json = serde_json::to_string("del \u{7f}, csi \u{9b}").unwrap();
        let back: String = serde_json::from_str(&plain(&json)).unwrap();
        assert_eq!(back, "del \u{7f}, csi \u{9b}");
    }

    #[test]
    fn a_full_output_is_an_error_and_no_panic() {
        struct Full;
        impl io::Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let error = send(&mut Full, format_args!("text"), "\n").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_file_appears_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.txt");
        let (mut first, mut second) = (Sink::open(Some(&path)).unwrap(), Sink::open(Some(&path)).unwrap());
        first.write("one\n").unwrap();
        second.write("two\n").unwrap();
        assert!(!path.exists());
        drop(first);
        second.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let error = Sink::open(Some(&folder.path().join("none/x"))).err().unwrap();
        assert!(format!("{error:#}").contains("none"), "{error:#}");
    }
}
