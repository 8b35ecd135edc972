//! Class numbers of phones: the place in [`Phone::ALL`], then two more.

use auricle_text::phones::Phone;

/// A sound that is none of the phones, or is not known.
pub const ERR: u32 = Phone::COUNT as u32;
/// The CTC decoder's class for "no phone".
pub const BLANK: u32 = ERR + 1;
/// The phone predictor's class for a canonical phone that was not said.
pub const DELETED: u32 = ERR + 1;
/// Number of classes of the CTC decoder, of the phone predictor and of the phone embedding.
pub const CLASSES: usize = Phone::COUNT + 2;

/// The class of a phone's name in a manifest; stress and case do not matter.
pub fn class(name: &str) -> Option<u32> {
    match Phone::parse(name) {
        Some(phone) => Some(phone.index() as u32),
        None => ["err", "<unk>"].iter().any(|known| known.eq_ignore_ascii_case(name)).then_some(ERR),
    }
}

/// The phone of a class, where it is one.
pub fn phone(class: u32) -> Option<Phone> {
    Phone::from_index(class as usize)
}

/// What to call a class of the phone predictor or a heard sound.
pub fn name(class: u32) -> &'static str {
    match (phone(class), class) {
        (Some(phone), _) => phone.name(),
        (None, DELETED) => "<del>",
        _ => "err",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_name() {
        for (i, phone) in Phone::ALL.iter().enumerate() {
            assert_eq!(class(phone.name()), Some(i as u32));
            assert_eq!(name(i as u32), phone.name());
        }
        assert_eq!(class("AH0"), class("ah"));
        assert_eq!((class("<unk>"), class("QX")), (Some(ERR), None));
        assert_eq!((name(ERR), name(DELETED)), ("err", "<del>"));
    }
}
