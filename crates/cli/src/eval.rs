//! `auricle eval`.

use crate::shared::hypotheses::{first, read_hypotheses};
use anyhow::{Context as _, Result, bail};
use auricle_data::read_any;
use auricle_rng::Key;
use auricle_text::{
    ErrorCounts, Paired, Scored, bootstrap_interval, breakdown, cer, normalise, pair, report, wer,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 10_000;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Word and character error rates of transcripts.
    #[command(after_help = "Examples:
  auricle decode --model asr-en-small data/mini/dev.jsonl --json --out dev.hyp.jsonl
  auricle eval asr --ref data/mini/dev.jsonl --hyp dev.hyp.jsonl --report dev.txt")]
    Asr(Asr),
    /// Mispronunciation detection: streaming, classifier and fused verdicts, phone scores.
    #[command(after_help = "Examples:
  auricle eval mdd data/speechocean762/dev.jsonl
  auricle eval mdd --model runs/mdd data/speechocean762/dev.jsonl --json > dev.json
  auricle eval mdd --simulate 0.1 data/speechocean762/dev.jsonl")]
    Mdd(crate::eval_mdd::Mdd),
    /// Meanings: intents and slots (SLURP's scores, frame accuracy), parse trees (exact match).
    #[command(after_help = "Examples:
  auricle eval slu --ref data/picovoice_coffee/dev.jsonl --hyp dev.hyp.jsonl --report dev.html
  auricle eval slu --ref data/slurp/test.jsonl --hyp test.hyp.jsonl --kind slurp --json > test.json

Hypotheses are lines of {\"id\", \"meaning\"}, or of `<id> <meaning>`.")]
    Slu(crate::eval_slu::Slu),
}

#[derive(clap::Args)]
pub struct Asr {
    /// References: a manifest with transcripts.
    #[arg(long = "ref")]
    reference: PathBuf,
    /// Hypotheses: `decode --json` output, or lines of `<id> <text>`.
    #[arg(long = "hyp")]
    hypothesis: PathBuf,
    /// Write the alignment report (speakers, confusions, every utterance) here.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Machine-readable output, one JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Asr(args) => asr(args),
        Command::Mdd(args) => crate::eval_mdd::run(args),
        Command::Slu(args) => crate::eval_slu::run(args),
    }
}

/// Scores of a set of transcripts.
pub struct AsrScores {
    /// Pooled word errors.
    pub words: ErrorCounts,
    /// Pooled character errors.
    pub characters: ErrorCounts,
    /// 95 % interval of the word error rate.
    pub interval: (f64, f64),
    /// What the bootstrap resamples.
    pub unit: &'static str,
}

/// Pools errors over normalised texts; the bootstrap resamples speakers where there are at least
/// ten, else utterances.
pub fn score(scored: &[Scored]) -> AsrScores {
    let (mut words, mut characters) = (ErrorCounts::default(), ErrorCounts::default());
    let mut speakers = BTreeMap::<&str, ErrorCounts>::new();
    let mut single = Vec::with_capacity(scored.len());
    for item in scored {
        let own = wer(&item.reference, &item.hypothesis);
        words += own;
        characters += cer(&item.reference, &item.hypothesis);
        *speakers.entry(item.speaker.as_deref().unwrap_or_default()).or_default() += own;
        single.push(own);
    }
    let by_speaker = speakers.len() >= 10;
    let groups: Vec<ErrorCounts> = if by_speaker { speakers.into_values().collect() } else { single };
    let interval = bootstrap_interval(&groups, RESAMPLES, Key::new(0));
    AsrScores { words, characters, interval, unit: if by_speaker { "speakers" } else { "utterances" } }
}

fn asr(args: &Asr) -> Result<ExitCode> {
    let hypotheses = read_hypotheses(&args.hypothesis, "text")?;
    let hypotheses = hypotheses.into_iter().map(|(id, text)| (id, normalise(&text))).collect();
    let mut references = Vec::new();
    for utterance in read_any(&args.reference)? {
        let Some(text) = &utterance.text else {
            bail!("{}: utterance {} has no transcript", args.reference.display(), utterance.id)
        };
        references.push(Scored {
            reference: normalise(text),
            id: utterance.id,
            speaker: utterance.speaker,
            hypothesis: String::new(),
        });
    }
    let Paired { scored, missing, extra } = pair(references, hypotheses);
    if scored.is_empty() {
        bail!("{} has no utterance", args.reference.display());
    }
    if missing.len() == scored.len() {
        bail!(
            "no id of {} is in {}: are they of the same set?",
            args.reference.display(),
            args.hypothesis.display()
        );
    }
    if !extra.is_empty() {
        errln!(
            "warning: {} has no utterance for {} of the hypotheses, which are not scored: {}",
            args.reference.display(),
            extra.len(),
            first(&extra)
        );
    }
    let AsrScores { words, characters, interval, unit } = score(&scored);
    if let Some(path) = &args.report {
        auricle_io::atomic_write(path, report(&scored).as_bytes())
            .with_context(|| path.display().to_string())?;
    }
    if args.json {
        let json = serde_json::json!({
            "utterances": scored.len(), "missing": missing, "extra": extra,
            "wer": words.rate(), "wer_interval_95": [interval.0, interval.1], "bootstrap_unit": unit, "words": words,
            "cer": characters.rate(), "characters": characters, "breakdown": breakdown(&scored),
        });
        outln!("{json}");
        return Ok(ExitCode::SUCCESS);
    }
    outln!("utterances  {}", scored.len());
    if !missing.is_empty() {
        outln!("missing     {} without hypothesis, counted as deleted: {}", missing.len(), first(&missing));
    }
    let ErrorCounts { substitutions, deletions, insertions, reference } = words;
    outln!(
        "WER         {:.2} %  (95 % interval {:.2} to {:.2}, bootstrap over {unit})",
        100.0 * words.rate(),
        100.0 * interval.0,
        100.0 * interval.1
    );
    outln!(
        "            {substitutions} substitutions, {deletions} deletions, {insertions} insertions, {reference} words"
    );
    outln!("CER         {:.2} %  ({} characters)", 100.0 * characters.rate(), characters.reference);
    Ok(ExitCode::SUCCESS)
}
