//! The letter-to-sound model of [estimated](crate::kneser_ney) n-grams, pruned.

use super::ngram::{BEGIN, Ngrams, log_of, quantise, quantise_backoff};
use crate::kneser_ney::{self, Node};

/// The model of sequences of symbols below `symbols`.
pub(super) fn estimate(sequences: &[Vec<u16>], symbols: usize, order: usize, prune_nats: f64) -> Ngrams {
    let sequences: Vec<Vec<u32>> =
        sequences.iter().map(|sequence| sequence.iter().map(|symbol| u32::from(*symbol)).collect()).collect();
    let estimate = kneser_ney::estimate(&sequences, symbols, order);
    build(&estimate.nodes, &estimate.kept(prune_nats))
}

/// A symbol of the estimate as one of the model: begin and end are the last in both.
fn symbol_of(node: &Node) -> u16 {
    node.symbol as u16
}

/// The trie of what is kept. Back-off weights are those with which the quantised probabilities sum to 1.
fn build(nodes: &[Node], kept: &[bool]) -> Ngrams {
    let mut children: Vec<Vec<usize>> = vec![vec![]; nodes.len()];
    for (i, node) in nodes.iter().enumerate().skip(1).filter(|(i, _)| kept[*i]) {
        children[node.parent as usize].push(i);
    }
    let code = |i: usize| quantise(nodes[i].probability);
    let mass = |i: usize| if symbol_of(&nodes[i]) == BEGIN { 0.0 } else { f64::from(log_of(code(i)).exp()) };
    let (mut symbols, mut logs, mut backoffs) = (vec![0], vec![0], vec![]);
    let (mut firsts, mut order) = (vec![], vec![0usize]);
    let mut at = 0;
    while at < order.len() {
        let node = order[at];
        let below = &mut children[node];
        below.sort_by_key(|child| symbol_of(&nodes[*child]));
        firsts.push(order.len() as u32);
        let seen: f64 = below.iter().map(|child| mass(*child)).sum();
        let lower: f64 = below.iter().map(|child| mass(nodes[*child].link as usize)).sum();
        // Rounding may leave less than nothing; then what is unseen stays barely possible.
        let weight = (1.0 - seen).max(1e-4) / (1.0 - lower).max(1e-4);
        backoffs.push(if below.is_empty() { 0 } else { quantise_backoff(weight) });
        for child in below.iter() {
            symbols.push(symbol_of(&nodes[*child]));
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
    use super::super::ngram::END;
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
