//! How well a recogniser reads pseudo-acoustic latents.

use crate::{LasynError, Sentence, SplitRecogniser, Synthesizer, Upper};
use auricle_decode::{by_frame, greedy};
use auricle_nn::Context;
use auricle_rng::{Key, Purpose};
use burn::tensor::{Device, Tensor, TensorData};

/// What a model reads from the latents of sentences, drawn by (`seed`, place in the list).
///
/// # Errors
/// A device that fails.
pub fn read_sentences(
    base: &SplitRecogniser,
    synthesizer: &dyn Synthesizer,
    sentences: &[Sentence],
    seed: u64,
    device: &Device,
) -> Result<Vec<String>, LasynError> {
    let read = |(i, sentence): (usize, &Sentence)| {
        let mut stream = Key::new(seed).step(i as u64).stream(Purpose::Synthesis);
        let latents = synthesizer.synthesize(&sentence.words, &mut stream);
        read_latents(base, latents?, device)
    };
    sentences.iter().enumerate().map(read).collect()
}

/// What a model reads from latents `[T, D]`, real or not: the most probable path.
///
/// # Errors
/// A device that fails.
pub fn read_latents(
    base: &SplitRecogniser,
    mut latents: Vec<f32>,
    device: &Device,
) -> Result<String, LasynError> {
    let width = base.width();
    let length = latents.len() / width;
    let frames = length.next_multiple_of(4).max(4);
    latents.resize(frames * width, 0.0);
    let z = Tensor::<3>::from_data(TensorData::new(latents, [1, frames, width]), device);
    let Upper { logits, lengths, .. } = base.model.upper(base.split, z, &[length], &mut Context::eval());
    let [_, _, classes] = logits.dims();
    let values = logits.into_data().try_to_vec::<f32>().map_err(|e| LasynError::Device(format!("{e:?}")))?;
    let row = values.get(..lengths[0] * classes).unwrap_or(&values);
    let tokens = greedy(by_frame(row, classes), base.tokenizer.blank_id());
    Ok(base.tokenizer.decode(&tokens.iter().map(|t| t.id).collect::<Vec<_>>()))
}
