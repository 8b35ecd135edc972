//! From waveforms to padded features: what the supervised tasks share.

use crate::{Draw, TrainError, Wave, check_masks, within};
use auricle_audio::{Features, MelConfig, MelFrontEnd, padded};
use auricle_augment::{
    ChannelConfig, Libraries, LowPassConfig, NoiseConfig, ReverbConfig, SilenceConfig, SpecAugmentConfig,
    VolumeConfig, frequency_band_count, frequency_bands, spec_augment, speed, time_spans,
};
use auricle_rng::Purpose;
use serde::{Deserialize, Serialize};

/// The `[augment]` table of a supervised recipe.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AugmentConfig {
    /// Masks on the features. Default: those of Base on 100 hours.
    #[serde(default = "SpecAugmentConfig::finetune_base")]
    pub spec: SpecAugmentConfig,
    /// Room: convolution with an impulse response of `data.rirs`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverb: Option<ReverbConfig>,
    /// Level. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeConfig>,
    /// Multi-condition noise on the waveform. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseConfig>,
    /// Narrow band. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_pass: Option<LowPassConfig>,
    /// Speed factors, one drawn per utterance and epoch. Default: none.
    #[serde(default)]
    pub speed: Vec<f64>,
    /// Silence before and after. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<SilenceConfig>,
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self {
            spec: SpecAugmentConfig::finetune_base(),
            reverb: None,
            volume: None,
            noise: None,
            low_pass: None,
            speed: Vec::new(),
            silence: None,
        }
    }
}

impl AugmentConfig {
    /// The perturbations of the waveform after the change of speed.
    pub fn channel(&self) -> ChannelConfig {
        let Self { reverb, volume, noise, low_pass, .. } = self.clone();
        ChannelConfig { reverb, volume, noise, low_pass }
    }
}

/// Speed, silence, channel, dither, front end, masks: in this order, all but the front end in training only.
#[derive(Clone)]
pub struct Acoustics {
    front_end: MelFrontEnd,
    spec: SpecAugmentConfig,
    channel: ChannelConfig,
    speed: Vec<f64>,
    silence: Option<SilenceConfig>,
    libraries: Libraries,
}

/// Features of a batch, padded with zeros.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureBatch {
    /// `[B, T, F]`
    pub values: Vec<f32>,
    /// Valid frames per row.
    pub lengths: Vec<usize>,
    /// T.
    pub frames: usize,
}

impl Acoustics {
    /// # Errors
    /// A setting out of its domain, or a perturbation without recordings to draw from.
    pub fn new(
        front_end: MelConfig,
        augment: AugmentConfig,
        libraries: Libraries,
    ) -> Result<Self, TrainError> {
        let channel = augment.channel();
        let AugmentConfig { spec, speed, silence, .. } = augment;
        check_masks("augment.spec", &spec)?;
        within("number of augment.speed", speed.len(), 0..=100)?;
        channel.validate(&libraries).map_err(|e| TrainError::Recipe(e.to_string()))?;
        silence
            .map_or(Ok(()), |silence| silence.validate())
            .map_err(|e| TrainError::Recipe(e.to_string()))?;
        if let Some(bad) = speed.iter().find(|factor| !(0.5..=2.0).contains(*factor)) {
            return Err(TrainError::Recipe(format!("augment.speed: {bad} is not between 0.5 and 2")));
        }
        let front_end = MelFrontEnd::new(front_end).map_err(|e| TrainError::Recipe(e.to_string()))?;
        Ok(Self { front_end, spec, channel, speed, silence, libraries })
    }

    /// Samples per second.
    pub fn sample_rate(&self) -> u32 {
        self.front_end.config().sample_rate
    }

    /// Whether a signal is long enough for the front end, which needs more than half a window of its
    /// Fourier transform, and two frames.
    ///
    /// # Errors
    /// The reason, in words.
    pub fn check_length(&self, secs: f64) -> Result<(), String> {
        let config = self.front_end.config();
        let samples = (secs * f64::from(config.sample_rate)) as usize;
        let least = (config.fft_size / 2 + 1).max(config.hop_samples + 1);
        if samples < least {
            return Err(format!("{secs:.3} s are too short for the front end; raise data.min_secs"));
        }
        Ok(())
    }

    /// Features of a batch; `mask` (a value per bin) fills masked time spans, and rows are padded to
    /// a multiple of `multiple` frames that holds `padded_secs`.
    ///
    /// # Errors
    /// Audio that has no features, with the utterance's id.
    pub fn batch(
        &self,
        waves: &[&Wave],
        padded_secs: f64,
        multiple: usize,
        mask: &[f32],
        draw: Draw,
    ) -> Result<FeatureBatch, TrainError> {
        let config = self.front_end.config();
        let bins = config.num_bins;
        let mut stream = draw.batch().stream(Purpose::FrequencyMask);
        let bands = frequency_band_count(bins, &self.spec.frequency, &mut stream);
        let rows =
            waves.iter().map(|wave| self.features(wave, mask, bands, draw)).collect::<Result<Vec<_>, _>>()?;
        let lengths: Vec<usize> = rows.iter().map(Features::nrows).collect();
        let planned = config.num_frames_from_secs(padded_secs);
        let frames =
            lengths.iter().copied().max().unwrap_or(0).max(planned).next_multiple_of(multiple.max(1));
        let mut values = Vec::with_capacity(waves.len() * frames * bins);
        for row in rows {
            values.append(&mut padded(row, frames, 0.0));
        }
        Ok(FeatureBatch { values, lengths, frames })
    }

    /// Features of one utterance; perturbed in training.
    fn features(&self, wave: &Wave, mask: &[f32], bands: usize, draw: Draw) -> Result<Features, TrainError> {
        let id = &wave.utterance.id;
        let key = draw.utterance(id);
        let fail = |error: &dyn std::fmt::Display| TrainError::Data(format!("utterance {id}: {error}"));
        if !draw.is_training() {
            return self.front_end.compute(&wave.samples, wave.samples.len(), None).map_err(|e| fail(&e));
        }
        let bins = self.front_end.config().num_bins;
        let mut samples = wave.samples.to_vec();
        let factor = self.speed.get(key.stream(Purpose::Speed).below(self.speed.len()));
        if let Some(&factor) = factor.filter(|&&factor| factor != 1.0) {
            samples = speed(&samples, factor);
        }
        if let Some(silence) = self.silence {
            samples = silence.apply(samples, self.sample_rate(), key);
        }
        samples =
            self.channel.apply(&samples, &self.libraries, self.sample_rate(), key).map_err(|e| fail(&e))?;
        let mut dither = key.stream(Purpose::Dither);
        let mut mel =
            self.front_end.compute(&samples, samples.len(), Some(&mut dither)).map_err(|e| fail(&e))?;
        let spans = time_spans(mel.nrows(), &self.spec.time, &mut key.stream(Purpose::TimeMask));
        let bands =
            frequency_bands(bins, bands, self.spec.frequency.length, &mut key.stream(Purpose::FrequencyMask));
        spec_augment(mel.view_mut(), &spans, mask, &bands);
        Ok(mel)
    }
}
