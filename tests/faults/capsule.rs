//! A training that leaves the finite numbers: the batch is kept, and can be run again.

use auricle_tests::program::{auricle, ctc_recipe, small_corpus, tiny_recogniser};
use auricle_train::Checkpoint;
use serde_json::Value;

#[test]
fn a_batch_that_is_not_finite_is_kept_and_can_be_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small_corpus(folder);
    std::fs::write(folder.join("ctc.toml"), ctc_recipe(8)).unwrap();
    // One step of this size and the second has no finite numbers.
    let args =
        ["train", "ctc.toml", "--quiet", "--run", "run", "--set", "optimizer.lr=1e30", "--set", "seed=7"];
    auricle(folder, &args).failed_with(&["step 1", "is not finite", "auricle replay run/capsule-step-1"]);
    assert!(!folder.join("run/model.safetensors").exists(), "weights that are no numbers were exported");

    let capsule = folder.join("run/capsule-step-1");
    let read =
        || serde_json::from_slice::<Value>(&std::fs::read(capsule.join("capsule.json")).unwrap()).unwrap();
    let described = read();
    assert_eq!((&described["step"], &described["seed"]), (&1.into(), &7.into()));
    let hash = described["weights_hash"].as_str().unwrap();
    assert!(hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit()), "{hash}");
    let ids: Vec<&str> =
        described["utterances"].as_array().unwrap().iter().map(|u| u["id"].as_str().unwrap()).collect();
    let known = std::fs::read_to_string(folder.join("train.jsonl")).unwrap();
    assert!(!ids.is_empty() && ids.iter().all(|id| known.contains(&format!("\"{id}\""))), "{ids:?}");

    let replay = || auricle(folder, &["replay", "run/capsule-step-1"]);
    let said = replay().succeeded().stdout;
    assert!(
        said.contains(&format!("step 1 epoch {} batch {}", described["epoch"], described["batch"])),
        "{said}"
    );
    for id in ids {
        assert!(said.contains(&format!("  {id} (")), "{id}: {said}");
    }
    assert!(
        said.contains("parameters with non-finite gradients: ") && !said.contains("not reproduced"),
        "{said}"
    );

    // A checkpoint that was damaged, and one that is whole but of other weights.
    let path = capsule.join("checkpoint.safetensors");
    let whole = std::fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() - 2] ^= 0x20;
    std::fs::write(&path, flipped).unwrap();
    replay().failed_with(&["checkpoint.safetensors", "damaged"]);
    std::fs::write(&path, &whole).unwrap();
    let healthy = Checkpoint::read(&tiny_recogniser().join("checkpoints/last.safetensors")).unwrap().model;
    Checkpoint { model: healthy, ..Checkpoint::read(&path).unwrap() }.write(&path).unwrap();
    let refused = replay().failed_with(&["not those of the capsule", hash, "was changed"]).stderr;

    // Where the capsule says that these are the weights, the batch is finite, and that is said.
    let found = refused.split_once("hash ").unwrap().1.split_once(',').unwrap().0;
    let mut described = read();
    described["weights_hash"] = found.into();
    std::fs::write(capsule.join("capsule.json"), described.to_string()).unwrap();
    let finished = replay();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stdout.contains("non-finite gradients: none\nnot reproduced"), "{}", finished.stdout);
    auricle(folder, &["replay", "run/capsule-step-2"]).failed_with(&["capsule-step-2", "No such file"]);
}
