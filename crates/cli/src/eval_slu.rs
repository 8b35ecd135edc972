//! `auricle eval slu`.

use crate::shared::hypotheses::first;
use anyhow::{Context as _, Result, bail};
use auricle_data::{Sentence, read_any};
use auricle_rng::Key;
use auricle_text::slu::{self, FrameReport, LabelErrors, Rate, SluReport, TreeReport, Understood};
use auricle_text::{Confusion, read_hypotheses};
use auricle_train::report::Report;
use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 10_000;
/// The page shows so many rows of a table, and so many intents in the matrix.
const SHOWN: usize = 30;
const IN_MATRIX: usize = 16;

#[derive(clap::Args)]
pub struct Slu {
    /// References: a manifest or a text manifest with meanings.
    #[arg(long = "ref")]
    reference: PathBuf,
    /// Hypotheses: JSON lines with `id` and `meaning`, or lines of `<id> <meaning>`.
    #[arg(long = "hyp")]
    hypothesis: PathBuf,
    /// What is scored; by default, what the first reference is.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Write a page with the confusions of intents and the slots most often wrong.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Machine-readable output, one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// Intents in scenarios with entities: SLU-F1.
    Slurp,
    /// Parse trees: exact match.
    Stop,
    /// Intents with slots: frame accuracy and slot F1.
    Frame,
}

/// A score's name, its value in percent.
type Score = (&'static str, Rate);

pub fn run(args: &Slu) -> Result<ExitCode> {
    let references = read_references(&args.reference)?;
    let known = references.iter().map(|(id, _)| id.as_str()).collect();
    let mut hypotheses = read_hypotheses(&args.hypothesis, "meaning", &known)?;
    let mut utterances = Vec::new();
    let mut missing = Vec::new();
    for (id, reference) in references {
        let hypothesis = hypotheses.remove(&id);
        if hypothesis.is_none() {
            missing.push(id.clone());
        }
        utterances.push(Understood { id, reference, hypothesis });
    }
    let extra: Vec<String> = hypotheses.into_keys().collect();
    let (reference, hypothesis) = (args.reference.display(), args.hypothesis.display());
    let Some(any) = utterances.first() else { bail!("{reference} has no utterance") };
    if missing.len() == utterances.len() {
        bail!("no id of {reference} is in {hypothesis}: are they of the same set?");
    }
    if !extra.is_empty() {
        errln!(
            "warning: {reference} has no utterance for {} of the hypotheses, which are not scored: {}",
            extra.len(),
            first(&extra)
        );
    }
    let kind = match args.kind {
        Some(Kind::Slurp) => slu::Kind::Slurp,
        Some(Kind::Stop) => slu::Kind::Stop,
        Some(Kind::Frame) => slu::Kind::Frame,
        None => slu::Kind::of(&any.reference),
    };
    let report =
        slu::evaluate(kind, &utterances, RESAMPLES, Key::new(0)).with_context(|| reference.to_string())?;
    if let Some(path) = &args.report {
        let title = format!("{hypothesis} against {reference}");
        page(&title, kind, &report).write(path).with_context(|| path.display().to_string())?;
    }
    if args.json {
        let json = serde_json::json!({"scores": report, "missing": missing, "extra": extra});
        outln!("{json}");
        return Ok(ExitCode::SUCCESS);
    }
    let (count, broken) = sizes(&report);
    outln!("utterances         {count}");
    if !missing.is_empty() {
        outln!(
            "missing            {} without hypothesis, counted as wrong: {}",
            missing.len(),
            first(&missing)
        );
    }
    if broken > 0 {
        outln!(
            "broken             {broken} hypotheses cannot be read: scored by their intent, without slots"
        );
    }
    for (name, rate) in scores(kind, &report) {
        let interval = rate.interval.map_or(String::new(), |interval| {
            format!("  (95 % interval {:.2} to {:.2})", 100.0 * interval.low, 100.0 * interval.high)
        });
        outln!("{name:18} {:.2} %{interval}", 100.0 * rate.value);
    }
    Ok(ExitCode::SUCCESS)
}

/// Ids and meanings of a manifest of audio or of text.
fn read_references(path: &Path) -> Result<Vec<(String, String)>> {
    let place = || path.display().to_string();
    let line = auricle_io::open(path)
        .with_context(place)?
        .lines()
        .next()
        .transpose()
        .with_context(place)?
        .unwrap_or_default();
    let has_audio =
        serde_json::from_str::<serde_json::Value>(&line).is_ok_and(|line| line.get("audio").is_some());
    let references: Vec<(String, Option<String>)> = if has_audio {
        read_any(path)?.into_iter().map(|utterance| (utterance.id, utterance.meaning)).collect()
    } else {
        Sentence::read(path)?.into_iter().map(|sentence| (sentence.id, sentence.meaning)).collect()
    };
    let known = references.into_iter().map(|(id, meaning)| {
        let meaning =
            meaning.with_context(|| format!("{}: utterance {id} has no `meaning`", path.display()))?;
        Ok((id, meaning))
    });
    known.collect()
}

fn sizes(report: &SluReport) -> (usize, usize) {
    match report {
        SluReport::Frames(FrameReport { utterances, broken, .. })
        | SluReport::Trees(TreeReport { utterances, broken, .. }) => (*utterances, *broken),
    }
}

/// The scores of a kind, the most important first.
fn scores(kind: slu::Kind, report: &SluReport) -> Vec<Score> {
    match report {
        SluReport::Frames(frames) if kind == slu::Kind::Slurp => vec![
            ("intent accuracy", frames.intent_accuracy),
            ("SLU-F1", frames.slu_f1),
            ("entity span F1", frames.span_f1),
            ("word F1", frames.word_f1),
            ("char F1", frames.char_f1),
            ("scenario accuracy", frames.scenario_accuracy),
            ("action accuracy", frames.action_accuracy),
            ("frame accuracy", frames.frame_accuracy),
        ],
        SluReport::Frames(frames) => vec![
            ("frame accuracy", frames.frame_accuracy),
            ("intent accuracy", frames.intent_accuracy),
            ("slot F1", frames.span_f1),
            ("SLU-F1", frames.slu_f1),
        ],
        SluReport::Trees(trees) => vec![
            ("EM", trees.exact_match),
            ("EM-Tree", trees.tree_match),
            ("EM, any order", trees.unordered_match),
            ("intent accuracy", trees.intent_accuracy),
        ],
    }
}

/// The page of a report.
fn page(title: &str, kind: slu::Kind, report: &SluReport) -> Report {
    let rows = scores(kind, report).into_iter().map(|(name, rate)| {
        let interval = rate.interval.map_or("–".to_owned(), |interval| {
            format!("{:.2} to {:.2}", 100.0 * interval.low, 100.0 * interval.high)
        });
        vec![name.to_owned(), format!("{:.2} %", 100.0 * rate.value), interval]
    });
    let (intents, slots, faults, missing) = match report {
        SluReport::Frames(frames) => (&frames.intents, &frames.slots, &frames.faults, frames.missing),
        SluReport::Trees(trees) => (&trees.intents, &trees.slots, &trees.faults, trees.missing),
    };
    let (count, broken) = sizes(report);
    let sentence = format!(
        "{count} utterances, {missing} of them without hypothesis, which counts as wrong; {broken} hypotheses cannot be \
         read and are scored by their intent alone. Intervals are 95 % bootstrap intervals over utterances."
    );
    let mut page = Report::new(title)
        .heading("Scores")
        .paragraph(&sentence)
        .table(&["score", "value", "95 % interval"], &rows.collect::<Vec<_>>());
    if !faults.is_empty() {
        let rows: Vec<Vec<String>> =
            faults.iter().map(|(fault, count)| vec![fault.clone(), count.to_string()]).collect();
        page = page.heading("Hypotheses that cannot be read").table(&["fault", "how often"], &rows);
    }
    page = confusions(page.heading("Intents taken for others"), intents);
    page = page.heading("Slots most often wrong");
    if slots.is_empty() {
        return page.paragraph("There are no slots.");
    }
    let bars: Vec<(String, f64)> = slots
        .iter()
        .map(|slot| (slot.label.clone(), slot.counts.false_positives + slot.counts.false_negatives))
        .filter(|(_, errors)| *errors > 0.0)
        .take(SHOWN)
        .collect();
    if !bars.is_empty() {
        page = page.bars("slots that are missed or wrong", "errors", &bars);
    }
    let rows: Vec<Vec<String>> = slots.iter().take(SHOWN).map(slot_row).collect();
    page.table(&["slot", "right", "wrong or surplus", "missed", "F1", "values: said → understood"], &rows)
}

fn slot_row(slot: &LabelErrors) -> Vec<String> {
    let or_nothing = |value: &str| if value.is_empty() { "(nothing)".to_owned() } else { value.to_owned() };
    let values = slot.values.iter().take(5).map(|Confusion { reference, hypothesis, count }| {
        format!("{} → {} ({count})", or_nothing(reference), or_nothing(hypothesis))
    });
    vec![
        slot.label.clone(),
        slot.counts.true_positives.to_string(),
        slot.counts.false_positives.to_string(),
        slot.counts.false_negatives.to_string(),
        format!("{:.3}", slot.f1),
        values.collect::<Vec<_>>().join("; "),
    ]
}

fn confusions(page: Report, intents: &[Confusion]) -> Report {
    if intents.is_empty() {
        return page.paragraph("None: every intent is right.");
    }
    let named = |intent: &str| if intent.is_empty() { "(none)".to_owned() } else { intent.to_owned() };
    let rows: Vec<Vec<String>> = intents
        .iter()
        .take(SHOWN)
        .map(|c| vec![named(&c.reference), named(&c.hypothesis), c.count.to_string()])
        .collect();
    // The intents of the most frequent confusions.
    let (mut wanted, mut found) = (BTreeSet::new(), BTreeSet::new());
    for confusion in intents {
        if wanted.len() < IN_MATRIX && found.len() < IN_MATRIX {
            wanted.insert(named(&confusion.reference));
            found.insert(named(&confusion.hypothesis));
        }
    }
    let counts: BTreeMap<(String, String), f64> =
        intents.iter().map(|c| ((named(&c.reference), named(&c.hypothesis)), c.count as f64)).collect();
    let (wanted, found): (Vec<String>, Vec<String>) =
        (wanted.into_iter().collect(), found.into_iter().collect());
    let row = |wanted: &String| {
        let cells = found.iter().map(|found| counts.get(&(wanted.clone(), found.clone())));
        cells.map(|count| count.copied().unwrap_or_default()).collect::<Vec<f64>>()
    };
    let values: Vec<Vec<f64>> = wanted.iter().map(row).collect();
    page.table(&["meant", "understood", "how often"], &rows).matrix(
        "meant (rows) and understood (columns), wrong ones only",
        &wanted,
        &found,
        &values,
    )
}
