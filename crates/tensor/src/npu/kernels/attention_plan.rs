//! How attention is divided over the cores: its sizes, blocks and jobs.

use super::pad16;
use crate::npu::spec::DeviceSpec;
use crate::npu::tile::ir::Elem;
use crate::options::alibi_slope;

/// Sizes of an attention; see [`crate::ops::attention`] for the formula.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attention {
    /// Rows of the batch.
    pub batch: usize,
    /// Heads, side by side in the last dimension.
    pub heads: usize,
    /// Queries of a row.
    pub queries: usize,
    /// Keys of a row.
    pub keys: usize,
    /// Width of a head.
    pub dim: usize,
    /// Whether there is a mask `[B, T_q, T_k]` with 1 where a query may look.
    pub masked: bool,
    /// Whether scores have the linear position bias of [`crate::ops::AttentionOptions`].
    pub alibi: bool,
    /// Where weights are dropped, by a mask `[B·H, T_q, T_k]` with 1 where they are kept: what those are multiplied by.
    pub dropout: Option<f32>,
    /// Type of queries, keys, values and masks.
    pub elem: Elem,
}

impl Attention {
    pub(crate) fn width(&self) -> usize {
        self.heads * self.dim
    }

    pub(super) fn scale(&self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
    }

    /// Position of the first query, counted in keys.
    pub(super) fn first_position(&self) -> f32 {
        self.keys as f32 - self.queries as f32
    }

    /// Slope of the position bias of head `row·H + head`.
    pub(super) fn slope(&self, head: usize) -> f32 {
        alibi_slope(head % self.heads, self.heads)
    }

    pub(super) fn name(&self, what: &str) -> String {
        let Self { batch, heads, queries, keys, dim, .. } = self;
        format!("{what} [{batch}x{heads}, {queries}, {keys}, {dim}]")
    }

    pub(crate) fn query_len(&self) -> usize {
        self.batch * self.queries * self.width()
    }

    pub(crate) fn key_len(&self) -> usize {
        self.batch * self.keys * self.width()
    }

    pub(crate) fn score_len(&self) -> usize {
        self.batch * self.heads * self.queries * self.keys
    }
}

/// Queries and keys of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocks {
    pub q: usize,
    pub kv: usize,
}

impl Blocks {
    /// The blocks that fit the buffers and spread the work best.
    pub fn choose(spec: &DeviceSpec, op: &Attention, groups: usize, vectors: usize) -> Self {
        let (width, buffers) = (pad16(op.dim), &spec.buffers);
        let masks = usize::from(op.masked) + usize::from(op.dropout.is_some());
        let fits = |b: &Self| {
            let sub = b.q.div_ceil(vectors);
            let bias = if op.alibi { 4 * (sub + 1) * b.kv } else { 0 };
            let ub =
                sub * b.kv * (2 * (4 + 2 * masks) + 4) + bias + 2 * sub * width * 4 + 16 * 4 * sub + 1024;
            4 * b.q * b.kv.max(width) <= buffers.l0a.count()
                && 4 * b.kv * width <= buffers.l0b.count()
                && 4 * b.q * (b.kv + width) <= buffers.l0c.count()
                && 4 * (b.q * width + 2 * b.kv * width + b.q * b.kv) <= buffers.l1.count()
                && ub <= buffers.ub.count()
        };
        let mut best = (usize::MAX, Self { q: 16, kv: 16 });
        for q in [128, 64, 32, 16] {
            for kv in [512, 256, 128, 64, 32, 16] {
                let blocks = Self { q, kv: kv.min(pad16(op.keys)) };
                let jobs = op.batch * op.heads * op.queries.div_ceil(q);
                // Rounds of jobs, each of the block's padded scores and a cost for every hand-over.
                let steps = op.keys.div_ceil(blocks.kv);
                let cost = jobs.div_ceil(groups) * (q * steps * blocks.kv + 6000 * steps);
                if fits(&blocks) && cost < best.0 {
                    best = (cost, blocks);
                }
            }
        }
        best.1
    }
}

/// The numbers of the tensors of a program; `mask` and `drop` where the attention has them.
pub(super) struct Tensors {
    pub q: usize,
    pub k: usize,
    pub v: usize,
    pub mask: Option<usize>,
    pub drop: Option<usize>,
    pub out: usize,
    pub sums: usize,
}

/// A block of queries of one head of one row.
pub(super) struct Job {
    /// `row·H + head`
    pub head: usize,
    pub start: usize,
    pub rows: usize,
}

impl Job {
    /// Where frame `t` of this head begins.
    pub fn at(&self, op: &Attention, frames: usize, t: usize) -> usize {
        (self.head / op.heads * frames + t) * op.width() + self.head % op.heads * op.dim
    }
}
