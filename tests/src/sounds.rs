//! Audio files, good ones and bad ones.
//!
//! A helper that cannot do its work panics: then the test has failed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::f64::consts::TAU;
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

/// Chords of three voices with overtones, four a second, as loud as music is.
pub fn music(sample_rate: u32, secs: f64) -> Vec<f32> {
    let chords = [[220.0, 277.2, 329.6], [246.9, 311.1, 370.0], [196.0, 246.9, 293.7], [220.0, 261.6, 329.6]];
    let sample = |i: u32| {
        let t = f64::from(i) / f64::from(sample_rate);
        let voice =
            |pitch: f64| (1..6).map(|k| (TAU * pitch * f64::from(k) * t).sin() / f64::from(k)).sum::<f64>();
        let decay = (-4.0 * (4.0 * t).fract()).exp();
        (0.25 * decay * chords[(4.0 * t) as usize % chords.len()].map(voice).iter().sum::<f64>()) as f32
    };
    (0..(secs * f64::from(sample_rate)) as u32).map(sample).collect()
}

/// What a telephone makes of samples at 8 kHz: nothing below 300 Hz, and eight bits of µ-law.
pub fn telephone(samples: &[f32]) -> Vec<f32> {
    let (mut last, mut high) = (0.0, 0.0);
    let mut code = |x: f32| {
        // A high-pass of first order.
        high = 0.8 * (high + x - last);
        last = x;
        let law = (255.0 * high.abs().min(1.0)).ln_1p() / 256f32.ln();
        let heard = ((127.0 * law).round() / 127.0 * 256f32.ln()).exp_m1() / 255.0;
        heard.copysign(high)
    };
    samples.iter().map(|&x| code(x)).collect()
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
