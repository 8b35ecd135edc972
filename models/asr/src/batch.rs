//! From transcribed waveforms to a batch.

use crate::CtcConfig;
use auricle_augment::Libraries;
use auricle_data::{Utterance, doctor};
use auricle_text::{Tokenizer, normalise};
use auricle_train::{Acoustics, AugmentConfig, Draw, FeatureBatch, Item, Prepare, TrainError};
use std::sync::Arc;

/// Features and targets of a batch, in host memory.
#[derive(Debug, Clone, PartialEq)]
pub struct CtcBatch {
    /// Utterance ids.
    pub ids: Vec<String>,
    /// `[B, T, F]`
    pub features: Vec<f32>,
    /// Valid frames per row.
    pub lengths: Vec<usize>,
    /// T.
    pub frames: usize,
    /// Token ids per row.
    pub targets: Vec<Vec<u32>>,
    /// Reference transcripts, normalised.
    pub texts: Vec<String>,
}

/// The loader side of CTC training.
#[derive(Clone)]
pub struct CtcPrepare {
    config: CtcConfig,
    acoustics: Acoustics,
    multiple: usize,
    tokenizer: Arc<Tokenizer>,
    mask_vector: Vec<f32>,
}

impl CtcPrepare {
    /// `mask_vector` has one value per mel bin; `libraries` hold what the recipe's perturbations draw from.
    pub fn new(
        config: &CtcConfig,
        augment: AugmentConfig,
        tokenizer: Arc<Tokenizer>,
        mask_vector: Vec<f32>,
        libraries: Libraries,
    ) -> Result<Self, TrainError> {
        let acoustics = Acoustics::new(config.front_end.clone(), augment, libraries)?;
        let multiple = 16usize.max(config.encoder.downsampling());
        Ok(Self { config: config.clone(), acoustics, multiple, tokenizer, mask_vector })
    }

    /// The same with another mask vector.
    pub fn with_mask_vector(&self, mask_vector: Vec<f32>) -> Self {
        Self { mask_vector, ..self.clone() }
    }
}

impl Prepare for CtcPrepare {
    type Batch = CtcBatch;

    fn sample_rate(&self) -> u32 {
        self.acoustics.sample_rate()
    }

    fn check(&self, utterance: &Utterance) -> Result<(), String> {
        let text = utterance.text.as_deref().map(normalise).ok_or("it has no transcript")?;
        self.tokenizer.encode(&text).map_err(|e| e.to_string())?;
        self.acoustics.check_length(utterance.duration_secs)
    }

    fn cannot_align(&self, utterance: &Utterance) -> Option<String> {
        let tokens = self.tokenizer.encode(&normalise(utterance.text.as_deref()?)).ok()?;
        doctor::alignment_fault(&tokens, self.config.output_frames(utterance.duration_secs))
    }

    fn prepare(&self, items: &[Item], padded_secs: f64, draw: Draw) -> Result<CtcBatch, TrainError> {
        let waves = Item::speech(items);
        let FeatureBatch { values: features, lengths, frames } =
            self.acoustics.batch(&waves, padded_secs, self.multiple, &self.mask_vector, draw)?;
        let mut targets = Vec::with_capacity(waves.len());
        let mut texts = Vec::with_capacity(waves.len());
        for wave in &waves {
            let id = &wave.utterance.id;
            let text = wave.utterance.text.as_deref().map(normalise).ok_or_else(|| {
                TrainError::Data(format!(
                    "utterance {id} has no transcript; drop it with `auricle data check --fix`"
                ))
            })?;
            targets.push(
                self.tokenizer.encode(&text).map_err(|e| TrainError::Data(format!("utterance {id}: {e}")))?,
            );
            texts.push(text);
        }
        let ids = waves.iter().map(|wave| wave.utterance.id.clone()).collect();
        Ok(CtcBatch { ids, features, lengths, frames, targets, texts })
    }
}
