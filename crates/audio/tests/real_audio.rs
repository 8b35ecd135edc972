//! Real recordings of the development data, where they exist.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

mod common;

use std::path::PathBuf;

use auricle_audio::{Limits, MelConfig, MelFrontEnd, probe, read, read_at};
use common::optional_folder;

/// The first files with an extension below a folder, in order of their names.
fn files_below(folder: PathBuf, extension: &str, count: usize) -> Vec<PathBuf> {
    let mut folders = vec![folder];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                files.push(path);
            }
        }
        if files.len() >= count {
            break;
        }
    }
    files.truncate(count);
    files
}

#[test]
fn decodes_and_analyses_every_kind_of_file() {
    let Some(data) = optional_folder("AURICLE_DATA", "data") else {
        return;
    };
    let front = MelFrontEnd::new(MelConfig::default()).unwrap();
    let limits = Limits::default();
    for (folder, extension, codec) in [
        ("LibriSpeech", "ogg", "vorbis"),
        ("noise", "ogg", "vorbis"),
        ("fsdd", "flac", "flac"),
        ("rir", "wav", "pcm_s16"),
    ] {
        let files = files_below(data.join(folder), extension, 5);
        assert!(!files.is_empty(), "no {extension} files in {folder}");
        for path in files {
            let info = probe(&path).unwrap();
            let audio = read(&path, &limits).unwrap();
            assert!(info.codec == codec || extension == "wav", "{}: {}", path.display(), info.codec);
            assert_eq!(info.num_samples, Some(audio.samples.len() as u64), "{}", path.display());
            assert!(audio.samples.iter().any(|&x| x.abs() > 1e-3), "{} is silent", path.display());
            let at_16k = read_at(&path, 16_000, &limits).unwrap().samples;
            let features = front.compute(&at_16k, at_16k.len(), None).unwrap();
            assert_eq!(features.nrows(), at_16k.len().div_ceil(160));
            assert!(features.iter().all(|v| v.is_finite() && v.abs() < 50.0));
        }
    }
}
