//! A name becomes a model.

use crate::error::Doing as _;
use crate::{Error, Result};
use auricle_asr::Recogniser;
use auricle_cca_mdd::Assessor;
use auricle_lasyn::{SequenceRecogniser, SplitRecogniser};
use auricle_nn::params::NamedTensors;
use auricle_nn::weights::{self, Metadata};
use auricle_spiral::Extractor;
use burn::tensor::Device;
use std::path::{Path, PathBuf};

/// The file of a model's folder that holds its weights.
pub const WEIGHTS: &str = "model.safetensors";

/// Weights and metadata named by a file, a folder with `model.safetensors`, or a shipped name.
///
/// # Errors
/// A name that is nowhere, weights that cannot be read.
pub fn load(name: &Path) -> Result<(NamedTensors, Metadata)> {
    let path = find(name)?;
    let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
    weights::from_bytes(&bytes).doing(path.display())
}

/// Where a model's weights are.
///
/// # Errors
/// A name that is nowhere: the error lists where it was looked for.
pub fn find(name: &Path) -> Result<PathBuf> {
    let in_folder = |folder: &Path| folder.join(WEIGHTS);
    if name.is_file() {
        return Ok(name.to_path_buf());
    }
    if name.is_dir() && in_folder(name).is_file() {
        return Ok(in_folder(name));
    }
    let mut looked = vec![name.to_path_buf()];
    for root in roots() {
        let candidate = in_folder(&root.join(name));
        if candidate.is_file() {
            return Ok(candidate);
        }
        looked.push(candidate);
    }
    let looked: Vec<String> = looked.iter().map(|path| path.display().to_string()).collect();
    Error::refused(format!("no model `{}`; looked for {}", name.display(), looked.join(", ")))
}

/// Folders that hold shipped models: `$AURICLE_MODELS`, `models/pretrained` below the working
/// directory and below every folder above the program.
fn roots() -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = std::env::var_os("AURICLE_MODELS").map(PathBuf::from).into_iter().collect();
    roots.push(PathBuf::from("models/pretrained"));
    if let Ok(program) = std::env::current_exe() {
        roots.extend(program.ancestors().skip(1).map(|folder| folder.join("models/pretrained")));
    }
    roots
}

/// A shipped file that is not a model's weights, such as `g2p-en/model.g2p`; `None` where it is nowhere.
pub fn shipped_file(name: &str) -> Option<PathBuf> {
    roots().iter().map(|root| root.join(name)).find(|path| path.is_file())
}

/// A recogniser with CTC.
///
/// # Errors
/// As [`load`]; a model of another kind.
pub fn recogniser(name: &Path, device: &Device) -> Result<Recogniser> {
    let (tensors, metadata) = load(name)?;
    Recogniser::from_weights(tensors, &metadata, device).doing(named(name))
}

/// A recogniser with an attention decoder, of transcripts or of meanings.
///
/// # Errors
/// As [`load`]; a model of another kind.
pub fn sequence_recogniser(name: &Path, device: &Device) -> Result<SequenceRecogniser> {
    let (tensors, metadata) = load(name)?;
    SequenceRecogniser::from_weights(tensors, &metadata, device).doing(named(name))
}

/// A recogniser cut in two at a layer; `None` cuts it behind the first stage.
///
/// # Errors
/// As [`load`]; a model of another kind, a cut that it does not have.
pub fn split_recogniser(name: &Path, split: Option<usize>, device: &Device) -> Result<SplitRecogniser> {
    let (tensors, metadata) = load(name)?;
    SplitRecogniser::from_weights(tensors, &metadata, split, device).doing(named(name))
}

/// A judge of pronunciation.
///
/// # Errors
/// As [`load`]; a model of another kind.
pub fn assessor(name: &Path, device: &Device) -> Result<Assessor> {
    let (tensors, metadata) = load(name)?;
    Assessor::from_weights(tensors, &metadata, device).doing(named(name))
}

/// What gives the representations of an encoder.
///
/// # Errors
/// As [`load`]; a model without an encoder.
pub fn extractor(name: &Path, device: &Device) -> Result<Extractor> {
    let (tensors, metadata) = load(name)?;
    Extractor::from_weights(tensors, &metadata, device).doing(named(name))
}

fn named(name: &Path) -> String {
    format!("model {}", name.display())
}
