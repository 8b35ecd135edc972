//! Models that come from elsewhere: published checkpoints, and those that are shipped with the program.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_data::Manifest;
use auricle_nn::{params::NamedTensors, weights};
use auricle_tests::program::{auricle, command, corpus, finish, small_corpus, some, workspace};
use auricle_tests::published::{published_name, write_checkpoint};
use auricle_tests::{Golden, golden_dir};
use auricle_text::{cer, normalise};
use burn::tensor::TensorData;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn tensors(path: &Path) -> (NamedTensors, weights::Metadata) {
    weights::from_bytes(&std::fs::read(path).unwrap()).unwrap()
}

/// The configuration of the sample checkpoint in the golden files.
const SAMPLE: &str = r#"
task = "spiral"
data = { train = [] }
schedule = { kind = "constant" }
train = { steps = 1 }
[model]
projection = 32
[model.encoder]
stages = [
  { convs = [
    { channels = 48, kernel = 5, stride = 2, activation = true },
    { channels = 64, kernel = 5, stride = 2, activation = true },
    { channels = 64 },
  ], transformer = { layers = 2, heads = 4, feed_forward = 128 } },
  { convs = [
    { channels = 160, kernel = 5, stride = 2, activation = true },
    { channels = 80 },
  ], transformer = { layers = 3, heads = 5, feed_forward = 160 } },
]
"#;

/// Shape and values with the axes in reverse order: our layouts are the published ones read backwards.
fn reversed(data: &TensorData) -> (Vec<usize>, Vec<f32>) {
    let mut shape = data.shape().to_vec();
    let [a, b, c] = match shape[..] {
        [c] => [1, 1, c],
        [b, c] => [1, b, c],
        [a, b, c] => [a, b, c],
        _ => panic!("{shape:?}"),
    };
    let values = data.try_to_vec::<f32>().unwrap();
    let mut out = Vec::with_capacity(values.len());
    for k in 0..c {
        for j in 0..b {
            out.extend((0..a).map(|i| values[(i * b + j) * c + k]));
        }
    }
    shape.reverse();
    (shape, out)
}

#[test]
fn checkpoints_of_pytorch_are_imported() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("sample.toml"), SAMPLE).unwrap();
    let import = |checkpoint: &Path, out: &str, more: &[&str]| {
        let checkpoint = checkpoint.to_str().unwrap();
        let args = ["model", "import", checkpoint, "--config", "sample.toml", "--out", out];
        auricle(folder, &[&args, more].concat())
    };
    let foreign = workspace().join("crates/nn/tests/data/zip.ckpt");
    import(&foreign, "imported", &[]).failed_with(&["zip.ckpt", "no encoder found"]);
    let bytes = std::fs::read(&foreign).unwrap();
    std::fs::write(folder.join("cut.ckpt"), &bytes[..bytes.len() / 2]).unwrap();
    import(Path::new("cut.ckpt"), "imported", &[]).failed_with(&["cut.ckpt"]);
    assert!(!folder.join("imported").exists());

    let golden = Golden::read(&golden_dir().join("small_state_dict.safetensors"));
    let published = golden.tensors("");
    let (sample, witness) = (folder.join("narrow.ckpt"), folder.join("witness"));
    write_checkpoint(&sample, &published, &witness);
    let said = import(&sample, "imported", &[]).succeeded().stderr;
    let left_out = ["st2vec_encoder.wav2spec.featurizer.fb", "st2vec_encoder.wav2spec.featurizer.window"];
    assert_eq!(said, left_out.map(|name| format!("left out: {name}\n")).concat());
    assert!(!witness.exists(), "what the file asked for was done");
    let (imported, metadata) = tensors(&folder.join("imported/model.safetensors"));
    assert_eq!((metadata["kind"].as_str(), imported.len()), ("spiral", 237));
    let origin = |name: &str| published_name(name, &[3, 2]);
    assert_eq!(imported.keys().map(|name| origin(name)).collect::<BTreeSet<_>>().len(), imported.len());
    for (name, data) in &imported {
        let (shape, values) = reversed(&published[&origin(name)]);
        assert_eq!((data.shape().to_vec(), data.try_to_vec::<f32>().unwrap()), (shape, values), "{name}");
    }
    // The teacher instead of the student: its weights under both names.
    import(&sample, "teacher", &["--teacher"]).succeeded();
    let (teacher, _) = tensors(&folder.join("teacher/model.safetensors"));
    assert_eq!(teacher.len(), imported.len());
    let mut own = 0;
    for (name, data) in &teacher {
        let of_teacher = imported.get(&format!("teacher.{name}"));
        own += usize::from(of_teacher.is_some_and(|of_teacher| of_teacher != &imported[name]));
        assert!(data == of_teacher.unwrap_or(&imported[name]), "{name}");
    }
    assert!(own > 100, "only {own} tensors of the teacher are other than the student's");
    small_corpus(folder);
    for model in ["imported", "teacher"] {
        let out = format!("{model}.safetensors");
        auricle(folder, &["encode", "--model", model, "dev.jsonl", "--out", &out]).succeeded();
    }
    let features = ["imported.safetensors", "teacher.safetensors"].map(|name| tensors(&folder.join(name)).0);
    assert_eq!(features[0].len(), 6);
    assert_ne!(features[0], features[1]);
    let student = published.into_iter().filter(|(name, _)| !name.contains(".target_")).collect();
    write_checkpoint(&sample, &student, &witness);
    import(&sample, "none", &["--teacher"]).failed_with(&["narrow.ckpt", "no teacher", "without --teacher"]);

    // What the published program's own trainer wrote, where the golden directory has it.
    let sample = golden_dir().join("small_pretrain_pl110.ckpt");
    if sample.exists() {
        import(&sample, "sample", &[]).succeeded();
        let described = parse(&std::fs::read_to_string(sample.with_extension("json")).unwrap());
        let (imported, _) = tensors(&folder.join("sample/model.safetensors"));
        assert_eq!(imported.len(), 237);
        for (name, data) in &imported {
            let sum: f64 = data.try_to_vec::<f32>().unwrap().iter().map(|&v| f64::from(v)).sum();
            let expected = described["tensors"][origin(name)][2].as_f64().unwrap();
            assert!((sum - expected).abs() <= 1e-6 * (1.0 + sum.abs()), "{name}: {sum}, not {expected}");
        }
    }
}

/// The models that come with the program say what they are, fit into the repository, and work under their names.
#[test]
fn shipped_models_work_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let shipped = workspace().join("models/pretrained");
    let run = |args: &[&str]| finish(command(folder).args(args).env("AURICLE_MODELS", &shipped)).succeeded();
    let mut networks = BTreeSet::new();
    for entry in std::fs::read_dir(&shipped).unwrap().map(|entry| entry.unwrap().path()) {
        // The crate's own source is no model.
        if !entry.is_dir() || entry.ends_with("src") {
            continue;
        }
        let name = entry.file_name().unwrap().to_str().unwrap();
        let card = std::fs::read_to_string(entry.join("README.md")).unwrap();
        assert!(
            card.starts_with(&format!("# {name}\n")) && card.contains("| Licence of the weights |"),
            "{name}"
        );
        for file in std::fs::read_dir(&entry).unwrap().map(|file| file.unwrap()) {
            assert!(file.metadata().unwrap().len() <= 12_000_000, "{}", file.path().display());
        }
        if entry.join("model.safetensors").exists() {
            let info = parse(&run(&["model", "info", name, "--json"]).stdout);
            for stated in ["licence", "provenance"] {
                let text = info["metadata"][stated].as_str().unwrap_or_default();
                assert!(text.len() > 3, "{name} has no {stated}: {info}");
            }
            networks.insert(name.to_string());
        }
    }
    for expected in ["asr-en-small", "mdd-en-small", "spiral-en-small"] {
        assert!(networks.contains(expected), "{expected} is not in {networks:?}");
    }
    let utterances = some(&corpus().test, 6);
    Manifest::write(&folder.join("test.jsonl"), &utterances).unwrap();
    let decoded = run(&["decode", "--model", "asr-en-small", "test.jsonl", "--json", "--quiet"]).json_lines();
    // Voices that it has never heard: it need not be right, but nearer to what was said than to what was not.
    let errors = |shift: usize| -> f64 {
        let said = utterances.iter().cycle().skip(shift).map(|u| normalise(u.text.as_deref().unwrap()));
        decoded.iter().zip(said).map(|(line, said)| cer(&said, line["text"].as_str().unwrap()).rate()).sum()
    };
    let others: Vec<f64> = (1..utterances.len()).map(errors).collect();
    assert!(others.iter().all(|other| errors(0) < *other), "{} of {others:?}: {decoded:?}", errors(0));
    // What the help of `adapt` shows, with the bank that is shipped.
    std::fs::write(folder.join("corpus.txt"), "Two large lattes, please.\nOne tea for $3.50\n".repeat(6))
        .unwrap();
    let adapt = [
        "adapt",
        "--model",
        "asr-en-small",
        "--text",
        "corpus.txt",
        "--out",
        "adapted",
        "--steps",
        "2",
        "--quiet",
    ];
    run(&adapt);
    run(&["decode", "--model", "adapted", "test.jsonl", "--quiet"]);
    let first = &utterances[0];
    let (audio, text) = (first.audio.to_str().unwrap(), first.text.as_deref().unwrap());
    let scored = &run(&["mdd", "score", "--text", text, audio, "--json"]).json_lines()[0];
    assert_eq!(scored["words"].as_array().unwrap().len(), text.split_whitespace().count());
    run(&["encode", "--model", "spiral-en-small", audio, "--out", "x.safetensors"]);
    let (features, _) = tensors(&folder.join("x.safetensors"));
    assert_eq!(features[&first.id].shape().to_vec()[1], 192);
}
