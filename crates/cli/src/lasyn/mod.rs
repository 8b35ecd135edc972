//! `auricle lasyn`: what latent synthesis needs from files.

mod compare;

use crate::shared::args::LexiconArgs;
use crate::shared::terminal::progress;
use anyhow::{Context as _, Result};
use auricle::latents::BANK;
use auricle_lasyn::{BankOptions, make_bank};
use auricle_nn::weights::Metadata;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Learn from transcribed speech what text becomes inside a recogniser.
    #[command(after_help = "Example:
  auricle lasyn fit --model runs/ctc data/mini_librispeech/train.jsonl --lexicon cmudict.dict

The transcripts are aligned with the recogniser's latents (from a flat start, nothing is trained by
gradients); means, variances, lengths and examples of every phone are written as a bank beside the model.")]
    Fit(Fit),
    /// Tell what synthesized latents lack beside those of speech.
    #[command(after_help = "Examples:
  auricle lasyn compare --model runs/ctc data/mini_librispeech/dev.jsonl --lexicon cmudict.dict
  auricle lasyn compare --model runs/ctc --synthesizer runs/flow data/mini_librispeech/dev.jsonl --json

Lengths, moments and smoothness of both, what the recogniser reads from both, and how well a classifier tells
them apart that was trained on half of the sentences (area under the ROC curve; 0.5: not at all).")]
    Compare(compare::Compare),
}

#[derive(clap::Args)]
pub struct Fit {
    /// Transcribed speech: a manifest, or anything that can be read as one.
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Recogniser of kind `ctc`: a folder, a file, a run directory, or the name of a shipped model.
    #[arg(long, default_value = "asr-en-small")]
    model: PathBuf,
    /// Transformer layers below the cut, over all stages. Default: those of the first stage.
    #[arg(long)]
    split: Option<usize>,
    #[command(flatten)]
    lexicon: LexiconArgs,
    /// Seconds of speech that are kept as examples.
    #[arg(long, default_value_t = 1200.0)]
    exemplar_secs: f64,
    /// Rounds of alignment.
    #[arg(long, default_value_t = 12)]
    rounds: usize,
    /// File to write. Default: `bank.safetensors` beside the model's weights.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Device.
    #[arg(long, default_value = "cpu")]
    device: String,
}

pub fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Fit(args) => fit(args),
        Command::Compare(args) => compare::run(args),
    }
}

fn fit(args: &Fit) -> Result<ExitCode> {
    let device = auricle_tensor::device(&args.device)?;
    let base = auricle::models::split_recogniser(&args.model, args.split, &device)?;
    let pronouncer = args.lexicon.pronouncer()?;
    let utterances = auricle::utterances(&args.inputs)?;
    let options = BankOptions { exemplar_secs: args.exemplar_secs, rounds: args.rounds };
    let bar = progress(utterances.len(), false);
    let bank = make_bank(&base, &utterances, &pronouncer, options, &device, &mut |_| bar.inc(1));
    bar.finish_and_clear();
    let bank = bank?;
    let out = match &args.out {
        Some(out) => out.clone(),
        None => auricle::models::find(&args.model)?.with_file_name(BANK),
    };
    auricle_io::atomic_write(&out, &bank.to_bytes(&Metadata::new())?)
        .with_context(|| out.display().to_string())?;
    outln!(
        "{}: {} utterances, {:.1} min; {} examples of phones, a pause after {:.0} % of the words; {} utterances left out",
        out.display(),
        bank.info.utterances,
        bank.info.secs / 60.0,
        bank.exemplars.len(),
        100.0 * bank.info.pause,
        utterances.len() - bank.info.utterances
    );
    Ok(ExitCode::SUCCESS)
}
