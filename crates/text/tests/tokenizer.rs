//! Tokenizers against Google's SentencePiece, and their invariants.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_text::{Tokenizer, TokenizerError, TokenizerKind, TrainOptions};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn corpus() -> Vec<String> {
    let licence = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../LICENSE-APACHE");
    let letters = |line: &str| line.to_lowercase().replace(|c: char| !c.is_ascii_lowercase(), " ");
    let words = |line: String| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = std::fs::read_to_string(licence).unwrap();
    text.lines().map(|line| words(letters(line))).filter(|line| !line.is_empty()).collect()
}

fn trained(kind: TokenizerKind, vocab_size: usize) -> Tokenizer {
    let texts = corpus();
    Tokenizer::train(
        texts.iter().map(String::as_str),
        &TrainOptions { kind, vocab_size, ..TrainOptions::default() },
    )
    .unwrap()
}

#[test]
fn models_of_sentencepiece_give_its_own_segmentations() {
    let expected: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(data("expected.json")).unwrap()).unwrap();
    let texts: Vec<String> = serde_json::from_value(expected["texts"].clone()).unwrap();
    for kind in ["unigram", "bpe"] {
        let tokenizer = Tokenizer::load(&data(&format!("{kind}.model"))).unwrap();
        assert_eq!((tokenizer.vocab_size(), tokenizer.blank_id()), (150, 0));
        let ids: Vec<Vec<u32>> = serde_json::from_value(expected[kind]["ids"].clone()).unwrap();
        let decoded: Vec<String> = serde_json::from_value(expected[kind]["decoded"].clone()).unwrap();
        for ((text, ids), decoded) in texts.iter().zip(ids).zip(decoded) {
            assert_eq!(tokenizer.encode(text).unwrap(), ids, "{kind}: {text}");
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(tokenizer.decode(&ids), words(&decoded), "{kind}: {text}");
        }
        // The same after a round trip through our own file.
        let again = Tokenizer::from_json(&tokenizer.to_json()).unwrap();
        assert_eq!(again, tokenizer);
    }
}

/// Goldens of SentencePiece 0.2.3; the models' character maps are left out, which are known by name.
#[test]
fn options_of_sentencepiece_give_its_ids() {
    #[derive(serde::Deserialize)]
    struct Golden {
        text: String,
        ids: Vec<u32>,
    }
    let goldens: std::collections::BTreeMap<String, Vec<Golden>> =
        serde_json::from_str(&std::fs::read_to_string(data("options.json")).unwrap()).unwrap();
    assert_eq!(goldens.len(), 9);
    for (model, goldens) in goldens {
        let tokenizer = Tokenizer::load(&data(&format!("{model}.model"))).unwrap();
        for Golden { text, ids } in goldens {
            // SentencePiece numbers the unknown piece 0, which is the blank here.
            let Ok(found) = tokenizer.encode(&text) else {
                assert!(ids.contains(&0), "{model}: `{text}`");
                continue;
            };
            assert_eq!(found, ids, "{model}: `{text}`");
        }
        assert_eq!(Tokenizer::from_json(&tokenizer.to_json()).unwrap(), tokenizer, "{model}");
        let words = tokenizer.decode(&tokenizer.encode("the cat sat").unwrap());
        assert_eq!(words, "the cat sat", "{model}");
    }
}

/// What would give other ids is named.
#[test]
fn models_that_cannot_be_followed_are_refused() {
    let plain = std::fs::read(data("uds-unigram.model")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let error = |more: &[u8]| {
        let path = folder.path().join("x.model");
        std::fs::write(&path, [plain.as_slice(), more].concat()).unwrap();
        Tokenizer::load(&path).unwrap_err().to_string()
    };
    // Piece `<0x00>` of kind 6; byte_fallback (35); a model of characters; a map of its own; spaces as they are.
    assert!(error(b"\x0a\x0a\x0a\x06<0x00>\x18\x06").contains("--byte_fallback"));
    assert!(error(b"\x12\x03\x98\x02\x01").contains("--byte_fallback"));
    assert!(error(b"\x12\x02\x18\x04").contains("character model"));
    assert!(error(b"\x1a\x11\x0a\x0cuser_defined\x12\x01x").contains("`user_defined`"));
    assert!(error(b"\x1a\x02\x28\x00").contains("escape_whitespaces"));
    // A length beyond the file.
    assert!(error(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f").contains("within a field"));
}

#[test]
fn marks_are_one_token_each() {
    let meanings: Vec<String> = corpus()
        .iter()
        .take(60)
        .map(|line| format!("<int:read> <slot:line> {line} p.m. </slot>"))
        .chain(["[IN:STOP [SL:WHEN now ] ]".to_owned()])
        .collect();
    let marks = auricle_text::slu::marks(meanings.iter().map(String::as_str));
    assert_eq!(marks.len(), 6);
    for kind in [TokenizerKind::Unigram, TokenizerKind::Bpe] {
        let options = TrainOptions { kind, vocab_size: 120, marks: marks.clone() };
        let tokenizer = Tokenizer::train(meanings.iter().map(String::as_str), &options).unwrap();
        assert_eq!(tokenizer.vocab_size(), 120);
        for (i, mark) in marks.iter().enumerate() {
            assert_eq!(tokenizer.encode(mark).unwrap(), [i as u32 + 2], "{kind:?}: {mark}");
        }
        for meaning in &meanings {
            let ids = tokenizer.encode(meaning).unwrap();
            assert_eq!(&tokenizer.decode(&ids), meaning, "{kind:?}");
            let words = meaning.split(' ').filter(|word| marks.iter().any(|mark| mark == word)).count();
            assert_eq!(ids.iter().filter(|id| (2..8).contains(*id)).count(), words, "{kind:?}: {meaning}");
        }
        assert_eq!(Tokenizer::from_json(&tokenizer.to_json()).unwrap(), tokenizer);
        let twice = TrainOptions { marks: vec!["<x>".into(), "<x>".into()], ..options };
        assert!(
            Tokenizer::train(["a b"].into_iter(), &twice)
                .unwrap_err()
                .to_string()
                .contains("different words")
        );
    }
}

#[test]
fn training_does_not_depend_on_the_order_of_texts_and_fills_the_vocabulary() {
    for kind in [TokenizerKind::Unigram, TokenizerKind::Bpe] {
        let tokenizer = trained(kind, 200);
        assert_eq!(tokenizer.vocab_size(), 200, "{kind:?}");
        let mut texts = corpus();
        texts.reverse();
        let options = TrainOptions { kind, vocab_size: 200, ..TrainOptions::default() };
        assert_eq!(Tokenizer::train(texts.iter().map(String::as_str), &options).unwrap(), tokenizer);
        for text in &texts {
            let ids = tokenizer.encode(text).unwrap();
            assert!(!ids.contains(&tokenizer.blank_id()));
            assert_eq!(&tokenizer.decode(&ids), text);
        }
    }
}

/// Sub-words are worth their name only if they are about as long as the reference program's.
#[test]
fn trained_vocabularies_are_as_compact_as_those_of_sentencepiece() {
    let texts = corpus();
    let tokens = |tokenizer: &Tokenizer| {
        texts.iter().map(|t| tokenizer.encode(t).unwrap().len()).sum::<usize>() as f64
    };
    for (kind, name) in [(TokenizerKind::Unigram, "unigram.model"), (TokenizerKind::Bpe, "bpe.model")] {
        let reference = Tokenizer::load(&data(name)).unwrap();
        let ratio = tokens(&trained(kind, 150)) / tokens(&reference);
        assert!(ratio < 1.02, "{kind:?}: {ratio} times as many tokens as SentencePiece's");
    }
}

#[test]
fn characters_are_those_of_the_published_program() {
    let tokenizer = Tokenizer::characters();
    assert_eq!(tokenizer.encode("a z'").unwrap(), [1, 0, 26, 27, 0]);
    assert_eq!((tokenizer.blank_id(), tokenizer.vocab_size()), (28, 29));
    assert_eq!(tokenizer.piece(28), None);
    assert_eq!(tokenizer.decode(&[8, 9, 0, 28, 0, 20, 0]), "hi t");
    let error = tokenizer.encode("route 66").unwrap_err();
    assert!(matches!(error, TokenizerError::Unspellable { character: '6', .. }), "{error}");
}

#[test]
fn an_unknown_character_is_a_token_or_an_error_that_names_it() {
    let tokenizer = trained(TokenizerKind::Unigram, 100);
    assert_eq!(tokenizer.decode(&tokenizer.encode("a ☃☃ b").unwrap()), "a \u{2047} b");
    let without = tokenizer.to_json().replace("\"unknown\"", "\"control\"");
    let error = Tokenizer::from_json(&without).unwrap().encode("a ☃ b").unwrap_err();
    assert!(error.to_string().contains('☃'), "{error}");
}

#[test]
fn impossible_vocabularies_say_why() {
    let options =
        |vocab_size| TrainOptions { kind: TokenizerKind::Bpe, vocab_size, ..TrainOptions::default() };
    let error = |texts: &[&str], size| {
        Tokenizer::train(texts.iter().copied(), &options(size)).unwrap_err().to_string()
    };
    assert!(error(&["...", ""], 100).contains("no text"));
    assert!(error(&["the quick brown fox"], 5).contains("characters"));
    assert!(error(&["aa"], 100).contains("only"));
}

#[test]
fn files_that_are_no_tokenizers_are_refused() {
    for (text, reason) in [
        ("{}", "kind"),
        ("{\"kind\":\"unigram\",\"pieces\":[]}", "empty"),
        ("{\"kind\":\"bpe\",\"pieces\":[{\"text\":\"▁the\",\"score\":0.0}]}", "blank"),
        ("{\"kind\":\"bpe\",\"pieces\":[{\"text\":\"<b>\",\"score\":0.0,\"kind\":\"control\"}]}", "no piece"),
    ] {
        let error = Tokenizer::from_json(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
    let error = Tokenizer::load(Path::new("nowhere.json")).unwrap_err().to_string();
    assert!(error.contains("nowhere.json"));
}

proptest! {
    /// A damaged model is an error or another vocabulary, never a panic, and quick.
    #[test]
    fn damaged_models_do_no_harm(at in 0usize..2000, byte: u8, cut in 0usize..4000) {
        let mut bytes = std::fs::read(data("unigram.model")).unwrap();
        if let Some(b) = bytes.get_mut(at) { *b = byte; }
        bytes.truncate(cut.max(1));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.model");
        std::fs::write(&path, bytes).unwrap();
        if let Ok(tokenizer) = Tokenizer::load(&path) {
            let _ = tokenizer.encode("the naïve cat");
        }
    }

    #[test]
    fn whatever_is_spelt_reads_back(text in "[a-z']{1,9}( [a-z']{1,9}){0,5}") {
        let tokenizer = Tokenizer::load(&data("bpe.model")).unwrap();
        let ids = tokenizer.encode(&text).unwrap();
        if !ids.contains(&1) {
            prop_assert_eq!(tokenizer.decode(&ids), text.clone());
        }
        let characters = Tokenizer::characters();
        prop_assert_eq!(characters.decode(&characters.encode(&text).unwrap()), text);
    }
}
