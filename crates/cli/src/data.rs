//! `auricle data`.

use crate::shared::out::one_line;
use crate::shared::terminal::Terminal;
use anyhow::{Context as _, Result, bail};
use auricle_audio::{MelConfig, MelFrontEnd};
use auricle_data::doctor::{self, CheckConfig, CheckReport, Finding, Set};
use auricle_data::{Manifest, Utterance, read_any};
use auricle_train::Recipe;
use indicatif::ProgressBar;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// Findings of one kind that are printed; --json prints all.
const SHOWN: usize = 5;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Find what is wrong with a corpus: audio, durations, transcripts, duplicates, leaks.
    #[command(after_help = "Examples:
  auricle data check data/mini/train.jsonl data/mini/dev.jsonl
  auricle data check data/mini/train.jsonl --recipe recipes/mini_librispeech/ctc_from_scratch.toml
  auricle data check kaldi/data/train --fix data/clean

Exits with status 1 where there are errors.")]
    Check(Check),
    /// Turn any corpus that can be read (NeMo, Kaldi, lhotse, CSV, folder) into a manifest.
    #[command(after_help = "Examples:
  auricle data convert kaldi/data/train --out data/train.jsonl
  auricle data convert cuts.jsonl.gz --out data/cuts.jsonl")]
    Convert(Convert),
    /// Take some minutes of a corpus, as `data.subset_minutes` does, and keep the rest aside.
    #[command(after_help = "Example:
  auricle data subset data/mini_librispeech/train.jsonl --minutes 30 --out labelled.jsonl --rest text-only.jsonl")]
    Subset(Subset),
    /// Mean and standard deviation of every mel bin: the normalisation of a streaming front end.
    #[command(after_help = "Example:
  auricle data stats data/speechocean762/train.jsonl --bins 80

Prints the line `norm = { fixed = … }` for the recipe's [model.front_end].")]
    Stats(Stats),
    /// What a teacher finds hard: its error on every utterance, for `train.curriculum.errors`.
    #[command(after_help = "Example:
  auricle data difficulty --model asr-en-small data/mini_librispeech/train.jsonl --out errors.jsonl
  auricle train recipes/mini_librispeech/ctc_from_pretrained.toml --set train.curriculum.errors=errors.jsonl

The error is the character error rate, and for recognisers with CTC alone one minus the mean confidence of their words is added. A
model of meanings is asked for meanings, one of mispronunciation for phones, whose error rate counts.")]
    Difficulty(Difficulty),
}

#[derive(clap::Args)]
pub struct Difficulty {
    /// Labelled speech: manifests, or anything that can be read.
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Model that teaches.
    #[arg(long, default_value = "asr-en-small")]
    model: PathBuf,
    /// File to write.
    #[arg(long)]
    out: PathBuf,
    /// No progress bar.
    #[arg(long, short)]
    quiet: bool,
}

#[derive(clap::Args)]
pub struct Subset {
    /// What to read.
    input: PathBuf,
    /// Minutes of speech to take, whole utterances drawn at random.
    #[arg(long)]
    minutes: f64,
    /// Seed of the choice; that of a recipe makes the same one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Manifest to write.
    #[arg(long)]
    out: PathBuf,
    /// Manifest of those that were not taken.
    #[arg(long)]
    rest: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct Stats {
    /// Manifests, or anything that can be read.
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Mel bins.
    #[arg(long, default_value_t = 80)]
    bins: usize,
    /// Read this many utterances, spread evenly.
    #[arg(long, default_value_t = 500)]
    utterances: usize,
}

#[derive(clap::Args)]
pub struct Check {
    /// Manifests, or anything that can be read; each is a set of its own.
    #[arg(required = true)]
    sets: Vec<PathBuf>,
    /// Also find what training with this CTC recipe refuses: no transcript, one that its tokenizer cannot spell, or that
    /// is too long to align.
    #[arg(long)]
    recipe: Option<PathBuf>,
    /// The sampling rate that all files should have.
    #[arg(long)]
    sample_rate: Option<u32>,
    /// Every utterance needs a transcript.
    #[arg(long)]
    needs_text: bool,
    /// Every utterance needs canonical and perceived phones.
    #[arg(long)]
    needs_phones: bool,
    /// Every utterance needs a meaning.
    #[arg(long)]
    needs_meaning: bool,
    /// Write mended manifests to this folder.
    #[arg(long, value_name = "FOLDER")]
    fix: Option<PathBuf>,
    /// Machine-readable output, one JSON object.
    #[arg(long)]
    json: bool,
    /// Threads that decode. Default: all.
    #[arg(long)]
    workers: Option<usize>,
}

#[derive(clap::Args)]
pub struct Convert {
    /// What to read.
    input: PathBuf,
    /// Manifest to write.
    #[arg(long)]
    out: PathBuf,
}

pub fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Check(args) => check(args),
        Command::Stats(args) => stats(args),
        Command::Subset(args) => subset(args),
        Command::Difficulty(args) => difficulty(args),
        Command::Convert(args) => {
            let utterances = read_any(&args.input)?;
            Manifest::write(&args.out, &utterances)?;
            let hours = utterances.iter().fold(0.0, |sum, u| sum + u.duration_secs) / 3600.0;
            outln!("{}: {} utterances, {hours:.2} h", args.out.display(), utterances.len());
            let unread: Vec<&Utterance> = utterances.iter().filter(|u| u.duration_secs <= 0.0).collect();
            let Some(first) = unread.first() else { return Ok(ExitCode::SUCCESS) };
            errln!(
                "error: {} of them cannot be read, the first is {}; `auricle data check {} --fix FOLDER` says why \
                 and drops them",
                unread.len(),
                first.audio.display(),
                args.out.display()
            );
            Ok(ExitCode::FAILURE)
        }
    }
}

fn subset(args: &Subset) -> Result<ExitCode> {
    let utterances = read_any(&args.input)?;
    let (taken, rest) = auricle_train::subset(utterances, args.minutes, args.seed);
    if taken.is_empty() {
        bail!("no utterance is as short as {} minutes", args.minutes);
    }
    for (path, part) in [(Some(&args.out), &taken), (args.rest.as_ref(), &rest)] {
        let Some(path) = path else { continue };
        Manifest::write(path, part)?;
        let minutes = part.iter().fold(0.0, |sum, u| sum + u.duration_secs) / 60.0;
        outln!("{}: {} utterances, {minutes:.1} min", path.display(), part.len());
    }
    Ok(ExitCode::SUCCESS)
}

/// Statistics of the streaming front end without normalisation.
fn stats(args: &Stats) -> Result<ExitCode> {
    let utterances = auricle_data::read_all(&args.inputs)?;
    let config = MelConfig { num_bins: args.bins, ..auricle_cca_mdd::streaming_front_end() };
    let front_end = MelFrontEnd::new(config)?;
    let step = utterances.len().div_ceil(args.utterances.max(1)).max(1);
    let (mut count, mut sums) = (0.0, vec![(0.0, 0.0); args.bins]);
    for utterance in utterances.iter().step_by(step) {
        let samples = utterance.samples(front_end.config().sample_rate)?;
        let mel = front_end.compute(&samples, samples.len(), None)?;
        for frame in mel.rows() {
            count += 1.0;
            for ((sum, square), value) in sums.iter_mut().zip(frame) {
                *sum += f64::from(*value);
                *square += f64::from(*value).powi(2);
            }
        }
    }
    if count == 0.0 {
        bail!("no speech to measure");
    }
    let list = |values: Vec<f64>| -> String {
        values.iter().map(|value| format!("{value:.2}")).collect::<Vec<_>>().join(", ")
    };
    let mean = sums.iter().map(|(sum, _)| sum / count).collect();
    let std =
        sums.iter().map(|(sum, square)| (square / count - (sum / count).powi(2)).max(0.0).sqrt()).collect();
    outln!("norm = {{ fixed = {{ mean = [{}], std = [{}] }} }}", list(mean), list(std));
    Ok(ExitCode::SUCCESS)
}

fn check(args: &Check) -> Result<ExitCode> {
    let sets = doctor::read_sets(&args.sets)?;
    let total: usize = sets.iter().map(|s| s.utterances.len()).sum();
    let workers =
        args.workers.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let config = CheckConfig {
        sample_rate: args.sample_rate,
        workers,
        needs_text: args.needs_text || args.recipe.is_some(),
        needs_phones: args.needs_phones,
        needs_meaning: args.needs_meaning,
    };
    let bar = if args.json { ProgressBar::hidden() } else { ProgressBar::new(total as u64) };
    let mut report = doctor::check(&sets, &config, || bar.inc(1));
    bar.finish_and_clear();
    if let Some(path) = &args.recipe {
        let aligned = auricle::aligner(&Recipe::load(path, &[])?)?;
        report.findings.extend(sets.iter().flat_map(|set| aligned.cannot_align(set)));
    }
    if args.json {
        outln!("{}", serde_json::to_string(&report)?);
    } else {
        print(&sets, &report);
    }
    if let Some(folder) = &args.fix {
        for set in doctor::fix(&sets, &report) {
            let path = folder.join(format!("{}.jsonl", set.name));
            Manifest::write(&path, &set.utterances)?;
            errln!("{}: {} utterances", path.display(), set.utterances.len());
        }
    }
    Ok(if report.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(sets: &[Set], report: &CheckReport) {
    for set in sets {
        let hours = set.utterances.iter().fold(0.0, |sum, u| sum + u.duration_secs) / 3600.0;
        let mut speakers: Vec<&str> = set.utterances.iter().filter_map(|u| u.speaker.as_deref()).collect();
        speakers.sort_unstable();
        speakers.dedup();
        outln!(
            "{}: {} utterances, {hours:.2} h, {} speakers",
            set.name,
            set.utterances.len(),
            speakers.len()
        );
    }
    let mut kinds = BTreeMap::<&str, Vec<&Finding>>::new();
    for finding in &report.findings {
        kinds.entry(finding.kind).or_default().push(finding);
    }
    for (kind, findings) in &kinds {
        outln!("\n{kind}: {} ({:?})\n  {}", findings.len(), findings[0].severity, doctor::advice(kind));
        for finding in findings.iter().take(SHOWN) {
            outln!("  - {} {}: {}", finding.set, one_line(&finding.id), one_line(&finding.detail));
        }
        if findings.len() > SHOWN {
            outln!("  … and {} more (--json shows all)", findings.len() - SHOWN);
        }
    }
    if kinds.is_empty() {
        outln!("nothing wrong");
    }
}

fn difficulty(args: &Difficulty) -> Result<ExitCode> {
    let utterances = auricle_data::read_all(&args.inputs)?;
    let terminal = Terminal::new(args.quiet);
    let known = auricle::difficulty(&args.model, &utterances, &terminal)?;
    let lines = known.iter().map(|error| serde_json::to_string(error).map(|line| line + "\n"));
    let lines: String = lines.collect::<Result<_, _>>()?;
    auricle_io::atomic_write(&args.out, lines.as_bytes()).with_context(|| args.out.display().to_string())?;
    Ok(if known.len() == utterances.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
