//! WAV, the hot path: plain samples are converted in bulk.

mod header;
mod write;

use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};

use super::compressed::CompressedBlocks;
use super::detect::Container;
use super::info::AudioInfo;
use super::input::Input;
use super::origin::Origin;
use super::warning::WarningKind;
use crate::error::AudioError;
use header::{BadHeader, DataLength, Format, Header, TAG_A_LAW, TAG_FLOAT, TAG_MU_LAW, TAG_PCM};

pub use write::write_wav;

/// Samples per channel and block.
const BLOCK_SAMPLES: u64 = 16_384;

/// Codecs that are not read, by their tags (mmreg.h).
const CODECS: [(u16, &str); 14] = [
    (0x31, "GSM 6.10"),
    (0x40, "G.721 ADPCM"),
    (0x45, "G.726 ADPCM"),
    (0x50, "MPEG layer 1 or 2"),
    (0x55, "MP3"),
    (0x64, "G.726 ADPCM"),
    (0x83, "G.729"),
    (0xff, "AAC"),
    (0x160, "Windows Media Audio"),
    (0x161, "Windows Media Audio"),
    (0x2000, "Dolby AC-3"),
    (0x566f, "Vorbis"),
    (0x674f, "Vorbis"),
    (0xf1ac, "FLAC"),
];

/// Codecs of WAV files that the general decoder knows: Microsoft's and IMA's ADPCM.
const ADPCM: [u16; 2] = [0x02, 0x11];

#[derive(Clone, Copy)]
enum Layout {
    Unsigned8,
    Int16,
    Int24,
    Int32,
    Float32,
    Float64,
    ALaw,
    MuLaw,
}

impl Layout {
    fn of(format: &Format) -> Option<(Self, &'static str)> {
        let &Format { tag, channels, bits, bytes_per_group, .. } = format;
        let channels = usize::from(channels);
        // Samples of 12 or 20 bits lie in the upper part of the bytes that they take.
        let bytes =
            bytes_per_group.checked_div(channels).filter(|bytes| bytes * channels == bytes_per_group)?;
        let fits = |range: std::ops::RangeInclusive<u16>| range.contains(&bits);
        match (tag, bytes) {
            (TAG_PCM, 1) if fits(1..=8) => Some((Self::Unsigned8, "pcm_u8")),
            (TAG_PCM, 2) if fits(9..=16) => Some((Self::Int16, "pcm_s16")),
            (TAG_PCM, 3) if fits(17..=24) => Some((Self::Int24, "pcm_s24")),
            (TAG_PCM, 4) if fits(24..=32) => Some((Self::Int32, "pcm_s32")),
            (TAG_FLOAT, 4) if bits == 32 => Some((Self::Float32, "pcm_f32")),
            (TAG_FLOAT, 8) if bits == 64 => Some((Self::Float64, "pcm_f64")),
            (TAG_A_LAW, 1) => Some((Self::ALaw, "pcm_alaw")),
            (TAG_MU_LAW, 1) => Some((Self::MuLaw, "pcm_mulaw")),
            _ => None,
        }
    }

    fn append_f32(self, bytes: &[u8], out: &mut Vec<f32>) {
        match self {
            Self::Unsigned8 => out.extend(bytes.iter().map(|&b| (f32::from(b) - 128.0) / 128.0)),
            Self::Int16 => {
                let values = bytes.as_chunks::<2>().0.iter();
                out.extend(values.map(|&b| f32::from(i16::from_le_bytes(b)) / 32_768.0));
            }
            Self::Int24 => {
                let values = bytes.as_chunks::<3>().0.iter();
                // In the upper three bytes, so that the sign needs no care.
                out.extend(
                    values.map(|&[a, b, c]| i32::from_le_bytes([0, a, b, c]) as f32 / 2_147_483_648.0),
                );
            }
            Self::Int32 => {
                let values = bytes.as_chunks::<4>().0.iter();
                out.extend(values.map(|&b| i32::from_le_bytes(b) as f32 / 2_147_483_648.0));
            }
            Self::Float32 => out.extend(bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b))),
            Self::Float64 => {
                out.extend(bytes.as_chunks::<8>().0.iter().map(|&b| f64::from_le_bytes(b) as f32));
            }
            Self::ALaw => out.extend(bytes.iter().map(|&b| a_law(b))),
            Self::MuLaw => out.extend(bytes.iter().map(|&b| mu_law(b))),
        }
    }
}

/// ITU-T G.711, A-law: a sign, an exponent of 3 bits, a mantissa of 4.
fn a_law(byte: u8) -> f32 {
    let bits = byte ^ 0x55;
    let (exponent, mantissa) = ((bits >> 4) & 7, i32::from(bits & 15));
    let magnitude = match exponent {
        0 => (mantissa << 4) + 8,
        _ => ((mantissa << 4) + 0x108) << (exponent - 1),
    };
    (if bits & 0x80 != 0 { magnitude } else { -magnitude }) as f32 / 32_768.0
}

/// ITU-T G.711, µ-law.
fn mu_law(byte: u8) -> f32 {
    let bits = !byte;
    let magnitude = (((i32::from(bits & 15) << 3) + 0x84) << ((bits >> 4) & 7)) - 0x84;
    (if bits & 0x80 != 0 { -magnitude } else { magnitude }) as f32 / 32_768.0
}

pub(super) struct WavBlocks {
    pub(super) info: AudioInfo,
    reader: BufReader<Input>,
    layout: Layout,
    bytes_per_group: usize,
    num_samples: u64,
    bytes: Vec<u8>,
}

/// What reads a WAV file.
pub(super) enum Opened {
    Plain(WavBlocks),
    Compressed(CompressedBlocks),
}

/// Opens a WAV file: plain samples here, ADPCM with the general decoder.
pub(super) fn open(input: Input, origin: &mut Origin) -> Result<Opened, AudioError> {
    let header = match Header::read(&input).map_err(origin.io("read"))? {
        Ok(header) => header,
        Err(BadHeader::Ends) => return Err(origin.bad_header("the file ends before its first sample")),
        Err(BadHeader::NoFormat) => {
            return Err(origin.bad_header("no `fmt ` chunk says what its samples are"));
        }
    };
    let Header { format, data_at, data_bytes, length, rest_bytes } = header;
    if format.sample_rate == 0 || format.channels == 0 || format.bytes_per_group == 0 {
        let Format { channels, sample_rate, bytes_per_group, .. } = format;
        let detail = format!("{channels} channels at {sample_rate} Hz, {bytes_per_group} bytes a sample");
        return Err(origin.bad_header(detail));
    }
    if ADPCM.contains(&format.tag) {
        // Blocks cannot be cut: what is behind the last whole one is a missing end.
        let block = format.bytes_per_group as u64;
        let (kept, is_cut) = match length {
            DataLength::Right => (data_bytes, data_bytes % block != 0),
            DataLength::Missing { .. } => (data_bytes, true),
            DataLength::More { declared_bytes } => (declared_bytes, false),
        };
        if kept < data_bytes {
            origin.warn(WarningKind::SkippedAfterSound { bytes: data_bytes - kept });
        }
        let input = with_lengths(&input, data_at, kept - kept % block).map_err(origin.io("read"))?;
        return Ok(Opened::Compressed(CompressedBlocks::open(Container::Wav, input, is_cut, origin)?));
    }
    let Some((layout, codec)) = Layout::of(&format) else {
        let Format { tag, channels, bits, bytes_per_group, .. } = format;
        let named = CODECS.iter().find(|(known, _)| *known == tag).map(|(_, name)| *name);
        return Err(match (named, tag) {
            (Some(name), _) => origin.unsupported_codec(format!("{name} in a WAV file")),
            (None, TAG_PCM | TAG_FLOAT | TAG_A_LAW | TAG_MU_LAW) => origin.bad_header(format!(
                "{channels} channels with {bits} bits in {bytes_per_group} bytes do not fit together"
            )),
            (None, _) => origin.unsupported_codec(format!("codec 0x{tag:04x} in a WAV file")),
        });
    };
    let group = format.bytes_per_group as u64;
    let num_samples = data_bytes / group;
    let info = AudioInfo {
        sample_rate: format.sample_rate,
        channels: format.channels.into(),
        num_samples: Some(num_samples),
        is_exact: true,
        codec,
    };
    let (position_samples, sample_rate) = (num_samples, format.sample_rate);
    match length {
        DataLength::Missing { declared_bytes } => {
            origin.cut(position_samples, Some(declared_bytes / group), sample_rate)?;
        }
        DataLength::More { declared_bytes } => {
            let expected_samples = declared_bytes / group;
            origin.warn(WarningKind::LongerThanHeader { position_samples, expected_samples, sample_rate });
        }
        DataLength::Right => {}
    }
    if rest_bytes > 0 {
        origin.warn(WarningKind::SkippedAfterSound { bytes: rest_bytes });
    }
    let end = data_at.saturating_add(data_bytes);
    Ok(Opened::Plain(WavBlocks {
        info,
        reader: BufReader::with_capacity(1 << 16, input.part(data_at, end)),
        layout,
        bytes_per_group: format.bytes_per_group,
        num_samples,
        bytes: Vec::new(),
    }))
}

/// The same file with a header that says how much there is.
fn with_lengths(input: &Input, data_at: u64, data_bytes: u64) -> io::Result<Input> {
    let length = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
    let mut header = input.peek(0, data_at as usize)?;
    let size_at = header.len().saturating_sub(4);
    header[..4].copy_from_slice(b"RIFF");
    header[4..8].copy_from_slice(&length(data_at - 8 + data_bytes));
    header[size_at..].copy_from_slice(&length(data_bytes));
    Ok(input.part(0, data_at + data_bytes).patched(0, &header))
}

impl WavBlocks {
    /// Goes on `samples` after the position; false where the file does not reach that far.
    pub(super) fn skip(
        &mut self,
        origin: &Origin,
        position_samples: u64,
        samples: u64,
    ) -> Result<bool, AudioError> {
        if samples > self.num_samples.saturating_sub(position_samples) {
            return Ok(false);
        }
        let bytes = samples.saturating_mul(self.bytes_per_group as u64);
        let by = SeekFrom::Current(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.reader.seek(by).map_err(origin.io("read"))?;
        Ok(true)
    }

    pub(super) fn next_block(
        &mut self,
        origin: &mut Origin,
        position_samples: u64,
        interleaved: &mut Vec<f32>,
    ) -> Result<Option<usize>, AudioError> {
        let left = self.num_samples.saturating_sub(position_samples).min(BLOCK_SAMPLES) as usize;
        interleaved.clear();
        if left == 0 {
            return Ok(None);
        }
        self.bytes.clear();
        let num_bytes = left * self.bytes_per_group;
        (&mut self.reader).take(num_bytes as u64).read_to_end(&mut self.bytes).map_err(origin.io("read"))?;
        if self.bytes.len() < num_bytes {
            // The file has become shorter since it was opened.
            let expected = std::mem::replace(
                &mut self.num_samples,
                position_samples + (self.bytes.len() / self.bytes_per_group) as u64,
            );
            origin.cut(self.num_samples, Some(expected), self.info.sample_rate)?;
        }
        self.layout.append_f32(&self.bytes, interleaved);
        Ok(Some(self.info.channels))
    }
}
