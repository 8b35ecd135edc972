//! `auricle quickstart`: every system, trained and evaluated on the built-in corpus.

mod new_words;

use crate::shared::interrupt;
use crate::shared::terminal::Terminal;
use anyhow::{Context as _, Result, bail};
use auricle::adapt::transcripts;
use auricle::{Training, models};
use auricle_cca_mdd::evaluation::{Evaluation, EvaluationConfig, evaluate};
use auricle_data::builtin;
use auricle_io::atomic_write;
use auricle_text::Scored;
use auricle_text::asr::{AsrScores, score};
use auricle_train::log::read_series;
use auricle_train::report::{Axis, Report, Series};
use auricle_train::{Outcome, Recipe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use new_words::NewWords;

/// The recipes, so that the program needs no file beside it.
const RECIPES: [(&str, &str); 4] = [
    ("spiral_pretrain.toml", auricle_recipes::SPIRAL_PRETRAIN),
    ("ctc_from_scratch.toml", auricle_recipes::CTC_FROM_SCRATCH),
    ("ctc_from_pretrained.toml", auricle_recipes::CTC_FROM_PRETRAINED),
    ("mdd.toml", auricle_recipes::MDD),
];

#[derive(clap::Args)]
#[command(after_help = "Example:
  auricle quickstart --out runs/quickstart

The corpus is synthetic speech that comes with the program: scores on it say that the systems work,
nothing about people's speech. See recipes/ for real corpora.")]
pub struct Args {
    /// Folder for corpus, runs and report.
    #[arg(long, default_value = "runs/quickstart")]
    out: PathBuf,
    /// No progress bars.
    #[arg(long, short)]
    quiet: bool,
}

/// One trained recogniser and its scores on the test set.
struct Row {
    name: &'static str,
    run: PathBuf,
    scores: AsrScores,
    train_secs: f64,
    examples: Vec<Scored>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    let stop = interrupt::flag()?;

    outln!("1/7  the built-in corpus");
    let corpus = builtin::extract(&args.out.join("corpus"))?;
    for manifest in [&corpus.train, &corpus.dev, &corpus.test] {
        let utterances = auricle::utterances(std::slice::from_ref(manifest))?;
        let minutes = utterances.iter().map(|u| u.duration_secs).sum::<f64>() / 60.0;
        outln!("     {}: {} utterances, {minutes:.1} min", manifest.display(), utterances.len());
    }
    let recipes = args.out.join("recipes");
    std::fs::create_dir_all(&recipes).with_context(|| recipes.display().to_string())?;
    for (name, text) in RECIPES {
        let path = recipes.join(name);
        atomic_write(&path, text.as_bytes()).with_context(|| path.display().to_string())?;
    }

    outln!("2/7  SPIRAL pre-training, without transcripts");
    let pretrain_secs = train(args, "spiral_pretrain", &corpus, &stop)?;
    let mut rows = Vec::new();
    for (number, name, label) in
        [(3, "ctc_from_scratch", "CTC from random weights"), (4, "ctc_from_pretrained", "CTC from SPIRAL")]
    {
        outln!("{number}/7  {label}");
        let train_secs = train(args, name, &corpus, &stop)?;
        let run = args.out.join(name);
        let examples = decode(&run, &corpus.test)?;
        rows.push(Row { name: label, run, scores: score(&examples), train_secs, examples });
    }
    outln!("5/7  streaming mispronunciation detection");
    let mdd_secs = train(args, "mdd", &corpus, &stop)?;
    let mdd = Mdd::of(&args.out.join("mdd"), &corpus.test, mdd_secs)?;
    outln!("6/7  new words from text alone");
    let words = NewWords::of(args, &corpus, &stop)?;
    outln!("7/7  results on the test speakers, who are in no other set\n");
    table(&rows);
    outln!("\n{}", mdd.sentence());
    outln!("\n{}", words.sentence());
    let report = args.out.join("report.html");
    page(&rows, &mdd, &words, &args.out.join("spiral_pretrain"), pretrain_secs)?
        .write(&report)
        .with_context(|| report.display().to_string())?;
    outln!("\nreport: {}", report.display());
    outln!("took {:.0} s", started.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

/// What mispronunciation detection scores on the test speakers.
struct Mdd {
    run: PathBuf,
    scores: Evaluation,
    train_secs: f64,
}

impl Mdd {
    fn of(run: &Path, manifest: &Path, train_secs: f64) -> Result<Self> {
        let assessor = models::assessor(run, &auricle_tensor::device("cpu")?)?;
        let utterances = auricle::utterances(&[manifest.to_path_buf()])?;
        let config = EvaluationConfig { threshold: 0.5, simulate: None };
        let scores = evaluate(&Arc::new(assessor), &utterances, &config, &mut |_| ())?;
        Ok(Self { run: run.to_path_buf(), scores, train_secs })
    }

    fn sentence(&self) -> String {
        let scores = &self.scores;
        let (phones, wrong) = (scores.phones, scores.mispronounced);
        let percent =
            |value: Option<f64>| value.map_or("–".into(), |value| format!("{:.1} %", 100.0 * value));
        format!(
            "CCA-MDD, streaming: phone error rate {}; of {phones} phones {wrong} are mispronounced ({:.1} %): average precision {}, F1 {} (fused), real-time factor {:.3}, trained in {:.0} s.",
            percent(scores.scorer_m.as_ref().map(|scores| scores.phone_error_rate)),
            100.0 * wrong as f64 / phones.max(1) as f64,
            percent(scores.average_precision),
            percent(scores.fused.rates.f1),
            scores.real_time_factor,
            self.train_secs
        )
    }
}

/// Trains one recipe anew in `<out>/<name>`; seconds.
fn train(args: &Args, name: &str, corpus: &builtin::Extracted, stop: &AtomicBool) -> Result<f64> {
    let file = args.out.join("recipes").join(format!("{name}.toml"));
    let mut recipe = Recipe::load(&file, &[])?;
    recipe.data.train = vec![corpus.train.clone()];
    recipe.data.validation = vec![corpus.dev.clone()];
    if recipe.model.contains_key("init_from") {
        let pretrained = args.out.join("spiral_pretrain").display().to_string();
        recipe.model.insert("init_from".into(), pretrained.into());
    }
    run_anew(&recipe, &args.out.join(name), args.quiet, stop)
}

/// Trains a recipe in a folder, which is emptied; seconds.
fn run_anew(recipe: &Recipe, run: &Path, quiet: bool, stop: &AtomicBool) -> Result<f64> {
    let started = Instant::now();
    if run.exists() {
        std::fs::remove_dir_all(run).with_context(|| run.display().to_string())?;
    }
    let terminal = Terminal::new(quiet);
    match auricle::train(recipe, run, Training { resume: false, events: &terminal, stop })? {
        Outcome::Interrupted => bail!("interrupted; run it again, it takes minutes"),
        Outcome::Finished | Outcome::EarlyStopped => Ok(started.elapsed().as_secs_f64()),
    }
}

/// Transcripts of a test set.
fn decode(run: &Path, manifest: &Path) -> Result<Vec<Scored>> {
    Ok(transcripts(run, &[manifest.to_path_buf()], &auricle_tensor::device("cpu")?)?)
}

fn table(rows: &[Row]) {
    outln!("{:26} {:>8} {:>20} {:>8} {:>9}", "system", "WER %", "95 % interval", "CER %", "train s");
    for row in rows {
        let AsrScores { words, characters, interval, .. } = &row.scores;
        let interval = format!("{:.1} to {:.1}", 100.0 * interval.0, 100.0 * interval.1);
        outln!(
            "{:26} {:8.1} {interval:>20} {:8.1} {:9.0}",
            row.name,
            100.0 * words.rate(),
            100.0 * characters.rate(),
            row.train_secs
        );
    }
    if let Some(gain) = gain(rows) {
        outln!("\n{gain}");
    }
}

/// What pre-training brought, in words, whichever way it went.
fn gain(rows: &[Row]) -> Option<String> {
    let [scratch, pretrained] = rows else { return None };
    let (before, after) = (scratch.scores.words.rate(), pretrained.scores.words.rate());
    let change = 100.0 * (before - after) / before.max(1e-9);
    let verb = if after < before { "lowers" } else { "does not lower" };
    Some(format!(
        "SPIRAL pre-training {verb} the word error rate: {:.1} % → {:.1} % ({change:.0} % relative), same fine-tuning steps.",
        100.0 * before,
        100.0 * after
    ))
}

fn page(rows: &[Row], mdd: &Mdd, words: &NewWords, pretrain: &Path, pretrain_secs: f64) -> Result<Report> {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let AsrScores { words, characters, interval, .. } = &row.scores;
            vec![
                row.name.to_string(),
                format!("{:.1}", 100.0 * words.rate()),
                format!("{:.1} to {:.1}", 100.0 * interval.0, 100.0 * interval.1),
                format!("{:.1}", 100.0 * characters.rate()),
                format!("{:.0}", row.train_secs),
            ]
        })
        .collect();
    let curve = |run: &Path, name: &str, label: &str| -> Result<Series> {
        let log = run.join("log.jsonl");
        let points =
            read_series(&log).with_context(|| log.display().to_string())?.remove(name).unwrap_or_default();
        Ok(Series { name: label.to_string(), points })
    };
    let validation =
        rows.iter().map(|row| curve(&row.run, "validation/wer", row.name)).collect::<Result<Vec<_>>>()?;
    let losses =
        rows.iter().map(|row| curve(&row.run, "train/loss", row.name)).collect::<Result<Vec<_>>>()?;
    let bars: Vec<(String, f64)> =
        rows.iter().map(|row| (row.name.to_string(), 100.0 * row.scores.words.rate())).collect();
    let mut page = Report::new("auricle quickstart")
        .paragraph("Every system on the built-in synthetic corpus. The test speakers are in no other set. These scores show that the systems work; they say nothing about people's speech.")
        .heading("Results")
        .table(&["system", "WER %", "95 % interval", "CER %", "training s"], &cells)
        .paragraph(&gain(rows).unwrap_or_default())
        .bars("Word error rate on the test speakers", "%", &bars)
        .heading("Fine-tuning")
        .lines("Word error rate on the dev speakers", &Axis::linear("step"), &Axis::linear("WER"), &validation)
        .lines("Training loss", &Axis::linear("step"), &Axis::linear("loss"), &losses)
        .heading("Pre-training")
        .paragraph(&format!("{pretrain_secs:.0} s on the audio of the training speakers, without transcripts."))
        .lines(
            "Contrastive accuracy: the true position among the negatives",
            &Axis::linear("step"),
            &Axis::linear("accuracy"),
            &[curve(pretrain, "train/accuracy", "training")?, curve(pretrain, "validation/accuracy", "dev speakers")?],
        )
        .heading("Mispronunciation detection")
        .paragraph(&mdd.sentence())
        .lines(
            "Phone error rate on the dev speakers",
            &Axis::linear("step"),
            &Axis::linear("PER"),
            &[curve(&mdd.run, "validation/per", "CCA-MDD")?],
        )
        .heading("New words from text")
        .paragraph(&words.sentence())
        .table(&NewWords::HEAD, &words.cells())
        .heading("Examples");
    for row in rows {
        let lines: Vec<String> = row
            .examples
            .iter()
            .take(5)
            .map(|s| format!("REF {}\nHYP {}\n", s.reference, s.hypothesis))
            .collect();
        page = page.paragraph(row.name).code(&lines.join("\n"));
    }
    Ok(page)
}
