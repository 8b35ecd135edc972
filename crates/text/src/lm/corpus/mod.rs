//! Models of more text than fits into memory.

mod smooth;
mod sort;
#[cfg(test)]
mod tests;
mod vocabulary;

use super::train::{check_order, check_unit};
use super::{LmError, SPECIAL};
use auricle_io::{TemporaryFile, atomic_write_with};
use serde::Serialize;
use smooth::{Packing, Smoother};
use std::collections::HashMap;
use std::io::{BufReader, BufWriter, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// Ends a sentence among the numbers of units.
const SENTENCE_END: u32 = u32::MAX;

/// Which units a model knows; others are the unknown one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Vocabulary {
    /// Those seen at least so often.
    MinCount(u64),
    /// So many, the most frequent ones; of equal ones the first in the order of their letters.
    MostFrequent(usize),
    /// These. Those that the text does not have get what smoothing leaves for one unseen unit.
    Listed(Vec<String>),
}

/// How a model is estimated from a [`Corpus`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorpusConfig {
    /// Longest n-gram, 1–10. Default: 3.
    pub order: usize,
    /// Units of the model. Default: all.
    pub vocabulary: Vocabulary,
    /// Bytes that n-grams may take in memory, beside the different units of the text and a few MiB of buffers;
    /// at least 4,096. Default: 1 GiB.
    pub memory: usize,
    /// Where n-grams are sorted on disk: 30 to 60 bytes for each of the longest n-grams.
    /// Default: the system's folder of temporary files.
    pub folder: PathBuf,
}

impl Default for CorpusConfig {
    fn default() -> Self {
        let vocabulary = Vocabulary::MinCount(1);
        Self { order: 3, vocabulary, memory: 1 << 30, folder: std::env::temp_dir() }
    }
}

/// What a model was estimated from, and what it has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CorpusReport {
    /// Sentences of the text.
    pub sentences: u64,
    /// Units of the text, without ends of sentences.
    pub units: u64,
    /// Those of them that the model does not know.
    pub unknown: u64,
    /// Different units of the text.
    pub types: usize,
    /// Units that the model knows, without unknown, begin and end.
    pub vocabulary: usize,
    /// N-grams by length, from 1.
    pub ngrams: Vec<u64>,
}

/// A text on disk of which a model is estimated in bounded memory: the same that
/// [`NgramLm::train`](super::NgramLm::train) makes.
///
/// N-grams are sorted by their last units, in runs that fit into memory and are merged; every step of modified
/// Kneser–Ney smoothing is then one pass over a sorted file, as Heafield et al. (2013) have it.
///
/// ```
/// use auricle_text::lm::{Corpus, CorpusConfig, NgramLm};
/// let folder = std::env::temp_dir().join(format!("auricle-corpus-{}", std::process::id()));
/// std::fs::create_dir_all(&folder)?;
/// let mut corpus = Corpus::new(CorpusConfig::default())?;
/// corpus.push(&["wake", "me", "up"])?;
/// corpus.push(&["wake", "me", "at", "five"])?;
/// let report = corpus.write_arpa(&folder.join("lm.arpa"))?;
/// assert_eq!(report.ngrams, [8, 7, 6]);
/// let lm = NgramLm::load(&folder.join("lm.arpa"))?;
/// assert_eq!(lm.ngram_count(), 21);
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Corpus {
    config: CorpusConfig,
    /// The numbers of the units of all sentences.
    text: BufWriter<TemporaryFile>,
    /// Units by number, in the order of first appearance, and how often they come.
    numbers: HashMap<Box<str>, u32>,
    counts: Vec<u64>,
    sentences: u64,
}

impl Corpus {
    /// A text without sentences.
    ///
    /// # Errors
    /// A setting is out of range; the folder cannot be written to.
    pub fn new(config: CorpusConfig) -> Result<Self, LmError> {
        check_order(config.order)?;
        let range = |setting, value: f64, ok: bool, range| {
            if ok { Ok(()) } else { Err(LmError::Config { setting, value, range }) }
        };
        range("memory", config.memory as f64, config.memory >= 4096, "4096 bytes or more")?;
        match &config.vocabulary {
            Vocabulary::MinCount(count) => range("min_count", *count as f64, *count > 0, "1 or more")?,
            Vocabulary::MostFrequent(count) => range("vocabulary", *count as f64, *count > 0, "1 or more")?,
            Vocabulary::Listed(units) => units.iter().try_for_each(|unit| check_unit(unit))?,
        }
        let text = TemporaryFile::create(&config.folder)
            .map_err(|source| LmError::Io { path: config.folder.clone(), source })?;
        let text = BufWriter::new(text);
        Ok(Self { config, text, numbers: HashMap::new(), counts: Vec::new(), sentences: 0 })
    }

    /// Adds a sentence; one without units is passed over.
    ///
    /// # Errors
    /// A unit that is none; a full disk.
    pub fn push<S: AsRef<str>>(&mut self, sentence: &[S]) -> Result<(), LmError> {
        if sentence.is_empty() {
            return Ok(());
        }
        for unit in sentence {
            let unit = unit.as_ref();
            let number = match self.numbers.get(unit) {
                Some(number) => *number,
                None => {
                    check_unit(unit)?;
                    let number = self.counts.len() as u32;
                    self.numbers.insert(unit.into(), number);
                    self.counts.push(0);
                    number
                }
            };
            self.counts[number as usize] += 1;
            self.put(number)?;
        }
        self.sentences += 1;
        self.put(SENTENCE_END)
    }

    fn put(&mut self, number: u32) -> Result<(), LmError> {
        let folder = &self.config.folder;
        self.text
            .write_all(&number.to_le_bytes())
            .map_err(|source| LmError::Io { path: folder.clone(), source })
    }

    /// Estimates the model and writes it as an ARPA file, whose n-grams are in the order of their last units.
    /// An older file is replaced when the new one is whole.
    ///
    /// # Errors
    /// There is no sentence; n-grams that 128 bits do not hold; a file cannot be written.
    pub fn write_arpa(self, path: &Path) -> Result<CorpusReport, LmError> {
        if self.sentences == 0 {
            return Err(LmError::NoText);
        }
        let CorpusConfig { order, vocabulary, memory, folder } = self.config;
        let types = self.counts.len();
        let chosen = vocabulary::choose(&vocabulary, self.numbers, &self.counts);
        let packing = Packing::new(order, chosen.units.len())?;
        let unknown = chosen.ids.iter().zip(&self.counts).filter(|(id, _)| **id == super::UNKNOWN);
        let mut report = CorpusReport {
            sentences: self.sentences,
            units: self.counts.iter().sum(),
            unknown: unknown.map(|(_, count)| count).sum(),
            types,
            vocabulary: chosen.units.len() - SPECIAL.len(),
            ngrams: Vec::new(),
        };
        let in_folder = |source| LmError::Io { path: folder.clone(), source };
        let smoother = Smoother { folder: &folder, memory, packing, units: chosen.units.len() as u32 };
        let mut counter = smoother.counter().map_err(in_folder)?;
        let text = self.text.into_inner().map_err(|error| in_folder(error.into_error()))?;
        let mut count = |mut text: TemporaryFile| -> std::io::Result<()> {
            text.rewind()?;
            let mut text = BufReader::new(text);
            for _ in 0..self.sentences {
                counter.begin();
                loop {
                    let mut number = [0; 4];
                    text.read_exact(&mut number)?;
                    let number = u32::from_le_bytes(number);
                    if number == SENTENCE_END {
                        break;
                    }
                    counter.push(chosen.ids[number as usize])?;
                }
                counter.push(super::END)?;
            }
            Ok(())
        };
        count(text).map_err(in_folder)?;
        let mut model = smoother.smooth(counter).map_err(in_folder)?;
        report.ngrams = model.ngrams();
        let written = atomic_write_with(path, |file| {
            let mut file = BufWriter::new(file);
            model.write_arpa(&packing, &chosen.units, &mut file)?;
            file.flush()
        });
        written.map_err(|source: std::io::Error| LmError::Io { path: path.into(), source })?;
        Ok(report)
    }
}
