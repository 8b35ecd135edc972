//! Preparing again: nothing is done twice, nothing stale is kept.

use crate::common::{Workbench, cut, has_line, ids};
use std::fs;

const LOG: &str = "durations.partial.jsonl";

fn two_sets() -> Workbench {
    let bench = Workbench::new("librispeech");
    bench.chapter("dev-clean", 19, 3);
    bench.chapter("dev-other", 20, 2);
    bench
}

#[test]
fn a_second_preparation_touches_nothing() {
    let bench = two_sets();
    let first = bench.prepare().unwrap().0;
    let before = bench.written();
    let names: Vec<_> = before.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["dev-clean.jsonl", "dev-clean.jsonl.idx", "dev-other.jsonl", "dev-other.jsonl.idx", "prepare.json"]
    );
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(bench.prepare().unwrap().0, first);
    assert_eq!(bench.written(), before);
}

#[test]
fn only_the_set_whose_source_changed_is_made_again() {
    let bench = two_sets();
    bench.prepare().unwrap();
    let time_of = |name: &str| bench.written().into_iter().find(|(n, _)| n == name).unwrap().1;
    let before = (time_of("dev-clean.jsonl"), time_of("dev-other.jsonl"));
    std::thread::sleep(std::time::Duration::from_millis(20));

    // A word, with the size as it was.
    let list = bench.source().join("dev-clean/19/7/19-7.trans.txt");
    let text = fs::read_to_string(&list).unwrap().replacen("UTTERANCE", "XTTERANCE", 1);
    fs::write(&list, text).unwrap();
    bench.prepare().unwrap();
    assert_eq!(bench.manifest("dev-clean.jsonl")[0].text.as_deref(), Some("it's xtterance a"));
    assert_ne!(time_of("dev-clean.jsonl"), before.0);
    assert_eq!(time_of("dev-other.jsonl"), before.1);

    // Another length.
    bench.audio("dev-clean/19/7/19-7-0001.wav", 16_000);
    bench.prepare().unwrap();
    assert_eq!(bench.manifest("dev-clean.jsonl")[1].duration_secs, 1.0);

    // One utterance more.
    bench.chapter("dev-clean", 21, 1);
    assert_eq!(bench.prepare().unwrap().0[0].utterances, 4);
}

#[test]
fn a_manifest_that_was_changed_or_lost_is_made_again() {
    let bench = two_sets();
    bench.prepare().unwrap();
    let manifest = bench.out().join("dev-clean.jsonl");
    let content = fs::read(&manifest).unwrap();
    cut(&manifest, 10);
    bench.prepare().unwrap();
    assert_eq!(fs::read(&manifest).unwrap(), content);
    fs::remove_file(&manifest).unwrap();
    bench.prepare().unwrap();
    assert_eq!(fs::read(&manifest).unwrap(), content);
    // Damaged notes of what was done are as good as none.
    fs::write(bench.out().join("prepare.json"), "{").unwrap();
    bench.prepare().unwrap();
    assert_eq!(fs::read(&manifest).unwrap(), content);
}

#[test]
fn broken_audio_is_named_and_what_is_known_is_kept() {
    let bench = two_sets();
    let whole = bench.source().join("dev-other/20/7/20-7-0001.wav");
    let content = fs::read(&whole).unwrap();
    cut(&whole, 100);
    let message = bench.failure();
    assert!(
        message.contains("dev-other: 1 of 2")
            && message.contains("20-7-0001.wav")
            && message.contains("truncated"),
        "{message}"
    );
    assert_eq!(bench.manifest("dev-clean.jsonl").len(), 3, "finished sets stay");
    assert!(bench.out().join(LOG).is_file());

    fs::write(&whole, content).unwrap();
    let (sets, lines) = bench.prepare().unwrap();
    assert_eq!(sets[1].utterances, 2);
    assert!(has_line(&lines, "dev-other: 1 duration known", ""), "{lines:?}");
    assert!(!bench.out().join(LOG).exists());
}

#[test]
fn a_stopped_preparation_goes_on_to_the_same_manifest() {
    let bench = two_sets();
    bench.prepare().unwrap();
    let manifest = bench.out().join("dev-clean.jsonl");
    let content = fs::read(&manifest).unwrap();
    fs::remove_dir_all(bench.out()).unwrap();

    // As a kill leaves it: one duration, marked so that it shows, and a line that was being written.
    fs::create_dir_all(bench.out()).unwrap();
    let audio = fs::canonicalize(bench.source().join("dev-clean/19/7/19-7-0002.wav")).unwrap();
    let bytes = fs::metadata(&audio).unwrap().len();
    let line = |micros: u64| format!("{{\"audio\":{audio:?},\"bytes\":{bytes},\"micros\":{micros}}}\n");
    fs::write(bench.out().join(LOG), line(300_000) + "{\"audio\":\"/x").unwrap();
    bench.prepare().unwrap();
    assert_eq!(fs::read(&manifest).unwrap(), content);

    fs::remove_dir_all(bench.out()).unwrap();
    fs::create_dir_all(bench.out()).unwrap();
    fs::write(bench.out().join(LOG), line(42)).unwrap();
    bench.prepare().unwrap();
    assert_eq!(bench.manifest("dev-clean.jsonl")[2].duration_secs, 42e-6, "not looked up again");
}

#[test]
fn manifests_of_another_corpus_are_not_written_over() {
    let mut bench = two_sets();
    bench.prepare().unwrap();
    bench.corpus = auricle_data_prep::Corpus::from_name("tree").unwrap();
    let message = bench.failure();
    assert!(message.contains("librispeech") && message.contains("another folder"), "{message}");
}

#[test]
fn sets_of_several_sources_share_a_folder() {
    let bench = two_sets();
    bench.prepare().unwrap();
    fs::rename(bench.source().join("dev-clean"), bench.source().join(".kept")).unwrap();
    assert_eq!(bench.prepare().unwrap().0.len(), 1);
    fs::rename(bench.source().join(".kept"), bench.source().join("dev-clean")).unwrap();
    let before = bench.written();
    assert_eq!(bench.prepare().unwrap().0.len(), 2);
    assert_eq!(bench.written(), before);
}

#[test]
fn manifests_above_the_audio_can_move_with_it() {
    let bench = Workbench::new("tree");
    bench.audio("a/one.wav", 1600);
    let options = auricle_data_prep::Options {
        source: bench.source().join("a"),
        out: bench.source(),
        ..auricle_data_prep::Options::default()
    };
    bench.corpus.prepare(&options, &mut |_| ()).unwrap();
    let moved = bench.source().with_file_name("moved");
    fs::rename(bench.source(), &moved).unwrap();
    let utterances = auricle_data::Manifest::read(&moved.join("all.jsonl")).unwrap();
    assert_eq!(ids(&utterances), ["one"]);
    assert_eq!(utterances[0].samples(16_000).unwrap().len(), 1600);
}
