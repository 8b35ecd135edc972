//! The unigram language model: which pieces, with which probability (Kudo, arXiv 1804.10959).
//!
//! Every string inside a word is a candidate. Expectation maximisation fits probabilities; then the
//! candidates whose loss costs the least likelihood go; this repeats until the vocabulary is small.

use std::collections::{BTreeMap, HashMap};

/// Longest piece, in characters.
const MAX_PIECE_CHARS: usize = 16;
/// Candidates at the start, a piece of the final vocabulary.
const CANDIDATES_PER_PIECE: usize = 100;
/// Share of the candidates that survives a round.
const KEEP: f64 = 0.75;
/// Rounds of expectation maximisation before each cut.
const EM_ROUNDS: usize = 2;
/// Candidates expected less often than this go.
const LEAST_COUNT: f64 = 0.5;

/// Learns `size` pieces with their log probabilities from counted words, likeliest first.
pub(super) fn train(words: &[(String, u64)], size: usize) -> Result<Vec<(String, f32)>, String> {
    let mut model = Model::seed(words, size);
    let characters = model.pieces.iter().filter(|piece| is_character(&piece.0)).count();
    if characters > size {
        return Err(format!("the text alone has {characters} characters"));
    }
    if model.pieces.len() < size {
        return Err(format!("the text has only {} pieces", model.pieces.len()));
    }
    loop {
        for _ in 0..EM_ROUNDS {
            model.maximise(words, size);
        }
        if model.pieces.len() <= size {
            break;
        }
        let keep = ((model.pieces.len() as f64 * KEEP) as usize).max(size);
        model.prune(words, keep);
    }
    let mut pieces = model.pieces;
    pieces.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(pieces.into_iter().map(|(piece, score)| (piece, score as f32)).collect())
}

fn is_character(piece: &str) -> bool {
    piece.chars().nth(1).is_none()
}

/// Candidates with log probabilities.
struct Model {
    pieces: Vec<(String, f64)>,
    index: HashMap<String, usize>,
}

/// A place of a piece in a word.
struct Edge {
    start: usize,
    end: usize,
    piece: usize,
}

impl Model {
    fn new(pieces: Vec<(String, f64)>) -> Self {
        let index = pieces.iter().enumerate().map(|(i, (piece, _))| (piece.clone(), i)).collect();
        Self { pieces, index }
    }

    /// All characters, and the strings with the most characters covered.
    fn seed(words: &[(String, u64)], size: usize) -> Self {
        let mut counts = BTreeMap::<&str, u64>::new();
        for (word, times) in words {
            let bounds: Vec<usize> = word.char_indices().map(|(at, _)| at).chain([word.len()]).collect();
            for (i, &start) in bounds.iter().enumerate() {
                for &end in bounds.iter().skip(i + 1).take(MAX_PIECE_CHARS) {
                    *counts.entry(&word[start..end]).or_default() += times;
                }
            }
        }
        let (characters, mut longer): (Vec<_>, Vec<_>) =
            counts.into_iter().partition(|(piece, _)| is_character(piece));
        longer.retain(|(_, count)| *count > 1);
        let covered = |(piece, count): &(&str, u64)| count * piece.chars().count() as u64;
        longer.sort_by(|a, b| covered(b).cmp(&covered(a)).then_with(|| a.0.cmp(b.0)));
        longer.truncate(size.saturating_mul(CANDIDATES_PER_PIECE));
        let pieces: Vec<(&str, u64)> = characters.into_iter().chain(longer).collect();
        let total = pieces.iter().map(covered).sum::<u64>() as f64;
        let log = |piece: &(&str, u64)| (covered(piece) as f64 / total).ln();
        Self::new(pieces.iter().map(|piece| (piece.0.to_owned(), log(piece))).collect())
    }

    /// Every piece at every place of a word, ordered by where it starts.
    fn lattice(&self, word: &str) -> Vec<Edge> {
        let bounds: Vec<usize> = word.char_indices().map(|(at, _)| at).chain([word.len()]).collect();
        let mut edges = Vec::new();
        for (i, &start) in bounds.iter().enumerate() {
            for &end in bounds.iter().skip(i + 1).take(MAX_PIECE_CHARS) {
                if let Some(&piece) = self.index.get(&word[start..end]) {
                    edges.push(Edge { start, end, piece });
                }
            }
        }
        edges
    }

    /// One round of expectation maximisation: how often each piece is expected over all
    /// segmentations, then probabilities from these counts with a sparse prior (digamma).
    fn maximise(&mut self, words: &[(String, u64)], size: usize) {
        let mut expected = vec![0.0; self.pieces.len()];
        for (word, times) in words {
            let edges = self.lattice(word);
            let mut forward = vec![f64::NEG_INFINITY; word.len() + 1];
            forward[0] = 0.0;
            for edge in &edges {
                let through = forward[edge.start] + self.pieces[edge.piece].1;
                forward[edge.end] = log_add(forward[edge.end], through);
            }
            let mut backward = vec![f64::NEG_INFINITY; word.len() + 1];
            backward[word.len()] = 0.0;
            for edge in edges.iter().rev() {
                let through = backward[edge.end] + self.pieces[edge.piece].1;
                backward[edge.start] = log_add(backward[edge.start], through);
            }
            let all = forward[word.len()];
            for edge in &edges {
                let path = forward[edge.start] + self.pieces[edge.piece].1 + backward[edge.end];
                expected[edge.piece] += *times as f64 * (path - all).exp();
            }
        }
        let mut kept: Vec<(String, f64)> = Vec::with_capacity(self.pieces.len());
        let mut spare: Vec<(String, f64)> = Vec::new();
        for ((piece, _), count) in self.pieces.drain(..).zip(expected) {
            if is_character(&piece) || count >= LEAST_COUNT {
                kept.push((piece, count.max(LEAST_COUNT)));
            } else {
                spare.push((piece, LEAST_COUNT));
            }
        }
        // A small text: rather rare pieces than a smaller vocabulary than asked for.
        spare.truncate(size.saturating_sub(kept.len()));
        kept.append(&mut spare);
        let total = digamma(kept.iter().map(|(_, count)| count).sum());
        kept.iter_mut().for_each(|(_, count)| *count = digamma(*count) - total);
        *self = Self::new(kept);
    }

    /// Keeps the characters and those pieces whose loss would cost the most likelihood: a lost
    /// piece is spelt by its next best segmentation.
    fn prune(&mut self, words: &[(String, u64)], keep: usize) {
        let mut used = vec![0.0; self.pieces.len()];
        for (word, times) in words {
            for piece in self.best_path(word, None) {
                used[piece] += *times as f64;
            }
        }
        let total: f64 = used.iter().sum();
        let mut ranked: Vec<(f64, usize)> = Vec::with_capacity(self.pieces.len());
        for (id, (piece, _)) in self.pieces.iter().enumerate() {
            if is_character(piece) {
                ranked.push((f64::INFINITY, id));
                continue;
            }
            let instead = self.best_path(piece, Some(id));
            // What its share of the text is now, and with the other pieces in its place.
            let now = used[id].max(1e-9).ln() - total.ln();
            let then_total = (total + used[id] * (instead.len() as f64 - 1.0)).ln();
            let then: f64 = instead.iter().map(|&i| (used[i] + used[id]).max(1e-9).ln() - then_total).sum();
            ranked.push((used[id] / total * (now - then), id));
        }
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| self.pieces[a.1].0.cmp(&self.pieces[b.1].0)));
        ranked.truncate(keep);
        ranked.sort_by_key(|&(_, id)| id);
        *self = Self::new(ranked.into_iter().map(|(_, id)| self.pieces[id].clone()).collect());
    }

    /// The likeliest segmentation, without one piece if told so.
    fn best_path(&self, word: &str, without: Option<usize>) -> Vec<usize> {
        let mut best = vec![(f64::NEG_INFINITY, 0, 0); word.len() + 1];
        best[0].0 = 0.0;
        for edge in self.lattice(word).iter().filter(|edge| Some(edge.piece) != without) {
            let score = best[edge.start].0 + self.pieces[edge.piece].1;
            if score > best[edge.end].0 {
                best[edge.end] = (score, edge.start, edge.piece);
            }
        }
        let mut path = Vec::new();
        let mut end = word.len();
        while end > 0 {
            let (_, start, piece) = best[end];
            path.push(piece);
            end = start;
        }
        path
    }
}

/// ln(eᵃ + eᵇ).
fn log_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// ψ(x) for x > 0: recurrence up to 7, then the asymptotic series (Abramowitz and Stegun 6.3.18).
fn digamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 7.0 {
        shift -= 1.0 / x;
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    shift + x.ln() - 0.5 / x - inverse * (1.0 / 12.0 - inverse * (1.0 / 120.0 - inverse / 252.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digamma_has_its_known_values() {
        assert!((digamma(1.0) + 0.577_215_664_901_532_9).abs() < 1e-8);
        assert!((digamma(0.5) + 1.963_510_026_021_423_5).abs() < 1e-8);
        assert!((digamma(20.0) - 2.970_523_992_242_149).abs() < 1e-10);
    }

    #[test]
    fn frequent_words_become_pieces() {
        let words = [("▁the", 100), ("▁them", 5), ("▁then", 7), ("▁lathe", 3), ("▁men", 4), ("▁ten", 9)];
        let words: Vec<(String, u64)> = words.iter().map(|(w, n)| (w.to_string(), *n)).collect();
        let pieces = train(&words, 12).unwrap();
        assert_eq!(pieces.len(), 12);
        assert_eq!(pieces[0].0, "▁the");
        assert!(pieces.windows(2).all(|p| p[0].1 >= p[1].1));
        // The probabilities of digamma's prior sum to less than 1, not to more.
        let sum: f64 = pieces.iter().map(|p| f64::from(p.1).exp()).sum();
        assert!(sum <= 1.0 && sum > 0.8, "{sum}");
        assert!(train(&words, 5).unwrap_err().contains("8 characters"));
        assert!(train(&words, 5000).unwrap_err().contains("only"));
    }
}
