//! Parity with the published SPIRAL program: noise mixing, checkpoint import, parameter counts.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_augment::mix_at_snr;
use auricle_nn::params::NamedTensors;
use auricle_nn::pytorch::read_state_dict;
use auricle_nn::{Initializer, params};
use auricle_rng::{Key, Purpose};
use auricle_spiral::import::from_published;
use auricle_spiral::{SpiralConfig, Student};
use auricle_tests::published::{self, Module, write_checkpoint};
use auricle_tests::{Golden, golden_dir};
use burn::tensor::TensorData;
use std::collections::BTreeMap;
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

/// The narrow model of the golden files by the published table's rows.
const NARROW: [Module; 7] = [
    Module::Conv(128, 48, 5),
    Module::Conv(48, 64, 5),
    Module::Conv(64, 64, 1),
    Module::Transformer(2, 64, 128),
    Module::Conv(64, 160, 5),
    Module::Conv(160, 80, 1),
    Module::Transformer(3, 80, 160),
];

/// A checkpoint as the published program's trainer writes it gives all its weights, bit for bit, and does nothing else.
#[test]
fn checkpoints_of_the_published_program_are_read_to_the_last_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let (path, witness) = (folder.path().join("narrow.ckpt"), folder.path().join("witness"));
    let written = Golden::read(&golden_dir().join("small_state_dict.safetensors")).tensors("");
    write_checkpoint(&path, &written, &witness);
    let found = read_state_dict(&path).unwrap();
    assert_eq!(found.len(), 239, "all but two counters");
    for (name, tensor) in &found {
        assert_eq!(tensor.shape, written[name].shape().to_vec(), "{name}");
        assert_eq!(tensor.data, written[name].try_to_vec::<f32>().unwrap(), "{name}");
    }
    assert!(!witness.exists(), "what the file asked for was done");
    // What that trainer wrote itself, where the golden directory has it.
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

type Shapes = BTreeMap<String, Vec<usize>>;

/// Where the importer puts each tensor of a checkpoint, one by one: student, teacher, and what is left out.
fn imported(published: &Shapes, config: &SpiralConfig) -> (Shapes, Shapes, Vec<String>) {
    let (mut student, mut teacher, mut ignored) = (Shapes::new(), Shapes::new(), Vec::new());
    for (name, shape) in published {
        let zeros = TensorData::zeros::<f32, _>(shape.clone());
        let mut one = from_published(NamedTensors::from([(name.clone(), zeros)]), &config.encoder);
        assert!(one.head.is_empty());
        let shapes = |tensors: NamedTensors| tensors.into_iter().map(|(n, d)| (n, d.shape().to_vec()));
        student.extend(shapes(one.student));
        teacher.extend(shapes(one.teacher));
        student.extend(one.mask_vector.map(|data| ("mask_vector".into(), data.shape().to_vec())));
        ignored.append(&mut one.ignored);
    }
    (student, teacher, ignored)
}

/// Every tensor of a published pre-training checkpoint has its place in the model, and every place its tensor.
#[test]
fn all_tensors_of_base_are_imported_by_name_and_shape() {
    // The table that is used for Base describes the golden model, too.
    let narrow = Golden::read(&golden_dir().join("small_state_dict.safetensors")).tensors("");
    let narrow: Shapes = narrow.into_iter().map(|(n, d)| (n, d.shape().to_vec())).collect();
    let mut described = published::shapes(128, &NARROW, 32);
    described.retain(|name, _| !name.ends_with("num_batches_tracked"));
    assert_eq!(narrow, described);

    let base = [
        Module::Conv(128, 384, 5),
        Module::Conv(384, 512, 5),
        Module::Conv(512, 512, 1),
        Module::Transformer(2, 512, 2048),
        Module::Conv(512, 1536, 5),
        Module::Conv(1536, 768, 1),
        Module::Transformer(10, 768, 3072),
    ];
    let published = published::shapes(128, &base, 256);
    assert_eq!(published.len(), 465);
    if let Ok(text) = std::fs::read_to_string(golden_dir().join("shapes/base_shapes.json")) {
        let listed: serde_json::Value = serde_json::from_str(&text).unwrap();
        let listed = listed["state_dict"].as_object().unwrap().iter();
        let shape = |about: &serde_json::Value| serde_json::from_value(about[0].clone()).unwrap();
        assert_eq!(published, listed.map(|(name, about)| (name.clone(), shape(about))).collect::<Shapes>());
    }
    let config = spiral_config("spiral_base");
    let (student, teacher, ignored) = imported(&published, &config);
    let device = auricle_tensor::device("cpu").unwrap();
    let mut stream = Key::new(0).stream(Purpose::Init);
    let model = Student::new(&config, &mut Initializer::new(&mut stream, &device));
    let shapes = |tensors: NamedTensors| tensors.into_iter().map(|(n, d)| (n, d.shape().to_vec()));
    assert_eq!(teacher, shapes(params::collect(&model.trunk)).collect::<Shapes>());
    let mask = ("mask_vector".to_string(), vec![128]);
    assert_eq!(student, shapes(params::collect(&model)).chain([mask]).collect::<Shapes>());
    let constants = [
        "st2vec_encoder.predictor.conv_layers.0.norm.num_batches_tracked",
        "st2vec_encoder.predictor.conv_layers.1.norm.num_batches_tracked",
        "st2vec_encoder.wav2spec.featurizer.fb",
        "st2vec_encoder.wav2spec.featurizer.window",
    ];
    assert_eq!(ignored, constants);
}

/// The `[model]` table of a recipe for LibriSpeech.
fn spiral_config(recipe: &str) -> SpiralConfig {
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes/librispeech");
    let table = auricle_train::recipe::load(&recipes.join(format!("{recipe}.toml")), &[]).unwrap();
    let config: SpiralConfig = table["model"].clone().try_into().unwrap();
    config.validate().unwrap();
    config
}

/// The recipes' Base and Large have as many trained values as the published program counts
/// (SPIRAL §2).
#[test]
fn base_and_large_have_the_published_numbers_of_parameters() {
    let device = auricle_tensor::device("cpu").unwrap();
    for (recipe, encoder, trained) in
        [("spiral_base", 90_617_216, 91_536_256), ("spiral_large", 283_869_056, 287_280_000)]
    {
        let config = spiral_config(recipe);
        let mut stream = Key::new(0).stream(Purpose::Init);
        let student = Student::new(&config, &mut Initializer::new(&mut stream, &device));
        assert_eq!(params::count(&student.trunk.encoder), encoder, "{recipe}");
        assert_eq!(params::count(&student), trained, "{recipe}");
    }
}
