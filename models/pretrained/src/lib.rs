//! Shipped models that are part of every build.
//!
//! Only the letter-to-sound model is: without it no text becomes phones. Networks are files beside the program.

/// The bytes of a shipped file by its name below `models/pretrained`; `None` where it is no part of the build.
///
/// ```
/// assert!(auricle_models::bytes("g2p-en/model.g2p").is_some());
/// assert!(auricle_models::bytes("asr-en-small/model.safetensors").is_none());
/// ```
pub fn bytes(name: &str) -> Option<&'static [u8]> {
    match name {
        "g2p-en/model.g2p" => Some(include_bytes!("../g2p-en/model.g2p")),
        _ => None,
    }
}
