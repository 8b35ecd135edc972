//! `auricle model`.

use crate::tasks::{find_model, load_model};
use anyhow::{Context as _, Result, bail};
use auricle_nn::params::NamedTensors;
use auricle_nn::weights::{self, Digest, Precision};
use auricle_train::TrainError;
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
        Command::Import(args) => crate::import::run(&args.checkpoint, &args.config, &args.out, args.teacher),
        Command::Export(args) => {
            let (tensors, mut metadata) = load_model(&args.model)?;
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
    let path = find_model(&args.model)?;
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
        Some(stored) if digest.holds() => println!("{name}: as written, BLAKE3 {stored}"),
        Some(stored) => {
            eprintln!(
                "error: {name}: changed since it was written: its BLAKE3 is {}, not {stored}; copy or download it again",
                digest.found
            );
            return Ok(ExitCode::FAILURE);
        }
        None => println!("{name}: no digest to compare with; `auricle model verify --seal` writes one"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes `<folder>/model.safetensors`.
pub fn write(
    folder: &Path,
    tensors: &NamedTensors,
    metadata: &weights::Metadata,
    precision: Precision,
) -> Result<ExitCode> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let path = folder.join("model.safetensors");
    auricle_train::files::write_weights(&path, tensors, metadata, precision)?;
    let bytes = std::fs::metadata(&path).with_context(|| path.display().to_string())?.len();
    println!("{}: {} tensors, {:.1} MB", path.display(), tensors.len(), bytes as f64 / 1e6);
    Ok(ExitCode::SUCCESS)
}

fn info(args: &Info) -> Result<ExitCode> {
    let path = find_model(&args.model)?;
    let (tensors, metadata) = load_model(&args.model)?;
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
        println!("{object}");
        return Ok(ExitCode::SUCCESS);
    }
    println!("path        {}", path.display());
    println!("parameters  {values} in {} tensors", tensors.len());
    for (name, value) in &metadata {
        println!("{name:11} {value}");
    }
    if args.tensors {
        for (name, data) in &tensors {
            println!("  {name} {:?}", data.shape().to_vec());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn average(args: &Average) -> Result<ExitCode> {
    let mut first: Option<(Shapes, weights::Metadata)> = None;
    let models = args.models.iter().map(|model| {
        let checked = load_exported(model).and_then(|(tensors, metadata)| {
            let shapes: Shapes =
                tensors.iter().map(|(name, data)| (name.clone(), data.shape().to_vec())).collect();
            let (expected, described) = first.get_or_insert_with(|| (shapes.clone(), metadata.clone()));
            for field in ["kind", "config", "tokenizer"] {
                if settings(described.get(field)) != settings(metadata.get(field)) {
                    bail!("{} has another {field} than {}", model.display(), args.models[0].display());
                }
            }
            if *expected != shapes {
                bail!("{} has other tensors than {}", model.display(), args.models[0].display());
            }
            Ok(tensors)
        });
        checked.map_err(|error| TrainError::Task(format!("{error:#}")))
    });
    let mean = auricle_train::mean_of_weights(models)?.unwrap_or_default();
    write(&args.out, &mean, &first.map(|(_, metadata)| metadata).unwrap_or_default(), Precision::F32)
}

/// A field of the metadata without what says where training began: runs that go on from each other differ in it.
fn settings(field: Option<&String>) -> Option<serde_json::Value> {
    let text = field?;
    let mut value = serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::String(text.clone()));
    if let Some(config) = value.as_object_mut() {
        for beginning in ["init_from", "init_head", "freeze_encoder_steps"] {
            config.remove(beginning);
        }
    }
    Some(value)
}

/// Sizes of tensors by name.
type Shapes = std::collections::BTreeMap<String, Vec<usize>>;

/// The weights of a model, or of a run's checkpoint under the names of that run's model.
fn load_exported(path: &Path) -> Result<(NamedTensors, weights::Metadata)> {
    let (mut tensors, metadata) = load_model(path)?;
    if !metadata.contains_key("progress") {
        return Ok((tensors, metadata));
    }
    let run = path.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    let (exported, metadata) = load_model(run).with_context(|| {
        format!(
            "{} is a checkpoint; its names and configuration come from the finished run's model",
            path.display()
        )
    })?;
    let mut named = NamedTensors::new();
    for name in exported.into_keys() {
        let places = [format!("model.{name}"), format!("model.trunk.{name}"), format!("task.{name}")];
        let data = places.iter().find_map(|place| tensors.remove(place));
        let data = data.with_context(|| format!("{} has no tensor for `{name}`", path.display()))?;
        named.insert(name, data);
    }
    Ok((named, metadata))
}
