//! A lexicon as a prefix tree over phones.

use super::SearchError;
use auricle_text::Lexicon;
use auricle_text::lm::{NgramLm, UnitId};
use auricle_text::units::units_of;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

/// The root of every tree, before the first phone of a word.
pub(super) const ROOT: u32 = 0;

/// The most pronunciations of a tree: numbers of nodes must stay far below 2³².
const MAX_PRONUNCIATIONS: usize = 8_000_000;

/// One pronunciation of a word, as a tree is made of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The word, as it is to be written and as the language model has it.
    pub word: String,
    /// Phones, as numbers of units of the acoustic model.
    pub phones: Vec<u16>,
    /// `ln P(pronunciation | word)`; 0 where nothing is known of it.
    pub log_weight: f32,
}

/// How a lexicon and a language model fit together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Words of the language model that can be recognised.
    pub words: usize,
    /// Words that can be recognised besides, though the language model does not have them.
    pub new_words: usize,
    /// Words of the language model without a pronunciation, in the model's order: these are never written.
    pub unpronounced: Vec<String>,
    /// Words of the lexicon that the language model does not have: these are never written, either.
    pub outside_model: usize,
}

/// A node: the phones from the root to it. Its children, and the words that end in it, are in a row; where they end is where
/// those of the next node begin.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Node {
    phone: u16,
    first_child: u32,
    first_word: u32,
}

/// A word that ends in a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct WordEnd {
    /// Number of the word.
    pub word: u32,
    /// `ln P(pronunciation | word)`.
    pub log_weight: f32,
}

/// The pronunciations of the words of a language model as one tree, in which words that begin alike share their beginning.
///
/// Nodes are in breadth-first order. The order in which pronunciations are given does not matter.
#[derive(Debug, Clone, PartialEq)]
pub struct LexiconTree {
    /// With one more at the end.
    nodes: Vec<Node>,
    ends: Vec<WordEnd>,
    words: Vec<(String, UnitId)>,
}

impl LexiconTree {
    /// The words that a language model and a lexicon share.
    ///
    /// The words are looked up without regard to case and written as the language model has them. All pronunciations of a word
    /// weigh the same.
    ///
    /// # Errors
    /// The lexicon is empty, or has no word of the language model.
    pub fn from_lexicon(lexicon: &Lexicon, lm: &NgramLm) -> Result<(Self, Coverage), SearchError> {
        Self::with_new_words(lexicon, lm, &Lexicon::default())
    }

    /// The same with words of a user's own, which the language model need not have; those that it has get these pronunciations
    /// besides their own.
    ///
    /// # Errors
    /// As [`from_lexicon`](Self::from_lexicon).
    pub fn with_new_words(
        lexicon: &Lexicon,
        lm: &NgramLm,
        new_words: &Lexicon,
    ) -> Result<(Self, Coverage), SearchError> {
        if lexicon.is_empty() {
            return Err(SearchError::EmptyLexicon);
        }
        let mut coverage = Coverage::default();
        let mut entries = Vec::new();
        // Entries of the lexicon, told apart by where their pronunciations lie, as their keys are its own affair.
        let mut used = HashSet::new();
        for word in lm.units().iter().skip(3).filter(|word| !is_tag(word)) {
            let pronunciations = lexicon.lookup(word);
            if pronunciations.is_empty() {
                coverage.unpronounced.push(word.clone());
                continue;
            }
            coverage.words += 1;
            used.insert(pronunciations.as_ptr());
            entries.extend(pronunciations.iter().map(|pronunciation| Entry {
                word: word.clone(),
                phones: units_of(pronunciation).collect(),
                log_weight: 0.0,
            }));
        }
        coverage.outside_model = lexicon.len() - used.len();
        for (word, pronunciations) in new_words.iter() {
            let capitals = word.to_uppercase();
            let is_in_capitals = lm.is_unknown(lm.unit(word)) && !lm.is_unknown(lm.unit(&capitals));
            let word = if is_in_capitals { capitals } else { word.to_owned() };
            coverage.new_words += usize::from(lm.is_unknown(lm.unit(&word)));
            entries.extend(pronunciations.iter().map(|pronunciation| Entry {
                word: word.clone(),
                phones: units_of(pronunciation).collect(),
                log_weight: 0.0,
            }));
        }
        if entries.is_empty() {
            return Err(SearchError::NoSharedWord {
                lexicon: lexicon.iter().next().map(|(word, _)| word.to_owned()).unwrap_or_default(),
                model: coverage.unpronounced.first().cloned().unwrap_or_default(),
            });
        }
        Ok((Self::new(entries, lm)?, coverage))
    }

    /// A tree of pronunciations. A word that the language model does not have is a new word, see
    /// [`SearchConfig::new_word_log`](super::SearchConfig). Of pronunciations that are given twice, the better weight counts.
    ///
    /// # Errors
    /// There is no pronunciation, there are too many, or one has no phone or a weight that is no number ≤ 0.
    pub fn new(mut entries: Vec<Entry>, lm: &NgramLm) -> Result<Self, SearchError> {
        if entries.is_empty() {
            return Err(SearchError::EmptyLexicon);
        }
        if entries.len() > MAX_PRONUNCIATIONS {
            return Err(SearchError::TooManyPronunciations(MAX_PRONUNCIATIONS));
        }
        let is_wrong = |entry: &&Entry| {
            entry.phones.is_empty() || entry.log_weight > 0.0 || !entry.log_weight.is_finite()
        };
        if let Some(wrong) = entries.iter().find(is_wrong) {
            return Err(SearchError::Pronunciation(wrong.word.clone()));
        }
        entries.sort_by(|a, b| {
            let by_weight = b.log_weight.total_cmp(&a.log_weight);
            a.phones.cmp(&b.phones).then_with(|| a.word.cmp(&b.word)).then(by_weight)
        });
        entries.dedup_by(|b, a| a.phones == b.phones && a.word == b.word);
        let mut numbers: BTreeMap<&str, u32> = entries.iter().map(|entry| (entry.word.as_str(), 0)).collect();
        let mut words = Vec::with_capacity(numbers.len());
        for (word, number) in &mut numbers {
            *number = words.len() as u32;
            words.push(((*word).to_owned(), lm.unit(word)));
        }

        // Nodes that were found, as ranges of the sorted entries that begin with their phones.
        let mut found: Vec<(Range<usize>, usize, u16)> = vec![(0..entries.len(), 0, 0)];
        let (mut nodes, mut ends) = (Vec::new(), Vec::new());
        while let Some((range, depth, phone)) = found.get(nodes.len()).cloned() {
            nodes.push(Node { phone, first_child: found.len() as u32, first_word: ends.len() as u32 });
            let mut at = range.start;
            while at < range.end {
                let Some(&next) = entries[at].phones.get(depth) else {
                    let word = numbers.get(entries[at].word.as_str()).copied().unwrap_or_default();
                    ends.push(WordEnd { word, log_weight: entries[at].log_weight });
                    at += 1;
                    continue;
                };
                let own = &entries[at..range.end];
                let end = at + own.partition_point(|entry| entry.phones.get(depth) == Some(&next));
                found.push((at..end, depth + 1, next));
                at = end;
            }
        }
        nodes.push(Node { phone: 0, first_child: found.len() as u32, first_word: ends.len() as u32 });
        Ok(Self { nodes, ends, words })
    }

    /// Number of nodes, the root being one.
    pub fn num_nodes(&self) -> usize {
        self.nodes.len() - 1
    }

    /// Number of words.
    pub fn num_words(&self) -> usize {
        self.words.len()
    }

    /// A word.
    pub(super) fn word(&self, word: u32) -> &str {
        self.words.get(word as usize).map_or("", |(word, _)| word)
    }

    /// The number of a word.
    pub(super) fn number(&self, word: &str) -> Option<u32> {
        // Words are in order.
        self.words.binary_search_by(|(own, _)| own.as_str().cmp(word)).ok().map(|number| number as u32)
    }

    /// The unit of the language model that a word is.
    pub(super) fn unit(&self, word: u32) -> UnitId {
        self.words[word as usize].1
    }

    /// The last phone of a node; that of the root means nothing.
    pub(super) fn phone(&self, node: u32) -> u16 {
        self.nodes[node as usize].phone
    }

    /// Nodes with one phone more.
    pub(super) fn children(&self, node: u32) -> Range<u32> {
        self.nodes[node as usize].first_child..self.nodes[node as usize + 1].first_child
    }

    /// Words that end in a node.
    pub(super) fn ends(&self, node: u32) -> &[WordEnd] {
        let range = self.nodes[node as usize].first_word..self.nodes[node as usize + 1].first_word;
        &self.ends[range.start as usize..range.end as usize]
    }

    /// For each node, the best of a score of the words that end in it or below.
    pub(super) fn best_below(&self, score: impl Fn(&WordEnd) -> f32) -> Vec<f32> {
        let mut best = vec![f32::NEG_INFINITY; self.num_nodes()];
        // Children come behind their parents.
        for node in (0..self.num_nodes() as u32).rev() {
            let own = self.ends(node).iter().map(&score);
            let below = self.children(node).map(|child| best[child as usize]);
            best[node as usize] = own.chain(below).fold(f32::NEG_INFINITY, f32::max);
        }
        best
    }
}

/// Whether a unit of a language model is a mark such as `<unk>` and no word.
fn is_tag(word: &str) -> bool {
    word.len() > 2 && word.starts_with('<') && word.ends_with('>')
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};
    use auricle_text::lm::LmConfig;

    fn lm(text: &str) -> NgramLm {
        NgramLm::train(text.lines().map(|line| line.split(' ').collect()), &LmConfig::default()).unwrap()
    }

    fn entry(word: &str, phones: &[u16], log_weight: f32) -> Entry {
        Entry { word: word.into(), phones: phones.into(), log_weight }
    }

    /// Phones, word and weight of everything in a tree, by a walk from the root.
    fn contents(tree: &LexiconTree) -> Vec<(Vec<u16>, String, f32)> {
        let mut all = Vec::new();
        let mut open = vec![(ROOT, Vec::new())];
        while let Some((node, phones)) = open.pop() {
            for end in tree.ends(node) {
                all.push((phones.clone(), tree.word(end.word).to_owned(), end.log_weight));
            }
            for child in tree.children(node) {
                assert!(child > node, "breadth first");
                open.push((child, [phones.as_slice(), &[tree.phone(child)]].concat()));
            }
        }
        all.sort_by(|a, b| a.partial_cmp(b).unwrap());
        all
    }

    #[test]
    fn a_tree_holds_every_pronunciation_once_in_any_order() {
        let lm = lm("a b c d\nb a");
        let mut entries = vec![
            entry("a", &[1, 2], -0.1),
            entry("a", &[1], -0.5),
            entry("b", &[1, 2, 3], 0.0),
            entry("c", &[1, 2], 0.0),
            entry("d", &[3], 0.0),
            // Twice, with another weight.
            entry("d", &[3], -2.0),
        ];
        let tree = LexiconTree::new(entries.clone(), &lm).unwrap();
        assert_eq!((tree.num_nodes(), tree.num_words()), (5, 4));
        let expected: Vec<(Vec<u16>, String, f32)> = vec![
            (vec![1], "a".into(), -0.5),
            (vec![1, 2], "a".into(), -0.1),
            (vec![1, 2], "c".into(), 0.0),
            (vec![1, 2, 3], "b".into(), 0.0),
            (vec![3], "d".into(), 0.0),
        ];
        assert_eq!(contents(&tree), expected);
        let mut stream = Key::new(3).stream(Purpose::Test);
        for _ in 0..20 {
            stream.shuffle(&mut entries);
            assert_eq!(LexiconTree::new(entries.clone(), &lm).unwrap(), tree);
        }
        let best = tree.best_below(|end| end.log_weight);
        assert_eq!(best, [0.0, 0.0, 0.0, 0.0, 0.0]);
        let best = tree.best_below(|end| -(end.word as f32));
        assert_eq!(best, [0.0, 0.0, -3.0, 0.0, -1.0]);
    }

    #[test]
    fn what_cannot_be_recognised_is_told() {
        let lexicon = Lexicon::parse("the DH AH\ncat K AE T\ncat K AA T\nzebra Z IY B R AH", "test").unwrap();
        let (tree, coverage) =
            LexiconTree::from_lexicon(&lexicon, &lm("THE CAT SAT\nTHE <noise> MAT")).unwrap();
        assert_eq!(coverage.words, 2);
        assert_eq!(coverage.unpronounced, ["MAT", "SAT"]);
        assert_eq!(coverage.outside_model, 1);
        assert_eq!(contents(&tree).iter().map(|(_, word, _)| word.as_str()).collect::<Vec<_>>().len(), 3);
        assert_eq!(tree.word(0), "CAT");
        let own = Lexicon::parse("the DH IY\nquokka K W AA K AH", "test").unwrap();
        let (more, coverage) =
            LexiconTree::with_new_words(&lexicon, &lm("THE CAT SAT\nTHE <noise> MAT"), &own).unwrap();
        assert_eq!((coverage.words, coverage.new_words, more.num_words()), (2, 1, 3));
        assert_eq!(contents(&more).len(), contents(&tree).len() + 2);
        assert_eq!(more.number("THE"), Some(1));
        assert!(more.number("quokka").is_some() && more.number("the").is_none());
        let error = |result: Result<(LexiconTree, Coverage), SearchError>| result.unwrap_err().to_string();
        let empty = error(LexiconTree::from_lexicon(&Lexicon::default(), &lm("a b")));
        assert!(empty.contains("lexicon is empty"), "{empty}");
        let foreign = error(LexiconTree::from_lexicon(&lexicon, &lm("кот сидит")));
        assert!(foreign.contains("`cat`") && foreign.contains("`кот`"), "{foreign}");
        assert_eq!(LexiconTree::new(vec![], &lm("a")), Err(SearchError::EmptyLexicon));
        for wrong in [entry("a", &[], 0.0), entry("a", &[1], 0.5), entry("a", &[1], f32::NAN)] {
            let error = LexiconTree::new(vec![wrong], &lm("a"));
            assert_eq!(error, Err(SearchError::Pronunciation("a".into())));
        }
    }
}
