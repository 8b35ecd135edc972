#![no_main]
//! Tokenizers: SentencePiece models and our own JSON.

use auricle_text::Tokenizer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = tempfile::NamedTempFile::with_suffix(".model") else { return };
    if std::fs::write(file.path(), bytes).is_err() {
        return;
    }
    let own = Tokenizer::from_json(&String::from_utf8_lossy(bytes));
    for tokenizer in [Tokenizer::load(file.path()), own].into_iter().flatten() {
        if let Ok(ids) = tokenizer.encode("the naïve cat") {
            assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
            tokenizer.decode(&ids);
        }
    }
});
