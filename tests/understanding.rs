//! Scores of meanings and language models, through the program: what comes out of files is what was worked out by hand.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_tests::program::auricle;
use serde_json::json;
use std::path::Path;

fn lines(path: &Path, lines: &[serde_json::Value]) {
    std::fs::write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

#[test]
fn meanings_are_scored_as_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let reference = |id: &str, meaning: &str| json!({"id": id, "text": "x", "meaning": meaning});
    let order = "<int:order> <slot:size> large </slot> <slot:drink> flat white </slot>";
    lines(
        &folder.join("ref.jsonl"),
        &[
            reference("right", order),
            reference("slot", order),
            reference("intent", "<int:stop>"),
            reference("broken", "<int:order> <slot:drink> tea </slot>"),
            reference("silent", "<int:stop>"),
        ],
    );
    let said = |id: &str, meaning: &str| json!({"id": id, "meaning": meaning});
    lines(
        &folder.join("hyp.jsonl"),
        &[
            said("right", order),
            said("slot", "<int:order> <slot:size> small </slot> <slot:drink> flat white </slot>"),
            said("intent", "<int:order>"),
            // The slot is never closed: the intent counts, the slot does not.
            said("broken", "<int:order> <slot:drink> tea"),
            said("stranger", "<int:order>"),
        ],
    );
    let eval = ["eval", "slu", "--ref", "ref.jsonl", "--hyp", "hyp.jsonl"];
    let run = auricle(folder, &[&eval[..], &["--json", "--report", "slu.html"]].concat()).succeeded();
    let out = &run.json_lines()[0];
    let value = |name: &str| out["scores"][name]["value"].as_f64().unwrap();
    // Frames: one of five. Intents: right, slot and broken. Slots: three of the five are found, one of four is wrong.
    assert!((value("frame_accuracy") - 0.2).abs() < 1e-12, "{out}");
    assert!((value("intent_accuracy") - 0.6).abs() < 1e-12, "{out}");
    assert!((value("span_f1") - 2.0 * 3.0 / (4.0 + 5.0)).abs() < 1e-12, "{out}");
    assert_eq!((&out["missing"], &out["extra"]), (&json!(["silent"]), &json!(["stranger"])));
    assert!(run.stderr.contains("stranger"));
    let page = std::fs::read_to_string(folder.join("slu.html")).unwrap();
    assert!(page.contains("flat white") || page.contains("large → small"), "{page}");
    assert!(!page.contains("src=\"http") && page.contains("Slots most often wrong"));
    let text = auricle(folder, &eval).succeeded().stdout;
    assert!(text.contains("frame accuracy     20.00 %") && text.contains("1 without hypothesis"), "{text}");

    // Trees, told by their first reference: both have the shape, one has the words.
    let tree = |time: &str| format!("[IN:SET_ALARM [SL:TIME {time} ] ]");
    lines(&folder.join("trees.jsonl"), &[reference("a", &tree("at six")), reference("b", &tree("at six"))]);
    lines(&folder.join("found.jsonl"), &[said("a", &tree("at six")), said("b", &tree("at sixty"))]);
    let run = auricle(folder, &["eval", "slu", "--ref", "trees.jsonl", "--hyp", "found.jsonl", "--json"]);
    let out = &run.succeeded().json_lines()[0]["scores"];
    assert_eq!((&out["exact_match"]["value"], &out["tree_match"]["value"]), (&json!(0.5), &json!(1.0)));

    std::fs::write(folder.join("other.jsonl"), "{\"id\": \"z\", \"meaning\": \"<int:stop>\"}\n").unwrap();
    auricle(folder, &["eval", "slu", "--ref", "ref.jsonl", "--hyp", "other.jsonl"])
        .failed_with(&["no id of ref.jsonl", "same set"]);
    std::fs::write(folder.join("bare.jsonl"), "{\"id\": \"z\", \"text\": \"stop\"}\n").unwrap();
    auricle(folder, &["eval", "slu", "--ref", "bare.jsonl", "--hyp", "hyp.jsonl"])
        .failed_with(&["utterance z has no `meaning`"]);
}

#[test]
fn a_language_model_knows_its_text() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("train.txt"), "Two large lattes.\nOne small latte, please!\n".repeat(20))
        .unwrap();
    std::fs::write(folder.join("same.txt"), "two large lattes\n").unwrap();
    std::fs::write(folder.join("other.txt"), "lattes small two\n").unwrap();
    std::fs::write(folder.join("strange.txt"), "two zebras\n").unwrap();
    auricle(folder, &["lm", "train", "train.txt", "--order", "3", "--out", "words.arpa"]).succeeded();
    let arpa = std::fs::read_to_string(folder.join("words.arpa")).unwrap();
    // Seven words, and the marks of begin, end and the unknown.
    assert!(arpa.contains("\\data\\") && arpa.contains("ngram 1=10"), "{arpa}");
    let perplexity = |text: &str| {
        let run = auricle(folder, &["lm", "perplexity", "words.arpa", text, "--json"]).succeeded();
        let out = run.json_lines().remove(0);
        assert_eq!(out["sums"]["sentences"], 1);
        (out["perplexity"].as_f64().unwrap(), out["sums"]["unknown"].as_u64().unwrap())
    };
    let ((same, _), (other, _), (_, unknown)) =
        (perplexity("same.txt"), perplexity("other.txt"), perplexity("strange.txt"));
    // Each of two sentences begins as likely as the other; all else is certain but for smoothing.
    assert!(same < 1.6 && other > 5.0 * same, "{same} {other}");
    assert_eq!(unknown, 1);
    // The file is the model: read back and measured again it says the same.
    assert_eq!(perplexity("same.txt").0, same);
    // Numbers as they are said.
    std::fs::write(folder.join("numbers.txt"), "2 large lattes\n").unwrap();
    let spoken =
        auricle(folder, &["lm", "perplexity", "words.arpa", "numbers.txt", "--spoken", "--json"]).succeeded();
    assert_eq!(spoken.json_lines()[0]["perplexity"].as_f64().unwrap(), same);
    // Smaller models: fewer units, fewer n-grams, packed.
    auricle(folder, &["lm", "train", "train.txt", "--vocab", "3", "--memory", "1", "--out", "few.arpa"])
        .succeeded();
    assert!(std::fs::read_to_string(folder.join("few.arpa")).unwrap().contains("ngram 1=6"));
    auricle(folder, &["lm", "prune", "words.arpa", "--ngrams", "15", "--out", "small.arpa"]).succeeded();
    auricle(folder, &["lm", "pack", "small.arpa", "--out", "small.lm"]).succeeded();
    let packed = auricle(folder, &["lm", "perplexity", "small.lm", "same.txt", "--json"]).succeeded();
    assert!(packed.json_lines()[0]["perplexity"].as_f64().unwrap() > same);
    auricle(folder, &["lm", "prune", "words.arpa", "--out", "x.arpa"]).failed_with(&["--threshold"]);
    auricle(folder, &["lm", "train", "train.txt", "--vocab", "gone", "--out", "x.arpa"])
        .failed_with(&["gone"]);
    std::fs::write(folder.join("words.arpa"), arpa.replace("ngram 1=10", "ngram 1=99999999999")).unwrap();
    auricle(folder, &["lm", "perplexity", "words.arpa", "same.txt"]).failed_with(&["words.arpa"]);
    auricle(folder, &["lm", "train", "gone.txt", "--out", "x.arpa"]).failed_with(&["gone.txt"]);
}
