//! What a recipe promises, through the program: pre-trained weights, early stopping, dry runs.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_data::Manifest;
use auricle_nn::params::NamedTensors;
use auricle_nn::weights;
use auricle_tests::program::{
    ENCODER, auricle, command, ctc_recipe, finish, logged_step, small_corpus, workspace,
};
use std::path::Path;

/// A SPIRAL recipe of two steps on `train.jsonl` and `dev.jsonl`, without its encoder.
const SPIRAL: &str = r#"
task = "spiral"
data = { train = ["train.jsonl"], validation = ["dev.jsonl"] }
batch = { batch_secs = 8.0, buckets = 3 }
optimizer = { lr = 1e-3 }
schedule = { kind = "constant" }
train = { steps = 2, log_every = 1, checkpoint_every = 4, validate_every = 2 }
[model]
projection = 16
negatives = 10
"#;

/// The exported weights of a run.
fn weights_of(run: &Path) -> NamedTensors {
    weights::from_bytes(&std::fs::read(run.join("model.safetensors")).unwrap()).unwrap().0
}

/// The tensors whose names start with a prefix.
fn part(tensors: &NamedTensors, prefix: &str) -> NamedTensors {
    tensors.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(n, d)| (n.clone(), d.clone())).collect()
}

#[test]
fn a_frozen_encoder_stays_what_pre_training_made_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small_corpus(folder);
    std::fs::write(folder.join("spiral.toml"), format!("{SPIRAL}{ENCODER}")).unwrap();
    std::fs::write(folder.join("ctc.toml"), ctc_recipe(2)).unwrap();
    auricle(folder, &["train", "spiral.toml", "--run", "spiral", "--quiet"]).succeeded();
    let fine_tuned = |run: &str, init: &str, frozen: &str| {
        let (init, frozen) =
            (format!("model.init_from={init}"), format!("model.freeze_encoder_steps={frozen}"));
        let args = ["train", "ctc.toml", "--run", run, "--quiet", "--set", &init, "--set", &frozen];
        auricle(folder, &args).succeeded();
        weights_of(&folder.join(run))
    };
    let pretrained = weights_of(&folder.join("spiral"));
    let frozen = fine_tuned("frozen", "spiral", "2");
    let encoder = part(&pretrained, "encoder.");
    assert_eq!(encoder.len() + 1, pretrained.len(), "an encoder and a mask vector");
    assert_eq!(part(&frozen, "encoder."), encoder);
    assert_eq!(frozen["mask_vector"], pretrained["mask_vector"]);
    // From a recogniser, too; and after its frozen steps an encoder learns.
    let thawed = fine_tuned("thawed", "frozen", "1");
    assert_ne!(part(&thawed, "encoder."), encoder);
}

#[test]
fn the_streaming_encoder_of_spiral_is_what_detection_starts_from() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small_corpus(folder);
    let recipe = workspace().join("recipes/quickstart/mdd.toml");
    let table: toml::Table = std::fs::read_to_string(&recipe).unwrap().parse().unwrap();
    let mut spiral: toml::Table = SPIRAL.parse().unwrap();
    for name in ["front_end", "encoder"] {
        spiral["model"].as_table_mut().unwrap().insert(name.into(), table["model"][name].clone());
    }
    std::fs::write(folder.join("spiral.toml"), toml::to_string(&spiral).unwrap()).unwrap();
    auricle(folder, &["train", "spiral.toml", "--run", "spiral", "--quiet"]).succeeded();
    // A step that moves nothing.
    let detection = |run: &str, more: &[&str]| {
        let recipe = recipe.to_str().unwrap();
        let mut args = vec!["train", recipe, "--run", run, "--quiet"];
        let sets =
            ["data.train=['train.jsonl']", "data.validation=[]", "batch.batch_secs=10", "train.steps=1"];
        for set in sets.iter().chain(&["optimizer.lr=0.0"]).chain(more) {
            args.extend(["--set", set]);
        }
        auricle(folder, &args)
    };
    let pretrained = part(&weights_of(&folder.join("spiral")), "encoder.");
    detection("from_spiral", &["model.init_from=spiral"]).succeeded();
    let model = weights_of(&folder.join("from_spiral"));
    assert_eq!(part(&model, "encoder."), pretrained);
    // From a model of its own kind, everything.
    detection("from_itself", &["model.init_from=from_spiral", "seed=2"]).succeeded();
    assert_eq!(weights_of(&folder.join("from_itself")), model);
    detection("random", &["seed=2"]).succeeded();
    assert_ne!(part(&weights_of(&folder.join("random")), "coca."), part(&model, "coca."));
    // What it lacks is not made up.
    let narrower = ["model.init_from=from_spiral", "model.decoder_hidden=48"];
    detection("narrower", &narrower).failed_with(&["model.init_from", "decoder", "[96", "48"]);
}

#[test]
fn patience_ends_a_run_that_does_not_improve() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small_corpus(folder);
    let recipe = ctc_recipe(9).replace("validate_every = 9", "validate_every = 1");
    // Nothing is learnt, so only the first validation is an improvement.
    std::fs::write(folder.join("ctc.toml"), recipe.replace("lr = 1e-3", "lr = 0.0")).unwrap();
    let train = |patience: &str| {
        let patience = format!("train.patience={patience}");
        auricle(folder, &["train", "ctc.toml", "--run", "run", "--quiet", "--resume", "--set", &patience])
            .succeeded()
            .stdout
    };
    let run = folder.join("run");
    assert!(train("1").contains("model.safetensors"));
    assert_eq!(logged_step(&run), 2);
    // More patience goes on where less had stopped.
    train("3");
    assert_eq!(logged_step(&run), 4);
}

/// The values of a dry run's lines by what stands before them.
fn line<'a>(said: &'a str, name: &str) -> &'a str {
    let found = said.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    found.unwrap_or_else(|| panic!("no `{name}` in {said}"))
}

#[test]
fn a_dry_run_says_what_would_happen_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small_corpus(folder);
    let mut utterances = Manifest::read(&folder.join("train.jsonl")).unwrap();
    let hopeless = utterances[3].id.clone();
    utterances[3].text = Some("so many words that no encoder has frames for them ".repeat(40));
    Manifest::write(&folder.join("train.jsonl"), &utterances).unwrap();
    std::fs::write(folder.join("ctc.toml"), ctc_recipe(7)).unwrap();
    let scratch = folder.join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let names = |folder: &Path| {
        let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names(folder);
    let dry = |more: &[&str]| {
        let mut program = command(folder);
        program.args(["train", "ctc.toml", "--dry-run"]).args(more).env("TMPDIR", &scratch);
        finish(&mut program).succeeded().stdout
    };
    let said = dry(&[]);
    assert_eq!(line(&said, "task"), "ctc");
    // The one that cannot align is named below and left out.
    let used = utterances.iter().filter(|u| u.id != hopeless);
    let hours: f64 = used.map(|u| u.duration_secs).sum::<f64>() / 3600.0;
    assert_eq!(line(&said, "training utterances"), format!("19 ({hours:.2} h)"));
    assert!(line(&said, "trained parameters").parse::<u64>().unwrap() > 1_000);
    let steps: u64 = line(&said, "steps per epoch").parse().unwrap();
    assert!(steps > 1);
    assert_eq!(line(&said, "epochs"), format!("{:.1}", 7.0 / steps as f64));
    let waste: f64 = line(&said, "padding waste").strip_suffix(" %").unwrap().parse().unwrap();
    assert!((0.0..100.0).contains(&waste), "{said}");
    assert_eq!(line(&said, "cannot align (CTC)"), "1");
    assert!(line(&said, &format!("  {hopeless}:")).contains("output frames, needs"), "{said}");
    assert!(line(&said, "longest batch").starts_with("loss ") && !said.contains("NaN"), "{said}");
    // Twelve seconds of the same.
    let said = dry(&["--set", "data.subset_minutes=0.2"]);
    let (count, _) = line(&said, "training utterances").split_once(' ').unwrap();
    assert!((1..20).contains(&count.parse::<usize>().unwrap()), "{said}");
    assert_eq!(names(folder), before);
    assert_eq!(names(&scratch).len(), 0);
}
