//! From waveforms to the two views of a batch.

use crate::{SpiralAugment, SpiralConfig, draw_negatives};
use auricle_audio::{Features, MelFrontEnd, padded};
use auricle_augment::{
    Libraries, PositionShift, frequency_band_count, frequency_bands, spec_augment, time_spans,
};
use auricle_data::Utterance;
use auricle_rng::Purpose;
use auricle_train::{Draw, Item, Prepare, TrainError, Wave, check_masks};

/// Student and teacher views of a batch, in host memory, frames first.
#[derive(Debug, Clone, PartialEq)]
pub struct SpiralBatch {
    /// Perturbed features, `[B, T, F]`.
    pub student: Vec<f32>,
    /// Clean, shifted features, `[B, T + shift, F]`.
    pub teacher: Vec<f32>,
    /// Valid student frames per row.
    pub lengths: Vec<usize>,
    /// T.
    pub frames: usize,
    /// Frames put before and after the teacher's input.
    pub shift: (usize, usize),
    /// Valid encoder positions per row.
    pub positions: Vec<usize>,
    /// Negatives, one row of `count` per valid position.
    pub negatives: Vec<u32>,
}

/// The loader side of SPIRAL.
pub struct SpiralPrepare {
    config: SpiralConfig,
    augment: SpiralAugment,
    front_end: MelFrontEnd,
    mask_vector: Vec<f32>,
    libraries: Libraries,
}

impl SpiralPrepare {
    /// `mask_vector` has one value per mel bin; `libraries` hold what the recipe's perturbations draw from.
    pub fn new(
        config: SpiralConfig,
        augment: SpiralAugment,
        mask_vector: Vec<f32>,
        libraries: Libraries,
    ) -> Result<Self, TrainError> {
        augment.validate().map_err(|e| TrainError::Recipe(e.to_string()))?;
        check_masks("augment.spec", &augment.spec)?;
        augment.channel().validate(&libraries).map_err(|e| TrainError::Recipe(e.to_string()))?;
        let front_end =
            MelFrontEnd::new(config.front_end.clone()).map_err(|e| TrainError::Recipe(e.to_string()))?;
        Ok(Self { config, augment, front_end, mask_vector, libraries })
    }

    /// Clean and student features of one utterance.
    fn views(&self, wave: &Wave, draw: Draw) -> Result<(Features, Features), TrainError> {
        let id = &wave.utterance.id;
        let key = draw.utterance(id);
        let crop = (self.config.crop_secs * f64::from(self.sample_rate())) as usize;
        let samples = match wave.samples.len() {
            n if n > crop => {
                let start =
                    if draw.is_training() { key.stream(Purpose::Crop).below(n - crop + 1) } else { 0 };
                &wave.samples[start..start + crop]
            }
            _ => &wave.samples[..],
        };
        let fail = |error: &dyn std::fmt::Display| TrainError::Data(format!("utterance {id}: {error}"));
        let features = |samples: &[f32], dither: Option<&mut auricle_rng::Stream>| {
            self.front_end.compute(samples, samples.len(), dither).map_err(|e| fail(&e))
        };
        let mut dither = key.stream(Purpose::Dither);
        let clean = features(samples, draw.is_training().then_some(&mut dither))?;
        if !draw.is_training() {
            return Ok((clean.clone(), clean));
        }
        let channel = self.augment.channel();
        let noisy = channel.apply(samples, &self.libraries, self.sample_rate(), key).map_err(|e| fail(&e))?;
        // Where nothing was drawn, student and teacher share one dithered spectrogram (SPIRAL §1).
        let student =
            if noisy[..] == *samples { clean.clone() } else { features(&noisy, Some(&mut dither))? };
        Ok((clean, student))
    }
}

impl Prepare for SpiralPrepare {
    type Batch = SpiralBatch;

    fn sample_rate(&self) -> u32 {
        self.config.front_end.sample_rate
    }

    fn crop_secs(&self) -> Option<f64> {
        Some(self.config.crop_secs)
    }

    fn check(&self, utterance: &Utterance) -> Result<(), String> {
        let secs = utterance.duration_secs.min(self.config.crop_secs);
        let frames = self.config.front_end.num_frames_from_secs(secs);
        if frames.div_ceil(self.config.encoder.downsampling()) < 2 {
            return Err(format!("{secs:.3} s are fewer than 2 encoder frames; raise data.min_secs"));
        }
        Ok(())
    }

    fn prepare(&self, items: &[Item], padded_secs: f64, draw: Draw) -> Result<SpiralBatch, TrainError> {
        let waves = Item::speech(items);
        let bins = self.config.encoder.bins;
        let unit = self.config.encoder.downsampling();
        let views = waves.iter().map(|wave| self.views(wave, draw)).collect::<Result<Vec<_>, _>>()?;
        let lengths: Vec<usize> = views.iter().map(|(clean, _)| clean.nrows()).collect();
        // The reference pads to 16 frames; any multiple of the down-sampling keeps every stride even.
        let multiple = 16usize.max(unit);
        let planned = self.config.front_end.num_frames_from_secs(padded_secs);
        let frames = lengths.iter().copied().max().unwrap_or(0).max(planned).next_multiple_of(multiple);

        let batch_key = draw.batch();
        let spec = &self.augment.spec;
        let band_count =
            frequency_band_count(bins, &spec.frequency, &mut batch_key.stream(Purpose::FrequencyMask));
        let shift = if draw.is_training() && self.augment.max_shift > 0 {
            PositionShift::draw(self.augment.max_shift, unit, &mut batch_key.stream(Purpose::Shift))
        } else {
            PositionShift { left_frames: 0, right_frames: 0 }
        };
        let teacher_frames = frames + shift.left_frames + shift.right_frames;

        let mut student = Vec::with_capacity(waves.len() * frames * bins);
        let mut teacher = Vec::with_capacity(waves.len() * teacher_frames * bins);
        for (wave, (clean, mut noisy)) in waves.iter().zip(views) {
            let key = draw.utterance(&wave.utterance.id);
            let spans = time_spans(noisy.nrows(), &spec.time, &mut key.stream(Purpose::TimeMask));
            let bands = frequency_bands(
                bins,
                band_count,
                spec.frequency.length,
                &mut key.stream(Purpose::FrequencyMask),
            );
            spec_augment(noisy.view_mut(), &spans, &self.mask_vector, &bands);
            student.append(&mut padded(noisy, frames, 0.0));
            let shifted = shift.apply(clean.view(), &self.mask_vector);
            teacher.append(&mut padded(shifted, teacher_frames, 0.0));
        }
        let positions: Vec<usize> = lengths.iter().map(|length| length.div_ceil(unit)).collect();
        if let Some(short) = positions.iter().position(|&p| p < 2) {
            let id = waves.get(short).map_or("?", |wave| wave.utterance.id.as_str());
            return Err(TrainError::Data(format!(
                "utterance {id} has fewer than 2 encoder frames: raise data.min_secs"
            )));
        }
        let negatives =
            draw_negatives(&positions, self.config.negatives, &mut batch_key.stream(Purpose::Negatives));
        let shift = (shift.left_frames, shift.right_frames);
        Ok(SpiralBatch { student, teacher, lengths, frames, shift, positions, negatives })
    }
}
