//! Every form of list, changed at random: no panic, and no more memory than such a small list may take.
//!
//! `AURICLE_MUTATIONS` sets how many are tried (default: 2,000, some seconds). The order is that of a seed, so what one
//! campaign finds the next one finds as well.

use super::memory::measured;
use auricle_data::{Manifest, Sentence, read_leniently, read_noting};
use auricle_rng::{Key, Purpose, Stream};
use std::fs;
use std::path::{Path, PathBuf};

/// A small list may take this much in memory.
const LIMIT: usize = 32 << 20;

/// Texts that mean something to some reader.
const WORDS: [&str; 34] = [
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
    "\r\n",
    " ",
    "\u{feff}",
    "\u{0}",
    "-1",
    "1e308",
    "1e-320",
    "NaN",
    "99999999999999999999",
    "null",
    "true",
    "../",
    "/dev/null",
    "id",
    "audio",
    "duration_secs",
    "start",
    "channel",
    "supervisions",
    "text",
    "é",
    "\u{1b}[2J",
];

/// Name of the file that is changed, its content, and files beside it.
type Seed = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const SEEDS: [Seed; 16] = [
    (
        "m.jsonl",
        "{\"id\":\"a\",\"audio\":\"x.wav\",\"duration_secs\":0.1,\"text\":\"a b\",\"phones\":[\"AH\"]}\n{\"id\":\"b\",\"audio\":\"x.wav\",\"start_secs\":0.05,\"duration_secs\":0.05,\"room\":{\"a\":[1,2]}}\n",
        &[],
    ),
    (
        "n.json",
        "{\"audio_filepath\":\"x.wav\",\"duration\":0.1,\"offset\":0.0,\"text\":\"a\",\"speaker\":7}\n{\"audio_filepath\":\"x.wav\",\"offset\":\"0.05\"}\n",
        &[],
    ),
    ("h.jsonl", "{\"file_name\":\"x.wav\",\"transcription\":\"a\",\"speaker_id\":1}\n", &[]),
    (
        "cuts.jsonl",
        "{\"id\":\"c\",\"start\":0,\"duration\":0.1,\"channel\":0,\"supervisions\":[{\"id\":\"s\",\"recording_id\":\"r\",\"start\":0,\"duration\":0.1,\"channel\":0,\"text\":\"a\",\"custom\":{\"x\":1}}],\"recording\":{\"id\":\"r\",\"sources\":[{\"type\":\"file\",\"channels\":[0],\"source\":\"x.wav\"}],\"sampling_rate\":8000}}\n",
        &[],
    ),
    (
        "l/recordings.jsonl",
        "{\"id\":\"r\",\"sources\":[{\"type\":\"file\",\"channels\":[0],\"source\":\"../x.wav\"}]}\n",
        &[(
            "l/supervisions.jsonl",
            "{\"id\":\"s\",\"recording_id\":\"r\",\"start\":0,\"duration\":0.1,\"text\":\"a\"}\n",
        )],
    ),
    (
        "l/supervisions.jsonl",
        "{\"id\":\"s\",\"recording_id\":\"r\",\"start\":0,\"duration\":0.1,\"text\":\"a\"}\n",
        &[(
            "l/recordings.jsonl",
            "{\"id\":\"r\",\"sources\":[{\"type\":\"file\",\"channels\":[0],\"source\":\"../x.wav\"}]}\n",
        )],
    ),
    (
        "t.csv",
        "ID,duration,wav,start,stop,spk_id,wrd\na,0.1,x.wav,0,0.1,s,\"A, B\"\nb,0.05,x.wav,0.05,0.1,s,C\n",
        &[],
    ),
    ("t.tsv", "client_id\tpath\tsentence\tup_votes\nc\tx.wav\t\"Hello\t2\n", &[]),
    ("s.csv", "path;start_ms;end_ms;text\nx.wav;0;50;a\n", &[]),
    ("j/metadata.csv", "../x|Raw 1|raw one\n../x|Two|\n", &[]),
    ("k/wav.scp", "r1 ../x.wav\nr2 ../x.wav\n", &[("k/text", "r1 a\n"), ("k/utt2dur", "r1 0.1\n")]),
    (
        "k/segments",
        "a r1 0 0.05\nb r1 0.05 -1 0\n",
        &[("k/wav.scp", "r1 ../x.wav\n"), ("k/reco2file_and_channel", "r1 x A\n")],
    ),
    ("k/reco2file_and_channel", "r1 x A\n", &[("k/wav.scp", "r1 ../x.wav\n"), ("k/spk2gender", "s f\n")]),
    ("84/7/84-7.trans.txt", "84-7-0 A B\n84-7-1 C\n", &[]),
    ("p.txt", "one sentence\nanother\n", &[]),
    ("e.jsonl", "{\"id\":\"a\",\"text\":\"one\",\"meaning\":\"<int:x>\"}\n", &[]),
];

/// Changes a few places.
fn mutate(content: &[u8], stream: &mut Stream) -> Vec<u8> {
    let mut bytes = content.to_vec();
    for _ in 0..=stream.below(4) {
        let at = stream.below(bytes.len() + 1);
        let end = (at + stream.below(24)).min(bytes.len());
        match stream.below(7) {
            0 if at < bytes.len() => bytes[at] = stream.below(256) as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << stream.below(8),
            2 => drop(bytes.splice(at..at, WORDS[stream.below(WORDS.len())].bytes())),
            3 => drop(bytes.splice(at..end, WORDS[stream.below(WORDS.len())].bytes())),
            4 => drop(bytes.drain(at..end)),
            5 => {
                let copy = bytes[at..end].repeat(1 + stream.below(200));
                drop(bytes.splice(at..at, copy));
            }
            _ => bytes.truncate(at.max(bytes.len() / 2)),
        }
    }
    bytes
}

/// Reads the file, and its folder, in every way; whether any of them gave something.
fn read(root: &Path, path: &Path) -> bool {
    let folder = path.parent().filter(|folder| *folder != root);
    let mut found = false;
    for path in std::iter::once(path).chain(folder) {
        found |= read_noting(path).is_ok();
        if let Ok(reading) = read_leniently(path) {
            found |= !reading.utterances.is_empty();
            // What can be read can be written, or is refused by name.
            if Manifest::write(&root.join("out.jsonl"), &reading.utterances).is_ok() {
                let again = Manifest::open(&root.join("out.jsonl")).unwrap();
                assert_eq!(again.len(), reading.utterances.len());
            }
        }
    }
    if let Ok(manifest) = Manifest::open(path) {
        found |= (0..manifest.len().min(8)).any(|index| manifest.get(index).is_ok());
        manifest.find("a").ok();
    }
    found |= Sentence::read(path).is_ok();
    found
}

#[test]
fn changed_lists_are_read_or_refused() {
    let count = std::env::var("AURICLE_MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(2_000);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let write = |name: &str, content: &[u8]| -> PathBuf {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    };
    let audio = auricle_audio::Audio::new(vec![0.1; 800], 8000);
    fs::create_dir_all(root.join("84/7")).unwrap();
    for name in ["x.wav", "84/7/84-7-0.wav"] {
        auricle_audio::write_wav(&root.join(name), &audio).unwrap();
    }
    let (mut whole, mut largest) = (0usize, 0);
    for number in 0..count {
        let (name, content, others) = SEEDS[number % SEEDS.len()];
        let mut stream = Key::new(number as u64).stream(Purpose::Noise);
        let changed = mutate(content.as_bytes(), &mut stream);
        for (name, content) in others {
            write(name, content.as_bytes());
        }
        let path = write(name, &changed);
        let (found, bytes) = measured(|| read(root, &path));
        assert!(bytes < LIMIT, "mutation {number} of {name} takes {bytes} bytes");
        largest = largest.max(bytes);
        whole += usize::from(found);
        let top = Path::new(name).parent().filter(|top| *top == Path::new("k") || *top == Path::new("l"));
        match top {
            Some(top) => fs::remove_dir_all(root.join(top)).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
    }
    println!("{count} changed lists, {whole} of them read in part or whole, {largest} bytes at most");
    assert!(whole > count / 10 && whole < count, "{whole} of {count}");
}
