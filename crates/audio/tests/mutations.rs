//! Damaged files of every format, thousands of them, the same in every run: no panic, no more memory than the limits
//! allow, and no promise in a header that decoding does not keep.
//!
//! `AURICLE_MUTATIONS` sets how many (default: a few seconds' worth), `AURICLE_MUTATIONS_FROM` the first one.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

mod common;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use auricle_audio::{AudioError, Limits, Warning, WarningKind, read_bytes, stream_bytes};
use auricle_rng::{Key, Purpose, Stream};
use common::fixture;
use common::make::{Flac, Wav, ogg_of, seal_ogg, sound, with_serial};
use common::peak::{Counting, peak_of};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const DEFAULT_COUNT: u64 = 2_000;

/// Beyond the bytes of the file. The samples may take 32 MiB, and twice that while they grow.
const MAX_BYTES: usize = 128 << 20;

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let file = |name: &str| std::fs::read(fixture("fixtures").join(name)).unwrap();
    let data = sound(2_000);
    let flac = |total, min_block| {
        let flac = Flac { rate: 16_000, channels: 2, min_block, max_block: 700, total, md5: [0; 16] };
        flac.file((0..9).map(|n| (700, n * 321)))
    };
    let ds64 = [b"ds64\x1c\0\0\0".as_slice(), &[0xff; 16], &[0; 12]].concat();
    let id3 = [b"ID3\x04\0\0\0\0\0\x40".as_slice(), &[0; 64]].concat();
    let tail = [b"APETAGEX\xd0\x07\0\0\x20\0\0\0".as_slice(), &[0; 16], b"TAG", &[0; 125]].concat();
    let wav = |tag, bits| Wav { tag, bits, ..Wav::of(data.len()) }.file(&data);
    // IMA's ADPCM: blocks of 256 bytes with 505 samples.
    let mut adpcm = [
        b"RIFF\0\0\0\0WAVEfmt \x14\0\0\0\x11\0\x01\0\x80\x3e\0\0\0\x20\0\0\0\x01\x04\0\x02\0".as_slice(),
        &505u16.to_le_bytes(),
    ]
    .concat();
    adpcm.extend(
        [b"data".as_slice(), &2_048u32.to_le_bytes(), &[&[0, 0, 0, 0][..], &data[..252]].concat().repeat(8)]
            .concat(),
    );
    vec![
        ("wav", wav(1, 16)),
        ("wav 24 bits", wav(1, 24)),
        ("wav float", wav(3, 32)),
        ("wav mu-law", wav(7, 8)),
        ("wav adpcm", adpcm),
        ("wav open", Wav { data_bytes: 0, before: b"LIST\x04\0\0\0INFO".to_vec(), ..Wav::of(0) }.file(&data)),
        ("rf64", Wav { magic: b"RF64", data_bytes: u32::MAX, before: ds64, ..Wav::of(0) }.file(&data)),
        ("flac", flac(6_300, 700)),
        ("flac without sizes", [&id3[..], &flac(0, 0), &tail].concat()),
        ("flac of ffmpeg", file("mono.flac")),
        ("flac stereo", file("stereo.flac")),
        ("ogg", file("mono.ogg")),
        ("ogg chained", [file("mono.ogg"), with_serial(&file("mono.ogg"), 9)].concat()),
        ("ogg of speex", ogg_of(b"Speex   1.2")),
        ("mp3", file("mono.mp3")),
        ("mp3 with tags", [&id3[..], &file("mono.mp3"), &tail].concat()),
        ("m4a", file("mono.m4a")),
    ]
}

/// Changes a file in one to four places.
fn mutate(bytes: &mut Vec<u8>, stream: &mut Stream) {
    const EXTREMES: [u32; 10] =
        [0, 1, 7, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff];
    for _ in 0..1 + stream.below(4) {
        let len = bytes.len().max(1);
        // Half of all damage is where the structure is: at the beginning.
        let range = if stream.below(2) == 0 { len.min(256) } else { len };
        let at = stream.below(range).min(bytes.len());
        let span = 1 + stream.below(64);
        let end = (at + span).min(bytes.len());
        match stream.below(9) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << stream.below(8),
            2 if at < bytes.len() => bytes[at] = [0, 0xff, 0x7f, 0x80][stream.below(4)],
            3 | 4 => {
                let value = EXTREMES[stream.below(EXTREMES.len())];
                let value = if stream.below(2) == 0 { value.to_le_bytes() } else { value.to_be_bytes() };
                let width = [1, 2, 4][stream.below(3)];
                for (place, byte) in bytes.iter_mut().skip(at).take(width).zip(value) {
                    *place = byte;
                }
            }
            5 => drop(bytes.drain(at..end)),
            6 => {
                let copy = bytes[at..end].to_vec();
                let to = stream.below(len).min(bytes.len());
                bytes.splice(to..to, copy);
            }
            7 => {
                let noise: Vec<u8> = (at..end).map(|_| stream.below(256) as u8).collect();
                bytes.splice(at..end, noise);
            }
            _ if stream.below(3) == 0 => bytes.truncate(stream.below(len)),
            _ => {}
        }
    }
    // The checksums of Ogg would hide everything behind them.
    if stream.below(2) == 0 {
        seal_ogg(bytes);
    }
}

/// Reads it, and says how it ended.
fn read(bytes: &[u8]) -> Result<&'static str, String> {
    let limits = Limits { max_duration_secs: 120.0, max_bytes: 32 << 20, ..Limits::default() };
    let name = Path::new("mutated");
    let promised =
        stream_bytes(name, bytes.to_vec(), &limits).ok().and_then(|s| s.info().exact_num_samples());
    match read_bytes(name, bytes.to_vec(), &limits) {
        Ok(audio) => {
            if audio.samples.is_empty() || audio.samples.iter().any(|x| !x.is_finite()) {
                return Err("samples that are none".to_owned());
            }
            // Damage inside of a packet whose checksum is right, or that has none, is seen only by decoding it.
            let is_cut =
                matches!(audio.warnings[..], [.., Warning { kind: WarningKind::Truncated { .. }, .. }]);
            let is_packet = is_cut && (bytes.starts_with(b"OggS") || bytes.get(20) == Some(&0x11));
            if promised.is_some_and(|n| n != audio.samples.len() as u64 && !is_packet) {
                return Err(format!(
                    "{promised:?} promised, {} read: {:?}",
                    audio.samples.len(),
                    audio.warnings
                ));
            }
            Ok(if audio.warnings.is_empty() { "read" } else { "read with a warning" })
        }
        Err(AudioError::Corrupt { .. }) => Ok("damaged"),
        Err(AudioError::UnknownFormat { .. } | AudioError::UnsupportedFormat { .. }) => Ok("unknown"),
        Err(AudioError::BadHeader { .. } | AudioError::UnsupportedCodec { .. }) => Ok("bad header"),
        Err(AudioError::Truncated { .. } | AudioError::Empty { .. }) => Ok("empty"),
        Err(e) if e.to_string().contains("mutated") => Ok("other"),
        Err(e) => Err(format!("the file is not named: {e}")),
    }
}

#[test]
fn damaged_files_are_read_or_refused() {
    let number =
        |name: &str, default| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let first = number("AURICLE_MUTATIONS_FROM", 0);
    let count = number("AURICLE_MUTATIONS", DEFAULT_COUNT);
    let seeds = seeds();
    let (mut ends, mut faults) = (BTreeMap::<_, u64>::new(), Vec::new());
    let (mut most, mut longest) = ((0, 0), (0.0, 0));
    for case in first..first + count {
        let mut stream = Key::new(19).step(case).stream(Purpose::Test);
        let (name, seed) = &seeds[stream.below(seeds.len())];
        let mut bytes = seed.clone();
        mutate(&mut bytes, &mut stream);
        let started = Instant::now();
        let (end, peak) = peak_of(|| catch_unwind(AssertUnwindSafe(|| read(&bytes))));
        let secs = started.elapsed().as_secs_f64();
        most = most.max((peak, case));
        longest = if secs > longest.0 { (secs, case) } else { longest };
        match end {
            Ok(Ok(end)) if peak < bytes.len() + MAX_BYTES => *ends.entry((*name, end)).or_default() += 1,
            Ok(Ok(end)) => faults.push(format!("case {case} ({name}): {} MiB until {end}", peak >> 20)),
            Ok(Err(fault)) => faults.push(format!("case {case} ({name}): {fault}")),
            Err(_) => faults.push(format!("case {case} ({name}): panic")),
        }
    }
    for ((name, end), count) in &ends {
        println!("{name:20} {end:20} {count}");
    }
    println!(
        "most memory: {} MiB in case {}; longest: {:.2} s in case {}",
        most.0 >> 20,
        most.1,
        longest.0,
        longest.1
    );
    assert!(faults.is_empty(), "{} of {count}:\n{}", faults.len(), faults[..faults.len().min(30)].join("\n"));
}
