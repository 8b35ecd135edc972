//! From waveforms with canonical phones to a batch.

use crate::{CcaMddConfig, Confusions, ExposureConfig, Labels, NearWords};
use auricle_audio::MelConfig;
use auricle_augment::Libraries;
use auricle_data::{Utterance, doctor};
use auricle_rng::Purpose;
use auricle_train::{Acoustics, AugmentConfig, Draw, FeatureBatch, Item, Prepare, TrainError};
use std::sync::Arc;

/// Features and labels of a batch, in host memory.
#[derive(Debug, Clone, PartialEq)]
pub struct MddBatch {
    /// Utterance ids.
    pub ids: Vec<String>,
    /// Features.
    pub features: FeatureBatch,
    /// Labels per row; in training with a corrupted prompt.
    pub labels: Vec<Labels>,
}

/// The loader side.
#[derive(Clone)]
pub struct MddPrepare {
    acoustics: Acoustics,
    exposure: ExposureConfig,
    near: Arc<NearWords>,
    confusions: Arc<Confusions>,
    front_end: MelConfig,
    downsampling: usize,
}

impl MddPrepare {
    /// `libraries` hold what the recipe's perturbations draw from, `near` the words and `confusions`
    /// the phones that prompts may get instead.
    ///
    /// # Errors
    /// A setting out of its domain.
    pub fn new(
        config: &CcaMddConfig,
        augment: AugmentConfig,
        libraries: Libraries,
        near: NearWords,
        confusions: Confusions,
    ) -> Result<Self, TrainError> {
        let acoustics = Acoustics::new(config.front_end.clone(), augment, libraries)?;
        Ok(Self {
            acoustics,
            exposure: config.exposure.clone(),
            near: Arc::new(near),
            confusions: Arc::new(confusions),
            front_end: config.front_end.clone(),
            downsampling: config.encoder.downsampling(),
        })
    }
}

impl MddPrepare {
    /// The words and the phones that prompts may get instead.
    pub fn corruptions(&self) -> (&NearWords, &Confusions) {
        (&self.near, &self.confusions)
    }
}

impl Prepare for MddPrepare {
    type Batch = MddBatch;

    fn sample_rate(&self) -> u32 {
        self.acoustics.sample_rate()
    }

    fn check(&self, utterance: &Utterance) -> Result<(), String> {
        Labels::of(utterance).map_err(|error| error.to_string())?;
        self.acoustics.check_length(utterance.duration_secs)
    }

    /// Both the phones that were said and those of the prompt are aligned with the frames.
    fn cannot_align(&self, utterance: &Utterance) -> Option<String> {
        let labels = Labels::of(utterance).ok()?;
        let frames = self.front_end.num_frames_from_secs(utterance.duration_secs).div_ceil(self.downsampling);
        let places: Vec<u32> = (0u32..).take(labels.slots.len()).collect();
        doctor::alignment_fault(&labels.perceived, frames)
            .or_else(|| doctor::alignment_fault(&places, frames))
    }

    /// In training the prompts are corrupted; in validation only those whose pronunciation nobody
    /// judged, the same way every time: without it they would have no mistake to find.
    fn prepare(&self, items: &[Item], padded_secs: f64, draw: Draw) -> Result<MddBatch, TrainError> {
        let waves = Item::speech(items);
        let zeros = vec![0.0; self.front_end.num_bins];
        let features =
            self.acoustics.batch(&waves, padded_secs, 16usize.max(self.downsampling), &zeros, draw)?;
        let labels = waves
            .iter()
            .map(|wave| {
                let id = &wave.utterance.id;
                let mut labels = Labels::of(&wave.utterance)
                    .map_err(|reason| TrainError::Data(format!("utterance {id}: {reason}")))?;
                if draw.is_training() || !labels.judged {
                    let mut stream = draw.utterance(id).stream(Purpose::PromptCorruption);
                    labels.corrupt(&self.exposure, &self.near, &self.confusions, &mut stream);
                }
                Ok(labels)
            })
            .collect::<Result<Vec<_>, TrainError>>()?;
        let ids = waves.iter().map(|wave| wave.utterance.id.clone()).collect();
        Ok(MddBatch { ids, features, labels })
    }
}
