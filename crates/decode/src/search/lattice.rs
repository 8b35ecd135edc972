//! All good ways that a search has found through an utterance, as a graph of words.

use super::found_word::FoundWord;
use std::cmp::Ordering;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;

use super::decoder::WordDecoder;

/// The most partial sequences that a search for the best ones looks at.
const MAX_LOOKED_AT: usize = 200_000;

/// A word, silence, or the end of the utterance, between two nodes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatticeArc {
    /// Node before.
    pub from: u32,
    /// Node after; a greater number.
    pub to: u32,
    /// Number of the word; none for silence, blanks and the end.
    pub word: Option<u32>,
    /// First frame of the word; blanks of CTC may be before it.
    pub start_frame: u32,
    /// What the path's score grows by.
    pub score: f64,
    /// Share of language model, pronunciation, word bonus and hotwords in it.
    pub lm_score: f32,
}

/// A sequence of words and the score of the best path with it.
#[derive(Debug, Clone, PartialEq)]
pub struct WordSequence {
    /// Words in order.
    pub words: Vec<String>,
    /// Score, as that of [`Found`](super::Found).
    pub score: f64,
}

/// The words that were found, and their rivals within the lattice beam.
///
/// A node is a frame at which words end that leave the language model in one state; node 0 is the beginning, the last one the
/// end of the utterance. Of words that differ only in where they begin, the best beginning is there for each state of the
/// language model.
#[derive(Debug, Clone)]
pub struct Lattice {
    pub(super) decoder: Arc<WordDecoder>,
    /// Frame of each node.
    frames: Vec<u32>,
    /// In the order of the nodes that they end in.
    arcs: Vec<LatticeArc>,
}

impl PartialEq for Lattice {
    fn eq(&self, other: &Self) -> bool {
        self.frames == other.frames && self.arcs == other.arcs
    }
}

impl Lattice {
    /// A lattice of arcs in the order of their ends, the last node being the end; what is on no path within the beam of the best
    /// one goes.
    pub(super) fn new(decoder: Arc<WordDecoder>, frames: Vec<u32>, arcs: Vec<LatticeArc>, beam: f32) -> Self {
        let whole = Self { decoder, frames, arcs };
        let (forward, backward) = (whole.forward(f64::max, 1.0), whole.backward(f64::max, 1.0));
        let least = backward[0] - f64::from(beam) - 1e-9;
        let through = |arc: &LatticeArc| forward[arc.from as usize] + arc.score + backward[arc.to as usize];
        let kept: Vec<LatticeArc> = whole.arcs.iter().filter(|arc| through(arc) >= least).copied().collect();
        let last = whole.frames.len() - 1;
        let mut is_kept = vec![false; whole.frames.len()];
        (is_kept[0], is_kept[last]) = (true, true);
        kept.iter().for_each(|arc| is_kept[arc.to as usize] = true);
        let mut numbers = vec![0u32; whole.frames.len()];
        let mut frames = Vec::new();
        for (node, _) in is_kept.iter().enumerate().filter(|(_, kept)| **kept) {
            numbers[node] = frames.len() as u32;
            frames.push(whole.frames[node]);
        }
        let renumber = |arc: LatticeArc| LatticeArc {
            from: numbers[arc.from as usize],
            to: numbers[arc.to as usize],
            ..arc
        };
        Self { decoder: whole.decoder, frames, arcs: kept.into_iter().map(renumber).collect() }
    }

    /// Frame of each node.
    pub fn frames(&self) -> &[u32] {
        &self.frames
    }

    /// Arcs, in the order of the nodes that they end in.
    pub fn arcs(&self) -> &[LatticeArc] {
        &self.arcs
    }

    /// How a word is written.
    pub fn word(&self, word: u32) -> &str {
        self.decoder.tree.word(word)
    }

    /// For each node the sum, in the sense of `add`, of the paths to it.
    fn forward(&self, add: impl Fn(f64, f64) -> f64, scale: f64) -> Vec<f64> {
        let mut sums = vec![f64::NEG_INFINITY; self.frames.len()];
        sums[0] = 0.0;
        for arc in &self.arcs {
            let path = sums[arc.from as usize] + scale * arc.score;
            sums[arc.to as usize] = add(sums[arc.to as usize], path);
        }
        sums
    }

    /// For each node the sum of the paths from it to the end.
    fn backward(&self, add: impl Fn(f64, f64) -> f64, scale: f64) -> Vec<f64> {
        let mut sums = vec![f64::NEG_INFINITY; self.frames.len()];
        if let Some(last) = sums.last_mut() {
            *last = 0.0;
        }
        for arc in self.arcs.iter().rev() {
            let path = sums[arc.to as usize] + scale * arc.score;
            sums[arc.from as usize] = add(sums[arc.from as usize], path);
        }
        sums
    }

    /// The best sequences of words, each once, best first; at most `most`.
    pub fn best(&self, most: usize) -> Vec<WordSequence> {
        // Forwards, by what the best completion will be.
        let rest = self.backward(f64::max, 1.0);
        let last = self.frames.len() as u32 - 1;
        let mut leaving: Vec<Vec<&LatticeArc>> = vec![Vec::new(); self.frames.len()];
        self.arcs.iter().for_each(|arc| leaving[arc.from as usize].push(arc));
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        let mut open =
            BinaryHeap::from([Partial { whole: rest[0], so_far: 0.0, node: 0, words: Vec::new() }]);
        let mut looked_at = 0;
        while let Some(partial) = open.pop().filter(|_| found.len() < most && looked_at < MAX_LOOKED_AT) {
            looked_at += 1;
            // The first of a node with the same words is the best one.
            if !seen.insert((partial.node, partial.words.clone())) {
                continue;
            }
            if partial.node == last {
                let words = partial.words.iter().map(|&word| self.word(word).to_owned()).collect();
                found.push(WordSequence { words, score: partial.so_far });
                continue;
            }
            for arc in &leaving[partial.node as usize] {
                let mut words = partial.words.clone();
                words.extend(arc.word);
                let so_far = partial.so_far + arc.score;
                open.push(Partial { whole: so_far + rest[arc.to as usize], so_far, node: arc.to, words });
            }
        }
        found
    }

    /// Posterior probability of each arc, with all scores times `scale` (what turns scores into probabilities that are as often
    /// right as they say is to be found on held-out speech).
    pub fn posteriors(&self, scale: f64) -> Vec<f64> {
        let (forward, backward) = (self.forward(log_add, scale), self.backward(log_add, scale));
        let posterior = |arc: &LatticeArc| {
            (forward[arc.from as usize] + scale * arc.score + backward[arc.to as usize] - backward[0]).exp()
        };
        self.arcs.iter().map(posterior).collect()
    }

    /// Confidences in [0, 1] of words that were found: the greatest posterior probability, over the frames of the word, that the
    /// word is being said. `scale` is as in [`posteriors`](Self::posteriors).
    pub fn confidences(&self, words: &[FoundWord], scale: f64) -> Vec<f32> {
        let posteriors = self.posteriors(scale);
        let confidence = |word: &FoundWord| {
            let mut said = vec![0.0f64; word.end_frame.saturating_sub(word.start_frame)];
            for (arc, posterior) in self.arcs.iter().zip(&posteriors) {
                if arc.word.is_some_and(|number| self.word(number) == word.word) {
                    let start = (arc.start_frame as usize).max(word.start_frame);
                    let end = (self.frames[arc.to as usize] as usize).min(word.end_frame);
                    for frame in start..end {
                        said[frame - word.start_frame] += posterior;
                    }
                }
            }
            said.into_iter().fold(0.0, f64::max).clamp(0.0, 1.0) as f32
        };
        words.iter().map(confidence).collect()
    }
}

/// The beginning of a sequence.
struct Partial {
    whole: f64,
    so_far: f64,
    node: u32,
    words: Vec<u32>,
}

impl Ord for Partial {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |own: &Self| (own.node, own.words.len());
        // Of equal ones that which is farther.
        let by_score = self.whole.total_cmp(&other.whole);
        by_score.then_with(|| key(self).cmp(&key(other))).then_with(|| other.words.cmp(&self.words))
    }
}

impl PartialOrd for Partial {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Partial {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Partial {}

/// ln(eᵃ + eᵇ).
fn log_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if high == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}
