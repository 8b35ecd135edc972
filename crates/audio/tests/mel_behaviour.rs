//! Invariants of the SPIRAL front end that golden numbers do not cover.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_audio::{AudioError, FeatureNorm, MelConfig, MelFrontEnd, PeakNorm};
use auricle_rng::{Key, Purpose};

fn front(norm: FeatureNorm) -> MelFrontEnd {
    MelFrontEnd::new(MelConfig { norm, ..MelConfig::default() }).unwrap()
}

fn noise(num_samples: usize) -> Vec<f32> {
    let mut stream = Key::new(5).stream(Purpose::Test);
    (0..num_samples).map(|_| stream.normal() as f32 * 0.1).collect()
}

#[test]
fn frame_counts_of_the_specification() {
    let front = front(FeatureNorm::None);
    for (samples, frames) in
        [(16_000, 100), (16_001, 101), (2_400, 15), (160_000, 1_000), (250_000, 1_563), (257, 2)]
    {
        assert_eq!(front.compute(&noise(samples), samples, None).unwrap().nrows(), frames);
    }
}

#[test]
fn zeros_after_the_utterance_are_the_same_as_a_longer_row() {
    // Law 2: what a batch pads must not matter, except for the published reflection at the row's end.
    let front = front(FeatureNorm::Utterance);
    let x = noise(5_000);
    let far = front.compute(&x, 5_000 + 161, None).unwrap();
    assert_eq!(far, front.compute(&x, 50_000, None).unwrap());
    let tight = front.compute(&x, 5_000, None).unwrap();
    assert_ne!(far, tight);
}

#[test]
fn utterance_normalisation_gives_mean_0_and_unbiased_deviation_1() {
    let features = front(FeatureNorm::Utterance).compute(&noise(20_000), 20_000, None).unwrap();
    let frames = features.nrows() as f64;
    for bin in 0..features.ncols() {
        let values = || features.column(bin).into_iter().map(|&v| f64::from(v));
        let mean = values().sum::<f64>() / frames;
        let variance = values().map(|v| (v - mean).powi(2)).sum::<f64>() / (frames - 1.0);
        assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4, "{bin}: {mean} {variance}");
    }
}

#[test]
fn peak_normalisation_removes_the_gain() {
    let front = front(FeatureNorm::None);
    let x = noise(8_000);
    let loud: Vec<f32> = x.iter().map(|v| v * 1_000.0).collect();
    let (a, b) = (front.compute(&x, 8_000, None).unwrap(), front.compute(&loud, 8_000, None).unwrap());
    // Not exactly: 1e-5 is added to the peak.
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-3));
}

#[test]
fn silence_is_the_logarithm_of_the_offset() {
    let features = front(FeatureNorm::None).compute(&[0.0; 1_600], 1_600, None).unwrap();
    let floor = -24.0 * std::f32::consts::LN_2;
    assert!(features.iter().all(|v| (v - floor).abs() < 2e-6));
    let normalised = front(FeatureNorm::Utterance).compute(&[0.0; 1_600], 1_600, None).unwrap();
    assert!(normalised.iter().all(|v| v.abs() < 1e-3));
}

#[test]
fn dither_is_a_function_of_its_key() {
    let front = front(FeatureNorm::None);
    let x = vec![0.0; 4_000];
    let with = |seed| {
        let mut stream = Key::new(seed).stream(Purpose::Dither);
        front.compute(&x, 4_000, Some(&mut stream)).unwrap()
    };
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
    assert_ne!(with(1), front.compute(&x, 4_000, None).unwrap());
}

#[test]
fn unusable_input_is_an_error_that_names_it() {
    let front = front(FeatureNorm::Utterance);
    let mut x = noise(1_000);
    assert!(matches!(front.compute(&x, 999, None), Err(AudioError::TooShort { min_samples: 1_000, .. })));
    assert!(matches!(
        front.compute(&x[..256], 256, None),
        Err(AudioError::TooShort { min_samples: 257, .. })
    ));
    assert!(matches!(
        front.compute(&x[..160], 1_000, None),
        Err(AudioError::TooShort { num_samples: 160, .. })
    ));
    assert!(front.compute(&[], 1_000, None).is_err());
    x[123] = f32::NEG_INFINITY;
    assert!(matches!(front.compute(&x, 1_000, None), Err(AudioError::NonFiniteSample { index: 123, .. })));
}

#[test]
fn invalid_settings_are_errors_that_name_the_field() {
    let base = MelConfig::default;
    for (config, field) in [
        (MelConfig { fft_size: 511, ..base() }, "fft_size"),
        (MelConfig { window_samples: 513, ..base() }, "window_samples"),
        (MelConfig { hop_samples: 0, ..base() }, "hop_samples"),
        (MelConfig { num_bins: 0, ..base() }, "num_bins"),
        (MelConfig { high_hz: 8_001.0, ..base() }, "low_hz, high_hz"),
        (MelConfig { low_hz: f64::NAN, ..base() }, "low_hz, high_hz"),
        (MelConfig { log_offset: 0.0, ..base() }, "log_offset"),
        (MelConfig { pre_emphasis: f32::NAN, ..base() }, "pre_emphasis"),
        (MelConfig { peak: PeakNorm::Fixed(f32::INFINITY), ..base() }, "peak"),
        (MelConfig { norm: FeatureNorm::Fixed { mean: vec![0.0], std: vec![1.0] }, ..base() }, "norm"),
    ] {
        match MelFrontEnd::new(config).err() {
            Some(AudioError::InvalidConfig { field: named, .. }) => assert_eq!(named, field),
            other => panic!("{field}: {other:?}"),
        }
    }
}
