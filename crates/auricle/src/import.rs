//! Checkpoints of the published SPIRAL program.

use crate::error::Doing as _;
use crate::{Error, Result};
use auricle_asr::{CtcConfig, Recogniser};
use auricle_nn::Initializer;
use auricle_nn::params::NamedTensors;
use auricle_nn::pytorch::read_state_dict;
use auricle_nn::weights::Metadata;
use auricle_rng::{Key, Purpose};
use auricle_spiral::import::{from_published, head_from_published};
use auricle_spiral::{SpiralConfig, Student, start_from};
use auricle_text::Tokenizer;
use auricle_train::{Recipe, TaskKind, recipe};
use burn::tensor::TensorData;
use std::path::Path;

/// A published checkpoint as a model of ours.
pub struct Imported {
    /// Weights.
    pub tensors: NamedTensors,
    /// What describes them.
    pub metadata: Metadata,
    /// Names in the checkpoint that the model has no place for.
    pub left_out: Vec<String>,
}

/// Reads a published checkpoint as the model that a recipe describes; with `teacher`, the teacher's encoder instead of
/// the student's. Nothing in the checkpoint is executed.
///
/// # Errors
/// A checkpoint that cannot be read, is no such checkpoint, or does not fit the recipe.
pub fn import(checkpoint: &Path, config: &Path, teacher: bool) -> Result<Imported> {
    let state: NamedTensors = read_state_dict(checkpoint)?
        .into_iter()
        .map(|(name, tensor)| (name, TensorData::new(tensor.data, tensor.shape)))
        .collect();
    let recipe = Recipe::load(config, &[])?;
    let (kind, encoder, json, tokenizer) = match recipe.task {
        TaskKind::Spiral => {
            let config: SpiralConfig = recipe::parse(&recipe.model, "model")?;
            (TaskKind::Spiral, config.encoder.clone(), serde_json::to_string(&config)?, None)
        }
        TaskKind::Ctc => {
            let config: CtcConfig = recipe::parse(&recipe.model, "model")?;
            let tokenizer = match &config.tokenizer {
                Some(path) => Tokenizer::load(path)?,
                None => Tokenizer::characters(),
            };
            (
                TaskKind::Ctc,
                config.encoder.clone(),
                serde_json::to_string(&config)?,
                Some(tokenizer.to_json()),
            )
        }
        other => {
            return Error::refused(format!(
                "{}: a checkpoint is a `spiral` or `ctc` model, not `{other}`",
                config.display()
            ));
        }
    };
    let imported = from_published(state, &encoder);
    let mut tensors = NamedTensors::new();
    for (name, data) in &imported.student {
        tensors.insert(name.strip_prefix("trunk.").unwrap_or(name).to_string(), data.clone());
    }
    for (name, data) in &imported.teacher {
        tensors.insert(format!("teacher.{name}"), data.clone());
        if teacher {
            tensors.insert(name.clone(), data.clone());
        }
    }
    if !tensors.keys().any(|name| name.starts_with("encoder.")) {
        return Error::refused(format!(
            "{}: no encoder found in it; is it a checkpoint of the published program?",
            checkpoint.display()
        ));
    }
    if teacher && imported.teacher.is_empty() {
        return Error::refused(format!(
            "{}: it holds no teacher; import without --teacher",
            checkpoint.display()
        ));
    }
    if kind == TaskKind::Ctc {
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
    check(&recipe, &tensors, &metadata)
        .doing_with(|| format!("{} does not fit {}", checkpoint.display(), config.display()))?;
    Ok(Imported { tensors, metadata, left_out: imported.ignored })
}

/// Builds the whole model that the recipe describes from the tensors.
fn check(recipe: &Recipe, tensors: &NamedTensors, metadata: &Metadata) -> Result<()> {
    let device = auricle_tensor::device("cpu")?;
    if recipe.task == TaskKind::Ctc {
        Recogniser::from_weights(tensors.clone(), metadata, &device)?;
        return Ok(());
    }
    let config: SpiralConfig = recipe::parse(&recipe.model, "model")?;
    config.validate()?;
    let mut stream = Key::new(0).stream(Purpose::Init);
    let student = Student::new(&config, &mut Initializer::new(&mut stream, &device));
    let mut left = tensors.clone();
    start_from(student, &mut left)?;
    left.remove("mask_vector");
    if let Some(name) = left.keys().next() {
        return Error::refused(format!("its tensor `{name}` has no place in the model"));
    }
    Ok(())
}
