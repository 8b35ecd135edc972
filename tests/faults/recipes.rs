//! Recipes with mistakes: the message names the key and the way out, and nothing is begun.

use auricle_tests::program::{auricle, ctc_recipe, small_corpus};

#[test]
fn mistakes_in_a_recipe_are_explained_before_anything_begins() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small_corpus(folder);
    let good = ctc_recipe(2);
    let cases: [(&str, &str, &[&str]); 10] = [
        ("log_every", "log_evry", &["wrong.toml", "unknown field `log_evry`", "did you mean `log_every`?"]),
        ("lr = 1e-3", "lrr = 1e-3", &["unknown field `lrr`", "did you mean `lr`?"]),
        ("width = 16", "widht = 16", &["model", "`widht`", "did you mean `width`?"]),
        ("conv_dropout", "conv_droput", &["model", "`conv_droput`", "did you mean `conv_dropout`?"]),
        ("kind = \"character\"", "kind = \"charakter\"", &["`charakter`", "did you mean `character`?"]),
        ("steps = 2,", "steps = \"two\",", &["wrong.toml", "invalid type: string \"two\"", "`train.steps`"]),
        ("heads = 2", "heads = 3", &["encoder.stages.0", "16 is not divisible by 3 heads"]),
        ("task = \"ctc\"", "task = \"ctx\"", &["unknown task `ctx`", "`spiral`, `ctc`, `cca_mdd`, `lasyn`"]),
        ("schedule = { kind = \"constant\" }", "", &["wrong.toml", "missing field `schedule`"]),
        ("[model.head]", "[model.head", &["wrong.toml", "line 8"]),
    ];
    for (right, wrong, expected) in cases {
        assert!(good.contains(right), "{right}");
        std::fs::write(folder.join("wrong.toml"), good.replacen(right, wrong, 1)).unwrap();
        auricle(folder, &["train", "wrong.toml", "--run", "run"]).failed_with(expected);
        assert!(!folder.join("run/model.safetensors").exists());
        assert!(!folder.join("run/recipe.resolved.toml").exists());
    }
    std::fs::write(folder.join("good.toml"), &good).unwrap();
    for (set, expected) in [
        ("train.stepz=3", "did you mean `steps`?"),
        ("train.steps=many", "`train.steps` is a integer, not a string"),
        ("train.device=gpu9", "gpu9"),
        ("train.precision=f8", "unknown variant `f8`"),
        ("data.train=['gone.jsonl']", "gone.jsonl"),
        ("model.init_from=gone", "no model `gone`"),
        ("model.tokenizer=gone.json", "gone.json"),
        ("optimizer.lr", "write KEY=VALUE"),
        ("model.encoder.bins=1000000", "encoder.bins: 1000000 is not between 1 and 32768"),
        ("data.workers=1000000", "data.workers: 1000000 is not between 0 and 256"),
    ] {
        auricle(folder, &["train", "good.toml", "--run", "run", "--set", set]).failed_with(&[expected]);
    }
    // What cannot be computed is said before anything is read, with the devices that can.
    let device = ["--set", "train.precision=bf16", "--set", "train.device=npu:sim:910b3"];
    let unread = ["--set", "data.train=['gone.jsonl']"];
    auricle(folder, &[&["train", "good.toml", "--run", "run"][..], &device, &unread].concat())
        .failed_with(&["bf16", "npu:sim:910b3:bf16", "train.precision to \"f32\""]);
    auricle(folder, &["train", "gone.toml"]).failed_with(&["gone.toml", "No such file"]);
    // The folder of the failed attempts is free for the right recipe.
    auricle(folder, &["train", "good.toml", "--run", "run", "--quiet"]).succeeded();
}
