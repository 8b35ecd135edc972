//! Kaldi-compatible features against kaldi-native-fbank (made by `tools/golden/kaldi_fbank.py`).

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

mod common;

use auricle_audio::kaldi::{Fbank, FbankConfig, FrameConfig, MelBankConfig, Mfcc, MfccConfig, WindowKind};
use auricle_audio::{AudioError, Features};
use common::{Golden, fixture, max_difference};

fn golden() -> (Golden, Vec<f32>) {
    let golden = Golden::open(&fixture("golden/kaldi.safetensors"));
    let (_, wav) = golden.f32("wav");
    (golden, wav)
}

fn assert_equal(name: &str, golden: &Golden, features: &Features, tolerance: f32) {
    let (shape, expected) = golden.f32(name);
    assert_eq!(features.shape(), &shape[..], "{name}");
    let difference = max_difference(features.as_slice().unwrap(), &expected);
    println!("{name}: {difference:e}");
    assert!(difference < tolerance, "{name}: {difference:e}");
}

fn mel(num_bins: usize) -> MelBankConfig {
    MelBankConfig { num_bins, ..MelBankConfig::default() }
}

#[test]
fn filter_banks_equal_kaldi() {
    let (golden, wav) = golden();
    let window = |window| FrameConfig { window, ..FrameConfig::default() };
    let base = FbankConfig::default;
    for (name, config) in [
        ("fbank80", base()),
        (
            "fbank80_reflected",
            FbankConfig { frame: FrameConfig { snip_edges: false, ..FrameConfig::default() }, ..base() },
        ),
        (
            "fbank23_hamming_magnitude_energy",
            FbankConfig {
                frame: window(WindowKind::Hamming),
                mel: mel(23),
                use_power: false,
                use_energy: true,
                raw_energy: false,
                ..base()
            },
        ),
        (
            "fbank40_band_htk",
            FbankConfig {
                mel: MelBankConfig { num_bins: 40, low_hz: 100.0, high_hz: -400.0 },
                use_energy: true,
                htk_compat: true,
                ..base()
            },
        ),
        (
            "fbank23_hanning_no_dc",
            FbankConfig {
                frame: FrameConfig {
                    remove_dc_offset: false,
                    pre_emphasis: 0.0,
                    ..window(WindowKind::Hanning)
                },
                mel: mel(23),
                ..base()
            },
        ),
    ] {
        let features = Fbank::new(&config).unwrap().compute(&wav, None).unwrap();
        assert_equal(name, &golden, &features, 2e-3);
    }
}

#[test]
fn linear_filter_outputs_equal_kaldi() {
    let (golden, wav) = golden();
    let config = FbankConfig {
        frame: FrameConfig { window: WindowKind::Blackman, ..FrameConfig::default() },
        mel: mel(23),
        use_log: false,
        ..FbankConfig::default()
    };
    let features = Fbank::new(&config).unwrap().compute(&wav, None).unwrap();
    let (_, expected) = golden.f32("fbank23_linear_blackman");
    let largest = expected.iter().fold(0.0f32, |m, v| m.max(*v));
    assert_equal("fbank23_linear_blackman", &golden, &features, 5e-6 * largest);
}

#[test]
fn cepstra_equal_kaldi() {
    let (golden, wav) = golden();
    let base = MfccConfig::default;
    for (name, config) in [
        ("mfcc13", base()),
        ("mfcc13_c0_htk", MfccConfig { use_energy: false, htk_compat: true, ..base() }),
        ("mfcc13_floor", MfccConfig { energy_floor: 1e7, cepstral_lifter: 0.0, ..base() }),
    ] {
        let features = Mfcc::new(&config).unwrap().compute(&wav, None).unwrap();
        assert_equal(name, &golden, &features, 5e-3);
    }
}

#[test]
fn signals_without_a_frame_and_bad_settings() {
    let fbank = Fbank::new(&FbankConfig::default()).unwrap();
    assert_eq!(fbank.compute(&[0.1; 399], None).unwrap().nrows(), 0);
    assert_eq!(fbank.compute(&[0.1; 400], None).unwrap().nrows(), 1);
    assert!(matches!(
        fbank.compute(&[0.0, f32::NAN], None),
        Err(AudioError::NonFiniteSample { index: 1, .. })
    ));

    let reflected = FrameConfig { snip_edges: false, ..FrameConfig::default() };
    let reflected = Fbank::new(&FbankConfig { frame: reflected, ..FbankConfig::default() }).unwrap();
    assert_eq!(reflected.compute(&[0.1; 80], None).unwrap().nrows(), 1);
    assert_eq!(reflected.compute(&[], None).unwrap().nrows(), 0);

    for frame in [
        FrameConfig { sample_rate: 0, ..FrameConfig::default() },
        FrameConfig { shift_ms: 0.0, ..FrameConfig::default() },
        FrameConfig { length_ms: f64::NAN, ..FrameConfig::default() },
        FrameConfig { length_ms: 1e12, ..FrameConfig::default() },
    ] {
        assert!(Fbank::new(&FbankConfig { frame, ..FbankConfig::default() }).is_err());
    }
    assert!(Mfcc::new(&MfccConfig { num_ceps: 24, ..MfccConfig::default() }).is_err());
    assert!(Fbank::new(&FbankConfig { energy_floor: -1.0, ..FbankConfig::default() }).is_err());
}
