//! `auricle eval`.

use crate::shared::hypotheses::first;
use anyhow::{Context as _, Result, bail};
use auricle_data::read_any;
use auricle_text::asr::{AsrEvaluation, evaluate};
use auricle_text::{ErrorCounts, Scored, SpeakerErrors, read_hypotheses, report};
use auricle_train::report::Report;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Word and character error rates of transcripts.
    #[command(after_help = "Examples:
  auricle decode --model asr-en-small data/mini/dev.jsonl --json --out dev.hyp.jsonl
  auricle eval asr --ref data/mini/dev.jsonl --hyp dev.hyp.jsonl --report dev.txt
  auricle eval asr --ref data/mini/dev.jsonl --hyp dev.hyp.jsonl --report dev.html")]
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

Hypotheses are JSON lines with `id` and `meaning`, or lines of `<id> <meaning>`.")]
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
    /// Write a report here: a page (speakers, confusions, the worst utterances with their errors marked) where the name
    /// ends with `.html`, else text with the alignment of every utterance.
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

fn asr(args: &Asr) -> Result<ExitCode> {
    let mut references = Vec::new();
    for utterance in read_any(&args.reference)? {
        let Some(text) = utterance.text else {
            bail!("{}: utterance {} has no transcript", args.reference.display(), utterance.id)
        };
        let hypothesis = String::new();
        references.push(Scored { reference: text, id: utterance.id, speaker: utterance.speaker, hypothesis });
    }
    let known = references.iter().map(|reference| reference.id.as_str()).collect();
    let hypotheses = read_hypotheses(&args.hypothesis, "text", &known)?;
    let found = evaluate(references, hypotheses)
        .with_context(|| format!("{} and {}", args.reference.display(), args.hypothesis.display()))?;
    let AsrEvaluation { missing, extra, scored, words, characters, .. } = &found;
    if !extra.is_empty() {
        errln!(
            "warning: {} has no utterance for {} of the hypotheses, which are not scored: {}",
            args.reference.display(),
            extra.len(),
            first(extra)
        );
    }
    if let Some(path) = &args.report {
        let is_page = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("html"));
        let text = if is_page { page(&args.hypothesis, &found).html() } else { report(scored) };
        auricle_io::atomic_write(path, text.as_bytes()).with_context(|| path.display().to_string())?;
    }
    if args.json {
        outln!("{}", serde_json::to_string(&found)?);
        return Ok(ExitCode::SUCCESS);
    }
    outln!("utterances  {}", scored.len());
    if !missing.is_empty() {
        outln!("missing     {} without hypothesis, counted as deleted: {}", missing.len(), first(missing));
    }
    let ErrorCounts { substitutions, deletions, insertions, reference } = *words;
    outln!(
        "WER         {:.2} %  (95 % interval {:.2} to {:.2}, bootstrap over {})",
        100.0 * found.wer,
        100.0 * found.wer_interval_95[0],
        100.0 * found.wer_interval_95[1],
        found.bootstrap_unit
    );
    outln!(
        "            {substitutions} substitutions, {deletions} deletions, {insertions} insertions, {reference} words"
    );
    outln!("CER         {:.2} %  ({} characters)", 100.0 * found.cer, characters.reference);
    Ok(ExitCode::SUCCESS)
}

/// The page of a report.
fn page(hypotheses: &Path, found: &AsrEvaluation) -> Report {
    let AsrEvaluation { scored, missing, breakdown, wer, wer_interval_95: interval, cer, .. } = found;
    let percent = |rate: f64| format!("{:.2} %", 100.0 * rate);
    let rows = [
        vec!["WER".into(), percent(*wer), format!("{} to {}", percent(interval[0]), percent(interval[1]))],
        vec!["CER".into(), percent(*cer), "–".into()],
    ];
    let mut page = Report::new(&format!("Recognition errors of {}", hypotheses.display())).table(
        &["score", "value", &format!("95 % interval, bootstrap over {}", found.bootstrap_unit)],
        &rows,
    );
    if !missing.is_empty() {
        page = page.paragraph(&format!("Without hypothesis, counted as deleted: {}.", first(missing)));
    }
    page = auricle_asr::word_errors("All utterances", scored).iter().fold(page, Report::section);
    let speaker = |own: &SpeakerErrors| {
        let ErrorCounts { substitutions, deletions, insertions, reference } = own.words;
        let counts = [own.utterances, reference, substitutions, deletions, insertions].map(|n| n.to_string());
        [own.speaker.clone()].into_iter().chain(counts).chain([percent(own.wer)]).collect()
    };
    page.heading("Speakers").table(
        &["speaker", "utterances", "words", "substitutions", "deletions", "insertions", "WER"],
        &breakdown.speakers.iter().map(speaker).collect::<Vec<Vec<String>>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_marks_the_errors_of_the_worst_utterances() {
        let scored = |id: &str, reference: &str| Scored {
            id: id.into(),
            speaker: Some("<ann>".into()),
            reference: reference.into(),
            hypothesis: String::new(),
        };
        let references = vec![scored("u1", "a big dog is here"), scored("u2", "the end")];
        let said = [("u1", "pig dog is now here"), ("u2", "the end")]
            .map(|(id, text)| (id.to_string(), text.to_string()));
        let found = evaluate(references, said.into_iter().collect()).unwrap();
        let html = page(Path::new("dev.hyp.jsonl"), &found).html();
        for part in
            ["42.86 %", "&lt;ann&gt;", "dev.hyp.jsonl", "class=\"insertion\"", ">now</ins>", ">a</del>"]
        {
            assert!(html.contains(part), "{part}");
        }
        assert!(html.contains(">big</mark>") && html.contains(">pig</mark>") && !html.contains("<ann>"));
    }
}
