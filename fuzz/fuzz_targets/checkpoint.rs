#![no_main]
//! PyTorch checkpoints: zip archives and pickles.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = tempfile::NamedTempFile::with_suffix(".ckpt") else { return };
    if std::fs::write(file.path(), bytes).is_ok() {
        auricle_nn::pytorch::read_state_dict(file.path()).ok();
    }
});
