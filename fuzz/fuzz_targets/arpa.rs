#![no_main]
//! N-gram language models.

use auricle_text::lm::{NgramLm, Unit};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = tempfile::NamedTempFile::new() else { return };
    if std::fs::write(file.path(), bytes).is_err() {
        return;
    }
    if let Ok(lm) = NgramLm::load(file.path()) {
        assert!(lm.sentence(&Unit::Word.split("the cat sat")).log_probability.is_finite());
    }
});
