//! A trained sequence model: samples in, a transcript or a meaning out.

use crate::places::frame_rate;
use crate::{LasynError, LasynModel, Target, TriggeredSearch, Upper};
use auricle_asr::{CtcConfig, Recogniser, Stored};
use auricle_audio::{MelFrontEnd, padded};
use auricle_decode::{BeamConfig, TokenLm, beam_search, by_frame, greedy, log_softmax};
use auricle_nn::params::NamedTensors;
use auricle_nn::stored::{self, StoredError};
use auricle_nn::streaming::{DecoderPrefix, StreamingDecoder};
use auricle_nn::weights::Metadata;
use auricle_nn::{AttentionDecoder, Context, DecoderConfig};
use auricle_tensor::ops;
use auricle_text::Tokenizer;
use auricle_text::lm::NgramLm;
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::HashMap;

/// The kind of such weights.
pub(crate) const KIND: &str = "lasyn";

/// A model of kind `lasyn` (or a plain recogniser of kind `ctc`).
pub struct SequenceRecogniser {
    config: CtcConfig,
    model: LasynModel,
    tokenizer: Tokenizer,
    target: Target,
    front_end: MelFrontEnd,
    decoder: Option<StreamingDecoder>,
    search: BeamConfig,
    frame_synchronous: bool,
    lm: Option<TokenLm>,
    device: Device,
}

impl SequenceRecogniser {
    /// A model from exported weights.
    ///
    /// # Errors
    /// Weights of another kind, or damaged ones.
    pub fn from_weights(
        mut tensors: NamedTensors,
        metadata: &Metadata,
        device: &Device,
    ) -> Result<Self, LasynError> {
        let Stored { config, tokenizer } = Stored::read(metadata, &[KIND, "ctc"])?;
        let decoder: Option<DecoderConfig> = match metadata.get("decoder") {
            None => None,
            Some(_) => Some(stored::json(metadata, "decoder")?),
        };
        let target = match metadata.get("target").map(String::as_str) {
            Some("meaning") => Target::Meaning,
            _ => Target::Text,
        };
        let (width, classes) = (config.encoder.output_width(), tokenizer.vocab_size());
        let mut parameters = config.parameters(classes);
        if let Some(decoder) = &decoder {
            decoder.validate(width).map_err(StoredError::from)?;
            parameters = parameters.saturating_add(decoder.parameters(width, classes));
        }
        let model = stored::build(parameters, "", &mut tensors, device, |init| LasynModel {
            encoder: config.encoder.init(init),
            head: config.head.init(width, classes, init),
            decoder: decoder.as_ref().map(|d| AttentionDecoder::new(width, classes, d, init)),
        })
        .map_err(StoredError::from)?;
        let front_end = MelFrontEnd::new(config.front_end.clone())?;
        let decoder = model.decoder.as_ref().map(StreamingDecoder::new).transpose();
        let decoder = decoder.map_err(StoredError::from)?;
        let trained = metadata.get("ctc_weight").and_then(|text| text.parse().ok());
        let trained = trained.filter(|weight| (0.0..=1.0).contains(weight));
        let standard = BeamConfig::default();
        let frame_synchronous = decoder.as_ref().is_some_and(StreamingDecoder::is_triggered);
        let search = BeamConfig {
            ctc_weight: trained.unwrap_or(standard.ctc_weight),
            length_bonus: length_bonus(frame_synchronous),
            ..standard
        };
        Ok(Self {
            config,
            model,
            decoder,
            tokenizer,
            target,
            front_end,
            search,
            frame_synchronous,
            lm: None,
            device: device.clone(),
        })
    }

    /// How it searches: with the weight of CTC that it was trained with, where that is known.
    pub fn search(&self) -> &BeamConfig {
        &self.search
    }

    /// The same with another search.
    #[must_use]
    pub fn with_search(self, search: BeamConfig) -> Self {
        Self { search, ..self }
    }

    /// The same with a frame-synchronous or a label-synchronous search, and the length bonus that belongs to it.
    ///
    /// # Errors
    /// A decoder that is not triggered can't be searched by frames, one with a look-ahead not by labels.
    pub fn with_frame_synchronous(self, frame_synchronous: bool) -> Result<Self, LasynError> {
        let is = |what: fn(&StreamingDecoder) -> bool| self.decoder.as_ref().is_some_and(what);
        if frame_synchronous && !is(StreamingDecoder::is_triggered) {
            return Err(LasynError::Model("a frame-synchronous search needs a triggered decoder".into()));
        }
        if frame_synchronous && self.lm.is_some() {
            let reason = "a language model of tokens needs a label-synchronous search";
            return Err(LasynError::Model(reason.into()));
        }
        if !frame_synchronous && is(StreamingDecoder::is_causal) {
            let reason = "a decoder with a look-ahead needs a frame-synchronous search";
            return Err(LasynError::Model(reason.into()));
        }
        let search = BeamConfig { length_bonus: length_bonus(frame_synchronous), ..self.search };
        Ok(Self { frame_synchronous, search, ..self })
    }

    /// The same with a language model of its tokens in the search, which is label-synchronous then.
    ///
    /// # Errors
    /// A model of other units, no decoder, or one with a look-ahead.
    pub fn with_lm(self, lm: NgramLm, weight: f64) -> Result<Self, LasynError> {
        if self.decoder.is_none() {
            return Err(LasynError::Model("shallow fusion needs an attention decoder".into()));
        }
        let model = self.with_frame_synchronous(false)?;
        let lm = TokenLm::new(lm, &model.tokenizer, weight)
            .map_err(|error| LasynError::Model(error.to_string()))?;
        Ok(Self { lm: Some(lm), ..model })
    }

    /// Samples per second of the input.
    pub fn sample_rate(&self) -> u32 {
        self.config.front_end.sample_rate
    }

    /// What the model writes.
    pub fn target(&self) -> Target {
        self.target
    }

    /// Reads an utterance.
    ///
    /// # Errors
    /// Samples that are not finite, a device that fails.
    pub fn read(&self, samples: &[f32]) -> Result<String, LasynError> {
        let features = Recogniser::features(&self.front_end, samples)?;
        let (num_frames, num_bins) = features.dim();
        if num_frames == 0 {
            return Ok(String::new());
        }
        let frames = num_frames.next_multiple_of(16usize.max(self.config.encoder.downsampling()));
        let values = padded(features, frames, 0.0);
        let mel = Tensor::<3>::from_data(TensorData::new(values, [1, frames, num_bins]), &self.device);
        let mut context = Context::eval();
        let (z, lengths) = self.model.lower(0, mel, &[num_frames], &mut context);
        let upper = self.model.upper(0, z, &lengths, &mut context);
        let blank = self.tokenizer.blank_id();
        let how =
            Search { config: &self.search, frame_synchronous: self.frame_synchronous, lm: self.lm.as_ref() };
        let tokens = search(self.decoder.as_ref(), &upper, blank, &how)?;
        Ok(self.tokenizer.decode(&tokens[0]))
    }
}

/// What a token is worth beside its probability, where nothing else is asked for: in a frame-synchronous search 0.5, with
/// which about as many words are put in as left out (on the two speakers that mini LibriSpeech's results are measured on).
pub(crate) fn length_bonus(frame_synchronous: bool) -> f64 {
    if frame_synchronous { 0.5 } else { BeamConfig::default().length_bonus }
}

/// How the best tokens are searched.
pub(crate) struct Search<'a> {
    pub config: &'a BeamConfig,
    /// For triggered decoders.
    pub frame_synchronous: bool,
    pub lm: Option<&'a TokenLm>,
}

/// The best tokens of every row: joint search where there is a decoder, else the best path of CTC.
///
/// # Errors
/// A device that fails.
pub(crate) fn search(
    decoder: Option<&StreamingDecoder>,
    upper: &Upper,
    blank: u32,
    &Search { config, frame_synchronous, lm }: &Search<'_>,
) -> Result<Vec<Vec<u32>>, LasynError> {
    let [batch, frames, classes] = upper.logits.dims();
    let scores = match decoder {
        Some(_) => ops::log_softmax(upper.logits.clone(), 2),
        None => upper.logits.clone(),
    };
    let host =
        |x: Tensor<3>| x.into_data().try_to_vec::<f32>().map_err(|e| LasynError::Device(format!("{e:?}")));
    let scores = host(scores)?;
    let [_, padded, width] = upper.memory.dims();
    let memory = match decoder {
        Some(_) => host(upper.memory.clone())?,
        None => Vec::new(),
    };
    let mut found = Vec::with_capacity(batch);
    for row in 0..batch {
        let ctc = &scores[row * frames * classes..][..upper.lengths[row].min(frames) * classes];
        let Some(decoder) = decoder else {
            found.push(greedy(by_frame(ctc, classes), blank).iter().map(|token| token.id).collect());
            continue;
        };
        let length = upper.memory_lengths[row].min(padded);
        if frame_synchronous {
            let classes = [classes as u32, blank];
            let mut search = TriggeredSearch::new(decoder, config.clone(), classes, frame_rate(upper, row));
            search.push(&memory[row * padded * width..][..length * width], ctc);
            found.push(search.finish().into_iter().next().map(|best| best.tokens).unwrap_or_default());
            continue;
        }
        // A sequence has no more tokens than CTC could read from the frames, where it is asked.
        let longest = if config.ctc_weight > 0.0 { upper.lengths[row].max(1) } else { config.max_tokens };
        let config = BeamConfig { max_tokens: config.max_tokens.min(longest), ..config.clone() };
        let memory = decoder.memory(&memory[row * padded * width..][..length * width]);
        // What the sequences of the step before have read; every sequence is one of them with a token more.
        let mut read: HashMap<Vec<u32>, DecoderPrefix> = HashMap::new();
        // Triggered decoders need CTC's frames even where its scores have no weight.
        let needs_ctc = config.ctc_weight > 0.0 || decoder.is_triggered();
        let ctc = needs_ctc.then(|| by_frame(ctc, classes));
        let rate = frame_rate(upper, row);
        let hypotheses = beam_search(&config, classes, blank, ctc, lm, |sequences, start_frames| {
            let (mut prefixes, tokens): (Vec<DecoderPrefix>, Vec<u32>) = sequences
                .iter()
                .map(|tokens| match tokens.split_last() {
                    Some((&last, before)) => (read.get(before).cloned().unwrap_or_default(), last),
                    None => (DecoderPrefix::default(), blank),
                })
                .unzip();
            let places: Vec<f64> = start_frames.iter().map(|&frame| frame as f64 * rate).collect();
            let logits = decoder.step(&memory, &mut prefixes, &tokens, &places, &[]);
            read = sequences.iter().cloned().zip(prefixes).collect();
            Ok::<_, LasynError>(logits.chunks_exact(classes).map(log_softmax).collect())
        })?;
        found.push(hypotheses.into_iter().next().map(|best| best.tokens).unwrap_or_default());
    }
    Ok(found)
}
