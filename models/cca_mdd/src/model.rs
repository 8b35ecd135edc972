//! The network: incremental encoder, reference encoder, coupled attention, decoder, predictor, classifier.

use crate::analysis::QUESTIONS;
use crate::inventory::CLASSES;
use crate::{CcaMddConfig, Coupled, CoupledAttention, Evidence, Gop};
use auricle_nn::{Context, ConvTransformerEncoder, Initializer, Linear, TransformerBlock};
use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};

/// A CCA-MDD network (arXiv 2111.08191, figure 2).
///
/// # Differences from the paper
/// - Convolutions over time only (the paper's first two are over time and frequency), with
///   LayerNorm instead of BatchNorm: small batches, and batch = single.
/// - Positions of the causal stacks are biases of the attention scores (ALiBi); the stacks over
///   phones have a short positional convolution. The paper does not say.
#[derive(Module, Debug)]
pub struct CcaMddModel {
    /// Incremental acoustic encoder.
    pub encoder: ConvTransformerEncoder,
    /// Phone embedding of the reference encoder, `[classes, D]`.
    pub embedding: Param<Tensor<2>>,
    /// Reference encoder.
    pub reference: TransformerBlock,
    /// Coupled cross-attention.
    pub coca: CoupledAttention,
    /// Goodness of pronunciation from a phone recogniser that doesn't know the prompt.
    pub gop: Option<Gop>,
    /// CTC decoder.
    pub decoder: TransformerBlock,
    /// Hidden layer of the CTC decoder.
    pub decoder_hidden: Linear,
    /// Output of the CTC decoder.
    pub decoder_output: Linear,
    /// Phone predictor.
    pub predictor: TransformerBlock,
    /// Its MLP.
    pub predictor_hidden: Linear,
    /// Its output.
    pub predictor_output: Linear,
    /// Analysis of mistakes, on what the phone predictor knows.
    pub analysis: Option<Linear>,
    /// State classifier.
    pub classifier: TransformerBlock,
    /// Its MLP.
    pub classifier_hidden: Linear,
    /// Its output.
    pub classifier_output: Linear,
}

/// Results of a forward pass.
#[derive(Debug, Clone)]
pub struct Output {
    /// Logits of the CTC decoder, `[B, T', classes]`.
    pub decoder: Tensor<3>,
    /// Valid frames.
    pub frames: Vec<usize>,
    /// CTC logits of the phone recogniser that doesn't know the prompt, `[B, T', classes]`.
    pub acoustic: Option<Tensor<3>>,
    /// Logits of the phone predictor, `[B, M, classes]`.
    pub predictor: Tensor<3>,
    /// Logits of the [questions](crate::analysis), `[B, M, questions]`.
    pub analysis: Option<Tensor<3>>,
    /// Logits of "mispronounced", `[B, M]`.
    pub state: Tensor<2>,
    /// Logits of "this frame belongs to that phone", `[B, T', M]`.
    pub alignment: Tensor<3>,
}

/// What the offline half says of every canonical phone.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Logits of the phone predictor, `[B, M, classes]`.
    pub predictor: Tensor<3>,
    /// Logits of the questions, `[B, M, questions]`.
    pub analysis: Option<Tensor<3>>,
    /// Logits of "mispronounced", `[B, M]`.
    pub state: Tensor<2>,
}

impl CcaMddModel {
    /// Initial values.
    pub fn new(config: &CcaMddConfig, init: &mut Initializer<'_>) -> Self {
        let width = config.encoder.output_width();
        let hidden = config.decoder_hidden;
        Self {
            encoder: config.encoder.init(init),
            embedding: init.normal([CLASSES, width], 1.0),
            reference: TransformerBlock::new(width, &config.reference.bidirectional(), init),
            coca: CoupledAttention::new(width, &config.coca, init),
            gop: config.gop.then(|| Gop::new(width, init)),
            decoder: TransformerBlock::new(width, &config.decoder.causal(), init),
            decoder_hidden: Linear::uniform(width, hidden, init),
            decoder_output: Linear::uniform(hidden, CLASSES, init),
            predictor: TransformerBlock::new(width, &config.predictor.bidirectional(), init),
            predictor_hidden: Linear::uniform(width, width, init),
            predictor_output: Linear::uniform(width, CLASSES, init),
            analysis: config.analysis.then(|| Linear::uniform(width, QUESTIONS, init)),
            classifier: TransformerBlock::new(width, &config.classifier.bidirectional(), init),
            classifier_hidden: Linear::uniform(width, width, init),
            classifier_output: Linear::uniform(width, 1, init),
        }
    }

    /// The canonical phones through the reference encoder; rows are padded to the longest.
    ///
    /// # Shapes
    /// class numbers per row → `[B, M, D]`
    pub fn reference(&self, canonical: &[Vec<u32>], context: &mut Context) -> (Tensor<3>, Vec<usize>) {
        let lengths: Vec<usize> = canonical.iter().map(Vec::len).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0).max(1);
        let padded =
            |row: &Vec<u32>| (0..longest).map(|i| row.get(i).map_or(0, |&p| p as i32)).collect::<Vec<_>>();
        let ids: Vec<i32> = canonical.iter().flat_map(padded).collect();
        let device = self.embedding.val().device();
        let ids: Tensor<1, Int> =
            Tensor::from_data(TensorData::new(ids, [canonical.len() * longest]), &device);
        let rows = self.embedding.val().select(0, ids);
        let [_, width] = rows.dims();
        let d = rows.reshape([canonical.len(), longest, width]);
        (self.reference.forward(d, &lengths, context), lengths)
    }

    /// # Shapes
    /// features `[B, T, F]` with valid lengths, class numbers of the canonical phones per row
    pub fn forward(
        &self,
        mel: Tensor<3>,
        lengths: &[usize],
        canonical: &[Vec<u32>],
        context: &mut Context,
    ) -> Output {
        let (f, frames) = self.encoder.forward(mel, lengths, context);
        let [batch, padded, width] = f.dims();
        let longest = frames.iter().copied().max().unwrap_or(padded).min(padded);
        let f = f.slice([0..batch, 0..longest, 0..width]);
        let (d, phones) = self.reference(canonical, context);
        let Coupled { frames: g, phones: s, logits: alignment } =
            self.coca.forward(f.clone(), &frames, d, &phones);
        let decoder = self.decode(g, &frames, context);
        let evidence = self.gop.as_ref().map(|gop| gop.forward(f, &frames, alignment.clone(), canonical));
        let (s, acoustic) = match evidence {
            Some(Evidence { acoustic, phones }) => (s + phones, Some(acoustic)),
            None => (s, None),
        };
        let Judged { predictor, analysis, state } = self.judge(s, &phones, context);
        Output { decoder, frames, acoustic, predictor, analysis, state, alignment }
    }

    /// The CTC decoder: `[B, T', D]` → logits `[B, T', classes]`.
    pub fn decode(&self, g: Tensor<3>, frames: &[usize], context: &mut Context) -> Tensor<3> {
        let h = self.decoder.forward(g, frames, context);
        let h = burn::tensor::activation::relu(self.decoder_hidden.forward(h));
        self.decoder_output.forward(h)
    }

    /// Phone predictor, analysis and state classifier on what every phone has, `[B, M, D]`.
    pub fn judge(&self, s: Tensor<3>, phones: &[usize], context: &mut Context) -> Judged {
        let h = self.predictor.forward(s.clone(), phones, context);
        let predictor = self.predictor_output.forward(self.predictor_hidden.forward_gelu(h.clone()));
        let analysis = self.analysis.as_ref().map(|analysis| analysis.forward(h.clone()));
        let c = self.classifier.forward(s + h, phones, context);
        let state = self.classifier_output.forward(self.classifier_hidden.forward_gelu(c));
        let [batch, longest, _] = state.dims();
        Judged { predictor, analysis, state: state.reshape([batch, longest]) }
    }
}
