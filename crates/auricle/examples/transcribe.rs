//! What is said in recordings, with the time of every word.
//!
//! `cargo run --release -p auricle --example transcribe -- asr-en-small talk.wav`

use auricle::asr::{TranscribeConfig, transcribe};
use auricle::{data, models, tensor};
use std::error::Error;
use std::path::{Path, PathBuf};

/// The lines that are printed: a recording's id and text, then its words with their beginning in seconds.
pub fn run(model: &Path, recordings: &[PathBuf]) -> Result<Vec<String>, Box<dyn Error>> {
    let recogniser = models::recogniser(model, &tensor::device("cpu")?)?;
    // Files, folders and manifests of many kinds.
    let utterances = data::read_all(recordings)?;
    let mut lines = Vec::new();
    // Long recordings are cut where nobody speaks; results come in the order of the recordings.
    transcribe(&recogniser, &utterances, &TranscribeConfig::default(), |_, transcript| {
        let transcript = transcript?;
        lines.push(format!("{}: {}", transcript.id, transcript.text));
        for word in &transcript.words {
            lines.push(format!("  {:7.2} s  {} ({:.2})", word.start_secs, word.word, word.confidence));
        }
        Ok::<(), Box<dyn Error>>(())
    })?;
    Ok(lines)
}

#[allow(dead_code)] // the tests call `run`
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(Into::into).collect();
    let Some((model, recordings)) = arguments.split_first().filter(|(_, files)| !files.is_empty()) else {
        return Err("give a model (asr-en-small) and recordings".into());
    };
    for line in run(model, recordings)? {
        println!("{line}");
    }
    Ok(())
}
