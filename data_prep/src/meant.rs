//! What corpora of spoken language understanding have in common.

use crate::PrepError;
use crate::listing::audio_at;
use crate::set::{Draft, Item, counted};
use auricle_data::Sentence;
use auricle_text::slu::SluError;
use auricle_text::{oddities, spoken};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// An utterance, or a sentence that was not recorded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meant {
    pub id: String,
    /// Of the sentence, where several utterances say the same.
    pub sentence_id: String,
    /// As it is said.
    pub text: String,
    /// Serialised.
    pub meaning: String,
    pub speaker: Option<String>,
    /// Where the audio should be.
    pub audio: Option<PathBuf>,
    pub extra: Vec<(&'static str, Value)>,
}

/// Which utterances are one sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Same {
    /// Those with the same `sentence_id`.
    Id,
    /// Those with the same text and meaning.
    Content,
}

/// Two sets of the same utterances: `name` with audio, where there is any, and `name-text`, every sentence
/// once. `list` is where they stand.
///
/// # Errors
/// Some utterances have audio and others not.
pub(crate) fn drafts(
    name: &str,
    list: &Path,
    utterances: Vec<Meant>,
    same: Same,
) -> Result<Vec<Draft>, PrepError> {
    let text = text_draft(&format!("{name}-text"), &utterances, same);
    let mut draft = Draft::new(name);
    let mut missing: Vec<PathBuf> = Vec::new();
    for Meant { id, text, meaning, speaker, audio, extra, .. } in utterances {
        let Some(listed) = audio else { continue };
        let Some(file) = audio_at(&listed) else {
            missing.push(listed);
            continue;
        };
        let mut item = Item::new(id, file, Some(text).filter(|text| !text.is_empty()), speaker);
        item.labels.meaning = Some(meaning);
        for (name, value) in extra {
            item.labels.add(name, value);
        }
        draft.items.push(item);
    }
    match missing.first() {
        // Only the texts are there.
        _ if draft.items.is_empty() => {
            let mut text = text;
            if !missing.is_empty() {
                text.notes.push("no audio found: text alone".to_owned());
            }
            Ok(vec![text])
        }
        None => Ok(vec![draft, text]),
        Some(first) => {
            let reason = format!(
                "{} of {} without audio, the first at {}; unpack the audio again, or remove the lines",
                counted(missing.len(), "utterance"),
                missing.len() + draft.items.len(),
                first.display()
            );
            Err(PrepError::layout(list, reason))
        }
    }
}

/// Every sentence with its meaning once, in the order in which they come.
pub(crate) fn text_draft(name: &str, utterances: &[Meant], same: Same) -> Draft {
    let mut seen = BTreeSet::new();
    let (mut sentences, mut empty, mut odd) = (Vec::new(), 0, 0);
    for meant in utterances {
        if meant.text.is_empty() {
            empty += 1;
        } else if seen.insert(match same {
            Same::Id => (&meant.sentence_id, ""),
            Same::Content => (&meant.text, meant.meaning.as_str()),
        }) {
            odd += usize::from(!oddities(&meant.text).is_empty());
            sentences.push(Sentence::new(&meant.sentence_id, &meant.text).with_meaning(&meant.meaning));
        }
    }
    let mut draft = Draft::of_text(name, sentences);
    let again = utterances.len() - empty - draft.sentences.len();
    for (count, why) in [
        (again, "left out of the text: the same sentence and meaning again"),
        (empty, "without a word left out of the text"),
    ] {
        if count > 0 {
            draft.notes.push(format!("{} {why}", counted(count, "utterance")));
        }
    }
    if odd > 0 {
        draft.notes.push(format!("{} with letters beyond a–z", counted(odd, "sentence")));
    }
    draft
}

/// The value of a slot as it is said; as it is written where nothing of it is a word.
pub(crate) fn said_value(value: &str) -> String {
    Some(spoken(value)).filter(|said| !said.is_empty()).unwrap_or_else(|| value.trim().to_lowercase())
}

/// A meaning that cannot be written, as an error of a line.
pub(crate) fn unwritable(list: &Path, place: impl std::fmt::Display) -> impl FnOnce(SluError) -> PrepError {
    move |error| PrepError::layout(list, format!("{place}: {error}"))
}
