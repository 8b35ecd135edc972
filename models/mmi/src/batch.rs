//! From transcribed waveforms to a batch.

use crate::phones::{Said, Transcripts};
use crate::{MmiAugment, MmiConfig};
use auricle_augment::Libraries;
use auricle_data::Utterance;
use auricle_nn::{SUBSAMPLING, Tdnnf};
use auricle_rng::Purpose;
use auricle_train::{Acoustics, Draw, FeatureBatch, Item, Prepare, TrainError};
use std::sync::Arc;

/// Features and graphs of a batch, in host memory.
#[derive(Debug, Clone)]
pub struct MmiBatch {
    /// Utterance ids.
    pub ids: Vec<String>,
    /// `[B, T, F]`
    pub features: Vec<f32>,
    /// Valid frames per row.
    pub lengths: Vec<usize>,
    /// T, a multiple of 3.
    pub frames: usize,
    /// What is said in each row.
    pub said: Vec<Said>,
    /// Weight of each row in the loss.
    pub weights: Vec<f32>,
}

/// The loader side of LF-MMI training.
pub struct MmiPrepare {
    acoustics: Acoustics,
    bins: usize,
    max_shift: usize,
    hop_secs: f64,
    frame_millis: u32,
    transcripts: Arc<Transcripts>,
}

impl MmiPrepare {
    /// # Errors
    /// A setting out of its domain.
    pub(crate) fn new(
        config: &MmiConfig,
        augment: &MmiAugment,
        transcripts: Arc<Transcripts>,
        libraries: Libraries,
    ) -> Result<Self, TrainError> {
        let front_end = config.front_end.clone();
        let hop_secs = front_end.hop_samples as f64 / f64::from(front_end.sample_rate.max(1));
        Ok(Self {
            bins: front_end.num_bins,
            hop_secs,
            max_shift: config.max_shift,
            frame_millis: config.frame_millis(),
            acoustics: Acoustics::new(front_end, augment.waveform(), libraries)?,
            transcripts,
        })
    }

    fn said(&self, utterance: &Utterance) -> Result<Said, String> {
        let text = utterance.text.as_deref().ok_or("it has no transcript")?;
        self.transcripts.get(text)
    }
}

impl Prepare for MmiPrepare {
    type Batch = MmiBatch;

    fn sample_rate(&self) -> u32 {
        self.acoustics.sample_rate()
    }

    fn check(&self, utterance: &Utterance) -> Result<(), String> {
        self.acoustics.check_length(utterance.duration_secs)?;
        self.said(utterance).map(drop)
    }

    fn cannot_align(&self, utterance: &Utterance) -> Option<String> {
        let said = self.said(utterance).ok()?;
        let frames = (utterance.duration_secs / self.hop_secs + 1e-6).ceil() as usize;
        let (needs, has) = (said.num.min_frames(), Tdnnf::output_frames(frames));
        // A text that the language model does not know, which in training cannot be, has no gradient and counts in phones only.
        if needs > has && needs < u32::MAX as usize {
            let millis = self.frame_millis;
            return Some(auricle_decode::graph::GraphError::TooShort { needs, has, millis }.to_string());
        }
        None
    }

    fn prepare(&self, items: &[Item], padded_secs: f64, draw: Draw) -> Result<MmiBatch, TrainError> {
        let waves = Item::speech(items);
        let zeros = vec![0.0; self.bins];
        let FeatureBatch { mut values, mut lengths, frames } =
            self.acoustics.batch(&waves, padded_secs, SUBSAMPLING, &zeros, draw)?;
        let mut said = Vec::with_capacity(waves.len());
        let rows = values.chunks_exact_mut((frames * self.bins).max(1)).zip(&mut lengths);
        for (wave, (row, length)) in waves.iter().zip(rows) {
            let id = &wave.utterance.id;
            if draw.is_training() {
                let shift = draw.utterance(id).stream(Purpose::Crop).below(self.max_shift + 1);
                let shift = shift.min(length.saturating_sub(1));
                row.copy_within(shift * self.bins.., 0);
                *length -= shift;
                row[*length * self.bins..].fill(0.0);
            }
            let own = self.said(&wave.utterance);
            said.push(own.map_err(|e| TrainError::Data(format!("utterance {id}: {e}")))?);
        }
        let ids = waves.iter().map(|wave| wave.utterance.id.clone()).collect();
        let weights = vec![1.0; waves.len()];
        Ok(MmiBatch { ids, features: values, lengths, frames, said, weights })
    }
}
