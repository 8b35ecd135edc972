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

/// The words of a number of up to four digits, as it is counted ("one thousand nine hundred eighty
/// four"); a number that begins with 0 digit by digit. `None` for anything else.
pub(super) fn spell(digits: &str) -> Option<Vec<&'static str>> {
    if digits.is_empty() || digits.len() > 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return Some(digits.bytes().map(|byte| BELOW_TWENTY[usize::from(byte - b'0')]).collect());
    }
    let mut number: usize = digits.parse().ok()?;
    let mut words = Vec::new();
    for (size, name) in [(1000, "thousand"), (100, "hundred")] {
        if number >= size {
            words.extend([BELOW_TWENTY[number / size], name]);
            number %= size;
        }
    }
    if number >= 20 {
        words.push(TENS[number / 10]);
        number %= 10;
        if number > 0 {
            words.push(BELOW_TWENTY[number]);
        }
    } else if number > 0 || words.is_empty() {
        words.push(BELOW_TWENTY[number]);
    }
    Some(words)
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
    fn no_two_numbers_are_said_alike() {
        let all: HashSet<String> =
            (0..10_000).map(|number| spell(&number.to_string()).unwrap().join(" ")).collect();
        assert_eq!(all.len(), 10_000);
    }
}
