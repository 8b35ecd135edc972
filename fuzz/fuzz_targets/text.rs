#![no_main]
//! Texts as people write them, and meanings as models do.

use auricle_text::slu::{Frame, Tree};
use auricle_text::{normalise, spoken};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let said = spoken(&text);
    assert_eq!(normalise(&said), said);
    Frame::parse(&text).ok();
    if let Ok(tree) = Tree::parse(&text) {
        let again = tree.to_text().ok().and_then(|text| Tree::parse(&text).ok());
        assert_eq!(again, Some(tree));
    }
});
