//! The words of partial paths, which share their beginnings.

use super::found_word::FoundWord;
use super::lattice::LatticeArc;
use super::token::Token;
use super::tree::LexiconTree;
use std::collections::BTreeSet;

/// The history without words, or with none but those that are settled.
pub(super) const EMPTY: u32 = 0;

/// Stands for silence where a word may be.
pub(super) const NO_WORD: u32 = u32::MAX;

/// A word after others, or silence where a lattice is made.
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
    /// All ways into each record, in the order of records, where a lattice is made.
    arcs: Vec<LatticeArc>,
}

impl Histories {
    pub fn push(&mut self, record: Record) -> u32 {
        self.records.push(record);
        self.records.len() as u32
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Adds a way into the newest records, in the order of records.
    pub fn push_arc(&mut self, arc: LatticeArc) {
        self.arcs.push(arc);
    }

    /// Score of the best path to the end of a history.
    pub fn total(&self, history: u32) -> f64 {
        self.record(history).map_or(self.settled_total, |record| record.total)
    }

    /// Whether there is no word.
    pub fn is_silent(&self, history: u32) -> bool {
        let is_silence = |record: &Record| record.word == NO_WORD && record.before == EMPTY;
        self.settled.is_empty() && self.record(history).is_none_or(is_silence)
    }

    /// The frame after the last word.
    pub fn last_word_end(&self, history: u32) -> usize {
        let mut at = history;
        while let Some(record) = self.record(at) {
            if record.word != NO_WORD {
                return record.end as usize;
            }
            at = record.before;
        }
        self.settled.last().map_or(0, |word| word.end_frame)
    }

    /// Frames at which histories end, the empty one's first, and all ways into them.
    pub fn lattice(&self) -> (Vec<u32>, Vec<LatticeArc>) {
        let ends = self.records.iter().map(|record| record.end);
        (std::iter::once(0).chain(ends).collect(), self.arcs.clone())
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
            if record.word == NO_WORD {
                continue;
            }
            // Silence counts to the word behind it.
            let silence = self.record(at).filter(|before| before.word == NO_WORD);
            let total_before = self.total(silence.map_or(at, |silence| silence.before));
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
        self.keep_live(tokens, common, 0.0);
    }

    /// The same for a lattice: nothing is settled, as rivals of words that all best paths share are of use to the end.
    ///
    /// What is worse than the best way to every token by more than `beam` will be so at the end, and goes.
    pub fn collect_lattice(&mut self, tokens: &mut [Token], beam: f32) {
        self.keep_live(tokens, EMPTY, f64::from(beam) + 1e-6);
    }

    /// Throws away what no token goes on from; `settled` and all before it become the empty history.
    fn keep_live(&mut self, tokens: &mut [Token], settled: u32, beam: f64) {
        // By how much the best path through each record is worse than the best to a token, the token being the one for which
        // this is least.
        let mut lost = vec![f64::INFINITY; self.records.len() + 1];
        for token in tokens.iter() {
            lost[token.history as usize] = 0.0;
        }
        let mut is_kept = vec![false; self.arcs.len()];
        let mut arcs_end = self.arcs.len();
        for number in (1..lost.len()).rev() {
            let is_own = |arc: &LatticeArc| arc.to as usize == number;
            let own = self.arcs[..arcs_end].iter().rev().take_while(|arc| is_own(arc)).count();
            let own = arcs_end - own..arcs_end;
            arcs_end = own.start;
            if lost[number] == f64::INFINITY {
                continue;
            }
            let record = self.records[number - 1];
            let before = record.before as usize;
            lost[before] = lost[before].min(lost[number]);
            for place in own {
                let arc = self.arcs[place];
                let loss = lost[number] + (record.total - self.total(arc.from) - arc.score).max(0.0);
                if loss <= beam {
                    is_kept[place] = true;
                    lost[arc.from as usize] = lost[arc.from as usize].min(loss);
                }
            }
        }
        let mut is_live: Vec<bool> = lost.iter().map(|lost| *lost < f64::INFINITY).collect();
        // Up to the common one everything is settled: it becomes the history without words.
        is_live[..=settled as usize].fill(false);
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
        let mut kept = is_kept.into_iter();
        self.arcs.retain(|_| kept.next().unwrap_or(false));
        for arc in &mut self.arcs {
            (arc.from, arc.to) = (renumbered[arc.from as usize], renumbered[arc.to as usize]);
        }
        for token in tokens {
            token.history = renumbered[token.history as usize];
        }
    }
}
