//! Numbers in words.

const BELOW_TWENTY: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] =
    ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

const SCALES: [&str; 7] = ["", "thousand", "million", "billion", "trillion", "quadrillion", "quintillion"];

/// The words of a number of up to four digits, as it is counted ("one thousand nine hundred eighty
/// four"); a number that begins with 0 digit by digit. `None` for anything else.
pub(crate) fn spell(digits: &str) -> Option<Vec<&'static str>> {
    if digits.is_empty() || digits.len() > 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return Some(one_by_one(digits));
    }
    Some(cardinal(digits.parse().ok()?))
}

/// ASCII digits one by one; everything else is passed over.
pub(crate) fn one_by_one(digits: &str) -> Vec<&'static str> {
    digits.bytes().filter(u8::is_ascii_digit).map(|byte| BELOW_TWENTY[usize::from(byte - b'0')]).collect()
}

/// A number as it is counted.
pub(crate) fn cardinal(number: u64) -> Vec<&'static str> {
    if number == 0 {
        return vec![BELOW_TWENTY[0]];
    }
    let mut words = Vec::new();
    for (power, scale) in SCALES.iter().enumerate().rev() {
        let group = number / 1000u64.pow(power as u32) % 1000;
        if group > 0 {
            below_thousand(group as usize, &mut words);
            words.extend(Some(*scale).filter(|scale| !scale.is_empty()));
        }
    }
    words
}

fn below_thousand(mut number: usize, words: &mut Vec<&'static str>) {
    if number >= 100 {
        words.extend([BELOW_TWENTY[number / 100], "hundred"]);
        number %= 100;
    }
    if number >= 20 {
        words.push(TENS[number / 10]);
        number %= 10;
    }
    if number > 0 {
        words.push(BELOW_TWENTY[number]);
    }
}

/// A number as a place in an order: "twenty first".
pub(crate) fn ordinal(number: u64) -> Vec<String> {
    let mut words: Vec<String> = cardinal(number).into_iter().map(str::to_owned).collect();
    if let Some(last) = words.last_mut() {
        *last = match last.as_str() {
            "one" => "first".into(),
            "two" => "second".into(),
            "three" => "third".into(),
            "five" => "fifth".into(),
            "eight" => "eighth".into(),
            "nine" => "ninth".into(),
            "twelve" => "twelfth".into(),
            tens if tens.ends_with('y') => format!("{}ieth", &tens[..tens.len() - 1]),
            other => format!("{other}th"),
        };
    }
    words
}

/// A number of four digits as a year: "nineteen oh five", "two thousand nine", "twenty ten".
pub(crate) fn year(number: u64) -> Vec<&'static str> {
    let (century, rest) = (number / 100, number % 100);
    if century.is_multiple_of(10) && rest < 10 {
        return cardinal(number);
    }
    let mut words = cardinal(century);
    match rest {
        0 => words.push("hundred"),
        1..10 => words.extend(["oh", BELOW_TWENTY[rest as usize]]),
        _ => words.extend(cardinal(rest)),
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn numbers_in_words() {
        let spelt = |digits| spell(digits).map(|words| words.join(" "));
        let cases = [
            ("0", "zero"),
            ("7", "seven"),
            ("10", "ten"),
            ("19", "nineteen"),
            ("20", "twenty"),
            ("42", "forty two"),
            ("100", "one hundred"),
            ("112", "one hundred twelve"),
            ("1000", "one thousand"),
            ("1984", "one thousand nine hundred eighty four"),
            ("9030", "nine thousand thirty"),
            ("007", "zero zero seven"),
        ];
        for (digits, words) in cases {
            assert_eq!(spelt(digits).as_deref(), Some(words), "{digits}");
        }
        for bad in ["", "10000", "1a", "-1", "٣"] {
            assert_eq!(spell(bad), None, "{bad}");
        }
    }

    #[test]
    fn large_numbers_orders_and_years() {
        let said = |number| cardinal(number).join(" ");
        assert_eq!(said(1_000_017), "one million seventeen");
        assert_eq!(said(12_345), "twelve thousand three hundred forty five");
        assert!(said(u64::MAX).starts_with("eighteen quintillion four hundred forty six quadrillion"));
        let place = |number| ordinal(number).join(" ");
        let orders = [
            (1, "first"),
            (12, "twelfth"),
            (20, "twentieth"),
            (103, "one hundred third"),
            (1000, "one thousandth"),
        ];
        for (number, words) in orders {
            assert_eq!(place(number), words);
        }
        let years = [
            (1066, "ten sixty six"),
            (1900, "nineteen hundred"),
            (1905, "nineteen oh five"),
            (2000, "two thousand"),
            (2009, "two thousand nine"),
            (2010, "twenty ten"),
        ];
        for (number, words) in years {
            assert_eq!(year(number).join(" "), words);
        }
    }

    #[test]
    fn no_two_numbers_are_said_alike() {
        let all: HashSet<String> =
            (0..10_000).map(|number| spell(&number.to_string()).unwrap().join(" ")).collect();
        assert_eq!(all.len(), 10_000);
    }
}
