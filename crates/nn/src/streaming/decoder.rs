//! An attention decoder token by token: what sequences have in common is computed once.

use super::{Dense, Norm, StreamingError, attend, values};
use crate::decoder::{Attention, AttentionDecoder, DecoderLayer, limit};
use crate::positional::sinusoids;
use auricle_tensor::rows;
use std::borrow::Cow;
use std::sync::Arc;

/// An [`AttentionDecoder`] with its weights in host memory, for searches.
///
/// The decoder itself runs through a whole sequence for every token more; this one keeps keys and values of the
/// tokens before and of the utterance's frames.
#[derive(Debug, Clone)]
pub struct StreamingDecoder {
    embedding: Arc<Vec<f32>>,
    layers: Vec<Layer>,
    norm: Norm,
    output: Dense,
    heads: usize,
    triggered: bool,
    look_ahead: Option<usize>,
}

#[derive(Debug, Clone)]
struct Branch {
    norm: Norm,
    query: Dense,
    key: Dense,
    value: Dense,
    output: Dense,
}

#[derive(Debug, Clone)]
struct Layer {
    self_attention: Branch,
    cross_attention: Branch,
    feed_forward_norm: Norm,
    expand: Dense,
    contract: Dense,
}

/// Keys and values of an utterance's frames, per layer `[T', D]`.
#[derive(Debug, Clone)]
pub struct DecoderMemory {
    layers: Vec<(Vec<f32>, Vec<f32>)>,
    frames: usize,
}

impl DecoderMemory {
    /// Frames that were read.
    pub fn frames(&self) -> usize {
        self.frames
    }
}

/// A sequence of tokens that the decoder has read; its clones share what was computed.
#[derive(Debug, Clone, Default)]
pub struct DecoderPrefix {
    /// Keys and values of each token, `[layers, 2, D]`.
    tokens: Vec<Arc<Vec<f32>>>,
}

impl StreamingDecoder {
    /// Copies the weights.
    ///
    /// # Errors
    /// Weights that cannot be read from their device.
    pub fn new(decoder: &AttentionDecoder) -> Result<Self, StreamingError> {
        Ok(Self {
            embedding: Arc::new(values(&decoder.embedding)?),
            layers: decoder.layers.iter().map(Layer::new).collect::<Result<_, _>>()?,
            norm: Norm::new(&decoder.norm)?,
            output: Dense::new(&decoder.output)?,
            heads: decoder.heads,
            triggered: decoder.triggered,
            look_ahead: decoder.look_ahead,
        })
    }

    /// Reads the encoder's output for one utterance, `[T', D]`.
    pub fn memory(&self, frames: &[f32]) -> DecoderMemory {
        let layers = vec![(Vec::new(), Vec::new()); self.layers.len()];
        let mut memory = DecoderMemory { layers, frames: 0 };
        self.extend(&mut memory, frames);
        memory
    }

    /// Reads more frames of an utterance, `[T', D]`.
    pub fn extend(&self, memory: &mut DecoderMemory, frames: &[f32]) {
        let width = self.output.inputs();
        let count = frames.len() / width;
        let mut placed = Cow::Borrowed(frames);
        if self.triggered {
            let places = (memory.frames..memory.frames + count).map(|t| t as f64);
            rows::add(placed.to_mut(), &sinusoids(width, places));
        }
        let mut out = Vec::new();
        for (layer, (keys, values)) in self.layers.iter().zip(&mut memory.layers) {
            layer.cross_attention.key.forward(&placed, &mut out);
            keys.extend_from_slice(&out);
            layer.cross_attention.value.forward(frames, &mut out);
            values.extend_from_slice(&out);
        }
        memory.frames += count;
    }

    /// Frames that may be seen to tell a token that begins at frame `place`; `None`: all.
    pub fn limit(&self, place: f64) -> Option<usize> {
        self.look_ahead.map(|ahead| limit(place, ahead))
    }

    /// Whether places matter.
    pub fn is_triggered(&self) -> bool {
        self.triggered
    }

    /// Whether tokens can be told before all frames are there.
    pub fn is_causal(&self) -> bool {
        self.look_ahead.is_some()
    }

    /// Reads a token more of each sequence, with the frames at which CTC places them; logits `[N, V]` of the tokens
    /// after them, told from the first `limits` frames, or where there are none from all.
    ///
    /// # Panics
    /// A triggered decoder where there is not a place for every token.
    pub fn step(
        &self,
        memory: &DecoderMemory,
        prefixes: &mut [DecoderPrefix],
        tokens: &[u32],
        places: &[f64],
        limits: &[usize],
    ) -> Vec<f32> {
        let width = self.output.inputs();
        let mut x: Vec<f32> = Vec::with_capacity(tokens.len() * width);
        for &token in tokens {
            x.extend_from_slice(&self.embedding[token as usize * width..][..width]);
        }
        assert!(!self.triggered || places.len() == tokens.len(), "{} places", places.len());
        let places = self.triggered.then(|| sinusoids(width, places.iter().copied()));
        let mut read: Vec<Vec<f32>> = vec![Vec::with_capacity(self.layers.len() * 2 * width); tokens.len()];
        let (mut normed, mut query, mut key, mut value) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut output, mut expanded, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        for (l, (layer, (frame_keys, frame_values))) in self.layers.iter().zip(&memory.layers).enumerate() {
            layer.self_attention.norm.forward(&x, &mut normed);
            layer.self_attention.query.forward(&normed, &mut query);
            layer.self_attention.key.forward(&normed, &mut key);
            layer.self_attention.value.forward(&normed, &mut value);
            let mut mixed = vec![0.0; x.len()];
            for (row, (read, prefix)) in read.iter_mut().zip(prefixes.iter()).enumerate() {
                let own = row * width..(row + 1) * width;
                read.extend_from_slice(&key[own.clone()]);
                read.extend_from_slice(&value[own.clone()]);
                let count = prefix.tokens.len() + 1;
                attend(
                    &query[own.clone()],
                    &mut mixed[own],
                    &mut weights,
                    [self.heads, count],
                    true,
                    |age| {
                        let token = match age {
                            0 => &*read,
                            _ => prefix.tokens[prefix.tokens.len() - age].as_ref(),
                        };
                        token[l * 2 * width..][..2 * width].split_at(width)
                    },
                );
            }
            layer.self_attention.output.forward(&mixed, &mut output);
            rows::add(&mut x, &output);

            layer.cross_attention.norm.forward(&x, &mut normed);
            if let Some(places) = &places {
                rows::add(&mut normed, places);
            }
            layer.cross_attention.query.forward(&normed, &mut query);
            mixed.fill(0.0);
            let queries = query.chunks_exact(width).zip(mixed.chunks_exact_mut(width));
            for (row, (query, mixed)) in queries.enumerate() {
                let seen = limits.get(row).map_or(memory.frames, |&limit| limit.min(memory.frames));
                attend(query, mixed, &mut weights, [self.heads, seen], false, |i| {
                    (&frame_keys[i * width..][..width], &frame_values[i * width..][..width])
                });
            }
            layer.cross_attention.output.forward(&mixed, &mut output);
            rows::add(&mut x, &output);

            layer.feed_forward_norm.forward(&x, &mut normed);
            layer.expand.forward(&normed, &mut expanded);
            rows::gelu(&mut expanded);
            layer.contract.forward(&expanded, &mut output);
            rows::add(&mut x, &output);
        }
        for (prefix, read) in prefixes.iter_mut().zip(read) {
            prefix.tokens.push(Arc::new(read));
        }
        self.norm.forward(&x, &mut normed);
        let mut logits = Vec::new();
        self.output.forward(&normed, &mut logits);
        logits
    }
}

impl Branch {
    fn new(attention: &Attention) -> Result<Self, StreamingError> {
        Ok(Self {
            norm: Norm::new(&attention.norm)?,
            query: Dense::new(&attention.query)?,
            key: Dense::new(&attention.key)?,
            value: Dense::new(&attention.value)?,
            output: Dense::new(&attention.output)?,
        })
    }
}

impl Layer {
    fn new(layer: &DecoderLayer) -> Result<Self, StreamingError> {
        Ok(Self {
            self_attention: Branch::new(&layer.self_attention)?,
            cross_attention: Branch::new(&layer.cross_attention)?,
            feed_forward_norm: Norm::new(&layer.feed_forward_norm)?,
            expand: Dense::new(&layer.expand)?,
            contract: Dense::new(&layer.contract)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, DecoderConfig, Initializer};
    use auricle_rng::{Key, Purpose};
    use burn::tensor::{Device, Tensor, TensorData};

    /// Sequences that branch give, token by token, what the decoder gives for each as a whole.
    #[test]
    fn token_by_token_is_the_whole() {
        const WIDTH: usize = 12;
        let config = DecoderConfig {
            layers: 3,
            heads: 3,
            feed_forward: 20,
            dropout: 0.1,
            triggered: true,
            look_ahead: None,
        };
        let mut stream = Key::new(1).stream(Purpose::Test);
        let device = Device::flex();
        let decoder = AttentionDecoder::new(WIDTH, 6, &config, &mut Initializer::new(&mut stream, &device));
        let streaming = StreamingDecoder::new(&decoder).unwrap();
        // Of a token, which differs between branches.
        let place = |token: u32| 1.3 * f64::from(token);
        for frames in [0, 1, 9] {
            let values: Vec<f32> = (0..frames * WIDTH).map(|_| stream.normal() as f32).collect();
            let tensor = Tensor::from_data(TensorData::new(values.clone(), [1, frames, WIDTH]), &device);
            let memory = streaming.memory(&values);
            let whole = |tokens: &[u32]| -> Vec<f32> {
                let places = [tokens.iter().map(|&token| place(token)).collect()];
                let logits =
                    decoder.forward(&[tokens.to_vec()], &places, &tensor, &[frames], &mut Context::eval());
                let [_, longest, classes] = logits.dims();
                logits.slice([0..1, longest - 1..longest, 0..classes]).into_data().try_to_vec().unwrap()
            };
            let mut prefixes = vec![DecoderPrefix::default()];
            let mut sequences: Vec<Vec<u32>> = vec![vec![5]];
            let mut logits = streaming.step(&memory, &mut prefixes, &[5], &[place(5)], &[]);
            for step in 0..5u32 {
                for (sequence, found) in sequences.iter().zip(logits.chunks_exact(6)) {
                    for (a, b) in found.iter().zip(whole(sequence)) {
                        assert!((a - b).abs() < 1e-5, "{frames} frames, {sequence:?}: {a} {b}");
                    }
                }
                // The first goes on twice, the others once.
                let mut parents: Vec<usize> = (0..sequences.len()).collect();
                parents.push(0);
                let tokens: Vec<u32> = (0..parents.len() as u32).map(|i| (i + step) % 5).collect();
                let grown =
                    parents.iter().zip(&tokens).map(|(&p, &t)| [sequences[p].as_slice(), &[t]].concat());
                sequences = grown.collect();
                prefixes = parents.iter().map(|&p| prefixes[p].clone()).collect();
                let places: Vec<f64> = tokens.iter().map(|&token| place(token)).collect();
                logits = streaming.step(&memory, &mut prefixes, &tokens, &places, &[]);
            }
        }
    }
}
