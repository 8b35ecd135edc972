#![no_main]
//! Pronouncing dictionaries and letter-to-sound models.

use auricle_text::{G2p, Lexicon};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(lexicon) = Lexicon::parse(&String::from_utf8_lossy(bytes), "input") {
        assert_eq!(Lexicon::from_compact(&lexicon.to_compact()).ok(), Some(lexicon));
    }
    Lexicon::from_compact(bytes).ok();
    if let Ok(model) = G2p::from_bytes(bytes) {
        model.pronounce("abba", 4).ok();
    }
});
