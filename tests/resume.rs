//! Law 3: N steps are k steps, a kill, and N − k steps, bit for bit, for any number of loader threads.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_tests::program::{ENCODER, auricle, command, ctc_recipe, small_corpus, wait_for_step};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const STEPS: u64 = 24;

/// Validation drops best checkpoints between two last ones, an epoch is not a whole number of
/// steps, and every kind of draw is used.
fn recipe(task: &str) -> String {
    let (accumulate, own, encoder) = match task {
        "spiral" => (1, SPIRAL, ENCODER),
        "lasyn" => (2, LASYN, ""),
        _ => (2, CTC, ENCODER),
    };
    format!(
        r#"
task = "{task}"
seed = 11
data = {{ train = ["train.jsonl"], validation = ["dev.jsonl"], noise = ["dev.jsonl"] }}
batch = {{ batch_secs = 4.0, buckets = 3 }}
optimizer = {{ lr = 2e-3 }}
schedule = {{ kind = "cosine", warmup_steps = 5, total_steps = {STEPS} }}
[train]
steps = {STEPS}
accumulate = {accumulate}
clip_norm = 5.0
log_every = 1
checkpoint_every = 5
validate_every = 3
keep_best = 2
export = "average"
ema = 0.9
{own}
{encoder}"#
    )
}

const SPIRAL: &str = r#"
[augment]
max_shift = 4
noise = { prob = 0.5, min_noise_secs = 0.5 }
[model]
projection = 16
negatives = 10
momentum = { start = 0.9, end = 0.99, steps = 20 }
"#;

const CTC: &str = r#"curriculum = { bins = 2, replay = 0.3, improvement = 0.5, patience = 1 }
[augment]
speed = [0.9, 1.0, 1.1]
noise = { prob = 0.5, min_noise_secs = 0.5 }
[model]
freeze_encoder_steps = 4
[model.head]
kind = "character"
width = 16
"#;

/// Text as cached latents, whose takes are drawn anew after a stop, and the last steps without it.
const LASYN: &str = r#"curriculum = { bins = 2, replay = 0.3, improvement = 0.5, patience = 1 }
[augment]
speed = [0.9, 1.0, 1.1]
noise = { prob = 0.5, min_noise_secs = 0.5 }
[model]
base = "base"
bank = "base/bank.safetensors"
text = ["text.txt"]
cached_takes = 2
anneal_steps = 5
decoder = { layers = 1, heads = 2, feed_forward = 16, triggered = true, look_ahead = 3 }
"#;

/// A folder with the corpus and the recipe of a task.
fn project(task: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    small_corpus(folder.path());
    if task == "lasyn" {
        std::fs::write(folder.path().join("ctc.toml"), ctc_recipe(2)).unwrap();
        auricle(folder.path(), &["train", "ctc.toml", "--run", "base", "--quiet"]).succeeded();
        let fit = ["lasyn", "fit", "--model", "base", "train.jsonl", "--rounds", "2"];
        auricle(folder.path(), &fit).succeeded();
        std::fs::write(folder.path().join("text.txt"), "two teas\na large latte\nthree more\n").unwrap();
    }
    std::fs::write(folder.path().join("recipe.toml"), recipe(task)).unwrap();
    folder
}

fn training(folder: &Path, run: &str, workers: usize) -> Command {
    let mut train = command(folder);
    train.args(["train", "recipe.toml", "--quiet", "--resume", "--run", run]);
    train.arg("--set").arg(format!("data.workers={workers}"));
    train.stdout(Stdio::piped()).stderr(Stdio::piped());
    train
}

/// Everything that a finished run leaves and that has no time in it.
fn results(run: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let checkpoints = std::fs::read_dir(run.join("checkpoints")).unwrap().map(|e| e.unwrap().path());
    let files = checkpoints.chain([run.join("model.safetensors"), run.join("log.jsonl")]);
    files.map(|path| (path.strip_prefix(run).unwrap().to_path_buf(), std::fs::read(&path).unwrap())).collect()
}

fn assert_same(expected: &BTreeMap<PathBuf, Vec<u8>>, run: &Path, how: &str) {
    let found = results(run);
    let names = |results: &BTreeMap<PathBuf, Vec<u8>>| results.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(expected), names(&found), "{how}: other files");
    for (name, bytes) in expected {
        assert!(bytes == &found[name], "{how}: {} differs", name.display());
    }
}

/// The results of a run that nothing disturbs.
fn undisturbed(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let run = folder.join("undisturbed");
    let output = training(folder, "undisturbed", 1).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let results = results(&run);
    // Two best ones and the last one.
    assert_eq!(results.len(), 5, "{:?}", results.keys());
    results
}

/// Starts a training and calls `stop` on it as soon as its log has a step.
///
/// A machine that is too slow to be quick enough gets another try.
fn stop_at(folder: &Path, run: &str, workers: usize, step: u64, mut stop: impl FnMut(&mut Child)) -> Child {
    for _ in 0..20 {
        let mut child = training(folder, run, workers).spawn().unwrap();
        if wait_for_step(&mut child, &folder.join(run), step) {
            stop(&mut child);
            return child;
        }
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        std::fs::remove_dir_all(folder.join(run)).unwrap();
    }
    panic!("the run always ended before it could be stopped")
}

fn killed_runs_go_on_exactly(task: &str) {
    let project = project(task);
    let folder = project.path();
    let expected = undisturbed(folder);
    for workers in [1, 3] {
        let run = format!("killed-{workers}");
        // Before the first checkpoint; between two, after best ones were dropped; close to the end.
        for step in [2, 9, 13, 21] {
            let mut child = stop_at(folder, &run, workers, step, |child| child.kill().unwrap());
            let status = child.wait().unwrap();
            assert!(!status.success());
            if step >= 9 {
                assert!(folder.join(&run).join("checkpoints/last.safetensors").exists());
            }
        }
        let output = training(folder, &run, workers).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_same(&expected, &folder.join(&run), &format!("{task}, {workers} workers"));
        // Once more is nothing more.
        assert!(training(folder, &run, workers).status().unwrap().success());
        assert_same(&expected, &folder.join(&run), "a finished run that is resumed");
    }
}

#[test]
fn killed_pretraining_goes_on_exactly() {
    killed_runs_go_on_exactly("spiral");
}

#[test]
fn killed_fine_tuning_goes_on_exactly() {
    killed_runs_go_on_exactly("ctc");
}

#[test]
fn killed_training_on_text_goes_on_exactly() {
    killed_runs_go_on_exactly("lasyn");
}

/// Ctrl-C ends the step, keeps it, and says how to go on.
#[cfg(unix)]
#[test]
fn an_interrupted_run_exits_with_130_and_goes_on_exactly() {
    for task in ["spiral", "ctc"] {
        let project = project(task);
        let folder = project.path();
        let expected = undisturbed(folder);
        let interrupt = |child: &mut Child| {
            let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
            assert!(kill.unwrap().success());
        };
        let child = stop_at(folder, "interrupted", 2, 7, interrupt);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{said}");
        let again = said.lines().find_map(|line| line.split_once("go on with: ")).map(|(_, again)| again);
        for part in ["auricle train recipe.toml", "--run interrupted", "--set data.workers=2", "--resume"] {
            assert!(again.is_some_and(|again| again.contains(part)), "{part}: {said}");
        }
        let output = training(folder, "interrupted", 2).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_same(&expected, &folder.join("interrupted"), task);
    }
}

/// A run is not begun over another, not continued by another recipe, and has one user.
#[test]
fn a_run_is_protected() {
    let project = project("ctc");
    let folder = project.path();
    let run = folder.join("run");
    let mut child = stop_at(folder, "run", 1, 6, |_| {});
    let second = auricle(folder, &["train", "recipe.toml", "--run", "run", "--resume"]);
    // The first one may be done by now; then the second one has nothing to do.
    if child.try_wait().unwrap().is_none() {
        second.failed_with(&["run is in use by another process", "--run"]);
    }
    assert!(child.wait().unwrap().success());
    let before = results(&run);
    let resolved = std::fs::read(run.join("recipe.resolved.toml")).unwrap();
    auricle(folder, &["train", "recipe.toml", "--run", "run"])
        .failed_with(&["run holds a run already", "--resume"]);
    auricle(folder, &["train", "recipe.toml", "--run", "run", "--resume", "--set", "seed=12"])
        .failed_with(&["last.safetensors", "another recipe", "new run directory"]);
    assert_same(&before, &run, "after what was refused");
    assert!(resolved == std::fs::read(run.join("recipe.resolved.toml")).unwrap());
}
