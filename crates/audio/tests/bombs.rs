//! Small files that ask for much memory: a limit is charged while they are read, not afterwards.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

mod common;

use std::path::Path;

use auricle_audio::{AudioError, Limits, read_at, read_bytes, stream_bytes};
use common::fixture;
use common::make::{Flac, Wav};
use common::peak::{Counting, peak_of};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MIB: usize = 1 << 20;

/// Reads under limits, and fails where it takes more memory than a few times the limit of 16 MiB.
fn read(bytes: &[u8]) -> Result<usize, AudioError> {
    let limits = Limits { max_duration_secs: 120.0, max_bytes: 16 << 20, ..Limits::default() };
    let (result, peak) = peak_of(|| read_bytes(Path::new("bomb"), bytes.to_vec(), &limits));
    assert!(peak < bytes.len() + 64 * MIB, "{} MiB", peak / MIB);
    result.map(|audio| audio.samples.len())
}

/// 17 bytes a frame that become 65,535 samples.
fn flac_bomb(rate: u32, frames: usize) -> Vec<u8> {
    let flac = Flac { rate, channels: 1, min_block: 65_535, max_block: 65_535, total: 0, md5: [0; 16] };
    flac.file(std::iter::repeat_n((65_535, 3), frames))
}

#[test]
fn flac_of_silence() {
    let bomb = flac_bomb(16_000, 20_000);
    assert!(bomb.len() < MIB / 2, "{}", bomb.len());
    assert!(matches!(read(&bomb), Err(AudioError::TooLong { limit_secs: 120.0, .. })));
    // At a high rate it is the memory, not the duration.
    assert!(matches!(read(&flac_bomb(655_350, 20_000)), Err(AudioError::TooLarge { .. })));
    // Block by block it has no limit but the duration, and takes no memory.
    let (samples, peak) = peak_of(|| {
        let blocks = stream_bytes(Path::new("bomb"), flac_bomb(48_000, 2_000), &Limits::default()).unwrap();
        blocks.map(|block| block.unwrap().len()).sum::<usize>()
    });
    assert_eq!(samples, 2_000 * 65_535);
    assert!(peak < 4 * MIB, "{peak}");
}

#[test]
fn wav_that_grows_with_its_rate() {
    for rate in [1, 2, 100, 999] {
        assert!(matches!(
            read(&Wav { rate, ..Wav::of(40_000) }.file(&[1; 40_000])),
            Err(AudioError::SampleRate { .. })
        ));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slow.wav");
    std::fs::write(&path, Wav { rate: 1_000, ..Wav::of(1_000_000) }.file(&[1; 1_000_000])).unwrap();
    let limits = Limits { max_bytes: 16 << 20, ..Limits::default() };
    let (result, peak) = peak_of(|| read_at(&path, 16_000, &limits));
    assert!(matches!(result, Err(AudioError::TooLarge { limit_bytes: 0x100_0000, .. })));
    assert!(peak < 64 * MIB, "{peak}");
}

#[test]
fn headers_that_promise_much() {
    let samples = read(&Wav { data_bytes: 0x7000_0000, ..Wav::of(0) }.file(&[1; 100])).unwrap();
    assert_eq!(samples, 50);
    let flac =
        Flac { rate: 48_000, channels: 1, min_block: 16, max_block: 65_535, total: 1 << 35, md5: [0; 16] };
    assert_eq!(read(&flac.file([(1_000, 5)])).unwrap(), 1_000);
    // Blocks of metadata that are longer than the file.
    let mut long = b"fLaC\x06\xff\xff\xff".to_vec();
    long.extend([0; 100]);
    assert!(read(&long).is_err());
    assert!(read(b"ID3\x04\0\0\x7f\x7f\x7f\x7f").is_err());
}

#[test]
fn counts_in_an_mp4_and_an_mp3() {
    let m4a = std::fs::read(fixture("fixtures/mono.m4a")).unwrap();
    for table in [b"stsz", b"stts", b"stsc", b"stco", b"stsd"] {
        let at = m4a.windows(4).position(|w| w == table).unwrap();
        for field in [4, 8, 12] {
            for value in [0xffff_ffffu32, 0x7fff_ffff, 0x1000_0000] {
                let mut bytes = m4a.clone();
                bytes[at + field..at + field + 4].copy_from_slice(&value.to_be_bytes());
                read(&bytes).ok();
            }
        }
    }
    let mp3 = std::fs::read(fixture("fixtures/mono.mp3")).unwrap();
    let at = mp3.windows(4).position(|w| w == b"Xing" || w == b"Info").unwrap();
    let mut bytes = mp3;
    bytes[at + 8..at + 12].fill(0xff);
    assert!(read(&bytes).unwrap() > 9_000);
}

#[test]
fn lengths_in_an_ogg() {
    let ogg = std::fs::read(fixture("fixtures/mono.ogg")).unwrap();
    // The length of the vendor's name and the number of comments, in the second page.
    let at = ogg.windows(7).position(|w| w == b"\x03vorbis").unwrap() + 7;
    for value in [u32::MAX, 0x7fff_ffff, 0x1000_0000] {
        let mut bytes = ogg.clone();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        common::make::seal_ogg(&mut bytes);
        read(&bytes).ok();
    }
}
