//! Masks and noise on latents.

use auricle_augment::{SpecAugmentConfig, frequency_band_count, frequency_bands, time_spans};
use auricle_rng::{Key, Purpose};
use burn::tensor::{Tensor, TensorData};

/// The same masks and noise on latents of speech and of text: what marks a row as made of text must not
/// be the absence of perturbation.
pub(crate) fn perturb(
    latents: Tensor<3>,
    lengths: &[usize],
    masks: &SpecAugmentConfig,
    noise: f64,
    key: Key,
) -> Tensor<3> {
    let [batch, frames, width] = latents.dims();
    let device = latents.device();
    let (mut times, mut bands) = (key.stream(Purpose::TimeMask), key.stream(Purpose::FrequencyMask));
    let count = frequency_band_count(width, &masks.frequency, &mut bands);
    let mut keep = vec![1f32; batch * frames];
    let mut channels = vec![1f32; batch * width];
    for (row, &length) in lengths.iter().enumerate() {
        for span in time_spans(length, &masks.time, &mut times) {
            keep[row * frames..][span].fill(0.0);
        }
        for band in frequency_bands(width, count, masks.frequency.length.min(width), &mut bands) {
            channels[row * width..][band].fill(0.0);
        }
    }
    let keep = Tensor::<3>::from_data(TensorData::new(keep, [batch, frames, 1]), &device);
    let channels = Tensor::<3>::from_data(TensorData::new(channels, [batch, 1, width]), &device);
    let mut latents = latents;
    if noise > 0.0 {
        let spread = spread(&latents.clone().detach(), lengths);
        let mut stream = key.stream(Purpose::Noise);
        let values: Vec<f32> =
            (0..batch * frames * width).map(|_| (noise * stream.normal()) as f32).collect();
        let values = Tensor::from_data(TensorData::new(values, [batch, frames, width]), &device);
        latents = latents + values * spread;
    }
    latents * keep * channels
}

/// Standard deviation of every channel over the valid frames, `[1, 1, D]`: padding has none.
fn spread(latents: &Tensor<3>, lengths: &[usize]) -> Tensor<3> {
    let [batch, frames, width] = latents.dims();
    let valid: Vec<f32> = lengths
        .iter()
        .flat_map(|&length| (0..frames).map(move |t| f32::from(u8::from(t < length))))
        .collect();
    let count = valid.iter().sum::<f32>().max(1.0);
    let valid = Tensor::<3>::from_data(TensorData::new(valid, [batch, frames, 1]), &latents.device());
    let mean = |x: Tensor<3>| (x * valid.clone()).sum_dim(0).sum_dim(1) / count;
    let about = latents.clone() - mean(latents.clone());
    let variance: Tensor<3> = mean(about.powf_scalar(2.0));
    variance.sqrt().reshape([1, 1, width])
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_augment::SpanMask;
    use burn::tensor::Device;

    const SHAPE: [usize; 3] = [3, 200, 8];

    fn latents() -> Vec<f32> {
        let mut stream = Key::new(1).stream(Purpose::Test);
        // Channels of different spread.
        (0..SHAPE.iter().product()).map(|i: usize| ((1 + i % 8) as f64 * stream.normal()) as f32).collect()
    }

    fn perturbed(masks: &SpecAugmentConfig, noise: f64, seed: u64) -> Vec<f32> {
        let z = Tensor::<3>::from_data(TensorData::new(latents(), SHAPE), &Device::flex());
        let z = perturb(z, &[200, 120, 0], masks, noise, Key::new(seed));
        z.into_data().try_into_vec::<f32>().unwrap()
    }

    fn masks(time: f64, frequency: f64) -> SpecAugmentConfig {
        SpecAugmentConfig {
            time: SpanMask { prob: time, length: 10, min_spans: 0 },
            frequency: SpanMask { prob: frequency, length: 2, min_spans: 0 },
        }
    }

    #[test]
    fn masks_hide_whole_frames_of_what_was_said_and_whole_channels() {
        let (before, after) = (latents(), perturbed(&masks(0.3, 0.3), 0.0, 5));
        assert!(before.iter().zip(&after).all(|(b, a)| a == b || *a == 0.0));
        let hidden =
            |row: usize, frame: usize, channel: usize| after[(row * 200 + frame) * 8 + channel] == 0.0;
        for row in 0..2 {
            let channels: Vec<usize> = (0..8).filter(|&c| (0..200).all(|t| hidden(row, t, c))).collect();
            let frames: Vec<usize> = (0..200).filter(|&t| (0..8).all(|c| hidden(row, t, c))).collect();
            assert!(!frames.is_empty() && frames.len() < 200, "{frames:?}");
            assert!(!channels.is_empty() && channels.len() < 8, "{channels:?}");
            let all = (0..200).flat_map(|t| (0..8).map(move |c| (t, c)));
            let alone =
                all.filter(|&(t, c)| hidden(row, t, c) && !frames.contains(&t) && !channels.contains(&c));
            assert_eq!(alone.count(), 0);
        }
        // Nothing beyond the end of a row is a mask of time.
        assert!((120..200).all(|t| (0..8).any(|c| !hidden(1, t, c))));
        assert!((0..200).all(|t| (0..8).any(|c| !hidden(2, t, c))));
        assert_eq!(after, perturbed(&masks(0.3, 0.3), 0.0, 5));
        assert_ne!(after, perturbed(&masks(0.3, 0.3), 0.0, 6));
    }

    #[test]
    fn padding_does_not_change_the_noise() {
        let narrow = Tensor::<3>::from_data(TensorData::new(latents(), SHAPE), &Device::flex());
        let padding = Tensor::full([3, 300, 8], 50.0, &Device::flex());
        let wide = Tensor::cat(vec![narrow.clone(), padding], 1);
        let of = |z: &Tensor<3>| spread(z, &[200, 120, 10]).into_data().try_into_vec::<f32>().unwrap();
        for (narrow, wide) in of(&narrow).iter().zip(of(&wide)) {
            assert!((narrow - wide).abs() < 1e-4 * narrow, "{narrow} {wide}");
        }
    }

    #[test]
    fn noise_is_a_share_of_every_channels_spread() {
        let (before, after) = (latents(), perturbed(&masks(0.0, 0.0), 0.5, 5));
        for channel in 0..8 {
            let of = |values: &mut dyn Iterator<Item = f64>| {
                let values: Vec<f64> = values.collect();
                (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt()
            };
            let own = |i: &usize| i % 8 == channel;
            let spread = of(&mut (0..before.len()).filter(own).map(|i| f64::from(before[i])));
            let noise = of(&mut (0..before.len()).filter(own).map(|i| f64::from(after[i] - before[i])));
            assert!((noise / spread - 0.5).abs() < 0.08, "channel {channel}: {noise} of {spread}");
        }
    }
}
