//! `auricle decode`.

use crate::shared::args::SearchArgs;
use crate::shared::out::Sink;
use crate::shared::sequences::read_all;
use crate::shared::terminal::{Terminal, progress};
use anyhow::{Context as _, Result, bail};
use auricle::Recordings;
use auricle_asr::{Recogniser, TranscribeConfig, transcribe};
use auricle_decode::write::{Format, Transcript, Writer};
use auricle_decode::{Spelling, TokenLm, WordLm, WordLmConfig};
use auricle_lasyn::SequenceRecogniser;
use auricle_text::lm::NgramLm;
use auricle_text::text_line;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  auricle decode --model asr-en-small talk.mp3
  auricle decode --model runs/mini_librispeech-ctc_from_pretrained data/mini/dev.jsonl --json --out dev.jsonl
  auricle decode --model asr-en-small lecture.m4a --srt --out lecture.srt
  auricle decode --model asr-en-small recordings/ --srt --out subtitles/
  ffmpeg -i film.mkv -f wav - | auricle decode -
  auricle decode --model asr-en-small talk.wav --lm words.arpa

Inputs are audio files, manifests of any readable layout, folders, or `-` for the standard input. Recordings over 30 s are cut
where nobody speaks. Output is in the order of the inputs. What cannot be read is reported on the
error stream, the rest is decoded, and the exit status is 1.")]
pub struct Args {
    /// Model: a folder, a file, a run directory, or the name of a shipped model.
    #[arg(long, default_value = "asr-en-small")]
    model: PathBuf,
    /// Audio files, manifests or folders.
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// One JSON object a line: id, text, duration, words with times and confidences, audio file.
    #[arg(long, conflicts_with_all = ["ctm", "srt"])]
    json: bool,
    /// NIST time-marked words.
    #[arg(long, conflicts_with = "srt")]
    ctm: bool,
    /// Subtitles.
    #[arg(long)]
    srt: bool,
    /// Write here instead of to the standard output. A folder (one that exists, or a name that ends with `/`) gets a
    /// file for each recording, named by its id.
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
    let recordings = Recordings::of(&args.inputs, &Terminal::new(args.quiet));
    let (utterances, mut failures) = (&recordings.utterances, recordings.failures);
    if let Some(id) = recordings.repeated_id() {
        if format == Format::Ctm {
            bail!("two inputs have the id `{id}`, and a CTM tells them by it; give them one manifest");
        }
        errln!("warning: two inputs have the id `{id}`; --json says which file each is");
    }
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
            let config = WordLmConfig {
                beam: args.beam.map_or(config.beam, |beam| beam.clamp(1, 4096)),
                lm_weight: args.lm_weight.unwrap_or(config.lm_weight),
                word_bonus: args.word_bonus,
                ..config
            };
            let lm = WordLm::new(NgramLm::load(path)?, recogniser.tokenizer(), config)
                .with_context(|| path.display().to_string())?;
            if let Spelling { words, spelt, example: Some(example) } = lm.spelling() {
                errln!(
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
    let mut written = Written::open(args.out.as_deref(), format, utterances.len())?;
    let bar = progress(utterances.len(), args.quiet);
    let config = TranscribeConfig { batch_secs: args.batch_secs, ..TranscribeConfig::default() };
    let started = Instant::now();
    let mut secs = 0.0;
    transcribe(&recogniser, utterances, &config, |_, result| -> Result<()> {
        bar.inc(1);
        match result {
            Ok(transcript) => {
                secs += transcript.duration_secs;
                bar.suspend(|| written.take(&transcript))
            }
            Err(error) => {
                failures += 1;
                bar.suspend(|| errln!("error: {error}"));
                Ok(())
            }
        }
    })?;
    written.finish()?;
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

/// Where transcripts go: one output for all of them, or a folder with a file for each.
struct Written {
    format: Format,
    folder: Option<PathBuf>,
    sink: Sink,
    /// What goes to the one output, which knows the subtitles so far.
    writer: Writer<Vec<u8>>,
    names: HashSet<String>,
}

impl Written {
    fn open(out: Option<&Path>, format: Format, count: usize) -> Result<Self> {
        let is_folder = |path: &&Path| path.is_dir() || path.as_os_str().to_string_lossy().ends_with('/');
        let folder = out.filter(is_folder).map(Path::to_path_buf);
        if let Some(folder) = &folder {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        } else if format == Format::Srt && count > 1 {
            errln!(
                "warning: the subtitles of {count} recordings stand in one file, as if these were played one after \
                 another; `--out FOLDER/` writes a file for each"
            );
        }
        let sink = Sink::open(out.filter(|_| folder.is_none()))?;
        Ok(Self { format, folder, sink, writer: Writer::new(Vec::new(), format), names: HashSet::new() })
    }

    fn take(&mut self, transcript: &Transcript) -> Result<()> {
        let Some(folder) = &self.folder else {
            self.writer.write(transcript).context("cannot write the transcript")?;
            return self.sink.write(&String::from_utf8_lossy(&self.writer.take()));
        };
        let extension = match self.format {
            Format::Text => "txt",
            Format::Json => "json",
            Format::Ctm => "ctm",
            Format::Srt => "srt",
        };
        let name = file_name(&transcript.id);
        if !self.names.insert(name.clone()) {
            bail!(
                "two recordings would be written to {name}.{extension}; give them one manifest with distinct ids"
            );
        }
        let mut writer = Writer::new(Vec::new(), self.format);
        writer.write(transcript).context("cannot write the transcript")?;
        let path = folder.join(format!("{name}.{extension}"));
        auricle_io::atomic_write(&path, &writer.into_inner()).with_context(|| path.display().to_string())
    }

    fn finish(self) -> Result<()> {
        self.sink.finish()
    }
}

/// An id as the name of a file, on any system.
fn file_name(id: &str) -> String {
    let name = id.replace(|c: char| c.is_control() || "/\\:*?\"<>|".contains(c), "_");
    if name.trim_matches('.').is_empty() { format!("_{name}") } else { name }
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
        Format::Json => {
            let (audio, duration) = (utterance.audio.display().to_string(), utterance.duration_secs);
            let line = serde_json::json!({
                "id": utterance.id, "audio": audio, "text": text, "duration_secs": duration
            });
            sink.write(&format!("{line}\n"))
        }
        _ => sink.write(&(text_line(&utterance.id, &text) + "\n")),
    })?;
    sink.finish()?;
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_decode::Word;

    fn transcript(id: &str) -> Transcript {
        let word = Word { word: "word".into(), start_secs: 0.5, end_secs: 1.0, confidence: 0.9 };
        let (id, audio, text) = (id.into(), "a/talk.wav".into(), "word".into());
        Transcript { id, audio, text, duration_secs: 2.0, words: vec![word] }
    }

    #[test]
    fn subtitles_of_two_recordings_do_not_go_back_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let one = folder.path().join("both.srt");
        let mut written = Written::open(Some(&one), Format::Srt, 2).unwrap();
        for id in ["a", "b"] {
            written.take(&transcript(id)).unwrap();
        }
        written.finish().unwrap();
        let text = std::fs::read_to_string(one).unwrap();
        let times: Vec<&str> = text.lines().filter(|line| line.contains("-->")).collect();
        assert_eq!(times, ["00:00:00,500 --> 00:00:01,000", "00:00:02,500 --> 00:00:03,000"]);

        let each = folder.path().join("each/");
        let mut written = Written::open(Some(&each), Format::Srt, 2).unwrap();
        for id in ["a", "../b"] {
            written.take(&transcript(id)).unwrap();
        }
        assert!(written.take(&transcript("a")).unwrap_err().to_string().contains("a.srt"));
        let second = std::fs::read_to_string(each.join(".._b.srt")).unwrap();
        assert!(second.starts_with("1\n00:00:00,500 --> "), "{second}");
    }
}
