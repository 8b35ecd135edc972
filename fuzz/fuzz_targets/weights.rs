#![no_main]
//! Exported weights (safetensors).

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    auricle_nn::weights::from_bytes(bytes).ok();
});
