//! What a learner should have said, phone by phone, and what was said.

use crate::inventory::{self, ERR};
use crate::near_words::word_spans;
use auricle_data::Utterance;
use auricle_text as text;

/// One canonical phone with what is known of its pronunciation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slot {
    /// What should be said.
    pub canonical: u32,
    /// What was said in its place; `None` where nothing was.
    pub perceived: Option<u32>,
    /// 0 good to 1 wrong: `1 − score/2` of a graded phone, else whether the phones differ.
    ///
    /// The paper's label is 1 for a mispronounced phone in detection and 1 for a good one in
    /// scoring; here it is always 1 for wrong, so that α weighs the same class in both.
    pub badness: f32,
}

impl Slot {
    /// The same sound, had another phone been asked for.
    pub(crate) fn asked_for(self, canonical: u32) -> Self {
        let badness = if self.perceived == Some(canonical) { 0.0 } else { 1.0 };
        Self { canonical, badness, ..self }
    }
}

/// The labels of an utterance.
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    /// A slot per canonical phone.
    pub slots: Vec<Slot>,
    /// All phones that were said, in order: the target of the CTC decoder.
    pub perceived: Vec<u32>,
    /// Whether the pronunciation was judged (by perceived phones or scores) and not only assumed to be good.
    pub judged: bool,
    /// Whether the perceived phones come from an annotator, and are not empty.
    pub told: bool,
    /// Where the words of the prompt stand among the slots, where that is known.
    pub words: Vec<std::ops::Range<usize>>,
}

/// What is missing in the labels of an utterance, or does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LabelError(String);

/// A phone below this score (of 0 to 2) is mispronounced, as speechocean762 defines it.
pub const MISPRONOUNCED_BELOW: f64 = 0.5;

impl Labels {
    /// The labels of a manifest line: `phones`, and `perceived_phones` or `phone_scores` where it has them.
    ///
    /// Where only scores are known, a mispronounced phone counts as said, but as an unknown sound.
    ///
    /// # Errors
    /// What is missing or does not fit.
    pub fn of(utterance: &Utterance) -> Result<Self, LabelError> {
        let none = || LabelError("it has no canonical phones".into());
        let canonical = classes(utterance.phones.as_deref().ok_or_else(none)?)?;
        if canonical.is_empty() {
            return Err(none());
        }
        let scores = scores(utterance, canonical.len())?;
        let perceived = utterance.perceived_phones.as_deref().map(classes).transpose()?;
        let judged = scores.is_some() || perceived.is_some();
        let told = perceived.as_ref().is_some_and(|perceived| !perceived.is_empty());
        let perceived = perceived.unwrap_or_else(|| match &scores {
            Some(scores) => {
                let said =
                    |(&phone, &score): (&u32, &f64)| if score < MISPRONOUNCED_BELOW { ERR } else { phone };
                canonical.iter().zip(scores).map(said).collect()
            }
            None => canonical.clone(),
        });
        let mut slots: Vec<Slot> = said_for_each(&canonical, &perceived)
            .into_iter()
            .zip(&canonical)
            .map(|(said, &phone)| Slot {
                canonical: phone,
                perceived: said,
                badness: if said == Some(phone) { 0.0 } else { 1.0 },
            })
            .collect();
        if let Some(scores) = scores {
            for (slot, score) in slots.iter_mut().zip(scores) {
                slot.badness = (1.0 - score / 2.0).clamp(0.0, 1.0) as f32;
            }
        }
        let words = word_spans(utterance, slots.len());
        Ok(Self { slots, perceived, judged, told, words })
    }

    /// The class numbers of the canonical phones.
    pub fn canonical(&self) -> Vec<u32> {
        self.slots.iter().map(|slot| slot.canonical).collect()
    }
}

fn classes(symbols: &[String]) -> Result<Vec<u32>, LabelError> {
    let class = |symbol: &String| {
        let unknown = || LabelError(format!("`{symbol}` is not a phone of CMUdict (AA … ZH)"));
        inventory::class(symbol).ok_or_else(unknown)
    };
    symbols.iter().map(class).collect()
}

/// `phone_scores` of a manifest line.
fn scores(utterance: &Utterance, phones: usize) -> Result<Option<Vec<f64>>, LabelError> {
    let Some(value) = utterance.extra.get("phone_scores") else { return Ok(None) };
    let scores: Vec<f64> = value
        .as_array()
        .map(|values| values.iter().filter_map(serde_json::Value::as_f64).collect())
        .unwrap_or_default();
    if scores.len() != phones || !scores.iter().all(|score| (0.0..=2.0).contains(score)) {
        let wanted = format!("phone_scores must be {phones} numbers from 0 to 2, one per canonical phone");
        return Err(LabelError(wanted));
    }
    Ok(Some(scores))
}

/// What was said in the place of each canonical phone, by the edit alignment.
pub fn said_for_each(canonical: &[u32], perceived: &[u32]) -> Vec<Option<u32>> {
    let pairs = text::Slot::pair(canonical, perceived);
    pairs.into_iter().filter(|pair| pair.canonical.is_some()).map(|pair| pair.perceived).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn utterance(fields: serde_json::Value) -> Utterance {
        let mut all = json!({"id": "a", "audio": "a.wav", "duration_secs": 1.0, "phones": ["W", "IY", "K"]});
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    fn class(name: &str) -> u32 {
        inventory::class(name).unwrap()
    }

    #[test]
    fn perceived_phones_say_what_is_wrong() {
        let labels = Labels::of(&utterance(json!({"perceived_phones": ["V", "IY", "AH"]}))).unwrap();
        let found: Vec<_> = labels.slots.iter().map(|slot| (slot.perceived, slot.badness)).collect();
        assert_eq!(found, [(Some(class("V")), 1.0), (Some(class("IY")), 0.0), (Some(class("AH")), 1.0)]);
        assert!(labels.judged && labels.told);
        let deleted = Labels::of(&utterance(json!({"perceived_phones": ["W", "K"]}))).unwrap();
        assert_eq!((deleted.slots[1].perceived, deleted.slots[1].badness), (None, 1.0));
    }

    #[test]
    fn scores_are_graded_and_unknown_sounds_are_errors() {
        let labels = Labels::of(&utterance(json!({"phone_scores": [2.0, 0.4, 1.0]}))).unwrap();
        assert_eq!(labels.slots.iter().map(|slot| slot.badness).collect::<Vec<_>>(), [0.0, 0.8, 0.5]);
        assert_eq!(labels.perceived, [class("W"), ERR, class("K")]);
        assert!(labels.judged && !labels.told);
        for bad in [json!([2.0, 1.0]), json!([2.0, 1.0, 2.1]), json!(["x", 1.0, 1.0])] {
            assert!(
                Labels::of(&utterance(json!({"phone_scores": bad})))
                    .unwrap_err()
                    .to_string()
                    .contains("phone_scores")
            );
        }
        assert!(Labels::of(&utterance(json!({"phones": []}))).is_err());
        assert!(
            Labels::of(&utterance(json!({"phones": ["W", "QQ"]}))).unwrap_err().to_string().contains("`QQ`")
        );
    }
}
