//! Audio that is damaged, missing, huge or odd; manifests that are broken.

use auricle_data::{Manifest, Utterance};
use auricle_tests::program::{
    Finished, auricle, command, corpus, ctc_recipe, finish, small_corpus, some, tiny_recogniser, wait_for,
};
use auricle_tests::sounds::{WavFormat, flac, tone, write_hours, write_wav};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Files that are to be read: `a`, FLAC whose end is missing, FLAC in a file called WAV, `w`, 8 channels at 96 kHz, `z`.
const GOOD: [&str; 5] = ["a.wav", "cut.flac", "flac-called.wav", "wide.wav", "z.ogg"];

/// Files that cannot be read, and what must be said of them.
const BAD: [(&str, &str); 5] = [
    ("empty.wav", "holds no audio (0 bytes); remove it from the manifest"),
    ("hole.flac", "is damaged at sample"),
    ("letter.wav", "is not WAV, FLAC, Ogg Vorbis, MP3 or AAC/M4A by its content"),
    ("nan.wav", "not a finite number at position 5000; re-encode it"),
    ("no-samples.wav", "holds no audio (a header and no samples)"),
];

/// Writes them all into a folder.
fn write_all(folder: &Path) {
    let at = |name: &str| folder.join(name);
    write_wav(&at("a.wav"), WavFormat::mono16(16_000), &tone(16_000, 0.8));
    std::fs::write(at("flac-called.wav"), flac()).unwrap();
    let group: Vec<u8> = (0..8).flat_map(|channel| [0, channel << 3]).collect();
    let wide = WavFormat { tag: 1, channels: 8, sample_rate: 96_000, bits: 16 };
    write_wav(&at("wide.wav"), wide, &group.repeat(96_000));
    std::fs::copy(&some(&corpus().test, 100)[0].audio, at("z.ogg")).unwrap();

    let whole = flac();
    std::fs::write(at("cut.flac"), &whole[..whole.len() * 9 / 10]).unwrap();
    std::fs::write(at("empty.wav"), b"").unwrap();
    // A frame with others behind it.
    let mut hole = whole;
    let middle = hole.len() * 8 / 10;
    hole[middle] ^= 0x55;
    std::fs::write(at("hole.flac"), hole).unwrap();
    std::fs::write(at("letter.wav"), "Dear reader,\n".repeat(2_000)).unwrap();
    let mut samples = vec![0.25f32; 16_000];
    samples[5_000] = f32::NAN;
    let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    write_wav(&at("nan.wav"), WavFormat { tag: 3, channels: 1, sample_rate: 16_000, bits: 32 }, &bytes);
    write_wav(&at("no-samples.wav"), WavFormat::mono16(16_000), b"");
}

fn decode(folder: &Path, inputs: &[&str]) -> Finished {
    let model = tiny_recogniser().to_str().unwrap();
    auricle(folder, &[&["decode", "--model", model, "--json", "--quiet"], inputs].concat())
}

fn ids(finished: &Finished) -> Vec<String> {
    finished.json_lines().iter().map(|line| line["id"].as_str().unwrap().to_string()).collect()
}

fn stem(name: &str) -> String {
    Path::new(name).file_stem().unwrap().to_str().unwrap().to_string()
}

/// Every bad file has one line of its own that names it, and every good one is transcribed.
fn assert_good_ones_survive(finished: Finished) {
    assert_eq!(ids(&finished), GOOD.map(stem));
    let finished = finished.failed_with(&[]);
    let errors: Vec<&str> = finished.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    for (name, reason) in BAD {
        let found = errors.iter().filter(|line| line.contains(name) && line.contains(reason)).count();
        assert_eq!(found, 1, "{name}: {}", finished.stderr);
    }
    assert_eq!(errors.len(), BAD.len(), "{}", finished.stderr);
    let warned = |line: &&str| line.starts_with("warning: ") && line.contains("cut.flac");
    assert_eq!(finished.stderr.lines().filter(warned).count(), 1, "{}", finished.stderr);
}

#[test]
fn decoding_goes_on_past_files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("mixed")).unwrap();
    write_all(&folder.path().join("mixed"));
    let at = |name: &str| format!("mixed/{name}");
    // One by one…
    let mut names: Vec<String> = GOOD.iter().chain(BAD.map(|(name, _)| name).iter()).map(|n| at(n)).collect();
    names.sort();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_good_ones_survive(decode(folder.path(), &names));
    // …as a folder…
    assert_good_ones_survive(decode(folder.path(), &["mixed"]));
    // …and as a manifest, whose lines say more seconds than there are.
    let utterances: Vec<Utterance> =
        names.iter().map(|name| Utterance::new(stem(name), folder.path().join(name), 0.9)).collect();
    Manifest::write(&folder.path().join("all.jsonl"), &utterances).unwrap();
    assert_good_ones_survive(decode(folder.path(), &["all.jsonl"]));
    // What is not there at all.
    let finished = decode(folder.path(), &["mixed/a.wav", "mixed/gone.wav", "gone.jsonl"]);
    assert_eq!(ids(&finished), ["a"]);
    finished.failed_with(&["mixed/gone.wav", "gone.jsonl", "No such file"]);
}

#[test]
fn the_doctor_finds_what_cannot_be_read_and_mends_the_manifest() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("mixed")).unwrap();
    write_all(&folder.path().join("mixed"));
    let finished = auricle(folder.path(), &["data", "check", "mixed", "--json", "--fix", "mended"]);
    assert_eq!(finished.code, Some(1), "{finished:#?}");
    let report = &finished.json_lines()[0];
    let unreadable: Vec<(String, String)> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["kind"] == "unreadable")
        .map(|f| (f["id"].as_str().unwrap().to_string(), f["detail"].as_str().unwrap().to_string()))
        .collect();
    assert_eq!(unreadable.len(), BAD.len(), "{report}");
    for ((id, detail), (name, reason)) in unreadable.iter().zip(BAD) {
        assert!(*id == stem(name) && detail.contains(name) && detail.contains(reason), "{id}: {detail}");
    }
    let mended = Manifest::read(&folder.path().join("mended/mixed.jsonl")).unwrap();
    assert_eq!(mended.iter().map(|u| u.id.clone()).collect::<Vec<_>>(), GOOD.map(stem));
    assert_eq!(mended[3].duration_secs, 1.0, "8 channels at 96 kHz");
    let again = ["data", "check", "mended/mixed.jsonl", "--needs-text"];
    auricle(folder.path(), &again[..3]).succeeded();
    // Without a transcript it is no corpus for recognition.
    assert!(auricle(folder.path(), &again).stdout.contains("no-text: 5"));
    // Conversion says at once that not all of it is good.
    auricle(folder.path(), &["data", "convert", "mixed", "--out", "all.jsonl"]).failed_with(&[
        "3 of them cannot be read",
        "empty.wav",
        "data check all.jsonl --fix",
    ]);
    auricle(folder.path(), &["data", "check", "gone"]).failed_with(&["gone", "No such file"]);
}

#[test]
fn a_broken_line_of_a_manifest_is_named_by_its_number() {
    let folder = tempfile::tempdir().unwrap();
    small_corpus(folder.path());
    let path = folder.path().join("train.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let broken = &lines[6][..lines[6].len() / 2];
    lines[6] = broken;
    std::fs::write(&path, lines.join("\n")).unwrap();
    std::fs::write(folder.path().join("ctc.toml"), ctc_recipe(2)).unwrap();
    let named = ["train.jsonl, line 7", "a manifest line is"];
    auricle(folder.path(), &["train", "ctc.toml"]).failed_with(&named);
    let checked = auricle(folder.path(), &["data", "check", "train.jsonl"]);
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(checked.stdout.contains("train line 7") && checked.stdout.contains("--fix"), "{checked:?}");
    decode(folder.path(), &["train.jsonl"]).failed_with(&named);
}

/// Training meets a file that was damaged after it was listed, says which, keeps its steps, and
/// goes on as if nothing had happened when the file is whole again.
#[test]
fn training_survives_a_damaged_recording() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small_corpus(folder);
    let mut utterances = Manifest::read(&folder.join("train.jsonl")).unwrap();
    for utterance in &mut utterances {
        let own = folder.join(utterance.audio.file_name().unwrap());
        std::fs::copy(&utterance.audio, &own).unwrap();
        utterance.audio = own;
    }
    Manifest::write(&folder.join("train.jsonl"), &utterances).unwrap();
    // Three epochs of one batch after the other: the damage comes in the second.
    std::fs::write(
        folder.join("ctc.toml"),
        ctc_recipe(12).replace("checkpoint_every = 4", "checkpoint_every = 50"),
    )
    .unwrap();
    let train = |run: &str| auricle(folder, &["train", "ctc.toml", "--quiet", "--resume", "--run", run]);
    train("whole").succeeded();
    let victim = utterances[11].audio.clone();
    let bytes = std::fs::read(&victim).unwrap();
    std::fs::write(&victim, &bytes[..bytes.len() / 2]).unwrap();
    let name = victim.file_name().unwrap().to_str().unwrap();
    train("damaged").failed_with(&[&format!("utterance {}", utterances[11].id), name, "fetch it again"]);
    let steps = auricle_tests::program::logged_step(&folder.join("damaged"));
    assert_eq!(folder.join("damaged/checkpoints/last.safetensors").exists(), steps > 0);
    train("damaged").failed_with(&[&utterances[11].id]);
    std::fs::write(&victim, &bytes).unwrap();
    train("damaged").succeeded();
    let model = |run: &str| std::fs::read(folder.join(run).join("model.safetensors")).unwrap();
    assert!(model("whole") == model("damaged"));
    // A list of files with one that cannot be read is refused before the first step.
    std::fs::write(&victim, b"").unwrap();
    let table: String = utterances.iter().map(|u| format!("{}\tone word\n", u.audio.display())).collect();
    std::fs::write(folder.join("list.tsv"), format!("path\ttext\n{table}")).unwrap();
    auricle(folder, &["train", "ctc.toml", "--run", "listed", "--set", "data.train=['list.tsv']"])
        .failed_with(&["list.tsv", victim.to_str().unwrap(), "data check list.tsv --fix FOLDER"]);
}

/// Three hours with speech here and there: transcribed and encoded in bounded memory, and far too long for one
/// training step.
#[test]
fn three_hours_are_decoded_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("long.wav");
    let spoken =
        auricle_audio::read_at(&some(&corpus().test, 100)[0].audio, 8_000, &auricle_audio::Limits::default());
    let speech: Vec<u8> =
        spoken.unwrap().samples.iter().flat_map(|x| ((x * 32_767.0) as i16).to_le_bytes()).collect();
    write_hours(&path, 3 * 3_600, &speech, &[100, 5_000, 10_000]);
    let model = tiny_recogniser().to_str().unwrap();
    let peak = |args: &[&str]| {
        let mut program = command(folder.path());
        program.args(args).args(["--model", model, "--quiet"]);
        let mut child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut peak = 0;
        wait_for("the end of the program", || {
            peak = peak.max(peak_kib(child.id()).unwrap_or(0));
            child.try_wait().unwrap()
        });
        (peak, child.wait_with_output().unwrap())
    };
    let short = some(&corpus().test, 100)[0].audio.clone();
    let (usual, _) = peak(&["decode", "--json", short.to_str().unwrap()]);
    let (long, output) = peak(&["decode", "--json", "long.wav"]);
    assert!(output.status.success(), "{output:?}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["duration_secs"], 10_800.0);
    for word in json["words"].as_array().unwrap() {
        let start = word["start_secs"].as_f64().unwrap();
        assert!([100.0, 5_000.0, 10_000.0].iter().any(|at| (at - 1.0..at + 3.0).contains(&start)), "{word}");
    }
    // As 32-bit samples at 16 kHz the recording alone would be 659 MiB.
    assert!(long < usual + 64 * 1024, "{long} KiB, {usual} KiB for a short one");

    let out = folder.path().join("long.safetensors");
    let (long, output) = peak(&["encode", "long.wav", "--out", out.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let (frames, _) = auricle_nn::weights::from_bytes(&std::fs::read(&out).unwrap()).unwrap();
    // One every 80 ms, as of a short recording.
    assert_eq!(frames["long"].shape().to_vec(), [135_000, 24]);
    assert!(long < usual + 128 * 1024, "{long} KiB, {usual} KiB for decoding a short one");

    small_corpus(folder.path());
    std::fs::write(folder.path().join("ctc.toml"), ctc_recipe(2)).unwrap();
    std::fs::write(folder.path().join("long.txt"), "good morning").unwrap();
    let long_only = ["train", "ctc.toml", "--quiet", "--set", "data.train=['long.wav']"];
    auricle(folder.path(), &long_only).failed_with(&["no training utterance is left", "data.max_secs"]);
    let needed = ["data", "check", "long.wav", "--recipe", "ctc.toml"];
    finish(command(folder.path()).args(needed)).succeeded();
}

/// The most memory that a process has had so far, where the system tells.
fn peak_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
