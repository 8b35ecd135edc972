//! Pronouncing dictionaries.

mod compact;

use crate::phones::Phone;
use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// Phones of one pronunciation.
pub type Pronunciation = Vec<Phone>;

/// The longest line that is read, in bytes: the longest of the CMU dictionary has below 150.
pub const MAX_LINE_BYTES: usize = 1024;
/// The longest word, in bytes.
pub const MAX_WORD_BYTES: usize = 96;
/// The longest pronunciation, in phones.
pub const MAX_PHONES: usize = 96;
/// The most pronunciations of a word.
pub const MAX_PRONUNCIATIONS: usize = 32;
/// The most words.
pub const MAX_WORDS: usize = 2_000_000;

/// Why a lexicon is not usable.
#[derive(Debug, thiserror::Error)]
pub enum LexiconError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line that is no entry.
    #[error("{origin}:{line}: {reason}")]
    Line {
        /// File or other name of the text.
        origin: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Bytes that are no compact lexicon.
    #[error("compact lexicon: {0}")]
    Compact(String),
}

/// Pronunciations of one word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Entry {
    pronunciations: Vec<Pronunciation>,
    /// The first line of the word was a numbered variant: as an overlay the entry adds to what is there.
    adds: bool,
}

/// Words and their pronunciations; a word may have several, the usual one first.
///
/// # Format
/// That of the CMU dictionary: a word, white space, phones with or without stress, one
/// pronunciation a line. Further ones are `word(2)`, `word(3)` or the word again. `;;;` begins a
/// comment line, ` #` a comment at the end of a line. Words are read in lower case.
///
/// ```
/// use auricle_text::{Lexicon, Phone};
/// let lexicon = Lexicon::parse("read R IY1 D\nread(2) R EH1 D # yesterday\n", "example")?;
/// assert_eq!(lexicon.lookup("Read").len(), 2);
/// assert_eq!(lexicon.lookup("read")[1], [Phone::R, Phone::Eh, Phone::D]);
/// # Ok::<(), auricle_text::LexiconError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lexicon {
    entries: BTreeMap<String, Entry>,
}

impl Lexicon {
    /// Some 560 of the commonest words of English, of which letters tell least; written for this crate.
    pub fn common() -> Self {
        Self::parse(include_str!("common.dict"), "common.dict").unwrap_or_default()
    }

    /// Reads a lexicon from a file.
    ///
    /// # Errors
    /// The file cannot be read, or a line is no entry.
    pub fn read(path: &Path) -> Result<Self, LexiconError> {
        let io = |source| LexiconError::Io { path: path.into(), source };
        let file = std::fs::File::open(path).map_err(io)?;
        Self::read_lines(std::io::BufReader::new(file), &path.display().to_string()).map_err(|error| {
            match error {
                LexiconError::Io { source, .. } => io(source),
                other => other,
            }
        })
    }

    /// Reads a lexicon from a text; `origin` names it in errors.
    ///
    /// # Errors
    /// A line is no entry.
    pub fn parse(text: &str, origin: &str) -> Result<Self, LexiconError> {
        Self::read_lines(text.as_bytes(), origin)
    }

    fn read_lines(mut reader: impl BufRead, origin: &str) -> Result<Self, LexiconError> {
        let mut lexicon = Self::default();
        let mut bytes = Vec::new();
        for line in 1.. {
            bytes.clear();
            // A line without an end must not fill the memory.
            let mut bounded = std::io::Read::take(&mut reader, MAX_LINE_BYTES as u64 + 1);
            let read = bounded.read_until(b'\n', &mut bytes);
            let read = read.map_err(|source| LexiconError::Io { path: origin.into(), source })?;
            if read == 0 {
                break;
            }
            let wrong = |reason| LexiconError::Line { origin: origin.into(), line, reason };
            if read > MAX_LINE_BYTES {
                return Err(wrong(format!("longer than {MAX_LINE_BYTES} bytes")));
            }
            let text = std::str::from_utf8(&bytes).map_err(|_| wrong("not UTF-8".into()))?;
            let text = if line == 1 { text.trim_start_matches('\u{FEFF}') } else { text };
            lexicon.add_line(text).map_err(wrong)?;
        }
        Ok(lexicon)
    }

    fn add_line(&mut self, line: &str) -> Result<(), String> {
        if line.starts_with(";;;") {
            return Ok(());
        }
        let mut fields = line.split_whitespace();
        let Some(written) = fields.next() else { return Ok(()) };
        if written == "#" {
            return Ok(());
        }
        let (word, variant) = match written.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')) {
            Some((word, number)) if !word.is_empty() => {
                let number = number.parse::<u32>();
                (word, number.map_err(|_| format!("`{written}`: a variant is written `word(2)`"))?)
            }
            _ => (written, 1),
        };
        let mut pronunciation = Pronunciation::new();
        for name in fields.take_while(|field| !field.starts_with('#')) {
            let phone = Phone::parse(name);
            pronunciation.push(phone.ok_or_else(|| format!("`{name}` in `{written}` is no phone"))?);
        }
        self.push(word, pronunciation, variant > 1)
    }

    /// Adds a pronunciation as the last one of a word.
    ///
    /// # Errors
    /// One of the limits of this module is passed, or there is no phone.
    pub fn insert(&mut self, word: &str, pronunciation: Pronunciation) -> Result<(), LexiconError> {
        let wrong = |reason| LexiconError::Line { origin: "entry".into(), line: 1, reason };
        self.push(word, pronunciation, false).map_err(wrong)
    }

    fn push(&mut self, word: &str, pronunciation: Pronunciation, variant: bool) -> Result<(), String> {
        let word = key(word);
        if word.is_empty() || word.len() > MAX_WORD_BYTES {
            return Err(format!("a word of {} bytes, not 1 to {MAX_WORD_BYTES}", word.len()));
        }
        if pronunciation.is_empty() {
            return Err(format!("`{word}` has no phones"));
        }
        if pronunciation.len() > MAX_PHONES {
            return Err(format!("`{word}` has more than {MAX_PHONES} phones"));
        }
        if self.entries.len() >= MAX_WORDS && !self.entries.contains_key(&word) {
            return Err(format!("more than {MAX_WORDS} words"));
        }
        let entry = self
            .entries
            .entry(word)
            .or_insert_with(|| Entry { adds: variant, pronunciations: Vec::with_capacity(1) });
        // Variants that differed only in stress are one pronunciation here.
        if !entry.pronunciations.contains(&pronunciation) {
            if entry.pronunciations.len() >= MAX_PRONUNCIATIONS {
                return Err(format!("more than {MAX_PRONUNCIATIONS} pronunciations"));
            }
            entry.pronunciations.push(pronunciation);
        }
        Ok(())
    }

    /// Pronunciations of a word in any case, the usual one first; empty where it is not here.
    pub fn lookup(&self, word: &str) -> &[Pronunciation] {
        self.entry(word).map_or(&[], |entry| &entry.pronunciations)
    }

    fn entry(&self, word: &str) -> Option<&Entry> {
        self.entries.get(word).or_else(|| self.entries.get(&key(word)))
    }

    /// Whether the entry of `word`, as an overlay, adds to the pronunciations of the lexicon below
    /// (its first line is `word(2)`) instead of replacing them.
    pub fn adds(&self, word: &str) -> bool {
        self.entry(word).is_some_and(|entry| entry.adds)
    }

    /// Lays another lexicon over this one: its words replace those here, or add to them where their
    /// first line is a numbered variant.
    pub fn overlay(&mut self, over: &Self) {
        for (word, entry) in &over.entries {
            match self.entries.get_mut(word) {
                Some(mine) if entry.adds => {
                    for pronunciation in &entry.pronunciations {
                        if !mine.pronunciations.contains(pronunciation)
                            && mine.pronunciations.len() < MAX_PRONUNCIATIONS
                        {
                            mine.pronunciations.push(pronunciation.clone());
                        }
                    }
                }
                Some(mine) => mine.clone_from(entry),
                None => {
                    self.entries.insert(word.clone(), entry.clone());
                }
            }
        }
    }

    /// Words in order with their pronunciations.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Pronunciation])> {
        self.entries.iter().map(|(word, entry)| (word.as_str(), entry.pronunciations.as_slice()))
    }

    /// Number of words.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Lower case, with every apostrophe made plain, in Unicode's normal form C.
fn key(word: &str) -> String {
    crate::normalise::folded(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Lexicon, String> {
        Lexicon::parse(text, "test").map_err(|error| error.to_string())
    }

    fn phones(text: &str) -> Pronunciation {
        text.split(' ').map(|name| Phone::parse(name).unwrap()).collect()
    }

    #[test]
    fn common_words_are_there() {
        let common = Lexicon::parse(include_str!("common.dict"), "common.dict").unwrap();
        assert!(common.entries.len() > 500, "{}", common.entries.len());
        for (word, phone) in [("my", "M AY"), ("the", "DH AH"), ("one", "W AH N"), ("o'clock", "AH K L AA K")]
        {
            assert_eq!(common.lookup(word)[0], phones(phone), "{word}");
        }
        for (word, entry) in &common.entries {
            let mut forms = entry.pronunciations.clone();
            forms.sort();
            forms.dedup();
            assert_eq!(forms.len(), entry.pronunciations.len(), "{word} has a form twice");
        }
    }

    #[test]
    fn the_format_of_the_cmu_dictionary() {
        let text = "\u{FEFF};;; old comment\n\n# new comment\nA AH0\r\na(2) EY1\n'bout  B AW1 T\n\
            aalen AE1 L AH0 N # place, german\nwith\tW IH1 DH\nwith\tW IH1 TH\nwith W IH2 TH\n(paren P ER0 EH1 N";
        let lexicon = parse(text).unwrap();
        assert_eq!(lexicon.len(), 5);
        assert_eq!(lexicon.lookup("A"), [phones("AH"), phones("EY")]);
        assert_eq!(lexicon.lookup("\u{2019}Bout"), [phones("B AW T")]);
        assert_eq!(lexicon.lookup("aalen"), [phones("AE L AH N")]);
        assert_eq!(lexicon.lookup("with"), [phones("W IH DH"), phones("W IH TH")]);
        assert!(lexicon.lookup("paren").is_empty() && lexicon.lookup("").is_empty());
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn errors_name_the_line() {
        let error = |text: &str| parse(text).unwrap_err();
        assert_eq!(error("a AH0\nb B IY9\n"), "test:2: `IY9` in `b` is no phone");
        assert_eq!(error("a AH0\n\nb\n"), "test:3: `b` has no phones");
        assert_eq!(error("a(x) AH0"), "test:1: `a(x)`: a variant is written `word(2)`");
        assert!(error(&format!("{} AH0", "a".repeat(97))).starts_with("test:1: a word of 97 bytes"));
        assert!(error(&format!("a{}", " AH0".repeat(97))).contains("more than 96 phones"));
        assert_eq!(error(&format!("a AH0{}", " ".repeat(2000))), "test:1: longer than 1024 bytes");
        let utf8 = Lexicon::read_lines(&b"a AH0\n\xff B\n"[..], "test").unwrap_err();
        assert_eq!(utf8.to_string(), "test:2: not UTF-8");
        // 39 different pronunciations of one word.
        let many: String = Phone::ALL.iter().map(|phone| format!("a {phone}\n")).collect();
        assert_eq!(error(&many), "test:33: more than 32 pronunciations");
        let missing = Lexicon::read(Path::new("no/such.dict")).unwrap_err().to_string();
        assert!(missing.starts_with("no/such.dict: "), "{missing}");
    }

    #[test]
    fn overlays_replace_or_add() {
        let mut lexicon = parse("tomato T AH M EY T OW\ndata D EY T AH\nkeep K IY P").unwrap();
        let over = parse("tomato(2) T AH M AA T OW\ndata D AE T AH\nauricle AO R IH K AH L").unwrap();
        assert!(over.adds("tomato") && !over.adds("data") && !over.adds("none"));
        lexicon.overlay(&over);
        assert_eq!(lexicon.lookup("tomato"), [phones("T AH M EY T OW"), phones("T AH M AA T OW")]);
        assert_eq!(lexicon.lookup("data"), [phones("D AE T AH")]);
        assert_eq!((lexicon.lookup("keep").len(), lexicon.lookup("auricle").len()), (1, 1));
        let words: Vec<&str> = lexicon.iter().map(|(word, _)| word).collect();
        assert_eq!(words, ["auricle", "data", "keep", "tomato"]);
    }
}
