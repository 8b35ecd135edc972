use super::*;
use crate::g2p::G2pConfig;
use proptest::prelude::*;
use std::sync::LazyLock;

const WORDS: &str = "the DH AH0\nthe(2) DH IY0\ncat K AE1 T\ncat's K AE1 T S\ndogs' D AO1 G Z\ndogs D AO1 G Z\n\
    'tis T IH1 Z\ntis T IH1 S\na.m. EY2 EH1 M\nx-ray EH1 K S R EY2\nx EH1 K S\nis IH1 Z\nbig B IH1 G\nrock R AA1 K\n\
    two T UW1\nforty F AO1 R T IY0\none W AH1 N\nthousand TH AW1 Z AH0 N D\nin IH0 N\ntin T IH1 N\nkit K IH1 T\n";
static PRONOUNCER: LazyLock<Pronouncer> = LazyLock::new(|| {
    let lexicon = Lexicon::parse(WORDS, "test").unwrap();
    let config = G2pConfig { min_graphone_count: 1, prune_nats: 0.0, ..G2pConfig::default() };
    let model = G2p::train(&lexicon, &config).unwrap();
    Pronouncer::new(lexicon, Some(model))
});

fn texts(prompt: &str) -> Vec<String> {
    PRONOUNCER.prompt(prompt).unwrap().words.into_iter().map(|word| word.text).collect()
}

#[test]
fn punctuation_case_and_apostrophes() {
    assert_eq!(texts("The cat\u{2019}s BIG!"), ["the", "cat's", "big"]);
    assert_eq!(
        texts("  \u{201c}'Tis\u{201d} the dogs', is it?—in..."),
        ["'tis", "the", "dogs'", "is", "it", "in"]
    );
    assert_eq!(texts("'the cat' is"), ["the", "cat", "is"]);
    assert_eq!(texts("'dogs'"), ["dogs"]);
    assert_eq!(texts("x-ray, big-cat: 2 a.m."), ["x-ray", "big", "cat", "two", "a.m."]);
    assert_eq!(texts("the cat."), ["the", "cat"]);
}

#[test]
fn numbers_are_spelt_out() {
    assert_eq!(texts("42 (1,002)"), ["forty", "two", "one", "thousand", "two"]);
    let words = PRONOUNCER.prompt("the 42 cat").unwrap().words;
    assert_eq!((words[1].span.clone(), words[2].span.clone()), (4..6, 4..6));
    for bad in ["12345", "3.5", "2nd", "b4", "1,00", "10-20", "٣"] {
        assert!(matches!(PRONOUNCER.prompt(bad), Err(PromptError::Number(_))), "{bad}");
    }
}

#[test]
fn alternatives_and_boundaries() {
    let prompt = PRONOUNCER.prompt("the cat").unwrap();
    assert_eq!(prompt.words[0].pronunciations.len(), 2);
    assert_eq!(prompt.words[0].source, Source::Lexicon);
    assert_eq!(prompt.phones(), [Phone::Dh, Phone::Ah, Phone::K, Phone::Ae, Phone::T]);
    assert_eq!(prompt.phones_of(&[1, 9])[1], Phone::Iy);
    assert_eq!(prompt.boundaries(&[]), [0..2, 2..5]);
}

#[test]
fn sources() {
    let prompt = PRONOUNCER.prompt("tack").unwrap();
    assert_eq!(prompt.words[0].source, Source::LetterToSound);
    assert_eq!(prompt.words[0].pronunciations.len(), 1);
    let overlay = |text| Lexicon::parse(text, "overlay").unwrap();
    let over = PRONOUNCER
        .clone()
        .with_overlay(overlay("cat(2) K AH T\ntack T AE K"))
        .with_overlay(overlay("is IH S"));
    let prompt = over.prompt("tack cat is big").unwrap();
    let sources: Vec<Source> = prompt.words.iter().map(|word| word.source).collect();
    assert_eq!(sources, [Source::Overlay, Source::Overlay, Source::Overlay, Source::Lexicon]);
    assert_eq!(prompt.words[1].pronunciations[0], [Phone::K, Phone::Ae, Phone::T]);
    assert_eq!(prompt.words[1].pronunciations.len(), 2);
    assert_eq!(prompt.words[2].pronunciations, [[Phone::Ih, Phone::S]]);
}

#[test]
fn what_is_no_prompt_is_told() {
    let error = |text: &str| PRONOUNCER.prompt(text).unwrap_err().to_string();
    for empty in ["", "  \n", "...", "' '", "—"] {
        assert!(error(empty).contains("no words"), "{empty:?}");
    }
    assert!(error("50% is big").contains("`%` in `50%`"));
    assert!(error("cat 東").contains("東"));
    assert!(error(&"a".repeat(1001)).contains("more than 1000 characters"));
    assert!(error(&"cat ".repeat(101)).contains("more than 100 words"));
    assert!(PRONOUNCER.prompt(&"cat ".repeat(100)).is_ok());
    let without = Pronouncer::new(Lexicon::parse("a AH", "test").unwrap(), None);
    assert!(without.prompt("a dog").unwrap_err().to_string().contains("`dog` is in no lexicon"));
}

proptest! {
    #[test]
    fn any_text_has_an_answer(text in "[ a-z'.,\\-0-9%É\u{301}\u{2019}東]{0,60}|\\PC{0,40}") {
        if let Ok(prompt) = PRONOUNCER.prompt(&text) {
            prop_assert!(!prompt.words.is_empty());
            for word in &prompt.words {
                prop_assert!(text.get(word.span.clone()).is_some_and(|span| !span.is_empty()));
                prop_assert!(!word.pronunciations.is_empty());
                prop_assert!(word.pronunciations.iter().all(|phones| !phones.is_empty()));
            }
            let ends = prompt.boundaries(&[]);
            prop_assert_eq!(ends.last().map(|range| range.end), Some(prompt.phones().len()));
        }
    }
}
