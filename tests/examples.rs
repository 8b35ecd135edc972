//! The library's examples do what they say.

use auricle_tests::program::corpus;
use std::path::Path;

#[path = "../crates/auricle/examples/adapt.rs"]
mod adapt;
#[path = "../crates/auricle/examples/score_stream.rs"]
mod score_stream;
#[path = "../crates/auricle/examples/train_custom_task.rs"]
mod train_custom_task;
#[path = "../crates/auricle/examples/transcribe.rs"]
mod transcribe;

#[test]
fn recordings_become_text() {
    let test = auricle_data::Manifest::read(&corpus().test).unwrap();
    let recordings = [test[0].audio.clone(), test[1].audio.clone()];
    let lines = transcribe::run(Path::new("asr-en-small"), &recordings).unwrap();
    let whole: Vec<&String> = lines.iter().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(whole.len(), 2, "{lines:?}");
    assert!(whole[0].starts_with(&format!("{}: ", test[0].id)), "{lines:?}");
    assert!(lines.len() > 4 && lines.iter().any(|line| line.contains(" s  ")), "{lines:?}");
}

#[test]
fn a_sentence_is_judged_while_it_is_read() {
    let test = auricle_data::Manifest::read(&corpus().test).unwrap();
    let text = test[0].text.as_deref().unwrap();
    let lines = score_stream::run(Path::new("mdd-en-small"), text, &test[0].audio).unwrap();
    let place = |what: &str| lines.iter().position(|line| line.contains(what));
    let (heard, word) = (place("heard").unwrap(), place("of 100").unwrap());
    assert!(heard < word && word < lines.len() - 1, "{lines:?}");
}

#[test]
fn a_recogniser_is_adapted_by_text() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.txt");
    let things = ["coffee", "tea", "water", "milk", "juice", "soup", "cake", "bread", "rice", "fruit"];
    let lines: String =
        things.iter().flat_map(|one| things.map(|two| format!("{one} and {two} please\n"))).collect();
    std::fs::write(&text, lines).unwrap();
    let out = folder.path().join("adapted");
    let said = adapt::run(Path::new("asr-en-small"), &text, &out, 2).unwrap();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("% of the words wrong before"), "{said:?}");
    assert!(out.join("model.safetensors").is_file());
}

#[test]
fn a_task_of_ones_own_is_learnt() {
    let folder = tempfile::tempdir().unwrap();
    let error = train_custom_task::run(folder.path()).unwrap();
    // Eight speakers or more: chance is far above.
    assert!(error < 0.5, "{error}");
    assert!(folder.path().join("model.safetensors").is_file());
}
