//! Lists as files: their lines within limits, and what is found while they are read.

use crate::{DataError, Utterance};
use auricle_io::{Budget, Lines, TextError};
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// A longer line is none of a list: an hour with a time for every word takes one MiB.
pub(crate) const MAX_LINE_BYTES: usize = 4 << 20;

/// What an utterance takes in memory beyond the characters of its line, about.
const LINE_COST: u64 = 384;

/// What a list may take in memory: this much, and so many times the size of its file. Real lists take 10 times their
/// size, 40 times where they are zipped; a file made to fill the memory takes thousands.
const BASE_BYTES: u64 = 128 << 20;
const BYTES_PER_BYTE: u64 = 64;

/// File name extensions that count as audio.
pub const AUDIO_EXTENSIONS: &[&str] = &["wav", "flac", "ogg", "oga", "mp3", "m4a", "mp4", "aac"];

/// Whether a file of that name is audio.
pub(crate) fn is_audio_name(name: &str) -> bool {
    let extension = Path::new(name).extension().unwrap_or_default();
    AUDIO_EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// A line of a list that is no utterance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenLine {
    /// The file that it stands in.
    pub file: PathBuf,
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// What a list or a folder holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// What can be used.
    pub utterances: Vec<Utterance>,
    /// Lines that are no utterance. Empty where these are errors.
    pub broken: Vec<BrokenLine>,
    /// What was written but is not used, or was guessed: a sentence each.
    pub notes: Vec<String>,
}

/// A reading under way.
pub(crate) struct Collector {
    lenient: bool,
    pub(crate) reading: Reading,
}

impl Collector {
    /// A broken line ends the reading: nothing is trained on half a list.
    pub(crate) fn strict() -> Self {
        Self { lenient: false, reading: Reading::default() }
    }

    /// A broken line is passed over and kept, for the doctor.
    pub(crate) fn lenient() -> Self {
        Self { lenient: true, reading: Reading::default() }
    }

    pub(crate) fn is_lenient(&self) -> bool {
        self.lenient
    }

    pub(crate) fn push(&mut self, utterance: Utterance) {
        self.reading.utterances.push(utterance);
    }

    /// Notes something about the file or folder `of`.
    pub(crate) fn note(&mut self, of: &Path, text: impl AsRef<str>) {
        self.reading.notes.push(format!("{}: {}", of.display(), text.as_ref()));
    }

    /// What becomes of a line that may be broken.
    pub(crate) fn take(&mut self, result: Result<(), DataError>) -> Result<(), DataError> {
        match result {
            Err(DataError::Line { path, line, reason }) if self.lenient => {
                self.reading.broken.push(BrokenLine { file: path, line, reason });
                Ok(())
            }
            result => result,
        }
    }
}

/// Opens a list: unpacked where it is zipped, without a byte order mark.
pub(crate) fn open(path: &Path) -> Result<Box<dyn BufRead + Send>, DataError> {
    let mut reader = auricle_io::open(path).map_err(DataError::io(path))?;
    let start = reader.fill_buf().map_err(DataError::io(path))?;
    match start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
        true => Err(text_error(path, TextError::Utf16)),
        false => Ok(reader),
    }
}

/// What the list at a path may take in memory.
pub(crate) fn budget(path: &Path) -> Budget {
    let size = std::fs::metadata(path).map_or(0, |found| found.len());
    Budget::new("this list", BASE_BYTES.saturating_add(size.saturating_mul(BYTES_PER_BYTE)))
}

/// Calls `each` with every non-empty line, or why it is none, and its number.
pub(crate) fn for_each_line(
    path: &Path,
    mut each: impl FnMut(usize, Result<&str, DataError>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut lines = Lines::new(open(path)?, MAX_LINE_BYTES);
    let mut budget = budget(path);
    loop {
        match lines.next_line() {
            Ok(None) => return Ok(()),
            Ok(Some((number, line))) => {
                let line = line.trim();
                if !line.is_empty() {
                    charge(path, &mut budget, line.len() as u64 + LINE_COST)?;
                    each(number, Ok(line))?;
                }
            }
            Err(error @ (TextError::LongLine { line, .. } | TextError::Encoding { line })) => {
                charge(path, &mut budget, LINE_COST)?;
                each(line, Err(DataError::line(path, line, without_number(&error))))?;
            }
            Err(error) => return Err(text_error(path, error)),
        }
    }
}

/// Takes from a list's budget.
pub(crate) fn charge(path: &Path, budget: &mut Budget, bytes: u64) -> Result<(), DataError> {
    budget.charge(bytes).map_err(|error| DataError::layout(path, error.to_string()))
}

/// A whole text beside a recording, which is one transcript.
pub(crate) fn read_text(path: &Path) -> Result<String, DataError> {
    let mut budget = Budget::new("a transcript", 1 << 20);
    auricle_io::read_to_string(path, &mut budget).map_err(|error| text_error(path, error))
}

fn text_error(path: &Path, error: TextError) -> DataError {
    match error {
        TextError::Io(source) => DataError::io(path)(source),
        TextError::LongLine { line, .. } | TextError::Encoding { line } if line > 0 => {
            DataError::line(path, line, without_number(&error))
        }
        error => DataError::layout(path, error.to_string()),
    }
}

/// The message without "line 7", which the error about the list says already.
fn without_number(error: &TextError) -> String {
    match error {
        TextError::LongLine { limit, .. } => format!("longer than {limit} bytes: not a line of a list"),
        TextError::Encoding { .. } => "not UTF-8 text; save the file in that encoding".to_owned(),
        other => other.to_string(),
    }
}

/// A path as written in a list: absolute, below the list's folder, or below the working directory.
pub(crate) fn resolve(list: &Path, written: &str) -> PathBuf {
    let path = PathBuf::from(written);
    let beside = list.parent().unwrap_or(Path::new("")).join(&path);
    if path.is_absolute() || !beside.exists() && path.exists() { path } else { beside }
}

/// The file name without its extension.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// A path below a folder as an id, with `-` for `/`.
pub(crate) fn path_id(root: &Path, file: &Path) -> String {
    let below = file.strip_prefix(root).unwrap_or(file);
    let parts = below.components().filter(|c| matches!(c, std::path::Component::Normal(_)));
    let parts: Vec<_> = parts.map(|c| c.as_os_str().to_string_lossy()).collect();
    parts.join("-")
}

/// The first names of several, and how many more there are.
pub(crate) fn first_names<T: std::fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 8;
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(SHOWN);
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// Refuses an id that comes twice.
pub(crate) fn refuse_repeats(path: &Path, utterances: &[Utterance]) -> Result<(), DataError> {
    let mut sorted: Vec<&Utterance> = utterances.iter().collect();
    sorted.sort_by(|a, b| a.id.cmp(&b.id));
    let Some(pair) = sorted.windows(2).find(|pair| pair[0].id == pair[1].id) else { return Ok(()) };
    let of = match pair[0].audio == pair[1].audio {
        true => String::new(),
        false => format!(" ({} and {})", pair[0].audio.display(), pair[1].audio.display()),
    };
    let reason = format!(
        "utterance id `{}` comes twice{of}; `auricle data check {} --fix FOLDER` keeps the first",
        pair[0].id,
        path.display()
    );
    Err(DataError::layout(path, reason))
}
