//! Options and sizes of attention.

use super::{Dropout, Products};

/// What a query may look at, and what is dropped.
///
/// Query `i` of `T_q` stands at key position `i + T_k − T_q`: with cached keys the queries are the newest frames.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AttentionOptions {
    /// Number of heads `H`.
    pub heads: usize,
    /// Valid keys of each row of the batch; keys beyond get no weight, whatever they hold.
    pub key_lengths: Option<Vec<usize>>,
    /// Hides keys after the query's own position.
    pub causal: bool,
    /// Hides keys more than this many positions before the query's own.
    pub left_context: Option<usize>,
    /// Keys that each query may look at, counted from the first, `[B·T_q]`: the others are hidden from it.
    pub query_limits: Option<Vec<usize>>,
    /// Linear position bias: `−2^(−8(h+1)/H)·|i − j|` on the scaled score of query position `i`, key `j` and head `h`
    /// ("ALiBi", arXiv 2108.12409).
    pub alibi: bool,
    /// Dropout of the attention probabilities; row `(b·H + h)·T_q + i` is the block, the key is the lane.
    pub dropout: Option<Dropout>,
}

impl AttentionOptions {
    /// Plain attention over all keys.
    pub fn new(heads: usize) -> Self {
        Self { heads, ..Self::default() }
    }

    /// How many of `keys` keys of row `b` are valid.
    pub(crate) fn valid_keys(&self, b: usize, keys: usize) -> usize {
        self.key_lengths.as_ref().map_or(keys, |lengths| lengths[b].min(keys))
    }

    /// The keys that query `i` of row `b` may look at.
    pub(crate) fn visible(&self, b: usize, i: usize, queries: usize, keys: usize) -> std::ops::Range<usize> {
        let valid = self.valid_keys(b, keys);
        // The query's own position plus one, shifted by `queries` to stay unsigned.
        let next = i.saturating_add(1).saturating_add(keys);
        let valid = self.query_limits.as_ref().map_or(valid, |limits| limits[b * queries + i].min(valid));
        let end = if self.causal { next.saturating_sub(queries).min(valid) } else { valid };
        let start = self
            .left_context
            .map_or(0, |left| next.saturating_sub(queries.saturating_add(1).saturating_add(left)));
        start.min(end)..end
    }

    /// Whether queries of one row may look at different keys.
    pub(crate) fn hides_by_query(&self) -> bool {
        self.causal || self.left_context.is_some() || self.query_limits.is_some()
    }
}

/// The slope of the position bias of one of `heads` heads, `2^(−8(h+1)/H)`.
pub fn alibi_slope(head: usize, heads: usize) -> f32 {
    (-8.0 * (head + 1) as f32 / heads as f32).exp2()
}

/// Sizes of one attention.
#[derive(Debug, Clone, Copy)]
pub struct AttentionSizes {
    /// Rows of the batch.
    pub batch: usize,
    /// Queries `T_q` of a row.
    pub queries: usize,
    /// Keys `T_k` of a row.
    pub keys: usize,
    /// Elements `H·Dh` of a frame.
    pub width: usize,
    /// What products are computed in.
    pub products: Products,
}
