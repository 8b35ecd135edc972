//! From transcribed waveforms to a batch.

use crate::{CtcAugment, CtcConfig};
use auricle_audio::{MelConfig, MelFrontEnd};
use auricle_augment::{Libraries, frequency_band_count, frequency_bands, spec_augment, speed, time_spans};
use auricle_data::Utterance;
use auricle_rng::Purpose;
use auricle_text::{Tokenizer, normalise};
use auricle_train::{Draw, Prepare, TrainError, Wave};
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
    augment: CtcAugment,
    front_end: MelFrontEnd,
    tokenizer: Arc<Tokenizer>,
    mask_vector: Vec<f32>,
    libraries: Libraries,
}

impl CtcPrepare {
    /// `mask_vector` has one value per mel bin; `libraries` hold what the recipe's perturbations draw from.
    pub fn new(
        config: CtcConfig,
        augment: CtcAugment,
        tokenizer: Arc<Tokenizer>,
        mask_vector: Vec<f32>,
        libraries: Libraries,
    ) -> Result<Self, TrainError> {
        augment.channel().validate(&libraries).map_err(TrainError::Recipe)?;
        if let Some(bad) = augment.speed.iter().find(|factor| !(0.5..=2.0).contains(*factor)) {
            return Err(TrainError::Recipe(format!("augment.speed: {bad} is not between 0.5 and 2")));
        }
        let front_end =
            MelFrontEnd::new(config.front_end.clone()).map_err(|e| TrainError::Recipe(e.to_string()))?;
        Ok(Self { config, augment, front_end, tokenizer, mask_vector, libraries })
    }

    /// The same with another mask vector.
    pub fn with_mask_vector(&self, mask_vector: Vec<f32>) -> Self {
        Self { mask_vector, ..self.clone() }
    }

    /// Features of one utterance, `[T, F]`; perturbed in training.
    fn features(&self, wave: &Wave, draw: Draw, bands: usize) -> Result<(Vec<f32>, usize), TrainError> {
        let id = &wave.utterance.id;
        let key = draw.utterance(id);
        let fail = |error: &dyn std::fmt::Display| TrainError::Data(format!("utterance {id}: {error}"));
        let bins = self.config.encoder.bins;
        if !draw.is_training() {
            let mel =
                self.front_end.compute(&wave.samples, wave.samples.len(), None).map_err(|e| fail(&e))?;
            return Ok((mel.data, mel.num_frames));
        }
        let mut samples = wave.samples.to_vec();
        let factor = self.augment.speed.get(key.stream(Purpose::Speed).below(self.augment.speed.len()));
        if let Some(&factor) = factor.filter(|&&factor| factor != 1.0) {
            samples = speed(&samples, factor);
        }
        let channel = self.augment.channel();
        samples = channel.apply(&samples, &self.libraries, self.sample_rate(), key).map_err(|e| fail(&e))?;
        let mut dither = key.stream(Purpose::Dither);
        let mut mel =
            self.front_end.compute(&samples, samples.len(), Some(&mut dither)).map_err(|e| fail(&e))?;
        let spec = &self.augment.spec;
        let spans = time_spans(mel.num_frames, &spec.time, &mut key.stream(Purpose::TimeMask));
        let bands =
            frequency_bands(bins, bands, spec.frequency.length, &mut key.stream(Purpose::FrequencyMask));
        spec_augment(&mut mel.data, bins, &spans, &self.mask_vector, &bands);
        Ok((mel.data, mel.num_frames))
    }
}

impl Prepare for CtcPrepare {
    type Batch = CtcBatch;

    fn sample_rate(&self) -> u32 {
        self.config.front_end.sample_rate
    }

    fn check(&self, utterance: &Utterance) -> Result<(), String> {
        let text = utterance.text.as_deref().map(normalise).ok_or("it has no transcript")?;
        self.tokenizer.encode(&text).map_err(|e| e.to_string())?;
        check_length(utterance.duration_secs, &self.config.front_end)
    }

    fn prepare(&self, waves: &[Wave], padded_secs: f64, draw: Draw) -> Result<CtcBatch, TrainError> {
        let bins = self.config.encoder.bins;
        let mut stream = draw.batch().stream(Purpose::FrequencyMask);
        let bands = frequency_band_count(bins, &self.augment.spec.frequency, &mut stream);
        let rows =
            waves.iter().map(|wave| self.features(wave, draw, bands)).collect::<Result<Vec<_>, _>>()?;
        let lengths: Vec<usize> = rows.iter().map(|(_, frames)| *frames).collect();
        let multiple = 16usize.max(self.config.encoder.downsampling());
        let planned = self.config.front_end.num_frames_from_secs(padded_secs);
        let frames = lengths.iter().copied().max().unwrap_or(0).max(planned).next_multiple_of(multiple);
        let mut features = Vec::with_capacity(waves.len() * frames * bins);
        for (mut row, _) in rows {
            row.resize(frames * bins, 0.0);
            features.append(&mut row);
        }
        let mut targets = Vec::with_capacity(waves.len());
        let mut texts = Vec::with_capacity(waves.len());
        for wave in waves {
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

/// The front end needs more than half a window of its Fourier transform, and two frames.
fn check_length(secs: f64, front_end: &MelConfig) -> Result<(), String> {
    let samples = (secs * f64::from(front_end.sample_rate)) as usize;
    let least = (front_end.fft_size / 2 + 1).max(front_end.hop_samples + 1);
    if samples < least {
        return Err(format!("{secs:.3} s are too short for the front end; raise data.min_secs"));
    }
    Ok(())
}
