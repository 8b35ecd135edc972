//! Parity with the published SPIRAL program: noise mixing, checkpoint import, parameter counts.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_augment::mix_at_snr;
use auricle_nn::pytorch::read_state_dict;
use auricle_nn::{Initializer, params};
use auricle_rng::{Key, Purpose};
use auricle_spiral::{SpiralConfig, Student};
use auricle_tests::{Golden, golden_dir};
use std::path::{Path, PathBuf};

fn files(prefix: &str, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(golden_dir()).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut files: Vec<PathBuf> =
        entries.filter(|path| name(path).starts_with(prefix) && name(path).ends_with(extension)).collect();
    files.sort();
    files
}

#[test]
fn noise_is_mixed_as_published() {
    let files = files("noise_mix", ".safetensors");
    assert!(!files.is_empty(), "no noise_mix file in {}", golden_dir().display());
    for path in files {
        let golden = Golden::read(&path);
        let values = |name: &str| golden.floats(name).0.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let clean = values("clean");
        let pieces: Vec<Vec<f32>> = (1..)
            .map(|i| format!("noise_{i}"))
            .map_while(|name| golden.get(&name).map(|_| values(&name)))
            .collect();
        assert!(pieces.len() > 1, "pieces end to end are the point");
        let pieces: Vec<&[f32]> = pieces.iter().map(Vec::as_slice).collect();
        let mixed = mix_at_snr(&clean, &pieces, golden.floats("snr_db").0[0]);
        let worst = mixed.iter().zip(values("noisy")).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(worst < 1e-6, "{}: off by {worst}", path.display());
    }
}

/// A checkpoint that the published program's own trainer wrote, where the golden directory has one.
#[test]
fn checkpoints_of_the_published_program_are_read_to_the_last_tensor() {
    for path in files("small_pretrain", ".ckpt") {
        let text = std::fs::read_to_string(path.with_extension("json")).unwrap();
        let described: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = described["tensors"].as_object().unwrap();
        let found = read_state_dict(&path).unwrap();
        assert_eq!(found.len(), expected.len());
        for (name, about) in expected {
            let tensor = &found[name];
            let shape: Vec<usize> = serde_json::from_value(about[0].clone()).unwrap();
            assert_eq!(tensor.shape, shape, "{name}");
            let sum: f64 = tensor.data.iter().map(|&v| f64::from(v)).sum();
            let wanted = about[2].as_f64().unwrap();
            assert!((sum - wanted).abs() <= 1e-9 * wanted.abs().max(1.0), "{name}: {sum} is not {wanted}");
        }
    }
}

/// The recipes' Base and Large have as many trained values as the published program counts
/// (SPIRAL §2).
#[test]
fn base_and_large_have_the_published_numbers_of_parameters() {
    let device = auricle_tensor::device("cpu").unwrap();
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes/librispeech");
    for (recipe, encoder, trained) in
        [("spiral_base", 90_617_216, 91_536_256), ("spiral_large", 283_869_056, 287_280_000)]
    {
        let table = auricle_train::recipe::load(&recipes.join(format!("{recipe}.toml")), &[]).unwrap();
        let config: SpiralConfig = table["model"].clone().try_into().unwrap();
        config.validate().unwrap();
        let mut stream = Key::new(0).stream(Purpose::Init);
        let student = Student::new(&config, &mut Initializer::new(&mut stream, &device));
        assert_eq!(params::count(&student.trunk.encoder), encoder, "{recipe}");
        assert_eq!(params::count(&student), trained, "{recipe}");
    }
}
