//! Tokens with digits.

use super::bare;
use crate::numbers::{cardinal, one_by_one, ordinal, year};

/// Sign, one of it, many of it, a hundredth, many hundredths.
type Currency = (char, &'static str, &'static str, &'static str, &'static str);

const MONEY: [Currency; 4] = [
    ('$', "dollar", "dollars", "cent", "cents"),
    ('£', "pound", "pounds", "penny", "pence"),
    ('€', "euro", "euros", "cent", "cents"),
    ('¥', "yen", "yen", "sen", "sen"),
];

/// Written, one of it, many of it. Those of one letter and `in` only right behind a number.
const UNITS: [(&str, &str, &str); 40] = [
    ("%", "percent", "percent"),
    ("°", "degree", "degrees"),
    ("°c", "degree celsius", "degrees celsius"),
    ("°f", "degree fahrenheit", "degrees fahrenheit"),
    ("km", "kilometer", "kilometers"),
    ("cm", "centimeter", "centimeters"),
    ("mm", "millimeter", "millimeters"),
    ("m", "meter", "meters"),
    ("mi", "mile", "miles"),
    ("ft", "foot", "feet"),
    ("in", "inch", "inches"),
    ("yd", "yard", "yards"),
    ("kg", "kilogram", "kilograms"),
    ("g", "gram", "grams"),
    ("mg", "milligram", "milligrams"),
    ("lb", "pound", "pounds"),
    ("lbs", "pound", "pounds"),
    ("oz", "ounce", "ounces"),
    ("ml", "milliliter", "milliliters"),
    ("l", "liter", "liters"),
    ("mph", "mile per hour", "miles per hour"),
    ("kph", "kilometer per hour", "kilometers per hour"),
    ("km/h", "kilometer per hour", "kilometers per hour"),
    ("hz", "hertz", "hertz"),
    ("khz", "kilohertz", "kilohertz"),
    ("mhz", "megahertz", "megahertz"),
    ("ghz", "gigahertz", "gigahertz"),
    ("kb", "kilobyte", "kilobytes"),
    ("mb", "megabyte", "megabytes"),
    ("gb", "gigabyte", "gigabytes"),
    ("tb", "terabyte", "terabytes"),
    ("kw", "kilowatt", "kilowatts"),
    ("hr", "hour", "hours"),
    ("hrs", "hour", "hours"),
    ("min", "minute", "minutes"),
    ("mins", "minute", "minutes"),
    ("sec", "second", "seconds"),
    ("secs", "second", "seconds"),
    ("ms", "millisecond", "milliseconds"),
    ("k", "thousand", "thousand"),
];

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Longer numbers are read digit by digit.
const MAX_DIGITS: usize = 18;

/// What the token `at` and perhaps some behind it say, and how many these are. `None` where there is no
/// number in it, or one that is not read as a number (`mp3`).
pub(super) fn say(tokens: &[&str], at: usize) -> Option<(String, usize)> {
    let token = bare(tokens[at]).trim_end_matches(['.', '-']).to_lowercase();
    if !token.contains(|c: char| c.is_ascii_digit() || "½¼¾".contains(c)) {
        return None;
    }
    let behind = |n: usize| tokens.get(at + n).map(|next| bare(next).trim_end_matches('.').to_lowercase());
    let next = behind(1).unwrap_or_default();
    let half_of_day = |text: &str| match text.replace('.', "").as_str() {
        "am" => Some("a m"),
        "pm" => Some("p m"),
        _ => None,
    };
    if let Some((words, full_hour)) = time(&token) {
        return Some(match half_of_day(&next) {
            Some(half) => (format!("{} {half}", words), 2),
            None if full_hour => {
                (format!("{words} {}", if clock_hours(&token) { "o'clock" } else { "hundred" }), 1)
            }
            None => (words, 1),
        });
    }
    let glued = ["a.m", "p.m", "am", "pm"]
        .iter()
        .find_map(|half| Some((token.strip_suffix(half)?, half_of_day(half)?)));
    if let Some((hour, half)) = glued {
        let words = time(hour).map(|(words, _)| words).or_else(|| Some(cardinal(hour_of(hour)?).join(" ")));
        return words.map(|words| (format!("{words} {half}"), 1));
    }
    if let (Some(hour), Some(half)) = (hour_of(&token), half_of_day(&next)) {
        return Some((format!("{} {half}", cardinal(hour).join(" ")), 2));
    }
    if let Some((amount, sign)) = money(&token) {
        return say_money(amount, sign, &next);
    }
    if let Some(rest) = token.strip_prefix('#') {
        return Some((format!("number {}", number(rest)?), 1));
    }
    if let Some(words) = date(&token).or_else(|| fraction(&token)).or_else(|| place_or_decade(&token)) {
        return Some((words, 1));
    }
    if let Some(words) = number(&token) {
        let one = token == "1";
        // "3 in a row", "5 m" and "20 %".
        let apart = |unit: &str| unit != "in" && (unit.chars().count() > 1 || matches!(unit, "%" | "°"));
        let unit = UNITS.iter().find(|(unit, ..)| *unit == next && apart(unit));
        return Some(match unit {
            Some((_, single, many)) => (format!("{words} {}", if one { single } else { many }), 2),
            None => (words, 1),
        });
    }
    // A number with its unit right behind it.
    let end = token.rfind(|c: char| c.is_ascii_digit()).map_or(0, |end| end + 1);
    if let (Some(words), Some((_, single, many))) =
        (number(&token[..end]), UNITS.iter().find(|(unit, ..)| *unit == &token[end..]))
    {
        return Some((format!("{words} {}", if &token[..end] == "1" { single } else { many }), 1));
    }
    range(&token).map(|words| (words, 1))
}

/// A number that is counted, with a sign, groups, decimals; or a year.
fn number(text: &str) -> Option<String> {
    if let Some(rest) = text.strip_prefix('-') {
        return number(rest).filter(|_| !rest.starts_with('-')).map(|words| format!("minus {words}"));
    }
    if let Some(rest) = text.strip_prefix('+') {
        return number(rest).filter(|_| !rest.starts_with(['+', '-'])).map(|words| format!("plus {words}"));
    }
    let (whole, decimals) = match text.split_once('.') {
        Some((whole, decimals)) => (whole, Some(decimals)),
        None => (text, None),
    };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let groups: Vec<&str> = whole.split(',').collect();
    let digits = match groups.as_slice() {
        [one] => (*one).to_owned(),
        [first, rest @ ..] if (1..=3).contains(&first.len()) && rest.iter().all(|group| group.len() == 3) => {
            groups.concat()
        }
        _ => return None,
    };
    match decimals {
        None if !is_digits(&digits) => None,
        None => Some(whole_number(&digits, groups.len() == 1)),
        Some(decimals) if !is_digits(decimals) || !(digits.is_empty() || is_digits(&digits)) => None,
        Some(decimals) => {
            let whole = if digits.is_empty() { String::new() } else { whole_number(&digits, false) };
            Some(format!("{whole} point {}", one_by_one(decimals).join(" ")).trim().to_owned())
        }
    }
}

fn whole_number(digits: &str, perhaps_year: bool) -> String {
    let value = digits.parse::<u64>().ok().filter(|_| digits.len() <= MAX_DIGITS);
    match value {
        Some(value) if perhaps_year && digits.len() == 4 && (1100..2100).contains(&value) => year(value),
        Some(value) if digits.len() == 1 || !digits.starts_with('0') => cardinal(value),
        _ => one_by_one(digits),
    }
    .join(" ")
}

/// An hour of the day in one or two digits.
fn hour_of(text: &str) -> Option<u64> {
    let fits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|hour| fits && *hour < 24)
}

fn clock_hours(token: &str) -> bool {
    token.split(':').next().and_then(hour_of).is_some_and(|hour| (1..=12).contains(&hour))
}

/// `h:mm` or `h:mm:ss`, and whether it is a full hour.
fn time(token: &str) -> Option<(String, bool)> {
    let parts: Vec<&str> = token.split(':').collect();
    let [hour, rest @ ..] = parts.as_slice() else { return None };
    let two =
        |text: &&str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()) && **text < *"60";
    if !(1..=2).contains(&rest.len()) || !rest.iter().all(two) {
        return None;
    }
    let mut words = cardinal(hour_of(hour)?).join(" ");
    if rest == ["00"] {
        return Some((words, true));
    }
    for (i, part) in rest.iter().enumerate() {
        let value: u64 = part.parse().ok()?;
        let spelt = cardinal(value).join(" ");
        match (i, value) {
            (0, 0) => words += " hundred",
            (0, 1..10) => words += &format!(" oh {spelt}"),
            (0, _) => words += &format!(" {spelt}"),
            (_, _) => words += &format!(" and {spelt} second{}", if value == 1 { "" } else { "s" }),
        }
    }
    Some((words, false))
}

fn money(token: &str) -> Option<(&str, &'static Currency)> {
    MONEY
        .iter()
        .find_map(|sign| Some((token.strip_prefix(sign.0).or_else(|| token.strip_suffix(sign.0))?, sign)))
}

fn say_money(
    amount: &str,
    (_, single, many, hundredth, hundredths): &Currency,
    next: &str,
) -> Option<(String, usize)> {
    let scales = [
        ("thousand", "k"),
        ("million", "m"),
        ("million", "mn"),
        ("billion", "b"),
        ("billion", "bn"),
        ("trillion", "tn"),
    ];
    let end = amount.rfind(|c: char| c.is_ascii_digit()).map_or(0, |end| end + 1);
    let (count, scale) = amount.split_at(end);
    let glued = scales.iter().find(|(_, short)| *short == scale).map(|(word, _)| *word);
    let behind = scales.iter().find(|(word, _)| *word == next).map(|(word, _)| *word);
    if let Some(word) = glued.or(behind) {
        if glued.is_none() && !scale.is_empty() {
            return None;
        }
        return Some((format!("{} {word} {many}", number(count)?), 1 + usize::from(glued.is_none())));
    }
    if !scale.is_empty() {
        return None;
    }
    let (whole, cents) = match count.split_once('.') {
        Some((whole, cents)) if cents.len() == 2 => (whole, cents.parse::<u64>().ok()?),
        _ => (count, 0),
    };
    // Not a year.
    let grouped: String = whole.chars().filter(|c| *c != ',').collect();
    let said = match grouped.parse::<u64>() {
        Ok(value) if grouped.len() <= MAX_DIGITS => cardinal(value).join(" "),
        _ => number(whole)?,
    };
    let units = if grouped == "1" { single } else { many };
    let small = if cents == 1 { hundredth } else { hundredths };
    let words = match (grouped.as_str(), cents) {
        (_, 0) => format!("{said} {units}"),
        ("0", cents) => format!("{} {small}", cardinal(cents).join(" ")),
        (_, cents) => format!("{said} {units} and {} {small}", cardinal(cents).join(" ")),
    };
    Some((words, 1))
}

/// `month/day/year`.
fn date(token: &str) -> Option<String> {
    let parts: Vec<u64> = token.split('/').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [month @ 1..=12, day @ 1..=31, year_number @ 1100..=2099] = parts[..] else { return None };
    Some(format!("{} {} {}", MONTHS[month as usize - 1], ordinal(day).join(" "), year(year_number).join(" ")))
}

fn fraction(token: &str) -> Option<String> {
    let (whole, over) = match token.chars().last()? {
        '½' => (token.strip_suffix('½')?, "half"),
        '¼' => (token.strip_suffix('¼')?, "quarter"),
        '¾' => (token.strip_suffix('¾')?, "three quarters"),
        _ => {
            let (over, under) = token.split_once('/')?;
            let (over, under): (u64, u64) = (over.parse().ok()?, under.parse().ok()?);
            let many = if over == 1 { "" } else { "s" };
            return Some(match under {
                2 => format!("{} {}", cardinal(over).join(" "), if over == 1 { "half" } else { "halves" }),
                4 => format!("{} quarter{many}", cardinal(over).join(" ")),
                3..=20 => format!("{} {}{many}", cardinal(over).join(" "), ordinal(under).join(" ")),
                _ => format!("{} over {}", cardinal(over).join(" "), cardinal(under).join(" ")),
            });
        }
    };
    let part = if over.starts_with("three") { over.to_owned() } else { format!("a {over}") };
    match whole {
        "" => Some(if over.starts_with("three") { over.to_owned() } else { format!("one {over}") }),
        whole => number(whole).map(|words| format!("{words} and {part}")),
    }
}

/// `22nd`, `1980s`, `80s`.
fn place_or_decade(token: &str) -> Option<String> {
    let end = token.find(|c: char| !c.is_ascii_digit() && c != ',')?;
    let (digits, rest) = token.split_at(end);
    let value: u64 = digits.replace(',', "").parse().ok()?;
    match rest {
        "st" | "nd" | "rd" | "th" => Some(ordinal(value).join(" ")),
        "s" | "'s" if value.is_multiple_of(10) && ((20..100).contains(&value) || digits.len() == 4) => {
            let mut words = if value < 100 { cardinal(value) } else { year(value) }.join(" ");
            if let Some(stem) = words.strip_suffix('y') {
                words = format!("{stem}ies");
            } else {
                words.push('s');
            }
            Some(words)
        }
        _ => None,
    }
}

/// `10-20`, `5x3`.
fn range(token: &str) -> Option<String> {
    let (from, to) = token.split_once('-')?;
    Some(format!("{} to {}", number(from)?, number(to)?))
}
