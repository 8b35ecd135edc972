//! `auricle adapt`.

use crate::lasyn::{Source, check_bank, sentences};
use crate::lexicon::{LexiconArgs, pronouncer};
use crate::tasks::{load_model, manifests};
use anyhow::{Context as _, Result, bail};
use auricle_asr::{Recogniser, TranscribeConfig, transcribe};
use auricle_lasyn::{Sentence, SplitRecogniser, Synthesizer, Target, read_sentences};
use auricle_rng::{Key, Purpose};
use auricle_text::asr::{AsrScores, score};
use auricle_text::{Scored, normalise};
use auricle_train::log::read_series;
use auricle_train::report::{Axis, Report, Series};
use auricle_train::{Outcome, recipe};
use burn::tensor::Device;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

const RECIPE: &str = include_str!("../../../recipes/lasyn/adapt.toml");

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
    source: Source,
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

/// What a recogniser reads, before or after.
struct Reading {
    what: &'static str,
    sentences: Vec<Scored>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    let stop = crate::interrupt::flag()?;
    let device = auricle_tensor::device("cpu")?.without_autodiff();
    let (bank, bank_path) = args.source.bank()?;
    let base = split(&args.source.model, bank.info.split, &device)?;
    check_bank(&bank, &base, &bank_path)?;
    let all = sentences(&args.text, Target::Text, &pronouncer(&args.lexicon)?, &base.tokenizer)?;
    let (train, held) = hold_out(all);
    if train.is_empty() {
        bail!("there is no sentence to learn from in the texts");
    }
    let synthesizer = args.source.synthesizer(bank)?;

    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let text = args.out.join("text.txt");
    let lines: String = train.iter().map(|sentence| sentence.target.clone() + "\n").collect();
    auricle_train::files::atomic_write(&text, lines.as_bytes())
        .with_context(|| text.display().to_string())?;

    let before = readings(args, &args.source.model, &base, &*synthesizer, &held, &device)?;
    let recipe = recipe_of(&Plan {
        model: &args.source.model,
        text: Some(Text { bank: &bank_path, file: &text, source: Some(&args.source) }),
        audio: args.audio.clone(),
        eval: args.eval.iter().cloned().collect(),
        lexicon: &args.lexicon,
        steps: args.steps,
        set: &args.set,
    })?;
    let resumes = args.out.join("checkpoints/last.safetensors").exists();
    if crate::train::train(&recipe, &args.out, resumes, args.quiet, &stop)? == Outcome::Interrupted {
        eprintln!("interrupted; the same command goes on");
        return Ok(ExitCode::from(crate::interrupt::INTERRUPTED));
    }
    let after = split(&args.out, base.split, &device)?;
    let after = readings(args, &args.out, &after, &*synthesizer, &held, &device)?;
    table(&before, &after);
    let page = args.out.join("adaptation.html");
    report(&args.out, &before, &after)?.write(&page).with_context(|| page.display().to_string())?;
    println!("\nrecogniser: {}", args.out.join("model.safetensors").display());
    println!("report: {}", page.display());
    println!("took {:.0} s", started.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

fn split(model: &Path, split: usize, device: &Device) -> Result<SplitRecogniser> {
    let (tensors, metadata) = load_model(model)?;
    Ok(SplitRecogniser::from_weights(tensors, &metadata, Some(split), device)?)
}

/// One sentence in ten is kept aside, no more than 200, the same ones every time.
fn hold_out(all: Vec<Sentence>) -> (Vec<Sentence>, Vec<Sentence>) {
    let (mut train, mut held) = (Vec::new(), Vec::new());
    let mut seen = std::collections::HashSet::new();
    for sentence in all {
        let key = Key::new(0).utterance(&sentence.target);
        // Whatever is repeated must not be on both sides.
        if key.stream(Purpose::Subset).below(10) == 0 && (held.len() < 200 || seen.contains(&sentence.target))
        {
            if seen.insert(sentence.target.clone()) {
                held.push(sentence);
            }
        } else {
            train.push(sentence);
        }
    }
    (train, held)
}

/// What an adaptation trains with.
pub struct Plan<'a> {
    /// Recogniser to start from.
    pub model: &'a Path,
    /// Texts; without them speech alone: the control.
    pub text: Option<Text<'a>>,
    /// Transcribed speech to train on.
    pub audio: Vec<PathBuf>,
    /// Transcribed speech to validate on.
    pub eval: Vec<PathBuf>,
    /// Pronunciations.
    pub lexicon: &'a LexiconArgs,
    /// Training steps.
    pub steps: u64,
    /// Overrides.
    pub set: &'a [String],
}

/// What text becomes latents, and how.
pub struct Text<'a> {
    /// Bank of the recogniser's latents.
    pub bank: &'a Path,
    /// A sentence per line.
    pub file: &'a Path,
    /// Another synthesizer than the recipe's.
    pub source: Option<&'a Source>,
}

/// The recipe of an adaptation.
pub fn recipe_of(plan: &Plan<'_>) -> Result<auricle_train::Recipe> {
    let mut table: toml::Table = toml::from_str(RECIPE).context("the built-in recipe")?;
    for set in plan.set {
        recipe::set(&mut table, set)?;
    }
    let mut recipe: auricle_train::Recipe = recipe::parse(&table, "adapt")?;
    recipe.data.train = plan.audio.clone();
    recipe.data.validation = plan.eval.clone();
    recipe.train.steps = plan.steps;
    recipe.schedule.rescale(plan.steps);
    let path = |path: &Path| toml::Value::from(path.display().to_string());
    let list = |paths: &[PathBuf]| toml::Value::Array(paths.iter().map(|p| path(p)).collect());
    let model = &mut recipe.model;
    model.insert("base".into(), path(plan.model));
    match &plan.text {
        Some(Text { bank, file, source }) => {
            model.insert("bank".into(), path(bank));
            model.insert("text".into(), list(&[file.to_path_buf()]));
            if let Some(source) = source {
                if let Some(projection) = source.projection() {
                    model.insert("projection".into(), toml::Value::try_from(projection)?);
                }
                // Networks are slower than training: what they make is used more than once.
                if let Some(name) = &source.synthesizer {
                    model.insert("synthesizer".into(), path(name));
                    model.entry("cached_takes").or_insert(toml::Value::from(2));
                }
            }
        }
        None => {
            model.remove("bank");
            model.remove("text");
        }
    }
    if !plan.lexicon.lexicon.is_empty() {
        model.insert("lexicon".into(), list(&plan.lexicon.lexicon));
    }
    if let Some(g2p) = &plan.lexicon.g2p {
        model.insert("g2p".into(), path(g2p));
    }
    Ok(recipe)
}

/// What a recogniser reads from the sentences kept aside, and from real recordings.
fn readings(
    args: &Args,
    name: &Path,
    model: &SplitRecogniser,
    synthesizer: &dyn Synthesizer,
    held: &[Sentence],
    device: &Device,
) -> Result<Vec<Reading>> {
    let mut readings = Vec::new();
    if !held.is_empty() {
        let read = read_sentences(model, synthesizer, held, 1, device)?;
        let sentences = held
            .iter()
            .zip(read)
            .enumerate()
            .map(|(i, (sentence, hypothesis))| Scored {
                id: format!("text {i}"),
                speaker: None,
                reference: sentence.target.clone(),
                hypothesis,
            })
            .collect();
        readings.push(Reading { what: "new sentences, synthesised", sentences });
    }
    if let Some(manifest) = &args.eval {
        let (tensors, metadata) = load_model(name)?;
        let recogniser = Recogniser::from_weights(tensors, &metadata, device)?;
        let utterances = manifests(std::slice::from_ref(manifest))?;
        let mut sentences = Vec::with_capacity(utterances.len());
        transcribe(&recogniser, &utterances, &TranscribeConfig::default(), |i, transcript| -> Result<()> {
            sentences.push(Scored {
                id: utterances[i].id.clone(),
                speaker: utterances[i].speaker.clone(),
                reference: normalise(utterances[i].text.as_deref().unwrap_or_default()),
                hypothesis: transcript?.text,
            });
            Ok(())
        })?;
        readings.push(Reading { what: "recordings", sentences });
    }
    Ok(readings)
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
    println!("{name:28} {old:>12} {new:>8} {interval:>16} {gain:>11} {cer:>14}");
    for [name, old, new, interval, gain, cer] in rows(before, after) {
        println!("{name:28} {old:>12} {new:>8} {interval:>16} {gain:>11} {cer:>14}");
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
