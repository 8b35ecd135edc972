//! Transcripts as LibriSpeech writes them: lower-case words of a–z and apostrophes.

/// Lower case, typographic apostrophes to `'`, punctuation and dashes to spaces, single spaces.
///
/// Digits and letters beyond a–z stay as they are: what they sound like is not known here, so
/// [`oddities`] reports them instead of guessing.
pub fn normalise(text: &str) -> String {
    let mapped: String = text
        .chars()
        .flat_map(|c| match c {
            '\u{2018}' | '\u{2019}' | '\u{02BC}' | '`' => '\''.to_lowercase(),
            c if c == '\'' || c.is_alphanumeric() => c.to_lowercase(),
            _ => ' '.to_lowercase(),
        })
        .collect();
    let words = mapped.split_whitespace().map(|word| word.trim_matches('\'')).filter(|word| !word.is_empty());
    // A trimmed apostrophe may have been a plural's; LibriSpeech writes none at word edges.
    words.collect::<Vec<_>>().join(" ")
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

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,60}") {
            let once = normalise(&text);
            prop_assert_eq!(normalise(&once), once);
        }
    }
}
