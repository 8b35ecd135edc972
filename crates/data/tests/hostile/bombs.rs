//! Small files that ask for much.

use super::memory::measured;
use auricle_data::{Sentence, read_leniently, read_noting};
use flate2::{Compression, write::GzEncoder};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What the largest of these files may take; each asks for more than twice that.
const LIMIT: usize = 384 << 20;

/// A zipped file of `count` times `piece`.
fn zipped(folder: &Path, name: &str, start: &str, piece: &str, count: usize) -> PathBuf {
    let path = folder.join(name);
    let mut packed = GzEncoder::new(fs::File::create(&path).unwrap(), Compression::fast());
    packed.write_all(start.as_bytes()).unwrap();
    let many = piece.repeat(1 + (1 << 16) / piece.len());
    for _ in 0..count / (1 + (1 << 16) / piece.len()) {
        packed.write_all(many.as_bytes()).unwrap();
    }
    packed.finish().unwrap();
    path
}

/// Reads a file, and returns what is said.
fn refused(path: &Path) -> String {
    let (message, bytes) = measured(|| read_noting(path).map(drop).unwrap_err().to_string());
    assert!(bytes < LIMIT, "{bytes} bytes for {}", path.display());
    message
}

#[test]
fn a_zipped_list_of_very_many_utterances_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    // A million and a half utterances in some 100 kB: more than 500 MiB as utterances.
    let count = 1_500_000;
    let manifest = "{\"id\":\"a\",\"audio\":\"x\",\"duration_secs\":1}\n";
    let path = zipped(folder.path(), "m.jsonl.gz", "", manifest, count);
    assert!(fs::metadata(&path).unwrap().len() < 1 << 20);
    assert!(refused(&path).contains("this list would take more than"));
    // Broken lines are kept for the doctor.
    let path = zipped(folder.path(), "b.jsonl.gz", "", "{}\n", count);
    let (_, bytes) = measured(|| read_leniently(&path).map(drop));
    assert!(bytes < LIMIT, "{bytes} bytes");
    let path = zipped(folder.path(), "t.csv.gz", "path,duration\n", "x,1\n", count);
    assert!(refused(&path).contains("this list would take more than"));
}

#[test]
fn a_line_of_very_many_values_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let line = |open: &str, piece: &str, close: &str| {
        let path = folder.path().join("m.jsonl");
        let start = "{\"id\":\"a\",\"audio\":\"x\",\"duration_secs\":1,\"more\":";
        fs::write(&path, format!("{start}{open}{}{close}}}\n", piece.repeat((3 << 20) / piece.len())))
            .unwrap();
        refused(&path)
    };
    assert!(line("[", "0,", "0]").contains("JSON values"));
    assert!(line("[", "{},", "0]").contains("JSON values"));
    assert!(line("", "[", "").contains("JSON values"));
    assert!(line("{", "\"\":0,", "\"\":0}").contains("JSON values"));
    // Deep, but not many.
    let path = folder.path().join("deep.jsonl");
    fs::write(&path, format!("{{\"audio\":{}", "[".repeat(100_000))).unwrap();
    assert!(refused(&path).contains("JSON"));
    let (_, bytes) = measured(|| Sentence::for_each(&path, |_| Ok(())).map(drop));
    assert!(bytes < 64 << 20, "{bytes} bytes");
}

#[test]
fn a_line_of_megabytes_and_an_open_quote_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = zipped(folder.path(), "m.jsonl.gz", "{\"id\":\"", "a", 64 << 20);
    assert!(refused(&path).contains("longer than"));
    let path = zipped(folder.path(), "t.csv.gz", "path,text\nx,\"", "a\n", 64 << 20);
    let message = refused(&path);
    assert!(message.contains("quote that is not closed"), "{message}");
    let path = zipped(folder.path(), "h.csv.gz", "", "path", 8 << 20);
    assert!(refused(&path).contains("audio column"));
}

#[test]
fn a_kaldi_folder_and_a_transcript_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let packed = zipped(folder.path(), "wav.scp", "", "a\n", 4_000_000);
    let (result, bytes) = measured(|| read_leniently(folder.path()).map(drop));
    assert!(result.is_err() && bytes < LIMIT, "{bytes} bytes");
    fs::remove_file(packed).unwrap();
    auricle_audio::write_wav(&folder.path().join("x.wav"), &auricle_audio::Audio::new(vec![0.1; 800], 8000))
        .unwrap();
    zipped(folder.path(), "x.txt", "", "a ", 32 << 20);
    let (reading, bytes) = measured(|| read_noting(folder.path()).unwrap());
    assert!(bytes < 64 << 20, "{bytes} bytes");
    assert!(
        reading.notes[0].contains("x.txt") && reading.utterances[0].text.is_none(),
        "{:?}",
        reading.notes
    );
}
