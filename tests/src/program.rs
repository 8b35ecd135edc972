//! Running the `auricle` program.
//!
//! A helper that cannot do its work panics: then the test has failed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use auricle_data::{Manifest, Utterance, builtin};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

/// Nothing that is waited for takes this long, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A small encoder that still has everything: strides, dropout, layer drop, two stages.
pub const ENCODER: &str = r#"
[model.encoder]
conv_dropout = 0.1
stages = [
  { convs = [
    { channels = 16, kernel = 5, stride = 2, activation = true },
    { channels = 16, kernel = 5, stride = 2, activation = true },
  ], transformer = { layers = 1, heads = 2, feed_forward = 32, positional = { kernel = 8, groups = 4 } } },
  { convs = [
    { channels = 32, kernel = 5, stride = 2, activation = true },
    { channels = 24 },
  ], transformer = { layers = 2, heads = 4, feed_forward = 48, layer_drop = 0.2, positional = { kernel = 8, groups = 4 } } },
]
"#;

/// What a program said, and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// Exit status; none where a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Error stream.
    pub stderr: String,
}

impl Finished {
    /// Itself, where the program succeeded.
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// Itself, where the program failed in words that contain all of `expected`, and did not crash.
    pub fn failed_with(self, expected: &[&str]) -> Self {
        assert!(matches!(self.code, Some(code) if code != 0), "no failure: {self:#?}");
        assert!(self.stderr.contains("error: "), "no error: {self:#?}");
        for part in expected {
            assert!(self.stderr.contains(part), "`{part}` is not in the error: {self:#?}");
        }
        for reason in ["No such file", "No space left", "File too large"] {
            let twice = |line: &str| line.matches(reason).count() > 1;
            assert!(!self.stderr.lines().any(twice), "said twice: {self:#?}");
        }
        for crash in ["panicked", "RUST_BACKTRACE", "Os {", "Error("] {
            assert!(!self.stderr.contains(crash), "a crash, not an answer: {self:#?}");
        }
        self
    }

    /// Lines of the standard output as JSON.
    pub fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

/// The folder of this profile in cargo's target directory, which holds the program.
fn profile_folder() -> PathBuf {
    // <target>/<profile>/deps/<test>
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_path_buf()
}

/// The workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// A folder for files that outlive a test and may be made again at any time.
fn scratch() -> PathBuf {
    let folder = profile_folder().parent().unwrap().join("tmp");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The program, built where it is missing or older than its sources.
///
/// A test of the whole workspace has built it already; a test of this package alone has not.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = profile_folder();
        let program = folder.join(format!("auricle{}", std::env::consts::EXE_SUFFIX));
        if !is_current(&program, &folder.join("auricle.d")) {
            let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            build.args(["build", "--quiet", "--package", "auricle-cli"]).current_dir(workspace());
            if folder.ends_with("release") {
                build.arg("--release");
            }
            build.arg("--target-dir").arg(folder.parent().unwrap());
            assert!(build.status().unwrap().success(), "cannot build auricle");
        }
        program
    })
}

/// Whether a program is newer than every source that cargo's list beside it names.
fn is_current(program: &Path, list: &Path) -> bool {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|m| m.modified()).ok();
    let (Some(built), Ok(list)) = (modified(program), std::fs::read_to_string(list)) else { return false };
    let sources = list.split_once(": ").map_or("", |(_, sources)| sources).replace("\\ ", "\0");
    sources.split_whitespace().all(|source| {
        modified(Path::new(&source.replace('\0', " "))).is_some_and(|changed: SystemTime| changed <= built)
    })
}

/// The program as a command, run in `folder`, without shipped models of this machine.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(program());
    command.current_dir(folder).env_remove("AURICLE_MODELS").stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub fn auricle<S: AsRef<OsStr>>(folder: &Path, args: &[S]) -> Finished {
    finish(command(folder).args(args))
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Finished {
    let output = command.output().unwrap();
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Asks again and again until there is an answer.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(answer) = ask() {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("waited in vain for {what}")
}

/// Waits until a training run's log has a step; false where the run ends before.
pub fn wait_for_step(child: &mut Child, run: &Path, step: u64) -> bool {
    wait_for(&format!("step {step}"), || {
        if logged_step(run) >= step {
            return Some(child.try_wait().unwrap().is_none());
        }
        child.try_wait().unwrap().map(|_| false)
    })
}

/// The last step of a run's log.
pub fn logged_step(run: &Path) -> u64 {
    let log = std::fs::read_to_string(run.join("log.jsonl")).unwrap_or_default();
    let step = |line: &str| serde_json::from_str::<Value>(line).ok()?.get("step")?.as_u64();
    log.lines().filter_map(step).max().unwrap_or(0)
}

/// The built-in corpus, extracted once for all tests.
pub fn corpus() -> builtin::Extracted {
    builtin::extract(&scratch().join("corpus")).unwrap()
}

/// Every `stride`-th utterance of a manifest.
pub fn some(manifest: &Path, stride: usize) -> Vec<Utterance> {
    Manifest::read(manifest).unwrap().into_iter().step_by(stride).collect()
}

/// Writes `train.jsonl` (20 utterances) and `dev.jsonl` (6 utterances) of the built-in corpus.
pub fn small_corpus(folder: &Path) {
    let corpus = corpus();
    Manifest::write(&folder.join("train.jsonl"), &some(&corpus.train, 12)).unwrap();
    Manifest::write(&folder.join("dev.jsonl"), &some(&corpus.dev, 8)).unwrap();
}

/// A CTC recipe of a few steps on `train.jsonl` and `dev.jsonl`.
pub fn ctc_recipe(steps: u64) -> String {
    format!(
        r#"
task = "ctc"
data = {{ train = ["train.jsonl"], validation = ["dev.jsonl"] }}
batch = {{ batch_secs = 8.0, buckets = 3 }}
optimizer = {{ lr = 1e-3 }}
schedule = {{ kind = "constant" }}
train = {{ steps = {steps}, log_every = 1, checkpoint_every = 4, validate_every = {steps} }}
[model.head]
kind = "character"
width = 16
{ENCODER}"#
    )
}

/// A recogniser trained for two steps, shared by the tests of one program: its run directory.
pub fn tiny_recogniser() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let folder = scratch().join(format!("recogniser-{}", test.file_name().unwrap().to_string_lossy()));
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        std::fs::create_dir_all(&folder).unwrap();
        small_corpus(&folder);
        std::fs::write(folder.join("ctc.toml"), ctc_recipe(2)).unwrap();
        auricle(&folder, &["train", "ctc.toml", "--run", "run", "--quiet"]).succeeded();
        folder.join("run")
    })
}
