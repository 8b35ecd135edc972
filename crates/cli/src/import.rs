//! `auricle model import`.

use anyhow::{Context as _, Result, bail};
use auricle_asr::CtcConfig;
use auricle_nn::params::NamedTensors;
use auricle_nn::pytorch::read_state_dict;
use auricle_nn::weights::{Metadata, Precision};
use auricle_spiral::import::{from_published, head_from_published};
use auricle_spiral::{Extractor, SpiralConfig};
use auricle_text::Tokenizer;
use auricle_train::recipe;
use burn::tensor::TensorData;
use std::path::Path;
use std::process::ExitCode;

/// Reads a published checkpoint and writes the model that a recipe describes.
pub fn run(checkpoint: &Path, config: &Path, out: &Path, teacher: bool) -> Result<ExitCode> {
    let state: NamedTensors = read_state_dict(checkpoint)?
        .into_iter()
        .map(|(name, tensor)| (name, TensorData::new(tensor.data, tensor.shape)))
        .collect();
    let recipe = crate::train::load(config, &[])?;
    let (kind, encoder, json, tokenizer) = match recipe.task.as_str() {
        "spiral" => {
            let config: SpiralConfig = recipe::parse(&recipe.model, "model")?;
            ("spiral", config.encoder.clone(), serde_json::to_string(&config)?, None)
        }
        "ctc" => {
            let config: CtcConfig = recipe::parse(&recipe.model, "model")?;
            let tokenizer = match &config.tokenizer {
                Some(path) => Tokenizer::load(path)?,
                None => Tokenizer::characters(),
            };
            ("ctc", config.encoder.clone(), serde_json::to_string(&config)?, Some(tokenizer.to_json()))
        }
        other => bail!("{}: a checkpoint is a `spiral` or `ctc` model, not `{other}`", config.display()),
    };
    let imported = from_published(state, &encoder);
    let source = if teacher { &imported.teacher } else { &imported.student };
    let mut tensors: NamedTensors = source
        .iter()
        .filter_map(|(name, data)| {
            let name = name.strip_prefix("trunk.").unwrap_or(name);
            name.starts_with("encoder.").then(|| (name.to_string(), data.clone()))
        })
        .collect();
    if tensors.is_empty() {
        bail!(
            "{}: no encoder found in it; is it a checkpoint of the published program?",
            checkpoint.display()
        );
    }
    if kind == "ctc" {
        tensors.extend(
            head_from_published(&imported.head)
                .into_iter()
                .map(|(name, data)| (format!("head.{name}"), data)),
        );
    }
    tensors.extend(imported.mask_vector.map(|data| ("mask_vector".to_string(), data)));
    let mut metadata = Metadata::from([
        ("format".to_string(), "auricle-model-1".to_string()),
        ("kind".to_string(), kind.to_string()),
        ("config".to_string(), json),
        (
            "provenance".to_string(),
            format!("imported from {}", checkpoint.file_name().unwrap_or_default().to_string_lossy()),
        ),
    ]);
    metadata.extend(tokenizer.map(|tokenizer| ("tokenizer".to_string(), tokenizer)));
    // Shapes are checked now, not at the first use.
    Extractor::from_weights(tensors.clone(), &metadata, &auricle_tensor::device("cpu")?)
        .with_context(|| format!("{} does not fit {}", checkpoint.display(), config.display()))?;
    for name in &imported.ignored {
        eprintln!("left out: {name}");
    }
    crate::model::write(out, &tensors, &metadata, Precision::F32)
}
