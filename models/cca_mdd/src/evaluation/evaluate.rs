//! Every utterance of a set through a session, in pieces as from a microphone.

use super::scores::Evaluation;
use super::simulated::{Simulated, substitute};
use super::tally::{Utter, evaluation};
use crate::inventory;
use crate::{Assessor, Event, Labels, Live, MISPRONOUNCED_BELOW, SessionError, Streaming as _, Target};
use auricle_data::Utterance;
use auricle_text::mdd::{Detection, Judged, MddError, Said, Verdicts};
use auricle_text::phones::{Phone, Slot};
use std::sync::Arc;
use std::time::Instant;

/// Milliseconds of sound that are given to a session at a time.
const CHUNK_MS: usize = 40;

/// How a set is evaluated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvaluationConfig {
    /// Probability of error above which the classifier calls a phone mispronounced.
    pub threshold: f64,
    /// Share of places at which another phone is asked for than was said, always the same ones; `None` leaves the
    /// prompts as they are. Phones without labels then count as said: native speech will do.
    pub simulate: Option<f64>,
}

/// Why a set cannot be evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// There is nothing in it.
    #[error("no utterances to score")]
    Empty,
    /// An utterance without labels, or whose audio cannot be read or judged.
    #[error("utterance {id}: {reason}")]
    Utterance {
        /// Its id.
        id: String,
        /// Why.
        reason: String,
    },
    /// The model gave a probability that is none.
    #[error(transparent)]
    Scores(#[from] MddError),
}

/// Runs every utterance through a session, in pieces as from a microphone, and scores the verdicts.
///
/// `done` is called after every utterance with its number.
///
/// # Errors
/// Utterances without labels, audio that cannot be read.
pub fn evaluate(
    assessor: &Arc<Assessor>,
    utterances: &[Utterance],
    config: &EvaluationConfig,
    done: &mut dyn FnMut(usize),
) -> Result<Evaluation, EvaluationError> {
    if utterances.is_empty() {
        return Err(EvaluationError::Empty);
    }
    let &EvaluationConfig { threshold, simulate } = config;
    let started = Instant::now();
    let mut simulated = Simulated::default();
    let (mut all, mut secs, mut busy) = (Vec::new(), 0.0, 0.0);
    for (number, utterance) in utterances.iter().enumerate() {
        let named = |reason: String| EvaluationError::Utterance { id: utterance.id.clone(), reason };
        let said = |error: SessionError| named(error.to_string());
        let mut labels = Labels::of(utterance).map_err(|error| named(error.to_string()))?;
        let replaced = simulate.map(|share| substitute(&mut labels, &utterance.id, share));
        if !labels.judged && replaced.is_none() {
            return Err(named("it has neither perceived_phones nor phone_scores to compare with".into()));
        }
        let samples = utterance
            .samples_within(assessor.sample_rate(), crate::MAX_SECS)
            .map_err(|error| named(error.to_string()))?;
        secs += samples.len() as f64 / f64::from(assessor.sample_rate());
        let chunk = assessor.sample_rate() as usize * CHUNK_MS / 1000;
        let target = target(&labels).ok_or_else(|| named("a canonical phone that is none".into()))?;
        let spans = target.spans();
        let begun = Instant::now();
        let mut live = Live::new(
            &utterance.id,
            assessor.clone(),
            target,
            assessor.sample_rate(),
            100.0 * (1.0 - threshold),
        )
        .map_err(said)?;
        let mut early = vec![Early::default(); labels.slots.len()];
        for piece in samples.chunks(chunk) {
            live.push(piece).map_err(said)?;
            let now = live.audio_secs();
            for event in live.events() {
                match event {
                    Event::Phone(phone) => {
                        early[phone.index].decoder_secs = phone.verdict.as_ref().map(|_| now)
                    }
                    Event::Word(word) => {
                        for (i, phone) in spans[word.index].clone().zip(&word.result.phones) {
                            early[i].goodness = Some(phone.score / 100.0);
                            early[i].word_secs = Some(now);
                        }
                    }
                    Event::Heard { .. } | Event::Final(_) => {}
                }
            }
        }
        live.close().map_err(said)?;
        let session = live.session();
        let verdicts = session.verdicts().map_err(said)?;
        busy += begun.elapsed().as_secs_f64();
        if let Some(replaced) = &replaced {
            simulated.count(&labels, replaced, &verdicts, threshold);
        }
        let heard: Vec<u32> = session.heard().iter().map(|heard| heard.phone).collect();
        let streamed = Verdicts::from_hypothesis(&labels.canonical(), &heard);
        let graded = utterance.extra.contains_key("phone_scores");
        let mut utter =
            Utter::new(utterance.speaker.clone().unwrap_or_else(|| utterance.id.clone()), labels.canonical());
        let badness: Vec<f32> = verdicts.iter().map(|verdict| 1.0 - verdict.goodness).collect();
        let predicted: Vec<Said<u32>> =
            verdicts.iter().map(|verdict| predicted_phone(verdict.predicted.0)).collect();
        let fused =
            streamed.clone().fuse(&labels.canonical(), &badness, Some(predicted.as_slice()), threshold)?;
        for (i, (slot, verdict)) in labels.slots.iter().zip(&verdicts).enumerate() {
            let end_secs = verdict.frames.end as f64 * session.frame_secs();
            utter.decoder_waits.extend(early[i].decoder_secs.map(|secs| secs - end_secs));
            utter.word_waits.extend(early[i].word_secs.map(|secs| secs - end_secs));
            let truth = 2.0 * (1.0 - f64::from(slot.badness));
            let wrong = truth < MISPRONOUNCED_BELOW;
            let probability = f64::from(badness[i]);
            let rejected = f64::from(u8::from(streamed.rejects(i)));
            utter.state.push(Detection { probability, wrong });
            utter.stream.push(Detection { probability: rejected, wrong });
            // What the decoder rejects lies above what the classifier alone rejects, that above the rest.
            let by_either = f64::from(u8::from(fused.rejects(i)));
            utter.fused.push(Detection { probability: (by_either + rejected + probability) / 3.0, wrong });
            if let Some(goodness) = early[i].goodness {
                utter.provisional.push(Detection { probability: 1.0 - goodness, wrong });
            }
            if graded {
                utter.scores.push((truth, 2.0 * f64::from(verdict.goodness)));
                utter.early_scores.extend(early[i].goodness.map(|goodness| (truth, 2.0 * goodness)));
            }
        }
        if utterance.perceived_phones.is_some() || replaced.is_some() {
            let judged = |hypothesis| Judged {
                id: utterance.id.clone(),
                speaker: utterance.speaker.clone(),
                group: utterance.extra.get("l1").and_then(serde_json::Value::as_str).map(str::to_string),
                annotation: Slot::pair(&labels.canonical(), &labels.perceived),
                hypothesis,
            };
            utter.judged =
                Some([judged(heard), judged(fused.to_hypothesis(&labels.canonical(), &inventory::ERR))]);
        }
        all.push(utter);
        done(number);
    }
    Ok(Evaluation {
        simulated: simulate.map(|_| simulated.scores()),
        audio_secs: secs,
        real_time_factor: busy / secs.max(1e-9),
        wall_secs: started.elapsed().as_secs_f64(),
        ..evaluation(&all, threshold)?
    })
}

/// What the phone predictor takes a phone for.
fn predicted_phone(class: u32) -> Said<u32> {
    if class == inventory::DELETED { Said::Nothing } else { Said::Phone(class) }
}

/// What was known of a canonical phone while the learner spoke.
#[derive(Clone, Default)]
struct Early {
    /// The classifier's goodness when the phone's word had been said.
    goodness: Option<f64>,
    /// How much sound had come when it was known.
    word_secs: Option<f64>,
    /// How much sound had come when the decoder's verdict last changed.
    decoder_secs: Option<f64>,
}

/// The words of a prompt, or all of it as one word where its words are not known; `None` where a phone is none.
fn target(labels: &Labels) -> Option<Target> {
    let phones: Vec<Phone> =
        labels.slots.iter().map(|slot| inventory::phone(slot.canonical)).collect::<Option<_>>()?;
    let covered: usize = labels.words.iter().map(ExactSizeIterator::len).sum();
    if covered < phones.len() {
        return Some(Target::of_words([(String::new(), phones)]));
    }
    Some(Target::of_words(labels.words.iter().map(|span| (String::new(), phones[span.clone()].to_vec()))))
}
