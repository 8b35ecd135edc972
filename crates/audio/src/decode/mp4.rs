//! MP4 (ISO 14496-12) where it needs help: a file whose end is missing, and a codec that cannot be decoded.

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

/// Boxes in a row that are looked at; a file of a recorder that writes in pieces has some thousands.
const MAX_BOXES: usize = 1 << 16;

/// The file with a last box that says how long it really is, and whether it was longer. Reading stops otherwise where
/// the box begins that the end of the file cuts, and that box can hold all sound.
pub(super) fn with_last_size(input: Input) -> io::Result<(Input, bool)> {
    let mut at = 0;
    for _ in 0..MAX_BOXES {
        let head = input.peek(at, 16)?;
        let Some((size, kind)) = head.first_chunk::<8>().map(|head| head.split_at(4)) else { break };
        let short = size.iter().fold(0u64, |size, &byte| size << 8 | u64::from(byte));
        let (size, size_at, width) = match short {
            // To the end of the file.
            0 => break,
            1 => match head.last_chunk::<8>().filter(|_| head.len() == 16) {
                Some(&long) => (u64::from_be_bytes(long), at + 8, 8),
                None => break,
            },
            _ => (short, at, 4),
        };
        if size < 8 {
            break;
        }
        if at.saturating_add(size) > input.len() {
            if kind != b"mdat" {
                break;
            }
            let there = (input.len() - at).to_be_bytes();
            return Ok((input.patched(size_at, &there[8 - width..]), true));
        }
        at += size;
    }
    Ok((input, false))
}

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
