//! Detectors on made-up and, where it exists, real speech.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

mod common;

use auricle_audio::{EarshotVad, EnergyVad, EnergyVadConfig, Limits, SegmentConfig, Vad, read_at, segments};
use auricle_rng::{Key, Purpose};
use common::optional_folder;

/// 1 s of faint noise, 1 s of a loud buzz, 1 s of faint noise.
fn buzz() -> Vec<f32> {
    let mut stream = Key::new(9).stream(Purpose::Test);
    (0..48_000)
        .map(|n| {
            let noise = stream.normal() as f32 * 1e-3;
            if (16_000..32_000).contains(&n) { noise + 0.3 * ((n % 133) as f32 / 66.5 - 1.0) } else { noise }
        })
        .collect()
}

#[test]
fn energy_finds_the_loud_second() {
    let mut vad = EnergyVad::new(EnergyVadConfig::default()).unwrap();
    let config = SegmentConfig { pad_secs: 0.0, ..SegmentConfig::default() };
    let found = segments(&buzz(), &mut vad, &config).unwrap();
    let [segment] = found[..] else { panic!("{found:?}") };
    assert!(segment.start_sample.abs_diff(16_000) <= 320, "{segment:?}");
    assert!(segment.end_sample.abs_diff(32_000) <= 1_600, "{segment:?}");
}

#[test]
fn detectors_are_causal_resettable_and_bounded() {
    let detectors: [Box<dyn Vad>; 2] =
        [Box::new(EnergyVad::new(EnergyVadConfig::default()).unwrap()), Box::new(EarshotVad::new())];
    for mut vad in detectors {
        let x = buzz();
        let frame_samples = vad.frame_samples();
        let mut run = || -> Vec<f32> {
            vad.reset();
            // Twice full scale: must be clipped, not refused.
            x.chunks_exact(frame_samples)
                .map(|f| vad.speech_probability(&f.iter().map(|v| v * 7.0).collect::<Vec<_>>()))
                .collect()
        };
        let (first, second) = (run(), run());
        assert_eq!(first, second);
        assert!(first.iter().all(|p| (0.0..=1.0).contains(p)));
        assert_eq!(vad.speech_probability(&x[..3]), 0.0);
        assert_eq!(vad.sample_rate(), 16_000);
    }
}

#[test]
fn real_speech_is_found_and_silence_is_not() {
    let config = SegmentConfig::default();
    let mut energy = EnergyVad::new(EnergyVadConfig::default()).unwrap();
    let mut earshot = EarshotVad::new();
    assert_eq!(segments(&vec![0.0; 64_000], &mut energy, &config).unwrap(), []);
    assert_eq!(segments(&vec![0.0; 64_000], &mut earshot, &config).unwrap(), []);

    let Some(data) = optional_folder("AURICLE_DATA", "data") else {
        return;
    };
    let reader = data.join("LibriSpeech/dev-clean-5");
    let mut checked = 0;
    for speaker in std::fs::read_dir(reader).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()) {
        for chapter in std::fs::read_dir(speaker).unwrap().map(|e| e.unwrap().path()) {
            for path in std::fs::read_dir(chapter).unwrap().map(|e| e.unwrap().path()).take(4) {
                if path.extension().is_none_or(|e| e != "ogg") {
                    continue;
                }
                let mut samples = read_at(&path, 16_000, &Limits::default()).unwrap().samples;
                let speech_end = samples.len();
                samples.extend(std::iter::repeat_n(0.0, 32_000));
                for vad in [&mut energy as &mut dyn Vad, &mut earshot] {
                    let found = segments(&samples, vad, &config).unwrap();
                    let total: usize = found.iter().map(|s| s.end_sample - s.start_sample).sum();
                    // Read speech is mostly speech, and the appended silence is none.
                    assert!(total * 2 > speech_end, "{}: {total} of {speech_end}", path.display());
                    assert!(found.last().unwrap().end_sample < speech_end + 8_000);
                }
                checked += 1;
            }
        }
    }
    assert!(checked > 0);
}
