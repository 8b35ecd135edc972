//! ARPA files: n-grams as text, with logarithms to the base 10.

use super::trie::{Level, Misfit, Trie, UNSEEN};
use super::{LmError, MAX_ORDER, NgramLm, SPECIAL, UNKNOWN};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read as _, Write};
use std::path::Path;

/// A longer line is not of such a file.
const MAX_LINE_BYTES: u64 = 64 << 10;
/// Smallest logarithm that is read.
const LEAST: f32 = -1000.0;

impl NgramLm {
    /// Reads an ARPA file, of this or another toolkit.
    ///
    /// A model without `<unk>` gives unknown units a probability of 10⁻¹⁰⁰.
    ///
    /// # Errors
    /// The file cannot be read, or what is wrong with it, by line.
    pub fn load(path: &Path) -> Result<Self, LmError> {
        let file = File::open(path).map_err(|source| LmError::Io { path: path.into(), source })?;
        read(BufReader::new(file)).map_err(|fault| match fault {
            Fault::Io(source) => LmError::Io { path: path.into(), source },
            Fault::Line(line, reason) => LmError::Arpa { path: path.into(), line, reason },
        })
    }

    /// Writes an ARPA file, n-grams sorted. What [`Self::load`] reads of it is the same model.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), LmError> {
        let write = || {
            let mut file = BufWriter::new(File::create(path)?);
            self.write(&mut file)?;
            file.flush()
        };
        write().map_err(|source| LmError::Io { path: path.into(), source })
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

/// Lines of a file that are not empty, with their numbers.
struct Lines<R> {
    reader: R,
    line: Vec<u8>,
    number: usize,
}

impl<R: BufRead> Lines<R> {
    /// The next line; none at the end of the file.
    fn next(&mut self) -> Result<Option<&str>, Fault> {
        loop {
            self.line.clear();
            self.number += 1;
            let mut limited = (&mut self.reader).take(MAX_LINE_BYTES + 1);
            let read = limited.read_until(b'\n', &mut self.line).map_err(Fault::Io)?;
            if read == 0 {
                return Ok(None);
            }
            if read as u64 > MAX_LINE_BYTES {
                return Err(self.fault(format!("longer than {MAX_LINE_BYTES} bytes: no ARPA file")));
            }
            if !self.line.trim_ascii().is_empty() {
                break;
            }
        }
        match std::str::from_utf8(&self.line) {
            Ok(text) => Ok(Some(text.trim())),
            Err(_) => Err(Fault::Line(self.number, "not UTF-8 text; convert the file".into())),
        }
    }

    fn fault(&self, reason: impl Into<String>) -> Fault {
        Fault::Line(self.number, reason.into())
    }
}

fn read(reader: impl BufRead) -> Result<NgramLm, Fault> {
    let mut lines = Lines { reader, line: Vec::new(), number: 0 };
    // Some toolkits write a header of their own.
    loop {
        match lines.next()? {
            Some("\\data\\") => break,
            Some(_) => {}
            None => return Err(lines.fault("no `\\data\\`: not an ARPA file")),
        }
    }
    let mut promised: Vec<usize> = Vec::new();
    let section = loop {
        let line = lines.next()?.map(str::to_owned);
        let Some(line) = line else {
            return Err(lines.fault("the file ends within its header; get it again"));
        };
        let Some(count) = line.strip_prefix("ngram ") else { break line };
        let parsed = count.split_once('=').and_then(|(order, count)| {
            Some((order.trim().parse::<usize>().ok()?, count.trim().parse::<usize>().ok()?))
        });
        match parsed {
            Some((order, count)) if order == promised.len() + 1 && order <= MAX_ORDER => promised.push(count),
            _ => {
                let reason =
                    format!("`{line}` is not `ngram {}=count`, of at most {MAX_ORDER}", promised.len() + 1);
                return Err(lines.fault(reason));
            }
        }
    };
    if promised.is_empty() {
        return Err(lines.fault("no `ngram 1=count`: not an ARPA file"));
    }
    let mut section = section;
    let mut units: Vec<String> = SPECIAL.map(str::to_owned).to_vec();
    let mut index: HashMap<String, u32> =
        units.iter().enumerate().map(|(id, unit)| (unit.clone(), id as u32)).collect();
    let mut levels: Vec<Level> = Vec::new();
    // Lines of the n-grams of each length.
    let mut numbers: Vec<Vec<usize>> = Vec::new();
    for (i, promised) in promised.iter().enumerate() {
        let length = i + 1;
        if section != format!("\\{length}-grams:") {
            return Err(lines.fault(format!("`{section}`, not `\\{length}-grams:`; get the file again")));
        }
        let (mut level, mut of_level) = (Level::default(), Vec::new());
        section = loop {
            let number = lines.number + 1;
            let Some(line) = lines.next()? else {
                return Err(Fault::Line(number, "the file ends too early; get it again".into()));
            };
            if line.starts_with('\\') && line.split_whitespace().count() == 1 {
                break line.to_owned();
            }
            let entry = entry(line, length, &mut units, &mut index, &mut level);
            entry.map_err(|reason| lines.fault(reason))?;
            of_level.push(lines.number);
        };
        if level.logs.len() != *promised {
            let reason = format!(
                "{} n-grams of length {length}, not the {promised} of the header; get the file again",
                level.logs.len()
            );
            return Err(lines.fault(reason));
        }
        if length == 1 && !level.units.contains(&UNKNOWN) {
            level.units.push(UNKNOWN);
            level.logs.push(UNSEEN);
            level.backoffs.push(0.0);
            of_level.push(lines.number);
        }
        levels.push(level);
        numbers.push(of_level);
    }
    if section != "\\end\\" {
        return Err(lines.fault(format!("`{section}`, not `\\end\\`; get the file again")));
    }
    let trie = Trie::new(&levels).map_err(|misfit| match misfit {
        Misfit::Twice { length, entry } => {
            Fault::Line(numbers[length - 1][entry], "the n-gram comes twice; remove one".into())
        }
        Misfit::NoContext { length, entry } => {
            let reason = "there is no n-gram of its units without the last; get the file again";
            Fault::Line(numbers[length - 1][entry], reason.into())
        }
    })?;
    Ok(NgramLm { order: promised.len(), units, index, trie })
}

/// Adds the n-gram of a line to its level.
fn entry(
    line: &str,
    length: usize,
    units: &mut Vec<String>,
    index: &mut HashMap<String, u32>,
    level: &mut Level,
) -> Result<(), String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (log, rest) = fields.split_first().ok_or("an empty line")?;
    let backoff = match rest.len().checked_sub(length) {
        Some(0) => None,
        Some(1) => rest.last(),
        _ => {
            return Err(format!(
                "{} fields, not a logarithm, {length} units and perhaps a weight",
                fields.len()
            ));
        }
    };
    let logarithm = |text: &str, most: f32| -> Result<f32, String> {
        let value: Option<f32> = text.parse().ok();
        let value = value.filter(|value| (LEAST..=most).contains(value));
        value.ok_or_else(|| format!("`{text}` is no logarithm of {LEAST} to {most}"))
    };
    level.logs.push(logarithm(log, 0.0)?);
    level.backoffs.push(backoff.map_or(Ok(0.0), |backoff| logarithm(backoff, -LEAST))?);
    for unit in &rest[..length] {
        let unit = if *unit == "<UNK>" { SPECIAL[0] } else { unit };
        let id = match index.get(unit) {
            Some(id) => *id,
            None if length == 1 => {
                let id = u32::try_from(units.len()).map_err(|_| "too many units")?;
                units.push(unit.to_owned());
                index.insert(unit.to_owned(), id);
                id
            }
            None => return Err(format!("`{unit}` is not among the unigrams; get the file again")),
        };
        level.units.push(id);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: &str = "header of another\n\\data\\\nngram 1=4\nngram 2=2\n\n\\1-grams:\n-99 <s> -0.30103\n-1 </s>\n\
        -0.69897\ta\t-0.1\n-0.5 b\n\n\\2-grams:\n-0.2 <s> a\n-0.3 a b\n\n\\end\\\n";

    fn fault(text: &str) -> (usize, String) {
        match read(text.as_bytes()) {
            Err(Fault::Line(line, reason)) => (line, reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_model_of_another_toolkit() {
        let lm = read(SMALL.as_bytes()).unwrap();
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
                assert!(read(text.as_bytes()).is_ok());
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
        assert!(matches!(read(&b"\\data\\\n\xff\n"[..]), Err(Fault::Line(2, _))));
    }

    proptest! {
        #[test]
        fn damaged_files_are_answered(changes in prop::collection::vec((0usize..300, prop::sample::select(b"0 -\\ab\n<>=.".to_vec())), 1..5)) {
            let mut bytes = SMALL.as_bytes().to_vec();
            for (at, value) in changes {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            if let Ok(lm) = read(bytes.as_slice()) {
                let score = lm.sentence(&["a", "b", "c"]);
                prop_assert!(score.log_probability.is_finite());
            }
        }
    }
}
