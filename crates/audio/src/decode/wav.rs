//! WAV, the hot path: samples are converted in bulk.
//!
//! hound writes, but does not read here: it neither pads odd chunks nor tells the stored width of a
//! sample or the length of a file that was written to a pipe.

use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use hound::{SampleFormat, WavSpec, WavWriter};

use super::{Audio, AudioInfo};
use crate::error::AudioError;

/// Samples per channel and block.
const BLOCK_SAMPLES: u64 = 16_384;

/// Lengths that ffmpeg and SoX write into the header when they cannot seek back: "until the end".
const UNKNOWN_DATA_BYTES: [u32; 2] = [u32::MAX, 0x7fff_f000];

const TAG_PCM: u16 = 1;
const TAG_FLOAT: u16 = 3;
const TAG_EXTENSIBLE: u16 = 0xfffe;

/// The `fmt ` chunk (WAVEFORMATEX, mmreg.h).
struct Format {
    tag: u16,
    channels: u16,
    sample_rate: u32,
    /// Bytes of one sample of all channels.
    bytes_per_group: usize,
    bits: u16,
    valid_bits: u16,
}

impl Format {
    fn parse(chunk: &[u8]) -> Option<Self> {
        let u16_at = |i: usize| Some(u16::from_le_bytes(*chunk.get(i..)?.first_chunk()?));
        let u32_at = |i: usize| Some(u32::from_le_bytes(*chunk.get(i..)?.first_chunk()?));
        let (mut tag, bits) = (u16_at(0)?, u16_at(14)?);
        let mut valid_bits = bits;
        if tag == TAG_EXTENSIBLE {
            // The true tag is the beginning of the sub-format's GUID; 0 valid bits occur in the wild.
            tag = u16_at(24)?;
            valid_bits = u16_at(18).filter(|&v| v > 0).unwrap_or(bits);
        }
        let bytes_per_group = usize::from(u16_at(12)?);
        Some(Self { tag, channels: u16_at(2)?, sample_rate: u32_at(4)?, bytes_per_group, bits, valid_bits })
    }
}

/// Reads chunks up to the `data` chunk: the format and the declared length in bytes.
/// `None` where the chunks are not those of a WAV file.
fn read_header(reader: &mut BufReader<File>) -> std::io::Result<Option<(Format, u32)>> {
    reader.seek(SeekFrom::Start(12))?;
    let mut format = None;
    loop {
        let mut head = [0u8; 8];
        reader.read_exact(&mut head)?;
        let [a, b, c, d, size @ ..] = head;
        let num_bytes = u32::from_le_bytes(size);
        match &[a, b, c, d] {
            b"data" => return Ok(format.map(|format| (format, num_bytes))),
            b"fmt " if num_bytes <= 1024 => {
                let mut chunk = vec![0; num_bytes as usize];
                reader.read_exact(&mut chunk)?;
                format = Format::parse(&chunk);
                reader.seek_relative(i64::from(num_bytes & 1))?;
            }
            // Chunks are padded to an even length.
            _ => reader.seek_relative(i64::from(num_bytes) + i64::from(num_bytes & 1))?,
        }
    }
}

#[derive(Clone, Copy)]
enum Layout {
    Unsigned8,
    Int16,
    Int24,
    Int32,
    Float32,
}

impl Layout {
    /// `None` for what the general decoder reads: other codecs, 64-bit float, fewer valid bits than stored.
    fn from_header(header: &Format) -> Option<(Self, &'static str)> {
        let &Format { tag, channels, bits, valid_bits, bytes_per_group, .. } = header;
        if bits != valid_bits || usize::from(bits) * usize::from(channels) != 8 * bytes_per_group {
            return None;
        }
        match (tag, bits) {
            (TAG_PCM, 8) => Some((Self::Unsigned8, "pcm_u8")),
            (TAG_PCM, 16) => Some((Self::Int16, "pcm_s16")),
            (TAG_PCM, 24) => Some((Self::Int24, "pcm_s24")),
            (TAG_PCM, 32) => Some((Self::Int32, "pcm_s32")),
            (TAG_FLOAT, 32) => Some((Self::Float32, "pcm_f32")),
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
        }
    }
}

pub(super) struct WavBlocks {
    pub(super) info: AudioInfo,
    reader: BufReader<File>,
    layout: Layout,
    bytes_per_group: usize,
    expected_samples: u64,
    bytes: Vec<u8>,
}

impl WavBlocks {
    /// `None` where this kind of WAV is for the general decoder.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, AudioError> {
        let io = |source| AudioError::Io { action: "read", path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let file_bytes = file.metadata().map_err(io)?.len();
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let (format, declared_bytes) = match read_header(&mut reader) {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(None),
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                let detail = "the file ends before its first sample".to_owned();
                return Err(AudioError::BadHeader { path: path.to_owned(), detail });
            }
            Err(e) => return Err(io(e)),
        };
        let Some((layout, codec)) = Layout::from_header(&format) else {
            return Ok(None);
        };
        let mut data_bytes = u64::from(declared_bytes);
        if UNKNOWN_DATA_BYTES.contains(&declared_bytes) {
            data_bytes = data_bytes.min(file_bytes.saturating_sub(reader.stream_position().map_err(io)?));
        }
        let Format { channels, sample_rate, bytes_per_group, .. } = format;
        let expected_samples = data_bytes / bytes_per_group.max(1) as u64;
        let info =
            AudioInfo { sample_rate, channels: channels.into(), num_samples: Some(expected_samples), codec };
        Ok(Some(Self { info, reader, layout, bytes_per_group, expected_samples, bytes: Vec::new() }))
    }

    /// Goes on `samples` after the position; false where the file does not reach that far.
    pub(super) fn skip(
        &mut self,
        path: &Path,
        position_samples: u64,
        samples: u64,
    ) -> Result<bool, AudioError> {
        if samples > self.expected_samples.saturating_sub(position_samples) {
            return Ok(false);
        }
        let bytes = samples.saturating_mul(self.bytes_per_group as u64);
        let io = |source| AudioError::Io { action: "read", path: path.to_owned(), source };
        self.reader.seek(SeekFrom::Current(i64::try_from(bytes).unwrap_or(i64::MAX))).map_err(io)?;
        Ok(true)
    }

    pub(super) fn next_block(
        &mut self,
        path: &Path,
        position_samples: u64,
        interleaved: &mut Vec<f32>,
    ) -> Result<bool, AudioError> {
        let left = self.expected_samples.saturating_sub(position_samples).min(BLOCK_SAMPLES) as usize;
        interleaved.clear();
        if left == 0 {
            return Ok(false);
        }
        self.bytes.clear();
        let num_bytes = left * self.bytes_per_group;
        (&mut self.reader)
            .take(num_bytes as u64)
            .read_to_end(&mut self.bytes)
            .map_err(|source| AudioError::Io { action: "read", path: path.to_owned(), source })?;
        if self.bytes.len() < num_bytes {
            return Err(AudioError::Truncated {
                path: path.to_owned(),
                position_samples: position_samples + (self.bytes.len() / self.bytes_per_group) as u64,
                expected_samples: Some(self.expected_samples),
                sample_rate: self.info.sample_rate,
            });
        }
        self.layout.append_f32(&self.bytes, interleaved);
        Ok(true)
    }
}

/// Writes 16-bit mono WAV; samples outside [−1, 1] are clipped.
///
/// The inverse of [`super::read`] up to the rounding to 16 bits: `x ↦ round(32768·x)`.
///
/// # Errors
/// A sampling rate of 0, a NaN or infinite sample, a file that cannot be written,
/// more samples than a WAV header can count.
pub fn write_wav(path: &Path, audio: &Audio) -> Result<(), AudioError> {
    if audio.sample_rate == 0 {
        return Err(AudioError::config("sample_rate", 0, "a rate above 0 Hz"));
    }
    crate::error::check_finite(&audio.samples, 0)?;
    let spec = WavSpec {
        channels: 1,
        sample_rate: audio.sample_rate,
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };
    let failed = |e| {
        let source = match e {
            hound::Error::IoError(e) => e,
            other => std::io::Error::other(other),
        };
        AudioError::Io { action: "write", path: path.to_owned(), source }
    };
    if u32::try_from(audio.samples.len()).map_or(true, |n| n > (u32::MAX - 44) / 2) {
        return Err(failed(hound::Error::Unsupported));
    }
    let mut writer = WavWriter::create(path, spec).map_err(failed)?;
    let mut values = writer.get_i16_writer(audio.samples.len() as u32);
    for &x in &audio.samples {
        // `as` saturates, which is the clipping.
        values.write_sample((x * 32_768.0).round() as i16);
    }
    values.flush().map_err(failed)?;
    writer.finalize().map_err(failed)
}
