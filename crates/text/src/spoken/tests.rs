use super::*;
use crate::{Oddity, oddities};
use proptest::prelude::*;

fn check(cases: &[(&str, &str)]) {
    for (written, said) in cases {
        assert_eq!(spoken(written), *said, "{written}");
    }
}

#[test]
fn numbers() {
    check(&[
        ("3 of 1,234,567.", "three of one million two hundred thirty four thousand five hundred sixty seven"),
        ("-5 to +3.14", "minus five to plus three point one four"),
        (".5 and 0.25", "point five and zero point two five"),
        ("the 22nd, 1st and 1,000th", "the twenty second first and one thousandth"),
        ("in 1984 (or 2005)", "in nineteen eighty four or two thousand five"),
        ("the 1980s, the 80s, '90s", "the nineteen eighties the eighties nineties"),
        ("agent 007", "agent zero zero seven"),
        (
            "10-20 people; 1/2, 3/4, 2/3, 1½",
            "ten to twenty people one half three quarters two thirds one and a half",
        ),
        ("call 555-1234", "call five hundred fifty five to twelve thirty four"),
        (
            "12345678901234567890",
            "one two three four five six seven eight nine zero one two three four five six seven eight nine zero",
        ),
        ("#5 1,23", "number five one twenty three"),
    ]);
}

#[test]
fn times_money_and_units() {
    check(&[
        ("at 7:05 pm, 7:30pm or 7 a.m.", "at seven oh five p m seven thirty p m or seven a m"),
        ("7:00, 19:00, 00:15:01", "seven o'clock nineteen hundred zero fifteen and one second"),
        ("7:00 am", "seven a m"),
        ("12/25/2020", "december twenty fifth twenty twenty"),
        (
            "$1, $3.50, $0.99, £5 million, $2.5bn, 10€",
            "one dollar three dollars and fifty cents ninety nine cents five million pounds two point five billion dollars ten euros",
        ),
        ("$2000", "two thousand dollars"),
        (
            "50% or 5 % at 20 °C, 1 km, 5kg, 3 in a row",
            "fifty percent or five percent at twenty degrees celsius one kilometer five kilograms three in a row",
        ),
        ("60 mph 1 lb 2.5 GB 30k", "sixty miles per hour one pound two point five gigabytes thirty thousand"),
    ]);
}

#[test]
fn abbreviations_and_signs() {
    check(&[
        ("Mr. and Mrs. Lee vs. Dr. No", "mister and missus lee versus doctor no"),
        ("St. John's, Main St. and Park Dr.", "saint john's main street and park drive"),
        ("No. 5, no.", "number five no"),
        ("e.g. U.S. firms, etc.", "for example u s firms et cetera"),
        ("R&B @ 8", "r and b at eight"),
        ("mail bob@example.com", "mail bob at example dot com"),
        ("see example.org.", "see example dot org"),
        ("an mp3, a 4K TV and B2B", "an m p three a four thousand tv and b two b"),
        ("Café Español – it\u{2019}s \u{201c}good\u{201d}", "cafe espanol it's good"),
        ("...", ""),
    ]);
}

#[test]
fn plain_text_stays() {
    for text in ["wake me up at eight o'clock", "what's the weather in may", "no i am in st petersburg"] {
        assert_eq!(spoken(text), text);
    }
}

proptest! {
    #[test]
    fn nothing_in_it_is_a_digit_and_twice_is_once(text in "([0-9]{1,4}|[.,:/$%#°½&@+'-]|[ap]m| |[a-zA-Zé]{1,4}|\\PC){0,24}") {
        let said = spoken(&text);
        let digit = |oddity: &Oddity| matches!(oddity, Oddity::Digit(c) if c.is_ascii_digit());
        prop_assert!(!oddities(&said).iter().any(digit), "{said}");
        prop_assert_eq!(crate::normalise(&said), said);
    }
}
