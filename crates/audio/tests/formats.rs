//! Every format decodes to the same signal (fixtures by `tools/golden/audio_fixtures.py`).

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

mod common;

use std::f64::consts::TAU;
use std::path::{Path, PathBuf};

use auricle_audio::{Audio, Limits, probe, read, read_at, stream, write_wav};
use common::{fixture, max_difference};
use tempfile::TempDir;

const RATE: u32 = 16_000;
const NUM_SAMPLES: usize = 9_600;

/// The signal of the fixtures.
fn chord() -> Vec<f32> {
    let secs = |n: usize| n as f64 / f64::from(RATE);
    let chord = |t: f64| [300.0, 1_000.0, 2_500.0].iter().map(|f| (TAU * f * t).sin()).sum::<f64>() / 3.0;
    (0..NUM_SAMPLES)
        .map(|n| ((0.2 + 0.5 * n as f64 / (NUM_SAMPLES - 1) as f64) * chord(secs(n))) as f32)
        .collect()
}

fn read_fixture(name: &str) -> Audio {
    read(&fixture("fixtures").join(name), &Limits::default()).unwrap()
}

#[test]
fn flac_is_exact_to_16_bits_and_channels_are_averaged() {
    let expected = chord();
    let mono = read_fixture("mono.flac");
    assert_eq!((mono.sample_rate, mono.samples.len()), (RATE, NUM_SAMPLES));
    assert!(max_difference(&mono.samples, &expected) < 1.0 / 16_384.0);
    // Left x, right −x/2.
    let stereo = read_fixture("stereo.flac");
    let quarter: Vec<f32> = expected.iter().map(|x| 0.25 * x).collect();
    assert!(max_difference(&stereo.samples, &quarter) < 1.0 / 16_384.0);
}

/// Signal-to-noise ratio in dB of `actual`, which begins `delay` samples late.
fn snr_db(actual: &[f32], expected: &[f32], delay: usize) -> f32 {
    let pairs = || actual[delay..].iter().zip(expected);
    let noise: f32 = pairs().map(|(a, e)| (a - e).powi(2)).sum();
    10.0 * (pairs().map(|(_, e)| e * e).sum::<f32>() / noise).log10()
}

#[test]
fn lossy_formats_decode_in_place() {
    let expected = chord();
    let vorbis = read_fixture("mono.ogg").samples;
    assert_eq!(vorbis.len(), NUM_SAMPLES);
    assert!(snr_db(&vorbis, &expected, 0) > 15.0);

    // The LAME tag tells delay and padding.
    let mp3 = read_fixture("mono.mp3").samples;
    assert_eq!(mp3.len(), NUM_SAMPLES);
    assert!(snr_db(&mp3, &expected, 0) > 15.0);

    // AAC keeps the encoder's delay of one block of 1,024 samples.
    let aac = read_fixture("mono.m4a").samples;
    assert!((NUM_SAMPLES + 1_024..NUM_SAMPLES + 3 * 1_024).contains(&aac.len()), "{}", aac.len());
    assert!(snr_db(&aac, &expected, 1_024) > 12.0);
}

#[test]
fn header_and_content_agree() {
    for (name, codec, channels) in [
        ("mono.flac", "flac", 1),
        ("stereo.flac", "flac", 2),
        ("mono.ogg", "vorbis", 1),
        ("mono.mp3", "mp3", 1),
    ] {
        let info = probe(&fixture("fixtures").join(name)).unwrap();
        assert_eq!((info.codec, info.channels, info.sample_rate), (codec, channels, RATE));
        assert_eq!(info.num_samples, Some(NUM_SAMPLES as u64));
        assert_eq!(info.duration_secs(), Some(0.6));
    }
    assert_eq!(probe(&fixture("fixtures/mono.m4a")).unwrap().codec, "aac");
}

/// The tag of the first part must not decide how much is heard of the others.
#[test]
fn joined_mp3s_are_decoded_to_their_end() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("four.mp3");
    let bytes = std::fs::read(fixture("fixtures/mono.mp3")).unwrap();
    std::fs::write(&path, bytes.repeat(4)).unwrap();
    let samples = read(&path, &Limits::default()).unwrap().samples;
    assert!((4 * NUM_SAMPLES..4 * NUM_SAMPLES + 4 * 3 * 1152).contains(&samples.len()), "{}", samples.len());
    assert_eq!(samples[..NUM_SAMPLES], read_fixture("mono.mp3").samples);
    let info = probe(&path).unwrap();
    assert_eq!((info.num_samples, info.exact_num_samples()), (Some(NUM_SAMPLES as u64), None));
    assert_eq!(probe(&fixture("fixtures/mono.ogg")).unwrap().exact_num_samples(), Some(NUM_SAMPLES as u64));
}

#[test]
fn content_decides_not_the_extension() {
    let folder = TempDir::new().unwrap();
    for (name, extension) in
        [("mono.flac", "wav"), ("mono.ogg", "mp3"), ("mono.mp3", "flac"), ("mono.m4a", "ogg")]
    {
        let renamed = folder.path().join("renamed").with_extension(extension);
        std::fs::copy(fixture("fixtures").join(name), &renamed).unwrap();
        assert_eq!(read(&renamed, &Limits::default()).unwrap(), read_fixture(name));
    }
}

#[test]
fn blocks_concatenate_to_the_whole_and_resampling_reads_the_same() {
    for name in ["mono.flac", "mono.ogg", "mono.mp3", "mono.m4a"] {
        let path = fixture("fixtures").join(name);
        let blocks = stream(&path, &Limits::default()).unwrap();
        let joined: Vec<f32> = blocks.map(|b| b.unwrap()).collect::<Vec<_>>().concat();
        let whole = read(&path, &Limits::default()).unwrap().samples;
        assert_eq!(joined, whole);
        let at_8k = read_at(&path, 8_000, &Limits::default()).unwrap();
        assert_eq!(at_8k.samples, auricle_audio::resample(&whole, RATE, 8_000).unwrap());
        assert_eq!(read_at(&path, RATE, &Limits::default()).unwrap().samples, whole);
    }
}

fn write_with_hound(path: &Path, spec: hound::WavSpec, values: &[f64]) {
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for v in values {
        match spec.sample_format {
            hound::SampleFormat::Float => writer.write_sample(*v as f32).unwrap(),
            hound::SampleFormat::Int => {
                let scale = (1i64 << (spec.bits_per_sample - 1)) as f64;
                writer.write_sample((v * scale) as i32).unwrap();
            }
        }
    }
    writer.finalize().unwrap();
}

#[test]
fn every_width_of_wav_has_the_same_values() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.wav");
    let values = [0.0, 0.5, -0.5, 0.25, -1.0, 0.75];
    for (bits_per_sample, sample_format, codec) in [
        (8, hound::SampleFormat::Int, "pcm_u8"),
        (16, hound::SampleFormat::Int, "pcm_s16"),
        (24, hound::SampleFormat::Int, "pcm_s24"),
        (32, hound::SampleFormat::Int, "pcm_s32"),
        (32, hound::SampleFormat::Float, "pcm_f32"),
    ] {
        for channels in [1, 2, 3] {
            let spec = hound::WavSpec { channels, sample_rate: 22_050, bits_per_sample, sample_format };
            let interleaved: Vec<f64> = values.iter().flat_map(|&v| vec![v; channels.into()]).collect();
            write_with_hound(&path, spec, &interleaved);
            let audio = read(&path, &Limits::default()).unwrap();
            assert!(max_difference(&audio.samples, &values.map(|v| v as f32)) < 1e-7, "{codec}, {channels}");
            let info = probe(&path).unwrap();
            assert_eq!((info.codec, info.channels, info.num_samples), (codec, channels.into(), Some(6)));
        }
    }
}

/// A WAV file from raw parts: chunks before `data`, the declared length of `data`, its bytes.
fn raw_wav(path: PathBuf, tag: u16, bits: u16, extra: &[u8], declared: u32, data: &[u8]) -> PathBuf {
    let mut bytes = b"RIFF\0\0\0\0WAVE".to_vec();
    bytes.extend_from_slice(extra);
    // Codecs other than PCM have a longer format chunk.
    let is_pcm = tag == 1;
    bytes.extend_from_slice(if is_pcm { b"fmt \x10\0\0\0" } else { b"fmt \x12\0\0\0" });
    bytes.extend_from_slice(&tag.to_le_bytes());
    bytes.extend_from_slice(&1u16.to_le_bytes());
    bytes.extend_from_slice(&8_000u32.to_le_bytes());
    bytes.extend_from_slice(&(8_000 * u32::from(bits) / 8).to_le_bytes());
    bytes.extend_from_slice(&(bits / 8).to_le_bytes());
    bytes.extend_from_slice(&bits.to_le_bytes());
    bytes.extend_from_slice(if is_pcm { &[] } else { &[0, 0] });
    bytes.extend_from_slice(b"data");
    bytes.extend_from_slice(&declared.to_le_bytes());
    bytes.extend_from_slice(data);
    let riff_bytes = bytes.len() as u32 - 8;
    bytes[4..8].copy_from_slice(&riff_bytes.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn wav_peculiarities() {
    let folder = TempDir::new().unwrap();
    let data = [0u8, 0x40, 0, 0xc0];
    let expected = [0.5, -0.5];
    let read = |path: PathBuf| read(&path, &Limits::default()).unwrap().samples;

    // A chunk of odd length is followed by a padding byte.
    let odd = raw_wav(folder.path().join("odd.wav"), 1, 16, b"LIST\x03\0\0\0abc\0", 4, &data);
    assert_eq!(read(odd), expected);
    // Lengths of encoders that write to a pipe.
    for declared in [u32::MAX, 0x7fff_f000] {
        let piped = raw_wav(folder.path().join("piped.wav"), 1, 16, b"", declared, &data);
        assert_eq!(read(piped), expected);
    }
    // A chunk after the data is not audio.
    let after =
        raw_wav(folder.path().join("after.wav"), 1, 16, b"", 4, &[&data[..], b"LIST\x04\0\0\0abcd"].concat());
    assert_eq!(read(after), expected);
    // µ-law, 64-bit float: the general decoder. 0x80 is the largest positive value of µ-law.
    let mu_law = read(raw_wav(folder.path().join("ulaw.wav"), 7, 8, b"", 2, &[0x80, 0xff]));
    assert!((mu_law[0] - 32_124.0 / 32_768.0).abs() < 1e-4 && mu_law[1].abs() < 1e-3, "{mu_law:?}");
    let wide: Vec<u8> = [0.5f64, -0.25].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(read(raw_wav(folder.path().join("f64.wav"), 3, 64, b"", 16, &wide)), [0.5, -0.25]);
}

#[test]
fn written_wav_reads_back_and_clips() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.wav");
    let audio = Audio::new(chord(), RATE);
    write_wav(&path, &audio).unwrap();
    let back = read(&path, &Limits::default()).unwrap();
    assert!(max_difference(&back.samples, &audio.samples) <= 0.5 / 32_768.0);
    // What was read once is written without any further loss.
    write_wav(&path, &back).unwrap();
    assert_eq!(read(&path, &Limits::default()).unwrap(), back);

    write_wav(&path, &Audio::new(vec![1.5, -1.5, 0.0], RATE)).unwrap();
    assert_eq!(read(&path, &Limits::default()).unwrap().samples, [32_767.0 / 32_768.0, -1.0, 0.0]);
}
