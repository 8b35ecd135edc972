//! Scaled dot-product attention over blocks of queries.
//!
//! The scores of a block of queries live in a cache-sized buffer and are made again in the backward pass: memory grows
//! with the number of frames, not with its square. One task is one head of one row of the batch;
//! heads are read and written in place, side by side in the last dimension.

use std::ops::Range;

use rayon::prelude::*;

use super::elementwise;
use super::gemm::gemm;
use super::view::{Shared, Threads, View, ViewMut};
use super::{single::BLOCK as BLOCK_OF_TERMS, softmax};
use crate::options::{AttentionOptions, AttentionSizes, alibi_slope, dropout};

/// Elements of a block of scores: 512 KiB.
const BLOCK: usize = 128 * 1024;

/// Below this many multiplications a single thread is faster.
const SMALL: usize = 1 << 18;

/// One head of one row: where its parts lie.
#[derive(Clone, Copy)]
struct Head<'a> {
    sizes: AttentionSizes,
    options: &'a AttentionOptions,
    row: usize,
    head: usize,
}

/// A block of queries and the keys any of them may look at.
struct Block {
    queries: Range<usize>,
    keys: Range<usize>,
}

impl<'a> Head<'a> {
    fn new(sizes: AttentionSizes, options: &'a AttentionOptions, index: usize) -> Self {
        Self { sizes, options, row: index / options.heads, head: index % options.heads }
    }

    fn dim(&self) -> usize {
        self.sizes.width / self.options.heads
    }

    fn scale(&self) -> f32 {
        1.0 / (self.dim() as f32).sqrt()
    }

    /// Where frame `t` of this head begins in a tensor of `frames` frames a row.
    fn at(&self, frames: usize, t: usize) -> usize {
        (self.row * frames + t) * self.sizes.width + self.head * self.dim()
    }

    fn view<'b>(&self, x: &'b [f32], frames: usize, range: &Range<usize>) -> View<'b> {
        View::new(&x[self.at(frames, range.start)..], range.len(), self.dim(), self.sizes.width)
    }

    fn query_view<'b>(&self, x: &'b [f32], block: &Block) -> View<'b> {
        self.view(x, self.sizes.queries, &block.queries)
    }

    fn key_view<'b>(&self, x: &'b [f32], block: &Block) -> View<'b> {
        self.view(x, self.sizes.keys, &block.keys)
    }

    fn visible(&self, query: usize) -> Range<usize> {
        self.options.visible(self.row, query, self.sizes.queries, self.sizes.keys)
    }

    /// The keys a query may look at, counted from the block's first.
    fn visible_in(&self, block: &Block, query: usize) -> Range<usize> {
        let visible = self.visible(query);
        if visible.is_empty() {
            0..0
        } else {
            visible.start - block.keys.start..visible.end - block.keys.start
        }
    }

    /// Whether every query must be a block of its own: in a block the weight of a hidden key is 0, which is not enough
    /// where its value is not finite.
    fn must_be_alone(&self, v: &[f32]) -> bool {
        let keys = self.options.valid_keys(self.row, self.sizes.keys);
        let is_finite = |t| v[self.at(self.sizes.keys, t)..][..self.dim()].iter().all(|x| x.is_finite());
        self.options.hides_by_query() && !(0..keys).all(is_finite)
    }

    /// Cuts the queries into blocks; `alone` gives every query its own.
    ///
    /// Which queries share a block depends on the number of keys, so on the padding of the batch. The results do not: keys that a
    /// query does not see add 0 to its sums, and those are cut by positions of keys ([`pieces`]).
    fn blocks(self, alone: bool) -> impl Iterator<Item = Block> {
        let rows = if alone { 1 } else { (BLOCK / self.sizes.keys.max(1)).clamp(16, 256) };
        (0..self.sizes.queries).step_by(rows).map(move |start| {
            let queries = start..(start + rows).min(self.sizes.queries);
            let seen = queries.clone().map(|i| self.visible(i)).filter(|keys| !keys.is_empty());
            let keys = seen.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)).unwrap_or(0..0);
            // In bf16 terms are added in pairs, which begin at even keys.
            let start = if alone { keys.start } else { keys.start & !1 };
            Block { queries, keys: start..keys.end }
        })
    }

    /// Scaled scores of a block with their position bias, `[queries, keys]`.
    fn scores(&self, scores: &mut Vec<f32>, q: &[f32], k: &[f32], block: &Block) {
        let (rows, cols) = (block.queries.len(), block.keys.len());
        scores.resize(rows * cols, 0.0);
        let out = ViewMut::new(scores, rows, cols, cols.max(1));
        gemm(
            out,
            false,
            self.scale(),
            self.query_view(q, block),
            self.key_view(k, block).t(),
            self.sizes.products,
            Threads::One,
        );
        if self.options.alibi {
            let slope = alibi_slope(self.head, self.options.heads);
            for (row, query) in scores.chunks_exact_mut(cols.max(1)).zip(block.queries.clone()) {
                let position = query as f32 + self.sizes.keys as f32 - self.sizes.queries as f32;
                for (score, key) in row.iter_mut().zip(block.keys.clone()) {
                    *score -= slope * (position - key as f32).abs();
                }
            }
        }
    }

    /// Applies the dropout mask to row `query` of a block.
    fn drop(&self, row: &mut [f32], block: &Block, query: usize) {
        if let Some(mask) = self.options.dropout {
            let index = (self.row * self.options.heads + self.head) * self.sizes.queries + query;
            let key = dropout::block_key(mask.seed, index as u64);
            elementwise::dropout(row, key, block.keys.start as u32, mask.threshold(), mask.scale() as f32);
        }
    }

    /// Where this head's logarithmic sum of a query lies.
    fn sum_index(&self, query: usize) -> usize {
        (self.row * self.options.heads + self.head) * self.sizes.queries + query
    }
}

/// Cuts keys where their position is a multiple of the terms of a product's block.
fn pieces(keys: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let first = keys.start / BLOCK_OF_TERMS;
    (first..keys.end.div_ceil(BLOCK_OF_TERMS))
        .map(move |i| keys.start.max(i * BLOCK_OF_TERMS)..keys.end.min((i + 1) * BLOCK_OF_TERMS))
}

/// Calls `f` for every head of every row, with working memory that tasks of one thread pass on.
fn for_each_head<'a>(
    sizes: AttentionSizes,
    options: &'a AttentionOptions,
    f: impl Fn(&mut Buffers, Head<'a>) + Sync + Send,
) {
    let tasks = sizes.batch * options.heads;
    if sizes.batch * sizes.queries * sizes.keys * sizes.width < SMALL {
        let mut buffers = Buffers::default();
        (0..tasks).for_each(|index| f(&mut buffers, Head::new(sizes, options, index)));
    } else {
        let run = |buffers: &mut Buffers, index| f(buffers, Head::new(sizes, options, index));
        (0..tasks).into_par_iter().for_each_init(Buffers::default, run);
    }
}

/// Two blocks of scores, and the inverse sums of a block's rows.
#[derive(Default)]
struct Buffers {
    weights: Vec<f32>,
    inner: Vec<f32>,
    rates: Vec<f32>,
}

/// Writes the result to `out`, and `ln Σ exp(score)` of every query to `sums` (`[B, H, T_q]`) where it is given.
pub fn forward(
    out: &mut [f32],
    sums: Option<&mut [f32]>,
    [q, k, v]: [&[f32]; 3],
    sizes: AttentionSizes,
    options: &AttentionOptions,
) {
    let products = sizes.products;
    let out = Shared::new(out);
    let sums = sums.map(Shared::new);
    for_each_head(sizes, options, |Buffers { weights: scores, rates, .. }, head| {
        for block in head.blocks(head.must_be_alone(v)) {
            head.scores(scores, q, k, &block);
            rates.clear();
            let cols = block.keys.len();
            for (i, query) in block.queries.clone().enumerate() {
                let row = &mut scores[i * cols..][..cols];
                let visible = head.visible_in(&block, query);
                row[..visible.start].fill(0.0);
                row[visible.end..].fill(0.0);
                let (top, total) = softmax::exponentials(&mut row[visible]);
                rates.push(if total == 0.0 { 0.0 } else { 1.0 / total });
                head.drop(row, &block, query);
                if let Some(sums) = sums {
                    // SAFETY: the element belongs to this head and this query alone.
                    unsafe { sums.rows(head.sum_index(query), 1, 1, 1) }.row(0)[0] = top + total.ln();
                }
            }
            let offset = head.at(sizes.queries, block.queries.start);
            // SAFETY: columns of one head of one row of the batch, which this task alone writes.
            let mut out = unsafe { out.rows(offset, block.queries.len(), head.dim(), sizes.width) };
            let weights = View::new(scores, block.queries.len(), cols, cols);
            for keys in pieces(block.keys.clone()) {
                let weights = weights.terms(&(keys.start - block.keys.start..keys.end - block.keys.start));
                let later = keys.start > block.keys.start;
                let values = head.view(v, sizes.keys, &keys);
                gemm(out.again(), later, 1.0, weights, values, products, Threads::One);
            }
            // Dividing the results is less work than dividing the weights.
            rates.iter().enumerate().for_each(|(i, &rate)| elementwise::scale(out.row(i), rate));
        }
    });
}

/// Gradients of `q`, `k` and `v`, written to zeroed `grads`, from that of the result.
pub fn backward(
    grads: [&mut [f32]; 3],
    grad: &[f32],
    sums: &[f32],
    [q, k, v]: [&[f32]; 3],
    sizes: AttentionSizes,
    options: &AttentionOptions,
) {
    let products = sizes.products;
    let [dq, dk, dv] = grads.map(Shared::new);
    for_each_head(sizes, options, |Buffers { weights, inner, .. }, head| {
        for block in head.blocks(false) {
            let (rows, cols) = (block.queries.len(), block.keys.len());
            if cols == 0 {
                continue;
            }
            head.scores(weights, q, k, &block);
            inner.resize(rows * cols, 0.0);
            let grad = head.query_view(grad, &block);
            gemm(
                ViewMut::new(inner, rows, cols, cols),
                false,
                1.0,
                grad,
                head.key_view(v, &block).t(),
                products,
                Threads::One,
            );
            for (i, query) in block.queries.clone().enumerate() {
                let (p, g) = (&mut weights[i * cols..][..cols], &mut inner[i * cols..][..cols]);
                let visible = head.visible_in(&block, query);
                p[..visible.start].fill(0.0);
                p[visible.end..].fill(0.0);
                softmax::exp_shifted(&mut p[visible], sums[head.sum_index(query)]);
                head.drop(g, &block, query);
                softmax::softmax_backward(g, p, head.scale());
                head.drop(p, &block, query);
            }
            let (p, g) = (View::new(weights, rows, cols, cols), View::new(inner, rows, cols, cols));
            let keys_at = head.at(sizes.keys, block.keys.start);
            let queries_at = head.at(sizes.queries, block.queries.start);
            // SAFETY: columns of one head of one row of the batch, which this task alone writes; likewise below.
            let dv = unsafe { dv.rows(keys_at, cols, head.dim(), sizes.width) };
            gemm(dv, true, 1.0, p.t(), grad, products, Threads::One);
            // SAFETY: as above.
            let dq = unsafe { dq.rows(queries_at, rows, head.dim(), sizes.width) };
            gemm(dq, false, 1.0, g, head.key_view(k, &block), products, Threads::One);
            // SAFETY: as above.
            let dk = unsafe { dk.rows(keys_at, cols, head.dim(), sizes.width) };
            gemm(dk, true, 1.0, g.t(), head.query_view(q, &block), products, Threads::One);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Products;

    /// What a task holds of the scores, forward and backward, grows with the keys, not with their product with the queries.
    #[test]
    fn blocks_cover_the_queries_and_stay_small() {
        for (queries, keys) in [(1, 1), (17, 31), (500, 500), (100, 3000), (5000, 20_000)] {
            let products = Products::Single;
            let sizes = AttentionSizes { batch: 1, queries, keys, width: 64, products };
            for options in
                [AttentionOptions::new(1), AttentionOptions { causal: true, ..AttentionOptions::new(1) }]
            {
                let mut next = 0;
                for block in Head::new(sizes, &options, 0).blocks(false) {
                    assert_eq!(block.queries.start, next);
                    next = block.queries.end;
                    assert!(
                        block.queries.len() * block.keys.len() <= BLOCK.max(16 * keys),
                        "{queries} {keys}"
                    );
                }
                assert_eq!(next, queries);
            }
        }
    }
}
