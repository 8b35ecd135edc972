//! Decoded audio, kept in memory up to a budget.

use crate::{TrainError, Wave};
use auricle_augment::{NoiseError, NoiseSource};
use auricle_data::Utterance;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// What makes two utterances the same samples: file, start, duration (as bits, for they are compared).
type Place = (PathBuf, u64, u64);

fn place(utterance: &Utterance) -> Place {
    (utterance.audio.clone(), utterance.start_secs.to_bits(), utterance.duration_secs.to_bits())
}

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
    by_place: HashMap<Place, Arc<[f32]>>,
    samples: usize,
}

impl AudioStore {
    /// A store of at most `budget_mib` MiB.
    pub fn new(sample_rate: u32, budget_mib: usize) -> Self {
        let budget_samples = budget_mib.saturating_mul(1024 * 1024 / size_of::<f32>());
        Self { sample_rate, budget_samples, kept: Mutex::default() }
    }

    /// The utterance with its samples.
    ///
    /// # Errors
    /// Audio that cannot be read.
    pub fn wave(&self, utterance: &Utterance) -> Result<Wave, TrainError> {
        let place = place(utterance);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).by_place.get(&place).cloned();
        if let Some(samples) = kept {
            return Ok(Wave { utterance: utterance.clone(), samples });
        }
        let samples: Arc<[f32]> = self.read(utterance)?.into();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.samples + samples.len() <= self.budget_samples {
            kept.samples += samples.len();
            kept.by_place.insert(place, samples.clone());
        }
        Ok(Wave { utterance: utterance.clone(), samples })
    }

    fn read(&self, utterance: &Utterance) -> Result<Vec<f32>, TrainError> {
        let fail = |error| TrainError::Data(format!("utterance {}: {error}", utterance.id));
        utterance.whole_samples(self.sample_rate).map_err(fail)
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

impl NoiseSource for NoiseLibrary {
    fn count(&self) -> usize {
        self.recordings.len()
    }

    fn num_samples(&self, index: usize) -> usize {
        let secs = self.recordings.get(index).map_or(0.0, |r| r.duration_secs);
        (secs * f64::from(self.store.sample_rate)) as usize
    }

    fn read(&self, index: usize, start: usize, len: usize) -> Result<Vec<f32>, NoiseError> {
        let missing = || NoiseError::Read { name: format!("number {index}"), reason: "there is none".into() };
        let recording = self.recordings.get(index).ok_or_else(missing)?;
        let fail = |reason: String| NoiseError::Read { name: recording.id.clone(), reason };
        let wave = self.store.wave(recording).map_err(|e| fail(e.to_string()))?;
        let piece = wave.samples.get(start..(start + len).min(wave.samples.len()));
        piece.map(<[f32]>::to_vec).ok_or_else(|| {
            fail(format!("is shorter than its manifest says ({} samples)", wave.samples.len()))
        })
    }

    fn sample_rate(&self) -> u32 {
        self.store.sample_rate
    }
}
