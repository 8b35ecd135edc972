//! `auricle synth`.

use crate::shared::args::{LexiconArgs, SourceArgs};
use anyhow::{Context as _, Result, bail};
use auricle_lasyn::units;
use auricle_nn::params::NamedTensors;
use auricle_nn::weights::{Metadata, Precision};
use auricle_rng::{Key, Purpose};
use burn::tensor::TensorData;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  auricle synth --model asr-en-small --text \"two large lattes please\" --out z.safetensors
  auricle synth --model runs/ctc --text-file corpus.txt --synthesizer runs/flow --out z.safetensors

The latents of sentence i are the tensor `i`, [frames, width], of the safetensors file, f32; its
metadata hold the texts. They are what the lower part of the recogniser would make of speech.")]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// A sentence; may be repeated.
    #[arg(long, required_unless_present = "text_file")]
    text: Vec<String>,
    /// A file with a sentence per line.
    #[arg(long)]
    text_file: Option<PathBuf>,
    #[command(flatten)]
    lexicon: LexiconArgs,
    /// Another seed, another voice.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// File to write.
    #[arg(long)]
    out: PathBuf,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let source = args.source.source();
    let (bank, _) = source.bank()?;
    let synthesizer = source.synthesizer(bank)?;
    let pronouncer = args.lexicon.pronouncer()?;
    let mut texts = args.text.clone();
    if let Some(path) = &args.text_file {
        let file = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        texts.extend(file.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_string));
    }
    if texts.is_empty() {
        bail!("there is no text");
    }
    let started = Instant::now();
    let (mut tensors, mut metadata) = (NamedTensors::new(), Metadata::new());
    let mut secs = 0.0;
    for (i, text) in texts.iter().enumerate() {
        let words = units::words(&pronouncer, text).with_context(|| format!("`{text}`"))?;
        let mut stream = Key::new(args.seed).step(i as u64).stream(Purpose::Synthesis);
        let latents = synthesizer.synthesize(&words, &mut stream).with_context(|| format!("`{text}`"))?;
        let frames = latents.len() / synthesizer.width();
        secs += frames as f64 * synthesizer.frame_secs();
        tensors.insert(i.to_string(), TensorData::new(latents, [frames, synthesizer.width()]));
        metadata.insert(format!("text.{i}"), text.clone());
    }
    let took = started.elapsed().as_secs_f64();
    metadata.insert("frame_secs".into(), synthesizer.frame_secs().to_string());
    auricle_train::files::write_weights(&args.out, &tensors, &metadata, Precision::F32)?;
    outln!(
        "{}: {} sentences, {secs:.1} s of latents in {took:.2} s ({:.3} hours per second)",
        args.out.display(),
        texts.len(),
        secs / 3600.0 / took.max(1e-9)
    );
    Ok(ExitCode::SUCCESS)
}
