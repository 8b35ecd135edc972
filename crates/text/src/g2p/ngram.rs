//! A back-off n-gram model as a trie of quantised probabilities.

/// Begin of a word, as a symbol.
pub(super) const BEGIN: u16 = u16::MAX;
/// End of a word, as a symbol.
pub(super) const END: u16 = u16::MAX - 1;

/// Nats a step of the quantised logarithms.
pub(super) const STEP: f32 = 0.075;
/// Code of a back-off weight of 1.
const UNIT_BACKOFF: f32 = 64.0;
/// Logarithm for a symbol that the model has never seen.
const UNSEEN: f32 = -25.0;

/// −ln p in steps, 0–255.
pub(super) fn quantise(probability: f64) -> u8 {
    (-(probability.max(1e-30).ln()) as f32 / STEP).round().clamp(0.0, 255.0) as u8
}

pub(super) fn log_of(code: u8) -> f32 {
    -STEP * f32::from(code)
}

pub(super) fn quantise_backoff(weight: f64) -> u8 {
    (-(weight.max(1e-30).ln()) as f32 / STEP + UNIT_BACKOFF).round().clamp(0.0, 255.0) as u8
}

fn log_of_backoff(code: u8) -> f32 {
    -STEP * (f32::from(code) - UNIT_BACKOFF)
}

/// Nodes in breadth-first order, the children of each in a row and sorted; node 0 is the empty context.
///
/// A node is an n-gram: its symbol after its parent. As a context it has a back-off weight and a link to
/// the context without its first symbol.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ngrams {
    pub symbols: Vec<u16>,
    pub logs: Vec<u8>,
    pub backoffs: Vec<u8>,
    /// First child of each node, and the number of nodes at the end.
    pub children: Vec<u32>,
    links: Vec<u32>,
}

impl Ngrams {
    /// Adds the links. The last of `children` is the number of nodes.
    pub fn new(symbols: Vec<u16>, logs: Vec<u8>, backoffs: Vec<u8>, children: Vec<u32>) -> Self {
        let mut ngrams = Self { links: vec![0; symbols.len()], symbols, logs, backoffs, children };
        for parent in 0..ngrams.symbols.len() {
            for child in ngrams.children_of(parent) {
                let symbol = ngrams.symbols[child];
                let mut context = parent;
                // A whole model has every suffix; one that was tampered with may not.
                while context != 0 {
                    context = ngrams.links[context] as usize;
                    if let Some(node) = ngrams.child(context, symbol) {
                        ngrams.links[child] = node as u32;
                        break;
                    }
                }
            }
        }
        ngrams
    }

    /// Number of n-grams.
    pub fn len(&self) -> usize {
        self.symbols.len() - 1
    }

    pub fn children_of(&self, node: usize) -> std::ops::Range<usize> {
        self.children[node] as usize..self.children[node + 1] as usize
    }

    fn child(&self, node: usize, symbol: u16) -> Option<usize> {
        let range = self.children_of(node);
        let found = self.symbols[range.clone()].binary_search(&symbol).ok()?;
        Some(range.start + found)
    }

    /// The context of the beginning of a word.
    pub fn begin(&self) -> usize {
        self.child(0, BEGIN).unwrap_or(0)
    }

    /// ln p(symbol | context), and the context after it: the longest known.
    pub fn next(&self, mut context: usize, symbol: u16) -> (f32, usize) {
        let mut log = 0.0;
        loop {
            if let Some(node) = self.child(context, symbol) {
                // What nothing is known to follow is no context.
                let mut next = node;
                while next != 0 && self.children_of(next).is_empty() {
                    next = self.links[next] as usize;
                }
                return (log + log_of(self.logs[node]), next);
            }
            if context == 0 {
                return (log + UNSEEN, 0);
            }
            log += log_of_backoff(self.backoffs[context]);
            context = self.links[context] as usize;
        }
    }
}
