//! Written text as it is read aloud, in words that a lexicon or letter-to-sound model can pronounce.

mod numeric;
mod words;

use crate::g2p::unaccented;
use crate::normalise::{is_apostrophe, is_sentence_mark, nfc, normalise};

/// Text as it is said in American English: lower-case words of a–z and apostrophes, as
/// [`normalise`](crate::normalise()) writes them.
///
/// | Written | Said |
/// |---|---|
/// | `3`, `1,234`, `-5`, `3.14`, `½` | three, one thousand two hundred thirty four, minus five, three point one four, one half |
/// | `22nd`, `1984`, `1980s`, `007` | twenty second, nineteen eighty four, nineteen eighties, zero zero seven |
/// | `7:05 pm`, `19:00`, `12/25/2020` | seven oh five p m, nineteen hundred, december twenty fifth twenty twenty |
/// | `$3.50`, `£5 million`, `50%` | three dollars and fifty cents, five million pounds, fifty percent |
/// | `Dr. Lee`, `Main St.`, `e.g.`, `5 km` | doctor lee, main street, for example, five kilometers |
/// | `R&B`, `a@b.com`, `mp3` | r and b, a at b dot com, m p three |
///
/// A number of four digits from 1100 to 2099 is read as a year, one that begins with 0 or has more than
/// 18 digits digit by digit. Accents are left out where English reads the letter without; what else is
/// beyond a–z stays, and [`oddities`](crate::oddities()) tells of it.
///
/// ```
/// assert_eq!(auricle_text::spoken("Wake me at 7:30, Dr. Lee!"), "wake me at seven thirty doctor lee");
/// ```
pub fn spoken(text: &str) -> String {
    let text: String = nfc(text).chars().map(plain).collect();
    let tokens: Vec<&str> = text.split_whitespace().filter(|word| !is_sentence_mark(word)).collect();
    let mut said = String::new();
    let mut at = 0;
    while at < tokens.len() {
        let (words, used) =
            numeric::say(&tokens, at).or_else(|| words::say(&tokens, at)).unwrap_or_else(|| {
                let word = words::signs(tokens[at]);
                (word, 1)
            });
        said.push_str(&words);
        said.push(' ');
        at += used.max(1);
    }
    let said: String = said.chars().map(lower_unaccented).collect();
    normalise(&said)
}

/// Typographic signs as those of ASCII.
fn plain(c: char) -> char {
    match c {
        c if is_apostrophe(c) => '\'',
        '\u{2212}' | '\u{2010}' | '\u{2011}' => '-',
        '\u{2013}' => '-',
        other => other,
    }
}

fn lower_unaccented(c: char) -> char {
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) if unaccented(one) != one => unaccented(one),
        _ => c,
    }
}

/// A token without the punctuation around it; signs that are said and periods stay.
fn bare(token: &str) -> &str {
    token.trim_matches(|c: char| {
        c.is_ascii_punctuation() && !"$%#&+-.@°".contains(c) || "“”„…¿¡«»".contains(c)
    })
}

#[cfg(test)]
mod tests;
