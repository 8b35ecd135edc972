//! `auricle encode`.

use crate::tasks::load_model;
use anyhow::{Context as _, Result, bail};
use auricle_data::read_any;
use auricle_nn::params::NamedTensors;
use auricle_nn::weights::{self, Metadata, Precision};
use auricle_spiral::Extractor;
use burn::tensor::TensorData;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  auricle encode --model spiral-en-small a.wav b.flac --out feats.safetensors
  auricle encode --model runs/pretrain data/dev.jsonl --layer 4 --out layer4.safetensors

The file holds one tensor [T', D] per utterance, named by its id.")]
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
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let device = auricle_tensor::device(&args.device)?;
    let (tensors, metadata) = load_model(&args.model)?;
    let extractor = Extractor::from_weights(tensors, &metadata, &device)
        .with_context(|| format!("model {}", args.model.display()))?;
    let mut found = NamedTensors::new();
    for input in &args.inputs {
        for utterance in read_any(input)? {
            let samples = utterance.samples(extractor.sample_rate())?;
            let features = extractor.extract(&samples, args.layer)?;
            let data = TensorData::new(features.values, [features.frames, features.width]);
            if found.insert(utterance.id.clone(), data).is_some() {
                bail!("two inputs have the id `{}`; give them one manifest with distinct ids", utterance.id);
            }
        }
    }
    let described = Metadata::from([
        ("model".to_string(), args.model.display().to_string()),
        ("layer".to_string(), args.layer.map_or("output".into(), |k| k.to_string())),
    ]);
    let bytes = weights::to_bytes(&found, &described, Precision::F32)?;
    auricle_train::files::atomic_write(&args.out, &bytes).with_context(|| args.out.display().to_string())?;
    println!("{}: {} utterances", args.out.display(), found.len());
    Ok(ExitCode::SUCCESS)
}
