//! Recordings that come through a pipe.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

mod common;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use auricle_audio::{AudioError, Limits, probe, read, stream};
use common::fixture;
use tempfile::TempDir;

/// A named pipe into which `bytes` are written by somebody else; who reads less of them is no fault.
fn pipe(folder: &TempDir, name: &str, bytes: Vec<u8>) -> PathBuf {
    let path = folder.path().join(name);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let writer = path.clone();
    thread::spawn(move || {
        let mut file = std::fs::OpenOptions::new().write(true).open(writer).unwrap();
        file.write_all(&bytes).ok();
    });
    path
}

#[test]
fn every_format_comes_through_a_pipe_and_can_be_looked_at_twice() {
    let folder = TempDir::new().unwrap();
    for name in ["mono.flac", "mono.ogg", "mono.mp3", "mono.m4a"] {
        let file = fixture("fixtures").join(name);
        let path = pipe(&folder, name, std::fs::read(&file).unwrap());
        assert_eq!(probe(&path).unwrap(), probe(&file).unwrap());
        assert_eq!(read(&path, &Limits::default()).unwrap(), read(&file, &Limits::default()).unwrap());
        assert!(stream(&path, &Limits::default()).unwrap().count() > 0);
    }
}

#[test]
fn a_long_wav_comes_through_a_pipe() {
    let folder = TempDir::new().unwrap();
    let sound = common::make::sound(300_000);
    let path = pipe(
        &folder,
        "long",
        common::make::Wav { data_bytes: u32::MAX, ..common::make::Wav::of(0) }.file(&sound),
    );
    let audio = read(&path, &Limits::default()).unwrap();
    assert_eq!((audio.samples.len(), audio.warnings), (300_000, vec![]));
}

#[test]
fn what_is_no_audio_is_refused_before_it_ends() {
    // Endless, and nothing known.
    let zeros = read("/dev/zero".as_ref(), &Limits::default());
    assert!(matches!(zeros, Err(AudioError::UnknownFormat { .. })));
    let nothing = read("/dev/null".as_ref(), &Limits::default());
    assert!(matches!(nothing, Err(AudioError::Empty { .. })));
    let folder = TempDir::new().unwrap();
    let text = pipe(&folder, "text", b"<!DOCTYPE html>".repeat(100));
    let error = read(&text, &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("web page"), "{error}");
}
