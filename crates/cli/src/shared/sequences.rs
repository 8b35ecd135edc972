//! Reading with an attention decoder.

use super::terminal::{Terminal, progress};
use anyhow::{Result, bail};
use auricle::Recordings;
use auricle_data::Utterance;
use auricle_lasyn::SequenceRecogniser;
use std::path::PathBuf;

/// Longest recording that is read at once, in seconds: a decoder attends to all of it.
const MAX_SECS: f64 = 60.0;

/// Reads all utterances of the inputs in their order; how many could not be read.
pub fn read_all(
    model: &SequenceRecogniser,
    inputs: &[PathBuf],
    quiet: bool,
    mut each: impl FnMut(&Utterance, String) -> Result<()>,
) -> Result<usize> {
    let recordings = Recordings::of(inputs, &Terminal::new(quiet));
    let (utterances, mut failures) = (&recordings.utterances, recordings.failures);
    let bar = progress(utterances.len(), quiet);
    for utterance in utterances {
        bar.inc(1);
        match read(model, utterance) {
            Ok(written) => each(utterance, written)?,
            Err(error) => {
                failures += 1;
                bar.suspend(|| errln!("error: utterance {}: {error:#}", utterance.id));
            }
        }
    }
    bar.finish_and_clear();
    Ok(failures)
}

fn read(model: &SequenceRecogniser, utterance: &Utterance) -> Result<String> {
    let samples = utterance.samples_within(model.sample_rate(), MAX_SECS)?;
    let secs = samples.len() as f64 / f64::from(model.sample_rate());
    if secs > MAX_SECS {
        bail!("{secs:.1} s are more than {MAX_SECS} s; cut the recording into utterances");
    }
    Ok(model.read(&samples)?)
}
