//! Transcripts as LibriSpeech writes them: lower-case words of letters, digits and apostrophes.

use std::borrow::Cow;
use unicode_normalization::char::is_combining_mark;
use unicode_normalization::{UnicodeNormalization as _, is_nfc};

/// Lower case, every kind of apostrophe to `'`, punctuation and dashes to spaces, single spaces, Unicode's normal
/// form C.
///
/// Combining marks (accents, vowel signs, viramas, tone marks) and the joiners U+200C and U+200D stay in their words.
/// Characters that are not seen (soft hyphens, marks of direction, byte order marks) go. The dot of a Turkish `İ` is
/// one with its `i`. Digits and letters beyond a–z stay as they are: what they sound like is not known here, so
/// [`oddities`] reports them instead of guessing. The [marks](is_sentence_mark) `<s>`, `</s>` and `<unk>` are no
/// words.
pub fn normalise(text: &str) -> String {
    let text: Cow<'_, str> = match text.contains('<') {
        true => text
            .split_whitespace()
            .filter(|word| !is_sentence_mark(word))
            .collect::<Vec<_>>()
            .join(" ")
            .into(),
        false => text.into(),
    };
    let lower = nfc(&text).to_lowercase();
    let mut mapped = String::with_capacity(lower.len());
    // The character before in the same word; none at its start.
    let mut before: Option<char> = None;
    for c in lower.chars().filter(|c| !is_unseen(*c)) {
        let kept = match c {
            // Lower case takes İ apart.
            DOT_ABOVE if before == Some('i') => continue,
            c if is_apostrophe(c) => Some('\''),
            c if c.is_alphanumeric() && !is_combining_mark(c) => Some(c),
            // Nothing to stand on: behind punctuation, or at the start of a word.
            c if is_combining_mark(c) || is_joiner(c) => match before {
                Some('\'') | None => continue,
                Some(_) => Some(c),
            },
            _ => None,
        };
        mapped.push(kept.unwrap_or(' '));
        before = kept;
    }
    // A trimmed apostrophe may have been a plural's; LibriSpeech writes none at word edges.
    let edges = |c: char| c == '\'' || is_joiner(c);
    let words =
        mapped.split_whitespace().map(|word| word.trim_matches(edges)).filter(|word| !word.is_empty());
    nfc(&words.collect::<Vec<_>>().join(" ")).into_owned()
}

/// Normal form C: letters with accents as one character where there is one. Texts that look alike are alike.
///
/// ```
/// assert_eq!(auricle_text::nfc("e\u{301}"), "\u{e9}");
/// ```
pub fn nfc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc(text) { text.into() } else { text.nfc().collect::<String>().into() }
}

/// Whether a character is written for an apostrophe: `'`, the typographic `’` and `‘`, the letter `ʼ`, the full-width
/// `＇`, a prime, a grave or an acute accent that stands alone.
pub fn is_apostrophe(c: char) -> bool {
    matches!(
        c,
        '\'' | '`'
            | '\u{b4}'
            | '\u{2bb}'
            | '\u{2bc}'
            | '\u{2018}'
            | '\u{2019}'
            | '\u{201b}'
            | '\u{2032}'
            | '\u{2035}'
            | '\u{ff07}'
    )
}

/// Whether a word is a mark of language models, not a word: `<s>`, `</s>`, `<unk>`, in either case.
///
/// Texts that other toolkits have prepared for training have them in every line.
pub fn is_sentence_mark(word: &str) -> bool {
    ["<s>", "</s>", "<unk>"].iter().any(|mark| word.eq_ignore_ascii_case(mark))
}

/// Lower case as `normalise` has it, one word at a time: normal form C, with plain apostrophes.
pub(crate) fn folded(word: &str) -> String {
    if word.is_ascii() {
        return word.to_ascii_lowercase().replace('`', "'");
    }
    let plain = |c| if is_apostrophe(c) { '\'' } else { c };
    let seen: String = nfc(word).chars().filter(|c| !is_unseen(*c)).map(plain).collect();
    nfc(&seen.to_lowercase().replace("i\u{307}", "i")).into_owned()
}

/// Whether a character is part of a word though it is no letter: an accent, a vowel sign, a virama, a tone mark, a
/// joiner, or what is not seen.
pub(crate) fn is_inside_words(c: char) -> bool {
    is_combining_mark(c) || is_joiner(c) || is_unseen(c)
}

const DOT_ABOVE: char = '\u{307}';

/// Zero-width joiner and non-joiner: in Persian and in Indic scripts part of the spelling.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Characters that have no width and no sound: soft hyphen, marks of direction, word joiner, byte order mark,
/// variation selectors.
fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}'
    )
}

/// What a character model cannot spell in a normalised transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Oddity {
    /// There is no word.
    Empty,
    /// A digit: write numbers as words.
    Digit(char),
    /// A letter or sign beyond a–z and the apostrophe.
    Character(char),
}

/// Everything odd in a transcript, after normalisation.
pub fn oddities(text: &str) -> Vec<Oddity> {
    let text = normalise(text);
    if text.is_empty() {
        return vec![Oddity::Empty];
    }
    let odd = text.chars().filter_map(|c| match c {
        'a'..='z' | '\'' | ' ' => None,
        c if c.is_numeric() => Some(Oddity::Digit(c)),
        c => Some(Oddity::Character(c)),
    });
    odd.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn examples() {
        assert_eq!(normalise("  It\u{2019}s—\"FINE\", isn't it? "), "it's fine isn't it");
        assert_eq!(normalise("'tis the dogs' rock'n'roll"), "tis the dogs rock'n'roll");
        assert_eq!(
            oddities("route 66 café"),
            [Oddity::Digit('6'), Oddity::Digit('6'), Oddity::Character('é')]
        );
        assert_eq!(oddities("…"), [Oddity::Empty]);
        assert_eq!(oddities("plain text"), []);
    }

    #[test]
    fn every_apostrophe_is_one() {
        for c in "'`\u{b4}\u{2bb}\u{2bc}\u{2018}\u{2019}\u{201b}\u{2032}\u{ff07}".chars() {
            assert_eq!(normalise(&format!("don{c}t {c}quoted{c}")), "don't quoted", "{c}");
            assert_eq!(folded(&format!("DON{c}T")), "don't", "{c}");
        }
    }

    #[test]
    fn marks_and_joiners_stay_in_their_words() {
        for word in [
            "हिन्दी",
            "भाषा",
            "क्‍ष",
            "ไม่เป็นไร",
            "tiếng",
            "לְשׁוֹן",
            "نمی‌خواهم",
            "מַלְכָּה",
            "বাংলা",
            "தமிழ்",
            "བོད་".trim_end_matches('་'),
            "yorùbá",
            "ẹ̀kọ́",
            "й",
            "ṭhīk",
        ] {
            let said = normalise(&format!("«{word}», {word}!"));
            assert_eq!(said, format!("{0} {0}", nfc(word)), "{word}");
        }
        // What a mark has nothing to stand on for, and joiners at an edge, go.
        assert_eq!(normalise("\u{301}a \u{200d}b\u{200c} '\u{301}c"), "a b c");
        assert_eq!(normalise("co\u{ad}operate \u{200f}a\u{200e} \u{feff}b"), "cooperate a b");
        assert_eq!(normalise("a\u{200b}b"), "a b", "a zero-width space is a space");
    }

    #[test]
    fn what_looks_alike_is_alike() {
        for (one, other) in [
            ("un café très près", "un cafe\u{301} tre\u{300}s pre\u{300}s"),
            ("İstanbul", "i̇stanbul"),
            ("İSTANBUL", "istanbul"),
            ("한국어", "한국어"),
            ("Å", "\u{212b}"),
            ("ΟΔΌΣ", "οδός"),
            ("Việt", "Vie\u{323}\u{302}t"),
            ("é\u{327}", "e\u{327}\u{301}"),
        ] {
            assert_eq!(normalise(one), normalise(other), "{one}");
        }
        assert_ne!(normalise("ısı"), normalise("isi"), "a Turkish ı is another letter");
    }

    #[test]
    fn marks_of_sentences_are_no_words() {
        assert_eq!(normalise("<s> we call <UNK> it </s>"), "we call it");
        assert_eq!(normalise("a<b s> <sil>"), "a b s sil");
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "(\\PC|[\u{300}-\u{345}\u{200c}\u{200d}\u{ad}iİΣ'’\u{94d}\u{e48}<>s/]){0,60}") {
            let once = normalise(&text);
            prop_assert_eq!(normalise(&once), once);
        }

        /// Decomposed or not, it is the same text.
        #[test]
        fn the_normal_form_of_the_text_does_not_matter(text in "(\\PC|[a-zà-ÿ\u{300}-\u{345}가-힣ấ]){0,40}") {
            let decomposed: String = text.nfd().collect();
            prop_assert_eq!(normalise(&decomposed), normalise(&text));
        }
    }
}
