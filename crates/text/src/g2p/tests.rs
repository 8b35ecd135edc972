use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

/// A small regular language: c before e is s, ch is one sound, x two, final e silent.
static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| {
    let mut text = String::new();
    for (first, sound) in [("b", "B"), ("t", "T"), ("k", "K"), ("ch", "CH"), ("m", "M"), ("s", "S")] {
        for (middle, vowel) in [("a", "AE"), ("i", "IH"), ("u", "AH"), ("ee", "IY")] {
            for (last, end) in [("t", "T"), ("x", "K S"), ("ch", "CH"), ("ce", "S"), ("ck", "K"), ("n", "N")]
            {
                text += &format!("{first}{middle}{last} {sound} {vowel} {end}\n");
                text += &format!("{first}{middle}{last}'s {sound} {vowel} {end} Z\n");
            }
        }
    }
    // g has two sounds.
    text += "gat G AE T\ngat JH AE T\ngin JH IH N\ngick G IH K\n4 F AO R\n";
    Lexicon::parse(&text, "test").unwrap()
});
static MODEL: LazyLock<G2p> = LazyLock::new(|| {
    G2p::train(&LEXICON, &G2pConfig { order: 4, prune_nats: 0.0, ..G2pConfig::default() }).unwrap()
});

fn best(word: &str) -> String {
    let phones = &MODEL.pronounce(word, 1).unwrap()[0];
    phones.iter().map(|phone| phone.name()).collect::<Vec<_>>().join(" ")
}

#[test]
fn it_reads_words_it_never_saw() {
    assert_eq!(best("kachinax"), "k ae ch ih n ae k s");
    assert_eq!(best("Mace"), "m ae s");
    assert_eq!(best("bïx\u{2019}s"), "b ih k s z");
}

#[test]
fn the_best_are_different_and_in_order() {
    let candidates = MODEL.candidates("gix", 5).unwrap();
    assert!(candidates.len() > 1);
    assert!(candidates.windows(2).all(|pair| pair[0].log_probability >= pair[1].log_probability));
    for (i, candidate) in candidates.iter().enumerate() {
        assert!(candidates[..i].iter().all(|other| other.phones != candidate.phones));
    }
    assert_eq!(MODEL.pronounce("gix", 0).unwrap().len(), 1);
}

#[test]
fn what_cannot_be_read_is_told() {
    let error = |word: &str| MODEL.pronounce(word, 1).unwrap_err().to_string();
    assert!(error("b4").starts_with("`b4` has `4`"));
    assert!(error("東").contains("東"));
    assert!(error("").contains("0 letters"));
    assert!(error(&"a".repeat(65)).contains("65 letters"));
    // No word has a q.
    assert!(error("qq").contains("no pronunciation of `qq`"));
    assert_eq!(MODEL.pronounce(&"bat".repeat(21), 1).unwrap()[0].len(), 63);
}

#[test]
fn training_needs_words_and_sane_settings() {
    let train = |lexicon: &Lexicon, config| G2p::train(lexicon, &config).unwrap_err().to_string();
    assert!(train(&Lexicon::default(), G2pConfig::default()).contains("no word"));
    let odd = Lexicon::parse("4 F AO R\nw D AH B AH L Y UW", "test").unwrap();
    assert!(train(&odd, G2pConfig::default()).contains("no word"));
    assert!(train(&LEXICON, G2pConfig { order: 1, ..G2pConfig::default() }).contains("`order` is 1"));
    assert!(train(&LEXICON, G2pConfig { em_rounds: 0, ..G2pConfig::default() }).contains("`em_rounds`"));
    let nan = G2pConfig { prune_nats: f64::NAN, ..G2pConfig::default() };
    assert!(train(&LEXICON, nan).contains("`prune_nats`"));
}

#[test]
fn training_twice_gives_the_same_and_it_reads_back() {
    let config = G2pConfig { order: 4, prune_nats: 0.0, ..G2pConfig::default() };
    let bytes = MODEL.to_bytes();
    assert_eq!(G2p::train(&LEXICON, &config).unwrap().to_bytes(), bytes);
    let back = G2p::from_bytes(&bytes).unwrap();
    assert_eq!(back, *MODEL);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.g2p");
    MODEL.save(&path).unwrap();
    assert_eq!(G2p::load(&path).unwrap(), *MODEL);
    assert!(matches!(G2p::load(&folder.path().join("none")), Err(G2pError::Io { .. })));
}

#[test]
fn a_cut_or_longer_file_is_told() {
    let mut bytes = MODEL.to_bytes();
    for cut in (0..bytes.len()).step_by(7) {
        assert!(matches!(G2p::from_bytes(&bytes[..cut]), Err(G2pError::Stored(_))), "cut at {cut}");
    }
    bytes.push(0);
    assert!(G2p::from_bytes(&bytes).unwrap_err().to_string().contains("behind the last"));
    bytes.resize((16 << 20) + 1, 0);
    assert!(G2p::from_bytes(&bytes).unwrap_err().to_string().contains("larger than 16 MiB"));
    // Two n-grams of one symbol: graphone a with no phone, the root with twice the symbol 0.
    let twice = b"AURG2P1\n\x01\x01\0\x01\0\0\x02\x40\0\0\0\0";
    assert!(G2p::from_bytes(twice).unwrap_err().to_string().contains("out of order"));
    let mut many = b"AURG2P1\n\x04".to_vec();
    many.extend(4097u16.to_le_bytes());
    assert!(G2p::from_bytes(&many).unwrap_err().to_string().contains("too many graphones"));
}

proptest! {
    #[test]
    fn damaged_models_answer(changes in prop::collection::vec((0usize..100_000, any::<u8>()), 1..6), word in "[a-z']{1,12}") {
        let mut bytes = MODEL.to_bytes();
        for (at, value) in changes {
            let at = 8 + at % (bytes.len() - 8);
            bytes[at] = value;
        }
        if let Ok(model) = G2p::from_bytes(&bytes) {
            let _ = model.pronounce(&word, 3);
        }
    }

    #[test]
    fn any_word_has_an_answer(word in "\\PC{0,80}") {
        if let Ok(found) = MODEL.pronounce(&word, 4) {
            prop_assert!((1..=4).contains(&found.len()));
        }
    }
}
