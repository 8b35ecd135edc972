//! Files that others have found to be read wrongly, where the folder of them exists.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

mod common;

use std::path::PathBuf;

use auricle_audio::{AudioError, Limits, probe, read, read_at};
use common::optional_folder;

fn folder(name: &str) -> Option<PathBuf> {
    optional_folder("AURICLE_FAULTS", "faults").map(|folder| folder.join(name)).filter(|f| f.is_dir())
}

#[test]
fn lengths_of_killed_recorders() {
    let Some(folder) = folder("12-wav-unknown-length") else { return };
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "wav") {
            count += 1;
            let audio = read(&path, &Limits::default()).unwrap();
            assert_eq!((audio.duration_secs(), audio.warnings), (1.0, vec![]), "{}", path.display());
            assert_eq!(probe(&path).unwrap().exact_num_samples(), Some(16_000));
        }
    }
    assert_eq!(count, 7);
}

#[test]
fn tags_behind_flac_and_blocks_of_least_size_0() {
    let Some(folder) = folder("13-flac-trailing-tag") else { return };
    for (name, secs) in
        [("id3v1-after.flac", 5.0), ("tape.flac", 5.0), ("pipe-id3v1.flac", 5.0), ("minblk0.flac", 2.0)]
    {
        let audio = read(&folder.join(name), &Limits::default()).unwrap();
        assert_eq!((audio.duration_secs(), audio.warnings), (secs, vec![]), "{name}");
    }
}

#[test]
fn containers_are_decoded_or_named() {
    let Some(folder) = folder("29-container-messages") else { return };
    let error = |name: &str| read(&folder.join(name), &Limits::default()).unwrap_err().to_string();
    for (name, word) in [("speex.ogg", "Speex in an Ogg file"), ("gsmreal.wav", "GSM 6.10 in a WAV file")] {
        assert!(error(name).contains(word) && error(name).contains("convert"), "{}", error(name));
    }
    for (name, secs) in [("chained.ogg", 8.0), ("rf64-ff.wav", 2.0), ("mp3.mp4", 5.04)] {
        let audio = read(&folder.join(name), &Limits::default()).unwrap();
        assert!((audio.duration_secs() - secs).abs() < 0.2, "{name}: {} s", audio.duration_secs());
        assert_eq!(audio.warnings, []);
    }
}

#[test]
fn one_sample_is_said_to_be_one() {
    let Some(folder) = folder("32-small-messages") else { return };
    let path = folder.join("one-sample48.wav");
    let error = read_at(&path, 16_000, &Limits::default()).unwrap_err();
    assert!(matches!(error, AudioError::LessThanASample { num_samples: 1, .. }), "{error}");
}
