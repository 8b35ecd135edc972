//! Audio files, good ones and bad ones.
//!
//! A helper that cannot do its work panics: then the test has failed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// How the samples of a WAV file are stored.
#[derive(Debug, Clone, Copy)]
pub struct WavFormat {
    /// 1 for integers, 3 for floats.
    pub tag: u16,
    /// Channels.
    pub channels: u16,
    /// Samples a second.
    pub sample_rate: u32,
    /// Bits of a sample.
    pub bits: u16,
}

impl WavFormat {
    /// 16-bit mono.
    pub fn mono16(sample_rate: u32) -> Self {
        Self { tag: 1, channels: 1, sample_rate, bits: 16 }
    }

    /// A header for this many bytes of samples.
    pub fn header(self, data_bytes: u32) -> Vec<u8> {
        let group = self.channels * self.bits / 8;
        let mut header = Vec::from(*b"RIFF");
        header.extend((36 + data_bytes).to_le_bytes());
        header.extend(b"WAVEfmt \x10\0\0\0");
        for half in [self.tag, self.channels] {
            header.extend(half.to_le_bytes());
        }
        header.extend(self.sample_rate.to_le_bytes());
        header.extend((self.sample_rate * u32::from(group)).to_le_bytes());
        for half in [group, self.bits] {
            header.extend(half.to_le_bytes());
        }
        header.extend(b"data");
        header.extend(data_bytes.to_le_bytes());
        header
    }
}

/// Writes a WAV file of raw samples.
pub fn write_wav(path: &Path, format: WavFormat, data: &[u8]) {
    let mut bytes = format.header(data.len() as u32);
    bytes.extend(data);
    std::fs::write(path, bytes).unwrap();
}

/// A tone of 16-bit samples.
pub fn tone(sample_rate: u32, secs: f64) -> Vec<u8> {
    let samples = (secs * f64::from(sample_rate)) as u32;
    let wave = |i: u32| (f64::from(i) * 1_000.0 / f64::from(sample_rate)).sin() * 8_000.0;
    (0..samples).flat_map(|i| (wave(i) as i16).to_le_bytes()).collect()
}

/// Hours of 16-bit silence at 8 kHz with `speech` (16-bit samples) at the given seconds. The silence
/// takes no space where the file system knows holes.
pub fn write_hours(path: &Path, secs: u32, speech: &[u8], at_secs: &[u32]) {
    let data_bytes = secs * 16_000;
    let header = WavFormat::mono16(8_000).header(data_bytes);
    let mut file = File::create(path).unwrap();
    file.write_all(&header).unwrap();
    for &at in at_secs {
        file.seek(SeekFrom::Start(header.len() as u64 + u64::from(at) * 16_000)).unwrap();
        file.write_all(speech).unwrap();
    }
    file.set_len(header.len() as u64 + u64::from(data_bytes)).unwrap();
}

/// A FLAC file of 0.6 s.
pub fn flac() -> Vec<u8> {
    let path: PathBuf = crate::program::workspace().join("crates/audio/tests/fixtures/mono.flac");
    std::fs::read(path).unwrap()
}
