//! Abbreviations and signs.

use super::bare;
use crate::numbers::{cardinal, one_by_one};

/// With a period behind, what they stand for.
const ABBREVIATIONS: [(&str, &str); 44] = [
    ("mr", "mister"),
    ("mrs", "missus"),
    ("prof", "professor"),
    ("jr", "junior"),
    ("sr", "senior"),
    ("vs", "versus"),
    ("etc", "et cetera"),
    ("e.g", "for example"),
    ("i.e", "that is"),
    ("approx", "approximately"),
    ("dept", "department"),
    ("ave", "avenue"),
    ("blvd", "boulevard"),
    ("rd", "road"),
    ("mt", "mount"),
    ("ft", "fort"),
    ("inc", "incorporated"),
    ("ltd", "limited"),
    ("corp", "corporation"),
    ("gov", "governor"),
    ("sen", "senator"),
    ("gen", "general"),
    ("col", "colonel"),
    ("capt", "captain"),
    ("lt", "lieutenant"),
    ("sgt", "sergeant"),
    ("rev", "reverend"),
    ("vol", "volume"),
    ("est", "established"),
    ("jan", "january"),
    ("feb", "february"),
    ("apr", "april"),
    ("aug", "august"),
    ("sept", "september"),
    ("sep", "september"),
    ("oct", "october"),
    ("nov", "november"),
    ("dec", "december"),
    ("mon", "monday"),
    ("tue", "tuesday"),
    ("tues", "tuesday"),
    ("wed", "wednesday"),
    ("thurs", "thursday"),
    ("fri", "friday"),
];

/// These need no period.
const ALWAYS: [&str; 4] = ["mr", "mrs", "vs", "etc"];

/// What an abbreviation says; `None` where the token is none.
pub(super) fn say(tokens: &[&str], at: usize) -> Option<(String, usize)> {
    let token = bare(tokens[at]);
    let lower = token.to_lowercase();
    let (stem, dotted) = match lower.strip_suffix('.') {
        Some(stem) => (stem, true),
        None => (lower.as_str(), false),
    };
    let next = tokens.get(at + 1).map(|next| bare(next));
    let is_name = |word: Option<&str>| word.is_some_and(|word| word.starts_with(char::is_uppercase));
    let before_name = is_name(next) || at == 0;
    let words = match stem {
        "dr" if before_name => "doctor",
        "dr" if dotted => "drive",
        "st" if before_name && dotted => "saint",
        "st" if dotted => "street",
        "no" if dotted && next.is_some_and(|next| next.starts_with(|c: char| c.is_ascii_digit())) => "number",
        stem if dotted || ALWAYS.contains(&stem) => {
            ABBREVIATIONS.iter().find(|(short, _)| *short == stem).map(|(_, long)| *long)?
        }
        _ => return None,
    };
    Some((words.to_owned(), 1))
}

/// A token with its signs and digits in words.
pub(super) fn signs(token: &str) -> String {
    let token = bare(token).trim_end_matches('.');
    let mixed = token.contains(|c: char| c.is_ascii_digit()) && token.contains(char::is_alphabetic);
    let address = token.contains('@') || token.contains("www.");
    let mut said = String::new();
    let characters: Vec<char> = token.chars().collect();
    let mut at = 0;
    while at < characters.len() {
        let c = characters[at];
        let is_letter = |offset: usize| characters.get(at + offset).is_some_and(|c| c.is_alphabetic());
        let run = |of: fn(char) -> bool| -> String {
            characters[at..].iter().copied().take_while(|c| of(*c)).collect()
        };
        match c {
            '&' => said += " and ",
            '+' => said += " plus ",
            '=' => said += " equals ",
            '@' => said += " at ",
            '%' => said += " percent ",
            '#' if is_letter(1) => said += " hashtag ",
            // `example.com`; in `U.S.` every letter stands alone.
            '.' if is_letter(1)
                && (address || is_letter(2) && at > 1 && characters[at - 2].is_alphabetic()) =>
            {
                said += " dot ";
            }
            c if c.is_ascii_digit() => {
                let digits = run(|c| c.is_ascii_digit());
                let short = digits.len() < 4 && (digits.len() == 1 || !digits.starts_with('0'));
                let words = match digits.parse() {
                    Ok(value) if short => cardinal(value),
                    _ => one_by_one(&digits),
                };
                said += &format!(" {} ", words.join(" "));
                at += digits.len();
                continue;
            }
            c if c.is_alphabetic() && mixed => {
                let letters = run(char::is_alphabetic);
                let spell = !letters.to_lowercase().contains(['a', 'e', 'i', 'o', 'u', 'y']);
                for letter in letters.chars() {
                    said.push(letter);
                    said.extend(Some(' ').filter(|_| spell));
                }
                at += letters.chars().count();
                continue;
            }
            c => said.push(c),
        }
        at += 1;
    }
    said
}
