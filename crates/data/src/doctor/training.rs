//! Whether a recogniser can be trained on an utterance.

use super::report::{Finding, Set, Severity};
use crate::Utterance;
use auricle_text::normalise;

/// Why CTC training refuses an utterance, as the kind of a finding and in words; `None` where it can be used.
///
/// Training and `auricle data check --recipe … --fix …` both ask this, so that the command mends what training refuses.
///
/// `frames` gives the output frames of a duration, `tokens` the tokens of a normalised transcript or why there are none.
pub fn training_fault(
    utterance: &Utterance,
    frames: &dyn Fn(f64) -> usize,
    tokens: &dyn Fn(&str) -> Result<Vec<u32>, String>,
) -> Option<(&'static str, String)> {
    let Some(text) = &utterance.text else {
        return Some(("no-text", "there is no transcript".to_owned()));
    };
    match tokens(&normalise(text)) {
        Err(reason) => Some(("cannot-spell", reason)),
        Ok(tokens) => {
            alignment_fault(&tokens, frames(utterance.duration_secs)).map(|reason| ("cannot-align", reason))
        }
    }
}

/// The utterances with a transcript that [`training_fault`] refuses. Those without one are found by
/// [`check`](super::check()) with `needs_text`.
pub fn cannot_align(
    set: &Set,
    frames: &dyn Fn(f64) -> usize,
    tokens: &dyn Fn(&str) -> Result<Vec<u32>, String>,
) -> Vec<Finding> {
    let told = set.utterances.iter().enumerate().filter(|(_, utterance)| utterance.text.is_some());
    told.filter_map(|(index, utterance)| {
        let (kind, detail) = training_fault(utterance, frames, tokens)?;
        Some(Finding {
            set: set.name.clone(),
            id: utterance.id.clone(),
            index: Some(index),
            kind,
            severity: Severity::Error,
            detail,
            true_duration_secs: None,
        })
    })
    .collect()
}

/// Frames that CTC needs to align tokens: one each, and a blank between equal neighbours.
pub fn frames_needed(tokens: &[u32]) -> usize {
    tokens.len() + tokens.windows(2).filter(|pair| pair[0] == pair[1]).count()
}

/// Why CTC cannot align tokens with `frames` output frames, in words; `None` where it can.
pub fn alignment_fault(tokens: &[u32], frames: usize) -> Option<String> {
    let needed = frames_needed(tokens);
    (frames < needed).then(|| format!("{frames} output frames, needs {needed} for {} tokens", tokens.len()))
}
