//! Mistakes of which all is known: prompts that ask for a phone that was not said.

use super::scores::Simulation;
use crate::{Confusions, ExposureConfig, Labels, NearWords, PhoneVerdict, Slot};
use auricle_rng::{Key, Purpose};

/// What became of the replaced phones of a set, and of the good ones beside them.
#[derive(Debug, Default)]
pub struct Simulated {
    /// Canonical phones that were said well and replaced.
    substituted: usize,
    /// Of these, called wrong by the classifier.
    found: usize,
    /// Of the found ones, those whose diagnosis is the phone that was said.
    named: usize,
    /// Of all replaced ones, those in whose place the decoder heard what was said.
    heard: usize,
    /// Phones left alone that nobody calls wrong.
    good: usize,
    /// Of these, called wrong by the classifier.
    alarms: usize,
}

/// Replaces a share of an utterance's canonical phones, four of five by another of vowels or consonants; says
/// which of those that were said well are replaced. The same utterance is always changed in the same way.
pub fn substitute(labels: &mut Labels, id: &str, share: f64) -> Vec<bool> {
    let config = ExposureConfig {
        utterances: 1.0,
        substitute: share,
        within_class: 0.8,
        confusion: 0.0,
        delete: 0.0,
        follow: 0.0,
        insert: 0.0,
        words: 0.0,
        mining: 0.0,
    };
    let before = labels.slots.clone();
    let mut stream = Key::new(1).utterance(id).stream(Purpose::PromptCorruption);
    labels.corrupt(&config, &NearWords::default(), &Confusions::default(), &mut stream);
    let well = |slot: &Slot| slot.perceived == Some(slot.canonical) && slot.badness < 0.5;
    let changed = |(before, after): (&Slot, &Slot)| well(before) && before.canonical != after.canonical;
    before.iter().zip(&labels.slots).map(changed).collect()
}

impl Simulated {
    /// Counts an utterance.
    pub fn count(&mut self, labels: &Labels, replaced: &[bool], verdicts: &[PhoneVerdict], threshold: f64) {
        for ((slot, &replaced), verdict) in labels.slots.iter().zip(replaced).zip(verdicts) {
            let rejected = usize::from(f64::from(1.0 - verdict.goodness) > threshold);
            if replaced {
                self.substituted += 1;
                self.found += rejected;
                self.named += rejected * usize::from(verdict.diagnosis() == slot.perceived);
                self.heard += usize::from(verdict.heard == slot.perceived);
            } else if slot.badness == 0.0 {
                self.good += 1;
                self.alarms += rejected;
            }
        }
    }

    /// Counts and rates.
    pub fn scores(&self) -> Simulation {
        let rate = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
        Simulation {
            substituted: self.substituted,
            found: rate(self.found, self.substituted),
            named_of_found: rate(self.named, self.found),
            heard: rate(self.heard, self.substituted),
            good: self.good,
            false_alarms: rate(self.alarms, self.good),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::class;
    use serde_json::json;

    #[test]
    fn replaced_phones_are_known_and_counted() {
        let said: Vec<String> = "W IY K AH N D".split(' ').map(str::to_string).collect();
        let line = json!({"id": "a", "audio": "a.wav", "duration_secs": 1.0, "phones": said});
        let original = Labels::of(&serde_json::from_value(line).unwrap()).unwrap();
        let mut none = original.clone();
        assert_eq!((substitute(&mut none, "a", 0.0), &none), (vec![false; 6], &original));
        let mut labels = original.clone();
        let replaced = substitute(&mut labels, "a", 0.5);
        assert!(replaced.contains(&true) && replaced.contains(&false), "{replaced:?}");
        for (i, slot) in labels.slots.iter().enumerate() {
            assert_eq!(slot.perceived, class(&said[i]));
            assert_eq!(replaced[i], slot.canonical != original.slots[i].canonical);
            assert_eq!(slot.badness, f32::from(u8::from(replaced[i])));
        }
        // A listener who rejects what was replaced and says what it was; and one who is never content.
        let verdict = |goodness, slot: &Slot| PhoneVerdict {
            canonical: slot.canonical,
            goodness,
            predicted: (slot.perceived.unwrap_or(0), 1.0),
            heard: slot.perceived,
            frames: 0..1,
        };
        let perfect: Vec<_> = labels.slots.iter().map(|slot| verdict(1.0 - slot.badness, slot)).collect();
        let sulky: Vec<_> = labels
            .slots
            .iter()
            .map(|slot| PhoneVerdict { predicted: (slot.canonical, 1.0), heard: None, ..verdict(0.0, slot) })
            .collect();
        let report = |verdicts: &[PhoneVerdict]| {
            let mut counts = Simulated::default();
            counts.count(&labels, &replaced, verdicts, 0.5);
            counts.scores()
        };
        let of = |s: &Simulation| [s.found, s.named_of_found, s.heard, s.false_alarms];
        assert_eq!(of(&report(&perfect)), [Some(1.0), Some(1.0), Some(1.0), Some(0.0)]);
        assert_eq!(of(&report(&sulky)), [Some(1.0), Some(0.0), Some(0.0), Some(1.0)]);
        assert_eq!(Simulated::default().scores().found, None);
    }
}
