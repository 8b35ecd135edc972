//! The header of a WAV file, and where its samples really are.
//!
//! The length of the samples stands in the header, but programs that write to a pipe, or that were killed, leave
//! there whatever they began with: 0, 2³¹ − 1, 2³² − 1, and less round numbers. So the length is checked against the
//! file: see [`DataLength`].

use std::io;

use crate::decode::input::Input;
use crate::decode::tags;

/// Chunks before the samples are looked through up to here.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// As many chunks as a program may write; a file full of empty ones is hostile.
const MAX_CHUNKS: usize = 1024;

/// A declared length from here on that the file does not have is "until the end", as no recorder wrote so much:
/// arecord leaves 0x7fffff00, GStreamer 0x7fff0000, SoX 0x7ffff000, ffmpeg 2³² − 1.
const OPEN_LENGTH_BYTES: u64 = 0x7f00_0000;

pub(super) const TAG_PCM: u16 = 1;
pub(super) const TAG_FLOAT: u16 = 3;
pub(super) const TAG_A_LAW: u16 = 6;
pub(super) const TAG_MU_LAW: u16 = 7;
const TAG_EXTENSIBLE: u16 = 0xfffe;

/// The `fmt ` chunk (WAVEFORMATEX, mmreg.h).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) tag: u16,
    pub(super) channels: u16,
    pub(super) sample_rate: u32,
    /// Bytes of one sample of all channels.
    pub(super) bytes_per_group: usize,
    /// Bits that a sample takes in the file.
    pub(super) bits: u16,
}

impl Format {
    fn parse(chunk: &[u8]) -> Option<Self> {
        let u16_at = |i: usize| Some(u16::from_le_bytes(*chunk.get(i..)?.first_chunk()?));
        let u32_at = |i: usize| Some(u32::from_le_bytes(*chunk.get(i..)?.first_chunk()?));
        let mut tag = u16_at(0)?;
        if tag == TAG_EXTENSIBLE {
            // The true tag is the beginning of the sub-format's GUID.
            tag = u16_at(24)?;
        }
        Some(Self {
            tag,
            channels: u16_at(2)?,
            sample_rate: u32_at(4)?,
            bytes_per_group: usize::from(u16_at(12)?),
            bits: u16_at(14)?,
        })
    }
}

/// How much sound a file holds, and what its header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataLength {
    /// As the header says, or the header leaves it open and the sound ends with the file.
    Right,
    /// The file ends before.
    Missing { declared_bytes: u64 },
    /// Sound goes on behind it.
    More { declared_bytes: u64 },
}

/// Everything before the samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) format: Format,
    pub(super) data_at: u64,
    pub(super) data_bytes: u64,
    pub(super) length: DataLength,
    /// Bytes behind the sound that are neither sound nor chunks.
    pub(super) rest_bytes: u64,
}

/// Why there is no header to be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadHeader {
    /// The file ends before its samples.
    Ends,
    /// There are samples, and nothing says which.
    NoFormat,
}

impl Header {
    pub(super) fn read(input: &Input) -> io::Result<Result<Self, BadHeader>> {
        let mut at = 12;
        let mut format = None;
        // RF64 and BW64 (EBU 3306) have their long length here.
        let mut long_bytes = None;
        for _ in 0..MAX_CHUNKS {
            let head = input.peek(at, 8)?;
            let &[a, b, c, d, ref size @ ..] = head.as_slice() else { return Ok(Err(BadHeader::Ends)) };
            let Some(size) = size.first_chunk().map(|&size| u64::from(u32::from_le_bytes(size))) else {
                return Ok(Err(BadHeader::Ends));
            };
            at += 8;
            match &[a, b, c, d] {
                b"data" => {
                    let Some(format) = format else { return Ok(Err(BadHeader::NoFormat)) };
                    let declared = long_bytes.filter(|_| size == u64::from(u32::MAX)).unwrap_or(size);
                    return Self::with_data(input, format, at, declared).map(Ok);
                }
                b"fmt " => format = Format::parse(&input.peek(at, 40.min(size as usize))?),
                b"ds64" => {
                    let sizes = input.peek(at, 16)?;
                    long_bytes =
                        sizes.last_chunk().filter(|_| sizes.len() == 16).map(|&b| u64::from_le_bytes(b));
                }
                _ => {}
            }
            // Chunks are padded to an even length; some programs forget it.
            at += size;
            if size % 2 == 1 && input.peek(at, 1)? == [0] {
                at += 1;
            }
            if at > input.len().min(MAX_HEADER_BYTES) {
                break;
            }
        }
        Ok(Err(if format.is_some() { BadHeader::Ends } else { BadHeader::NoFormat }))
    }

    /// Weighs the declared length against what is there.
    fn with_data(input: &Input, format: Format, data_at: u64, declared_bytes: u64) -> io::Result<Self> {
        let present = input.len().saturating_sub(data_at);
        let group = format.bytes_per_group.max(1) as u64;
        let until_end = || -> io::Result<u64> {
            let sound = tags::without_trailing(input.part(data_at, input.len()))?;
            Ok(sound.len())
        };
        let (data_bytes, length, rest_bytes) = if declared_bytes > present {
            // A missing pad byte or a part of a sample is no loss.
            let is_open = declared_bytes >= OPEN_LENGTH_BYTES || declared_bytes / group == present / group;
            let length = if is_open { DataLength::Right } else { DataLength::Missing { declared_bytes } };
            (until_end()?, length, 0)
        } else {
            let behind = input.part(data_at + declared_bytes, input.len());
            match what_follows(&behind, declared_bytes % 2 == 1)? {
                Follows::Zeros | Follows::Sound if declared_bytes < group => {
                    (until_end()?, DataLength::Right, 0)
                }
                Follows::Nothing | Follows::Zeros => (declared_bytes, DataLength::Right, 0),
                Follows::Little(bytes) => (declared_bytes, DataLength::Right, bytes),
                Follows::Sound => (until_end()?, DataLength::More { declared_bytes }, 0),
            }
        };
        Ok(Self { format, data_at, data_bytes, length, rest_bytes })
    }
}

enum Follows {
    /// Nothing, other chunks, or tags.
    Nothing,
    /// Padding, or silence.
    Zeros,
    /// A few bytes that are none of these.
    Little(u64),
    /// What must be sound, as the header's length is wrong.
    Sound,
}

/// Fewer bytes than this are no sound that was forgotten.
const LEAST_SOUND_BYTES: u64 = 64;

/// What stands behind the samples that the header counts.
fn what_follows(behind: &Input, may_be_padded: bool) -> io::Result<Follows> {
    let starts = if may_be_padded { 0..=1 } else { 0..=0 };
    for start in starts {
        if are_chunks(&behind.part(start, behind.len()))? {
            return Ok(Follows::Nothing);
        }
    }
    let is_padded = may_be_padded && behind.peek(0, 1)? == [0];
    let behind = behind.part(u64::from(is_padded), behind.len());
    let behind = tags::without_trailing(tags::without_leading(behind)?)?;
    // What is left of a tag that fills everything is the tag itself.
    let first = behind.peek(0, 1 << 16)?;
    let is_tag = [&b"TAG"[..], b"ID3", b"APETAGEX", b"LYRICS"].iter().any(|tag| first.starts_with(tag));
    if is_tag {
        return Ok(Follows::Nothing);
    }
    if first.iter().all(|&b| b == 0) && first.len() as u64 == behind.len() {
        return Ok(Follows::Zeros);
    }
    Ok(if behind.len() < LEAST_SOUND_BYTES { Follows::Little(behind.len()) } else { Follows::Sound })
}

/// Whether bytes are chunks up to the end, the last of which may be cut; nothing is, too.
fn are_chunks(bytes: &Input) -> io::Result<bool> {
    let mut at = 0;
    for _ in 0..MAX_CHUNKS {
        let head = bytes.peek(at, 8)?;
        let [a, b, c, d, size @ ..] = head.as_slice() else { return Ok(head.iter().all(|&b| b == 0)) };
        let Some(size) = size.first_chunk().map(|&size| u64::from(u32::from_le_bytes(size))) else {
            return Ok(false);
        };
        if [a, b, c, d].iter().any(|&&b| !(b.is_ascii_graphic() || b == b' ')) {
            return Ok(false);
        }
        at += 8 + size + size % 2;
        if at >= bytes.len() {
            // Programs leave out the last pad byte.
            return Ok(at <= bytes.len() + 1);
        }
    }
    Ok(false)
}
