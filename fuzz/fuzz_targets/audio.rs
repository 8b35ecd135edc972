#![no_main]
//! Every audio format: the first bytes decide which.

use auricle_audio::{Limits, read_bytes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(audio) = read_bytes("input".as_ref(), bytes.to_vec(), &Limits::default()) {
        assert!(audio.samples.iter().all(|sample| sample.is_finite()));
    }
});
