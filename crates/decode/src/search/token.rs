//! Tokens: partial paths, of which the best one is kept for each place.

use auricle_text::lm::State;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// What a logarithm of −∞ counts as, so that sums stay numbers.
pub(super) const LEAST_SCORE: f32 = -1e4;
/// Stands for no phone, or one that makes no difference.
pub(super) const NO_PHONE: u16 = u16::MAX;
/// The node of silence, which is in no tree.
pub(super) const SILENCE_NODE: u32 = u32::MAX;

/// The words of a path as far as they decide its future.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Context {
    /// State of the language model.
    pub lm: State,
    /// Node of the automaton of hotwords.
    pub hot: u32,
}

/// What decides the future of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// Node of the lexicon, or that of silence; the root only for the blank between words.
    pub node: u32,
    /// Phone before the node's, where it tells outputs apart and the tree does not tell it.
    pub before: u16,
    /// Whether the last frame was CTC's blank.
    pub is_blank: bool,
    /// Words before.
    pub state: Context,
}

/// A partial path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub place: Place,
    /// Relative to the best of the frame before; with the look-ahead of its node.
    pub score: f32,
    /// The words that are complete.
    pub history: u32,
    /// First frame of the word that is not.
    pub start: u32,
}

/// The end of a word, or of silence, on which words follow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub state: Context,
    /// Phone before, as in [`Place`].
    pub before: u16,
    pub score: f32,
    /// The words before the one that ends.
    pub history: u32,
    /// The word that ends, with its first frame and its score of the language model; none behind silence.
    pub word: Option<(u32, u32, f32)>,
}

/// Values by key, in the order in which keys came, so that nothing depends on hashes.
#[derive(Debug, Clone)]
pub(super) struct Table<K, V> {
    index: HashMap<K, u32, BuildHasherDefault<FastHasher>>,
    values: Vec<V>,
    best: f32,
}

impl<K: Hash + Eq, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { index: HashMap::default(), values: Vec::new(), best: f32::NEG_INFINITY }
    }
}

impl<K: Hash + Eq, V> Table<K, V> {
    /// Puts a value in if its score is better than what there is of its key. Of equal ones the first stays.
    pub fn offer(&mut self, key: K, score: f32, value: V, score_of: impl Fn(&V) -> f32) {
        if score == f32::NEG_INFINITY {
            return;
        }
        self.best = self.best.max(score);
        let number = self.values.len() as u32;
        match self.index.entry(key) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(number);
                self.values.push(value);
            }
            std::collections::hash_map::Entry::Occupied(entry) => {
                let own = &mut self.values[*entry.get() as usize];
                if score > score_of(own) {
                    *own = value;
                }
            }
        }
    }

    /// The best score so far.
    pub fn best(&self) -> f32 {
        self.best
    }

    /// Where the value of a key is.
    pub fn place(&self, key: &K) -> Option<usize> {
        self.index.get(key).map(|place| *place as usize)
    }

    pub fn values(&self) -> &[V] {
        &self.values
    }

    pub fn clear(&mut self) {
        self.index.clear();
        self.values.clear();
        self.best = f32::NEG_INFINITY;
    }
}

/// A hash by multiplication (that of the Firefox browser and of rustc): keys are small numbers and no one's attack can do
/// more than slow a search down whose tokens are bounded.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FastHasher(u64);

impl FastHasher {
    fn add(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for FastHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.add(u64::from(byte)));
    }

    fn write_u8(&mut self, value: u8) {
        self.add(u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.add(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.add(u64::from(value));
    }

    fn finish(&self) -> u64 {
        // Tables take the low bits, multiplication mixes the high ones.
        self.0.rotate_left(26)
    }
}
