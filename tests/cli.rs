//! The command line: help, machine-readable output, and what each subcommand promises.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_data::{Manifest, Utterance};
use auricle_nn::weights;
use auricle_tests::program::{auricle, corpus, ctc_recipe, small_corpus, some, tiny_recogniser};
use auricle_tests::sounds::{WavFormat, write_wav};
use serde_json::Value;
use std::path::Path;

/// Names of the subcommands in a help text.
fn subcommands(help: &str) -> Vec<String> {
    let Some((_, list)) = help.split_once("Commands:\n") else { return Vec::new() };
    let lines = list.lines().take_while(|line| !line.is_empty());
    // Continued descriptions are indented further.
    let names = lines.filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')));
    names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|n| *n != "help")
        .map(String::from)
        .collect()
}

fn check_help(path: &[&str], leaves: &mut Vec<String>) {
    let help = auricle(Path::new("."), &[path, &["--help"]].concat()).succeeded().stdout;
    let inner = subcommands(&help);
    for name in &inner {
        check_help(&[path, &[name]].concat(), leaves);
    }
    if inner.is_empty() {
        let name = path.join(" ");
        assert!(help.contains("Example"), "`auricle {name} --help` has no example");
        assert!(help.contains(&format!("auricle {name}")), "the example of `{name}` is of something else");
        leaves.push(name);
    }
}

#[test]
fn every_subcommand_has_an_example() {
    let mut leaves = Vec::new();
    check_help(&[], &mut leaves);
    for expected in
        ["quickstart", "train", "decode", "eval asr", "tokenizer encode", "model import", "replay"]
    {
        assert!(leaves.iter().any(|leaf| leaf == expected), "{expected} is not in {leaves:?}");
    }
    assert_eq!(auricle(Path::new("."), &["trian"]).code, Some(2));
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn json_is_json() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small_corpus(folder);
    let run = |args: &[&str]| parse(&auricle(folder, args).succeeded().stdout);
    assert_eq!(run(&["device", "--json"])[0]["name"], "cpu");
    let checked = run(&["data", "check", "train.jsonl", "dev.jsonl", "--json"]);
    assert_eq!((&checked["utterances"], &checked["findings"]), (&26.into(), &Value::Array(vec![])));
    let audio = corpus().dev.parent().unwrap().join("audio");
    let prepared = run(&["prepare", "tree", audio.to_str().unwrap(), "--out", "tree", "--json"]);
    assert_eq!(prepared["utterances"], 336);
    let model = tiny_recogniser().to_str().unwrap();
    let info = run(&["model", "info", model, "--json", "--tensors"]);
    assert_eq!(info["metadata"]["kind"], "ctc");
    assert_eq!(info["tensors"]["mask_vector"], serde_json::json!([128]));
    let values: u64 = info["tensors"]
        .as_object()
        .unwrap()
        .values()
        .map(|shape| shape.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).product::<u64>())
        .sum();
    assert_eq!(info["parameters"], values);
}

#[test]
fn tokenizers_give_back_what_they_were_given() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small_corpus(folder);
    let text = Manifest::read(&folder.join("dev.jsonl")).unwrap()[0].text.clone().unwrap().to_lowercase();
    for (kind, size) in [("unigram", "60"), ("bpe", "80")] {
        let file = format!("{kind}.json");
        let learn =
            ["tokenizer", "train", "train.jsonl", "--kind", kind, "--vocab-size", size, "--out", &file];
        let said = auricle(folder, &learn).succeeded().stdout;
        assert_eq!(said, format!("{file}: {size} tokens from 20 texts\n"));
        let said = auricle(folder, &["tokenizer", "encode", &file, &text]).succeeded().stdout;
        let (ids, pieces) = said.trim_end().split_once("] ").unwrap();
        let pieces: Vec<&str> = pieces.split('|').collect();
        assert_eq!(pieces.concat().replace('▁', " ").trim(), text, "{said}");
        let ids = parse(&format!("{ids}]"));
        assert_eq!(ids.as_array().unwrap().len(), pieces.len());
        // Some piece is longer than a character; a word boundary comes before the first word, too.
        assert!(pieces.len() < text.len() + 1, "{said}");
        // The same corpus gives the same file.
        let before = std::fs::read(folder.join(&file)).unwrap();
        auricle(folder, &learn).succeeded();
        assert!(before == std::fs::read(folder.join(&file)).unwrap());
    }
    let said = auricle(folder, &["tokenizer", "encode", "characters", "a cab"]).succeeded().stdout;
    // Every word ends with a space, the last one, too.
    assert!(said.ends_with(" a| |c|a|b| \n"), "{said}");
}

/// Six utterances, long and short ones in turn, in a manifest, as files and as a folder.
fn recordings(folder: &Path) -> Vec<Utterance> {
    let mut utterances = some(&corpus().test, 8);
    utterances.sort_by(|a, b| a.duration_secs.total_cmp(&b.duration_secs));
    let middle = utterances.split_off(3).into_iter().rev();
    utterances = utterances.into_iter().zip(middle).flat_map(|(short, long)| [long, short]).collect();
    std::fs::create_dir(folder.join("audio")).unwrap();
    for (number, utterance) in utterances.iter_mut().enumerate() {
        utterance.id = format!("u{number}");
        let audio = folder.join("audio").join(&utterance.id).with_extension("ogg");
        std::fs::copy(&utterance.audio, &audio).unwrap();
        utterance.audio = audio;
    }
    Manifest::write(&folder.join("all.jsonl"), &utterances).unwrap();
    utterances
}

fn decode(folder: &Path, args: &[&str]) -> String {
    let model = tiny_recogniser().to_str().unwrap();
    let batch = ["decode", "--model", model, "--quiet", "--batch-secs", "5"];
    auricle(folder, &[&batch, args].concat()).succeeded().stdout
}

#[test]
fn decoding_is_in_the_order_of_the_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let utterances = recordings(folder);
    let json = decode(folder, &["all.jsonl", "--json"]);
    let lines: Vec<Value> = json.lines().map(parse).collect();
    let ids =
        |lines: &[Value]| lines.iter().map(|l| l["id"].as_str().unwrap().into()).collect::<Vec<String>>();
    assert_eq!(ids(&lines), utterances.iter().map(|u| u.id.clone()).collect::<Vec<_>>());
    assert_eq!(json, decode(folder, &["audio", "--json"]), "a folder");
    let mut files: Vec<&str> = utterances.iter().map(|u| u.audio.to_str().unwrap()).collect();
    files.reverse();
    files.push("--json");
    let mut reversed: Vec<Value> = decode(folder, &files).lines().map(parse).collect();
    // A file is named as it was given.
    for (line, file) in reversed.iter_mut().zip(&files) {
        let given = line.as_object_mut().unwrap().remove("audio").unwrap();
        assert_eq!(given, **file, "{line}");
    }
    let expected = lines.iter().rev().cloned().map(|mut line| {
        line.as_object_mut().unwrap().remove("audio");
        line
    });
    assert_eq!(reversed, expected.collect::<Vec<_>>(), "files in another order");
    decode(folder, &["all.jsonl", "--json", "--out", "out.jsonl"]);
    assert_eq!(json, std::fs::read_to_string(folder.join("out.jsonl")).unwrap());
    let text: Vec<String> = lines
        .iter()
        .map(|line| format!("{} {}\n", line["id"].as_str().unwrap(), line["text"].as_str().unwrap()))
        .collect();
    assert_eq!(decode(folder, &["all.jsonl"]), text.concat());
}

#[test]
fn time_marks_and_subtitles_say_what_the_json_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recordings(folder);
    let lines: Vec<Value> = decode(folder, &["all.jsonl", "--json"]).lines().map(parse).collect();
    // An untrained model babbles, but it must say something for this test to mean anything.
    let mut words = Vec::new();
    for line in &lines {
        for word in line["words"].as_array().unwrap() {
            let secs = |name: &str| word[name].as_f64().unwrap();
            let duration = line["duration_secs"].as_f64().unwrap();
            assert!(0.0 <= secs("start_secs") && secs("start_secs") < secs("end_secs"), "{word}");
            // The last frame may reach over the end by less than itself.
            assert!(secs("end_secs") < duration + 0.1, "{line}");
            let id = line["id"].as_str().unwrap().to_string();
            words.push((
                id,
                secs("start_secs"),
                secs("end_secs"),
                word["word"].as_str().unwrap().to_string(),
            ));
        }
    }
    assert!(!words.is_empty(), "{lines:?}");
    let ctm = decode(folder, &["all.jsonl", "--ctm"]);
    assert_eq!(ctm.lines().count(), words.len());
    for (line, (id, start, end, word)) in ctm.lines().zip(&words) {
        let fields: Vec<&str> = line.split(' ').collect();
        let number = |i: usize| fields[i].parse::<f64>().unwrap();
        assert_eq!((fields.len(), fields[0], fields[1], fields[4]), (6, id.as_str(), "1", word.as_str()));
        assert!((number(2) - start).abs() < 1e-3 && (number(3) - (end - start)).abs() < 1e-3, "{line}");
        assert!((0.0..=1.0).contains(&number(5)), "{line}");
    }
    let srt = decode(folder, &["all.jsonl", "--srt"]);
    let mut said = Vec::new();
    for (number, cue) in srt.split_terminator("\n\n").enumerate() {
        let rows: Vec<&str> = cue.lines().collect();
        let (from, to) = rows[1].split_once(" --> ").unwrap();
        assert_eq!((rows.len(), rows[0]), (3, (number + 1).to_string().as_str()), "{cue}");
        let shape = |time: &str| time.replace(|c: char| c.is_ascii_digit(), "9");
        assert!([from, to].iter().all(|time| shape(time) == "99:99:99,999") && from < to, "{cue}");
        said.extend(rows[2].split(' '));
    }
    assert_eq!(said, words.iter().map(|w| w.3.as_str()).collect::<Vec<_>>());
    assert_eq!(auricle(folder, &["decode", "all.jsonl", "--ctm", "--srt"]).code, Some(2));
}

#[test]
fn scores_are_exact() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Substituted, deleted, inserted, and missing altogether.
    let references = [("a", "the cat sat"), ("b", "on the mat"), ("c", "one two"), ("d", "Good MORNING")];
    let utterances: Vec<Utterance> =
        references.iter().map(|(id, text)| Utterance::new(*id, "x.wav", 1.0).with_text(*text)).collect();
    Manifest::write(&folder.join("ref.jsonl"), &utterances).unwrap();
    std::fs::write(folder.join("hyp.txt"), "d good morning\na the cut sat\nb on mat mat mat\n").unwrap();
    let args = ["eval", "asr", "--ref", "ref.jsonl", "--hyp", "hyp.txt"];
    let json = parse(&auricle(folder, &[&args[..], &["--json"]].concat()).succeeded().stdout);
    // a: 1 of 3; b: `the` → `mat` and one `mat` too many, 2 of 3; c: 2 of 2 deleted; d: none of 2.
    let expected =
        serde_json::json!({ "substitutions": 2, "deletions": 2, "insertions": 1, "reference": 10 });
    assert_eq!(json["words"], expected);
    assert_eq!((&json["wer"], &json["missing"]), (&0.5.into(), &serde_json::json!(["c"])));
    // a: 1; b: `the ` → `mat mat `, 4 inserted and 2 substituted around the t and the space; c: 7
    // deleted; of 11 + 10 + 7 + 12 characters.
    assert_eq!(json["characters"]["reference"], 40);
    assert_eq!(json["cer"], 14.0 / 40.0);
    let interval: Vec<f64> =
        json["wer_interval_95"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert!(interval[0] <= 0.5 && 0.5 <= interval[1], "{interval:?}");
    let said = auricle(folder, &[&args[..], &["--report", "report.txt"]].concat()).succeeded().stdout;
    assert!(said.contains("WER         50.00 %") && said.contains("CER         35.00 %"), "{said}");
    assert!(said.contains("2 substitutions, 2 deletions, 1 insertions, 10 words"), "{said}");
    assert!(std::fs::read_to_string(folder.join("report.txt")).unwrap().contains("mat"));
    // Lines of JSON say the same; a broken one is named.
    let lines = [("d", "good morning"), ("a", "the cut sat"), ("b", "on mat mat mat")]
        .map(|(id, text)| format!("{}\n", serde_json::json!({ "id": id, "text": text })));
    std::fs::write(folder.join("hyp.txt"), lines.concat()).unwrap();
    assert_eq!(parse(&auricle(folder, &[&args[..], &["--json"]].concat()).succeeded().stdout), json);
    std::fs::write(folder.join("hyp.txt"), format!("{}{{\"id\": ", lines[0])).unwrap();
    auricle(folder, &args).failed_with(&["hyp.txt, line 2"]);
    std::fs::write(folder.join("hyp.txt"), "q hello\n").unwrap();
    auricle(folder, &args)
        .failed_with(&["ref.jsonl and hyp.txt: no id of the references is among the hypotheses"]);
}

fn tensors(path: &Path) -> (auricle_nn::params::NamedTensors, weights::Metadata) {
    weights::from_bytes(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn models_are_exported_and_averaged() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let model = tiny_recogniser();
    let name = model.to_str().unwrap();
    let licensed = ["--licence", "CC0-1.0", "--provenance", "built-in corpus"];
    auricle(folder, &[&["model", "export", name, "--f16", "--out", "half"], &licensed[..]].concat())
        .succeeded();
    let size = |path: &Path| std::fs::metadata(path).unwrap().len();
    assert!(size(&folder.join("half/model.safetensors")) < size(&model.join("model.safetensors")) * 6 / 10);
    let (_, metadata) = tensors(&folder.join("half/model.safetensors"));
    assert_eq!((metadata["licence"].as_str(), metadata["kind"].as_str()), ("CC0-1.0", "ctc"));
    small_corpus(folder);
    auricle(folder, &["decode", "--model", "half", "dev.jsonl"]).succeeded();

    // A second model, which went on from the first with another seed; the mean of both is exact.
    std::fs::write(folder.join("ctc.toml"), ctc_recipe(2)).unwrap();
    let from = format!("model.init_from={name}");
    let other = ["train", "ctc.toml", "--run", "other", "--quiet", "--set", "seed=2", "--set", &from];
    auricle(folder, &other).succeeded();
    auricle(folder, &["model", "average", name, "other", "--out", "mean"]).succeeded();
    let paths = [model.join("model.safetensors"), folder.join("other/model.safetensors")];
    let [(a, _), (b, _)] = paths.map(|path| tensors(&path));
    let (mean, metadata) = tensors(&folder.join("mean/model.safetensors"));
    assert!(metadata.contains_key("tokenizer"));
    let values = |data: &burn::tensor::TensorData| data.try_to_vec::<f32>().unwrap();
    for (name, data) in &mean {
        let expected: Vec<f32> =
            values(&a[name]).iter().zip(values(&b[name])).map(|(a, b)| (a + b) * 0.5).collect();
        assert_eq!(values(data), expected, "{name}");
    }
    auricle(folder, &["decode", "--model", "mean", "dev.jsonl"]).succeeded();
    // Features of an encoder: one matrix an utterance, the same alone and together with others.
    auricle(folder, &["encode", "--model", name, "dev.jsonl", "--out", "all.safetensors"]).succeeded();
    let (features, _) = tensors(&folder.join("all.safetensors"));
    assert_eq!(features.len(), 6);
    let first = some(&folder.join("dev.jsonl"), 1).remove(0);
    let audio = first.audio.to_str().unwrap();
    auricle(folder, &["encode", "--model", name, audio, "--out", "one.safetensors"]).succeeded();
    assert_eq!(values(&tensors(&folder.join("one.safetensors")).0[&first.id]), values(&features[&first.id]));
}

/// What takes time and memory stands beside the log, and the report shows it, and where the words went.
#[test]
fn a_run_reports_its_speed_and_its_errors() {
    let run = tiny_recogniser();
    let lines = |name: &str| -> Vec<Value> {
        std::fs::read_to_string(run.join(name)).unwrap().lines().map(parse).collect()
    };
    let speed = lines("speed.jsonl");
    assert_eq!(speed.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    for line in &speed {
        for name in ["audio_hours_per_hour", "steps_per_sec"] {
            assert!(line[name].as_f64().unwrap() > 0.0, "{line}");
        }
        if cfg!(target_os = "linux") {
            assert!(line["peak_memory_mib"].as_f64().unwrap() > 1.0, "{line}");
        }
    }
    for line in lines("log.jsonl") {
        assert!(line["audio_hours_per_hour"].is_null() && line["peak_memory_mib"].is_null(), "{line}");
    }
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    for part in ["hours of audio per hour", "steps per second", "Word errors", "Worst utterances"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!cfg!(target_os = "linux") || page.contains("Peak memory: "));
    // Six utterances of an untrained model: every one is among the worst.
    let validation = parse(&std::fs::read_to_string(run.join("validation.json")).unwrap());
    assert_eq!(validation["selected_by"][0], "validation/wer");
    let sections = validation["sections"].as_array().unwrap();
    let worst = sections.iter().find(|section| section["heading"] == "Worst utterances").unwrap();
    assert_eq!(worst["rows"].as_array().unwrap().len(), 6);
    let wer =
        100.0 * lines("log.jsonl").iter().rev().find_map(|line| line["validation/wer"].as_f64()).unwrap();
    let text = sections[0]["text"].as_str().unwrap();
    assert!(text.contains(&format!("WER {wer:.2} %")), "{text}, validated {wer}");
}

/// What cannot be read does not keep the others from being encoded, nor leave a trace among them.
#[test]
fn encoding_goes_on_past_bad_files() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let model = tiny_recogniser().to_str().unwrap();
    recordings(folder);
    std::fs::write(folder.join("letter.wav"), "Dear reader,\n".repeat(2_000)).unwrap();
    // Good for longer than a window, then no number: nothing of it may be left in the file.
    let values = (0..180 * 8_000).map(|n| if n == 170 * 8_000 { f32::NAN } else { (n as f32 * 0.1).sin() });
    let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
    write_wav(
        &folder.join("nan.wav"),
        WavFormat { tag: 3, channels: 1, sample_rate: 8_000, bits: 32 },
        &bytes,
    );
    let encode = |inputs: &[&str], out: &str| {
        auricle(folder, &[&["encode", "--model", model, "--out", out], inputs].concat())
    };
    encode(&["all.jsonl"], "good.safetensors").succeeded();
    let said = encode(&["nan.wav", "letter.wav", "all.jsonl", "nowhere.wav"], "some.safetensors");
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), "some.safetensors: 6 utterances\n"));
    for (name, reason) in [("nan.wav", "not a finite number"), ("letter.wav", "not WAV"), ("nowhere.wav", "")]
    {
        let named = |line: &&str| line.contains(name) && line.contains(reason) && line.starts_with("error: ");
        assert_eq!(said.stderr.lines().filter(named).count(), 1, "{name}: {said:?}");
    }
    let (good, _) = tensors(&folder.join("good.safetensors"));
    let (some, described) = tensors(&folder.join("some.safetensors"));
    assert!(good == some && described["layer"] == "output");
    encode(&["all.jsonl", "audio/u0.ogg"], "x").failed_with(&["`u0`", "distinct ids"]);
    encode(&["all.jsonl", "--layer", "9"], "x").failed_with(&["no layer 9", "1 to 3"]);
    assert!(!folder.join("x").exists());
}

#[test]
fn every_key_of_a_recipe_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let said = auricle(folder.path(), &["train", "--keys"]).succeeded().stdout;
    for key in [
        "data.train",
        "schedule.warmup_steps",
        "model.init_head",
        "model.exposure.words",
        "augment.spec.time.prob",
    ] {
        assert!(said.contains(&format!("- `{key}` (")), "{key}");
    }
    auricle(folder.path(), &["train"]).failed_with(&["RECIPE"]);
    auricle(folder.path(), &["train", "--keys", "--resume"]).failed_with(&["--keys"]);
}
