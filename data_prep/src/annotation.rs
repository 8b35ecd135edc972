//! What annotators wrote about an utterance's phones, and how a manifest line says it.

use crate::set::Labels;
use auricle_text::Perceived;
use serde_json::{Value, json};

/// One position: what should be said and what was heard, `Silence` for nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Slot {
    pub canonical: Perceived,
    pub perceived: Perceived,
    /// Where in the recording, if known.
    pub span_secs: Option<(f64, f64)>,
}

impl Slot {
    pub fn new(canonical: Perceived, perceived: Perceived) -> Self {
        Self { canonical, perceived, span_secs: None }
    }
}

/// The labels that follow from slots, which may hold silence on both sides.
///
/// * `phones`, `perceived_phones`;
/// * `phone_errors`, where there are differences: `at`, the position in `phones` (of the phone that an
///   added one stands before); `canonical`, `null` for an added phone; `perceived`, `null` for one that
///   was not said, with `*` for what is only close to a phone;
/// * `perceived_spans` where times are known: start and end in seconds of each perceived phone.
pub(crate) fn labels(slots: &[Slot]) -> Labels {
    let (mut phones, mut perceived, mut errors, mut spans) = (vec![], vec![], vec![], vec![]);
    for slot in slots {
        let (canonical, heard) = (symbol(slot.canonical), symbol(slot.perceived));
        if slot.canonical != slot.perceived {
            errors.push(
                json!({ "at": phones.len(), "canonical": canonical, "perceived": written(slot.perceived) }),
            );
        }
        if let (Some((start, end)), Some(_)) = (slot.span_secs, &heard) {
            spans.push(json!([micros(start), micros(end)]));
        }
        phones.extend(canonical);
        perceived.extend(heard);
    }
    let complete = !perceived.is_empty() && spans.len() == perceived.len();
    let mut labels = Labels { phones: Some(phones), perceived_phones: Some(perceived), ..Labels::default() };
    if !errors.is_empty() {
        labels.add("phone_errors", errors);
    }
    if complete {
        labels.add("perceived_spans", spans);
    }
    labels
}

/// How a manifest writes a phone, `err` for a sound that is none; silence is never written.
pub(crate) fn symbol(heard: Perceived) -> Option<String> {
    match heard {
        Perceived::Silence => None,
        Perceived::Error => Some(heard.to_string()),
        Perceived::Phone(phone) | Perceived::Near(phone) => Some(phone.symbol()),
    }
}

fn written(heard: Perceived) -> Value {
    match heard {
        Perceived::Near(phone) => Value::from(format!("{}*", phone.symbol())),
        other => symbol(other).into(),
    }
}

/// Whole microseconds: few enough digits to be read back as the same number.
fn micros(secs: f64) -> f64 {
    (secs * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_text::Phone;

    #[test]
    fn errors_are_at_positions_of_the_canonical_phones() {
        let known = |name| Phone::parse(name).unwrap();
        let phone = |name| Perceived::Phone(known(name));
        let mut slots = vec![
            Slot::new(Perceived::Silence, Perceived::Silence),
            Slot::new(phone("DH"), phone("D")),
            Slot::new(phone("IH"), phone("IH")),
            Slot::new(Perceived::Silence, phone("AH")),
            Slot::new(phone("S"), Perceived::Silence),
            Slot::new(phone("L"), Perceived::Near(known("L"))),
            Slot::new(phone("Z"), Perceived::Error),
        ];
        let found = labels(&slots);
        assert_eq!(found.phones.unwrap(), ["DH", "IH", "S", "L", "Z"]);
        assert_eq!(found.perceived_phones.unwrap(), ["D", "IH", "AH", "L", "err"]);
        let expected = json!({"phone_errors": [
            {"at": 0, "canonical": "DH", "perceived": "D"},
            {"at": 2, "canonical": null, "perceived": "AH"},
            {"at": 2, "canonical": "S", "perceived": null},
            {"at": 3, "canonical": "L", "perceived": "L*"},
            {"at": 4, "canonical": "Z", "perceived": "err"},
        ]});
        assert_eq!(Value::from(found.extra), expected);

        slots.truncate(5);
        for (i, slot) in slots.iter_mut().enumerate() {
            slot.span_secs = Some((i as f64 * 0.1, (i + 1) as f64 * 0.1));
        }
        assert_eq!(labels(&slots).extra["perceived_spans"], json!([[0.1, 0.2], [0.2, 0.3], [0.3, 0.4]]));
        assert!(labels(&[]).extra.is_empty());
    }
}
