//! An attention decoder: tokens from encoder frames, one after the other.

use crate::config::{MAX_CONTEXT, MAX_WIDTH, divides, in_range, of_linear, probability, product, sum};
use crate::positional::sinusoids;
use crate::{ConfigError, Context, Init, Initializer, LayerNorm, Linear};
use auricle_tensor::ops::{self, AttentionOptions, Dropout};
use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Sizes of an [`AttentionDecoder`]; its width is the encoder's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderConfig {
    /// Layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the feed-forward layers.
    pub feed_forward: usize,
    /// Dropout everywhere. Default: 0.1.
    #[serde(default = "tenth")]
    pub dropout: f64,
    /// Whether the attention to frames is told where CTC places the last token. For outputs in the order of the speech.
    /// Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub triggered: bool,
    /// How many encoder frames behind the one at which CTC begins a token may be looked at to tell that token: with it a
    /// `triggered` decoder can write while somebody speaks. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_ahead: Option<usize>,
}

fn tenth() -> f64 {
    0.1
}

impl DecoderConfig {
    /// Whether there can be such a decoder beside an encoder of a width.
    ///
    /// # Errors
    /// What cannot be had.
    pub fn validate(&self, width: usize) -> Result<(), ConfigError> {
        in_range("decoder.layers", self.layers, 1..=64)?;
        in_range("decoder.feed_forward", self.feed_forward, 1..=MAX_WIDTH)?;
        divides("decoder.heads", self.heads, "heads", width)?;
        in_range("decoder.look_ahead", self.look_ahead.unwrap_or(0), 0..=MAX_CONTEXT)?;
        if self.look_ahead.is_some() && !self.triggered {
            let reason = "it is counted from where CTC places tokens: set triggered = true";
            return Err(ConfigError::new("decoder.look_ahead", reason));
        }
        probability("decoder.dropout", self.dropout)
    }

    /// Values of a decoder of a width for `classes` tokens.
    pub fn parameters(&self, width: usize, classes: usize) -> usize {
        let attention = sum([product(&[4, of_linear(width, width)]), product(&[2, width])]);
        let layer = sum([
            product(&[2, attention]),
            product(&[2, width]),
            of_linear(width, self.feed_forward),
            of_linear(self.feed_forward, width),
        ]);
        sum([
            product(&[classes, width]),
            product(&[self.layers, layer]),
            product(&[2, width]),
            of_linear(width, classes),
        ])
    }
}

/// Masked self-attention, attention to the encoder, feed-forward: each on a normalised residual branch.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    /// Attention to the tokens before.
    pub self_attention: Attention,
    /// Attention to the encoder's frames.
    pub cross_attention: Attention,
    /// LN before the feed-forward layer.
    pub feed_forward_norm: LayerNorm,
    /// First feed-forward map.
    pub expand: Linear,
    /// Second feed-forward map.
    pub contract: Linear,
    /// Dropout.
    pub dropout: f64,
}

/// LN and the four maps of an attention branch.
#[derive(Module, Debug)]
pub struct Attention {
    /// LN of the queries' input.
    pub norm: LayerNorm,
    /// Query map.
    pub query: Linear,
    /// Key map.
    pub key: Linear,
    /// Value map.
    pub value: Linear,
    /// Output map.
    pub output: Linear,
}

impl Attention {
    fn new(width: usize, std: f64, init: &mut Initializer<'_>) -> Self {
        let norm = LayerNorm::new(width, 1.0, init);
        let mut map = || Linear::normal(width, width, std, init);
        Self { norm, query: map(), key: map(), value: map(), output: map() }
    }

    /// `x + Drop(W_o·MHA(LN(x), memory))`, or self-attention without a memory.
    fn forward(
        &self,
        x: Tensor<3>,
        memory: Option<&Frames>,
        options: AttentionOptions,
        dropout: f64,
        context: &mut Context,
    ) -> Tensor<3> {
        let y = self.norm.forward(x.clone());
        let (query, key, value) = match memory {
            Some(Frames { memory, placed, expected }) => {
                let query = expected.iter().fold(y, |y, expected| y + expected.clone());
                (query, placed.clone(), memory.clone())
            }
            None => (y.clone(), y.clone(), y),
        };
        let weights = context.dropout_seed(dropout).map(|seed| Dropout { p: dropout, seed });
        let y = ops::attention(
            self.query.forward(query),
            self.key.forward(key),
            self.value.forward(value),
            AttentionOptions { dropout: weights, ..options },
        );
        x + context.dropout(self.output.forward(y), dropout)
    }
}

/// What the attention to frames sees.
struct Frames {
    /// Values.
    memory: Tensor<3>,
    /// Keys: with the sinusoids of each frame where the decoder is triggered.
    placed: Tensor<3>,
    /// The sinusoids of where each token's query begins to look.
    expected: Option<Tensor<3>>,
}

/// A Transformer decoder over tokens. Positions are biases of the self-attention (ALiBi).
/// The blank of the CTC vocabulary, which a decoder has no use for, begins and ends a sequence.
///
/// Attention to frames has to find the place in the speech. By content alone it would have to recognise it by the last
/// tokens, and frames do not say where they stand: with few labels that is not learned. A `triggered` decoder is told:
/// queries carry the sinusoids of the frame at which CTC places the last token, keys those of their own frame, values none.
///
/// With a `look_ahead` ε what stands more than ε frames behind the frame at which CTC begins a token is hidden when that
/// token is told (triggered attention: Moritz, Hori, Le Roux, ICASSP 2019); the end of a sequence is told from all frames.
///
/// # Differences from the paper
/// There the trigger says how far to look. Here it says where to look, too, and without a `look_ahead` nothing is hidden.
#[derive(Module, Debug)]
pub struct AttentionDecoder {
    /// Token embedding, `[V, D]`.
    pub embedding: Param<Tensor<2>>,
    /// Layers.
    pub layers: Vec<DecoderLayer>,
    /// Final LN.
    pub norm: LayerNorm,
    /// To tokens.
    pub output: Linear,
    /// Heads.
    pub heads: usize,
    /// Dropout of embeddings.
    pub dropout: f64,
    /// Whether the attention to frames knows places.
    pub triggered: bool,
    /// Frames behind a token's first that may be looked at to tell it.
    pub look_ahead: Option<usize>,
}

impl AttentionDecoder {
    /// Initial values.
    pub fn new(width: usize, classes: usize, config: &DecoderConfig, init: &mut Initializer<'_>) -> Self {
        // A triggered decoder finds its place by initial values that keep the variance of what goes through a map.
        let std = |inputs: usize| match config.triggered {
            true => (inputs as f64).powf(-0.5),
            false => Init::default().std(width, config.layers),
        };
        let cross_attention = |init: &mut Initializer<'_>| {
            let mut attention = Attention::new(width, std(width), init);
            if config.triggered {
                // What is at the same place is then alike from the start (as in Deep Voice 3, arXiv 1710.07654).
                attention.key.weight = Param::from_tensor(attention.query.weight.val().detach());
            }
            attention
        };
        let layer = |init: &mut Initializer<'_>| DecoderLayer {
            self_attention: Attention::new(width, std(width), init),
            cross_attention: cross_attention(init),
            feed_forward_norm: LayerNorm::new(width, 1.0, init),
            expand: Linear::normal(width, config.feed_forward, std(width), init),
            contract: Linear::normal(config.feed_forward, width, std(config.feed_forward), init),
            dropout: config.dropout,
        };
        Self {
            embedding: init.normal([classes, width], 1.0),
            layers: (0..config.layers).map(|_| layer(init)).collect(),
            norm: LayerNorm::new(width, 1.0, init),
            output: Linear::uniform(width, classes, init),
            heads: config.heads,
            dropout: config.dropout,
            triggered: config.triggered,
            look_ahead: config.look_ahead,
        }
    }

    /// Logits of the token after each of `tokens`, which are padded to the longest row.
    ///
    /// `places` are the frames of the tokens, as CTC has them; a decoder that is not triggered has no use for them.
    ///
    /// # Shapes
    /// token ids and places per row, encoder output `[B, T', D]` and its valid lengths → `[B, U, V]`
    ///
    /// # Panics
    /// A triggered decoder where there are not places for every row.
    pub fn forward(
        &self,
        tokens: &[Vec<u32>],
        places: &[Vec<f64>],
        memory: &Tensor<3>,
        lengths: &[usize],
        context: &mut Context,
    ) -> Tensor<3> {
        let longest = tokens.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let padded =
            |row: &Vec<u32>| (0..longest).map(|i| row.get(i).map_or(0, |&t| t as i32)).collect::<Vec<_>>();
        let ids: Vec<i32> = tokens.iter().flat_map(padded).collect();
        let device = self.embedding.val().device();
        let ids: Tensor<1, Int> = Tensor::from_data(TensorData::new(ids, [tokens.len() * longest]), &device);
        let rows = self.embedding.val().select(0, ids);
        let [_, width] = rows.dims();
        let x = rows.reshape([tokens.len(), longest, width]);
        let mut x = context.dropout(x, self.dropout);
        let own = AttentionOptions {
            heads: self.heads,
            key_lengths: Some(tokens.iter().map(Vec::len).collect()),
            causal: true,
            alibi: true,
            ..AttentionOptions::default()
        };
        let cross = AttentionOptions {
            heads: self.heads,
            key_lengths: Some(lengths.to_vec()),
            query_limits: self.look_ahead.map(|ahead| limits(places, longest, ahead)),
            ..AttentionOptions::default()
        };
        let mut frames = Frames { memory: memory.clone(), placed: memory.clone(), expected: None };
        if self.triggered {
            assert!(places.len() == tokens.len(), "places of {} rows, not {}", places.len(), tokens.len());
            let expected =
                places.iter().flat_map(|row| (0..longest).map(|u| row.get(u).copied().unwrap_or(0.0)));
            let of = |values, shape| Tensor::<3>::from_data(TensorData::new(values, shape), &device);
            let count = memory.dims()[1];
            frames.placed =
                frames.placed + of(sinusoids(width, (0..count).map(|t| t as f64)), [1, count, width]);
            frames.expected = Some(of(sinusoids(width, expected), [tokens.len(), longest, width]));
        }
        for layer in &self.layers {
            x = layer.self_attention.forward(x, None, own.clone(), layer.dropout, context);
            x = layer.cross_attention.forward(x, Some(&frames), cross.clone(), layer.dropout, context);
            let y = layer.expand.forward_gelu(layer.feed_forward_norm.forward(x.clone()));
            let y = layer.contract.forward(context.dropout(y, layer.dropout));
            x = x + context.dropout(y, layer.dropout);
        }
        self.output.forward(self.norm.forward(x))
    }
}

/// Frames that may be seen to tell a token that begins at frame `place`.
pub(crate) fn limit(place: f64, look_ahead: usize) -> usize {
    (place.max(0.0) as usize).saturating_add(1).saturating_add(look_ahead)
}

/// Frames that each query may see, `[B·U]`: what follows token `u` is told when it begins, the end from all frames.
fn limits(places: &[Vec<f64>], longest: usize, look_ahead: usize) -> Vec<usize> {
    let of = |row: &Vec<f64>, u: usize| row.get(u + 1).map_or(usize::MAX, |&place| limit(place, look_ahead));
    places.iter().flat_map(|row| (0..longest).map(move |u| of(row, u))).collect()
}

/// Mean over all tokens of the cross-entropy with smoothed labels: `1 − ε` on the token, `ε/V` on every token.
///
/// # Shapes
/// logits `[B, U, V]`, token ids per row (no more than U)
pub fn smoothed_cross_entropy(logits: Tensor<3>, targets: &[Vec<u32>], smoothing: f64) -> Tensor<1> {
    let [batch, longest, classes] = logits.dims();
    let uniform = (smoothing / classes as f64) as f32;
    let mut wanted = vec![0f32; batch * longest * classes];
    let mut count = 0usize;
    for (row, tokens) in targets.iter().enumerate() {
        for (u, &token) in tokens.iter().take(longest).enumerate() {
            let at = (row * longest + u) * classes;
            wanted[at..at + classes].fill(uniform);
            wanted[at + token as usize] += 1.0 - smoothing as f32;
            count += 1;
        }
    }
    let wanted = Tensor::<3>::from_data(TensorData::new(wanted, [batch, longest, classes]), &logits.device());
    (ops::log_softmax(logits, 2) * wanted).sum() / -(count.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};
    use burn::tensor::Device;

    fn decoder() -> AttentionDecoder {
        decoder_that_is(false)
    }

    fn decoder_that_is(triggered: bool) -> AttentionDecoder {
        let config = DecoderConfig {
            layers: 2,
            heads: 2,
            feed_forward: 16,
            dropout: 0.1,
            triggered,
            look_ahead: None,
        };
        let mut stream = Key::new(1).stream(Purpose::Test);
        AttentionDecoder::new(8, 5, &config, &mut Initializer::new(&mut stream, &Device::flex()))
    }

    fn memory(rows: usize, frames: usize, fill_beyond: &[usize]) -> Tensor<3> {
        let mut stream = Key::new(2).stream(Purpose::Test);
        let mut values: Vec<f32> = (0..rows * frames * 8).map(|_| stream.normal() as f32).collect();
        for (row, &valid) in fill_beyond.iter().enumerate() {
            values[(row * frames + valid) * 8..(row + 1) * frames * 8].fill(1e6);
        }
        Tensor::from_data(TensorData::new(values, [rows, frames, 8]), &Device::flex())
    }

    fn values(x: Tensor<3>) -> Vec<f32> {
        x.into_data().try_to_vec().unwrap()
    }

    /// What comes later, in other rows or in the padding has no influence.
    #[test]
    fn a_token_depends_on_what_was_before_it_only() {
        let decoder = decoder();
        let both = memory(2, 7, &[7, 4]);
        let batch = values(decoder.forward(
            &[vec![0, 1, 2, 3], vec![0, 4]],
            &[],
            &both,
            &[7, 4],
            &mut Context::eval(),
        ));
        let first = both.clone().slice([0..1, 0..7, 0..8]);
        let second = both.slice([1..2, 0..4, 0..8]);
        let short = values(decoder.forward(&[vec![0, 1]], &[], &first, &[7], &mut Context::eval()));
        let single = values(decoder.forward(&[vec![0, 4]], &[], &second, &[4], &mut Context::eval()));
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(close(&batch[..10], &short));
        assert!(close(&batch[20..30], &single));
    }

    #[test]
    fn smoothing_by_hand() {
        // Two tokens of two classes; the second row is shorter.
        let logits = Tensor::<3>::from_data(
            TensorData::new(vec![0.0f32, 0.0, 3f32.ln(), 0.0, 0.0, 1.0, 9.0, 9.0], [2, 2, 2]),
            &Device::flex(),
        );
        let loss: f32 = smoothed_cross_entropy(logits, &[vec![1, 0], vec![1]], 0.2).into_scalar();
        let half = 0.5f32.ln();
        let second = 0.9 * 0.75f32.ln() + 0.1 * 0.25f32.ln();
        let e = 1f32.exp();
        let third = 0.9 * (e / (1.0 + e)).ln() + 0.1 * (1.0 / (1.0 + e)).ln();
        assert!((loss + (half + second + third) / 3.0).abs() < 1e-6, "{loss}");
    }

    /// A triggered decoder sees frames in other places as other frames, and from another place.
    #[test]
    fn a_triggered_decoder_knows_places() {
        let frames = memory(1, 6, &[]);
        let half = |from: usize| frames.clone().slice([0..1, from..from + 3, 0..8]);
        let turned = Tensor::cat(vec![half(3), half(0)], 1);
        let most = |decoder: &AttentionDecoder, frames: &Tensor<3>, place: f64| {
            let of = |frames: &Tensor<3>, place: f64| {
                values(decoder.forward(&[vec![0]], &[vec![place]], frames, &[6], &mut Context::eval()))
            };
            let (here, there) = (of(&memory(1, 6, &[]), 0.0), of(frames, place));
            here.iter().zip(there).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        assert!(most(&decoder(), &turned, 3.0) < 1e-5);
        let decoder = decoder_that_is(true);
        assert!(most(&decoder, &turned, 0.0) > 1e-3 && most(&decoder, &frames, 3.0) > 1e-3);
    }

    /// With a look-ahead, what is told of a token does not depend on frames behind it; what is told of the end does.
    #[test]
    fn what_is_behind_the_look_ahead_is_hidden() {
        let decoder = AttentionDecoder { look_ahead: Some(2), ..decoder_that_is(true) };
        let of = |frames: usize| {
            // Frame 5 begins the second token: frames 0 to 7 are seen.
            let places = [vec![0.0, 2.6, 5.9]];
            let frames_seen = memory(1, 12, &[frames]);
            values(decoder.forward(&[vec![0, 1, 2]], &places, &frames_seen, &[12], &mut Context::eval()))
        };
        let (all, changed) = (of(12), of(8));
        assert_eq!(all[..10], changed[..10], "the first two tokens");
        assert_ne!(all[10..], changed[10..], "the end");
        // The first is told from frames 0 to 4 alone.
        let (all, changed) = (of(12), of(5));
        assert_eq!(all[..5], changed[..5]);
        assert_ne!(all[5..10], changed[5..10]);
        assert_eq!(limit(5.9, usize::MAX), usize::MAX, "a number from a file");
        let config = r#"{"layers": 1, "heads": 1, "feed_forward": 8, "look_ahead": 3}"#;
        let config: DecoderConfig = serde_json::from_str(config).unwrap();
        assert!(config.validate(8).unwrap_err().reason.contains("triggered"));
    }

    /// Rows with places of their own, one shorter than the other, are what they are alone.
    #[test]
    fn places_belong_to_their_rows() {
        let decoder = decoder_that_is(true);
        let both = memory(2, 7, &[7, 4]);
        let places = [vec![0.0, 1.5, 4.0], vec![0.0, 2.0]];
        let tokens = [vec![0, 1, 2], vec![0, 4]];
        let batch = values(decoder.forward(&tokens, &places, &both, &[7, 4], &mut Context::eval()));
        for (row, frames) in [(0, 7), (1, 4)] {
            let own = both.clone().slice([row..row + 1, 0..frames, 0..8]);
            let (tokens, places) = (&tokens[row..=row], &places[row..=row]);
            let alone = values(decoder.forward(tokens, places, &own, &[frames], &mut Context::eval()));
            let found = &batch[row * 15..][..alone.len()];
            assert!(found.iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {alone:?}");
        }
    }

    /// Queries and keys of a triggered decoder begin alike and are trained apart.
    #[test]
    fn queries_and_keys_begin_alike() {
        let config = DecoderConfig {
            layers: 1,
            heads: 2,
            feed_forward: 16,
            dropout: 0.0,
            triggered: true,
            look_ahead: None,
        };
        let mut stream = Key::new(1).stream(Purpose::Test);
        let device = Device::flex().autodiff();
        let decoder = AttentionDecoder::new(8, 5, &config, &mut Initializer::new(&mut stream, &device));
        let attention = &decoder.layers[0].cross_attention;
        let (query, key) = (attention.query.weight.val(), attention.key.weight.val());
        assert_eq!(query.to_data(), key.to_data());
        let memory = Tensor::from_inner(memory(1, 6, &[]));
        let logits = decoder.forward(&[vec![0, 1]], &[vec![0.0, 2.0]], &memory, &[6], &mut Context::eval());
        let gradients = (logits.clone() * logits).sum().backward();
        let (query, key) = (query.grad(&gradients).unwrap(), key.grad(&gradients).unwrap());
        assert_ne!(query.into_data(), key.into_data());
    }
}
