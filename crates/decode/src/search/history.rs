//! The words of partial paths, which share their beginnings.

use super::token::Token;
use super::tree::LexiconTree;
use std::collections::BTreeSet;

/// The history without words, or with none but those that are settled.
pub(super) const EMPTY: u32 = 0;

/// A word that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundWord {
    /// As the language model spells it.
    pub word: String,
    /// Its first frame.
    pub start_frame: usize,
    /// The frame after its last.
    pub end_frame: usize,
    /// What the path's score grows by from the end of the word before to the end of this one, silence between them and language
    /// model included.
    pub score: f64,
    /// Share of language model, pronunciation and word bonus in it.
    pub lm_score: f64,
}

/// A word after others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Record {
    /// The words before; a smaller number than its own.
    pub before: u32,
    pub word: u32,
    pub start: u32,
    pub end: u32,
    pub lm_score: f32,
    /// Score of the path to the word's end.
    pub total: f64,
}

/// Words of all partial paths. Those that all of them share are settled, and what none of them has is thrown away.
#[derive(Debug, Clone, Default)]
pub(super) struct Histories {
    /// Record n has the number n + 1.
    records: Vec<Record>,
    settled: Vec<FoundWord>,
    settled_total: f64,
}

impl Histories {
    pub fn push(&mut self, record: Record) -> u32 {
        self.records.push(record);
        self.records.len() as u32
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether there is no word.
    pub fn is_silent(&self, history: u32) -> bool {
        history == EMPTY && self.settled.is_empty()
    }

    /// Number of records that are kept.
    pub fn num_records(&self) -> usize {
        self.records.len()
    }

    /// The words of a history, from the beginning.
    pub fn words(&self, history: u32, tree: &LexiconTree) -> Vec<FoundWord> {
        let mut words = self.settled.clone();
        words.extend(self.unsettled(history, tree));
        words
    }

    fn unsettled(&self, history: u32, tree: &LexiconTree) -> Vec<FoundWord> {
        let mut words = Vec::new();
        let mut at = history;
        while let Some(record) = self.record(at) {
            at = record.before;
            let total_before = self.record(at).map_or(self.settled_total, |before| before.total);
            words.push(FoundWord {
                word: tree.word(record.word).to_owned(),
                start_frame: record.start as usize,
                end_frame: record.end as usize,
                score: record.total - total_before,
                lm_score: f64::from(record.lm_score),
            });
        }
        words.reverse();
        words
    }

    fn record(&self, history: u32) -> Option<&Record> {
        self.records.get((history as usize).checked_sub(1)?)
    }

    /// The longest history that all of these go on from.
    pub fn common(&self, histories: impl IntoIterator<Item = u32>) -> u32 {
        // A history has a greater number than those it goes on from: the greatest cannot be the common one unless it is the
        // only one.
        let mut open: BTreeSet<u32> = histories.into_iter().collect();
        while open.len() > 1 {
            if let Some(greatest) = open.pop_last() {
                open.insert(self.record(greatest).map_or(EMPTY, |record| record.before));
            }
        }
        open.first().copied().unwrap_or(EMPTY)
    }

    /// Settles what the histories of all tokens share, throws away what none has, and renumbers the rest.
    pub fn collect(&mut self, tokens: &mut [Token], tree: &LexiconTree) {
        let common = self.common(tokens.iter().map(|token| token.history));
        let newly = self.unsettled(common, tree);
        if let Some(record) = self.record(common) {
            self.settled_total = record.total;
        }
        self.settled.extend(newly);
        let mut is_live = vec![false; self.records.len() + 1];
        for token in tokens.iter() {
            is_live[token.history as usize] = true;
        }
        for number in (1..is_live.len()).rev() {
            if is_live[number] {
                is_live[self.records[number - 1].before as usize] = true;
            }
        }
        // Up to the common one everything is settled: it becomes the history without words.
        is_live[..=common as usize].fill(false);
        let mut renumbered = vec![EMPTY; is_live.len()];
        let mut kept = 0;
        for number in 1..is_live.len() {
            if is_live[number] {
                let mut record = self.records[number - 1];
                record.before = renumbered[record.before as usize];
                self.records[kept] = record;
                kept += 1;
                renumbered[number] = kept as u32;
            }
        }
        self.records.truncate(kept);
        for token in tokens {
            token.history = renumbered[token.history as usize];
        }
    }
}
