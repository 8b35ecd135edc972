//! `auricle mdd`.

use crate::shared::args::{LexiconArgs, assessor, threshold};
use crate::shared::terminal::show;
use anyhow::{Context as _, Result, bail};
use auricle::Recordings;
use auricle_cca_mdd::{Reading, Session, Target};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Score the pronunciation of a read sentence: 0 to 100 per phone, word and utterance.
    #[command(after_help = "Examples:
  auricle mdd score --text \"we call it bear\" take1.wav
  auricle mdd score --text \"Wei drinks tea\" --lexicon names.dict take1.wav --json
  auricle mdd score --phones \"W IY K AO L\" --model runs/mdd take1.wav --textgrid > take1.TextGrid

Words are looked up in the lexicons given by --lexicon, then read by the letter-to-sound model.
A phone below --threshold counts as mispronounced; what was said instead is named where the model
knows it. Exit status 1: the file could not be judged.")]
    Score(Score),
    /// Score pronunciation from a microphone, while it is spoken.
    #[command(after_help = "Examples:
  auricle mdd mic --text \"we call it bear\"
  auricle mdd mic --list-devices
  auricle mdd mic --text \"we call it bear\" --replay take1.wav     # without a microphone

Ends when the sentence is over, or at Ctrl-C, and judges what it has. Recording needs a build with the
cargo feature `mic`; `auricle serve` records in the browser and needs no such build.")]
    Mic(Box<crate::mic::Args>),
}

#[derive(clap::Args)]
pub struct Score {
    /// What should be said.
    #[arg(long, required_unless_present = "phones", conflicts_with = "phones")]
    text: Option<String>,
    /// What should be said, in phones of the CMU dictionary.
    #[arg(long)]
    phones: Option<String>,
    /// Recording of one sentence.
    file: PathBuf,
    /// Model: a folder, a file, a run directory, or the name of a shipped model.
    #[arg(long, default_value = "mdd-en-small")]
    model: PathBuf,
    #[command(flatten)]
    lexicon: LexiconArgs,
    /// A phone below this score, of 0 to 100, is mispronounced. Default: the model's.
    #[arg(long)]
    threshold: Option<f64>,
    /// One JSON object.
    #[arg(long, conflicts_with_all = ["textgrid", "ctm"])]
    json: bool,
    /// A TextGrid of Praat with tiers of words, phones and scores.
    #[arg(long, conflicts_with = "ctm")]
    textgrid: bool,
    /// NIST time marks of phones, with the score as confidence.
    #[arg(long)]
    ctm: bool,
    /// Device.
    #[arg(long, default_value = "cpu")]
    device: String,
}

pub fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Score(args) => score(args),
        Command::Mic(args) => crate::mic::run(args),
    }
}

fn score(args: &Score) -> Result<ExitCode> {
    let assessor = assessor(&args.model, &args.device)?;
    let threshold = threshold(args.threshold, &assessor)?;
    let (utterance, _recordings) = Recordings::single(&args.file, "`auricle eval mdd` for a manifest")?;
    let samples = utterance.samples_within(assessor.sample_rate(), auricle_cca_mdd::MAX_SECS)?;
    let target = match (&args.text, &args.phones) {
        (Some(text), _) => Target::of_prompt(args.lexicon.pronouncer()?.prompt(text)?),
        (None, Some(phones)) => Target::of_phones(phones).context("--phones")?,
        (None, None) => bail!("give --text or --phones"),
    };
    let mut session = Session::new(assessor.clone(), target.classes())?;
    let judged = session.push(&samples).and_then(|_| session.finish());
    let verdicts = judged.with_context(|| format!("utterance {}", utterance.id))?;
    let reading = Reading::new(target, verdicts).best(&session)?;
    let scored = reading.scored(&session, &utterance.id, threshold, utterance.duration_secs);
    let text = match (args.json, args.textgrid, args.ctm) {
        (true, ..) => serde_json::to_string(&scored)?,
        (_, true, _) => scored.textgrid(),
        (_, _, true) => scored.ctm(),
        _ => scored.table(),
    };
    show(&scored, &text);
    Ok(ExitCode::SUCCESS)
}
