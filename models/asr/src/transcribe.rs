//! Many recordings to transcripts: batched by length, in input order, of any length.

use crate::{RecogniseError, Recogniser, Recognition};
use auricle_audio::{EarshotVad, Features, Limits, SegmentConfig, StreamingResampler, Vad as _, stream};
use auricle_data::{BatchConfig, Utterance, load_ordered, plan};
use auricle_decode::write::Transcript;
use auricle_decode::{Chunk, Chunker, Word, words};
use auricle_rng::Key;

/// How recordings are grouped and cut.
#[derive(Debug, Clone, PartialEq)]
pub struct TranscribeConfig {
    /// Seconds of audio in a batch. Default: 60.
    pub batch_secs: f64,
    /// Longer recordings are cut where nobody speaks. Default: 30.
    pub whole_secs: f64,
    /// Longest piece of a recording that is cut. Default: 20.
    pub chunk_secs: f64,
}

impl Default for TranscribeConfig {
    fn default() -> Self {
        Self { batch_secs: 60.0, whole_secs: 30.0, chunk_secs: 20.0 }
    }
}

/// Transcribes utterances; `each` gets the results in the order of `utterances`, as soon as all
/// before it are there.
///
/// One that cannot be read is an error of its own and does not stop the others. Memory: a few
/// batches of audio, however long a recording is.
///
/// # Errors
/// What `each` returns stops the work.
pub fn transcribe<E>(
    recogniser: &Recogniser,
    utterances: &[Utterance],
    config: &TranscribeConfig,
    mut each: impl FnMut(usize, Result<Transcript, RecogniseError>) -> Result<(), E>,
) -> Result<(), E> {
    let mut results = InOrder { next: 0, waiting: utterances.iter().map(|_| None).collect() };
    let (long, short): (Vec<usize>, Vec<usize>) =
        (0..utterances.len()).partition(|&i| utterances[i].duration_secs > config.whole_secs);
    let durations: Vec<f64> = short.iter().map(|&i| utterances[i].duration_secs).collect();
    let batching = BatchConfig { batch_secs: config.batch_secs, shuffle: false, ..BatchConfig::default() };
    let jobs: Vec<Vec<(usize, Utterance)>> = plan(&durations, &batching, Key::new(0))
        .batches
        .into_iter()
        .map(|batch| batch.indices.iter().map(|&i| (short[i], utterances[short[i]].clone())).collect())
        .collect();
    let members: Vec<Vec<usize>> = jobs.iter().map(|job| job.iter().map(|&(i, _)| i).collect()).collect();
    let (rate, front_end) = (recogniser.sample_rate(), recogniser.front_end());
    let read = move |job: Vec<(usize, Utterance)>| -> Vec<(usize, Result<Features, RecogniseError>)> {
        let fail = |u: &Utterance, e: &dyn std::fmt::Display| RecogniseError::Utterance {
            id: u.id.clone(),
            reason: e.to_string(),
        };
        let features = |u: &Utterance| {
            let samples = u.samples(rate).map_err(|e| fail(u, &e))?;
            Recogniser::features(&front_end, &samples).map_err(|e| fail(u, &e))
        };
        job.into_iter().map(|(i, u)| (i, features(&u))).collect()
    };
    for (members, batch) in members.into_iter().zip(load_ordered(jobs.into_iter(), 1, 2, read)) {
        let (mut indices, mut features) = (Vec::new(), Vec::new());
        match batch {
            Ok(batch) => {
                for (index, one) in batch {
                    match one {
                        Ok(one) => {
                            indices.push(index);
                            features.push(one);
                        }
                        Err(error) => results.put(index, Err(error)),
                    }
                }
            }
            Err(error) => {
                for index in members {
                    let (id, reason) = (utterances[index].id.clone(), error.to_string());
                    results.put(index, Err(RecogniseError::Utterance { id, reason }));
                }
            }
        }
        match recogniser.recognise_features(&features) {
            Ok(recognised) => {
                for (index, recognition) in indices.into_iter().zip(recognised) {
                    let words = timed(recogniser, &recognition, 0.0);
                    results.put(index, Ok(transcript(&utterances[index], words)));
                }
            }
            Err(error) => {
                for index in indices {
                    let (id, reason) = (utterances[index].id.clone(), error.to_string());
                    results.put(index, Err(RecogniseError::Utterance { id, reason }));
                }
            }
        }
        results.deliver(&mut each)?;
    }
    for index in long {
        let utterance = &utterances[index];
        let words = long_form(recogniser, utterance, config);
        results.put(index, words.map(|words| transcript(utterance, words)));
        results.deliver(&mut each)?;
    }
    results.deliver(&mut each)
}

/// Words of a recording that is cut where nobody speaks.
fn long_form(
    recogniser: &Recogniser,
    utterance: &Utterance,
    config: &TranscribeConfig,
) -> Result<Vec<Word>, RecogniseError> {
    let fail = |e: &dyn std::fmt::Display| RecogniseError::Utterance {
        id: utterance.id.clone(),
        reason: e.to_string(),
    };
    let mut audio = stream(&utterance.audio, &Limits::unlimited_duration()).map_err(|e| fail(&e))?;
    let rate = recogniser.sample_rate();
    let vad = EarshotVad::new();
    if vad.sample_rate() != rate {
        return Err(fail(&format!(
            "voice activity detection works at {} Hz, this model at {rate}",
            vad.sample_rate()
        )));
    }
    let segments = SegmentConfig { max_secs: Some(config.chunk_secs), ..SegmentConfig::default() };
    let mut chunker = Chunker::new(vad, &segments).map_err(|e| fail(&e))?;
    let mut resampler = StreamingResampler::new(audio.info().sample_rate, rate).map_err(|e| fail(&e))?;
    let first = (utterance.start_secs * f64::from(rate)).round() as usize;
    let last = first + (utterance.duration_secs * f64::from(rate)).round() as usize;
    let (mut seen, mut chunks, mut words, mut resampled) = (0, Vec::new(), Vec::new(), Vec::new());
    for block in audio.by_ref() {
        resampled.clear();
        resampler.push(&block.map_err(|e| fail(&e))?, &mut resampled);
        let span =
            first.clamp(seen, seen + resampled.len()) - seen..last.clamp(seen, seen + resampled.len()) - seen;
        seen += resampled.len();
        chunker.push(resampled.get(span).unwrap_or_default(), &mut chunks).map_err(|e| fail(&e))?;
        if chunks.iter().map(|c| c.samples.len()).sum::<usize>() as f64 >= config.batch_secs * f64::from(rate)
        {
            words.extend(recognise_chunks(recogniser, &mut chunks, config).map_err(|e| fail(&e))?);
        }
    }
    auricle_data::say_audio_warnings(audio.warnings());
    resampled.clear();
    resampler.finish(&mut resampled);
    let rest = last.saturating_sub(seen).min(resampled.len());
    chunker.push(&resampled[..rest], &mut chunks).map_err(|e| fail(&e))?;
    chunker.finish(&mut chunks);
    words.extend(recognise_chunks(recogniser, &mut chunks, config).map_err(|e| fail(&e))?);
    Ok(words)
}

/// Words of chunks, in their order; batched by length, so that one long chunk among many short ones
/// does not pad them all.
fn recognise_chunks(
    recogniser: &Recogniser,
    chunks: &mut Vec<Chunk>,
    config: &TranscribeConfig,
) -> Result<Vec<Word>, RecogniseError> {
    let rate = f64::from(recogniser.sample_rate());
    let durations: Vec<f64> = chunks.iter().map(|c| c.samples.len() as f64 / rate).collect();
    let batching = BatchConfig { batch_secs: config.batch_secs, shuffle: false, ..BatchConfig::default() };
    let mut words: Vec<Vec<Word>> = vec![Vec::new(); chunks.len()];
    for batch in plan(&durations, &batching, Key::new(0)).batches {
        let views: Vec<&[f32]> = batch.indices.iter().map(|&i| chunks[i].samples.as_slice()).collect();
        for (&index, recognition) in batch.indices.iter().zip(recogniser.recognise(&views)?) {
            words[index] = timed(recogniser, &recognition, chunks[index].start_sample as f64 / rate);
        }
    }
    chunks.clear();
    Ok(words.concat())
}

fn timed(recogniser: &Recogniser, recognition: &Recognition, offset_secs: f64) -> Vec<Word> {
    let tokenizer = recogniser.tokenizer();
    words(
        &recognition.tokens,
        |id| tokenizer.piece(id).unwrap_or_default(),
        recogniser.frame_secs(),
        offset_secs,
    )
}

fn transcript(utterance: &Utterance, words: Vec<Word>) -> Transcript {
    let text: Vec<&str> = words.iter().map(|w| w.word.as_str()).collect();
    let (id, text) = (utterance.id.clone(), text.join(" "));
    let audio = utterance.audio.display().to_string();
    Transcript { id, audio, text, duration_secs: utterance.duration_secs, words }
}

/// Results that come in any order and leave in theirs.
struct InOrder<T> {
    next: usize,
    waiting: Vec<Option<T>>,
}

impl<T> InOrder<T> {
    fn put(&mut self, index: usize, result: T) {
        if let Some(place) = self.waiting.get_mut(index) {
            *place = Some(result);
        }
    }

    fn deliver<E>(&mut self, each: &mut impl FnMut(usize, T) -> Result<(), E>) -> Result<(), E> {
        while let Some(result) = self.waiting.get_mut(self.next).and_then(Option::take) {
            each(self.next, result)?;
            self.next += 1;
        }
        Ok(())
    }
}
