//! What the program says, to whom, and what it does where nobody listens; and where it finds its models.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_nn::params::NamedTensors;
use auricle_nn::weights::{Metadata, Precision};
use auricle_tests::program::{auricle, command, corpus, finish, tiny_recogniser, workspace};
use burn::tensor::TensorData;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

const PRETRAINED: &str = "models/pretrained";

/// Commands that print, one of each kind, and the most that they may be waited for.
const PRINTING: [&[&str]; 5] = [
    &["prepare", "--list"],
    &["device", "list"],
    &["device", "list", "--json"],
    &["npu", "devices", "910b3"],
    &["lexicon", "pronounce", "water water water"],
];

#[test]
fn a_reader_that_is_gone_ends_a_command_quietly() {
    let folder = tempfile::tempdir().unwrap();
    for args in PRINTING {
        let mut child =
            command(folder.path()).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(matches!(ended.status.code(), Some(0 | 141)) && said.is_empty(), "{args:?}: {ended:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_output_is_an_error_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    for args in PRINTING {
        let ended = finish(command(folder.path()).args(args).stdout(full()));
        let expected =
            ended.code == Some(1) && ended.stderr.starts_with("error: the standard output cannot be");
        assert!(expected && !ended.stderr.contains("panicked"), "{args:?}: {ended:?}");
        // An error stream that is full, too: there is nobody to tell, and no reason to panic.
        let status = command(folder.path()).args(args).stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(1), "{args:?}");
    }
    // Long work is not ended by a log that nobody can read.
    let recipe = workspace().join("recipes/quickstart/ctc_from_scratch.toml");
    let train = ["train", recipe.to_str().unwrap(), "--smoke"];
    let status = command(folder.path()).args(train).stderr(full()).stdout(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn what_files_say_cannot_command_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tensors = NamedTensors::from([("w\u{1b}[2J".to_string(), TensorData::new(vec![1.0f32], [1]))]);
    let licence = "\u{1b}]0;owned\u{7}CC0\u{9b}31m\nkind        trusted";
    let metadata = Metadata::from([("licence".to_string(), licence.to_string())]);
    let path = folder.join("model.safetensors");
    auricle_train::files::write_weights(&path, &tensors, &metadata, Precision::F32).unwrap();
    let plain = |text: &str| text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t');
    let said = auricle(folder, &["model", "info", "model.safetensors", "--tensors"]).succeeded().stdout;
    assert!(plain(&said) && said.contains("\\u001b]0;owned\\u0007CC0"), "{said:?}");
    assert!(
        !said.lines().any(|line| line.starts_with("kind ")),
        "a line of the file's passes for ours: {said:?}"
    );
    let said = auricle(folder, &["model", "info", "model.safetensors", "--json"]).succeeded();
    assert!(plain(&said.stdout));
    assert_eq!(said.json_lines()[0]["metadata"]["licence"], licence);

    // An id, in a result and in an error.
    let line = |audio: &str| {
        serde_json::json!({"id": "a\u{1b}[31mb", "audio": audio, "duration_secs": 1.0}).to_string()
    };
    std::fs::write(folder.join("list.jsonl"), line("none.wav") + "\n").unwrap();
    let model = tiny_recogniser().to_str().unwrap();
    let ended = auricle(folder, &["decode", "--model", model, "list.jsonl"]);
    assert!(plain(&ended.stderr) && ended.stderr.contains("\\u001b[31m"), "{ended:?}");
    let ended = auricle(folder, &["data", "check", "list.jsonl"]);
    assert!(plain(&ended.stdout) && ended.stdout.contains("\\u001b[31m"), "{ended:?}");
}

#[test]
fn sound_may_come_through_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let test = auricle_data::Manifest::read(&corpus().test).unwrap();
    let audio = &test[0].audio;
    let model = tiny_recogniser().to_str().unwrap();
    let file =
        auricle(folder, &["decode", "--model", model, "-q", audio.to_str().unwrap()]).succeeded().stdout;
    let text = file.split_once(' ').map_or("", |(_, text)| text);
    for input in ["-", "/dev/stdin"].into_iter().take(if cfg!(unix) { 2 } else { 1 }) {
        let mut decode = command(folder);
        decode.args(["decode", "--model", model, "-q", input]).stdin(Stdio::piped());
        let mut child = decode.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&std::fs::read(audio).unwrap()).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&ended.stdout), format!("stdin {text}"), "{ended:?}");
    }
    let empty = finish(command(folder).args(["decode", "--model", model, "-q", "-"]).stdin(Stdio::null()));
    assert!(empty.code == Some(1) && empty.stderr.contains("nothing came through it"), "{empty:?}");
}

/// The program alone in a folder of its own.
fn installed(folder: &Path) -> Command {
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let program = bin.join("auricle");
    if !program.exists() {
        std::fs::copy(command(folder).get_program(), &program).unwrap();
    }
    let mut installed = Command::new(program);
    installed.current_dir(folder).env_remove("AURICLE_MODELS").stdin(Stdio::null());
    installed
}

#[test]
fn the_program_alone_says_where_its_models_belong() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let info = ["model", "info", "spiral-en-small"];
    let lost = finish(installed(folder).args(info));
    for part in ["no model `spiral-en-small`", "AURICLE_MODELS", "comes with the program"] {
        assert!(lost.code == Some(1) && lost.stderr.contains(part), "{part}: {lost:?}");
    }
    let typo = finish(installed(folder).args(["model", "info", "spiral-small"]));
    assert!(typo.stderr.contains("spiral-en-small"), "{typo:?}");
    // Letters to sounds are part of it.
    let said = finish(installed(folder).args(["lexicon", "pronounce", "zorkish"])).succeeded().stdout;
    assert!(said.contains("(guessed)"), "{said}");

    let shipped = workspace().join(PRETRAINED);
    finish(installed(folder).args(info).env("AURICLE_MODELS", &shipped)).succeeded();
    for place in ["bin/models", "share/auricle/models"] {
        let place = folder.join(place);
        std::fs::create_dir_all(place.join("spiral-en-small")).unwrap();
        let weights = "spiral-en-small/model.safetensors";
        std::fs::copy(shipped.join(weights), place.join(weights)).unwrap();
        let found = finish(installed(folder).args(info)).succeeded().stdout;
        assert!(found.contains(place.join(weights).to_str().unwrap()), "{found}");
        std::fs::remove_dir_all(place).unwrap();
    }
}

#[test]
fn devices_of_this_machine_lead_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let text = auricle(folder.path(), &["device"]).succeeded().stdout;
    let simulated: Vec<bool> =
        text.lines().filter(|line| !line.starts_with(' ')).map(|line| line.contains("simulated")).collect();
    assert!(text.starts_with("cpu ") && simulated.is_sorted() && simulated.contains(&true), "{text}");
    let json = &auricle(folder.path(), &["device", "--json"]).succeeded().json_lines()[0];
    let simulated: Vec<bool> =
        json.as_array().unwrap().iter().map(|device| device["simulated"] == true).collect();
    assert!(simulated.is_sorted() && simulated.contains(&true), "{json}");
}
