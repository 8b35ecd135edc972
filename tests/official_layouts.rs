//! The recipes at published scale, from corpora in their official layouts to a score: what their READMEs tell to do, on
//! made-up corpora and with sizes of seconds.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_audio::{Audio, write_wav};
use auricle_data::{Manifest, Utterance};
use auricle_tests::program::{auricle, small_corpus, workspace};
use std::path::Path;

const BASE: &str = "runs/librispeech-ctc_base_100h_subword";

/// What makes a recipe of published scale one of seconds.
const SMALL: [&str; 8] = [
    "train.steps=2",
    "train.validate_every=2",
    "batch.batch_secs=10",
    "model.head={kind=\"subword\",width=16}",
    "model.decoder={layers=1,heads=4,feed_forward=32}",
    "model.beam=2",
    "model.anneal_steps=0",
    "data.max_secs=30",
];

fn put(path: &Path, content: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// The recording of an utterance, as a file of a corpus.
fn record(utterance: &Utterance, path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let samples = utterance.samples(16_000).unwrap();
    write_wav(path, &Audio::new(samples, 16_000)).unwrap();
}

/// LibriSpeech, and a recogniser and a bank where the recipes expect them.
fn librispeech(folder: &Path, [train, dev]: &[Vec<Utterance>; 2]) {
    for (set, speaker, utterances) in [
        ("train-clean-100", 1, train),
        ("train-clean-360", 2, train),
        ("train-other-500", 3, dev),
        ("dev-clean", 4, dev),
        ("dev-other", 5, dev),
    ] {
        let chapter = folder.join(format!("corpora/LibriSpeech/{set}/{speaker}/7"));
        let mut transcripts = String::new();
        for (number, utterance) in utterances.iter().enumerate() {
            let id = format!("{speaker}-7-{number:04}");
            record(utterance, &chapter.join(format!("{id}.wav")));
            transcripts += &format!("{id} {}\n", utterance.text.as_deref().unwrap().to_uppercase());
        }
        put(&chapter.join(format!("{speaker}-7.trans.txt")), &transcripts);
    }
    auricle(folder, &["prepare", "librispeech", "corpora/LibriSpeech"]).succeeded();
    let ctc = recipe("quickstart/ctc_from_scratch.toml");
    let sets = [
        "data.train=['data/librispeech/train-clean-100.jsonl']",
        "data.validation=['data/librispeech/dev-clean.jsonl']",
    ];
    learn(folder, &ctc, &[&sets[..], &SMALL[..3]].concat(), &["--run", BASE]);
    let first = "data/librispeech/train-clean-100.jsonl";
    auricle(folder, &["lasyn", "fit", "--model", BASE, first, "--rounds", "2"]).succeeded();
}

fn recipe(name: &str) -> String {
    workspace().join("recipes").join(name).display().to_string()
}

/// A dry run, then the training.
fn learn(folder: &Path, recipe: &str, sets: &[&str], more: &[&str]) {
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let all = [&["train", recipe, "--quiet"], &sets[..], more].concat();
    auricle(folder, &[&all[..], &["--dry-run"]].concat()).succeeded();
    auricle(folder, &all).succeeded();
}

fn corpora(folder: &Path) -> [Vec<Utterance>; 2] {
    small_corpus(folder);
    ["train.jsonl", "dev.jsonl"].map(|set| Manifest::read(&folder.join(set)).unwrap())
}

/// Reads a set with a model of meanings, and scores it.
fn understand(folder: &Path, model: &str, reference: &str) -> serde_json::Value {
    auricle(folder, &["slu", "--model", model, reference, "--beam", "2", "--quiet", "--out", "hyp.jsonl"])
        .succeeded();
    let eval = ["eval", "slu", "--ref", reference, "--hyp", "hyp.jsonl", "--json", "--report", "report.html"];
    let scores = auricle(folder, &eval).succeeded().json_lines().remove(0);
    assert!(std::fs::read_to_string(folder.join("report.html")).unwrap().contains("</html>"));
    scores
}

#[test]
fn librispeech_with_text_as_latents() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    librispeech(folder, &corpora(folder));
    let first = "data/librispeech/train-clean-100.jsonl";
    let tokens = ["tokenizer", "train", first, "--vocab-size", "40"];
    auricle(folder, &[&tokens[..], &["--out", "data/librispeech/unigram1000.json"]].concat()).succeeded();
    learn(folder, &recipe("librispeech_lasyn/asr_baseline.toml"), &SMALL, &[]);
    learn(folder, &recipe("librispeech_lasyn/asr_lasyn.toml"), &SMALL, &[]);
    let network = ["model.network.width=16", "model.network.layers=1", "model.network.heads=4"];
    let flow = [&SMALL[..3], &["data.max_secs=30"], &network[..]].concat();
    learn(folder, &recipe("librispeech_lasyn/synthesizer_flow.toml"), &flow, &[]);
    let made = ["model.synthesizer=\"runs/librispeech_lasyn-synthesizer_flow\"", "model.cached_takes=2"];
    let own = [&SMALL[..], &made[..]].concat();
    learn(folder, &recipe("librispeech_lasyn/asr_lasyn.toml"), &own, &["--run", "runs/asr_flow"]);
    for model in ["runs/librispeech_lasyn-asr_lasyn", "runs/asr_flow"] {
        let dev = "data/librispeech/dev-clean.jsonl";
        let decode = ["decode", "--model", model, dev, "--json", "--quiet", "--out", "hyp.jsonl"];
        auricle(folder, &decode).succeeded();
        let eval = ["eval", "asr", "--ref", dev, "--hyp", "hyp.jsonl", "--json"];
        auricle(folder, &eval).succeeded();
    }
}

#[test]
fn slurp() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let sets = corpora(folder);
    librispeech(folder, &sets);
    for (set, utterances) in [("train", &sets[0]), ("devel", &sets[1]), ("test", &sets[1])] {
        let mut lines = String::new();
        for (number, utterance) in utterances.iter().enumerate() {
            let text = utterance.text.as_deref().unwrap();
            let words: Vec<_> = text.split(' ').collect();
            let tokens: Vec<_> = words
                .iter()
                .enumerate()
                .map(|(id, word)| serde_json::json!({"surface": word, "id": id}))
                .collect();
            let file = format!("audio-{set}-{number}.flac");
            record(
                utterance,
                &folder.join("corpora/slurp/audio/slurp_real").join(file.replace("flac", "wav")),
            );
            let line = serde_json::json!({
                "slurp_id": number, "sentence": text, "intent": "alarm_set", "scenario": "alarm", "action": "set",
                "tokens": tokens, "recordings": [{"file": file, "wer": 0.0}],
                "entities": [{"span": [0], "type": "date"}],
            });
            lines += &format!("{line}\n");
        }
        put(&folder.join(format!("corpora/slurp/dataset/slurp/{set}.jsonl")), &lines);
    }
    auricle(folder, &["prepare", "slurp", "corpora/slurp", "--out", "data/slurp"]).succeeded();
    let header = "answerid;scenario;intent;answer_annotation;answer_from_anno\n";
    // A sentence of the test set stands there, too: text that is to be measured on is not learnt.
    let said = sets[1][0].text.as_deref().unwrap();
    let row = format!("5;alarm;set;\"wake me [date : today]\";\"x\"\n6;alarm;set;\"{said}\";\"x\"\n");
    put(&folder.join("corpora/hwu64/KFold_1/trainset/alarm_set.csv"), &format!("{header}{row}"));
    auricle(folder, &["prepare", "hwu64", "corpora/hwu64", "--out", "data/hwu64"]).succeeded();
    let tokens = ["tokenizer", "train", "data/slurp/train-text.jsonl", "data/hwu64/train-text.jsonl"];
    let own = ["--meanings", "--tasks", "--vocab-size", "60", "--out", "data/slurp/meanings.json"];
    auricle(folder, &[&tokens[..], &own[..]].concat()).succeeded();
    learn(folder, &recipe("slurp/slu_baseline.toml"), &SMALL, &[]);
    learn(folder, &recipe("slurp/slu_lasyn.toml"), &SMALL, &[]);
    let lasyn = recipe("slurp/slu_lasyn.toml");
    let excluded = ["train", lasyn.as_str(), "--dry-run", "--quiet"];
    let small: Vec<&str> = SMALL.iter().flat_map(|set| ["--set", set]).collect();
    // Devel, which says it, too, without it: only the recipe's list keeps it out.
    let mut devel = Manifest::read(&folder.join("data/slurp/devel.jsonl")).unwrap();
    devel.retain(|utterance| utterance.text.as_deref() != Some(said));
    Manifest::write(&folder.join("data/slurp/rest.jsonl"), &devel).unwrap();
    let other = ["--set", "data.validation=['data/slurp/rest.jsonl']"];
    let left_out = |more: &[&str]| {
        let run = auricle(folder, &[&excluded[..], &small, &other, more].concat()).succeeded();
        run.stderr.contains("1 sentences of model.text")
    };
    assert!(left_out(&[]));
    assert!(!left_out(&["--set", "model.exclude=[]"]));
    for model in ["runs/slurp-slu_baseline", "runs/slurp-slu_lasyn"] {
        let scores = understand(folder, model, "data/slurp/test.jsonl");
        assert!(scores["scores"]["slu_f1"]["value"].is_number(), "{scores}");
    }
}

#[test]
fn stop() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let sets = corpora(folder);
    librispeech(folder, &sets);
    for (set, utterances) in [("train", &sets[0]), ("eval", &sets[1]), ("test", &sets[1])] {
        let mut rows = "file_id\tdomain\tgender\tnative\tutterance\tnormalized_utterance\tseqlogical\t\
                        decoupled_normalized_seqlogical\n"
            .to_owned();
        for (number, utterance) in utterances.iter().enumerate() {
            let text = utterance.text.as_deref().unwrap();
            let parse = format!("[IN:CREATE_ALARM [SL:DATE_TIME {text} ] ]");
            rows += &format!(
                "{set}_0/alarm_{set}_0/{number:04}.wav\talarm\tfemale\tyes\t{text}\t{text}\t[IN:X ]\t{parse}\n"
            );
            let audio = format!("corpora/stop/{set}_0/alarm_{set}/{number:04}.wav");
            record(utterance, &folder.join(audio));
        }
        put(&folder.join(format!("corpora/stop/manifests/{set}.tsv")), &rows);
    }
    auricle(folder, &["prepare", "stop", "corpora/stop", "--out", "data/stop"]).succeeded();
    let tokens = ["tokenizer", "train", "data/stop/train-text.jsonl", "--meanings", "--vocab-size", "60"];
    auricle(folder, &[&tokens[..], &["--out", "data/stop/meanings.json"]].concat()).succeeded();
    learn(folder, &recipe("stop/slu_baseline.toml"), &SMALL, &[]);
    learn(folder, &recipe("stop/slu_lasyn.toml"), &SMALL, &[]);
    for model in ["runs/stop-slu_baseline", "runs/stop-slu_lasyn"] {
        let scores = understand(folder, model, "data/stop/test.jsonl");
        assert!(scores["scores"]["exact_match"]["value"].is_number(), "{scores}");
    }
}
