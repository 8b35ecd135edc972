//! Lexicons in few bytes: words front-coded in order, phones one byte each.
//!
//! ```text
//! "AURLEX1\n"  number of words u32 LE
//! per word: bytes shared with the word before u8, further bytes u8, those bytes,
//!           pronunciations u8 (bit 7: adds), per pronunciation: phones u8, those phones u8
//! ```

use super::{Entry, Lexicon, LexiconError, MAX_PHONES, MAX_PRONUNCIATIONS, MAX_WORD_BYTES, MAX_WORDS};
use crate::phones::Phone;

const MAGIC: &[u8] = b"AURLEX1\n";
const ADDS: u8 = 1 << 7;

impl Lexicon {
    /// The lexicon as bytes, about half the size of the text.
    pub fn to_compact(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend((self.entries.len() as u32).to_le_bytes());
        let mut last: &[u8] = &[];
        // The limits of `push` make every length fit a byte.
        for (word, entry) in &self.entries {
            let word = word.as_bytes();
            let shared = word.iter().zip(last).take_while(|(a, b)| a == b).count();
            out.extend([shared as u8, (word.len() - shared) as u8]);
            out.extend(&word[shared..]);
            out.push(entry.pronunciations.len() as u8 | if entry.adds { ADDS } else { 0 });
            for pronunciation in &entry.pronunciations {
                out.push(pronunciation.len() as u8);
                out.extend(pronunciation.iter().map(|phone| phone.index() as u8));
            }
            last = word;
        }
        out
    }

    /// The lexicon of [`Lexicon::to_compact`].
    ///
    /// # Errors
    /// The bytes are no compact lexicon: cut, with words out of order, with unknown phones, or with
    /// something behind the end.
    pub fn from_compact(bytes: &[u8]) -> Result<Self, LexiconError> {
        read(bytes).map_err(|reason| LexiconError::Compact(reason.into()))
    }
}

fn read(bytes: &[u8]) -> Result<Lexicon, &'static str> {
    let mut rest = bytes.strip_prefix(MAGIC).ok_or("it does not begin with `AURLEX1`")?;
    let count = take(&mut rest, 4)?.iter().rev().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
    if count > MAX_WORDS {
        return Err("too many words");
    }
    let mut lexicon = Lexicon::default();
    let mut word = Vec::new();
    for i in 0..count {
        let (shared, more) = (byte(&mut rest)?, byte(&mut rest)?);
        if shared > word.len() || shared + more > MAX_WORD_BYTES {
            return Err("a word that is too long");
        }
        let last = word.clone();
        word.truncate(shared);
        word.extend(take(&mut rest, more)?);
        if i > 0 && word <= last || word.is_empty() {
            return Err("words out of order");
        }
        let text = String::from_utf8(word.clone()).map_err(|_| "a word that is not UTF-8")?;
        let flags = byte(&mut rest)?;
        let (adds, number) = (flags & usize::from(ADDS) != 0, flags & usize::from(!ADDS));
        if !(1..=MAX_PRONUNCIATIONS).contains(&number) {
            return Err("a word with no or too many pronunciations");
        }
        let mut pronunciations = Vec::with_capacity(number);
        for _ in 0..number {
            let length = byte(&mut rest)?;
            if !(1..=MAX_PHONES).contains(&length) {
                return Err("a pronunciation with no or too many phones");
            }
            let phones = take(&mut rest, length)?.iter().map(|index| Phone::from_index(usize::from(*index)));
            pronunciations.push(phones.collect::<Option<Vec<_>>>().ok_or("an unknown phone")?);
        }
        lexicon.entries.insert(text, Entry { pronunciations, adds });
    }
    if rest.is_empty() { Ok(lexicon) } else { Err("something stands behind the last word") }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], &'static str> {
    let (taken, left) = rest.split_at_checked(count).ok_or("it ends too early")?;
    *rest = left;
    Ok(taken)
}

fn byte(rest: &mut &[u8]) -> Result<usize, &'static str> {
    take(rest, 1).map(|taken| usize::from(taken[0]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn small() -> Lexicon {
        let text = "a AH\na(2) EY\nabout AH B AW T\nabove(2) AH B AH V\nzoo Z UW\n";
        Lexicon::parse(text, "test").unwrap()
    }

    #[test]
    fn it_reads_back_and_damage_is_told() {
        let bytes = small().to_compact();
        assert_eq!(Lexicon::from_compact(&bytes).unwrap(), small());
        for cut in 0..bytes.len() {
            assert!(Lexicon::from_compact(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut longer = bytes;
        longer.push(0);
        let error = Lexicon::from_compact(&longer).unwrap_err().to_string();
        assert_eq!(error, "compact lexicon: something stands behind the last word");
    }

    proptest! {
        #[test]
        fn any_change_is_an_answer(at in 8usize..60, value: u8) {
            let mut bytes = small().to_compact();
            let at = at % bytes.len();
            bytes[at] = value;
            // What is accepted is a lexicon like any other.
            if let Ok(lexicon) = Lexicon::from_compact(&bytes) {
                prop_assert_eq!(Lexicon::from_compact(&lexicon.to_compact()).unwrap(), lexicon);
            }
        }
    }
}
