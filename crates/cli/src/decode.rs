//! `auricle decode`.

use crate::slu::SearchArgs;
use crate::tasks::load_model;
use anyhow::{Context as _, Result, bail};
use auricle_asr::{Recogniser, TranscribeConfig, transcribe};
use auricle_data::{Utterance, read_any};
use auricle_decode::write::{Format, Writer};
use auricle_decode::{Spelling, TokenLm, WordLm, WordLmConfig};
use auricle_lasyn::SequenceRecogniser;
use auricle_text::lm::NgramLm;
use auricle_text::text_line;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  auricle decode --model asr-en-small talk.mp3
  auricle decode --model runs/mini_librispeech-ctc_from_pretrained data/mini/dev.jsonl --json --out dev.jsonl
  auricle decode --model asr-en-small lecture.m4a --srt --out lecture.srt
  auricle decode --model asr-en-small recordings/
  auricle decode --model asr-en-small talk.wav --lm words.arpa

Inputs are audio files, manifests of any readable layout, or folders. Recordings over 30 s are cut
where nobody speaks. Output is in the order of the inputs. What cannot be read is reported on the
error stream, the rest is decoded, and the exit status is 1.")]
pub struct Args {
    /// Model: a folder, a file, a run directory, or the name of a shipped model.
    #[arg(long, default_value = "asr-en-small")]
    model: PathBuf,
    /// Audio files, manifests or folders.
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// One JSON object a line: id, text, duration, words with times and confidences.
    #[arg(long, conflicts_with_all = ["ctm", "srt"])]
    json: bool,
    /// NIST time-marked words.
    #[arg(long, conflicts_with = "srt")]
    ctm: bool,
    /// Subtitles.
    #[arg(long)]
    srt: bool,
    /// Write here instead of to the standard output.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Language model in ARPA format (`auricle lm train`): of words for CTC models, whose words alone are written
    /// then; of tokens (`lm train --tokenizer`) for models with an attention decoder.
    #[arg(long)]
    lm: Option<PathBuf>,
    /// Weight of the language model. Default: 0.8, for tokens 0.3.
    #[arg(long, requires = "lm")]
    lm_weight: Option<f64>,
    /// Bonus of a word.
    #[arg(long, default_value_t = WordLmConfig::default().word_bonus, requires = "lm", allow_hyphen_values = true)]
    word_bonus: f64,
    /// Prefixes that the search with a language model or an attention decoder keeps. Default: 32, with a decoder 8.
    #[arg(long)]
    beam: Option<usize>,
    #[command(flatten)]
    search: SearchArgs,
    /// Seconds of audio in a batch.
    #[arg(long, default_value_t = TranscribeConfig::default().batch_secs)]
    batch_secs: f64,
    /// Device.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// No progress bar and no summary.
    #[arg(long, short)]
    quiet: bool,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let format = match (args.json, args.ctm, args.srt) {
        (true, ..) => Format::Json,
        (_, true, _) => Format::Ctm,
        (_, _, true) => Format::Srt,
        _ => Format::Text,
    };
    let mut failures = 0;
    let mut utterances: Vec<Utterance> = Vec::new();
    for input in &args.inputs {
        match read_any(input) {
            Ok(found) => utterances.extend(found),
            Err(error) => {
                failures += 1;
                eprintln!("error: {error}");
            }
        }
    }
    let device = auricle_tensor::device(&args.device)?;
    let (tensors, metadata) = load_model(&args.model)?;
    if metadata.contains_key("decoder") {
        let model = SequenceRecogniser::from_weights(tensors, &metadata, &device)?;
        let model = match &args.lm {
            Some(path) => model.with_lm(NgramLm::load(path)?, args.lm_weight.unwrap_or(TokenLm::WEIGHT))?,
            None => model,
        };
        let model = args.search.with(model, args.beam)?;
        return sequences(args, format, model);
    }
    let recogniser = Recogniser::from_weights(tensors, &metadata, &device)
        .with_context(|| format!("model {}", args.model.display()))?;
    let recogniser = match &args.lm {
        Some(path) => {
            let config = WordLmConfig::default();
            let config = WordLmConfig {
                beam: args.beam.map_or(config.beam, |beam| beam.clamp(1, 4096)),
                lm_weight: args.lm_weight.unwrap_or(config.lm_weight),
                word_bonus: args.word_bonus,
                ..config
            };
            let lm = WordLm::new(NgramLm::load(path)?, recogniser.tokenizer(), config)
                .with_context(|| path.display().to_string())?;
            if let Spelling { words, spelt, example: Some(example) } = lm.spelling() {
                eprintln!(
                    "warning: {}: {} of {words} words are never written, because the model's tokenizer cannot spell \
                     them, such as `{example}`",
                    path.display(),
                    words - spelt
                );
            }
            recogniser.with_lm(lm)
        }
        None => recogniser,
    };
    if format == Format::Srt && utterances.len() > 1 {
        let count = utterances.len();
        bail!(
            "--srt: {count} recordings cannot share one file of subtitles, because the times of each begin at 0: decode them one by one"
        );
    }
    let out: Box<dyn Write> = match &args.out {
        Some(path) => {
            let part = unfinished(path);
            Box::new(BufWriter::new(File::create(&part).with_context(|| part.display().to_string())?))
        }
        None => Box::new(std::io::stdout().lock()),
    };
    let bar = progress(utterances.len(), args.quiet);
    let config = TranscribeConfig { batch_secs: args.batch_secs, ..TranscribeConfig::default() };
    let started = Instant::now();
    let (mut writer, mut secs) = (Writer::new(out, format), 0.0);
    transcribe(&recogniser, &utterances, &config, |_, result| -> Result<()> {
        bar.inc(1);
        match result {
            Ok(transcript) => {
                secs += transcript.duration_secs;
                Ok(writer.write(&transcript)?)
            }
            Err(error) => {
                failures += 1;
                bar.suspend(|| eprintln!("error: {error}"));
                Ok(())
            }
        }
    })?;
    writer.flush()?;
    drop(writer);
    if let Some(path) = &args.out {
        std::fs::rename(unfinished(path), path).with_context(|| path.display().to_string())?;
    }
    bar.finish_and_clear();
    if !args.quiet {
        let took = started.elapsed().as_secs_f64();
        let count = utterances.len();
        eprintln!(
            "{count} recordings, {secs:.1} s of audio in {took:.1} s: real-time factor {:.4}",
            took / secs.max(1e-9)
        );
    }
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Transcripts of a model with an attention decoder, which knows no times.
fn sequences(args: &Args, format: Format, model: SequenceRecogniser) -> Result<ExitCode> {
    if !matches!(format, Format::Json | Format::Text) {
        bail!(
            "{} has an attention decoder, which knows no times of words: use --json or plain text",
            args.model.display()
        );
    }
    let mut lines: Vec<u8> = Vec::new();
    let failures = crate::slu::read_all(&model, &args.inputs, args.quiet, |utterance, text| {
        match format {
            Format::Json => writeln!(
                lines,
                "{}",
                serde_json::json!({
                    "id": utterance.id,
                    "path": utterance.audio.display().to_string(),
                    "text": text,
                    "duration_secs": utterance.duration_secs,
                })
            )?,
            _ => writeln!(lines, "{}", text_line(&utterance.id, &text))?,
        }
        Ok(())
    })?;
    match &args.out {
        Some(path) => {
            auricle_train::files::atomic_write(path, &lines).with_context(|| path.display().to_string())?;
        }
        None => std::io::stdout().write_all(&lines)?,
    }
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where output is written until it is whole: an older file is not lost to a run that is stopped.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// A bar of recordings, where there is somebody to see it.
pub(crate) fn progress(count: usize, quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} recordings, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(count as u64).with_style(style)
}
