//! Rounds of self-training through the program: labels, weights, what is kept, what a stop leaves.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_data::Manifest;
use auricle_tests::program::{auricle, ctc_recipe, small_corpus, workspace};
use serde_json::Value;
use std::path::Path;

/// A model that has hardly learnt anything still writes letters, and every round can begin.
const OWN: [&str; 6] = [
    "--set",
    "train.self_training.unlabelled=['train.jsonl']",
    "--set",
    "train.self_training.filter=false",
    "--set",
    "optimizer.lr=1e-7",
];

fn train(folder: &Path, more: &[&str]) -> Vec<Value> {
    let all = [&["train", "ctc.toml", "--run", "run", "--quiet"], &OWN[..], more].concat();
    auricle(folder, &all).succeeded();
    records(&folder.join("run/self_training.jsonl"))
}

fn records(path: &Path) -> Vec<Value> {
    let lines = std::fs::read_to_string(path).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn rounds_learn_from_their_own_labels_and_go_on_where_they_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small_corpus(folder);
    std::fs::write(folder.join("ctc.toml"), ctc_recipe(2)).unwrap();
    let rounds = ["--set", "train.self_training.rounds=1", "--set", "train.self_training.copies=1"];
    let history = train(folder, &rounds);
    assert_eq!(history[0]["round"], 0);
    assert_eq!(history[0]["labels"], 0);
    let run = folder.join("run");
    let labels = Manifest::read(&run.join("round-1.jsonl")).unwrap();
    assert_eq!(history[1]["labels"].as_u64().unwrap() as usize, labels.len());
    assert!(labels.iter().all(|u| u.id.starts_with("self-") && !u.text.as_deref().unwrap().is_empty()));

    // The best round's weights are the run's, and the truth of the labelled is never touched.
    let best = usize::from(history[1]["validation"].as_f64() < history[0]["validation"].as_f64());
    let weights = |path: &str| std::fs::read(run.join(path)).unwrap();
    assert_eq!(weights("model.safetensors"), weights(&format!("round-{best}/model.safetensors")));
    let resolved = std::fs::read_to_string(run.join("round-1/recipe.resolved.toml")).unwrap();
    assert!(resolved.contains("train.jsonl") && resolved.contains("round-1.jsonl"), "{resolved}");
    assert!(
        !resolved.contains("init_head"),
        "the same vocabulary: the head comes along by itself: {resolved}"
    );

    // A second start needs --resume; it finds everything done and gives the same.
    let again = [&["train", "ctc.toml", "--run", "run", "--quiet"], &OWN[..], &rounds[..]].concat();
    auricle(folder, &again).failed_with(&["--resume"]);
    let first = weights("model.safetensors");
    std::fs::remove_file(run.join("model.safetensors")).unwrap();
    assert_eq!(train(folder, &[&rounds[..], &["--resume"]].concat()), history);
    assert_eq!(first, weights("model.safetensors"));
}

/// The label is the answer that most others are near, and says only words of the language model.
#[test]
fn labels_are_refined() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small_corpus(folder);
    std::fs::write(folder.join("ctc.toml"), ctc_recipe(2)).unwrap();
    std::fs::write(folder.join("text.txt"), "a e i o u\nthe a\n").unwrap();
    auricle(folder, &["lm", "train", "text.txt", "--out", "words.arpa"]).succeeded();
    let rounds = ["--set", "train.self_training.rounds=1", "--set", "train.self_training.copies=2"];
    let refined = ["train.self_training.refine=\"consensus\"", "train.self_training.lm=\"words.arpa\""];
    let refined: Vec<&str> = refined.iter().flat_map(|set| ["--set", set]).collect();
    let history = train(folder, &[&rounds[..], &refined].concat());
    let labels = |name: &str| -> Vec<String> {
        let labels = Manifest::read(&folder.join(name).join("round-1.jsonl")).unwrap();
        labels.into_iter().map(|u| u.text.unwrap()).collect()
    };
    let kept = history[1]["labels"].as_u64().unwrap();
    let spoken = labels("run");
    assert!(kept > 0 && kept == spoken.len() as u64, "{history:?}");
    let known = |word: &str| ["a", "e", "i", "o", "u", "the"].contains(&word);
    assert!(spoken.iter().all(|text| text.split(' ').all(known)), "{spoken:?}");

    // The consensus is not always the first answer.
    let of = |refine: &str, run: &str| {
        let refine = format!("train.self_training.refine=\"{refine}\"");
        let own = ["train", "ctc.toml", "--run", run, "--quiet", "--set", &refine];
        auricle(folder, &[&own[..], &OWN[..], &rounds[..]].concat()).succeeded();
        labels(run)
    };
    let (first, consensus) = (of("none", "first"), of("consensus", "consensus"));
    assert!(first.len() <= consensus.len() && first != consensus, "{first:?}");
}

/// Models with an attention decoder label, too; what guards the rounds is the score of the weights that are kept.
#[test]
fn an_attention_model_trains_itself() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small_corpus(folder);
    std::fs::write(folder.join("ctc.toml"), ctc_recipe(2)).unwrap();
    auricle(folder, &["train", "ctc.toml", "--run", "base", "--quiet"]).succeeded();
    let recipe = workspace().join("recipes/mini_librispeech/attention_speech.toml");
    let sets = [
        "data.train=['train.jsonl']",
        "data.validation=['dev.jsonl']",
        "model.base='base'",
        "model.decoder={layers=1,heads=2,feed_forward=16,triggered=true}",
        "batch.batch_secs=8",
        "train.steps=2",
        "train.validate_every=1",
        "train.self_training.rounds=1",
        "train.self_training.copies=1",
    ];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).chain(OWN).collect();
    let train = ["train", recipe.to_str().unwrap(), "--run", "run", "--quiet"];
    auricle(folder, &[&train[..], &sets[..]].concat()).succeeded();
    let history = records(&folder.join("run/self_training.jsonl"));
    assert_eq!(history.len(), 2, "{history:?}");
    for (round, told) in history.iter().enumerate() {
        let log = records(&folder.join(format!("run/round-{round}/log.jsonl")));
        let scores: Vec<f64> = log.iter().filter_map(|line| line["validation/wer"].as_f64()).collect();
        assert!(scores.len() >= 2, "{log:?}");
        assert_eq!(told["validation"].as_f64(), scores.last().copied(), "the last weights are kept");
    }
}

#[test]
fn what_cannot_be_trained_by_itself_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small_corpus(folder);
    std::fs::write(folder.join("ctc.toml"), ctc_recipe(1)).unwrap();
    let run = |set: &str| {
        let own = ["train", "ctc.toml", "--run", "x", "--quiet", "--set"];
        auricle(folder, &[&own[..], &[set, "--set", OWN[1]]].concat())
    };
    run("data.validation=[]").failed_with(&["self_training needs data.validation"]);
    run("train.self_training.shares=[2.0]").failed_with(&["shares", "0..1"]);
    run("train.self_training.lm='nothing.arpa'").failed_with(&["nothing.arpa"]);
    assert!(!folder.join("x").exists(), "refused before anything is trained");
    let spiral = workspace().join("recipes/quickstart/spiral_pretrain.toml");
    let sets = ["data.train=['train.jsonl']", "data.validation=['dev.jsonl']", OWN[1]];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    auricle(folder, &[&["train", spiral.to_str().unwrap(), "--run", "x", "--quiet"], &sets[..]].concat())
        .failed_with(&["`spiral` give no labels"]);
}
