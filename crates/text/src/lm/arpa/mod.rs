//! ARPA files: n-grams as text, with logarithms to the base 10.

use super::pack::{MAGIC, unpack};
use super::trie::{Level, Misfit, Trie, UNSEEN};
use super::{BEGIN, END, LmError, MAX_ORDER, NgramLm, SPECIAL, UNKNOWN};
use crate::nfc;
use auricle_io::{Budget, Lines, TextError, atomic_write_with, open};
use std::collections::HashMap;
use std::io::{BufRead, BufWriter, Read as _, Write};
use std::path::Path;

/// A longer line is not of such a file.
const MAX_LINE_BYTES: usize = 64 << 10;
/// Smallest logarithm that is read.
const LEAST: f32 = -1000.0;
/// Logarithms are rounded: so little above 0 is 0.
const ROUNDING: f32 = 1e-4;
/// What separates fields, as KenLM has it: any other white space is part of a word.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];
/// Memory that a model may take: so many bytes, and so many for each byte of the file, which may be packed.
const MIN_BYTES: u64 = 256 << 20;
const BYTES_PER_BYTE: u64 = 32;
/// Memory of a model from a pipe, whose size is not known.
const PIPE_BYTES: u64 = 4 << 30;
/// What an n-gram takes while the trie is made, but for its units.
const NGRAM_BYTES: u64 = 64;
/// How some toolkits write the special units.
const MARKS: [(&str, u32); 3] = [("<UNK>", UNKNOWN), ("<S>", BEGIN), ("</S>", END)];

impl NgramLm {
    /// Reads an ARPA file, of this or another toolkit, packed by gzip or not, or a file of [`Self::save_packed`].
    ///
    /// What is found in the wild is read: a header of the toolkit's own, CRLF, a byte order mark, `-inf`, missing
    /// back-off weights, `<UNK>` for `<unk>`, n-grams whose last units are no n-gram (pruned models). Fields are
    /// parted by ASCII blanks only, as in KenLM. Units are brought into Unicode's normal form C. A model without
    /// `<unk>` gives unknown units a probability of 10⁻¹⁰⁰.
    ///
    /// # Errors
    /// The file cannot be read, or what is wrong with it, by line.
    pub fn load(path: &Path) -> Result<Self, LmError> {
        let io = |source| LmError::Io { path: path.into(), source };
        let found = std::fs::metadata(path).map_err(io)?;
        let limit = match found.is_file() {
            true => MIN_BYTES.saturating_add(found.len().saturating_mul(BYTES_PER_BYTE)),
            false => PIPE_BYTES,
        };
        read(open(path).map_err(io)?, limit).map_err(|fault| match fault {
            Fault::Io(source) => io(source),
            Fault::Packed(reason) => LmError::Packed { path: path.into(), reason },
            Fault::Line(line, reason) => LmError::Arpa { path: path.into(), line, reason },
        })
    }

    /// Writes an ARPA file, n-grams sorted. What [`Self::load`] reads of it is the same model. An older file is
    /// replaced when the new one is whole.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), LmError> {
        let written = atomic_write_with(path, |file| {
            let mut file = BufWriter::new(file);
            self.write(&mut file)?;
            file.flush()
        });
        written.map_err(|source: std::io::Error| LmError::Io { path: path.into(), source })
    }

    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let mut levels = self.trie.levels();
        levels.resize(self.order, Level::default());
        let counts: Vec<u64> = levels.iter().map(|level| level.logs.len() as u64).collect();
        write_header(out, &counts)?;
        for (i, level) in levels.iter().enumerate() {
            let length = i + 1;
            write_section(out, length)?;
            for (entry, units) in level.units.chunks_exact(length).enumerate() {
                let units = units
                    .iter()
                    .map(|unit| self.units.get(*unit as usize).map_or(SPECIAL[0], String::as_str));
                write_entry(out, level.logs[entry], units, level.backoffs[entry])?;
            }
        }
        write_end(out)
    }
}

/// The head of a file with so many n-grams of 1, 2, … units.
pub(super) fn write_header(out: &mut impl Write, counts: &[u64]) -> std::io::Result<()> {
    writeln!(out, "\\data\\")?;
    for (i, count) in counts.iter().enumerate() {
        writeln!(out, "ngram {}={count}", i + 1)?;
    }
    Ok(())
}

pub(super) fn write_section(out: &mut impl Write, length: usize) -> std::io::Result<()> {
    writeln!(out, "\n\\{length}-grams:")
}

/// An n-gram; a weight of 1 (logarithm 0) is left out.
pub(super) fn write_entry<'a>(
    out: &mut impl Write,
    log: f32,
    units: impl Iterator<Item = &'a str>,
    backoff: f32,
) -> std::io::Result<()> {
    write!(out, "{log}")?;
    for (at, unit) in units.enumerate() {
        write!(out, "{}{unit}", if at == 0 { '\t' } else { ' ' })?;
    }
    if backoff != 0.0 {
        write!(out, "\t{backoff}")?;
    }
    writeln!(out)
}

pub(super) fn write_end(out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "\n\\end\\")
}

/// What is wrong with a file.
#[derive(Debug)]
enum Fault {
    Io(std::io::Error),
    Packed(&'static str),
    Line(usize, String),
}

/// Lines of a file that are not empty.
struct Filled<R> {
    lines: Lines<R>,
    /// Of the last line.
    number: usize,
}

impl<R: BufRead> Filled<R> {
    /// The next line; none at the end of the file.
    fn next(&mut self) -> Result<Option<String>, Fault> {
        loop {
            let next = match self.lines.next_line() {
                Ok(Some((number, line))) => {
                    self.number = number;
                    line.trim_matches(BLANKS)
                }
                Ok(None) => {
                    self.number += 1;
                    return Ok(None);
                }
                Err(TextError::Io(error)) => return Err(Fault::Io(error)),
                Err(TextError::LongLine { line, limit }) => {
                    return Err(Fault::Line(line, format!("longer than {limit} bytes: no ARPA file")));
                }
                Err(TextError::Encoding { line }) => {
                    return Err(Fault::Line(line, "not UTF-8 text; convert the file".into()));
                }
                Err(other) => return Err(Fault::Line(1, other.to_string())),
            };
            if !next.is_empty() {
                return Ok(Some(next.to_owned()));
            }
        }
    }

    fn fault(&self, reason: impl Into<String>) -> Fault {
        Fault::Line(self.number, reason.into())
    }
}

/// What a file is by its first bytes, where it is no text.
fn other_kind(start: &[u8]) -> Option<&'static str> {
    let kinds: [(&[u8], &str); 5] = [
        (b"\xfd7zXZ\0", "packed by xz: unpack it (`xz -d`)"),
        (b"BZh", "packed by bzip2: unpack it (`bunzip2`)"),
        (b"\x28\xb5\x2f\xfd", "packed by zstd: unpack it (`zstd -d`)"),
        (b"PK\x03\x04", "a zip archive: unpack it (`unzip`)"),
        (b"mmap lm http://kheafield.com", "a binary model of KenLM: give the ARPA file it was built from"),
    ];
    kinds.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, kind)| *kind)
}

fn read(mut reader: impl BufRead, limit: u64) -> Result<NgramLm, Fault> {
    let mut start = Vec::new();
    reader.by_ref().take(32).read_to_end(&mut start).map_err(Fault::Io)?;
    if let Some(start) = start.strip_prefix(MAGIC) {
        let mut budget = Budget::new("the language model", limit);
        let bytes = budget.read_to_end(std::io::Cursor::new(start).chain(reader)).map_err(Fault::Io)?;
        return unpack(&bytes).map_err(Fault::Packed);
    }
    if let Some(kind) = other_kind(&start) {
        return Err(Fault::Line(1, format!("this is {kind}")));
    }
    let reader = std::io::Cursor::new(start).chain(reader);
    let mut lines = Filled { lines: Lines::new(reader, MAX_LINE_BYTES), number: 0 };
    // Some toolkits write a header of their own.
    loop {
        match lines.next()?.as_deref() {
            Some("\\data\\") => break,
            Some(_) => {}
            None => return Err(lines.fault("no `\\data\\`: not an ARPA file")),
        }
    }
    let (promised, mut section) = header(&mut lines)?;
    let mut model = Reading::new(limit);
    for (i, promised) in promised.iter().enumerate() {
        let length = i + 1;
        if section != format!("\\{length}-grams:") {
            // Some leave out the section of what there is none of.
            if *promised == 0 && length > 1 {
                model.finish_level(Level::default(), Vec::new());
                continue;
            }
            return Err(lines.fault(format!("`{section}`, not `\\{length}-grams:`; get the file again")));
        }
        section = model.level(&mut lines, length, *promised)?;
    }
    if section != "\\end\\" {
        return Err(lines.fault(format!("`{section}`, not `\\end\\`; get the file again")));
    }
    model.assemble(promised.len())
}

/// The numbers of n-grams of each length that a file says it has, and the line behind them.
fn header(lines: &mut Filled<impl BufRead>) -> Result<(Vec<u64>, String), Fault> {
    let mut promised: Vec<u64> = Vec::new();
    loop {
        let Some(line) = lines.next()? else {
            return Err(lines.fault("the file ends within its header; get it again"));
        };
        let Some(count) = line.strip_prefix("ngram").filter(|rest| rest.starts_with(BLANKS)) else {
            if promised.is_empty() {
                return Err(lines.fault("no `ngram 1=count`: not an ARPA file"));
            }
            return Ok((promised, line));
        };
        let parsed = count.split_once('=').and_then(|(order, count)| {
            Some((order.trim().parse::<usize>().ok()?, count.trim().parse::<u64>().ok()?))
        });
        match parsed {
            Some((order, count)) if order == promised.len() + 1 && order <= MAX_ORDER => promised.push(count),
            _ => {
                let next = promised.len() + 1;
                return Err(
                    lines.fault(format!("`{line}` is not `ngram {next}=count`, of at most {MAX_ORDER}"))
                );
            }
        }
    }
}

/// A model while it is read.
struct Reading {
    units: Vec<String>,
    index: HashMap<String, u32>,
    levels: Vec<Level>,
    /// Lines of the n-grams of each length.
    numbers: Vec<Vec<u32>>,
    budget: Budget,
}

impl Reading {
    fn new(limit: u64) -> Self {
        let units: Vec<String> = SPECIAL.map(str::to_owned).to_vec();
        let index = units.iter().enumerate().map(|(id, unit)| (unit.clone(), id as u32)).collect();
        let budget = Budget::new("the language model", limit);
        Self { units, index, levels: Vec::new(), numbers: Vec::new(), budget }
    }

    /// Reads the n-grams of a length; the line behind them.
    fn level(
        &mut self,
        lines: &mut Filled<impl BufRead>,
        length: usize,
        promised: u64,
    ) -> Result<String, Fault> {
        let (mut level, mut numbers) = (Level::default(), Vec::new());
        let miscounted = |lines: &Filled<_>, count: &str| {
            let reason = format!(
                "{count} n-grams of length {length}, not the {promised} of the header; get the file again"
            );
            Fault::Line(lines.number, reason)
        };
        let behind = loop {
            let Some(line) = lines.next()? else {
                return Err(lines.fault("the file ends too early; get it again"));
            };
            if line.starts_with('\\') && !line.contains(BLANKS) {
                break line;
            }
            if level.logs.len() as u64 == promised {
                return Err(miscounted(lines, "more"));
            }
            self.entry(&line, length, &mut level).map_err(|reason| lines.fault(reason))?;
            numbers.push(u32::try_from(lines.number).unwrap_or(u32::MAX));
        };
        if level.logs.len() as u64 != promised {
            return Err(miscounted(lines, &level.logs.len().to_string()));
        }
        if length == 1 {
            self.take_marks(&mut level);
            if !level.units.contains(&UNKNOWN) {
                level.units.push(UNKNOWN);
                level.logs.push(UNSEEN);
                level.backoffs.push(0.0);
                numbers.push(u32::try_from(lines.number).unwrap_or(u32::MAX));
            }
        }
        self.finish_level(level, numbers);
        Ok(behind)
    }

    fn finish_level(&mut self, level: Level, numbers: Vec<u32>) {
        self.levels.push(level);
        self.numbers.push(numbers);
    }

    /// Adds the n-gram of a line to its level.
    fn entry(&mut self, line: &str, length: usize, level: &mut Level) -> Result<(), String> {
        let mut fields = line.split(BLANKS).filter(|field| !field.is_empty());
        let log = fields.next().ok_or("an empty line")?;
        level.logs.push(logarithm(log, 0.0)?);
        let before = level.units.len();
        let mut bytes = NGRAM_BYTES + 4 * length as u64;
        for unit in fields.by_ref().take(length) {
            let unit = nfc(unit);
            let id = match self.index.get(unit.as_ref()) {
                Some(id) => *id,
                None if length == 1 => {
                    let id = u32::try_from(self.units.len()).map_err(|_| "too many units")?;
                    bytes += 2 * (unit.len() + size_of::<String>() + 8) as u64;
                    self.units.push(unit.clone().into_owned());
                    self.index.insert(unit.into_owned(), id);
                    id
                }
                None => return Err(format!("`{unit}` is not among the unigrams; get the file again")),
            };
            level.units.push(id);
        }
        let backoff = fields.next();
        if level.units.len() - before != length || fields.next().is_some() {
            let count = line.split(BLANKS).filter(|field| !field.is_empty()).count();
            return Err(format!("{count} fields, not a logarithm, {length} units and perhaps a weight"));
        }
        level.backoffs.push(backoff.map_or(Ok(0.0), |backoff| logarithm(backoff, -LEAST))?);
        self.budget.charge(bytes).map_err(|error| error.to_string())
    }

    /// Where special units are in capitals and not in small letters, they are meant.
    fn take_marks(&mut self, level: &mut Level) {
        for (mark, id) in MARKS {
            if level.units.contains(&id) {
                continue;
            }
            let Some(hole) = self.index.remove(mark) else { continue };
            let last = self.units.len() as u32 - 1;
            self.units.swap_remove(hole as usize);
            if let Some(moved) = self.units.get(hole as usize) {
                self.index.insert(moved.clone(), hole);
            }
            for unit in &mut level.units {
                *unit = match *unit {
                    unit if unit == hole => id,
                    unit if unit == last => hole,
                    unit => unit,
                };
            }
            // Longer n-grams have it, too.
            self.index.insert(mark.to_owned(), id);
        }
    }

    fn assemble(mut self, order: usize) -> Result<NgramLm, Fault> {
        let trie = Trie::new(&self.levels).map_err(|misfit| {
            let (length, entry, reason) = match misfit {
                Misfit::Twice { length, entry } => (length, entry, "the n-gram comes twice; remove one"),
                Misfit::NoContext { length, entry } => {
                    (length, entry, "there is no n-gram of its units without the last; get the file again")
                }
            };
            Fault::Line(self.numbers[length - 1][entry] as usize, reason.into())
        })?;
        for (mark, id) in MARKS {
            if self.index.get(mark) == Some(&id) {
                self.index.remove(mark);
            }
        }
        Ok(NgramLm { order, units: self.units, index: self.index, trie })
    }
}

/// A logarithm of at most `most`; nothing at all, `-inf`, is [`UNSEEN`].
fn logarithm(text: &str, most: f32) -> Result<f32, String> {
    // The last is what older C libraries of Windows print.
    if ["-inf", "-infinity", "-1.#INF"].iter().any(|nothing| text.eq_ignore_ascii_case(nothing)) {
        return Ok(UNSEEN);
    }
    let value = text.parse::<f32>().ok().filter(|value| (LEAST..=most + ROUNDING).contains(value));
    let value = value.ok_or_else(|| format!("`{text}` is no logarithm of {LEAST} to {most}"))?;
    Ok(value.min(most))
}

#[cfg(test)]
mod tests;
