//! Words and phrases that are expected, and so made more probable.

use super::SearchError;
use super::tree::LexiconTree;
use std::collections::{BTreeMap, VecDeque};

/// The most words of all phrases.
const MAX_WORDS: usize = 1 << 20;

/// A word or phrase that is expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Hotword {
    /// Words, as the decoder's lexicon tree spells them.
    pub words: Vec<String>,
    /// What each occurrence adds to the score of a path, 0 to 1000.
    pub boost: f32,
}

/// An automaton (Aho & Corasick 1975) that finds phrases in words that come one by one.
///
/// What a path gains is the sum of the boosts of all phrases in it. A phrase that has begun is paid in shares, word by word,
/// which are taken back where it does not go on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hotwords {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Node {
    next: BTreeMap<u32, u32>,
    /// The longest proper end of the node's words that begins a phrase.
    link: u32,
    /// Boosts of the phrases that end here.
    complete: f32,
    /// Share of those that have begun and are not complete.
    advance: f32,
}

impl Hotwords {
    pub fn new(hotwords: &[Hotword], tree: &LexiconTree) -> Result<Self, SearchError> {
        let mut nodes = vec![Node::default()];
        for hotword in hotwords {
            let phrase = || hotword.words.join(" ");
            if hotword.words.is_empty() || !(0.0..=1e3).contains(&hotword.boost) {
                return Err(SearchError::Hotword { phrase: phrase(), boost: hotword.boost });
            }
            let mut at = 0;
            for (i, word) in hotword.words.iter().enumerate() {
                let Some(number) = tree.number(word) else {
                    return Err(SearchError::HotwordUnknown { phrase: phrase(), word: word.clone() });
                };
                let fresh = nodes.len();
                let next = *nodes[at].next.entry(number).or_insert(fresh as u32) as usize;
                if next == fresh {
                    nodes.push(Node::default());
                }
                if nodes.len() > MAX_WORDS {
                    return Err(SearchError::TooManyHotwords(MAX_WORDS));
                }
                at = next;
                if i + 1 == hotword.words.len() {
                    // A phrase that is given twice is one.
                    nodes[at].complete = nodes[at].complete.max(hotword.boost);
                } else {
                    let share = hotword.boost * (i + 1) as f32 / hotword.words.len() as f32;
                    nodes[at].advance = nodes[at].advance.max(share);
                }
            }
        }
        let mut automaton = Self { nodes };
        automaton.link();
        Ok(automaton)
    }

    fn link(&mut self) {
        let mut open: VecDeque<u32> = self.nodes[0].next.values().copied().collect();
        while let Some(node) = open.pop_front() {
            let link = self.nodes[node as usize].link as usize;
            let (complete, advance) = (self.nodes[link].complete, self.nodes[link].advance);
            let own = &mut self.nodes[node as usize];
            own.complete += complete;
            own.advance = own.advance.max(advance);
            for (word, child) in own.next.clone() {
                self.nodes[child as usize].link = self.find(link as u32, word);
                open.push_back(child);
            }
        }
    }

    /// The node for the longest end of what was said, this word being last, that begins a phrase.
    fn find(&self, mut node: u32, word: u32) -> u32 {
        loop {
            if let Some(&next) = self.nodes[node as usize].next.get(&word) {
                return next;
            }
            if node == 0 {
                return 0;
            }
            node = self.nodes[node as usize].link;
        }
    }

    /// What a word adds, and the node behind it; the first node is 0.
    pub fn next(&self, node: u32, word: u32) -> (f32, u32) {
        let next = self.find(node, word);
        let after = &self.nodes[next as usize];
        (after.complete + after.advance - self.nodes[node as usize].advance, next)
    }

    /// What the end of the utterance adds: the shares of phrases that are not complete go back.
    pub fn end(&self, node: u32) -> f32 {
        -self.nodes[node as usize].advance
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::Entry;
    use auricle_rng::{Key, Purpose};
    use auricle_text::lm::{LmConfig, NgramLm};

    #[test]
    fn a_text_gains_the_boosts_of_the_phrases_in_it() {
        let lm = NgramLm::train([vec!["a", "b", "c"]], &LmConfig::default()).unwrap();
        let entry = |word: &str| Entry { word: word.into(), phones: vec![0], log_weight: 0.0 };
        let tree = LexiconTree::new(["a", "b", "c"].map(entry).to_vec(), &lm).unwrap();
        let phrase = |text: &str, boost| Hotword {
            words: text.split_whitespace().map(str::to_owned).collect(),
            boost,
        };
        let phrases = [
            phrase("a", 1.0),
            phrase("a b", 3.0),
            phrase("a b c a", 8.0),
            phrase("b c", 2.0),
            phrase("c c", 5.0),
        ];
        let automaton = Hotwords::new(&phrases, &tree).unwrap();
        let mut stream = Key::new(2).stream(Purpose::Test);
        for length in 0..200 {
            let words: Vec<u32> = (0..length % 12).map(|_| stream.below(3) as u32).collect();
            let (mut sum, mut node) = (0.0, 0);
            for &word in &words {
                let (more, next) = automaton.next(node, word);
                (sum, node) = (sum + more, next);
            }
            sum += automaton.end(node);
            let text: Vec<&str> = words.iter().map(|word| tree.word(*word)).collect();
            let occurrences = |phrase: &Hotword| {
                text.windows(phrase.words.len()).filter(|own| *own == phrase.words).count()
            };
            let expected: f32 = phrases.iter().map(|own| own.boost * occurrences(own) as f32).sum();
            assert!((sum - expected).abs() < 1e-4, "{text:?}: {sum} {expected}");
        }
        let error = |own: Hotword| Hotwords::new(&[own], &tree).unwrap_err().to_string();
        assert!(error(phrase("a zebra", 1.0)).contains("`zebra`"));
        assert!(error(phrase("a b", -1.0)).contains("`a b`"));
        assert!(error(phrase("a", f32::NAN)).contains("NaN"));
        assert!(error(phrase("", 1.0)).contains("no word"));
    }
}
