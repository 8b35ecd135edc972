//! The encoder on a signal that arrives in pieces.
//!
//! Weights are copied out of the modules once and shared by clones; frames then go through [`auricle_tensor::rows`].
//! After the first frames nothing is allocated any more.

mod conv;
mod decoder;
mod encoder;
mod transformer;

pub use conv::StreamingConv;
pub use decoder::{DecoderMemory, DecoderPrefix, StreamingDecoder};
pub use encoder::StreamingEncoder;
pub use transformer::StreamingTransformer;

use crate::{LayerNorm, Linear};
use auricle_tensor::ops::alibi_slope;
use auricle_tensor::rows::{self, Matrix};
use burn::module::Param;
use burn::tensor::Tensor;
use std::sync::Arc;

/// Why a module cannot run on a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamingError {
    /// It looks at the whole utterance.
    #[error("this model cannot run on a stream: {0}; train one with causal, alibi and left_context set")]
    NotCausal(&'static str),
    /// A value could not be read from its device.
    #[error("a weight could not be read: {0}")]
    Read(String),
}

/// A parameter's values in host memory.
pub(crate) fn values<const D: usize>(param: &Param<Tensor<D>>) -> Result<Vec<f32>, StreamingError> {
    param.val().into_data().try_to_vec::<f32>().map_err(|e| StreamingError::Read(format!("{e:?}")))
}

/// Attention of one query over `count` keys and values, given by their age, added to `mixed`; with `alibi` scores fall
/// with the age.
fn attend<'a>(
    query: &[f32],
    mixed: &mut [f32],
    weights: &mut Vec<f32>,
    [heads, count]: [usize; 2],
    alibi: bool,
    at: impl Fn(usize) -> (&'a [f32], &'a [f32]),
) {
    let dim = query.len() / heads;
    let scale = 1.0 / (dim as f32).sqrt();
    weights.resize(count, 0.0);
    if count == 0 {
        return;
    }
    for head in 0..heads {
        let columns = head * dim..(head + 1) * dim;
        let slope = if alibi { alibi_slope(head, heads) } else { 0.0 };
        let query = &query[columns.clone()];
        for (age, weight) in weights.iter_mut().enumerate() {
            *weight = rows::dot(query, &at(age).0[columns.clone()]) * scale - slope * age as f32;
        }
        rows::softmax(weights);
        let mixed = &mut mixed[columns.clone()];
        for (age, &weight) in weights.iter().enumerate() {
            rows::add_scaled(mixed, weight, &at(age).1[columns.clone()]);
        }
    }
}

/// An affine map with its weights in host memory, which clones share.
#[derive(Debug, Clone)]
pub struct Dense {
    weight: Arc<Matrix>,
    bias: Vec<f32>,
}

impl Dense {
    /// Copies the weights.
    ///
    /// # Errors
    /// Weights that cannot be read from their device.
    pub fn new(linear: &Linear) -> Result<Self, StreamingError> {
        let [_, width] = linear.weight.dims();
        Ok(Self {
            weight: Arc::new(Matrix::new(values(&linear.weight)?, width)),
            bias: values(&linear.bias)?,
        })
    }

    /// Width of a result.
    pub fn width(&self) -> usize {
        self.bias.len()
    }

    /// Width of an input.
    pub fn inputs(&self) -> usize {
        self.weight.rows(self.bias.len())
    }

    /// Rows of `x` mapped; `out` takes their size.
    pub fn forward(&self, x: &[f32], out: &mut Vec<f32>) {
        let input = self.inputs();
        out.resize(x.len() / input.max(1) * self.bias.len(), 0.0);
        rows::linear(out, x, &self.weight, &self.bias);
    }
}

/// A layer norm with its parameters in host memory.
#[derive(Debug, Clone)]
pub struct Norm {
    gamma: Vec<f32>,
    beta: Vec<f32>,
    epsilon: f64,
}

impl Norm {
    /// Copies the parameters.
    ///
    /// # Errors
    /// Parameters that cannot be read from their device.
    pub fn new(norm: &LayerNorm) -> Result<Self, StreamingError> {
        Ok(Self { gamma: values(&norm.gamma)?, beta: values(&norm.beta)?, epsilon: norm.epsilon })
    }

    /// Rows of `x` normalised; `out` takes their size.
    pub fn forward(&self, x: &[f32], out: &mut Vec<f32>) {
        out.resize(x.len(), 0.0);
        self.forward_into(x, out);
    }

    /// Rows of `x` normalised into as many values.
    pub fn forward_into(&self, x: &[f32], out: &mut [f32]) {
        rows::layer_norm(out, x, &self.gamma, &self.beta, self.epsilon);
    }
}
