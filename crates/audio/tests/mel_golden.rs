//! The SPIRAL front end against the official program's numbers.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

mod common;

use auricle_audio::{FeatureNorm, MelConfig, MelFrontEnd};
use common::{Golden, fixture, max_difference, optional_folder};

const TOLERANCE: f32 = 1e-4;

#[test]
fn equals_the_published_program_on_the_committed_row() {
    let golden = Golden::open(&fixture("golden/frontend_small.safetensors"));
    let (_, wav) = golden.f32("wav");
    let row_samples = golden.i64("row_samples")[0] as usize;
    let step = golden.i64("frame_step")[0] as usize;
    for (name, norm) in [("mel", FeatureNorm::Utterance), ("logmel_unnormalised", FeatureNorm::None)] {
        let front = MelFrontEnd::new(MelConfig { norm, ..MelConfig::default() }).unwrap();
        let features = front.compute(&wav, row_samples, None).unwrap();
        let (shape, expected) = golden.f32(name);
        assert_eq!(features.nrows().div_ceil(step), shape[0]);
        let every_fifth: Vec<f32> = features.rows().into_iter().step_by(step).flatten().copied().collect();
        let difference = max_difference(&every_fifth, &expected);
        assert!(difference < TOLERANCE, "{name}: {difference:e}");
    }
}

#[test]
fn equals_the_published_program_on_the_whole_golden_file() {
    let Some(folder) = optional_folder("AURICLE_GOLDEN", "golden") else {
        return;
    };
    let path = folder.join("frontend.safetensors");
    if !path.exists() {
        println!("skipped: no frontend.safetensors in {}", folder.display());
        return;
    }
    let golden = Golden::open(&path);
    let (wav_shape, wav) = golden.f32("wav");
    let (shape, expected) = golden.f32("mel");
    let (bins, padded_frames) = (shape[1], shape[2]);
    let front = MelFrontEnd::new(MelConfig::default()).unwrap();
    for (row, (&samples, &frames)) in golden.i64("wav_len").iter().zip(&golden.i64("mel_len")).enumerate() {
        let wav = &wav[row * wav_shape[1]..][..samples as usize];
        let features = front.compute(wav, wav_shape[1], None).unwrap();
        assert_eq!(features.dim(), (frames as usize, bins));
        let expected: Vec<f32> = (0..features.nrows())
            .flat_map(|t| (0..bins).map(move |f| (f, t)))
            .map(|(f, t)| expected[(row * bins + f) * padded_frames + t])
            .collect();
        let difference = max_difference(features.as_slice().unwrap(), &expected);
        assert!(difference < TOLERANCE, "row {row}: {difference:e}");
        println!("row {row}: largest difference {difference:e}");
    }
}
