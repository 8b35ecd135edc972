//! `auricle encode`.

use crate::shared::terminal::{Terminal, progress};
use anyhow::{Context as _, Result, bail};
use auricle::Recordings;
use auricle_audio::Limits;
use auricle_data::{DataError, Utterance};
use auricle_io::atomic_write_with;
use auricle_nn::weights::{MatrixWriter, Metadata};
use auricle_spiral::{ExtractConfig, ExtractError, Extractor};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  auricle encode --model spiral-en-small a.wav b.flac --out feats.safetensors
  auricle encode --model runs/pretrain data/dev.jsonl --layer 4 --out layer4.safetensors

The file holds one tensor [T', D] per utterance, named by its id. Recordings over 60 s go through the
encoder in windows of 60 s that overlap by 20 s: number and times of their frames are those of the whole,
but normalisation and attention see one window at a time. What cannot be read is reported on the error
stream, the rest is written, and the exit status is 1.")]
pub struct Args {
    /// Model: a folder, a file, a run directory, or the name of a shipped model.
    #[arg(long, default_value = "spiral-en-small")]
    model: PathBuf,
    /// Audio files, manifests or folders.
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Safetensors file to write.
    #[arg(long)]
    out: PathBuf,
    /// The residual stream after this Transformer layer, counted from 1, instead of the output.
    #[arg(long)]
    layer: Option<usize>,
    /// Device.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// No progress bar.
    #[arg(long, short)]
    quiet: bool,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let recordings = Recordings::of(&args.inputs, &Terminal::new(args.quiet));
    let (utterances, mut failures) = (&recordings.utterances, recordings.failures);
    if let Some(id) = recordings.repeated_id() {
        bail!("two inputs have the id `{id}`; give them one manifest with distinct ids");
    }
    let device = auricle_tensor::device(&args.device)?;
    let extractor = auricle::models::extractor(&args.model, &device)?;
    extractor.check_layer(args.layer)?;
    let described = Metadata::from([
        ("model".to_string(), args.model.display().to_string()),
        ("layer".to_string(), args.layer.map_or("output".into(), |k| k.to_string())),
    ]);
    let bar = progress(utterances.len(), args.quiet);
    let written = atomic_write_with(&args.out, |file| -> io::Result<usize> {
        let mut writer = MatrixWriter::new(file, utterances.iter().map(|u| u.id.as_str()), &described)?;
        for utterance in utterances {
            match encode(&extractor, utterance, args.layer, &mut writer) {
                Ok(()) => writer.end(&utterance.id, extractor.width(args.layer)),
                Err(Failure::Output(error)) => return Err(error),
                Err(Failure::Utterance(error)) => {
                    failures += 1;
                    bar.suspend(|| errln!("error: utterance {}: {error}", utterance.id));
                    writer.discard()?;
                }
            }
            bar.inc(1);
        }
        let written = writer.count();
        writer.finish()?;
        Ok(written)
    });
    bar.finish_and_clear();
    let written = written.with_context(|| args.out.display().to_string())?;
    outln!("{}: {written} utterances", args.out.display());
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What ends one utterance, and what ends everything.
enum Failure {
    Utterance(String),
    Output(io::Error),
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        Self::Utterance(error.to_string())
    }
}

impl From<ExtractError> for Failure {
    fn from(error: ExtractError) -> Self {
        Self::Utterance(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Writes the frames of an utterance as they come.
fn encode(
    extractor: &Extractor,
    utterance: &Utterance,
    layer: Option<usize>,
    writer: &mut MatrixWriter<'_>,
) -> Result<(), Failure> {
    let mut extraction = extractor.begin(layer, &ExtractConfig::default())?;
    let mut values = Vec::new();
    utterance.blocks(extractor.sample_rate(), &Limits::unlimited_duration(), |block| {
        extraction.push(block, &mut values)?;
        writer.append(&values)?;
        values.clear();
        Ok::<(), Failure>(())
    })?;
    extraction.finish(&mut values)?;
    Ok(writer.append(&values)?)
}
