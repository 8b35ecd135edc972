#![no_main]
//! Lists of recordings. The first byte chooses the extension, and with it the reader.

use libfuzzer_sys::fuzz_target;

const EXTENSIONS: [&str; 6] = ["jsonl", "json", "csv", "tsv", "jsonl.gz", "txt"];

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let extension = EXTENSIONS[usize::from(first) % EXTENSIONS.len()];
    let Ok(file) = tempfile::NamedTempFile::with_suffix(format!(".{extension}")) else { return };
    if std::fs::write(file.path(), rest).is_err() {
        return;
    }
    auricle_data::read_any(file.path()).ok();
});
