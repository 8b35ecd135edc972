//! `auricle slu`, and decoding with an attention decoder.

use crate::decode::progress;
use crate::tasks::load_model;
use anyhow::{Context as _, Result, bail};
use auricle_data::{Utterance, read_any};
use auricle_decode::BeamConfig;
use auricle_lasyn::{SequenceRecogniser, Target};
use auricle_text::slu::{Frame, Kind, Tree};
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Longest recording that is read at once: a decoder attends to all of it.
const MAX_SECS: f64 = 60.0;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  auricle slu --model runs/coffee order.wav
  auricle slu --model runs/coffee data/coffee/dev.jsonl --out dev.hyp.jsonl
  auricle eval slu --ref data/coffee/dev.jsonl --hyp dev.hyp.jsonl

One JSON object a line: id, meaning as the model writes it, and what it says: intent and slots, or a tree.
What cannot be read is reported on the error stream, and the exit status is 1.")]
pub struct Args {
    /// Model of a recipe with `model.target = \"meaning\"`: a folder, a file or a run directory.
    #[arg(long)]
    model: PathBuf,
    /// Audio files, manifests or folders.
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Hypotheses of the search.
    #[arg(long, default_value_t = BeamConfig::default().beam)]
    beam: usize,
    #[command(flatten)]
    search: SearchArgs,
    /// Write here instead of to the standard output.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Device.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// No progress bar.
    #[arg(long, short)]
    quiet: bool,
}

/// What a search goes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Order {
    /// Frame-synchronous.
    Frames,
    /// Label-synchronous.
    Labels,
}

/// How attention decoders are searched.
#[derive(clap::Args)]
pub struct SearchArgs {
    /// Added per token of an attention decoder, which likes short outputs. Default: 0, frame-synchronous 0.5.
    #[arg(long, allow_hyphen_values = true)]
    length_bonus: Option<f64>,
    /// Order of the search for an attention decoder. Default: by frames for triggered decoders without --lm, else by labels.
    #[arg(long, value_enum)]
    search: Option<Order>,
    /// Weight of CTC beside an attention decoder, 0 to 1. Default: the one that the model was trained with, or 0.3.
    #[arg(long)]
    ctc_weight: Option<f64>,
}

impl SearchArgs {
    /// A model with that search.
    pub fn with(&self, model: SequenceRecogniser, beam: Option<usize>) -> Result<SequenceRecogniser> {
        let model = match self.search {
            Some(order) => model.with_frame_synchronous(order == Order::Frames)?,
            None => model,
        };
        let own = model.search().clone();
        Ok(model.with_search(BeamConfig {
            beam: beam.unwrap_or(own.beam).clamp(1, 256),
            ctc_weight: self.ctc_weight.unwrap_or(own.ctc_weight).clamp(0.0, 1.0),
            length_bonus: self.length_bonus.unwrap_or(own.length_bonus),
            ..own
        }))
    }
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let device = auricle_tensor::device(&args.device)?;
    let (tensors, metadata) = load_model(&args.model)?;
    let model = SequenceRecogniser::from_weights(tensors, &metadata, &device)
        .with_context(|| format!("model {}", args.model.display()))?;
    if model.target() != Target::Meaning {
        bail!("{} writes transcripts, not meanings: use `auricle decode`", args.model.display());
    }
    let model = args.search.with(model, Some(args.beam))?;
    let mut lines: Vec<u8> = Vec::new();
    let failures = read_all(&model, &args.inputs, args.quiet, |utterance, meaning| {
        let mut line = said(&meaning);
        line["id"] = utterance.id.clone().into();
        line["meaning"] = meaning.into();
        if args.out.is_some() {
            writeln!(lines, "{line}")?;
        } else {
            println!("{line}");
        }
        Ok(())
    })?;
    if let Some(path) = &args.out {
        auricle_train::files::atomic_write(path, &lines).with_context(|| path.display().to_string())?;
    }
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads all utterances of the inputs in their order; how many could not be read.
pub fn read_all(
    model: &SequenceRecogniser,
    inputs: &[PathBuf],
    quiet: bool,
    mut each: impl FnMut(&Utterance, String) -> Result<()>,
) -> Result<usize> {
    let mut failures = 0;
    let mut utterances: Vec<Utterance> = Vec::new();
    for input in inputs {
        match read_any(input) {
            Ok(found) => utterances.extend(found),
            Err(error) => {
                failures += 1;
                eprintln!("error: {error}");
            }
        }
    }
    let bar = progress(utterances.len(), quiet);
    for utterance in &utterances {
        bar.inc(1);
        match read(model, utterance) {
            Ok(written) => each(utterance, written)?,
            Err(error) => {
                failures += 1;
                bar.suspend(|| eprintln!("error: utterance {}: {error:#}", utterance.id));
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

/// What a meaning says, whole or not.
fn said(meaning: &str) -> Value {
    if Kind::of(meaning) == Kind::Stop {
        let intent = Tree::read_intent(meaning);
        let slots = Tree::parse(meaning).map(|tree| tree.slots()).unwrap_or_default();
        return json!({ "intent": intent, "slots": slots });
    }
    let (frame, fault) = Frame::read(meaning);
    let mut line = json!({ "intent": frame.intent_name(), "slots": frame.entities });
    if let Some(fault) = fault {
        line["broken"] = fault.to_string().into();
    }
    line
}
