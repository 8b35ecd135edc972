//! Corpora with meanings, in small, and those of the development data where it is at hand.

use crate::common::{Workbench, has_line, ids};
use auricle_data::{Manifest, Sentence};
use auricle_data_prep::{Corpus, Options, PreparedSet};
use auricle_text::slu::{Frame, Tree};
use std::path::{Path, PathBuf};

fn names(sets: &[PreparedSet]) -> Vec<(&str, usize)> {
    sets.iter().map(|s| (s.manifest.file_name().unwrap().to_str().unwrap(), s.utterances)).collect()
}

pub const SLURP: &str = r#"{"slurp_id": 7, "sentence": "Wake me at Five, tomorrow", "intent": "alarm_set", "scenario": "alarm", "action": "set", "tokens": [{"surface": "Wake", "id": 0}, {"surface": "me", "id": 1}, {"surface": "at", "id": 2}, {"surface": "Five", "id": 3}, {"surface": "tomorrow", "id": 4}], "recordings": [{"file": "audio-1-headset.flac", "wer": 0.0}, {"file": "audio-1.flac", "wer": null}], "entities": [{"span": [4], "type": "date"}, {"span": [2, 3], "type": "time"}]}"#;
const MEANT: &str = "<scn:alarm> <act:set> <slot:time> at five </slot> <slot:date> tomorrow </slot>";

#[test]
fn slurp_by_recording_and_by_sentence() {
    let bench = Workbench::new("slurp");
    bench.text("dataset/slurp/devel.jsonl", &format!("{SLURP}\n"));
    bench.text(
        "dataset/slurp/metadata.json",
        r#"{"7": {"recordings": {"audio-1.flac": {"usrid": "FO-1", "recid": 3}}}}"#,
    );
    bench.text("dataset/lm/lm.txt", "play it\nPlay it!\nstop\n");
    let (sets, _) = bench.prepare().unwrap();
    assert_eq!(names(&sets), [("devel-text.jsonl", 1), ("lm-text.jsonl", 2)], "no audio, text alone");
    assert!(!sets[0].has_audio);

    bench.audio("audio/slurp_real/audio-1-headset.wav", 1600);
    bench.audio("audio/slurp_real/audio-1.wav", 3200);
    let (sets, lines) = bench.prepare().unwrap();
    assert_eq!(names(&sets), [("devel.jsonl", 2), ("devel-text.jsonl", 1), ("lm-text.jsonl", 2)]);
    assert!(has_line(&lines, "note: devel: 2 utterances, the official set has 8690", ""), "{lines:?}");
    let utterances = bench.manifest("devel.jsonl");
    assert_eq!(ids(&utterances), ["audio-1", "audio-1-headset"]);
    assert_eq!(utterances[0].meaning.as_deref(), Some(MEANT));
    assert_eq!(utterances[0].text.as_deref(), Some("wake me at five tomorrow"));
    assert_eq!((utterances[0].speaker.as_deref(), utterances[1].speaker.as_deref()), (Some("FO-1"), None));
    assert_eq!(
        (&utterances[0].extra["slurp_id"], &utterances[1].extra["headset"]),
        (&7.into(), &true.into())
    );
    let text = ("slurp-7".to_owned(), "wake me at five tomorrow".to_owned(), MEANT.to_owned());
    assert_eq!(bench.sentences("devel-text.jsonl"), [text]);

    let before = bench.written();
    bench.prepare().unwrap();
    assert_eq!(bench.written(), before, "nothing is written twice");
    std::fs::remove_file(bench.source().join("audio/slurp_real/audio-1.wav")).unwrap();
    let message = bench.failure();
    assert!(
        message.contains("1 utterance of 2 without audio") && message.contains("audio-1.flac"),
        "{message}"
    );
}

#[test]
fn damaged_slurp_is_answered() {
    let bench = Workbench::new("slurp");
    for (from, to, expected) in [
        ("\"span\": [4]", "\"span\": [5]", "entity date"),
        ("\"span\": [4]", "\"span\": []", "entity date"),
        ("\"scenario\": \"alarm\"", "\"scenario\": \"al arm\"", "`al arm` cannot be the name"),
        ("\"tokens\"", "\"words\"", "tokens"),
        ("\"audio-1.flac\"", "\"../x.flac\"", "no file name"),
    ] {
        bench.text("dataset/slurp/test.jsonl", &SLURP.replace(from, to));
        bench.audio("audio/slurp_real/audio-1-headset.wav", 1600);
        bench.audio("audio/slurp_real/audio-1.wav", 1600);
        let message = bench.failure();
        assert!(message.contains("line 1") && message.contains(expected), "{message}");
    }
}

#[test]
fn stop_by_the_names_of_its_columns() {
    let bench = Workbench::new("stop");
    let header = "file_id\tdomain\tgender\tnative\tutterance\tnormalized_utterance\tseqlogical\tdecoupled_normalized_seqlogical\n";
    let row = |file: &str| {
        format!(
            "{file}\talarm\tfemale\tyes\tWake me at 7am\twake me at seven am\t[IN:X ]\t[IN:CREATE_ALARM [SL:DATE_TIME at seven am  ] ]\n"
        )
    };
    let rows = row("eval_0/alarm_eval_0/0001.wav") + &row("eval_0/alarm_eval_0/0002.wav");
    bench.text("stop/manifests/eval.tsv", &(header.to_owned() + &rows));
    bench.audio("stop/eval_0/alarm_eval/0001.wav", 1600);
    bench.audio("stop/eval_0/alarm_eval/0002.wav", 1600);
    let (sets, lines) = bench.prepare().unwrap();
    assert_eq!(names(&sets), [("eval.jsonl", 2), ("eval-text.jsonl", 1)]);
    assert!(has_line(&lines, "note: eval-text: 1 utterance left out of the text", "again"), "{lines:?}");
    let utterance = &bench.manifest("eval.jsonl")[0];
    assert_eq!(utterance.id, "eval_0-alarm_eval_0-0001");
    assert_eq!(utterance.meaning.as_deref(), Some("[IN:CREATE_ALARM [SL:DATE_TIME at seven am ] ]"));
    assert_eq!(utterance.text.as_deref(), Some("wake me at seven am"));
    assert_eq!(utterance.extra["domain"], "alarm");

    bench.text("stop/manifests/eval.tsv", &(header.to_owned() + &rows.replace("] ]", "]")));
    assert!(
        bench.failure().contains("line 2: the parse of eval_0/alarm_eval_0/0001.wav: `[IN:CREATE_ALARM`")
    );
    bench.text("stop/manifests/eval.tsv", &(header.replace("native", "mother_tongue") + &rows));
    assert!(bench.failure().contains("no column `native`"));
}

#[test]
fn fluent_speech_commands() {
    let bench = Workbench::new("fsc");
    bench.text(
        "data/test_data.csv",
        ",path,speakerId,transcription,action,object,location\n\
         0,wavs/speakers/a/1.wav,a,\"Turn on the lights, now\",activate,lights,kitchen\n\
         1,wavs/speakers/a/2.wav,a,Change language,change language,none,none\n",
    );
    bench.audio("wavs/speakers/a/1.wav", 1600);
    bench.audio("wavs/speakers/a/2.wav", 1600);
    let (sets, _) = bench.prepare().unwrap();
    assert_eq!(names(&sets), [("test.jsonl", 2), ("test-text.jsonl", 2)]);
    let utterances = bench.manifest("test.jsonl");
    let meanings: Vec<_> = utterances.iter().map(|u| u.meaning.as_deref().unwrap()).collect();
    let lights = "<int:activate> <slot:object> lights </slot> <slot:location> kitchen </slot>";
    assert_eq!(meanings, [lights, "<int:change_language>"]);
    assert_eq!(utterances[0].text.as_deref(), Some("turn on the lights now"));
    assert_eq!(utterances[0].speaker.as_deref(), Some("a"));
}

#[test]
fn snips_and_hwu64_are_text() {
    let bench = Workbench::new("snips");
    bench.text("valid/seq.in", "play the 2 songs\nplay the 2 songs \nrate it\n");
    bench.text("valid/seq.out", "O O B-number O \nO O B-number O\nO B-object\n");
    bench.text("valid/label", "PlayMusic\nPlayMusic\nRateBook\n");
    let (sets, lines) = bench.prepare().unwrap();
    assert_eq!(names(&sets), [("valid-text.jsonl", 3)]);
    assert!(has_line(&lines, "note: valid-text: 3 sentences, the official set has 700", ""), "{lines:?}");
    let meaning = "<int:PlayMusic> <slot:number> two </slot>";
    let first = ("valid-00001".to_owned(), "play the two songs".to_owned(), meaning.to_owned());
    assert_eq!(bench.sentences("valid-text.jsonl")[0], first);
    bench.text("valid/label", "PlayMusic\n");
    assert!(bench.failure().contains("seq.in has 3 lines, seq.out 3 and label 1"));

    let bench = Workbench::new("hwu64");
    let table = "answerid;scenario;intent;answer_annotation;answer_from_anno\n5;alarm;set;\"wake me [date : today]\";\"x\"\n";
    bench.text("KFold_1/trainset/alarm_set.csv", table);
    bench.text("KFold_1/testset/csv/alarm_set.csv", table);
    let (sets, _) = bench.prepare().unwrap();
    assert_eq!(names(&sets), [("train-text.jsonl", 1), ("test-text.jsonl", 1)]);
    let meaning = "<scn:alarm> <act:set> <slot:date> today </slot>";
    let only = ("alarm_set-0002".to_owned(), "wake me today".to_owned(), meaning.to_owned());
    assert_eq!(bench.sentences("train-text.jsonl"), [only]);
}

pub const YAML: &str = "context:\n  expressions:\n    orderDrink:\n      - \"[get me, brew] [a, an] $size:size $coffeeDrink:coffeeDrink\"\n  \
    slots:\n    size:\n      - \"large\"\n    coffeeDrink:\n      - \"mocha\"\n      - \"latte\"\n";

#[test]
fn coffee_orders_with_values_held_out() {
    let bench = Workbench::new("picovoice-coffee");
    let mut labels = Vec::new();
    for i in 0..10 {
        bench.audio(&format!("data/speech/clean/{i}.wav"), 1600);
        let drink = if i < 4 { "mocha" } else { " latte" };
        labels.push(format!("\"{i}.wav\": {{\"intent\": \"orderDrink\", \"slots\": {{\"coffeeDrink\": \"{drink}\", \"size\": \"large\"}}}}"));
    }
    bench.text("data/label/label.json", &format!("{{{}}}", labels.join(", ")));
    bench.text("data/rhino/coffee_maker.yaml", YAML);
    bench.text("transcripts.tsv", "# clip\tdraft\n9.wav\tlatte\t2/2\tBrew a large latte\t2\n");
    let (sets, _) = bench.prepare().unwrap();
    assert_eq!(names(&sets), [("train.jsonl", 8), ("dev.jsonl", 2), ("grammar-text.jsonl", 4)]);
    let all: Vec<_> = ["train.jsonl", "dev.jsonl"].iter().flat_map(|set| bench.manifest(set)).collect();
    let last = all.iter().find(|u| u.id == "9").unwrap();
    let meaning = "<int:orderDrink> <slot:size> large </slot> <slot:coffeeDrink> latte </slot>";
    assert_eq!((last.text.as_deref(), last.meaning.as_deref()), (Some("brew a large latte"), Some(meaning)));
    let dev: Vec<String> = bench.manifest("dev.jsonl").into_iter().map(|u| u.id).collect();

    let mut options = Options {
        source: bench.source(),
        out: bench.out(),
        hold_out: vec![("coffeeDrink".into(), "mocha".into())],
        sentences: Some(3),
        ..Options::default()
    };
    let sets = bench.corpus.prepare(&options, &mut |_| ()).unwrap();
    assert_eq!(sets.iter().map(|s| s.utterances).sum::<usize>(), 10 + 3);
    let held_out = bench.manifest("heldout.jsonl");
    assert_eq!(ids(&held_out), ["0", "1", "2", "3"]);
    for set in ["train.jsonl", "dev.jsonl"] {
        for utterance in bench.manifest(set) {
            assert!(!utterance.meaning.unwrap().contains("mocha"));
            assert_eq!(dev.contains(&utterance.id), set == "dev.jsonl", "the split stays the same");
        }
    }
    let texts = bench.sentences("grammar-text.jsonl");
    assert!(texts.iter().any(|(_, text, _)| text.contains("mocha")), "the grammar knows it: {texts:?}");
    let (_, lines) = bench.prepare().unwrap();
    assert!(has_line(&lines, "note: heldout: not among the sets", "remove"), "{lines:?}");

    options.hold_out[0].1 = "tea".into();
    let message = bench.corpus.prepare(&options, &mut |_| ()).unwrap_err().to_string();
    assert!(message.contains("coffeeDrink=tea") && message.contains("latte, mocha"), "{message}");
    let message = Corpus::from_name("snips").unwrap().prepare(&options, &mut |_| ()).unwrap_err().to_string();
    assert!(message.contains("holds out no values"), "{message}");
}

/// A folder of the development data; `None` where there is none.
fn data(folder: &str) -> Option<PathBuf> {
    let fallback = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("AURICLE_DATA").map_or_else(fallback, PathBuf::from).join(folder);
    if !folder.is_dir() {
        println!("skipped: {} is not a folder (set AURICLE_DATA)", folder.display());
    }
    folder.is_dir().then_some(folder)
}

fn prepared(corpus: &str, source: PathBuf, out: &Path, hold_out: &[(&str, &str)]) -> Vec<PreparedSet> {
    let hold_out = hold_out.iter().map(|(slot, value)| ((*slot).to_owned(), (*value).to_owned())).collect();
    let options = Options { source, out: out.to_owned(), hold_out, ..Options::default() };
    let corpus = Corpus::from_name(corpus).unwrap();
    let sets = corpus.prepare(&options, &mut |_| ()).unwrap();
    assert_eq!(corpus.prepare(&options, &mut |_| ()).unwrap(), sets);
    sets
}

#[test]
fn the_real_texts_where_they_are_at_hand() {
    let Some(texts) = data("text") else { return };
    for (corpus, folder, expected) in [
        (
            "snips",
            "snips",
            vec![("train-text.jsonl", 13_084), ("valid-text.jsonl", 700), ("test-text.jsonl", 700)],
        ),
        ("hwu64", "hwu64", vec![("train-text.jsonl", 8_777), ("test-text.jsonl", 948)]),
        ("slurp", "slurp", vec![("devel-text.jsonl", 2_033), ("lm-text.jsonl", 11_494)]),
    ] {
        let out = tempfile::tempdir().unwrap();
        let sets = prepared(corpus, texts.join(folder), out.path(), &[]);
        assert_eq!(names(&sets), expected);
        for set in sets {
            for sentence in Sentence::read(&set.manifest).unwrap() {
                assert!(!sentence.text.chars().any(|c| c.is_ascii_digit()), "{sentence:?}");
                let meaning = sentence.meaning.as_deref();
                assert!(meaning.is_none_or(|meaning| Frame::parse(meaning).is_ok()), "{sentence:?}");
            }
        }
    }
}

#[test]
fn the_real_orders_where_they_are_at_hand() {
    let Some(source) = data("picovoice-coffee") else { return };
    let out = tempfile::tempdir().unwrap();
    let sets = prepared("picovoice-coffee", source.clone(), out.path(), &[]);
    assert_eq!(names(&sets), [("train.jsonl", 320), ("dev.jsonl", 80), ("grammar-text.jsonl", 5_000)]);
    assert!((sets[0].hours + sets[1].hours - 0.95).abs() < 0.01, "{sets:?}");
    let train = Manifest::read(&sets[0].manifest).unwrap();
    assert!(train.iter().all(|u| u.text.is_some() && Frame::parse(u.meaning.as_deref().unwrap()).is_ok()));
    assert!(Tree::parse(train[0].meaning.as_deref().unwrap()).is_err());
    let out = tempfile::tempdir().unwrap();
    let sets = prepared(
        "picovoice-coffee",
        source,
        out.path(),
        &[("coffeeDrink", "mocha"), ("roast", "light roast")],
    );
    let held_out = sets.iter().find(|s| s.manifest.ends_with("heldout.jsonl")).unwrap();
    assert!(
        held_out.utterances > 50
            && sets.iter().filter(|s| s.has_audio).map(|s| s.utterances).sum::<usize>() == 400
    );
}
