//! What the first frame of an MP3 says about its length.

use super::detect::mpeg_frame;

/// Frames by the Xing, Info or VBRI tag that an encoder writes into the first frame.
pub(super) fn counted_frames(head: &[u8]) -> Option<u32> {
    let (len, _) = mpeg_frame(head)?;
    let frame = head.get(..len).unwrap_or(head);
    let u32_at = |i: usize| Some(u32::from_be_bytes(*frame.get(i..)?.first_chunk()?));
    // The tag stands behind the side information, whose length depends on version and channels.
    let xing = frame.get(..64).unwrap_or(frame).windows(4).position(|w| w == b"Xing" || w == b"Info");
    if let Some(at) = xing {
        return (u32_at(at + 4)? & 1 != 0).then(|| u32_at(at + 8)).flatten();
    }
    frame.get(36..).filter(|tag| tag.starts_with(b"VBRI")).and_then(|_| u32_at(36 + 14))
}
