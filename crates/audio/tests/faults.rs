//! Bad input is an answer: every fault gives an error that names the file and what is wrong with it.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

mod common;

use std::path::{Path, PathBuf};

use auricle_audio::{Audio, AudioError, Limits, Warning, WarningKind, probe, read, stream, write_wav};
use common::fixture;
use proptest::prelude::*;
use tempfile::TempDir;

fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The error of reading, whose message must name the file.
fn error_of(path: &Path) -> AudioError {
    let error = read(path, &Limits::default()).unwrap_err();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(error.to_string().contains(name), "{error}");
    error
}

fn float_wav(folder: &TempDir, samples: &[f32]) -> PathBuf {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let path = folder.path().join("float.wav");
    let mut writer = hound::WavWriter::create(&path, spec).unwrap();
    samples.iter().for_each(|&x| writer.write_sample(x).unwrap());
    writer.finalize().unwrap();
    path
}

#[test]
fn missing_empty_foreign() {
    let folder = TempDir::new().unwrap();
    assert!(matches!(error_of(&folder.path().join("missing.wav")), AudioError::Io { action: "open", .. }));
    assert!(matches!(error_of(folder.path()), AudioError::Io { .. }));
    assert!(matches!(error_of(&write(&folder, "zero.wav", b"")), AudioError::Empty { .. }));
    let text = write(&folder, "text.wav", "a line of text\n".repeat(5_000).as_bytes());
    assert!(matches!(error_of(&text), AudioError::UnknownFormat { .. }));
    assert!(matches!(error_of(&write(&folder, "short.wav", b"RI")), AudioError::UnknownFormat { .. }));
    let header = &std::fs::read(float_wav(&folder, &[])).unwrap();
    assert!(matches!(error_of(&write(&folder, "no_samples.wav", header)), AudioError::Empty { .. }));
    let cut = write(&folder, "cut_header.wav", &header[..30]);
    assert!(matches!(error_of(&cut), AudioError::BadHeader { .. }));
}

#[test]
fn blocks_before_a_missing_end_are_the_same() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.wav");
    write_wav(&path, &Audio::new(vec![0.1; 40_000], 16_000)).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let cut = write(&folder, "cut.wav", &bytes[..44 + 2 * 30_000 + 1]);
    let mut blocks = stream(&cut, &Limits::default()).unwrap();
    let samples: usize = blocks.by_ref().map(|block| block.unwrap().len()).sum();
    assert_eq!(samples, 30_000);
    assert!(blocks.next().is_none());
    let [warning] = blocks.warnings() else { panic!("{:?}", blocks.warnings()) };
    let text = warning.to_string();
    assert!(text.contains("cut.wav") && text.contains("1.875 s of 2.500 s"), "{text}");
}

#[test]
fn damage_inside_flac_is_noticed_and_located() {
    let folder = TempDir::new().unwrap();
    let bytes = std::fs::read(fixture("fixtures/mono.flac")).unwrap();
    for percent in [70, 80, 90, 97] {
        let mut damaged = bytes.clone();
        damaged[bytes.len() * percent / 100] ^= 0x10;
        let path = write(&folder, "damaged.flac", &damaged);
        match read(&path, &Limits::default()) {
            // The last frame is the end: what comes before it stays.
            Ok(audio) => assert!(
                matches!(audio.warnings[..], [Warning { kind: WarningKind::Truncated { .. }, .. }]),
                "{percent} %: {:?}",
                audio.warnings
            ),
            Err(AudioError::Corrupt { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn samples_that_are_no_numbers_are_located() {
    let folder = TempDir::new().unwrap();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut samples = vec![0.1; 50_000];
        samples[33_333] = bad;
        match error_of(&float_wav(&folder, &samples)) {
            AudioError::NonFinite { position_samples: 33_333, .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let path = folder.path().join("out.wav");
    assert!(write_wav(&path, &Audio::new(vec![f32::NAN], 16_000)).is_err());
    assert!(write_wav(&path, &Audio::new(vec![0.0], 0)).is_err());
    assert!(!path.exists());
}

#[test]
fn eight_channels_at_96_khz() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("wide.wav");
    let spec = hound::WavSpec {
        channels: 8,
        sample_rate: 96_000,
        bits_per_sample: 24,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&path, spec).unwrap();
    for _ in 0..9_600 {
        // Mean of 0, 1/16, …, 7/16.
        (0..8).for_each(|c| writer.write_sample(c << 19).unwrap());
    }
    writer.finalize().unwrap();
    let audio = read(&path, &Limits::default()).unwrap();
    assert_eq!((audio.sample_rate, audio.samples.len()), (96_000, 9_600));
    assert!(audio.samples.iter().all(|x| (x - 7.0 / 32.0).abs() < 1e-6));
    let resampled = auricle_audio::read_at(&path, 16_000, &Limits::default()).unwrap();
    assert_eq!(resampled.samples.len(), 1_600);

    let limits = Limits { max_channels: 7, ..Limits::default() };
    assert!(matches!(read(&path, &limits), Err(AudioError::TooManyChannels { channels: 8, limit: 7, .. })));
}

#[test]
fn three_hours_stream_in_bounded_memory_and_limits_hold() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("long.wav");
    write_wav(&path, &Audio::new(vec![0.0; 1], 16_000)).unwrap();
    // A sparse file: three hours of silence take no space.
    let num_samples = 3 * 3_600 * 16_000u32;
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40..44].copy_from_slice(&(2 * num_samples).to_le_bytes());
    std::fs::write(&path, &bytes[..44]).unwrap();
    std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(44 + 2 * u64::from(num_samples))
        .unwrap();

    let blocks = stream(&path, &Limits::default()).unwrap();
    assert_eq!(blocks.info().duration_secs(), Some(3.0 * 3_600.0));
    let (mut total, mut largest) = (0, 0);
    for block in blocks {
        let len = block.unwrap().len();
        (total, largest) = (total + len, largest.max(len));
    }
    assert_eq!(total, num_samples as usize);
    assert!(largest <= 16_384);

    let limits = Limits { max_duration_secs: 3_600.0, ..Limits::default() };
    assert!(matches!(read(&path, &limits), Err(AudioError::TooLong { limit_secs: 3_600.0, .. })));
}

#[test]
fn duration_limit_holds_where_the_header_is_silent() {
    let path = fixture("fixtures/mono.m4a");
    let limits = Limits { max_duration_secs: 0.3, ..Limits::default() };
    assert!(matches!(read(&path, &limits), Err(AudioError::TooLong { .. })));
    // `probe` does not enforce limits: it is how one learns of them.
    assert!(probe(&path).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_damage_makes_it_panic(
        file in prop_oneof![
            Just("mono.flac"), Just("stereo.flac"), Just("mono.ogg"), Just("mono.mp3"), Just("mono.m4a"), Just("wav")
        ],
        flips in proptest::collection::vec((0.0f64..1.0, any::<u8>()), 1..12),
        // Most damage close to the header, where the structure is.
        near_header: bool,
        keep in 0.0f64..=1.0,
    ) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("x");
        let mut bytes = if file == "wav" {
            write_wav(&path, &Audio::new(vec![0.2; 500], 16_000)).unwrap();
            std::fs::read(&path).unwrap()
        } else {
            std::fs::read(fixture("fixtures").join(file)).unwrap()
        };
        let range = if near_header { bytes.len().min(300) } else { bytes.len() };
        for (place, value) in flips {
            bytes[(place * range as f64) as usize] = value;
        }
        if keep < 0.5 {
            bytes.truncate((2.0 * keep * bytes.len() as f64) as usize);
        }
        std::fs::write(&path, bytes).unwrap();
        if let Ok(audio) = read(&path, &Limits::default()) {
            prop_assert!(audio.sample_rate > 0 && !audio.samples.is_empty());
            prop_assert!(audio.samples.iter().all(|x| x.is_finite()));
        }
    }
}
