//! Corpora with phones, in small, and speechocean762 itself where it is at hand.

use crate::common::{Workbench, cut, has_line, ids};
use auricle_data::Utterance;
use auricle_data_prep::{Corpus, Options};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A part of speechocean762 with utterances `ID SPEAKER TEXT`.
pub fn ocean_part(bench: &Workbench, part: &str, utterances: &[(&str, &str, &str)]) {
    let list = |name: &str, line: &dyn Fn(&(&str, &str, &str)) -> String| {
        let lines: Vec<_> = utterances.iter().map(line).collect();
        bench.text(&format!("{part}/{name}"), &(lines.join("\n") + "\n"));
    };
    list("wav.scp", &|(id, speaker, _)| format!("{id}\tWAVE/SPEAKER{speaker}/{id}.WAV"));
    list("text", &|(id, _, text)| format!("{id}\t{text}"));
    list("utt2spk", &|(id, speaker, _)| format!("{id} {speaker}"));
    for (id, speaker, _) in utterances {
        bench.audio(&format!("WAVE/SPEAKER{speaker}/{id}.WAV"), 1600);
    }
}

/// Two speakers, `phone_scores.csv` and `text-phone`.
pub fn ocean() -> Workbench {
    let bench = Workbench::new("speechocean762");
    ocean_part(
        &bench,
        "train",
        &[("0001a", "0001", "WE CALL"), ("0001b", "0001", "IT"), ("0005a", "0005", "CALL")],
    );
    bench.text("train/spk2gender", "0001\tm\n0005\tF\n");
    bench.text("train/spk2age", "0001 6\n");
    bench.text("train/dev_speakers", "0005\n");
    bench.text(
        "resource/phone_scores.csv",
        "file_name,transcription,p_scores\n0001a.WAV,W IY K AO L,2.0 2.0 2.0 1.8 0.4\n0001b.WAV,IH T,2 2\n\
         0005a.WAV,K AO L,1 1 1\n",
    );
    bench.text(
        "resource/text-phone",
        "0001a.0\tW_B IY0_E\n0001a.1\tK_B AO0_I L_E\n0001b.0\tIH0_B T_E\n0005a.0\tK_B AO0_I L_E\n",
    );
    bench
}

fn words(list: Option<&Vec<String>>) -> String {
    list.map_or("-".to_owned(), |list| list.join(" "))
}

#[test]
fn speechocean_with_scores_of_phones_alone() {
    let bench = ocean();
    let (sets, lines) = bench.prepare().unwrap();
    let summary: Vec<_> =
        sets.iter().map(|s| (s.manifest.file_name().unwrap().to_str().unwrap(), s.utterances)).collect();
    assert_eq!(summary, [("dev.jsonl", 1), ("train.jsonl", 2)]);
    assert!(
        has_line(&lines, "note: train: 2 utterances of which is not known what was said", ""),
        "{lines:?}"
    );
    let train = bench.manifest("train.jsonl");
    assert_eq!(ids(&train), ["0001a", "0001b"]);
    let first = &train[0];
    assert_eq!((first.text.as_deref(), first.speaker.as_deref()), (Some("we call"), Some("0001")));
    assert_eq!((words(first.phones.as_ref()).as_str(), &first.perceived_phones), ("W IY K AO L", &None));
    let fields =
        json!({"phone_scores": [2.0, 2.0, 2.0, 1.8, 0.4], "word_phones": [2, 3], "sex": "m", "age": 6});
    assert_eq!(Value::from(first.extra.clone()), fields);
    assert_eq!(bench.manifest("dev.jsonl")[0].extra["sex"], "f");

    // Another encoding than listed, and a second preparation that touches nothing.
    let wav = bench.source().join("WAVE/SPEAKER0001/0001b.WAV");
    fs::rename(&wav, wav.with_extension("wav")).unwrap();
    bench.prepare().unwrap();
    assert!(bench.manifest("train.jsonl")[1].audio.ends_with("SPEAKER0001/0001b.wav"));
    let before = bench.written();
    std::thread::sleep(std::time::Duration::from_millis(20));
    bench.prepare().unwrap();
    assert_eq!(bench.written(), before);
    // A score is part of what a manifest was made of.
    let csv = bench.source().join("resource/phone_scores.csv");
    let changed = fs::read_to_string(&csv).unwrap().replace("1.8 0.4", "1.8 0.2");
    fs::write(&csv, changed).unwrap();
    bench.prepare().unwrap();
    assert_eq!(bench.manifest("train.jsonl")[0].extra["phone_scores"][4], json!(0.2));
}

#[test]
fn speechocean_with_the_official_scores() {
    let bench = ocean();
    ocean_part(&bench, "test", &[("9a", "0009", "IT CALLS"), ("9b", "0009", "IT")]);
    fs::remove_file(bench.source().join("train/dev_speakers")).unwrap();
    let word = |phones: Value, scores: Value, mispronunciations: Value| {
        json!({"text": "X", "accuracy": 10, "stress": 10, "total": 9, "phones": phones,
            "phones-accuracy": scores, "mispronunciations": mispronunciations})
    };
    let plain = |words: Vec<Value>| json!({"text": "X", "accuracy": 8, "total": 7, "words": words});
    let call = |error: Value| word(json!("K AO0 L"), json!([2, 1.8, 0.2]), error);
    let said = json!([{"canonical-phone": "L", "index": 2, "pronounced-phone": "<DEL>"}]);
    let scores = json!({
        "0001a": plain(vec![word(json!(["W", "IY0"]), json!([2, 2]), json!([])), call(said)]),
        "0005a": plain(vec![call(json!(null))]),
        "9a": plain(vec![word(json!(["IH0", "T"]), json!([2, 2]), json!([]))]),
    });
    bench.text("resource/scores.json", &scores.to_string());
    let (sets, lines) = bench.prepare().unwrap();
    assert_eq!(sets.iter().map(|s| s.utterances).collect::<Vec<_>>(), [3, 2]);
    let train = bench.manifest("train.jsonl");
    assert_eq!(words(train[0].perceived_phones.as_ref()), "W IY K AO");
    assert_eq!(train[0].extra["phone_errors"], json!([{"at": 4, "canonical": "L", "perceived": null}]));
    assert_eq!(train[0].extra["utterance_scores"], json!({"accuracy": 8.0, "total": 7.0}));
    assert_eq!(train[0].extra["word_scores"]["stress"], json!([10.0, 10.0]));
    assert_eq!((&train[1].phones, &train[1].perceived_phones), (&None, &None), "not in scores.json");
    assert_eq!((words(train[2].phones.as_ref()).as_str(), &train[2].perceived_phones), ("K AO L", &None));
    assert_eq!(bench.manifest("test.jsonl")[0].extra.get("word_phones"), None, "two words, scores of one");
    for part in
        ["1 utterance without canonical phones", "1 utterance without scores", "official set has 2500"]
    {
        assert!(has_line(&lines, "note: train", part), "{part}: {lines:?}");
    }
}

#[test]
fn damaged_speechocean_is_answered() {
    let bench = ocean();
    let original = |name: &str| fs::read_to_string(bench.source().join(name)).unwrap();
    for (file, from, to, parts) in [
        ("resource/phone_scores.csv", "IH T,2 2", "IH T,2 2 2", ["line 3: 0001b", "2 phones but 3 scores"]),
        ("resource/phone_scores.csv", "IH T,2 2", "IH T,NaN 2", ["line 3: 0001b", "is NaN, not 0 to 2"]),
        ("resource/phone_scores.csv", "IH T,2 2", "IH T,x 2", ["line 3: 0001b", "`x` is no number"]),
        ("resource/phone_scores.csv", "IH T,2 2", "QQ T,2 2", ["line 3: 0001b", "`QQ` is no phone"]),
        ("resource/phone_scores.csv", "IH T,2 2", "IH T", ["line 3: 0001b", "not `file_name"]),
        ("resource/phone_scores.csv", "IH T,2 2", "IH D,2 2", ["utterance 0001b", "not the 2 of text-phone"]),
        ("resource/text-phone", "0001a.1", "0001a.2", ["line 2: `0001a.2`", "word 1"]),
        ("train/text", "0001b\tIT", "", ["says nothing of 0001b", "unpack"]),
        ("train/utt2spk", "0001b 0001", "0001b", ["says nothing of 0001b", "unpack"]),
        ("train/wav.scp", "WAVE/SPEAKER0001/0001b.WAV", "sph2pipe x |", ["0001b is no file", "path below"]),
        ("train/wav.scp", "0001/0001b.WAV", "0001/gone.WAV", ["0001b as WAVE", "1 line of 3 without audio"]),
        ("train/spk2age", "0001 6", "0001 old", ["speaker 0001", "no age"]),
        ("train/dev_speakers", "0005", "0006", ["names speaker 0006", "correct it"]),
        ("train/dev_speakers", "0005", "0005 0001", ["leaves nothing", "remove it"]),
    ] {
        let content = original(file);
        bench.text(file, &content.replace(from, to));
        let message = bench.failure();
        assert!(parts.iter().all(|part| message.contains(part)), "{to}: {message}");
        bench.text(file, &content);
    }
    let csv = original("resource/phone_scores.csv");
    bench.text("resource/phone_scores.csv", &(csv.clone() + &"AH ".repeat(1 << 19)));
    let message = bench.failure();
    assert!(message.contains("line 5 has") && message.len() < 300, "{message}");
    bench.text("resource/phone_scores.csv", &csv);
    bench.text(
        "resource/scores.json",
        "{\"0001a\": {\"words\": [{\"phones\": \"W\", \"phones-accuracy\": [NaN]}]}}",
    );
    let message = bench.failure();
    assert!(message.contains("scores.json") && message.contains("line 1 column"), "{message}");
    bench.text("resource/scores.json", &("[".repeat(1 << 20) + "\n"));
    assert!(bench.failure().contains("not the scores of this corpus"));
    let message = Workbench::new("speechocean762").failure();
    assert!(message.contains("train/wav.scp") && message.contains("--download"), "{message}");
}

/// speechocean762 in the folder that the environment names.
fn ocean_at_hand() -> Option<PathBuf> {
    let Some(data) = std::env::var_os("AURICLE_DATA") else {
        println!("skipped: AURICLE_DATA does not name a folder with speechocean762 in it");
        return None;
    };
    Some(Path::new(&data).join("speechocean762"))
}

fn scores(utterance: &Utterance) -> Vec<f64> {
    let scores = utterance.extra["phone_scores"].as_array().unwrap();
    scores.iter().map(|score| score.as_f64().unwrap()).collect()
}

#[test]
fn speechocean_itself() {
    let Some(source) = ocean_at_hand() else { return };
    let folder = tempfile::tempdir().unwrap();
    let options = Options { source, out: folder.path().join("out"), ..Options::default() };
    let corpus = Corpus::from_name("speechocean762").unwrap();
    let sets = corpus.prepare(&options, &mut |line| println!("{line}")).unwrap();
    let read = |name: &str| auricle_data::Manifest::read(&options.out.join(name)).unwrap();
    let (dev, train) = (read("dev.jsonl"), read("train.jsonl"));
    println!("{sets:?}");
    assert_eq!((dev.len(), train.len()), (240, 2_260));
    let speakers =
        |set: &[Utterance]| -> BTreeSet<String> { set.iter().filter_map(|u| u.speaker.clone()).collect() };
    assert_eq!((speakers(&dev).len(), speakers(&train).len()), (12, 113));
    assert!(speakers(&dev).is_disjoint(&speakers(&train)));
    let (mut phones, mut low, mut kinds) = (0, 0, BTreeSet::new());
    for utterance in dev.iter().chain(&train) {
        let own = utterance.phones.as_ref().unwrap();
        let scores = scores(utterance);
        assert_eq!(own.len(), scores.len(), "{}", utterance.id);
        phones += own.len();
        low += scores.iter().filter(|&&score| score < 0.5).count();
        kinds.extend(own);
        let in_words: Vec<_> =
            utterance.extra["word_phones"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        assert_eq!(in_words.len(), utterance.text.as_ref().unwrap().split(' ').count(), "{}", utterance.id);
        assert_eq!(in_words.iter().sum::<u64>() as usize, own.len(), "{}", utterance.id);
        assert!(utterance.extra.contains_key("sex") && utterance.extra.contains_key("age"));
    }
    assert_eq!((phones, low, kinds.len()), (47_076, 1_991, 39));
}

#[test]
fn the_sample_of_official_scores_says_the_same_as_the_table() {
    let Some(real) = ocean_at_hand() else { return };
    let bench = Workbench::new("speechocean762");
    let sample = fs::read_to_string(real.join("resource/scores.sample.json")).unwrap();
    let parsed: Value = serde_json::from_str(&sample).unwrap();
    let (mut audio, mut text, mut speakers) = (String::new(), String::new(), String::new());
    for (id, utterance) in parsed.as_object().unwrap() {
        audio += &format!("{id} WAVE/{id}.WAV\n");
        text += &format!("{id} {}\n", utterance["text"].as_str().unwrap());
        speakers += &format!("{id} {}\n", &id[..4]);
        bench.audio(&format!("WAVE/{id}.WAV"), 160);
    }
    bench.text("train/wav.scp", &audio);
    bench.text("train/text", &text);
    bench.text("train/utt2spk", &speakers);
    for name in ["phone_scores.csv", "text-phone"] {
        let table = fs::read_to_string(real.join("resource").join(name)).unwrap();
        bench.text(&format!("resource/{name}"), &table);
    }
    bench.prepare().unwrap();
    let by_table = bench.manifest("train.jsonl");
    bench.text("resource/scores.json", &sample);
    bench.prepare().unwrap();
    let by_sample = bench.manifest("train.jsonl");
    assert_eq!(by_sample.len(), 22);
    let mut heard = Vec::new();
    for (one, other) in by_table.iter().zip(&by_sample) {
        assert_eq!((&one.id, &one.phones), (&other.id, &other.phones));
        assert_eq!((scores(one), &one.extra["word_phones"]), (scores(other), &other.extra["word_phones"]));
        assert!(other.perceived_phones.is_some(), "{}", other.id);
        let errors = other.extra.get("phone_errors").and_then(Value::as_array);
        heard.extend(
            errors.into_iter().flatten().map(|error| error["perceived"].as_str().unwrap().to_owned()),
        );
    }
    heard.sort();
    assert_eq!((heard.len(), heard[0].as_str(), heard[1].as_str()), (18, "AH", "err"));
    let official = by_sample.iter().filter(|u| u.extra.contains_key("utterance_scores")).count();
    assert_eq!(official, 12);
}

fn text_grid(words: &[(f64, f64, &str)], phones: &[(f64, f64, &str)]) -> String {
    let mut text =
        "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n\n0\n1\n<exists>\n2\n".to_owned();
    for (name, tier) in [("words", words), ("phones", phones)] {
        text += &format!("\"IntervalTier\"\n\"{name}\"\n0\n1\n{}\n", tier.len());
        for (start, end, label) in tier {
            text += &format!("{start}\n{end}\n\"{label}\"\n");
        }
    }
    text
}

pub fn arctic() -> Workbench {
    let bench = Workbench::new("l2arctic");
    let words = [(0.0, 0.1, ""), (0.1, 0.4, "the"), (0.4, 0.9, "end"), (0.9, 1.0, "")];
    let grid = |phones: &[(f64, f64, &str)]| text_grid(&words, phones);
    let right = [
        (0.0, 0.1, "sil"),
        (0.1, 0.2, "DH"),
        (0.2, 0.4, "AH0"),
        (0.4, 0.6, "EH1"),
        (0.6, 0.7, "N"),
        (0.7, 0.9, "D"),
    ];
    let mut heard = right;
    heard[1].2 = "DH,Z*,s";
    heard[5].2 = "D,sil,d";
    let added = [&heard[..], &[(0.9, 1.0, "sil,AX,a")]].concat();
    for (folder, name, annotation) in [
        ("ABA/ABA", "arctic_a0001", Some(grid(&added))),
        ("ABA/ABA", "arctic_a0002", None),
        ("YDCK", "arctic_a0001", Some(grid(&right))),
        ("YDCK", "arctic_a0209", Some("File type = \"ooTextFile\"".to_owned())),
        ("YDCK", "arctic_a0003", None),
        ("NJS", "arctic_b0001", Some(grid(&heard).replace("sil", "sp"))),
    ] {
        bench.audio(&format!("{folder}/wav/{name}.wav"), 16_000);
        bench.text(&format!("{folder}/transcript/{name}.txt"), "The end.");
        bench.text(&format!("{folder}/textgrid/{name}.TextGrid"), &grid(&right));
        if let Some(annotation) = annotation {
            bench.text(&format!("{folder}/annotation/{name}.TextGrid"), &annotation);
        }
    }
    bench.text("README.md", "…");
    bench.audio("suitcase_corpus/wav/aba.wav", 160);
    bench
}

#[test]
fn l2arctic_says_what_should_be_said_and_what_was_heard() {
    let bench = arctic();
    let (sets, lines) = bench.prepare().unwrap();
    let summary: Vec<_> =
        sets.iter().map(|s| (s.manifest.file_stem().unwrap().to_str().unwrap(), s.utterances)).collect();
    assert_eq!(summary, [("dev", 1), ("test", 1), ("train", 1), ("train-unannotated", 1)]);
    assert!(
        has_line(&lines, "note: dev: 1 unreadable annotation left out", "YDCK/annotation/arctic_a0209"),
        "{lines:?}"
    );
    let train = &bench.manifest("train.jsonl")[0];
    assert_eq!((train.id.as_str(), train.speaker.as_deref()), ("ABA_arctic_a0001", Some("ABA")));
    assert_eq!(train.text.as_deref(), Some("the end"));
    assert_eq!(words(train.phones.as_ref()), "DH AH EH N D");
    assert_eq!(words(train.perceived_phones.as_ref()), "Z AH EH N AH");
    let fields = json!({
        "l1": "Arabic", "sex": "m", "word_phones": [2, 3],
        "phone_errors": [
            {"at": 0, "canonical": "DH", "perceived": "Z"},
            {"at": 4, "canonical": "D", "perceived": null},
            {"at": 5, "canonical": null, "perceived": "AH"},
        ],
        "perceived_spans": [[0.1, 0.2], [0.2, 0.4], [0.4, 0.6], [0.6, 0.7], [0.9, 1.0]],
    });
    assert_eq!(Value::from(train.extra.clone()), fields);
    let test = &bench.manifest("test.jsonl")[0];
    assert_eq!(
        (words(test.perceived_phones.as_ref()).as_str(), &test.extra["l1"]),
        ("Z AH EH N", &json!("Spanish"))
    );
    let silent = &bench.manifest("train-unannotated.jsonl")[0];
    assert_eq!((words(silent.phones.as_ref()).as_str(), &silent.perceived_phones), ("DH AH EH N D", &None));
    assert_eq!(Value::from(silent.extra.clone()), json!({"l1": "Arabic", "sex": "m", "word_phones": [2, 3]}));

    let before = bench.written();
    std::thread::sleep(std::time::Duration::from_millis(20));
    bench.prepare().unwrap();
    assert_eq!(bench.written(), before);
}

#[test]
fn damaged_l2arctic_is_answered() {
    let bench = arctic();
    fs::remove_file(bench.source().join("NJS/transcript/arctic_b0001.txt")).unwrap();
    let message = bench.failure();
    assert!(message.contains("arctic_b0001") && message.contains("unpack NJS"), "{message}");
    bench.text("NJS/transcript/arctic_b0001.txt", "The end.");
    fs::remove_file(bench.source().join("NJS/wav/arctic_b0001.wav")).unwrap();
    let message = bench.failure();
    assert!(message.contains("annotates arctic_b0001") && message.contains("unpack NJS"), "{message}");
    fs::remove_dir_all(bench.source().join("NJS")).unwrap();
    // A word that is not in the dictionary; a set of which nothing can be read.
    let grid = bench.source().join("ABA/ABA/textgrid/arctic_a0002.TextGrid");
    fs::write(&grid, fs::read_to_string(&grid).unwrap().replace("DH", "spn").replace("AH0", "spn")).unwrap();
    let (_, lines) = bench.prepare().unwrap();
    assert!(has_line(&lines, "note: train-unannotated: 1 utterance without", ""), "{lines:?}");
    assert_eq!(bench.manifest("train-unannotated.jsonl")[0].phones, None);
    bench.text("YDCK/annotation/arctic_a0001.TextGrid", "");
    let message = bench.failure();
    assert!(message.contains("nothing for dev: 2 unreadable annotations"), "{message}");
    let message = Workbench::new("l2arctic").failure();
    assert!(message.contains("ABA, SKA"), "{message}");
}

/// A SPHERE file of 0.1 s.
fn sphere(coding: &str) -> Vec<u8> {
    let mut header = format!(
        "NIST_1A\n   1024\nchannel_count -i 1\nsample_count -i 1600\nsample_rate -i 16000\n\
         sample_n_bytes -i 2\nsample_byte_format -s2 01\nsample_coding -s{} {coding}\nend_head\n",
        coding.len()
    )
    .into_bytes();
    header.resize(1024, b' ');
    header.extend((0..1600i16).flat_map(i16::to_le_bytes));
    header
}

pub fn timit(bench: &Workbench, folder: &str, sentence: &str) {
    bench.text(
        &format!("{folder}/{sentence}.PHN"),
        "0 400 h#\n400 800 s\n800 1000 ix\n1000 1200 tcl\n1200 1600 t\n",
    );
    bench.text(&format!("{folder}/{sentence}.TXT"), "0 1600 Sit.\n");
    let path = bench.source().join(format!("{folder}/{sentence}.WAV"));
    fs::write(path, sphere("pcm")).unwrap();
}

#[test]
fn timit_becomes_wav_with_the_39_phones() {
    let bench = Workbench::new("timit");
    for (folder, sentence) in [
        ("TIMIT/TRAIN/DR1/FCJF0", "SX37"),
        ("TIMIT/TRAIN/DR1/FCJF0", "SA1"),
        ("TIMIT/TEST/DR1/FAKS0", "SI943"),
        ("TIMIT/TEST/DR1/FELC0", "SX36"),
        ("TIMIT/TEST/DR2/MABW0", "SX134"),
    ] {
        timit(&bench, folder, sentence);
    }
    let (sets, lines) = bench.prepare().unwrap();
    assert_eq!(sets.iter().map(|s| s.utterances).collect::<Vec<_>>(), [1, 1, 1]);
    assert!(has_line(&lines, "train: 1 SPHERE file written", "wav"), "{lines:?}");
    assert!(has_line(&lines, "note: test: 1 sentence of other speakers", ""), "{lines:?}");
    let train = &bench.manifest("train.jsonl")[0];
    assert_eq!((train.id.as_str(), train.text.as_deref()), ("FCJF0_SX37", Some("sit")));
    assert_eq!((words(train.phones.as_ref()).as_str(), train.duration_secs), ("S IH T", 0.1));
    assert_eq!(train.phones, train.perceived_phones);
    let fields = json!({"dialect": "DR1", "sex": "f",
        "perceived_spans": [[0.025, 0.05], [0.05, 0.0625], [0.075, 0.1]]});
    assert_eq!(Value::from(train.extra.clone()), fields);
    assert_eq!(train.samples(16_000).unwrap()[1], 1.0 / 32_768.0);
    assert_eq!(ids(&bench.manifest("test.jsonl")), ["FELC0_SX36"]);
    let line = fs::read_to_string(bench.out().join("train.jsonl")).unwrap();
    assert!(line.contains("\"audio\":\"wav/FCJF0_SX37.wav\""), "the folder can move: {line}");

    // Nothing is done twice; what is lost or half there is made again.
    let before = bench.written();
    std::thread::sleep(std::time::Duration::from_millis(20));
    let (again, lines) = bench.prepare().unwrap();
    assert_eq!((again, bench.written()), (sets, before));
    assert!(!has_line(&lines, "train: ", "SPHERE"), "{lines:?}");
    let wav = bench.out().join("wav/FCJF0_SX37.wav");
    cut(&wav, 10);
    let (_, lines) = bench.prepare().unwrap();
    assert!(has_line(&lines, "train: 1 SPHERE file written", ""), "{lines:?}");
    assert_eq!(fs::metadata(&wav).unwrap().len(), 44 + 3200);
}

#[test]
fn timit_in_lower_case_with_riff_beside_sphere() {
    let bench = Workbench::new("timit");
    timit(&bench, "data/train/dr1/fcjf0", "sx37");
    fs::write(bench.source().join("data/train/dr1/fcjf0/sx37.WAV"), sphere("pcm,embedded-shorten-v2.00"))
        .unwrap();
    let message = bench.failure();
    assert!(
        message.contains("sx37.WAV") && message.contains("shorten") && message.contains("sph2pipe"),
        "{message}"
    );
    bench.audio("data/train/dr1/fcjf0/sx37.WAV.wav", 1600);
    bench.prepare().unwrap();
    let train = &bench.manifest("train.jsonl")[0];
    assert_eq!((train.id.as_str(), &train.extra["dialect"]), ("FCJF0_SX37", &json!("DR1")));
    assert!(train.audio.ends_with("sx37.WAV.wav"));
    // Also where SPHERE could be read.
    fs::write(bench.source().join("data/train/dr1/fcjf0/sx37.WAV"), sphere("pcm")).unwrap();
    bench.prepare().unwrap();
    assert!(bench.manifest("train.jsonl")[0].audio.ends_with("sx37.WAV.wav"));
    assert!(!bench.out().join("wav").exists());
}

#[test]
fn damaged_timit_is_answered() {
    let bench = Workbench::new("timit");
    let message = bench.failure();
    assert!(message.contains("no folder TRAIN or TEST"), "{message}");
    let folder = "TRAIN/DR1/FCJF0";
    timit(&bench, folder, "SX37");
    cut(&bench.source().join(folder).join("SX37.WAV"), 100);
    let message = bench.failure();
    assert!(message.contains("SX37.WAV") && message.contains("1550 samples of the 1600"), "{message}");
    fs::remove_file(bench.source().join(folder).join("SX37.WAV")).unwrap();
    let message = bench.failure();
    assert!(message.contains("SX37.PHN") && message.contains("no audio of FCJF0 SX37"), "{message}");
    fs::remove_file(bench.source().join(folder).join("SX37.PHN")).unwrap();
    let message = bench.failure();
    assert!(message.contains("no .PHN"), "{message}");
}
