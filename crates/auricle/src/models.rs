//! A name becomes a model.

use crate::error::Doing as _;
use crate::shipped::roots;
use crate::{Error, Result};
use auricle_asr::Recogniser;
use auricle_cca_mdd::Assessor;
use auricle_lasyn::{SequenceRecogniser, SplitRecogniser};
use auricle_nn::params::NamedTensors;
use auricle_nn::weights::{self, Metadata};
use auricle_spiral::Extractor;
use burn::tensor::Device;
use std::borrow::Cow;
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
    Err(Error::NoModel { name: name.to_path_buf(), looked })
}

/// A shipped file that is no network, by its name below the folder of shipped models.
///
/// # Errors
/// A file that is there and cannot be read.
pub(crate) fn shipped_file(name: &str) -> Result<Option<Cow<'static, [u8]>>> {
    match roots().iter().map(|root| root.join(name)).find(|path| path.is_file()) {
        Some(path) => Ok(Some(std::fs::read(&path).map_err(Error::io(&path))?.into())),
        None => Ok(auricle_models::bytes(name).map(Cow::from)),
    }
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
