//! Pronouncing dictionaries.

mod compact;

use crate::phones::Phone;
use auricle_io::{Budget, Lines, TextError, open};
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
/// The memory that a lexicon may take, in bytes.
const MAX_BYTES: u64 = 1 << 30;
/// What a word and a pronunciation take besides letters and phones.
const ENTRY_BYTES: usize = 128;
/// Phones of lexicons of other toolkits for what is no speech.
const NO_SPEECH: [&str; 5] = ["SIL", "SP", "SPN", "NSN", "LAU"];

/// Why a lexicon is not usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
/// comment line, ` #` a comment at the end of a line. Words are read in lower case, with every
/// apostrophe plain, in Unicode's normal form C.
///
/// Behind the word there may be the probability of the pronunciation, as in Kaldi's `lexiconp.txt`:
/// the most probable one is the usual one then. Entries of silence and noise such as `!SIL SIL` or
/// `<unk> SPN` are passed over. Files may be packed by gzip.
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
        Self::read_lines(open(path).map_err(io)?, &path.display().to_string()).map_err(|error| match error {
            LexiconError::Io { source, .. } => io(source),
            other => other,
        })
    }

    /// Reads a lexicon from a text; `origin` names it in errors.
    ///
    /// # Errors
    /// A line is no entry.
    pub fn parse(text: &str, origin: &str) -> Result<Self, LexiconError> {
        Self::read_lines(text.as_bytes(), origin)
    }

    fn read_lines(reader: impl BufRead, origin: &str) -> Result<Self, LexiconError> {
        let mut lexicon = Self::default();
        let mut lines = Lines::new(reader, MAX_LINE_BYTES);
        let mut budget = Budget::new("the lexicon", MAX_BYTES);
        let mut probabilities = Probabilities::default();
        loop {
            let next = lines.next_line().map_err(|error| in_line(error, origin))?;
            let Some((line, text)) = next else { break };
            let wrong = |reason| LexiconError::Line { origin: origin.into(), line, reason };
            let Some(parsed) = Line::parse(text).map_err(wrong)? else { continue };
            let bytes = ENTRY_BYTES + parsed.word.len() + parsed.pronunciation.len();
            budget.charge(bytes as u64).map_err(|error| wrong(error.to_string()))?;
            let Line { word, is_variant, probability, pronunciation } = parsed;
            if let Some(probability) = probability {
                probabilities.add(word, &pronunciation, probability);
            }
            lexicon.push(word, pronunciation, is_variant).map_err(wrong)?;
        }
        probabilities.sort(&mut lexicon);
        Ok(lexicon)
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

/// An entry as a line has it.
struct Line<'l> {
    word: &'l str,
    is_variant: bool,
    probability: Option<f32>,
    pronunciation: Pronunciation,
}

impl<'l> Line<'l> {
    /// `None` for comments, empty lines and what is no speech.
    fn parse(line: &'l str) -> Result<Option<Self>, String> {
        if line.starts_with(";;;") {
            return Ok(None);
        }
        let mut fields = line.split_whitespace().peekable();
        let Some(written) = fields.next().filter(|written| *written != "#") else { return Ok(None) };
        let (word, variant) = match written.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')) {
            Some((word, number)) if !word.is_empty() => {
                let number = number.parse::<u32>();
                (word, number.map_err(|_| format!("`{written}`: a variant is written `word(2)`"))?)
            }
            _ => (written, 1),
        };
        let probability = match fields.peek().and_then(|field| field.parse::<f32>().ok()) {
            Some(probability) => {
                if !(probability > 0.0 && probability <= 1.0) {
                    return Err(format!(
                        "{probability} in `{written}` is no probability: it must be above 0 and at most 1"
                    ));
                }
                fields.next();
                Some(probability)
            }
            None => None,
        };
        let mut pronunciation = Pronunciation::new();
        for name in fields.take_while(|field| !field.starts_with('#')) {
            match Phone::parse(name) {
                Some(phone) => pronunciation.push(phone),
                None if NO_SPEECH.iter().any(|other| name.eq_ignore_ascii_case(other)) => return Ok(None),
                None if probability.is_some() && name.parse::<f32>().is_ok() => {
                    return Err(format!(
                        "`{written}` has more than one number: leave only the probability of the pronunciation"
                    ));
                }
                None => return Err(format!("`{name}` in `{written}` is no phone")),
            }
        }
        Ok(Some(Self { word, is_variant: variant > 1, probability, pronunciation }))
    }
}

/// Probabilities of pronunciations, where a file has them.
#[derive(Default)]
struct Probabilities(BTreeMap<String, Vec<(Pronunciation, f32)>>);

impl Probabilities {
    fn add(&mut self, word: &str, pronunciation: &Pronunciation, probability: f32) {
        let known = self.0.entry(key(word)).or_default();
        match known.iter_mut().find(|(other, _)| other == pronunciation) {
            // Variants that differ only in stress are one.
            Some((_, sum)) => *sum += probability,
            None => known.push((pronunciation.clone(), probability)),
        }
    }

    /// Puts the most probable pronunciation of each word first; those without a probability stay behind.
    fn sort(self, lexicon: &mut Lexicon) {
        for (word, known) in self.0 {
            let Some(entry) = lexicon.entries.get_mut(&word) else { continue };
            let of = |pronunciation: &Pronunciation| {
                known
                    .iter()
                    .find(|(other, _)| other == pronunciation)
                    .map_or(0.0, |(_, probability)| *probability)
            };
            entry.pronunciations.sort_by(|a, b| of(b).total_cmp(&of(a)));
        }
    }
}

/// What is wrong with a line as text.
fn in_line(error: TextError, origin: &str) -> LexiconError {
    let (line, reason) = match error {
        TextError::Io(source) => return LexiconError::Io { path: origin.into(), source },
        TextError::LongLine { line, limit } => (line, format!("longer than {limit} bytes")),
        TextError::Encoding { line } => (line, "not UTF-8".into()),
        other => (1, other.to_string()),
    };
    LexiconError::Line { origin: origin.into(), line, reason }
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

    /// As Kaldi, the Montreal aligner and editors on Windows have them.
    #[test]
    fn lexicons_of_other_toolkits() {
        let text = "\u{feff}!SIL\tSIL\r\n<UNK>\tSPN\r\nread\t0.2 R EH1 D\r\nread\t0.8\tR IY1 D\r\ncafe\u{301} 1.0 K AE F EY\r\ndon\u{2019}t D OW N T\r\n";
        let lexicon = parse(text).unwrap();
        assert_eq!(lexicon.lookup("read"), [phones("R IY D"), phones("R EH D")]);
        assert_eq!(
            (lexicon.lookup("CAF\u{c9}").len(), lexicon.lookup("don't").len(), lexicon.len()),
            (1, 1, 3)
        );
        let error = |text: &str| parse(text).unwrap_err();
        assert_eq!(error("a 0 AH"), "test:1: 0 in `a` is no probability: it must be above 0 and at most 1");
        assert!(error("a 0.9 0.1 1.2 AH").contains("more than one number"));
        assert!(error("a nan AH").contains("no probability"));
        assert!(error("a 0.5").contains("no phones"));
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
