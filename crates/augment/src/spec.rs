//! Adaptive SpecAugment on normalised mel features (SPIRAL §6, §8).

use auricle_rng::Stream;
use ndarray::ArrayViewMut2;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Spans of fixed length whose number grows with the input: `n = max(min, ⌊p·V/ℓ + u⌋)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpanMask {
    /// p: about this share of the input would be masked if spans never overlapped.
    pub prob: f64,
    /// ℓ, in frames or bins.
    pub length: usize,
    /// The least number of spans. Default: 0.
    #[serde(default)]
    pub min_spans: usize,
}

/// Masks in time and frequency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecAugmentConfig {
    /// In frames.
    pub time: SpanMask,
    /// In mel bins.
    pub frequency: SpanMask,
}

impl SpecAugmentConfig {
    /// SPIRAL pre-training: time p 0.5, 20 frames; frequency p 0.4, 20 bins.
    pub fn pretrain() -> Self {
        Self {
            time: SpanMask { prob: 0.5, length: 20, min_spans: 2 },
            frequency: SpanMask { prob: 0.4, length: 20, min_spans: 0 },
        }
    }

    /// Fine-tuning of Base on 100 hours: time p 0.3, 4 frames; frequency p 0.3, 20 bins.
    pub fn finetune_base() -> Self {
        Self {
            time: SpanMask { prob: 0.3, length: 4, min_spans: 2 },
            frequency: SpanMask { prob: 0.3, length: 20, min_spans: 0 },
        }
    }
}

impl SpanMask {
    fn count(&self, size: usize, stream: &mut Stream) -> usize {
        let expected = self.prob * size as f64 / self.length.max(1) as f64;
        ((expected + stream.uniform()) as usize).max(self.min_spans)
    }
}

/// Masked spans of an utterance of `valid` frames: distinct starts, uniform on `0..valid − ℓ`.
///
/// Spans may overlap; the half-open range means that the last frame is never masked. Where there
/// are fewer starts than spans, the range is widened to `n + 1` as in the published program, and an
/// utterance too short for any span gets none.
pub fn time_spans(valid: usize, mask: &SpanMask, stream: &mut Stream) -> Vec<Range<usize>> {
    let count = mask.count(valid, stream);
    let starts = match valid.saturating_sub(mask.length) {
        starts if starts > count => starts,
        _ => (count + 1).min(valid.saturating_sub(1)),
    };
    let spans = stream.distinct(starts, count).into_iter();
    spans.map(|start| start..(start + mask.length).min(valid)).collect()
}

/// Number of masked bands: one draw for the whole batch.
pub fn frequency_band_count(bins: usize, mask: &SpanMask, stream: &mut Stream) -> usize {
    mask.count(bins, stream)
}

/// Masked bands of one utterance: `count` distinct starts, uniform on `0..bins − length`.
///
/// The top bin is never masked.
pub fn frequency_bands(bins: usize, count: usize, length: usize, stream: &mut Stream) -> Vec<Range<usize>> {
    let starts = stream.distinct(bins.saturating_sub(length), count).into_iter();
    starts.map(|start| start..start + length).collect()
}

/// Puts `mask_vector` into masked frames, then zero into masked bands (zero wins).
///
/// # Shapes
/// - `features`: [frames, bins]; spans beyond the last frame are cut, bands beyond the last bin left out
/// - `mask_vector`: a value per bin
pub fn spec_augment(
    mut features: ArrayViewMut2<'_, f32>,
    time: &[Range<usize>],
    mask_vector: &[f32],
    bands: &[Range<usize>],
) {
    for span in time {
        for mut frame in features.rows_mut().into_iter().skip(span.start).take(span.len()) {
            for (value, masked) in frame.iter_mut().zip(mask_vector) {
                *value = *masked;
            }
        }
    }
    let bins = features.ncols();
    for mut frame in features.rows_mut() {
        for band in bands.iter().filter(|band| band.end <= bins) {
            frame.iter_mut().skip(band.start).take(band.len()).for_each(|value| *value = 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};
    use ndarray::Array2;
    use proptest::prelude::*;
    use std::slice::from_ref;

    fn masked_share(spans: &[Range<usize>], size: usize) -> f64 {
        let mut masked = vec![false; size];
        for i in spans.iter().cloned().flatten() {
            masked[i] = true;
        }
        masked.iter().filter(|&&m| m).count() as f64 / size as f64
    }

    /// Statistics of the published sampler: mean masked share and its standard deviation over 2,000 draws.
    #[test]
    fn time_masks_have_the_published_distribution() {
        let mask = |prob, length| SpanMask { prob, length, min_spans: 2 };
        for (mask, frames, mean, deviation) in [
            (mask(0.5, 20), 200, 0.4069225, 0.0560),
            (mask(0.5, 20), 500, 0.400248, 0.0390),
            (mask(0.5, 20), 1000, 0.3992705, 0.0250),
            (mask(0.5, 20), 1563, 0.3982102, 0.0205),
            (mask(0.3, 4), 200, 0.26984, 0.0159),
            (mask(0.3, 4), 1563, 0.2681241, 0.0058),
            (mask(0.5, 8), 1000, 0.4036575, 0.0160),
            (mask(0.5, 12), 500, 0.401741, 0.0283),
        ] {
            let mut stream = Key::new(5).stream(Purpose::TimeMask);
            let draws = 4000;
            let shares: Vec<f64> =
                (0..draws).map(|_| masked_share(&time_spans(frames, &mask, &mut stream), frames)).collect();
            let found = shares.iter().sum::<f64>() / draws as f64;
            let spread = (shares.iter().map(|s| (s - found).powi(2)).sum::<f64>() / draws as f64).sqrt();
            // Both means are estimates: 4 standard errors of their difference.
            let error = deviation * (1.0 / 2000.0 + 1.0 / f64::from(draws)).sqrt();
            assert!(
                (found - mean).abs() < 4.0 * error,
                "{mask:?} T={frames}: mean {found}, published {mean}"
            );
            assert!(
                (spread / deviation - 1.0).abs() < 0.12,
                "{mask:?} T={frames}: deviation {spread}, published {deviation}"
            );
        }
    }

    #[test]
    fn frequency_masks_have_the_published_distribution() {
        for (prob, mean, first) in [(0.4, 0.3466455, 0.0215), (0.3, 0.2766768, 0.017625)] {
            let mask = SpanMask { prob, length: 20, min_spans: 0 };
            let mut stream = Key::new(6).stream(Purpose::FrequencyMask);
            let (mut share, mut firsts, draws) = (0.0, 0, 8000);
            for _ in 0..draws / 8 {
                let count = frequency_band_count(128, &mask, &mut stream);
                for _ in 0..8 {
                    let bands = frequency_bands(128, count, 20, &mut stream);
                    share += masked_share(&bands, 128);
                    firsts += usize::from(bands.iter().any(|band| band.start == 0));
                    assert!(bands.iter().all(|band| band.end < 128), "the top bin is never masked");
                }
            }
            assert!((share / f64::from(draws) - mean).abs() < 0.008, "{}", share / f64::from(draws));
            assert!((firsts as f64 / f64::from(draws) - first).abs() < 0.008);
        }
    }

    proptest! {
        #[test]
        fn spans_are_inside_and_spare_the_last_frame(valid in 0usize..400, length in 1usize..40, prob in 0.0f64..1.0, seed in 0u64..99) {
            let mask = SpanMask { prob, length, min_spans: 2 };
            let spans = time_spans(valid, &mask, &mut Key::new(seed).stream(Purpose::TimeMask));
            for span in &spans {
                prop_assert!(span.start < span.end && span.end <= valid);
                prop_assert!(valid <= length + spans.len() + 1 || span.end < valid, "{span:?} of {valid}");
            }
        }

        #[test]
        fn only_masked_cells_change(frames in 1usize..30, bins in 1usize..20, seed in 0u64..99) {
            let mut stream = Key::new(seed).stream(Purpose::Test);
            let before = Array2::from_shape_simple_fn((frames, bins), || stream.normal() as f32 + 9.0);
            let mut after = before.clone();
            let (start, end) = (stream.below(frames), frames);
            let (low, high) = (stream.below(bins), bins);
            let (span, band) = (start..end, low..high);
            spec_augment(after.view_mut(), from_ref(&span), &vec![5.0; bins], from_ref(&band));
            for t in 0..frames {
                for f in 0..bins {
                    let expected = match (f >= low, t >= start) {
                        (true, _) => 0.0,
                        (false, true) => 5.0,
                        _ => before[[t, f]],
                    };
                    prop_assert_eq!(after[[t, f]], expected);
                }
            }
        }
    }
}
