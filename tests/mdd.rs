//! Mispronunciation detection through the program: train, score, evaluate, and what is refused.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_data::Manifest;
use auricle_tests::program::{auricle, command, finish, small_corpus, some, workspace};
use auricle_tests::sounds::{WavFormat, music, telephone, write_wav};
use auricle_text::{Perceived, Slot};
use serde_json::Value;
use std::path::Path;

/// A model of three steps in `<folder>/run`.
fn trained(folder: &Path) {
    small_corpus(folder);
    let recipe = workspace().join("recipes/quickstart/mdd.toml");
    let args = [
        "train",
        recipe.to_str().unwrap(),
        "--quiet",
        "--run",
        "run",
        "--set",
        "data.train=['train.jsonl']",
        "--set",
        "data.validation=['dev.jsonl']",
        "--set",
        "train.steps=3",
        "--set",
        "batch.batch_secs=10",
    ];
    auricle(folder, &args).succeeded();
}

#[test]
fn a_model_is_trained_scores_and_is_scored() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder);
    let [utterance] = some(&folder.join("dev.jsonl"), 100).try_into().unwrap();
    let audio = utterance.audio.display().to_string();
    let phones = utterance.phones.clone().unwrap();

    let score =
        |options: &[&str]| auricle(folder, &[&["mdd", "score", "--model", "run", &audio], options].concat());
    let given = phones.join(" ");
    let scored = &score(&["--phones", &given, "--json"]).succeeded().json_lines()[0];
    let list = scored["words"][0]["phones"].as_array().unwrap();
    assert_eq!(list.len(), phones.len());
    let mut end = 0.0;
    for (phone, name) in list.iter().zip(&phones) {
        assert_eq!(phone["phone"], name.to_lowercase());
        let number = |key: &str| phone[key].as_f64().unwrap();
        assert!((0.0..=100.0).contains(&number("score")), "{phone}");
        assert_eq!(phone["mispronounced"], number("score") < 50.0);
        assert!(number("start_secs") >= end && number("end_secs") <= utterance.duration_secs, "{phone}");
        end = number("end_secs");
    }
    // Words take their phones from a lexicon, and several pronunciations are tried.
    std::fs::write(folder.join("own.dict"), "zork Z AO1 R K\nzork(2) S AO1 K\n").unwrap();
    let by_word =
        &score(&["--text", "Zork, zork!", "--lexicon", "own.dict", "--json"]).succeeded().json_lines()[0];
    assert_eq!(by_word["words"].as_array().unwrap().len(), 2);
    assert_eq!(by_word["words"][0]["source"], "overlay");

    let ctm = score(&["--phones", &given, "--ctm"]).succeeded().stdout;
    assert_eq!(ctm.lines().count(), phones.len());
    let grid = score(&["--phones", &given, "--textgrid"]).succeeded().stdout;
    assert!(grid.starts_with("File type = \"ooTextFile\"") && grid.contains("intervals: size = 1"), "{grid}");
    assert!(score(&["--phones", &given]).succeeded().stdout.contains(&utterance.id));

    let evaluated = auricle(folder, &["eval", "mdd", "--model", "run", "dev.jsonl", "--json", "--quiet"]);
    let scores = &evaluated.succeeded().json_lines()[0];
    let count: usize =
        some(&folder.join("dev.jsonl"), 1).iter().map(|u| u.phones.as_ref().unwrap().len()).sum();
    assert_eq!(scores["phones"], count);
    for name in ["stream", "classifier", "fused"] {
        let rate = scores[name]["detection_accuracy"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&rate));
    }
    assert!(scores["scorer_m"]["true_acceptances"].is_u64() && scores["phone_pcc"] == Value::Null);
    assert_eq!(scores["simulated"], Value::Null);
    // Nobody is cleared by fusion: it rejects what the decoder or the classifier rejects.
    let rejected = |kind: &str| {
        ["true_rejections", "false_rejections"].map(|n| scores[kind][n].as_u64().unwrap()).iter().sum::<u64>()
    };
    assert!(rejected("fused") >= rejected("stream").max(rejected("classifier")));
    let cells = ["true_acceptances", "false_rejections", "false_acceptances", "true_rejections"];
    for kind in ["fused", "fused_scorer_m"] {
        let all: u64 = cells.iter().map(|name| scores[kind][*name].as_u64().unwrap()).sum();
        assert!(all >= count as u64, "{kind}: {all} of {count}");
    }
    let phones = scores["by_phone"].as_array().unwrap();
    assert_eq!(phones.iter().map(|row| row["said"].as_u64().unwrap()).sum::<u64>(), count as u64);
    assert!(phones.iter().any(|row| !row["perceived"].as_array().unwrap().is_empty()));

    // By first language: every group's counts, and together those of all.
    let mut spoken = Manifest::read(&folder.join("dev.jsonl")).unwrap();
    for (i, utterance) in spoken.iter_mut().enumerate() {
        utterance.extra.insert("l1".into(), ["Hindi", "Korean"][i % 2].into());
    }
    Manifest::write(&folder.join("l1.jsonl"), &spoken).unwrap();
    let by_l1 = auricle(folder, &["eval", "mdd", "--model", "run", "l1.jsonl", "--json", "--quiet"]);
    let by_l1 = &by_l1.succeeded().json_lines()[0];
    let groups = by_l1["by_group"].as_array().unwrap();
    assert_eq!(
        groups.iter().map(|row| row["group"].as_str().unwrap()).collect::<Vec<_>>(),
        ["Hindi", "Korean"]
    );
    for cell in cells {
        let sum: u64 = groups.iter().map(|row| row[cell].as_u64().unwrap()).sum();
        assert_eq!(sum, by_l1["fused_scorer_m"][cell].as_u64().unwrap(), "{cell}");
    }

    // What this model finds hard to hear, for a curriculum.
    let hard = ["data", "difficulty", "--model", "run", "dev.jsonl", "--out", "errors.jsonl", "--quiet"];
    auricle(folder, &hard).succeeded();
    let known = std::fs::read_to_string(folder.join("errors.jsonl")).unwrap();
    let known: Vec<Value> = known.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(known.len(), spoken.len());
    assert!(known.iter().all(|line| line["error"].as_f64().is_some_and(|error| error >= 0.0)), "{known:?}");

    // Every phone that is asked for is another one than the corpus asks for.
    let simulated = |share: &str| {
        let args = ["eval", "mdd", "--model", "run", "dev.jsonl", "--json", "--quiet", "--simulate", share];
        auricle(folder, &args)
    };
    let all = &simulated("1").succeeded().json_lines()[0];
    let substituted = all["simulated"]["substituted"].as_u64().unwrap() as usize;
    assert!(substituted > count / 2 && substituted <= count, "{substituted} of {count}");
    assert!(all["simulated"]["good"].as_u64().unwrap() <= (count - substituted) as u64);
    simulated("1.5").failed_with(&["--simulate"]);

    // Storing the best threshold keeps the precision of the weights.
    let weights = folder.join("run/model.safetensors");
    auricle(folder, &["model", "export", "run", "--f16", "--out", "half"]).succeeded();
    let size = |name: &std::path::Path| std::fs::metadata(name).unwrap().len();
    let half = folder.join("half/model.safetensors");
    let before = size(&half);
    auricle(folder, &["eval", "mdd", "--model", "half", "dev.jsonl", "--store-threshold", "--quiet"])
        .succeeded();
    assert!(size(&half).abs_diff(before) < 100 && size(&half) < size(&weights) * 2 / 3);
}

#[test]
fn a_recording_that_is_played_gives_what_the_file_gives() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder);
    let [utterance] = some(&folder.join("dev.jsonl"), 100).try_into().unwrap();
    let audio = utterance.audio.display().to_string();
    std::fs::write(folder.join("own.dict"), "zork Z AO1 R K\nzork(2) S AO1 K\n").unwrap();
    let with = ["--text", "zork zork", "--lexicon", "own.dict", "--model", "run", "--json"];
    let file = &auricle(folder, &[&["mdd", "score", &audio], &with[..]].concat()).succeeded().json_lines()[0];
    let played =
        auricle(folder, &[&["mdd", "mic", "--hold", "--replay", &audio], &with[..]].concat()).succeeded();
    let played = &played.json_lines()[0];
    assert_eq!(played["words"], file["words"]);
    assert_eq!(played["score"], file["score"]);
    // Microphones are a feature of the build; with it, this machine may have none.
    let listed = auricle(folder, &["mdd", "mic", "--list-devices"]);
    if listed.code != Some(0) {
        assert!(
            listed.stderr.contains("--features mic") || listed.stderr.contains("there is no microphone"),
            "{listed:?}"
        );
    }
    auricle(folder, &["mdd", "mic", "--model", "run"]).failed_with(&["--text"]);
}

#[test]
fn a_precision_that_the_task_does_not_have_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    small_corpus(folder.path());
    let recipe = workspace().join("recipes/quickstart/mdd.toml");
    let own = [
        "--set",
        "data.train=['train.jsonl']",
        "--set",
        "data.validation=['dev.jsonl']",
        "--set",
        "train.precision=bf16",
    ];
    auricle(folder.path(), &[&["train", recipe.to_str().unwrap(), "--run", "run"], &own[..]].concat())
        .failed_with(&["`cca_mdd` compute in f32", "train.precision"]);
}

#[test]
fn what_cannot_be_judged_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder);
    let [utterance] = some(&folder.join("dev.jsonl"), 100).try_into().unwrap();
    let audio = utterance.audio.display().to_string();
    let score = |options: &[&str]| {
        let args = [&["mdd", "score", "--model", "run", &audio], options].concat();
        let mut command = command(folder);
        finish(command.args(args))
    };
    std::fs::write(folder.join("own.dict"), "one W AH1 N\n").unwrap();
    score(&["--text", " ?! ", "--lexicon", "own.dict"]).failed_with(&["the prompt has no words"]);
    score(&["--text", "one%", "--lexicon", "own.dict"]).failed_with(&["write it as a word"]);
    score(&["--phones", ""]).failed_with(&["--phones: there are no phones"]);
    score(&["--phones", "W AH Q"]).failed_with(&["`Q` is no phone"]);
    score(&["--phones", "W", "--threshold", "101"]).failed_with(&["scores are 0 to 100"]);
    let long = vec!["AH"; 2_000].join(" ");
    score(&["--phones", &long]).failed_with(&["the prompt has 2000 phones"]);
    std::fs::write(folder.join("empty.wav"), "").unwrap();
    auricle(folder, &["mdd", "score", "--model", "run", "--phones", "W", "empty.wav"])
        .failed_with(&["empty.wav"]);
    auricle(folder, &["mdd", "score", "--model", "gone", "--phones", "W", &audio])
        .failed_with(&["no model `gone`"]);
    // Nobody judged these: there is nothing to compare with.
    std::fs::write(
        folder.join("bare.jsonl"),
        format!(
            "{}\n",
            serde_json::json!({"id": "a", "audio": audio, "duration_secs": 1.0, "phones": ["W"]})
        ),
    )
    .unwrap();
    auricle(folder, &["eval", "mdd", "--model", "run", "bare.jsonl"])
        .failed_with(&["utterance a", "perceived_phones nor phone_scores"]);
    // A manifest whose scores do not fit its phones.
    std::fs::write(
        folder.join("odd.jsonl"),
        format!(
            "{}\n",
            serde_json::json!({"id": "b", "audio": audio, "duration_secs": 1.0, "phones": ["W"], "phone_scores": [2.0, 3.0]})
        ),
    )
    .unwrap();
    auricle(folder, &["eval", "mdd", "--model", "run", "odd.jsonl"])
        .failed_with(&["utterance b", "phone_scores must be 1 numbers"]);
}

#[test]
fn odd_recordings_are_judged_and_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder);
    let [utterance] = some(&folder.join("dev.jsonl"), 100).try_into().unwrap();
    let phones = utterance.phones.clone().unwrap().join(" ");
    let loud = utterance.samples(48_000).unwrap().iter().map(|x| (30.0 * x).clamp(-1.0, 1.0)).collect();
    for (name, rate, samples, code) in [
        ("silence.wav", 16_000, vec![0.0; 48_000], Some("silence")),
        ("clipped.wav", 48_000, loud, Some("clipped")),
        ("music.wav", 44_100, music(44_100, 3.0), None),
        ("telephone.wav", 8_000, telephone(&utterance.samples(8_000).unwrap()), None),
    ] {
        let bytes: Vec<u8> =
            samples.iter().flat_map(|x: &f32| ((x * 32_767.0) as i16).to_le_bytes()).collect();
        write_wav(&folder.join(name), WavFormat::mono16(rate), &bytes);
        let with = ["--model", "run", "--phones", &phones, "--json", name];
        let scored = auricle(folder, &[&["mdd", "score"], &with[..]].concat()).succeeded();
        assert_eq!(scored.stderr.contains("warning: "), code.is_some(), "{name}: {scored:?}");
        let result = &scored.json_lines()[0];
        assert_eq!(result["notice"]["code"].as_str(), code, "{name}: {result}");
        let mut end = 0.0;
        for phone in result["words"][0]["phones"].as_array().unwrap() {
            let number = |key: &str| phone[key].as_f64().unwrap();
            assert!((0.0..=100.0).contains(&number("score")), "{name}: {phone}");
            assert!(
                number("start_secs") >= end && number("end_secs") <= samples.len() as f64 / f64::from(rate)
            );
            end = number("end_secs");
        }
        if name == "telephone.wav" {
            // A chain at 8 kHz from the first sample to the last.
            let args = [&["mdd", "mic", "--hold"], &with[..5], &["--replay", name]].concat();
            let played = auricle(folder, &args).succeeded().json_lines().remove(0);
            assert_eq!((&played["words"], &played["score"]), (&result["words"], &result["score"]));
        }
    }
}

#[test]
fn wrong_phones_have_advice_and_are_written_as_in_l2_arctic() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder);
    let [utterance] = some(&folder.join("dev.jsonl"), 100).try_into().unwrap();
    let audio = utterance.audio.display().to_string();
    let phones = utterance.phones.clone().unwrap();
    let given = phones.join(" ");
    // No score is above 100: every phone is wrong.
    let score = |format: &str| {
        let args =
            ["mdd", "score", "--model", "run", "--phones", &given, "--threshold", "100", format, &audio];
        auricle(folder, &args).succeeded()
    };
    let result = score("--json").json_lines().remove(0);
    let list = result["words"][0]["phones"].as_array().unwrap().clone();
    assert_eq!(list.len(), phones.len());
    for phone in &list {
        assert!(phone["mispronounced"] == true && !phone["hint"].as_str().unwrap().is_empty(), "{phone}");
    }
    let grid = score("--textgrid").stdout;
    let tier = grid.split("name = \"phones\"").nth(1).unwrap().split("name = ").next().unwrap();
    let labels: Vec<&str> =
        tier.lines().filter_map(|line| line.trim().strip_prefix("text = \"")?.strip_suffix('"')).collect();
    assert_eq!(labels.len(), phones.len());
    for ((label, name), phone) in labels.iter().zip(&phones).zip(&list) {
        let slot = Slot::from_l2arctic(label).unwrap().unwrap();
        assert_eq!(slot.canonical, Some(Perceived::from_l2arctic(name).unwrap()), "{label}");
        let said = match phone["said"].as_str() {
            Some("<del>") => None,
            Some(said) => Some(Perceived::from_l2arctic(said).unwrap()),
            None => Some(Perceived::Error),
        };
        assert_eq!(slot.perceived, said, "{label}");
    }
}
