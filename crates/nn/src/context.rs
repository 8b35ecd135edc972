//! What a forward pass is allowed to randomise.

use auricle_rng::Stream;
use auricle_tensor::ops;
use burn::tensor::Tensor;

/// The state of one forward pass: evaluation, or training with its random streams.
///
/// Dropout masks are not stored: each dropout site takes the next seed of the stream, and the
/// operation derives its mask from (seed, element index), in the backward pass again.
#[derive(Debug, Clone)]
pub struct Context {
    streams: Option<Streams>,
}

#[derive(Debug, Clone)]
struct Streams {
    dropout: Stream,
    layer_drop: Stream,
}

impl Context {
    /// Evaluation: no dropout, no layer drop, running statistics in batch normalisation.
    pub fn eval() -> Self {
        Self { streams: None }
    }

    /// Training, with the streams from which dropout masks and layer drop are drawn.
    pub fn train(dropout: Stream, layer_drop: Stream) -> Self {
        Self { streams: Some(Streams { dropout, layer_drop }) }
    }

    /// Whether this is a training pass.
    pub fn is_training(&self) -> bool {
        self.streams.is_some()
    }

    /// The seed of the next dropout site, or `None` where nothing is to be dropped.
    pub fn dropout_seed(&mut self, probability: f64) -> Option<u64> {
        match &mut self.streams {
            Some(streams) if probability > 0.0 => Some(streams.dropout.next_u64()),
            _ => None,
        }
    }

    /// Inverted dropout: zero with probability `p`, the rest scaled by 1/(1−p).
    pub fn dropout<const D: usize>(&mut self, x: Tensor<D>, probability: f64) -> Tensor<D> {
        match self.dropout_seed(probability) {
            Some(seed) => ops::dropout(x, probability, seed),
            None => x,
        }
    }

    /// Whether the next layer is skipped in this pass (one draw for the whole batch).
    pub fn drops_layer(&mut self, probability: f64) -> bool {
        match &mut self.streams {
            Some(streams) if probability > 0.0 => streams.layer_drop.chance(probability),
            _ => false,
        }
    }
}
