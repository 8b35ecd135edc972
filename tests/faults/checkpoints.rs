//! Checkpoints on full disks, and checkpoints that were damaged.

use auricle_tests::program::{auricle, command, ctc_recipe, finish, small_corpus, tiny_recogniser};
use std::path::Path;
use std::process::Command;

/// A run of 4 steps with one checkpoint, to be gone on with to 8; and the model of an undisturbed
/// run of 8 steps.
fn run_of_four_steps(folder: &Path) -> Vec<u8> {
    small_corpus(folder);
    // Without validation, which comes at the end of a run: four steps would be another run.
    let recipe = ctc_recipe(8).replace(r#", validation = ["dev.jsonl"]"#, "");
    std::fs::write(folder.join("ctc.toml"), recipe).unwrap();
    auricle(folder, &["train", "ctc.toml", "--quiet", "--run", "undisturbed"]).succeeded();
    auricle(folder, &["train", "ctc.toml", "--quiet", "--run", "run", "--set", "train.steps=4"]).succeeded();
    std::fs::read(folder.join("undisturbed/model.safetensors")).unwrap()
}

const GO_ON: [&str; 6] = ["train", "ctc.toml", "--quiet", "--run", "run", "--resume"];

fn last(folder: &Path) -> std::path::PathBuf {
    folder.join("run/checkpoints/last.safetensors")
}

/// The names in the run's folder of checkpoints.
fn checkpoints(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("run/checkpoints")).unwrap();
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The disk is full: the checkpoint before is whole, nothing half written stays, and the run goes
/// on exactly when there is room again.
fn assert_nothing_lost(folder: &Path, before: &[u8], undisturbed: &[u8], make_room: impl FnOnce()) {
    assert!(before == std::fs::read(last(folder)).unwrap(), "the checkpoint before was touched");
    assert_eq!(checkpoints(folder), ["last.safetensors"]);
    make_room();
    auricle(folder, &GO_ON).succeeded();
    assert!(undisturbed == std::fs::read(folder.join("run/model.safetensors")).unwrap());
}

/// A limit on the size of files stands in for the disk where no file system can be mounted.
#[cfg(unix)]
#[test]
fn a_checkpoint_that_cannot_be_written_whole_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let undisturbed = run_of_four_steps(folder);
    let before = std::fs::read(last(folder)).unwrap();
    // Blocks of 512 bytes. The signal must be ignored, or it ends the program before it can speak.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", before.len() / 1024);
    let program = command(folder);
    let mut limited = Command::new("sh");
    limited.arg("-c").arg(script).arg("sh").arg(program.get_program()).args(GO_ON).current_dir(folder);
    finish(&mut limited).failed_with(&["last.safetensors: File too large"]);
    assert_nothing_lost(folder, &before, &undisturbed, || {});
}

/// A mounted file system; unmounted at the end.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    /// None where this user may not mount.
    fn new(folder: &'a Path, bytes: usize) -> Option<Self> {
        let size = format!("size={bytes}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }

    fn resize(&self, bytes: usize) {
        let size = format!("remount,size={bytes}");
        assert!(Command::new("mount").args(["-o", &size]).arg(self.0).status().unwrap().success());
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg(self.0).status().ok();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_no_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let undisturbed = run_of_four_steps(folder);
    let before = std::fs::read(last(folder)).unwrap();
    let (run, kept) = (folder.join("run"), folder.join("kept"));
    std::fs::rename(&run, &kept).unwrap();
    std::fs::create_dir(&run).unwrap();
    // Room for one checkpoint and the logs, not for two checkpoints.
    let Some(disk) = Mounted::new(&run, before.len() * 7 / 4) else {
        eprintln!("not tested: this user may not mount a file system");
        return;
    };
    std::fs::create_dir(run.join("checkpoints")).unwrap();
    for name in ["checkpoints/last.safetensors", "log.jsonl", "recipe.resolved.toml"] {
        std::fs::copy(kept.join(name), run.join(name)).unwrap();
    }
    auricle(folder, &GO_ON).failed_with(&["last.safetensors: No space left on device"]);
    assert_nothing_lost(folder, &before, &undisturbed, || disk.resize(64 << 20));
}

#[test]
fn a_damaged_checkpoint_is_refused_and_a_copy_of_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let undisturbed = run_of_four_steps(folder);
    let whole = std::fs::read(last(folder)).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        bytes
    };
    let size = whole.len();
    let damages =
        [flipped(3), flipped(40), flipped(size / 2), flipped(size - 2), whole[..size / 2].to_vec(), vec![]];
    for (number, bytes) in damages.iter().enumerate() {
        std::fs::write(last(folder), bytes).unwrap();
        let said = auricle(folder, &GO_ON).failed_with(&["last.safetensors", "put back a copy"]);
        assert!(said.stderr.contains("damaged"), "damage {number}: {}", said.stderr);
        assert!(*bytes == std::fs::read(last(folder)).unwrap(), "damage {number}: it was touched");
    }
    std::fs::write(last(folder), &whole).unwrap();
    auricle(folder, &GO_ON).succeeded();
    assert!(undisturbed == std::fs::read(folder.join("run/model.safetensors")).unwrap());
}

/// The best checkpoints are whole ones: the run goes on from one as the message says.
#[test]
fn a_best_checkpoint_stands_in_for_a_lost_last_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small_corpus(folder);
    let recipe = ctc_recipe(8).replace("validate_every = 8", "validate_every = 3");
    std::fs::write(folder.join("ctc.toml"), recipe).unwrap();
    auricle(folder, &["train", "ctc.toml", "--quiet", "--run", "run"]).succeeded();
    let model = std::fs::read(folder.join("run/model.safetensors")).unwrap();
    let names = checkpoints(folder);
    assert!(names[0].starts_with("best-step-"), "{names:?}");
    std::fs::copy(folder.join("run/checkpoints").join(&names[0]), last(folder)).unwrap();
    auricle(folder, &GO_ON).succeeded();
    assert!(model == std::fs::read(folder.join("run/model.safetensors")).unwrap());
    assert_eq!(names, checkpoints(folder));
}

#[test]
fn what_is_no_checkpoint_or_no_model_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let run = tiny_recogniser();
    let model = std::fs::read(run.join("model.safetensors")).unwrap();
    std::fs::create_dir_all(folder.join("run/checkpoints")).unwrap();
    small_corpus(folder);
    std::fs::write(folder.join("ctc.toml"), ctc_recipe(2)).unwrap();
    std::fs::write(last(folder), &model).unwrap();
    auricle(folder, &GO_ON).failed_with(&["last.safetensors", "no training state", "not an exported model"]);

    std::fs::write(folder.join("cut.safetensors"), &model[..model.len() - 100]).unwrap();
    std::fs::write(folder.join("a.wav"), b"").unwrap();
    let decode =
        |model: &Path| auricle(folder, &["decode", "--model", model.to_str().unwrap(), "train.jsonl"]);
    decode(Path::new("cut.safetensors")).failed_with(&["cut.safetensors", "damaged", "download it again"]);
    decode(&run.join("checkpoints/last.safetensors")).failed_with(&["last.safetensors", "model.safetensors"]);
    decode(Path::new("asr-en-tiny")).failed_with(&[
        "no model `asr-en-tiny`",
        "looked for",
        "model.safetensors",
    ]);
    let unknown = ["encode", "--model", "spiral-xx", "train.jsonl", "--out", "x"];
    auricle(folder, &unknown).failed_with(&["no model `spiral-xx`"]);
}
