//! ARPA files: n-grams as text, with logarithms to the base 10.

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
    /// Reads an ARPA file, of this or another toolkit, packed by gzip or not.
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
        writeln!(out, "\\data\\")?;
        for (i, level) in levels.iter().enumerate() {
            writeln!(out, "ngram {}={}", i + 1, level.logs.len())?;
        }
        for (i, level) in levels.iter().enumerate() {
            let length = i + 1;
            writeln!(out, "\n\\{length}-grams:")?;
            for (entry, units) in level.units.chunks_exact(length).enumerate() {
                write!(out, "{}", level.logs[entry])?;
                for (at, unit) in units.iter().enumerate() {
                    let unit = self.units.get(*unit as usize).map_or(SPECIAL[0], String::as_str);
                    write!(out, "{}{unit}", if at == 0 { '\t' } else { ' ' })?;
                }
                if level.backoffs[entry] != 0.0 {
                    write!(out, "\t{}", level.backoffs[entry])?;
                }
                writeln!(out)?;
            }
        }
        writeln!(out, "\n\\end\\")
    }
}

/// What is wrong with a file.
#[derive(Debug)]
enum Fault {
    Io(std::io::Error),
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: &str = "header of another\n\\data\\\nngram 1=4\nngram 2=2\n\n\\1-grams:\n-99 <s> -0.30103\n-1 </s>\n\
        -0.69897\ta\t-0.1\n-0.5 b\n\n\\2-grams:\n-0.2 <s> a\n-0.3 a b\n\n\\end\\\n";

    fn fault(text: &str) -> (usize, String) {
        match read(text.as_bytes(), MIN_BYTES) {
            Err(Fault::Line(line, reason)) => (line, reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_model_of_another_toolkit() {
        let lm = read(SMALL.as_bytes(), MIN_BYTES).unwrap();
        assert_eq!((lm.order(), lm.ngram_count()), (2, 7));
        let ln = |log10: f32| log10 * std::f32::consts::LN_10;
        let (a, state) = lm.score(lm.begin(), lm.unit("a"));
        assert_eq!(a, ln(-0.2));
        assert_eq!(lm.score(state, lm.unit("b")).0, ln(-0.3));
        assert!((lm.score(state, lm.unit("a")).0 - ln(-0.1 - 0.69897)).abs() < 1e-6, "backs off");
        assert_eq!(lm.score(lm.middle(), lm.unit("b")), (ln(-0.5), lm.middle()));
        assert!(lm.score(lm.middle(), lm.unit("c")).0 < -200.0);
        assert!(lm.is_unknown(lm.unit("</s>")) && !lm.is_unknown(lm.unit("a")));
    }

    #[test]
    fn hostile_files_are_answered_by_line() {
        for (from, to, line, expected) in [
            ("\\data\\", "data", 17, "no `\\data\\`"),
            ("ngram 2=2", "ngram 3=2", 4, "`ngram 2=count`"),
            ("ngram 2=2", "ngram 2=99999999999999999999", 4, "`ngram 2=count`"),
            ("ngram 2=2", "ngram 2=3", 15, "2 n-grams of length 2, not the 3"),
            ("\\2-grams:", "\\3-grams:", 12, "`\\3-grams:`"),
            ("-0.5 b", "-0.5", 10, "1 fields"),
            ("-0.5 b", "0.5 b", 10, "`0.5`"),
            ("-0.5 b", "nan b", 10, "`nan`"),
            ("-0.5 b", "-0.5 b -1e30", 10, "`-1e30`"),
            ("-1 </s>", "-1 a", 9, "twice"),
            ("-0.3 a b", "-0.3 a c", 14, "`c` is not among"),
            ("-0.3 a b", "-0.3 <unk> b", 0, ""),
            ("\\end\\", "", 16, "ends too early"),
            ("\\end\\", "\\3-grams:", 16, "not `\\end\\`"),
        ] {
            let text = SMALL.replace(from, to);
            if line == 0 {
                assert!(read(text.as_bytes(), MIN_BYTES).is_ok());
                continue;
            }
            let found = fault(&text);
            assert!(found.1.contains(expected), "{to}: {found:?}");
            assert!(found.0.abs_diff(line) <= 1, "{to}: {found:?}");
        }
        let three = SMALL
            .replace("ngram 2=2", "ngram 2=2\nngram 3=1")
            .replace("\\end\\", "\\3-grams:\n-1 b a b\n\\end\\");
        assert!(fault(&three).1.contains("without the last"));
        assert!(fault(&format!("\\data\\\n{}", "x".repeat(70_000))).1.contains("longer than"));
        assert!(matches!(read(&b"\\data\\\n\xff\n"[..], MIN_BYTES), Err(Fault::Line(2, _))));
    }

    /// The same model, as other toolkits and editors leave it.
    #[test]
    fn files_of_the_wild_are_the_same_model() {
        let plain = read(SMALL.as_bytes(), MIN_BYTES).unwrap();
        let unknown = SMALL.replace("ngram 1=4", "ngram 1=5").replace("-0.5 b\n", "-0.5 b\n-2 <unk>\n");
        let with_unknown = read(unknown.as_bytes(), MIN_BYTES).unwrap();
        for (text, expected) in [
            (SMALL.replace('\n', "\r\n"), &plain),
            (format!("\u{feff}{SMALL}"), &plain),
            (
                SMALL.replace("-99 <s>", "-inf\t<s>"),
                &read(SMALL.replace("-99 <s>", "-100 <s>").as_bytes(), MIN_BYTES).unwrap(),
            ),
            (SMALL.replace("ngram 2=2", "ngram  2 = 2\nngram 3=0"), &NgramLm { order: 3, ..plain.clone() }),
            (
                SMALL.replace("ngram 2=2", "ngram 2=2\nngram 3=0").replace("\\end", "\\3-grams:\n\n\\end"),
                &NgramLm { order: 3, ..plain.clone() },
            ),
            (unknown.replace("<unk>", "<UNK>").replace("<s>", "<S>").replace("</s>", "</S>"), &with_unknown),
            (
                SMALL.replace("-1 </s>", "0.00001 </s>"),
                &read(SMALL.replace("-1 </s>", "0 </s>").as_bytes(), MIN_BYTES).unwrap(),
            ),
        ] {
            let found =
                read(text.as_bytes(), MIN_BYTES).unwrap_or_else(|fault| panic!("{fault:?} in {text}"));
            for words in [vec!["a", "b"], vec!["b", "a"], vec!["c"], vec![]] {
                assert_eq!(found.sentence(&words), expected.sentence(&words), "{words:?} of {text}");
            }
            let (mut once, mut again) = (Vec::new(), Vec::new());
            found.write(&mut once).unwrap();
            read(once.as_slice(), MIN_BYTES).unwrap().write(&mut again).unwrap();
            assert_eq!(once, again);
        }
        // Both `<unk>` and `<UNK>`: the second is a word.
        let both = unknown.replace("ngram 1=5", "ngram 1=6").replace("-0.5 b\n", "-0.5 b\n-3 <UNK>\n");
        let both = read(both.as_bytes(), MIN_BYTES).unwrap();
        assert!(!both.is_unknown(both.unit("<UNK>")));
    }

    #[test]
    fn only_ascii_blanks_part_words() {
        for blank in ['\u{a0}', '\u{202f}', '\u{3000}', '\u{2028}', '\u{85}'] {
            let text = SMALL.replace(" b\n", &format!(" b{blank}c\n"));
            let lm = read(text.as_bytes(), MIN_BYTES).unwrap();
            assert!(!lm.is_unknown(lm.unit(&format!("b{blank}c"))));
        }
        let decomposed = SMALL.replace(" b\n", " e\u{301}\n");
        let lm = read(decomposed.as_bytes(), MIN_BYTES).unwrap();
        assert!(!lm.is_unknown(lm.unit("\u{e9}")));
    }

    #[test]
    fn packed_files_are_read_or_named_and_bombs_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lm");
        let packed = |text: &[u8]| {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            packer.write_all(text).unwrap();
            packer.finish().unwrap()
        };
        std::fs::write(&path, packed(SMALL.as_bytes())).unwrap();
        assert_eq!(NgramLm::load(&path).unwrap(), read(SMALL.as_bytes(), MIN_BYTES).unwrap());
        for (start, expected) in [
            (&b"\xfd7zXZ\0\0"[..], "xz -d"),
            (b"BZh9", "bzip2"),
            (b"PK\x03\x04", "zip"),
            (b"mmap lm http://kheafield.com/code", "KenLM"),
        ] {
            std::fs::write(&path, start).unwrap();
            let error = NgramLm::load(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        // A header may claim anything; what comes is counted and charged.
        let many = SMALL.replace("ngram 1=4", "ngram 1=1152921504606846976");
        assert!(fault(&many).1.contains("not the 1152921504606846976"));
        let lines: String = (0..20_000).map(|i| format!("-1 w{i}\n")).collect();
        let bomb = format!("\\data\\\nngram 1=20000\n\n\\1-grams:\n{lines}\n\\end\\\n");
        match read(bomb.as_bytes(), 1 << 20) {
            Err(Fault::Line(line, reason)) => {
                assert!(line > 1000 && reason.contains("1 MiB"), "{line}: {reason}")
            }
            other => panic!("{:?}", other.map(|lm| lm.ngram_count())),
        }
    }

    #[test]
    fn a_failed_save_leaves_the_old_model() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lm.arpa");
        let lm = read(SMALL.as_bytes(), MIN_BYTES).unwrap();
        lm.save(&path).unwrap();
        assert_eq!(NgramLm::load(&path).unwrap().ngram_count(), lm.ngram_count());
        assert!(lm.save(&folder.path().join("none/lm.arpa")).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half written stays");
    }

    proptest! {
        #[test]
        fn damaged_files_are_answered(changes in prop::collection::vec((0usize..300, prop::sample::select(b"0 -\\ab\n<>=.".to_vec())), 1..5)) {
            let mut bytes = SMALL.as_bytes().to_vec();
            for (at, value) in changes {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            if let Ok(lm) = read(bytes.as_slice(), MIN_BYTES) {
                let score = lm.sentence(&["a", "b", "c"]);
                prop_assert!(score.log_probability.is_finite());
            }
        }
    }
}
