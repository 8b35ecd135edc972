//! Every list of every corpus, changed at random: a preparation succeeds or names the file, and never panics.
//!
//! `AURICLE_MUTATIONS` sets how many are tried (default: 600, some seconds), in the order of a seed.

use crate::common::Workbench;
use crate::phones::{arctic, ocean, ocean_part, timit};
use crate::slu::{SLURP, YAML};
use auricle_rng::{Key, Purpose, Stream};
use std::fs;
use std::path::{Path, PathBuf};

/// Texts that mean something to some reader.
const WORDS: [&str; 24] = [
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    ";",
    "|",
    "\t",
    "\n",
    " ",
    "\u{feff}",
    "\u{0}",
    "-1",
    "1e308",
    "NaN",
    "99999999999999999999",
    "null",
    "../",
    "<exists>",
    "IntervalTier",
    "é",
];

/// More than this is no text of such a corpus.
const MAX_BYTES: u64 = 64 << 10;

/// Small corpora of every form.
fn corpora() -> Vec<Workbench> {
    let scored = ocean();
    ocean_part(&scored, "test", &[("9a", "0009", "IT CALLS"), ("9b", "0009", "IT")]);
    scored.text(
        "resource/scores.json",
        r#"{"0001a": {"text": "X", "accuracy": 8, "total": 7, "words": [{"text": "X", "accuracy": 10, "stress": 10, "total": 9, "phones": ["W", "IY0"], "phones-accuracy": [2, 2], "mispronunciations": []}, {"text": "X", "accuracy": 10, "stress": 10, "total": 9, "phones": "K AO0 L", "phones-accuracy": [2, 1.8, 0.2], "mispronunciations": [{"canonical-phone": "L", "index": 2, "pronounced-phone": "<DEL>"}]}]}}"#,
    );
    let spoken = Workbench::new("timit");
    timit(&spoken, "TRAIN/DR1/FCJF0", "SX37");
    timit(&spoken, "TEST/DR1/FAKS0", "SI943");
    let libri = Workbench::new("librispeech");
    libri.chapter("dev-clean", 19, 2);
    let slurp = Workbench::new("slurp");
    slurp.text("dataset/slurp/devel.jsonl", &format!("{SLURP}\n"));
    slurp
        .text("dataset/slurp/metadata.json", r#"{"7": {"recordings": {"audio-1.flac": {"usrid": "FO-1"}}}}"#);
    slurp.text("dataset/lm/lm.txt", "play it\nstop\n");
    let stop = Workbench::new("stop");
    stop.text(
        "stop/manifests/eval.tsv",
        "file_id\tdomain\tgender\tnative\tutterance\tnormalized_utterance\tseqlogical\tdecoupled_normalized_seqlogical\n\
         eval_0/alarm_eval_0/1.wav\talarm\tfemale\tyes\tWake me\twake me\t[IN:X ]\t[IN:CREATE_ALARM [SL:DATE_TIME at seven ] ]\n",
    );
    let fsc = Workbench::new("fsc");
    fsc.text(
        "data/test_data.csv",
        ",path,speakerId,transcription,action,object,location\n0,wavs/1.wav,a,\"Lights, on\",activate,lights,none\n",
    );
    fsc.audio("wavs/1.wav", 160);
    let snips = Workbench::new("snips");
    snips.text("valid/seq.in", "play the 2 songs\nrate it\n");
    snips.text("valid/seq.out", "O O B-number O\nO B-object\n");
    snips.text("valid/label", "PlayMusic\nRateBook\n");
    let hwu = Workbench::new("hwu64");
    let table = "answerid;scenario;intent;answer_annotation;answer_from_anno\n5;alarm;set;\"wake me [date : today]\";\"x\"\n";
    hwu.text("KFold_1/trainset/alarm_set.csv", table);
    hwu.text("KFold_1/testset/csv/alarm_set.csv", table);
    let coffee = Workbench::new("picovoice-coffee");
    coffee.audio("data/speech/clean/0.wav", 160);
    coffee.audio("data/speech/clean/1.wav", 160);
    let label =
        |i: u32| format!("\"{i}.wav\": {{\"intent\": \"orderDrink\", \"slots\": {{\"size\": \"large\"}}}}");
    coffee.text("data/label/label.json", &format!("{{{}, {}}}", label(0), label(1)));
    coffee.text("data/rhino/coffee_maker.yaml", YAML);
    coffee.text("transcripts.tsv", "# clip\tdraft\n1.wav\tlatte\t2/2\tBrew a large latte\t2\n");
    let prompts = Workbench::new("asterisk");
    prompts.audio("en/digits/1.wav", 160);
    prompts.text("core-sounds-en.txt", "; prompts\ndigits/1: one\nbeep: [beep]\n");
    let lj = Workbench::new("ljspeech");
    lj.audio("wavs/LJ1.wav", 160);
    lj.text("metadata.csv", "LJ1|In 1866,|In eighteen sixty-six,\n");
    let own = Workbench::new("tree");
    own.audio("a/x.wav", 160);
    own.text("a/x.txt", "Hello.\n");
    vec![ocean(), scored, arctic(), spoken, libri, slurp, stop, fsc, snips, hwu, coffee, prompts, lj, own]
}

/// The files below a folder that are no recordings, and SPHERE files.
fn lists(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            lists(&path, found);
        } else if fs::metadata(&path).unwrap().len() < MAX_BYTES
            && !fs::read(&path).unwrap().starts_with(b"RIFF")
        {
            found.push(path);
        }
    }
}

fn mutate(content: &[u8], stream: &mut Stream) -> Vec<u8> {
    let mut bytes = content.to_vec();
    for _ in 0..=stream.below(3) {
        let at = stream.below(bytes.len() + 1);
        let end = (at + stream.below(24)).min(bytes.len());
        match stream.below(6) {
            0 if at < bytes.len() => bytes[at] = stream.below(256) as u8,
            1 => drop(bytes.splice(at..at, WORDS[stream.below(WORDS.len())].bytes())),
            2 => drop(bytes.splice(at..end, WORDS[stream.below(WORDS.len())].bytes())),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let copy = bytes[at..end].repeat(1 + stream.below(200));
                drop(bytes.splice(at..at, copy));
            }
            _ => bytes.truncate(at.max(bytes.len() / 2)),
        }
    }
    bytes
}

#[test]
fn changed_corpora_are_prepared_or_refused_by_name() {
    let count = std::env::var("AURICLE_MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(600);
    let corpora = corpora();
    let files: Vec<Vec<PathBuf>> = corpora
        .iter()
        .map(|bench| {
            bench.prepare().unwrap_or_else(|error| panic!("{}: {error}", bench.corpus.name()));
            let mut found = Vec::new();
            lists(&bench.source(), &mut found);
            found
        })
        .collect();
    let (mut prepared, mut refused) = (0usize, 0usize);
    for number in 0..count {
        let (bench, files) = (&corpora[number % corpora.len()], &files[number % corpora.len()]);
        let mut stream = Key::new(number as u64).stream(Purpose::Noise);
        let file = &files[stream.below(files.len())];
        let content = fs::read(file).unwrap();
        fs::write(file, mutate(&content, &mut stream)).unwrap();
        match bench.prepare() {
            Ok(_) => prepared += 1,
            Err(error) => {
                refused += 1;
                let message = error.to_string();
                assert!(message.len() < 4096, "mutation {number}: a message of {} bytes", message.len());
                assert!(
                    message.contains("corpus") || message.contains("utterance"),
                    "mutation {number}: {message}"
                );
            }
        }
        fs::write(file, content).unwrap();
    }
    println!("{count} changed corpora, {prepared} prepared, {refused} refused");
    assert!(prepared > count / 10 && refused > count / 10, "{prepared} prepared, {refused} refused");
}
