//! The end of an utterance.

use super::super::history::{EMPTY, Record};
use super::super::lattice::{Lattice, LatticeArc};
use super::super::token::{Context, Place, SILENCE_NODE};
use super::super::tree::ROOT;
use super::{Found, WordSearch};
use std::sync::Arc;

/// A path at the end of a word or of silence, when the utterance ends.
struct End {
    score: f64,
    history: u32,
    word: Option<Record>,
    /// Share of the language model since the history's end.
    lm_score: f32,
    start: u32,
}

impl WordSearch {
    /// Whether the best path has words, and the number of frames of silence or blanks since its last word; 0 within a word.
    pub fn trailing_silence(&self) -> (bool, usize) {
        let Some(token) = self.best_token() else { return (false, 0) };
        let is_between = matches!(token.place.node, SILENCE_NODE | ROOT);
        let silence = self.frame - self.histories.last_word_end(token.history).min(self.frame);
        (!self.histories.is_silent(token.history), if is_between { silence } else { 0 })
    }

    /// By how much the best path is better than the best one that is at the end of a sentence; +∞ where none is.
    pub fn end_cost(&mut self) -> f64 {
        let bare = self.tokens.iter().map(|token| self.bare(token)).fold(f32::NEG_INFINITY, f32::max);
        let best = if self.frame == 0 { 0.0 } else { self.offset + f64::from(bare) };
        let ends = self.ends();
        best - ends.iter().map(|end| end.score).fold(f64::NEG_INFINITY, f64::max)
    }

    /// The best words of the utterance. The search begins anew behind it.
    pub fn finish(&mut self) -> Found {
        let ends = self.ends();
        let best = ends.iter().reduce(|a, b| if b.score > a.score { b } else { a });
        let found = match best {
            Some(best) => {
                let lattice = self.decoder.config.lattice_beam.map(|beam| self.lattice(&ends, beam));
                let history = match best.word {
                    Some(record) => self.histories.push(record),
                    None => best.history,
                };
                let words = self.histories.words(history, &self.decoder.tree);
                Found { words, score: best.score, unfinished: false, lattice }
            }
            None => {
                let score = self.best_token().map_or(0.0, |token| self.offset + f64::from(self.bare(token)));
                Found { words: self.partial(), score, unfinished: true, lattice: None }
            }
        };
        self.tokens.clear();
        self.histories.clear();
        self.offset = 0.0;
        self.frame = 0;
        found
    }

    /// All paths that are at an end.
    fn ends(&mut self) -> Vec<End> {
        let shared = Arc::clone(&self.decoder);
        let decoder = &*shared;
        let mut ends = Vec::new();
        if self.frame == 0 {
            let score = f64::from(decoder.without_silence);
            ends.push(End { score, history: EMPTY, word: None, lm_score: 0.0, start: 0 });
        }
        let tokens = std::mem::take(&mut self.tokens);
        for token in &tokens {
            let Place { node, before, is_blank, state } = token.place;
            let bare = self.bare(token);
            let (history, start) = (token.history, token.start);
            if node == SILENCE_NODE || node == ROOT {
                let is_silence = node == SILENCE_NODE || Some(before) == decoder.silence;
                let silence = if is_silence { 0.0 } else { decoder.without_silence };
                // Where nothing was said there is no sentence that could end.
                let lm_score = if self.histories.is_silent(history) { 0.0 } else { self.end_score(state) };
                let score = self.offset + f64::from(bare + silence + lm_score);
                ends.push(End { score, history, word: None, lm_score, start });
            } else if !is_blank {
                for end in decoder.tree.ends(node) {
                    let (lm_score, state) = self.word_score(state, end.word, end.log_weight);
                    let record = Record {
                        before: history,
                        word: end.word,
                        start,
                        end: self.frame as u32,
                        lm_score,
                        total: self.offset + f64::from(bare + lm_score),
                    };
                    let closing = self.end_score(state);
                    let score = record.total + f64::from(closing + decoder.without_silence);
                    let lm_score = lm_score + closing;
                    ends.push(End { score, history, word: Some(record), lm_score, start });
                }
            }
        }
        self.tokens = tokens;
        ends
    }

    /// The lattice of everything so far with these ends.
    fn lattice(&self, ends: &[End], beam: f32) -> Lattice {
        let (mut frames, mut arcs) = self.histories.lattice();
        let last = frames.len() as u32;
        frames.push(self.frame as u32);
        arcs.extend(ends.iter().map(|end| LatticeArc {
            from: end.history,
            to: last,
            word: end.word.map(|record| record.word),
            start_frame: end.start,
            score: end.score - self.histories.total(end.history),
            lm_score: end.lm_score,
        }));
        Lattice::new(Arc::clone(&self.decoder), frames, arcs, beam)
    }

    /// What the end of the utterance adds after words.
    fn end_score(&self, context: Context) -> f32 {
        let refund = self.hotwords.as_ref().map_or(0.0, |hotwords| hotwords.end(context.hot));
        self.decoder.end_score(context.lm) + refund
    }
}
