//! A bank of latents, made of transcribed speech.

use crate::align::{Paired, train};
use crate::{Bank, BankInfo, LasynError, SplitRecogniser, units};
use auricle_asr::Recogniser;
use auricle_audio::{MelFrontEnd, padded};
use auricle_data::Utterance;
use auricle_nn::Context;
use auricle_text::Pronouncer;
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::HashMap;

/// Longest utterance that is aligned at once, in seconds.
const MAX_SECS: f64 = 60.0;

/// How a bank is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BankOptions {
    /// Seconds of speech that are kept as examples.
    pub exemplar_secs: f64,
    /// Rounds of alignment.
    pub rounds: usize,
}

impl Default for BankOptions {
    fn default() -> Self {
        Self { exemplar_secs: 1200.0, rounds: 12 }
    }
}

/// A bank of a recogniser's latents, of transcribed speech. `done` is called with every utterance's number.
///
/// # Errors
/// Audio that cannot be read; no utterance with a transcript that can be pronounced.
pub fn make_bank(
    base: &SplitRecogniser,
    utterances: &[Utterance],
    pronouncer: &Pronouncer,
    options: BankOptions,
    device: &Device,
    done: &mut dyn FnMut(usize),
) -> Result<Bank, LasynError> {
    let paired = pair_with_latents(base, utterances, pronouncer, device, done)?;
    if paired.is_empty() {
        return Err(LasynError::Text("no utterance has a transcript that can be pronounced".into()));
    }
    let (gaussians, paths) = train(base.width(), &paired, options.rounds);
    let info = BankInfo {
        split: base.split,
        width: base.width(),
        frame_secs: base.frame_secs(),
        base: base.lower_hash(),
        pause: 0.0,
        utterances: 0,
        secs: 0.0,
    };
    Ok(Bank::new(info, gaussians, &paired, &paths, options.exemplar_secs))
}

/// Latents and phones of utterances. Left out are those without a transcript that can be pronounced, those longer than
/// a minute, and those too short for a frame. `done` is called with every utterance's number.
///
/// # Errors
/// Audio that cannot be read.
pub fn pair_with_latents(
    base: &SplitRecogniser,
    utterances: &[Utterance],
    pronouncer: &Pronouncer,
    device: &Device,
    done: &mut dyn FnMut(usize),
) -> Result<Vec<Paired>, LasynError> {
    let front_end =
        MelFrontEnd::new(base.config.front_end.clone()).map_err(|e| LasynError::Model(e.to_string()))?;
    let bins = base.config.encoder.bins;
    let mut speakers: HashMap<String, u32> = HashMap::new();
    let mut paired = Vec::with_capacity(utterances.len());
    for (i, utterance) in utterances.iter().enumerate() {
        done(i);
        if utterance.duration_secs > MAX_SECS {
            continue;
        }
        let Some(words) = utterance.text.as_deref().and_then(|text| units::words(pronouncer, text).ok())
        else {
            continue;
        };
        let unread = |reason: String| LasynError::Speech { id: utterance.id.clone(), reason };
        let samples =
            utterance.samples(base.config.front_end.sample_rate).map_err(|e| unread(e.to_string()))?;
        let features = Recogniser::features(&front_end, &samples).map_err(|e| unread(e.to_string()))?;
        let num_frames = features.nrows();
        if num_frames == 0 {
            continue;
        }
        let frames = num_frames.next_multiple_of(16);
        let values = padded(features, frames, 0.0);
        let mel = Tensor::<3>::from_data(TensorData::new(values, [1, frames, bins]), device);
        let (z, lengths) = base.model.lower(base.split, mel, &[num_frames], &mut Context::eval());
        let mut latents = z.into_data().try_to_vec::<f32>().map_err(|e| unread(format!("{e:?}")))?;
        latents.truncate(lengths[0] * base.width());
        let next = speakers.len() as u32;
        let speaker = utterance.speaker.clone().unwrap_or_default();
        let speaker = *speakers.entry(speaker).or_insert(next);
        paired.push(Paired { id: utterance.id.clone(), speaker, latents, words });
    }
    Ok(paired)
}
