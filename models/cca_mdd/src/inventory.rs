//! Class numbers of phones.

/// The phones of CMUdict; the place in this list is the class number.
pub const SYMBOLS: [&str; 39] = [
    "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH", "IH", "IY", "JH", "K",
    "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH",
];
/// Number of phones.
pub const PHONES: usize = SYMBOLS.len();
/// A sound that is none of the phones, or is not known.
pub const ERR: u32 = 39;
/// The CTC decoder's class for "no phone".
pub const BLANK: u32 = 40;
/// The phone predictor's class for a canonical phone that was not said.
pub const DELETED: u32 = 40;
/// Number of classes of the CTC decoder, of the phone predictor and of the phone embedding.
pub const CLASSES: usize = 41;

/// The class of a phone symbol; stress digits and case do not matter.
pub fn class(symbol: &str) -> Option<u32> {
    let plain = symbol.trim_end_matches(|c: char| c.is_ascii_digit());
    match SYMBOLS.iter().position(|known| known.eq_ignore_ascii_case(plain)) {
        Some(at) => Some(at as u32),
        None if plain.eq_ignore_ascii_case("err") || plain.eq_ignore_ascii_case("<unk>") => Some(ERR),
        None => None,
    }
}

/// The symbol of a class of the CTC decoder or the phone predictor.
pub fn symbol(class: u32) -> &'static str {
    match class {
        ERR => "err",
        DELETED => "<del>",
        _ => SYMBOLS.get(class as usize).copied().unwrap_or("err"),
    }
}

/// Whether a phone is a vowel.
pub fn is_vowel(class: u32) -> bool {
    SYMBOLS.get(class as usize).is_some_and(|symbol| symbol.starts_with(['A', 'E', 'I', 'O', 'U']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_symbol_has_its_class() {
        for (i, name) in SYMBOLS.iter().enumerate() {
            assert_eq!(class(name), Some(i as u32));
            assert_eq!(symbol(i as u32), *name);
        }
        assert_eq!(class("ah0"), class("AH"));
        assert_eq!(class("<unk>"), Some(ERR));
        assert_eq!(class("QX"), None);
        assert_eq!((0..PHONES as u32).filter(|&p| is_vowel(p)).count(), 15);
    }
}
