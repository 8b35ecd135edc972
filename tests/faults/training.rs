//! Trainings that something outside goes wrong with, or whose data is not what it should be.

use auricle_data::{Manifest, Utterance};
use auricle_tests::program::{Finished, auricle, command, ctc_recipe, finish, small_corpus};
use std::path::Path;
use std::process::Stdio;

/// Changes one utterance of `train.jsonl`; its id.
fn change(folder: &Path, change: impl Fn(&mut Utterance)) -> String {
    let list = folder.join("train.jsonl");
    let mut utterances = Manifest::read(&list).unwrap();
    change(&mut utterances[3]);
    Manifest::write(&list, &utterances).unwrap();
    utterances[3].id.clone()
}

fn train(folder: &Path, more: &[&str]) -> Finished {
    auricle(folder, &[&["train", "ctc.toml", "--run", "run", "--quiet"], more].concat())
}

fn project(steps: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    small_corpus(folder.path());
    std::fs::write(folder.path().join("ctc.toml"), ctc_recipe(steps)).unwrap();
    folder
}

/// A reader of the log that has gone, or a full disk behind it, ends no training.
#[cfg(target_os = "linux")]
#[test]
fn a_training_does_not_need_somebody_who_reads_what_it_says() {
    let project = project(6);
    let folder = project.path();
    let full = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").unwrap());
    // A pipe whose other end is closed.
    let gone = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    for (run, stream) in [("full", &full as &dyn Fn() -> Stdio), ("gone", &gone)] {
        let mut train = command(folder);
        train.args(["train", "ctc.toml", "--run", run]).stdout(stream()).stderr(stream());
        train.status().unwrap();
        assert!(folder.join(run).join("model.safetensors").is_file(), "{run}");
        let log = std::fs::read_to_string(folder.join(run).join("log.jsonl")).unwrap();
        assert!(log.lines().last().unwrap().contains("\"step\":6"), "{run}: {log}");
    }
}

/// A full disk under a training's own files: the error says which one, and the last checkpoint stays. A limit on the
/// size of files stands in for the disk.
#[cfg(unix)]
#[test]
fn a_full_disk_is_named_by_the_file_and_leaves_the_checkpoint() {
    let project = project(4);
    let folder = project.path();
    train(folder, &[]).succeeded();
    let last = folder.join("run/checkpoints/last.safetensors");
    let before = std::fs::read(&last).unwrap();
    // Blocks of 512 bytes; the signal must be ignored, or it ends the program before it can speak.
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$@\"", "sh"]).arg(command(folder).get_program());
    limited.args(["train", "ctc.toml", "--run", "run", "--quiet", "--resume", "--set", "train.steps=400"]);
    limited.args(["--set", "train.checkpoint_every=1000", "--set", "train.validate_every=1000"]);
    finish(limited.current_dir(folder)).failed_with(&["run/", "events.out", "File too large"]);
    assert_eq!(std::fs::read(&last).unwrap(), before);
    train(folder, &["--resume", "--set", "train.steps=6"]).succeeded();
}

#[test]
fn what_cannot_be_aligned_is_told_and_left_out() {
    let project = project(2);
    let folder = project.path();
    let long = "until at length they rose from the sea a strong white wall and then ".repeat(5);
    let id = change(folder, |utterance| utterance.text = Some(long.clone()));
    let told = ["1 training utterances cannot be aligned", id.as_str(), "output frames"];
    let said = train(folder, &[]).succeeded().stderr;
    let dry = auricle(folder, &["train", "ctc.toml", "--dry-run"]).succeeded();
    for part in told {
        assert!(said.contains(part), "{part}: {said}");
        assert!(dry.stderr.contains(part), "{part}: {}", dry.stderr);
    }
    assert!(dry.stdout.contains("training utterances   19"), "{}", dry.stdout);
    assert!(dry.stdout.contains(&id), "{}", dry.stdout);
}

/// The command that the error names drops what the training refuses.
#[test]
fn the_advice_of_a_refusal_helps() {
    let project = project(2);
    let folder = project.path();
    for (what, spoil) in [
        ("café", (|u| u.text = Some("café 3".into())) as fn(&mut Utterance)),
        ("no transcript", |u| u.text = None),
    ] {
        small_corpus(folder);
        let id = change(folder, spoil);
        let refused = train(folder, &[]).failed_with(&[&id, "1 utterances cannot be used"]).stderr;
        let (_, advice) = refused.split_once('`').unwrap();
        let advice =
            advice.split_once('`').unwrap().0.replace("RECIPE", "ctc.toml").replace("FOLDER", "fixed");
        let words: Vec<&str> = advice.split_whitespace().skip(1).collect();
        // Its status says that there was something to find.
        finish(command(folder).args(&words));
        let fixed = Manifest::read(&folder.join("fixed/train.jsonl")).unwrap();
        assert!(fixed.len() == 19 && fixed.iter().all(|u| u.id != id), "{what}: {}", fixed.len());
        let lists =
            ["--set", "data.train=['fixed/train.jsonl']", "--set", "data.validation=['fixed/dev.jsonl']"];
        train(folder, &lists).succeeded();
        std::fs::remove_dir_all(folder.join("run")).unwrap();
        std::fs::remove_dir_all(folder.join("fixed")).unwrap();
    }
}

#[test]
fn a_resumed_run_refuses_other_data_and_says_which() {
    let project = project(2);
    let folder = project.path();
    train(folder, &[]).succeeded();
    let resume = || train(folder, &["--resume", "--set", "train.steps=4"]);
    let id = change(folder, |utterance| utterance.text = Some("one two three".into()));
    resume().failed_with(&["other data", "data.train train.jsonl", "put back", "--run"]);
    small_corpus(folder);
    std::fs::write(folder.join("dev.jsonl"), std::fs::read(folder.join("train.jsonl")).unwrap()).unwrap();
    resume().failed_with(&["data.validation dev.jsonl"]);
    small_corpus(folder);
    resume().succeeded();
    assert!(!id.is_empty());
}

#[test]
fn settings_without_effect_are_told() {
    let project = project(2);
    let folder = project.path();
    let schedule = "schedule={ kind = 'cosine', warmup_steps = 50, total_steps = 100 }";
    let said = train(folder, &["--set", schedule]).succeeded().stderr;
    assert!(said.contains("schedule.warmup_steps = 50 is above train.steps = 2"), "{said}");
    let schedule = "schedule={ kind = 'cosine', warmup_steps = 500, total_steps = 100 }";
    train(folder, &["--set", schedule]).failed_with(&["schedule.warmup_steps: 500 is not between 0 and 100"]);
}

/// A recogniser that is trained further starts from its head, too, where that writes the same tokens.
#[test]
fn the_head_of_the_same_vocabulary_comes_along_and_another_is_told() {
    use auricle_nn::weights;
    let project = project(2);
    let folder = project.path();
    train(folder, &[]).succeeded();
    let tokens =
        ["tokenizer", "train", "train.jsonl", "--kind", "bpe", "--vocab-size", "40", "--out", "t.json"];
    auricle(folder, &tokens).succeeded();
    let head = |run: &str| {
        let bytes = std::fs::read(folder.join(run).join("model.safetensors")).unwrap();
        let (tensors, _) = weights::from_bytes(&bytes).unwrap();
        tensors.into_iter().filter(|(name, _)| name.starts_with("head.")).collect::<Vec<_>>()
    };
    let go_on = |run: &str, more: &[&str]| {
        // Without learning, weights are what they started from.
        let own =
            ["--run", run, "--set", "model.init_from=run", "--set", "optimizer.lr=0", "--set", "seed=7"];
        auricle(folder, &[&["train", "ctc.toml", "--quiet"], &own[..], more].concat())
    };
    let same = go_on("same", &[]).succeeded();
    assert_eq!(head("same"), head("run"));
    assert!(!same.stderr.contains("head"), "{}", same.stderr);
    go_on("new", &["--set", "model.init_head=false"]).succeeded();
    assert_ne!(head("new"), head("run"));
    let other = ["--set", "model.tokenizer=t.json"];
    let said = go_on("other", &other).succeeded().stderr;
    assert!(said.contains("another vocabulary") && said.contains("random weights"), "{said}");
    go_on("forced", &[&other[..], &["--set", "model.init_head=true"]].concat())
        .failed_with(&["model.init_head", "another vocabulary"]);
}
