//! Analysis of mistakes: the kind of a mistake, and what the mouth did otherwise.

use crate::Slot;
use crate::inventory::{self, ERR};
use auricle_text::phones::{Features, Phone};

/// Questions asked of every canonical phone.
pub const QUESTIONS: usize = 7;

/// Substituted, deleted, other place, manner, voicing, height, backness; `None` where it is not known
/// what was said.
///
/// The analysis part of learning from mistakes (arXiv 2310.10477): the model must say why a phone is
/// wrong, not only that it is. A feature that only one of the two phones has counts as changed.
pub fn answers(slot: &Slot) -> Option<[bool; QUESTIONS]> {
    let Some(said) = slot.perceived else { return Some([false, true, false, false, false, false, false]) };
    if said == ERR || slot.canonical == ERR {
        return None;
    }
    let (should, said) = (inventory::phone(slot.canonical)?, inventory::phone(said)?);
    let [place, manner, voicing, height, backness] = changed(should, said);
    Some([should != said, false, place, manner, voicing, height, backness])
}

/// Whether two phones differ in place, manner, voicing, height, backness.
fn changed(a: Phone, b: Phone) -> [bool; 5] {
    let (a, b) = (Made::of(a), Made::of(b));
    [
        a.place != b.place,
        a.manner != b.manner,
        a.voiced != b.voiced,
        a.height != b.height,
        a.backness != b.backness,
    ]
}

/// In how many of these two phones differ.
pub fn differences(a: Phone, b: Phone) -> usize {
    changed(a, b).into_iter().filter(|changed| *changed).count()
}

/// The features of a phone, those it doesn't have as `None`.
#[derive(PartialEq)]
struct Made {
    place: Option<auricle_text::phones::Place>,
    manner: Option<auricle_text::phones::Manner>,
    voiced: bool,
    height: Option<auricle_text::phones::Height>,
    backness: Option<auricle_text::phones::Backness>,
}

impl Made {
    fn of(phone: Phone) -> Self {
        match phone.features() {
            Features::Vowel { height, backness, .. } => Self {
                place: None,
                manner: None,
                voiced: true,
                height: Some(height),
                backness: Some(backness),
            },
            Features::Consonant { place, manner, voiced } => {
                Self { place: Some(place), manner: Some(manner), voiced, height: None, backness: None }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(canonical: &str, perceived: Option<&str>) -> Slot {
        let class = |name| inventory::class(name).unwrap();
        Slot { canonical: class(canonical), perceived: perceived.map(class), badness: 0.0 }
    }

    #[test]
    fn mistakes_are_analysed() {
        let of = |canonical, perceived| answers(&slot(canonical, perceived));
        assert_eq!(of("TH", Some("TH")), Some([false; QUESTIONS]));
        assert_eq!(of("TH", None), Some([false, true, false, false, false, false, false]));
        // "think" as "sink": another place, the same manner.
        assert_eq!(of("TH", Some("S")), Some([true, false, true, false, false, false, false]));
        assert_eq!(of("D", Some("T")), Some([true, false, false, false, true, false, false]));
        assert_eq!(of("IY", Some("IH")), Some([true, false, false, false, false, true, false]));
        assert_eq!(of("UW", Some("IY")), Some([true, false, false, false, false, false, true]));
        assert_eq!(of("W", Some("UW")), Some([true, false, true, true, false, true, true]));
        assert_eq!(of("TH", Some("err")), None);
    }
}
