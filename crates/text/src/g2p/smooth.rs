//! Estimation of the n-gram model: Kneser–Ney with three discounts (Chen & Goodman 1999), pruned.

use super::ngram::{BEGIN, END, Ngrams, log_of, quantise, quantise_backoff};
use std::collections::HashMap;

/// An n-gram while counting; node 0 is the empty context.
struct Node {
    parent: u32,
    symbol: u16,
    /// The n-gram without its first symbol.
    link: u32,
    depth: u8,
    /// How often it occurs.
    occurrences: u32,
    /// Its count for smoothing: occurrences of the longest and those that begin a word, else the number of
    /// different symbols before it.
    count: u32,
    probability: f64,
}

struct Counts {
    nodes: Vec<Node>,
    index: HashMap<(u32, u16), u32>,
}

impl Counts {
    fn child(&mut self, parent: u32, symbol: u16, link: u32) -> u32 {
        *self.index.entry((parent, symbol)).or_insert_with(|| {
            let depth = self.nodes[parent as usize].depth + 1;
            self.nodes.push(Node { parent, symbol, link, depth, occurrences: 0, count: 0, probability: 0.0 });
            (self.nodes.len() - 1) as u32
        })
    }

    /// All n-grams up to `order` of the sequences between [`BEGIN`] and [`END`].
    fn of(sequences: &[Vec<u16>], order: usize) -> Self {
        let root =
            Node { parent: 0, symbol: 0, link: 0, depth: 0, occurrences: 0, count: 0, probability: 1.0 };
        let mut counts = Self { nodes: vec![root], index: HashMap::new() };
        let begin = counts.child(0, BEGIN, 0);
        for sequence in sequences {
            // The n-grams that end at the symbol before, from the shortest (the empty one).
            let mut contexts = vec![0, begin];
            for symbol in sequence.iter().copied().chain([END]) {
                let mut ends = vec![0];
                for (length, context) in contexts.iter().enumerate() {
                    let node = counts.child(*context, symbol, ends[length]);
                    counts.nodes[node as usize].occurrences += 1;
                    ends.push(node);
                }
                ends.truncate(order);
                contexts = ends;
            }
        }
        counts.count_for_smoothing(order);
        counts
    }

    fn count_for_smoothing(&mut self, order: usize) {
        let mut begins = vec![false; self.nodes.len()];
        for i in 1..self.nodes.len() {
            let node = &self.nodes[i];
            begins[i] = if node.depth == 1 { node.symbol == BEGIN } else { begins[node.parent as usize] };
            if begins[i] || usize::from(node.depth) == order {
                self.nodes[i].count = self.nodes[i].occurrences;
            }
        }
        for i in 1..self.nodes.len() {
            let link = self.nodes[i].link as usize;
            // A link never begins a word, and is never of the highest order.
            self.nodes[link].count += u32::from(self.nodes[i].occurrences > 0);
        }
    }
}

/// Discounts for counts of 1, 2, and 3 or more.
fn discounts(counts: impl Iterator<Item = u32>) -> [f64; 3] {
    let mut of = [0.0f64; 5];
    for count in counts.filter(|count| (1..=4).contains(count)) {
        of[count as usize] += 1.0;
    }
    // Small lexicons leave the formula without data.
    if of[1..].contains(&0.0) {
        return [0.5, 0.75, 0.9];
    }
    let y = of[1] / (of[1] + 2.0 * of[2]);
    let discount = |k: usize| k as f64 - (k + 1) as f64 * y * of[k + 1] / of[k];
    [discount(1).clamp(0.05, 0.95), discount(2).clamp(0.05, 1.9), discount(3).clamp(0.05, 2.9)]
}

/// The model of sequences of symbols below `symbols`.
pub(super) fn estimate(sequences: &[Vec<u16>], symbols: usize, order: usize, prune_nats: f64) -> Ngrams {
    let mut counts = Counts::of(sequences, order);
    let nodes = &mut counts.nodes;
    let mut by_depth: Vec<Vec<usize>> = vec![vec![]; order + 1];
    for (i, node) in nodes.iter().enumerate() {
        by_depth[usize::from(node.depth)].push(i);
    }
    // p(w|h) = (c(hw) − D(c(hw)))/c(h) + γ(h)·p(w|h'), γ(h) = Σ_w D(c(hw))/c(h), from the shortest.
    let (mut totals, mut discounted) = (vec![0.0f64; nodes.len()], vec![0.0f64; nodes.len()]);
    for (depth, level) in by_depth.iter().enumerate().skip(1) {
        let discounts = discounts(level.iter().map(|i| nodes[*i].count));
        let discount = |count: u32| if count == 0 { 0.0 } else { discounts[count.min(3) as usize - 1] };
        for i in level {
            let node = &nodes[*i];
            totals[node.parent as usize] += f64::from(node.count);
            discounted[node.parent as usize] += discount(node.count);
        }
        for i in level {
            let (count, parent) = (nodes[*i].count, nodes[*i].parent as usize);
            let lower = if depth == 1 {
                1.0 / (symbols + 1) as f64
            } else {
                nodes[nodes[*i].link as usize].probability
            };
            let total = totals[parent].max(1e-9);
            nodes[*i].probability =
                (f64::from(count) - discount(count)).max(0.0) / total + discounted[parent] / total * lower;
        }
    }
    let kept = prune(nodes, &by_depth, &totals, &discounted, prune_nats);
    build(nodes, &kept)
}

/// Which nodes stay: those whose loss costs at least `nats`, and all they stand on.
fn prune(
    nodes: &[Node],
    by_depth: &[Vec<usize>],
    totals: &[f64],
    discounted: &[f64],
    nats: f64,
) -> Vec<bool> {
    let mut kept = vec![false; nodes.len()];
    for i in by_depth.iter().skip(1).rev().flatten() {
        let node = &nodes[*i];
        let parent = node.parent as usize;
        let without = discounted[parent] / totals[parent].max(1e-9) * nodes[node.link as usize].probability;
        let cost = f64::from(node.occurrences) * (node.probability / without.max(1e-30)).ln();
        if node.depth == 1 || kept[*i] || cost >= nats {
            kept[*i] = true;
            kept[parent] = true;
            kept[node.link as usize] = true;
        }
    }
    kept[0] = true;
    kept
}

/// The trie of what is kept. Back-off weights are those with which the quantised probabilities sum to 1.
fn build(nodes: &[Node], kept: &[bool]) -> Ngrams {
    let mut children: Vec<Vec<usize>> = vec![vec![]; nodes.len()];
    for (i, node) in nodes.iter().enumerate().skip(1).filter(|(i, _)| kept[*i]) {
        children[node.parent as usize].push(i);
    }
    let code = |i: usize| quantise(nodes[i].probability);
    let mass = |i: usize| if nodes[i].symbol == BEGIN { 0.0 } else { f64::from(log_of(code(i)).exp()) };
    let (mut symbols, mut logs, mut backoffs) = (vec![0], vec![0], vec![]);
    let (mut firsts, mut order) = (vec![], vec![0usize]);
    let mut at = 0;
    while at < order.len() {
        let node = order[at];
        let below = &mut children[node];
        below.sort_by_key(|child| nodes[*child].symbol);
        firsts.push(order.len() as u32);
        let seen: f64 = below.iter().map(|child| mass(*child)).sum();
        let lower: f64 = below.iter().map(|child| mass(nodes[*child].link as usize)).sum();
        // Rounding may leave less than nothing; then what is unseen stays barely possible.
        let weight = (1.0 - seen).max(1e-4) / (1.0 - lower).max(1e-4);
        backoffs.push(if below.is_empty() { 0 } else { quantise_backoff(weight) });
        for child in below.iter() {
            symbols.push(nodes[*child].symbol);
            logs.push(code(*child));
            order.push(*child);
        }
        at += 1;
    }
    firsts.push(order.len() as u32);
    Ngrams::new(symbols, logs, backoffs, firsts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};

    fn sequences() -> Vec<Vec<u16>> {
        let mut stream = Key::new(5).stream(Purpose::Test);
        let words = (0..400).map(|_| {
            let mut last = 0usize;
            let length = 2 + stream.below(7);
            let word = (0..length).map(|_| {
                // Mostly the next symbol: something to learn.
                last = if stream.chance(0.7) { (last + 1) % 9 } else { stream.below(9) };
                last as u16
            });
            word.collect::<Vec<u16>>()
        });
        words.collect()
    }

    #[test]
    fn every_context_sums_to_one_but_for_rounding() {
        for nats in [0.0, 1.0, 5.0] {
            let ngrams = estimate(&sequences(), 9, 5, nats);
            for context in 0..=ngrams.len() {
                if context > 0 && ngrams.children_of(context).is_empty() {
                    continue;
                }
                let sum: f32 = (0..9).chain([END]).map(|symbol| ngrams.next(context, symbol).0.exp()).sum();
                assert!((sum - 1.0).abs() < 0.08, "{context} of {nats}: {sum}");
            }
        }
    }

    #[test]
    fn what_has_one_context_is_unlikely_in_others() {
        // 1 always follows 0, 2 follows anything; both are equally frequent.
        let mut sequences = vec![vec![0, 1]; 6];
        sequences.extend((3..9).map(|symbol| vec![symbol, 2]));
        let ngrams = estimate(&sequences, 9, 3, 0.0);
        let (bound, free) = (ngrams.next(0, 1).0, ngrams.next(0, 2).0);
        assert!(bound < free - 0.8, "{bound} {free}");
        let after_zero = ngrams.next(ngrams.begin(), 0).1;
        assert!(ngrams.next(after_zero, 1).0 > ngrams.next(after_zero, 2).0 + 1.0);
    }

    #[test]
    fn pruning_makes_it_smaller_and_costs_little() {
        let sequences = sequences();
        let loss = |ngrams: &Ngrams| -> f32 {
            let words = sequences.iter().map(|sequence| {
                let mut context = ngrams.begin();
                let symbols = sequence.iter().copied().chain([END]);
                symbols
                    .map(|symbol| {
                        let (log, next) = ngrams.next(context, symbol);
                        context = next;
                        -log
                    })
                    .sum::<f32>()
            });
            words.sum()
        };
        let (whole, pruned) = (estimate(&sequences, 9, 5, 0.0), estimate(&sequences, 9, 5, 2.0));
        let unigram = estimate(&sequences, 9, 5, 1e9);
        assert!(pruned.len() * 2 < whole.len(), "{} of {}", pruned.len(), whole.len());
        assert_eq!(unigram.len(), 9 + 2);
        assert!(loss(&whole) < loss(&pruned) && loss(&pruned) < 0.85 * loss(&unigram));
    }
}
