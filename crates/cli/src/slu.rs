//! `auricle slu`.

use crate::shared::args::SearchArgs;
use crate::shared::out::Sink;
use crate::shared::sequences::read_all;
use anyhow::{Result, bail};
use auricle_decode::BeamConfig;
use auricle_lasyn::Target;
use auricle_text::slu::{Frame, Kind, Tree};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

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

pub fn run(args: &Args) -> Result<ExitCode> {
    let device = auricle_tensor::device(&args.device)?;
    let model = auricle::models::sequence_recogniser(&args.model, &device)?;
    if model.target() != Target::Meaning {
        bail!("{} writes transcripts, not meanings: use `auricle decode`", args.model.display());
    }
    let model = args.search.with(model, Some(args.beam))?;
    let mut sink = Sink::open(args.out.as_deref())?;
    let failures = read_all(&model, &args.inputs, args.quiet, |utterance, meaning| {
        let mut line = said(&meaning);
        line["id"] = utterance.id.clone().into();
        line["meaning"] = meaning.into();
        sink.write(&format!("{line}\n"))
    })?;
    sink.finish()?;
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
