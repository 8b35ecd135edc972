//! Tables with a header, and LJSpeech's, which has none.

use super::record::{Field, Record, Records, field_of, names_of};
use crate::list::{Collector, MAX_LINE_BYTES, budget, charge, open};
use crate::{DataError, Utterance};
use serde_json::Value;
use std::cell::Cell;
use std::io::{self, BufRead as _, Read as _};
use std::path::Path;
use std::rc::Rc;

/// What stands between the fields of a row, likeliest first.
const SEPARATORS: [u8; 4] = [b',', b'\t', b';', b'|'];

/// A header longer than this is none.
const MAX_HEADER_BYTES: u64 = 64 << 10;

/// Reads a table whose header names at least an audio column (as SpeechBrain, Common Voice and Hugging Face write
/// them), with fields between commas, tabs, semicolons or bars; or LJSpeech's `metadata.csv`. Paths are relative to the
/// table, or to a folder `clips` or `wavs` beside it.
///
/// # Errors
/// No audio column; a row of another length; times that contradict each other or are no numbers.
pub fn read_table(path: &Path) -> Result<Vec<Utterance>, DataError> {
    let mut collector = Collector::strict();
    read(path, &mut collector)?;
    Ok(collector.reading.utterances)
}

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form {
    separator: u8,
    /// The names of LJSpeech's columns, which the file does not say.
    is_ljspeech: bool,
}

/// Whether a file is a table of audio.
pub(super) fn is_list(path: &Path) -> bool {
    form_of(path).is_ok()
}

pub(super) fn read(path: &Path, collector: &mut Collector) -> Result<(), DataError> {
    let form = form_of(path)?;
    let mut builder = csv::ReaderBuilder::new();
    // Sentences of Common Voice and LJSpeech have bare quotes.
    let is_quoted = form.separator != b'\t' && !form.is_ljspeech;
    builder.delimiter(form.separator).quoting(is_quoted).has_headers(!form.is_ljspeech);
    let bad = |line: usize, e: csv::Error| DataError::line(path, line, said(&e));
    let mut budget = budget(path);
    let taken = Rc::new(Cell::new(0));
    let mut reader = builder.from_reader(Rows { reader: open(path)?, taken: taken.clone() });
    let header: Vec<String> = match form.is_ljspeech {
        true => ["audio", "raw_text", "text"].map(str::to_owned).to_vec(),
        false => reader.headers().map_err(|e| bad(1, e))?.iter().map(|h| h.trim().to_owned()).collect(),
    };
    if let Some(twice) =
        (1..header.len()).find(|&i| !header[i].is_empty() && header[..i].contains(&header[i]))
    {
        return Err(DataError::line(path, 1, format!("column `{}` comes twice; rename one", header[twice])));
    }
    let mut records = Records::of(path);
    let begin = collector.reading.utterances.len();
    let mut row = csv::StringRecord::new();
    loop {
        taken.set(0);
        let line = reader.position().line() as usize;
        let read = reader.read_record(&mut row);
        if matches!(read, Ok(false)) {
            break;
        }
        if let Err(error) = &read
            && error.is_io_error()
        {
            return Err(DataError::line(path, line, said(error)));
        }
        charge(path, &mut budget, row.as_slice().len() as u64 + 96 * row.len() as u64 + 384)?;
        let line = row.position().map_or(line, |position| position.line() as usize);
        let utterance = read.map_err(|e| bad(line, e)).and_then(|_| {
            let record = record_of(&header, &row, form);
            record
                .and_then(|record| records.utterance(record))
                .map_err(|reason| DataError::line(path, line, reason))
        });
        let utterance = utterance.map(|utterance| collector.push(utterance));
        collector.take(utterance)?;
    }
    if let Some(note) = records.finish(&mut collector.reading.utterances[begin..]) {
        collector.note(path, note);
    }
    Ok(())
}

/// A reader that gives at most [`MAX_LINE_BYTES`] until its count is set back: a quote that is not closed makes one row of
/// the whole file.
struct Rows<R> {
    reader: R,
    taken: Rc<Cell<usize>>,
}

impl<R: io::Read> io::Read for Rows<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken.get() > MAX_LINE_BYTES {
            let reason = "a row of megabytes; is there a quote that is not closed?";
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
        }
        let read = self.reader.read(buffer)?;
        self.taken.set(self.taken.get() + read);
        Ok(read)
    }
}

/// A row by the names of its columns.
fn record_of(header: &[String], row: &csv::StringRecord, form: Form) -> Result<Record, String> {
    let mut record = Record::new();
    for (index, cell) in row.iter().enumerate() {
        let (cell, name) = (cell.trim(), header.get(index).map_or("", String::as_str));
        if cell.is_empty() {
            continue;
        }
        // pandas writes the number of the row in a first column without a name.
        if name.is_empty() && index == 0 && cell.parse::<u64>().is_ok() {
            continue;
        }
        if name.is_empty() {
            return Err(format!(
                "`{cell}` stands in column {}, which has no name; name it in the header",
                index + 1
            ));
        }
        record.insert(name.to_owned(), Value::String(cell.to_owned()));
    }
    // Where LJSpeech's text was not normalised, the written one is it.
    if form.is_ljspeech
        && !record.contains_key("text")
        && let Some(raw) = record.remove("raw_text")
    {
        record.insert("text".to_owned(), raw);
    }
    Ok(record)
}

/// Finds out how a table is written, by its first line.
///
/// # Errors
/// A file that cannot be read; a first line that names no audio column.
fn form_of(path: &Path) -> Result<Form, DataError> {
    let mut first = Vec::new();
    open(path)?.take(MAX_HEADER_BYTES).read_until(b'\n', &mut first).map_err(DataError::io(path))?;
    let first = String::from_utf8_lossy(&first);
    let first = first.trim_end_matches(['\r', '\n']);
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let usual = if name.ends_with(".tsv") { b'\t' } else { b',' };
    let names_audio = |separator: &u8| {
        let cells = first.split(char::from(*separator)).map(|cell| cell.trim().trim_matches('"'));
        cells.filter_map(field_of).any(|field| field == Field::Audio)
    };
    let separators = std::iter::once(usual).chain(SEPARATORS);
    if let Some(separator) = separators.into_iter().find(names_audio) {
        return Ok(Form { separator, is_ljspeech: false });
    }
    let cells: Vec<&str> = first.split('|').collect();
    if (2..=3).contains(&cells.len()) && Records::of(path).find_audio(cells[0].trim()).is_file() {
        return Ok(Form { separator: b'|', is_ljspeech: true });
    }
    let reason = format!("the header names no audio column; one of {} is needed", names_of(Field::Audio));
    Err(DataError::line(path, 1, reason))
}

/// The csv crate's message without its place, which the error about the list says already.
fn said(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!(
                "{len} fields, but the header has {expected_len}; complete the row, or put quotes around a separator in a text"
            )
        }
        csv::ErrorKind::Io(error) => error.to_string(),
        csv::ErrorKind::Utf8 { .. } => "not UTF-8 text; save the file in that encoding".to_owned(),
        _ => error.to_string(),
    }
}
