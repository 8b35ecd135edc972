//! `auricle adapt`.

use crate::shared::args::{LexiconArgs, SourceArgs};
use crate::shared::interrupt;
use crate::shared::terminal::Terminal;
use anyhow::{Context as _, Result};
use auricle::Training;
use auricle::adapt::{Adaptation, Adapted, Reading, adapt};
use auricle_text::asr::{AsrScores, score};
use auricle_train::log::read_series;
use auricle_train::report::{Axis, Report, Series};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  auricle adapt --model asr-en-small --text corpus.txt --out runs/coffee
  auricle adapt --model runs/ctc --text corpus.txt --synthesizer runs/flow --out runs/coffee
  auricle adapt --model runs/ctc --text corpus.txt --audio data/train.jsonl --eval data/coffee/dev.jsonl --out runs/coffee

The text becomes latents as the recogniser's lower part would make them of speech; its upper part is
trained on them, and on --audio beside them, which keeps what it knew. One sentence in ten is kept aside and
read before and after; --eval does the same with real recordings. Ctrl-C keeps a checkpoint; the same
command goes on from it.")]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// Text of the new domain: a sentence per line, or a text manifest. May be repeated.
    #[arg(long, required = true)]
    text: Vec<PathBuf>,
    /// Transcribed speech to train on beside the text. May be repeated.
    #[arg(long)]
    audio: Vec<PathBuf>,
    /// Transcribed speech of the new domain to measure with; it is not trained on.
    #[arg(long)]
    eval: Option<PathBuf>,
    #[command(flatten)]
    lexicon: LexiconArgs,
    /// Folder for the adapted recogniser and its report.
    #[arg(long)]
    out: PathBuf,
    /// Training steps.
    #[arg(long, default_value_t = 500)]
    steps: u64,
    /// Overrides a value of the recipe, for example `optimizer.lr=3e-4`. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// No progress bar.
    #[arg(long, short)]
    quiet: bool,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    let stop = interrupt::flag()?;
    let adaptation = Adaptation {
        source: args.source.source(),
        text: args.text.clone(),
        audio: args.audio.clone(),
        eval: args.eval.clone(),
        pronunciations: args.lexicon.pronunciations(),
        steps: args.steps,
        set: args.set.clone(),
    };
    let terminal = Terminal::new(args.quiet);
    let training = Training { resume: true, events: &terminal, stop: &stop };
    let Some(Adapted { before, after }) = adapt(&adaptation, &args.out, training)? else {
        errln!("interrupted; the same command goes on");
        return Ok(ExitCode::from(interrupt::INTERRUPTED));
    };
    table(&before, &after);
    let page = args.out.join("adaptation.html");
    report(&args.out, &before, &after)?.write(&page).with_context(|| page.display().to_string())?;
    outln!("\nrecogniser: {}", args.out.join("model.safetensors").display());
    outln!("report: {}", page.display());
    outln!("took {:.0} s", started.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

fn rows(before: &[Reading], after: &[Reading]) -> Vec<[String; 6]> {
    let percent = |x: f64| format!("{:.1}", 100.0 * x);
    before
        .iter()
        .zip(after)
        .map(|(before, after)| {
            let (old, new) = (score(&before.sentences), score(&after.sentences));
            let AsrScores { interval, .. } = new;
            let gain = (old.words.rate() - new.words.rate()) / old.words.rate().max(1e-9);
            [
                before.what.to_string(),
                percent(old.words.rate()),
                percent(new.words.rate()),
                format!("{:.1} to {:.1}", 100.0 * interval.0, 100.0 * interval.1),
                format!("{:.0}", 100.0 * gain),
                format!("{} → {}", percent(old.characters.rate()), percent(new.characters.rate())),
            ]
        })
        .collect()
}

const HEAD: [&str; 6] = ["", "WER % before", "after", "95 % interval", "reduction %", "CER %"];

fn table(before: &[Reading], after: &[Reading]) {
    let [name, old, new, interval, gain, cer] = HEAD;
    outln!("{name:28} {old:>12} {new:>8} {interval:>16} {gain:>11} {cer:>14}");
    for [name, old, new, interval, gain, cer] in rows(before, after) {
        outln!("{name:28} {old:>12} {new:>8} {interval:>16} {gain:>11} {cer:>14}");
    }
}

fn report(run: &Path, before: &[Reading], after: &[Reading]) -> Result<Report> {
    let cells: Vec<Vec<String>> = rows(before, after).into_iter().map(Vec::from).collect();
    let log = run.join("log.jsonl");
    let mut series = read_series(&log).with_context(|| log.display().to_string())?;
    let mut curve = |name: &str, label: &str| Series {
        name: label.into(),
        points: series.remove(name).unwrap_or_default(),
    };
    let losses = [curve("train/pseudo", "text"), curve("train/real", "speech")];
    let mut page = Report::new("auricle adapt")
        .paragraph("A recogniser before and after it was trained on pseudo-acoustic latents of the new text.")
        .table(&HEAD, &cells)
        .lines("Loss per token", &Axis::linear("step"), &Axis::linear("CTC loss"), &losses)
        .heading("Examples");
    for (before, after) in before.iter().zip(after) {
        let lines: Vec<String> = before
            .sentences
            .iter()
            .zip(&after.sentences)
            .take(20)
            .map(|(b, a)| {
                format!("REF    {}\nBEFORE {}\nAFTER  {}\n", b.reference, b.hypothesis, a.hypothesis)
            })
            .collect();
        page = page.paragraph(before.what).code(&lines.join("\n"));
    }
    Ok(page)
}
