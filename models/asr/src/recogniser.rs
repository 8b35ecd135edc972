//! A trained recogniser: samples in, words out.

use crate::{CtcConfig, CtcModel, RecogniseError, Stored};
use auricle_audio::{Features, MelFrontEnd};
use auricle_decode::{TimedToken, WordLm, by_frame, greedy};
use auricle_nn::Context;
use auricle_nn::params::NamedTensors;
use auricle_nn::weights::Metadata;
use auricle_text::Tokenizer;
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;

/// A model with its front end and tokenizer.
pub struct Recogniser {
    config: CtcConfig,
    model: CtcModel,
    front_end: Arc<MelFrontEnd>,
    tokenizer: Tokenizer,
    lm: Option<WordLm>,
    device: Device,
}

/// The result for one utterance.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognition {
    /// Transcript.
    pub text: String,
    /// Tokens with their frames (output frames of [`Recogniser::frame_secs`]).
    pub tokens: Vec<TimedToken>,
}

impl Recogniser {
    /// A recogniser from exported weights.
    pub fn from_weights(
        mut tensors: NamedTensors,
        metadata: &Metadata,
        device: &Device,
    ) -> Result<Self, RecogniseError> {
        // What latent synthesis trained further is a plain recogniser, too, where it has no attention decoder.
        let kinds = ["ctc", "lasyn"];
        let kinds = if metadata.contains_key("decoder") { &kinds[..1] } else { &kinds[..] };
        let stored = Stored::read(metadata, kinds)?;
        let model = stored.model(&mut tensors, device)?;
        let Stored { config, tokenizer } = stored;
        let front_end = MelFrontEnd::new(config.front_end.clone())?;
        Ok(Self {
            config,
            model,
            front_end: Arc::new(front_end),
            tokenizer,
            lm: None,
            device: device.clone(),
        })
    }

    /// The same with a word language model, instead of the best path.
    #[must_use]
    pub fn with_lm(self, lm: WordLm) -> Self {
        Self { lm: Some(lm), ..self }
    }

    /// Samples per second of the input.
    pub fn sample_rate(&self) -> u32 {
        self.config.front_end.sample_rate
    }

    /// Seconds per output frame.
    pub fn frame_secs(&self) -> f64 {
        let hop = f64::from(self.config.front_end.hop_samples as u32) / f64::from(self.sample_rate());
        hop * self.config.encoder.downsampling() as f64 / self.config.head.upsampling() as f64
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The front end, for threads that prepare features ahead.
    pub fn front_end(&self) -> Arc<MelFrontEnd> {
        self.front_end.clone()
    }

    /// Features of one utterance.
    ///
    /// What is shorter than one window of the front end (16 ms) holds no word: it has no frames.
    ///
    /// # Errors
    /// Samples that are not finite.
    pub fn features(front_end: &MelFrontEnd, samples: &[f32]) -> Result<Features, RecogniseError> {
        let config = front_end.config();
        if samples.len() <= config.fft_size / 2 {
            return Ok(Features::zeros((0, config.num_bins)));
        }
        Ok(front_end.compute(samples, samples.len(), None)?)
    }

    /// Logits of a batch: one `[T', V]` matrix, row-major, per utterance, without padding.
    ///
    /// The result for an utterance does not depend on the others of its batch.
    pub fn logits(&self, batch: &[Features]) -> Result<Vec<Vec<f32>>, RecogniseError> {
        let bins = self.config.encoder.bins;
        let multiple = 16usize.max(self.config.encoder.downsampling());
        let lengths: Vec<usize> = batch.iter().map(Features::nrows).collect();
        let frames = lengths.iter().copied().max().unwrap_or(0).next_multiple_of(multiple);
        if frames == 0 {
            return Ok(batch.iter().map(|_| Vec::new()).collect());
        }
        let mut values = Vec::with_capacity(batch.len() * frames * bins);
        for features in batch {
            values.extend(features.iter());
            values.resize(values.len() + (frames - features.nrows()) * bins, 0.0);
        }
        let mel = Tensor::from_data(TensorData::new(values, [batch.len(), frames, bins]), &self.device);
        let (logits, lengths) = self.model.forward(mel, &lengths, &mut Context::eval());
        let [_, frames, classes] = logits.dims();
        let values =
            logits.into_data().try_to_vec::<f32>().map_err(|e| RecogniseError::Device(format!("{e:?}")))?;
        let rows = values.chunks(frames * classes).zip(lengths);
        Ok(rows.map(|(row, length)| row.get(..length * classes).unwrap_or(row).to_vec()).collect())
    }

    /// Transcripts of a batch of utterances at the model's sample rate.
    pub fn recognise(&self, batch: &[&[f32]]) -> Result<Vec<Recognition>, RecogniseError> {
        let features = |samples: &&[f32]| Self::features(&self.front_end, samples);
        self.recognise_features(&batch.iter().map(features).collect::<Result<Vec<_>, _>>()?)
    }

    /// Transcripts of a batch of features.
    pub fn recognise_features(&self, batch: &[Features]) -> Result<Vec<Recognition>, RecogniseError> {
        let logits = self.logits(batch)?;
        let classes = self.tokenizer.vocab_size();
        let decode = |row: Vec<f32>| {
            let scores = by_frame(&row, classes);
            let tokens = match &self.lm {
                Some(lm) => lm.decode(scores),
                None => greedy(scores, self.tokenizer.blank_id()),
            };
            let text = self.tokenizer.decode(&tokens.iter().map(|t| t.id).collect::<Vec<_>>());
            Recognition { text, tokens }
        };
        Ok(logits.into_iter().map(decode).collect())
    }
}
