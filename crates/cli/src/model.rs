//! `auricle model`.

use crate::shared::out::one_line;
use anyhow::{Context as _, Result};
use auricle::models;
use auricle_nn::params::NamedTensors;
use auricle_nn::weights::{self, Digest, Precision};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Subcommand)]
pub enum Command {
    /// What a model is: kind, parameters, configuration, provenance.
    #[command(after_help = "Example:\n  auricle model info asr-en-small --tensors")]
    Info(Info),
    /// Read a checkpoint of the published SPIRAL program (PyTorch Lightning) and write safetensors.
    #[command(after_help = "Example:
  auricle model import st2vec_base.ckpt --config recipes/librispeech/spiral_base.toml --out models/spiral-base

Nothing in the checkpoint is executed: its pickle is read by a machine that knows tensors only.")]
    Import(Import),
    /// Copy a model, in half precision and with a licence and provenance in its metadata.
    #[command(
        after_help = "Example:\n  auricle model export runs/ctc --f16 --licence CC-BY-4.0 --provenance \"mini LibriSpeech\" --out models/asr"
    )]
    Export(Export),
    /// Average the weights of several models or checkpoints of one run.
    #[command(
        after_help = "Example:\n  auricle model average runs/a runs/b --out models/average\n  auricle model average runs/a/checkpoints/best-step-*.safetensors --out models/a-average"
    )]
    Average(Average),
    /// Whether a model is as it was written: compare its contents with the BLAKE3 digest in its metadata.
    #[command(after_help = "Examples:
  auricle model verify asr-en-small
  auricle model verify --seal old.safetensors      # write the digest into a file of an older version

Every model is checked like this when it is loaded; AURICLE_SKIP_DIGEST=1 leaves that out. Exit status 1: changed.")]
    Verify(Verify),
}

#[derive(clap::Args)]
pub struct Info {
    /// Model: a folder, a file, or the name of a shipped model.
    model: PathBuf,
    /// List every tensor.
    #[arg(long)]
    tensors: bool,
    /// Machine-readable output.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub struct Import {
    /// The checkpoint.
    checkpoint: PathBuf,
    /// A recipe with the encoder's configuration.
    #[arg(long, default_value = "recipes/librispeech/spiral_base.toml")]
    config: PathBuf,
    /// Folder to write.
    #[arg(long)]
    out: PathBuf,
    /// Take the teacher's encoder instead of the student's.
    #[arg(long)]
    teacher: bool,
}

#[derive(clap::Args)]
pub struct Export {
    /// Model.
    model: PathBuf,
    /// Folder to write.
    #[arg(long)]
    out: PathBuf,
    /// Half precision.
    #[arg(long)]
    f16: bool,
    /// Licence of the weights, for the metadata.
    #[arg(long)]
    licence: Option<String>,
    /// Data and training, for the metadata.
    #[arg(long)]
    provenance: Option<String>,
}

#[derive(clap::Args)]
pub struct Average {
    /// Models of the same configuration.
    #[arg(required = true, num_args = 2..)]
    models: Vec<PathBuf>,
    /// Folder to write.
    #[arg(long)]
    out: PathBuf,
}

#[derive(clap::Args)]
pub struct Verify {
    /// Model: a folder, a file, or the name of a shipped model.
    model: PathBuf,
    /// Write the digest of what is there into the file; no byte of a tensor changes.
    #[arg(long)]
    seal: bool,
}

pub fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Info(args) => info(args),
        Command::Import(args) => import(args),
        Command::Export(args) => {
            let (tensors, mut metadata) = models::load(&args.model)?;
            for (name, value) in [("licence", &args.licence), ("provenance", &args.provenance)] {
                metadata.extend(value.clone().map(|value| (name.to_string(), value)));
            }
            let precision = if args.f16 { Precision::F16 } else { Precision::F32 };
            write(&args.out, &tensors, &metadata, precision)
        }
        Command::Average(args) => average(args),
        Command::Verify(args) => verify(args),
    }
}

fn verify(args: &Verify) -> Result<ExitCode> {
    let path = models::find(&args.model)?;
    let name = path.display();
    let bytes = std::fs::read(&path).with_context(|| name.to_string())?;
    if args.seal {
        let sealed = weights::seal(&bytes).with_context(|| name.to_string())?;
        auricle_io::atomic_write(&path, &sealed)?;
    }
    let digest = match args.seal {
        true => Digest::of(&std::fs::read(&path)?),
        false => Digest::of(&bytes),
    };
    let digest = digest.with_context(|| name.to_string())?;
    match &digest.stored {
        Some(stored) if digest.holds() => outln!("{name}: as written, BLAKE3 {stored}"),
        Some(stored) => {
            errln!(
                "error: {name}: changed since it was written: its BLAKE3 is {}, not {stored}; copy or download it again",
                digest.found
            );
            return Ok(ExitCode::FAILURE);
        }
        None => outln!("{name}: no digest to compare with; `auricle model verify --seal` writes one"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes `<folder>/model.safetensors`.
fn write(
    folder: &Path,
    tensors: &NamedTensors,
    metadata: &weights::Metadata,
    precision: Precision,
) -> Result<ExitCode> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let path = folder.join("model.safetensors");
    auricle_train::files::write_weights(&path, tensors, metadata, precision)?;
    let bytes = std::fs::metadata(&path).with_context(|| path.display().to_string())?.len();
    outln!("{}: {} tensors, {:.1} MB", path.display(), tensors.len(), bytes as f64 / 1e6);
    Ok(ExitCode::SUCCESS)
}

fn info(args: &Info) -> Result<ExitCode> {
    let path = models::find(&args.model)?;
    let (tensors, metadata) = models::load(&args.model)?;
    let values: usize = tensors.values().map(|data| data.num_elements()).sum();
    if args.json {
        let shapes: serde_json::Map<String, serde_json::Value> = tensors
            .iter()
            .map(|(name, data)| (name.clone(), serde_json::json!(data.shape().to_vec())))
            .collect();
        let object = serde_json::json!({
            "path": path, "parameters": values, "metadata": metadata,
            "tensors": if args.tensors { serde_json::Value::Object(shapes) } else { tensors.len().into() },
        });
        outln!("{object}");
        return Ok(ExitCode::SUCCESS);
    }
    outln!("path        {}", path.display());
    outln!("parameters  {values} in {} tensors", tensors.len());
    for (name, value) in &metadata {
        // Whoever wrote the file wrote these: a line of theirs must not pass for one of ours.
        outln!("{:11} {}", one_line(name), one_line(value));
    }
    if args.tensors {
        for (name, data) in &tensors {
            outln!("  {} {:?}", one_line(name), data.shape().to_vec());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn import(args: &Import) -> Result<ExitCode> {
    let imported = auricle::import(&args.checkpoint, &args.config, args.teacher)?;
    for name in &imported.left_out {
        errln!("left out: {name}");
    }
    write(&args.out, &imported.tensors, &imported.metadata, Precision::F32)
}

fn average(args: &Average) -> Result<ExitCode> {
    let (mean, metadata) = auricle::average(&args.models)?;
    write(&args.out, &mean, &metadata, Precision::F32)
}
