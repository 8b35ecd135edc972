//! Pronunciation judged while a sentence is read: sound comes in pieces of 40 ms, as from a microphone.
//!
//! `cargo run --release -p auricle --example score_stream -- "we call it bear" take1.wav`

use auricle::cca_mdd::{Event, Live, Streaming as _, Target, inventory};
use auricle::{Pronunciations, audio, models, tensor};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

/// The lines that are printed: phones as they are heard, words when they have been said, and the result.
pub fn run(model: &Path, prompt: &str, recording: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let assessor = Arc::new(models::assessor(model, &tensor::device("cpu")?)?);
    let target = Target::of_prompt(Pronunciations::default().pronouncer()?.prompt(prompt)?);
    let sound = audio::read(recording, &audio::Limits::default())?;

    // A phone below this score, of 0 to 100, is mispronounced.
    let threshold = 100.0 * (1.0 - assessor.threshold());
    let mut live = Live::new("take", assessor, target, sound.sample_rate, threshold)?;
    let mut lines = Vec::new();
    for piece in sound.samples.chunks(sound.sample_rate as usize / 25) {
        lines.extend(live.push(piece)?.iter().map(line));
    }
    lines.extend(live.finish()?.iter().map(line));
    Ok(lines)
}

fn line(event: &Event) -> String {
    match event {
        Event::Heard { phone, start_secs } => {
            format!("{start_secs:6.2} s  heard {}", inventory::name(*phone))
        }
        Event::Phone(phone) => format!("{:6.2} s  phone {}: {:?}", phone.at_secs, phone.index, phone.verdict),
        Event::Word(word) => format!("word {}: {:.0} of 100", word.result.text, word.result.score),
        Event::Final(scored) => scored.table(),
    }
}

#[allow(dead_code)] // the tests call `run`
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [prompt, recording] = arguments.as_slice() else {
        return Err("give a sentence and a recording of it".into());
    };
    for line in run(Path::new("mdd-en-small"), prompt, Path::new(recording))? {
        println!("{line}");
    }
    Ok(())
}
