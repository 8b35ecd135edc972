//! Byte-pair encoding over characters: which pairs are merged.

use std::collections::{BTreeMap, BTreeSet};

/// Learns `size` pieces from counted words: the characters, then one merge after the other, each the
/// most frequent pair of neighbours (of equals the first in the alphabet). Scores are −1, −2, … for
/// merges and lower ones for characters, so that the score orders the merges.
pub(super) fn train(words: &[(String, u64)], size: usize) -> Result<Vec<(String, f32)>, String> {
    let mut characters = BTreeMap::<char, u64>::new();
    for (word, count) in words {
        word.chars().for_each(|c| *characters.entry(c).or_default() += count);
    }
    if characters.len() > size {
        return Err(format!("the text alone has {} characters", characters.len()));
    }
    let mut pieces: Vec<String> = Vec::new();
    let mut corpus = Corpus::new(words);
    while pieces.len() + characters.len() < size {
        let Some(pair) = corpus.most_frequent() else {
            return Err(format!("the text has only {} pieces", pieces.len() + characters.len()));
        };
        let merged = format!("{}{}", pair.0, pair.1);
        corpus.merge(&pair, &merged);
        // Two ways may lead to one string.
        if !pieces.contains(&merged) {
            pieces.push(merged);
        }
    }
    let mut characters: Vec<(char, u64)> = characters.into_iter().collect();
    characters.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    pieces.extend(characters.into_iter().map(|(c, _)| c.to_string()));
    Ok(pieces.into_iter().enumerate().map(|(rank, piece)| (piece, -(rank as f32))).collect())
}

type Pair = (String, String);

/// Words as symbols, with counts of the pairs and where they occur.
struct Corpus {
    words: Vec<(Vec<String>, u64)>,
    counts: BTreeMap<Pair, u64>,
    words_with: BTreeMap<Pair, BTreeSet<usize>>,
    /// By count, so that the most frequent one is at the end.
    queue: BTreeSet<(u64, std::cmp::Reverse<Pair>)>,
}

impl Corpus {
    fn new(words: &[(String, u64)]) -> Self {
        let words: Vec<(Vec<String>, u64)> = words
            .iter()
            .map(|(word, count)| (word.chars().map(|c| c.to_string()).collect(), *count))
            .collect();
        let mut corpus =
            Self { words, counts: BTreeMap::new(), words_with: BTreeMap::new(), queue: BTreeSet::new() };
        for word in 0..corpus.words.len() {
            corpus.count(word, true);
        }
        corpus
    }

    /// Adds or takes away the pairs of a word.
    fn count(&mut self, word: usize, add: bool) {
        let (symbols, times) = &self.words[word];
        for pair in symbols.windows(2) {
            let pair = (pair[0].clone(), pair[1].clone());
            let before = self.counts.get(&pair).copied().unwrap_or_default();
            let after = if add { before + times } else { before - times };
            self.queue.remove(&(before, std::cmp::Reverse(pair.clone())));
            if after > 0 {
                self.queue.insert((after, std::cmp::Reverse(pair.clone())));
            }
            if add {
                self.words_with.entry(pair.clone()).or_default().insert(word);
            }
            self.counts.insert(pair, after);
        }
    }

    fn most_frequent(&self) -> Option<Pair> {
        self.queue.last().map(|(_, pair)| pair.0.clone())
    }

    fn merge(&mut self, pair: &Pair, merged: &str) {
        for word in self.words_with.remove(pair).unwrap_or_default() {
            self.count(word, false);
            let mut symbols = Vec::with_capacity(self.words[word].0.len());
            for symbol in std::mem::take(&mut self.words[word].0) {
                match symbols.last_mut() {
                    Some(last) if *last == pair.0 && symbol == pair.1 => *last = merged.to_owned(),
                    _ => symbols.push(symbol),
                }
            }
            self.words[word].0 = symbols;
            self.count(word, true);
        }
    }
}
