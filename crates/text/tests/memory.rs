//! Long transcripts are scored and aligned in little memory.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_text::{Scored, cer, report};

/// The most memory this process ever held.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

#[test]
fn a_long_transcript_needs_no_matrix() {
    // Words of one letter: 12,000 of them, and as many characters in half of the text.
    let text = |step: usize| -> String {
        (0..12_000).map(|i| format!("{} ", (b'a' + (i * i / step % 26) as u8) as char)).collect()
    };
    let (reference, hypothesis) = (text(1), text(3));
    let before = peak_mib();
    let characters = cer(&reference[..12_000], &hypothesis[..12_000]);
    assert!(characters.errors() > 0);
    let scored = Scored { id: "long".into(), speaker: None, reference, hypothesis };
    assert!(report(&[scored]).contains("id: (long)"));
    // The matrix of 12,000 × 12,000 costs would be 550 MiB.
    let grown = peak_mib() - before;
    assert!(grown < 64.0, "{grown} MiB");
}
