//! Prompts that ask for what was not said.

use crate::inventory::{self, ERR};
use crate::{Confusions, ExposureConfig, Labels, NearWords, Slot};
use auricle_rng::Stream;
use auricle_text::phones::Phone;

impl Labels {
    /// Makes the prompt disagree with the speech: phones are replaced, left out and put in.
    ///
    /// What was said stays as it is, so the labels of changed slots are known exactly.
    pub fn corrupt(
        &mut self,
        config: &ExposureConfig,
        near: &NearWords,
        confusions: &Confusions,
        stream: &mut Stream,
    ) {
        if self.told && self.perceived != self.canonical() && stream.chance(config.follow) {
            let good = |&phone: &u32| Slot { canonical: phone, perceived: Some(phone), badness: 0.0 };
            self.slots = self.perceived.iter().map(good).collect();
            self.words.clear();
        }
        if !stream.chance(config.utterances) {
            return;
        }
        for span in std::mem::take(&mut self.words) {
            let slots = &mut self.slots[span];
            if !stream.chance(config.words) {
                continue;
            }
            let word: Vec<u32> = slots.iter().map(|slot| slot.canonical).collect();
            let Some(other) = near.draw(&word, stream) else { continue };
            for (slot, &canonical) in slots.iter_mut().zip(other) {
                if slot.canonical != canonical {
                    *slot = slot.asked_for(canonical);
                }
            }
        }
        let mut slots = Vec::with_capacity(self.slots.len() + 4);
        for slot in &self.slots {
            if stream.chance(config.insert) {
                let canonical = stream.below(Phone::COUNT) as u32;
                slots.push(Slot { canonical, perceived: None, badness: 1.0 });
            }
            let draw = stream.uniform();
            if draw < config.delete && self.slots.len() > 1 {
                continue;
            }
            if draw < config.delete + config.substitute {
                let said = slot.perceived.unwrap_or(slot.canonical);
                let confused = match config.confusion > 0.0 && stream.chance(config.confusion) {
                    true => confusions.draw(said, stream).filter(|&other| other != slot.canonical),
                    false => None,
                };
                let canonical =
                    confused.unwrap_or_else(|| other_phone(slot.canonical, config.within_class, stream));
                slots.push(slot.asked_for(canonical));
            } else {
                slots.push(*slot);
            }
        }
        if !slots.is_empty() {
            self.slots = slots;
        }
    }
}

/// A phone that is not `phone`; with probability `within_class` a vowel for a vowel, a consonant for a consonant.
fn other_phone(phone: u32, within_class: f64, stream: &mut Stream) -> u32 {
    let same = stream.chance(within_class);
    let is_vowel = |class| inventory::phone(class).map(Phone::is_vowel);
    let choices: Vec<u32> = (0..Phone::COUNT as u32)
        .filter(|&other| other != phone && (!same || phone == ERR || is_vowel(other) == is_vowel(phone)))
        .collect();
    choices.get(stream.below(choices.len())).copied().unwrap_or(ERR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::class as class_of;
    use auricle_rng::{Key, Purpose};
    use serde_json::json;

    fn class(name: &str) -> u32 {
        class_of(name).unwrap()
    }

    /// Whatever is done to the prompt, every label says truly whether what was said is what is asked for.
    #[test]
    fn corrupted_prompts_have_true_labels() {
        let config = ExposureConfig {
            utterances: 1.0,
            substitute: 0.4,
            within_class: 0.8,
            confusion: 0.0,
            delete: 0.2,
            follow: 0.5,
            insert: 0.3,
            words: 0.5,
            mining: 0.0,
        };
        let (near, confusions) = (NearWords::default(), Confusions::default());
        let line = json!({"id": "a", "audio": "a.wav", "duration_secs": 1.0, "phones": ["W", "IY", "K"],
            "perceived_phones": ["W", "AH", "K", "S"]});
        let walks = serde_json::from_value(line).unwrap();
        let original = Labels::of(&walks).unwrap();
        let (mut changed, mut vowels, mut replaced) = (0, 0, 0);
        for seed in 0..500 {
            let mut labels = original.clone();
            labels.corrupt(
                &config,
                &near,
                &confusions,
                &mut Key::new(seed).stream(Purpose::PromptCorruption),
            );
            assert_eq!(labels.perceived, original.perceived);
            assert!(!labels.slots.is_empty());
            for slot in &labels.slots {
                assert_eq!(
                    slot.badness,
                    f32::from(u8::from(slot.perceived != Some(slot.canonical))),
                    "{slot:?}"
                );
                if slot.perceived == Some(class("AH")) && slot.canonical != class("AH") {
                    replaced += 1;
                    vowels += usize::from(inventory::phone(slot.canonical).is_some_and(Phone::is_vowel));
                }
            }
            changed += usize::from(labels.slots != original.slots);
            let mut again = original.clone();
            again.corrupt(&config, &near, &confusions, &mut Key::new(seed).stream(Purpose::PromptCorruption));
            assert_eq!(labels, again);
        }
        assert!(changed > 450, "{changed}");
        // Four of five replacements stay among the vowels, and some of the others fall on one by chance.
        assert!((0.75..0.98).contains(&(vowels as f64 / replaced as f64)), "{vowels} of {replaced}");
    }
}
