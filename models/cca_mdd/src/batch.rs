//! From waveforms with canonical phones to a batch.

use crate::{CcaMddConfig, Confusions, ExposureConfig, Labels, NearWords};
use auricle_augment::Libraries;
use auricle_data::Utterance;
use auricle_rng::Purpose;
use auricle_train::{Acoustics, AugmentConfig, Draw, FeatureBatch, Prepare, TrainError, Wave};
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
    bins: usize,
    multiple: usize,
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
            bins: config.front_end.num_bins,
            multiple: 16usize.max(config.encoder.downsampling()),
        })
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

    /// In training the prompts are corrupted; in validation only those whose pronunciation nobody
    /// judged, the same way every time: without it they would have no mistake to find.
    fn prepare(&self, waves: &[Wave], padded_secs: f64, draw: Draw) -> Result<MddBatch, TrainError> {
        let zeros = vec![0.0; self.bins];
        let features = self.acoustics.batch(waves, padded_secs, self.multiple, &zeros, draw)?;
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
