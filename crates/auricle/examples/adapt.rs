//! A recogniser learns the words of a new domain from text alone.
//!
//! `cargo run --release -p auricle --example adapt -- corpus.txt runs/adapted`

use auricle::adapt::{Adaptation, Adapted, adapt};
use auricle::text::{Scored, wer};
use auricle::{Events, Training};
use std::error::Error;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// What long work tells goes to the error stream here; `auricle::Silent` would drop it.
struct Log;

impl Events for Log {
    fn warning(&self, text: &str) {
        eprintln!("warning: {text}");
    }
}

/// Adapts a recogniser in a folder, whose `model.safetensors` it becomes. The lines that are printed: the word error
/// rate on sentences kept aside, before and after.
pub fn run(model: &Path, text: &Path, out: &Path, steps: u64) -> Result<Vec<String>, Box<dyn Error>> {
    let adaptation = Adaptation { steps, ..Adaptation::new(model, text) };
    // Set by a handler of Ctrl-C, the training ends with a checkpoint, and the same call goes on from it.
    let stop = AtomicBool::new(false);
    let training = Training { resume: true, events: &Log, stop: &stop };
    let Some(Adapted { before, after }) = adapt(&adaptation, out, training)? else {
        return Ok(vec!["interrupted; the same command goes on".into()]);
    };
    let lines = before.iter().zip(&after).map(|(before, after)| {
        let [before_rate, after_rate] = [before, after].map(|reading| 100.0 * rate(&reading.sentences));
        format!("{}: {before_rate:.1} % of the words wrong before, {after_rate:.1} % after", before.what)
    });
    Ok(lines.collect())
}

/// Word errors per word.
fn rate(sentences: &[Scored]) -> f64 {
    let mut errors = auricle::text::ErrorCounts::default();
    for sentence in sentences {
        errors += wer(&sentence.reference, &sentence.hypothesis);
    }
    errors.rate()
}

#[allow(dead_code)] // the tests call `run`
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [text, out] = arguments.as_slice() else {
        return Err("give a text, a sentence per line, and a folder to write".into());
    };
    for line in run(Path::new("asr-en-small"), Path::new(text), Path::new(out), 200)? {
        println!("{line}");
    }
    Ok(())
}
