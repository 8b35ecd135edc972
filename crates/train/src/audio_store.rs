//! Decoded audio, kept in memory up to a budget.

use crate::{TrainError, Wave};
use auricle_audio::{Limits, read_at};
use auricle_data::Utterance;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Reads the samples of utterances and keeps what fits into its budget.
///
/// What was kept and what was read again are the same samples, so the budget never changes a
/// result, only its speed.
#[derive(Debug)]
pub struct AudioStore {
    sample_rate: u32,
    budget_samples: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_id: HashMap<String, Arc<[f32]>>,
    samples: usize,
}

impl AudioStore {
    /// A store of at most `budget_mib` MiB.
    pub fn new(sample_rate: u32, budget_mib: usize) -> Self {
        let budget_samples = budget_mib.saturating_mul(1024 * 1024 / size_of::<f32>());
        Self { sample_rate, budget_samples, kept: Mutex::default() }
    }

    /// The utterance with its samples.
    pub fn wave(&self, utterance: &Utterance) -> Result<Wave, TrainError> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).by_id.get(&utterance.id).cloned();
        if let Some(samples) = kept {
            return Ok(Wave { utterance: utterance.clone(), samples });
        }
        let samples: Arc<[f32]> = self.read(utterance)?.into();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.samples + samples.len() <= self.budget_samples {
            kept.samples += samples.len();
            kept.by_id.insert(utterance.id.clone(), samples.clone());
        }
        Ok(Wave { utterance: utterance.clone(), samples })
    }

    fn read(&self, utterance: &Utterance) -> Result<Vec<f32>, TrainError> {
        let audio = read_at(&utterance.audio, self.sample_rate, &Limits::default())
            .map_err(|error| TrainError::Data(format!("utterance {}: {error}", utterance.id)))?;
        let rate = f64::from(self.sample_rate);
        let start = (utterance.start_secs * rate).round() as usize;
        let length = (utterance.duration_secs * rate).round() as usize;
        // A whole file is taken as it is: a manifest's duration may be rounded.
        if start == 0 && length.abs_diff(audio.samples.len()) <= self.sample_rate as usize / 100 {
            return Ok(audio.samples);
        }
        let end = (start + length).min(audio.samples.len());
        match audio.samples.get(start..end) {
            Some(segment) if !segment.is_empty() => Ok(segment.to_vec()),
            _ => Err(TrainError::Data(format!(
                "utterance {}: {} has {} samples, the segment starts at {start}; run `auricle data check`",
                utterance.id,
                utterance.audio.display(),
                audio.samples.len()
            ))),
        }
    }
}

/// Noise recordings for multi-condition training.
#[derive(Debug)]
pub struct NoiseLibrary {
    store: AudioStore,
    recordings: Vec<Utterance>,
}

impl NoiseLibrary {
    /// The recordings of noise manifests, read at `sample_rate`.
    pub fn new(recordings: Vec<Utterance>, sample_rate: u32, budget_mib: usize) -> Self {
        Self { store: AudioStore::new(sample_rate, budget_mib), recordings }
    }
}
