//! What codec an MP4 file holds, where it is none that can be decoded.

use std::io;

use super::input::Input;

/// The index stands at the beginning or at the end; this much of both is looked at.
const LOOK_BYTES: usize = 1 << 20;

/// Sample entries (ISO 14496-12 and the registry of MP4) and what they are.
const CODECS: [(&[u8; 4], &str); 10] = [
    (b"mp4a", "MPEG-4 audio other than AAC-LC and MP3"),
    (b"alac", "Apple Lossless"),
    (b"ac-3", "Dolby AC-3"),
    (b"ec-3", "Dolby E-AC-3"),
    (b"Opus", "Opus"),
    (b"samr", "AMR"),
    (b"sawb", "AMR wideband"),
    (b"dtsc", "DTS"),
    (b"enca", "encrypted audio"),
    (b".mp3", "MP3 in a QuickTime file"),
];

/// The name of the first sound that it describes.
pub(super) fn codec_name(input: &Input) -> io::Result<String> {
    for at in [0, input.len().saturating_sub(LOOK_BYTES as u64)] {
        let bytes = input.peek(at, LOOK_BYTES)?;
        let descriptions = bytes.windows(20).filter(|w| w.starts_with(b"stsd"));
        for entry in descriptions.filter_map(|w| w.last_chunk::<4>()) {
            if let Some((_, name)) = CODECS.iter().find(|(code, _)| *code == entry) {
                return Ok(format!("{name} in an MP4 file"));
            }
        }
    }
    Ok("an MP4 file without sound that can be decoded".to_owned())
}
