//! Praat's TextGrid files, in the long and the short text form.
//!
//! Both forms have the same strings, numbers and flags in the same order; everything else (`xmin =`,
//! `intervals [3]:`) is for people, and passed over, as Praat itself does.

use std::path::Path;

/// A larger file annotates no utterance.
const MAX_BYTES: u64 = 4 << 20;

/// More tiers, or intervals in one tier, annotate no utterance.
const MAX_TIERS: usize = 64;
const MAX_INTERVALS: usize = 50_000;

/// A labelled stretch of time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Interval {
    pub start_secs: f64,
    pub end_secs: f64,
    pub label: String,
}

/// The interval tiers of a file, by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct TextGrid {
    tiers: Vec<(String, Vec<Interval>)>,
}

impl TextGrid {
    /// Reads a file: UTF-8, UTF-16 with a byte order mark, or else Latin-1.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub fn read(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
        if bytes > MAX_BYTES {
            return Err(format!("{bytes} bytes are too many for the annotation of an utterance"));
        }
        Self::parse(&decode(&std::fs::read(path).map_err(|e| e.to_string())?))
    }

    /// Parses the text form.
    ///
    /// # Errors
    /// As [`TextGrid::read`].
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Tokens { rest: text };
        if !tokens.string("file type")?.starts_with("ooTextFile")
            || tokens.string("object class")? != "TextGrid"
        {
            return Err("no TextGrid in text form".into());
        }
        tokens.time("start")?;
        tokens.time("end")?;
        let mut grid = Self::default();
        match tokens.next()? {
            Some(Token::Flag("exists")) => {}
            Some(Token::Flag("absent")) => return Ok(grid),
            _ => return Err("`<exists>` is missing".into()),
        }
        for _ in 0..tokens.count("tiers", MAX_TIERS)? {
            let class = tokens.string("class of a tier")?;
            let name = tokens.string("name of a tier")?;
            tokens.time("start of a tier")?;
            tokens.time("end of a tier")?;
            let count = tokens.count("intervals", MAX_INTERVALS)?;
            match class.as_str() {
                "IntervalTier" => {
                    let intervals: Result<_, String> = (0..count).map(|_| tokens.interval()).collect();
                    let intervals: Vec<Interval> = intervals.map_err(|e| format!("tier {name}: {e}"))?;
                    in_order(&name, &intervals)?;
                    grid.tiers.push((name, intervals));
                }
                "TextTier" => {
                    for _ in 0..count {
                        tokens.time("time of a point")?;
                        tokens.string("mark of a point")?;
                    }
                }
                other => return Err(format!("tier {name} is of class {other}, which there is not")),
            }
        }
        match tokens.next()? {
            None => Ok(grid),
            Some(_) => Err("there is more in it than the tiers and intervals that it counts".into()),
        }
    }

    /// The intervals of a tier, whose name may be in any case.
    pub fn tier(&self, name: &str) -> Option<&[Interval]> {
        let found = self.tiers.iter().find(|(tier, _)| tier.trim().eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }
}

/// Rounding in files: intervals may lap over by so much.
const TOLERANCE_SECS: f64 = 1e-3;

fn in_order(tier: &str, intervals: &[Interval]) -> Result<(), String> {
    let mut last = f64::NEG_INFINITY;
    for (index, interval) in intervals.iter().enumerate() {
        if interval.end_secs < interval.start_secs || interval.start_secs < last - TOLERANCE_SECS {
            let (start, end) = (interval.start_secs, interval.end_secs);
            return Err(format!(
                "tier {tier}: interval {} from {start} to {end} s is out of order",
                index + 1
            ));
        }
        last = interval.end_secs;
    }
    Ok(())
}

fn decode(bytes: &[u8]) -> String {
    let utf16 = |decode: fn([u8; 2]) -> u16| {
        let units = bytes.as_chunks().0.iter().skip(1).map(|&pair| decode(pair));
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    match bytes {
        [0xFE, 0xFF, ..] => utf16(u16::from_be_bytes),
        [0xFF, 0xFE, ..] => utf16(u16::from_le_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
        },
    }
}

enum Token<'a> {
    Text(String),
    Number(f64),
    Flag(&'a str),
}

struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    /// The next string, number or flag.
    fn next(&mut self) -> Result<Option<Token<'a>>, String> {
        loop {
            self.rest = self.rest.trim_start();
            if let Some(rest) = self.rest.strip_prefix('"') {
                return self.quoted(rest).map(Some);
            }
            if self.rest.is_empty() {
                return Ok(None);
            }
            if self.rest.starts_with('!') {
                self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
                continue;
            }
            let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
            let (word, rest) = self.rest.split_at(end);
            self.rest = rest;
            if let Some(flag) = word.strip_prefix('<').and_then(|word| word.strip_suffix('>')) {
                return Ok(Some(Token::Flag(flag)));
            }
            // `nan` and `inf` are words.
            if word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
                && let Some(number) = word.parse().ok().filter(|number: &f64| number.is_finite())
            {
                return Ok(Some(Token::Number(number)));
            }
        }
    }

    /// A string, in which a quotation mark is written twice.
    fn quoted(&mut self, mut rest: &'a str) -> Result<Token<'a>, String> {
        let mut text = String::new();
        loop {
            let (part, after) = rest.split_once('"').ok_or("a quotation mark is not closed")?;
            text.push_str(part);
            match after.strip_prefix('"') {
                Some(after) => {
                    text.push('"');
                    rest = after;
                }
                None => {
                    self.rest = after;
                    return Ok(Token::Text(text));
                }
            }
        }
    }

    fn string(&mut self, what: &str) -> Result<String, String> {
        match self.next()? {
            Some(Token::Text(text)) => Ok(text),
            _ => Err(format!("{what} is missing")),
        }
    }

    fn time(&mut self, what: &str) -> Result<f64, String> {
        match self.next()? {
            Some(Token::Number(secs)) => Ok(secs),
            _ => Err(format!("{what} is missing")),
        }
    }

    fn count(&mut self, what: &str, most: usize) -> Result<usize, String> {
        let count = self.time(&format!("number of {what}"))?;
        if count < 0.0 || count.fract() != 0.0 || count > most as f64 {
            return Err(format!("{count} {what}; 0 to {most} can be read"));
        }
        Ok(count as usize)
    }

    fn interval(&mut self) -> Result<Interval, String> {
        Ok(Interval {
            start_secs: self.time("start of an interval")?,
            end_secs: self.time("end of an interval")?,
            label: self.string("label of an interval")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: &str = "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n\n0\n0.5\n<exists>\n3\n\
        \"IntervalTier\"\n\"words\"\n0\n0.5\n1\n0\n0.5\n\"say \"\"ah\"\"\"\n\
        \"TextTier\"\n\"clicks\"\n0\n0.5\n1\n0.1\n\"x\"\n\
        \"IntervalTier\"\n\"phones\"\n0\n0.5\n2\n0\n0.25\n\"DH,D,s\"\n0.25\n0.5\n\"\"\n";

    const LONG: &str = "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n\nxmin = 0 \nxmax = 0.5 \n\
        tiers? <exists> \nsize = 3 \nitem []: \n    item [1]:\n        class = \"IntervalTier\" \n        \
        name = \"words\" \n        xmin = 0 \n        xmax = 0.5 \n        intervals: size = 1 \n        \
        intervals [1]:\n            xmin = 0 \n            xmax = 0.5 \n            text = \"say \"\"ah\"\"\" \n    \
        item [2]:\n        class = \"TextTier\" \n        name = \"clicks\" \n        xmin = 0 \n        \
        xmax = 0.5 \n        points: size = 1 \n        points [1]:\n            number = 0.1 \n            \
        mark = \"x\" \n    item [3]:\n        class = \"IntervalTier\" \n        name = \"phones\" \n        \
        xmin = 0 \n        xmax = 0.5 \n        intervals: size = 2 \n        intervals [1]:\n            \
        xmin = 0 \n            xmax = 0.25 \n            text = \"DH,D,s\" \n        intervals [2]:\n            \
        xmin = 0.25 \n            xmax = 0.5 \n            text = \"\" \n";

    #[test]
    fn both_forms_and_all_encodings_say_the_same() {
        let grid = TextGrid::parse(SHORT).unwrap();
        assert_eq!(TextGrid::parse(LONG).unwrap(), grid);
        let remark = LONG.replace("tiers?", "! nan inf 7 \"\n tiers?").replace('\n', "\r\n");
        assert_eq!(TextGrid::parse(&remark).unwrap(), grid);
        assert_eq!(grid.tier("words").unwrap()[0].label, "say \"ah\"");
        let phones = grid.tier("Phones").unwrap();
        assert_eq!((phones[0].label.as_str(), phones[1].start_secs), ("DH,D,s", 0.25));
        assert_eq!((grid.tier("clicks"), phones.len()), (None, 2));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.TextGrid");
        let marked = format!("\u{feff}{LONG}");
        let be: Vec<u8> = marked.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let le: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for content in [marked.as_bytes(), &be, &le] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(TextGrid::read(&path).unwrap(), grid);
        }
        let latin: Vec<u8> =
            LONG.replace("say", "~").bytes().map(|b| if b == b'~' { 0xE9 } else { b }).collect();
        std::fs::write(&path, latin).unwrap();
        assert_eq!(TextGrid::read(&path).unwrap().tier("words").unwrap()[0].label, "é \"ah\"");
        std::fs::write(&path, vec![b' '; MAX_BYTES as usize + 1]).unwrap();
        assert!(TextGrid::read(&path).unwrap_err().contains("too many"));
    }

    #[test]
    fn damage_is_answered_and_never_a_panic() {
        for end in (0..LONG.len()).filter(|&end| LONG.is_char_boundary(end)) {
            let cut = TextGrid::parse(&LONG[..end]);
            assert!(cut.is_err() || LONG[end..].trim().is_empty(), "cut at {end}: {cut:?}");
        }
        for (from, to, message) in [
            ("size = 2", "size = 99999999999", "can be read"),
            ("size = 2", "size = -1", "can be read"),
            ("size = 2", "size = 1.5", "can be read"),
            ("size = 2", "size = nan", "more in it"),
            ("size = 2", "size = 1", "more in it"),
            ("size = 2", "size = 3", "missing"),
            ("xmin = 0.25", "xmin = 0.1", "tier phones: interval 2 from 0.1"),
            ("xmax = 0.25", "xmax = -1", "out of order"),
            ("\"IntervalTier\"", "\"MatrixTier\"", "MatrixTier"),
            ("\"TextGrid\"", "\"Sound\"", "no TextGrid"),
        ] {
            let error = TextGrid::parse(&LONG.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(message), "{to}: {error}");
        }
        assert!(TextGrid::parse("").is_err());
    }
}
