//! What a file is, by its first bytes alone: extensions are not looked at.
//!
//! Formats that begin with a magic number must begin with exactly that. MPEG audio and ADTS have none; they are
//! taken for such only where several frames follow each other, so that a damaged file of another kind, in whose
//! bytes a frame seems to begin by chance, is not decoded as noise.

/// Bytes that are needed to tell.
pub(super) const HEAD_BYTES: usize = 1 << 16;

/// Frames in a row that make MPEG audio or ADTS certain where other bytes come before them.
const CERTAIN_FRAMES: usize = 4;

/// Kinds of files that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    Wav,
    Flac,
    Ogg,
    Mp4,
    /// MPEG audio (MP1, MP2, MP3); the bytes before the first frame.
    Mpeg(usize),
    /// AAC in ADTS frames; the bytes before the first one.
    Adts(usize),
}

/// Why a file is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is this, which cannot be read.
    Known(&'static str),
    /// It is nothing known; with a guess, where there is one.
    Unknown(&'static str),
}

/// Beginnings of files that people take for audio, or that are audio of other kinds.
const OTHERS: [(usize, &[u8], &str); 26] = [
    (0, b"RIFX", "a big-endian WAV file (RIFX)"),
    (0, b"riff\x2e\x91\xcf\x11", "a Sony Wave64 file"),
    (0, b"FORM", "an AIFF file"),
    (0, b".snd", "a Sun AU file"),
    (0, b"caff", "a CAF file"),
    (0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM file"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media file (WMA)"),
    (0, b"#!AMR", "an AMR file"),
    (0, b"#!SILK", "a SILK file"),
    (0, b"wvPK", "a WavPack file"),
    (0, b"MAC ", "a Monkey's Audio file"),
    (0, b"TTA", "a True Audio file"),
    (0, b"MPCK", "a Musepack file"),
    (0, b"NIST_1A", "a NIST SPHERE file"),
    (0, b"MThd", "a MIDI file, which holds notes and no sound"),
    (0, b"FLV", "a Flash video"),
    (0, b"\x1f\x8b", "compressed with gzip: unpack it first"),
    (0, b"PK\x03\x04", "a zip archive: unpack it first"),
    (0, b"\xfd7zXZ", "compressed with xz: unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it first"),
    (0, b"BZh", "compressed with bzip2: unpack it first"),
    (257, b"ustar", "a tar archive: unpack it first"),
    (0, b"<!DOCTYPE", "a web page: the download has failed"),
    (0, b"<html", "a web page: the download has failed"),
    (0, b"version https://git-lfs", "a Git LFS pointer: fetch the file itself with `git lfs pull`"),
    (0, b"%PDF", "a PDF document"),
];

/// What these first bytes (tags are stepped over before) begin. `is_all`: nothing follows them.
pub(super) fn detect(head: &[u8], is_all: bool) -> Result<Container, Unreadable> {
    let has = |at: usize, magic: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(magic));
    if has(0, b"fLaC") {
        return Ok(Container::Flac);
    }
    if has(0, b"OggS") {
        return Ok(Container::Ogg);
    }
    if has(4, b"ftyp") {
        return Ok(Container::Mp4);
    }
    if [&b"RIFF"[..], b"RF64", b"BW64"].iter().any(|magic| has(0, magic)) {
        return match head.get(8..12) {
            Some(b"WAVE") => Ok(Container::Wav),
            Some(b"AVI ") => Err(Unreadable::Known("an AVI video")),
            _ => Err(Unreadable::Unknown(
                "it begins like a WAV file, but the word WAVE is missing: it is damaged",
            )),
        };
    }
    if let Some((.., name)) = OTHERS.iter().find(|(at, magic, _)| has(*at, magic)) {
        return Err(Unreadable::Known(name));
    }
    if let Some(container) = frames(head, is_all) {
        return Ok(container);
    }
    Err(Unreadable::Unknown(almost(head)))
}

/// Whether it can be worth while to read more than the first bytes; tags may come before the sound.
pub(super) fn may_be_audio(head: &[u8]) -> bool {
    head.starts_with(b"ID3") || head.starts_with(b"APETAGEX") || detect(head, false).is_ok()
}

/// What the bytes would be if one of the first four were another.
fn almost(head: &[u8]) -> &'static str {
    let is_near = |at: usize, magic: &[u8; 4]| {
        head.get(at..at + 4).is_some_and(|h| h.iter().zip(magic).filter(|(a, b)| a == b).count() == 3)
    };
    if is_near(0, b"fLaC") {
        "its first bytes are almost those of a FLAC file: it is damaged"
    } else if is_near(0, b"OggS") {
        "its first bytes are almost those of an Ogg file: it is damaged"
    } else if is_near(0, b"RIFF") || head.get(8..12) == Some(b"WAVE") {
        "its first bytes are almost those of a WAV file: it is damaged"
    } else if is_near(4, b"ftyp") {
        "its first bytes are almost those of an MP4 file: it is damaged"
    } else {
        "no known beginning"
    }
}

/// Reads a frame header: the frame's length, and what all frames of its stream have in common.
type FrameHeader = dyn Fn(&[u8]) -> Option<(usize, u32)>;

/// MPEG audio or ADTS.
fn frames(head: &[u8], is_all: bool) -> Option<Container> {
    let chain = |at: usize, len: &FrameHeader| {
        let (mut next, mut count, mut kind) = (at, 0, None);
        while let Some(header) = head.get(next..).filter(|h| !h.is_empty()) {
            match len(header) {
                // All frames of a stream are of one version, layer and rate.
                Some((bytes, this)) if kind.is_none_or(|kind| kind == this) => {
                    kind = Some(this);
                    next += bytes;
                    count += 1;
                }
                _ => break,
            }
        }
        // The last frame may be cut by the end of what is looked at.
        (count, next >= head.len())
    };
    // At the very beginning, a few frames are enough: other bytes may come between them (tags of joined files).
    for at in 0..head.len().saturating_sub(4) {
        if head[at] != 0xff || head[at + 1] & 0xe0 != 0xe0 {
            continue;
        }
        for (len, container) in
            [(&mpeg_frame as &FrameHeader, Container::Mpeg(at)), (&adts_frame, Container::Adts(at))]
        {
            let (count, reaches_end) = chain(at, len);
            let enough = if at == 0 { 2 } else { CERTAIN_FRAMES };
            if count >= enough || (at == 0 && is_all && count > 0 && reaches_end) {
                return Some(container);
            }
        }
    }
    None
}

/// Length of an MPEG audio frame (ISO 11172-3, 13818-3) and what all frames of its stream have in common.
pub(super) fn mpeg_frame(header: &[u8]) -> Option<(usize, u32)> {
    let &[a, b, c, _, ..] = header else { return None };
    if a != 0xff || b & 0xe0 != 0xe0 {
        return None;
    }
    let (version, layer) = ((b >> 3) & 3, (b >> 1) & 3);
    let (bitrate, rate) = (usize::from(c >> 4), usize::from((c >> 2) & 3));
    if version == 1 || layer == 0 || bitrate == 0 || bitrate == 15 || rate == 3 {
        return None;
    }
    const V1_L1: [u32; 15] = [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448];
    const V1_L2: [u32; 15] = [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
    const V1_L3: [u32; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    const V2_L1: [u32; 15] = [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256];
    const V2_L23: [u32; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    let is_v1 = version == 3;
    let kbits = match (is_v1, layer) {
        (true, 3) => V1_L1[bitrate],
        (true, 2) => V1_L2[bitrate],
        (true, _) => V1_L3[bitrate],
        (false, 3) => V2_L1[bitrate],
        (false, _) => V2_L23[bitrate],
    };
    let hz = [44_100, 48_000, 32_000][rate] >> [2, 0, 1, 0][usize::from(version)];
    let padding = u32::from((c >> 1) & 1);
    let bytes = match (layer, is_v1) {
        (3, _) => (12_000 * kbits / hz + padding) * 4,
        (1, false) => 72_000 * kbits / hz + padding,
        _ => 144_000 * kbits / hz + padding,
    };
    let kind = u32::from(version) << 8 | u32::from(layer) << 4 | rate as u32;
    Some((bytes as usize, kind))
}

/// Length of an ADTS frame (ISO 13818-7) and what all frames of its stream have in common.
fn adts_frame(header: &[u8]) -> Option<(usize, u32)> {
    let &[a, b, c, d, e, f, ..] = header else { return None };
    // Layer 0, and a sampling rate that exists.
    if a != 0xff || b & 0xf6 != 0xf0 || (c >> 2) & 15 > 12 {
        return None;
    }
    let bytes = usize::from(d & 3) << 11 | usize::from(e) << 3 | usize::from(f >> 5);
    let kind = u32::from(b) << 16 | u32::from(c & 0xfd) << 8 | u32::from(d & 0xc0);
    (bytes >= 7).then_some((bytes, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXTURES: [(&str, &[u8], Container); 5] = [
        ("flac", include_bytes!("../../tests/fixtures/mono.flac"), Container::Flac),
        ("ogg", include_bytes!("../../tests/fixtures/mono.ogg"), Container::Ogg),
        ("m4a", include_bytes!("../../tests/fixtures/mono.m4a"), Container::Mp4),
        ("mp3", include_bytes!("../../tests/fixtures/mono.mp3"), Container::Mpeg(0)),
        ("wav", b"RIFF\0\0\0\0WAVEfmt ", Container::Wav),
    ];

    #[test]
    fn a_file_with_a_broken_magic_number_is_no_other_file() {
        for (name, bytes, expected) in FIXTURES {
            // The tag before the MP3 is stepped over by `tags`.
            let skip = if name == "mp3" { bytes.iter().position(|&b| b == 0xff).unwrap() } else { 0 };
            let bytes = &bytes[skip..];
            assert_eq!(detect(bytes, true), Ok(expected), "{name}");
            if name == "mp3" {
                continue;
            }
            let at = if name == "m4a" { 4 } else { 0 };
            for byte in at..at + 4 {
                for bit in 0..8 {
                    let mut broken = bytes.to_vec();
                    broken[byte] ^= 1 << bit;
                    let found = detect(&broken, true);
                    assert!(
                        matches!(found, Err(Unreadable::Unknown(_) | Unreadable::Known(_))),
                        "{name}: {found:?}"
                    );
                }
            }
        }
        let Err(Unreadable::Unknown(guess)) = detect(b"fLbC\0\0\0\x22", true) else { panic!() };
        assert!(guess.contains("FLAC"), "{guess}");
    }

    #[test]
    fn mpeg_frames_after_other_bytes_are_found_where_they_are_certain() {
        let mp3 = FIXTURES[3].1;
        let skip = mp3.iter().position(|&b| b == 0xff).unwrap();
        let junk = [&[0x55; 300][..], &mp3[skip..]].concat();
        assert_eq!(detect(&junk, true), Ok(Container::Mpeg(300)));
        // Two frames after other bytes may be chance.
        let (len, _) = mpeg_frame(&mp3[skip..]).unwrap();
        let short = [&[0x55; 300][..], &mp3[skip..skip + len + 4]].concat();
        assert!(detect(&short, true).is_err());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (at, magic, name) in OTHERS {
            let bytes = [&vec![b'.'; at][..], magic, &[b'.'; 40]].concat();
            assert_eq!(detect(&bytes, true), Err(Unreadable::Known(name)));
        }
        assert!(!may_be_audio(&[0; 1 << 16]));
    }
}
