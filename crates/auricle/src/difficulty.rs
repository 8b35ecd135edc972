//! What a teacher finds hard.

use crate::{Error, Events, Result, Teacher};
use auricle_asr::{TranscribeConfig, transcribe};
use auricle_data::Utterance;
use auricle_decode::write::Transcript;
use auricle_text::{cer, normalise};
use auricle_train::KnownError;
use std::path::Path;

/// The error of a model on every utterance, for `train.curriculum.errors`; those that cannot be read or have no labels
/// are told to the listener and left out.
///
/// It is the character error rate, and for recognisers with CTC alone one minus the mean confidence of their words is
/// added. A model of meanings is asked for meanings, one of mispronunciation for phones, whose error rate counts.
///
/// # Errors
/// A model that cannot be read or gives no labels.
pub fn difficulty(model: &Path, utterances: &[Utterance], events: &dyn Events) -> Result<Vec<KnownError>> {
    let teacher = Teacher::load(model, None, None)?;
    events.begin("recordings", utterances.len());
    let mut known = Vec::with_capacity(utterances.len());
    let mut note = |i: usize, error: Result<f64>| {
        let id = &utterances[i].id;
        events.advance();
        match error {
            Ok(error) => known.push(KnownError { id: id.clone(), error }),
            Err(reason) => events.failure(&format!("utterance {id}: {reason}")),
        }
    };
    match teacher {
        Teacher::Ctc(teacher) => {
            transcribe(&teacher, utterances, &TranscribeConfig::default(), |i, transcript| -> Result<()> {
                let error = match transcript {
                    Ok(transcript) => of_transcript(&utterances[i], &transcript),
                    Err(reason) => Err(reason.into()),
                };
                note(i, error);
                Ok(())
            })?;
        }
        teacher => {
            for (i, utterance) in utterances.iter().enumerate() {
                note(i, of_label(&teacher, utterance));
            }
        }
    }
    events.end();
    Ok(known)
}

fn of_transcript(utterance: &Utterance, transcript: &Transcript) -> Result<f64> {
    let Some(text) = &utterance.text else { return Error::refused("no transcript") };
    let words = &transcript.words;
    let sure = words.iter().map(|word| f64::from(word.confidence)).sum::<f64>() / words.len().max(1) as f64;
    Ok(cer(&normalise(text), &transcript.text).rate() + 1.0 - sure)
}

fn of_label(teacher: &Teacher, utterance: &Utterance) -> Result<f64> {
    let Some(truth) = teacher.truth(utterance) else {
        return Error::refused("nothing is known of what it says");
    };
    let samples = utterance.samples(teacher.sample_rate())?;
    Ok(teacher.error(&truth, &teacher.label(utterance, &samples)?))
}
