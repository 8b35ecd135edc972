//! Causal Transformer blocks on a stream, with cached keys and values.

use super::{Dense, Norm, StreamingError, attend};
use crate::{TransformerBlock, TransformerLayer};
use auricle_tensor::rows;

/// Frames that go through a layer together, where so many came: its weights are read once for all of them.
const BLOCK: usize = 32;

/// A causal [`TransformerBlock`] with the keys and values of the frames that the next one looks at.
#[derive(Debug, Clone)]
pub struct StreamingTransformer {
    layers: Vec<Layer>,
    norm: Norm,
    work: Work,
}

#[derive(Debug, Clone)]
struct Layer {
    attention_norm: Norm,
    query: Dense,
    key: Dense,
    value: Dense,
    output: Dense,
    attention_post_norm: Option<Norm>,
    feed_forward_norm: Norm,
    expand: Dense,
    contract: Dense,
    feed_forward_post_norm: Option<Norm>,
    heads: usize,
    /// Frames kept, the query's own included; without a limit the cache grows with the signal.
    kept: Option<usize>,
    /// Keys and values of frame `t` stand at place `t % kept`.
    keys: Vec<f32>,
    values: Vec<f32>,
    frames: usize,
}

/// Memory that all layers use in turn.
#[derive(Debug, Clone, Default)]
struct Work {
    normed: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    mixed: Vec<f32>,
    output: Vec<f32>,
    expanded: Vec<f32>,
    post: Vec<f32>,
    weights: Vec<f32>,
}

impl StreamingTransformer {
    /// Copies the weights.
    ///
    /// # Errors
    /// A block that looks ahead or has a positional convolution.
    pub fn new(block: &TransformerBlock) -> Result<Self, StreamingError> {
        if block.positional.is_some() {
            return Err(StreamingError::NotCausal("it has a positional convolution"));
        }
        let layers = block.layers.iter().map(Layer::new).collect::<Result<_, _>>()?;
        Ok(Self { layers, norm: Norm::new(&block.norm)?, work: Work::default() })
    }

    /// Forgets the signal.
    pub fn reset(&mut self) {
        for layer in &mut self.layers {
            layer.frames = 0;
            if layer.kept.is_none() {
                layer.keys.clear();
                layer.values.clear();
            }
        }
    }

    /// Frames in, as many frames appended to `out`.
    pub fn push(&mut self, frames: &mut [f32], width: usize, out: &mut Vec<f32>) {
        for block in frames.chunks_mut(BLOCK * width) {
            for layer in &mut self.layers {
                layer.step(block, width, &mut self.work);
            }
            let at = out.len();
            out.resize(at + block.len(), 0.0);
            self.norm.forward_into(block, &mut out[at..]);
        }
    }
}

impl Layer {
    fn new(layer: &TransformerLayer) -> Result<Self, StreamingError> {
        if !(layer.causal && layer.alibi) {
            return Err(StreamingError::NotCausal("its attention looks ahead"));
        }
        let width = layer.query.bias.dims()[0];
        let kept = layer.left_context.map(|left| left + 1);
        let cache = vec![0.0; kept.unwrap_or(0) * width];
        Ok(Self {
            attention_norm: Norm::new(&layer.attention_norm)?,
            query: Dense::new(&layer.query)?,
            key: Dense::new(&layer.key)?,
            value: Dense::new(&layer.value)?,
            output: Dense::new(&layer.output)?,
            attention_post_norm: layer.attention_post_norm.as_ref().map(Norm::new).transpose()?,
            feed_forward_norm: Norm::new(&layer.feed_forward_norm)?,
            expand: Dense::new(&layer.expand)?,
            contract: Dense::new(&layer.contract)?,
            feed_forward_post_norm: layer.feed_forward_post_norm.as_ref().map(Norm::new).transpose()?,
            heads: layer.heads,
            kept,
            keys: cache.clone(),
            values: cache,
            frames: 0,
        })
    }

    /// Frames through the layer, in place.
    fn step(&mut self, x: &mut [f32], width: usize, work: &mut Work) {
        self.attention_norm.forward(x, &mut work.normed);
        self.query.forward(&work.normed, &mut work.query);
        self.key.forward(&work.normed, &mut work.key);
        self.value.forward(&work.normed, &mut work.value);
        work.mixed.clear();
        work.mixed.resize(x.len(), 0.0);
        for row in (0..x.len()).step_by(width).map(|at| at..at + width) {
            self.remember(&work.key[row.clone()], &work.value[row.clone()]);
            self.attend(&work.query[row.clone()], &mut work.mixed[row], &mut work.weights);
        }
        self.output.forward(&work.mixed, &mut work.output);
        add_normed(x, &self.attention_post_norm, &work.output, &mut work.post);

        self.feed_forward_norm.forward(x, &mut work.normed);
        self.expand.forward(&work.normed, &mut work.expanded);
        rows::gelu(&mut work.expanded);
        self.contract.forward(&work.expanded, &mut work.output);
        add_normed(x, &self.feed_forward_post_norm, &work.output, &mut work.post);
    }

    fn remember(&mut self, key: &[f32], value: &[f32]) {
        match self.kept {
            Some(kept) => {
                let at = self.frames % kept * key.len();
                self.keys[at..][..key.len()].copy_from_slice(key);
                self.values[at..][..value.len()].copy_from_slice(value);
            }
            None => {
                self.keys.extend_from_slice(key);
                self.values.extend_from_slice(value);
            }
        }
        self.frames += 1;
    }

    /// Attention of the newest frame over the cache, added to `mixed`.
    fn attend(&self, query: &[f32], mixed: &mut [f32], weights: &mut Vec<f32>) {
        let width = query.len();
        let newest = self.frames - 1;
        let count = self.kept.map_or(self.frames, |kept| kept.min(self.frames));
        let place = |age: usize| match self.kept {
            Some(kept) => (newest - age) % kept,
            None => newest - age,
        };
        attend(query, mixed, weights, [self.heads, count], true, |age| {
            let at = place(age) * width..(place(age) + 1) * width;
            (&self.keys[at.clone()], &self.values[at])
        });
    }
}

/// `x += norm(y)`, or `x += y` where there is none.
fn add_normed(x: &mut [f32], norm: &Option<Norm>, y: &[f32], scratch: &mut Vec<f32>) {
    match norm {
        Some(norm) => {
            norm.forward(y, scratch);
            rows::add(x, scratch);
        }
        None => rows::add(x, y),
    }
}
