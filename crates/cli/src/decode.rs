//! `auricle decode`.

use crate::shared::args::{SearchArgs, recordings};
use crate::shared::out::Sink;
use crate::shared::sequences::read_all;
use crate::shared::terminal::progress;
use anyhow::{Context as _, Result, bail};
use auricle_asr::{Recogniser, TranscribeConfig, transcribe};
use auricle_decode::write::{Format, write};
use auricle_decode::{TokenLm, WordLm, WordLmConfig};
use auricle_lasyn::SequenceRecogniser;
use auricle_text::lm::NgramLm;
use std::path::PathBuf;
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
    let (utterances, mut failures) = recordings(&args.inputs);
    let device = auricle_tensor::device(&args.device)?;
    let (tensors, metadata) = auricle::models::load(&args.model)?;
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
            recogniser.with_lm(WordLm::new(
                NgramLm::load(path)?,
                WordLmConfig {
                    beam: args.beam.map_or(config.beam, |beam| beam.clamp(1, 4096)),
                    lm_weight: args.lm_weight.unwrap_or(config.lm_weight),
                    word_bonus: args.word_bonus,
                    ..config
                },
            ))
        }
        None => recogniser,
    };
    let mut sink = Sink::open(args.out.as_deref())?;
    let bar = progress(utterances.len(), args.quiet);
    let config = TranscribeConfig { batch_secs: args.batch_secs, ..TranscribeConfig::default() };
    let started = Instant::now();
    let (mut cues, mut secs) = (0, 0.0);
    transcribe(&recogniser, &utterances, &config, |_, result| -> Result<()> {
        bar.inc(1);
        match result {
            Ok(transcript) => {
                secs += transcript.duration_secs;
                let mut text = Vec::new();
                write(&mut text, &transcript, format, &mut cues).context("cannot write the transcript")?;
                bar.suspend(|| sink.write(&String::from_utf8_lossy(&text)))
            }
            Err(error) => {
                failures += 1;
                bar.suspend(|| errln!("error: {error}"));
                Ok(())
            }
        }
    })?;
    sink.finish()?;
    bar.finish_and_clear();
    if !args.quiet {
        let took = started.elapsed().as_secs_f64();
        let count = utterances.len();
        errln!(
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
    let mut sink = Sink::open(args.out.as_deref())?;
    let failures = read_all(&model, &args.inputs, args.quiet, |utterance, text| match format {
        Format::Json => sink.write(&format!("{}\n", serde_json::json!({ "id": utterance.id, "text": text }))),
        _ => sink.write(&format!("{} {text}\n", utterance.id)),
    })?;
    sink.finish()?;
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
