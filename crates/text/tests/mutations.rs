//! Every parser of texts, models and lists answers damaged bytes: no panic, and memory within bounds.
//!
//! Deterministic: the same mutations at every run. `AURICLE_MUTATIONS=200000` makes so many of them instead of some
//! thousands; the slowest input is named at the end (`-- --nocapture`).
#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_rng::{Key, Purpose, Stream};
use auricle_text::lm::{LmConfig, NgramLm, Unit, sentences};
use auricle_text::phone_lm::{PhoneLm, PhoneLmConfig};
use auricle_text::slu::{Frame, Tree};
use auricle_text::{
    G2p, G2pConfig, Lexicon, Perceived, Phone, Pronouncer, Scored, Slot, Tokenizer, TokenizerKind,
    TrainOptions, asr, normalise, oddities, read_hypotheses, spoken,
};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// Mutations of a run that nobody asked more of.
const USUAL: usize = 10_000;
/// Inputs are not grown beyond this.
const MAX_BYTES: usize = 64 << 10;
/// The process may hold so much at its peak: the inputs are small, so whatever they claim must be.
#[cfg(target_os = "linux")]
const MAX_PEAK_MIB: f64 = 400.0;

/// Pieces that parsers stumble over.
const NASTY: [&[u8]; 28] = [
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\n",
    b"\t",
    b" ",
    b"-",
    b"\"",
    b"\\",
    b"{",
    b"[",
    b"<",
    b"</s>",
    b"(99999999999)",
    b"18446744073709551616",
    b"-9223372036854775808",
    b"1152921504606846976",
    b"nan",
    b"-inf",
    b"1e999",
    b"\xe2\x80\x8d",
    b"\xcc\x87",
    b"\xe0\xa5\x8d",
    b"\xc2\xa0",
    b"\xf0\x9f\x98\x80",
    b"'",
    b"\x1f\x8b",
];

type Check = Box<dyn Fn(&[u8])>;

/// A kind of input: its name, good ones, and what reads it.
struct Target {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    check: Check,
}

#[test]
fn damaged_inputs_are_answered() {
    let count = std::env::var("AURICLE_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(USUAL);
    let folder = tempfile::tempdir().unwrap();
    let targets = targets(folder.path());
    let mut stream = Key::new(19).stream(Purpose::Test);
    let mut slowest = (Duration::ZERO, "", Vec::new());
    for target in &targets {
        // Good inputs are read, or the mutations would test nothing.
        target.seeds.iter().for_each(|seed| (target.check)(seed));
    }
    for number in 0..count {
        let target = &targets[number % targets.len()];
        let mut bytes = target.seeds[stream.below(target.seeds.len())].clone();
        for _ in 0..=stream.below(4) {
            mutate(&mut bytes, &target.seeds, &mut stream);
        }
        let begun = Instant::now();
        (target.check)(&bytes);
        if begun.elapsed() > slowest.0 {
            slowest = (begun.elapsed(), target.name, bytes);
        }
    }
    let (took, name, bytes) = slowest;
    println!("{count} mutations; the slowest took {took:?}: {name}, {} bytes", bytes.len());
    #[cfg(target_os = "linux")]
    {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        let peak = peak.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0;
        println!("peak {peak:.0} MiB");
        assert!(peak < MAX_PEAK_MIB, "{peak} MiB");
    }
}

/// One change: of a bit, a byte or a stretch, or a piece of the same or another input.
fn mutate(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], stream: &mut Stream) {
    if bytes.is_empty() {
        bytes.extend_from_slice(NASTY[stream.below(NASTY.len())]);
        return;
    }
    let at = stream.below(bytes.len());
    let end = (at + 1 + stream.below(40)).min(bytes.len());
    match stream.below(9) {
        0 => bytes[at] ^= 1 << stream.below(8),
        1 => bytes[at] = stream.below(256) as u8,
        2 => drop(bytes.drain(at..end)),
        3 => bytes.truncate(at),
        4 => {
            let piece = bytes[at..end].to_vec();
            let to = stream.below(bytes.len());
            bytes.splice(to..to, piece);
        }
        5 => {
            let piece = bytes[at..end].repeat(1 + stream.below(200));
            bytes.splice(at..at, piece);
        }
        6 => {
            let other = &seeds[stream.below(seeds.len())];
            let from = stream.below(other.len().max(1)).min(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        7 => {
            let to = (at + stream.below(3)).min(bytes.len());
            bytes.splice(at..to, NASTY[stream.below(NASTY.len())].iter().copied());
        }
        _ => {
            let to = stream.below(bytes.len());
            bytes.swap(at, to);
        }
    }
    bytes.truncate(MAX_BYTES);
}

const TEXTS: [&str; 6] = [
    "wake me up at eight o'clock",
    "the quick brown fox jumps over a lazy dog",
    "un café très près",
    "i am going to see the sea again",
    "she sells sea shells by the sea shore",
    "call it a bear",
];

fn targets(folder: &Path) -> Vec<Target> {
    let data = |name: &str| {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
    };
    let mut targets = Vec::new();

    let path = folder.join("lm.arpa");
    let units = TEXTS.iter().map(|text| Unit::Word.split(text));
    NgramLm::train(units, &LmConfig { order: 3, ..LmConfig::default() }).unwrap().save(&path).unwrap();
    let arpa = std::fs::read(&path).unwrap();
    let small = b"\\data\\\nngram 1=3\nngram 2=1\n\n\\1-grams:\n-1 <s> -0.3\n-1 </s>\n-0.5 a -0.1\n\n\\2-grams:\n-0.2 <s> a\n\n\\end\\\n";
    let saved = folder.join("saved.arpa");
    let check: Check = Box::new(move |bytes| {
        std::fs::write(&path, bytes).unwrap();
        let Ok(lm) = NgramLm::load(&path) else { return };
        let score = lm.sentence(&Unit::Word.split(TEXTS[0]));
        assert!(score.log_probability.is_finite());
        if bytes.len() % 16 == 0 {
            lm.save(&saved).unwrap();
            assert_eq!(NgramLm::load(&saved).unwrap().ngram_count(), lm.ngram_count());
        }
    });
    targets.push(Target { name: "ARPA", seeds: vec![arpa, small.to_vec()], check });

    let text = "\u{feff};;; comment\nread R IY1 D\nread(2) R EH1 D # yesterday\na\t0.5 AH\na 0.4 EY\n!SIL SIL\nbat B AE T\ntab T AE B\n";
    let lexicon = Lexicon::parse(text, "seed").unwrap();
    let path = folder.join("lexicon.dict");
    let check: Check = Box::new(move |bytes| {
        std::fs::write(&path, bytes).unwrap();
        if let Ok(lexicon) = Lexicon::read(&path) {
            assert_eq!(Lexicon::from_compact(&lexicon.to_compact()).unwrap(), lexicon);
        }
    });
    targets.push(Target { name: "lexicon", seeds: vec![text.into()], check });

    let check: Check = Box::new(|bytes| {
        if let Ok(lexicon) = Lexicon::from_compact(bytes) {
            assert_eq!(Lexicon::from_compact(&lexicon.to_compact()).unwrap(), lexicon);
        }
    });
    targets.push(Target { name: "compact lexicon", seeds: vec![lexicon.to_compact()], check });

    let config = G2pConfig { prune_nats: 0.0, min_graphone_count: 1, order: 3, ..G2pConfig::default() };
    let g2p = G2p::train(&lexicon, &config).unwrap();
    let check: Check = Box::new(|bytes| {
        if let Ok(model) = G2p::from_bytes(bytes) {
            model.pronounce("abba", 4).ok();
            model.to_bytes();
        }
    });
    targets.push(Target { name: "letter to sound", seeds: vec![g2p.to_bytes()], check });

    let phones: [&[u16]; 3] = [&[0, 1, 2, 1], &[2, 2], &[1]];
    let phone_lm = PhoneLm::estimate(phones, 3, PhoneLmConfig::default()).unwrap();
    let check: Check = Box::new(|bytes| {
        if let Ok(model) = PhoneLm::from_text(&String::from_utf8_lossy(bytes)) {
            model.log_probability(&[0, 1]);
            assert_eq!(PhoneLm::from_text(&model.to_text()).unwrap(), model);
        }
    });
    targets.push(Target { name: "phone language model", seeds: vec![phone_lm.to_text().into()], check });

    let encode = |tokenizer: &Tokenizer| {
        for text in ["the naïve cat <int:read>", ""] {
            if let Ok(ids) = tokenizer.encode(text) {
                assert!(ids.iter().all(|id| (*id as usize) < tokenizer.vocab_size()));
                tokenizer.decode(&ids);
            }
        }
        Tokenizer::from_json(&tokenizer.to_json()).unwrap();
    };
    let path = folder.join("x.model");
    let models = ["uds-unigram", "uds-bpe", "suffix-bpe", "nfkc_cf-bpe", "spaces-unigram"];
    let check: Check = Box::new(move |bytes| {
        std::fs::write(&path, bytes).unwrap();
        if let Ok(tokenizer) = Tokenizer::load(&path) {
            encode(&tokenizer);
        }
    });
    let seeds = models.map(|model| data(&format!("{model}.model"))).to_vec();
    targets.push(Target { name: "SentencePiece model", seeds, check });

    let train = |kind| {
        let options = TrainOptions { kind, vocab_size: 45, marks: vec!["<int:read>".into()] };
        Tokenizer::train(TEXTS.into_iter(), &options).unwrap().to_json().into_bytes()
    };
    let check: Check = Box::new(move |bytes| {
        if let Ok(tokenizer) = Tokenizer::from_json(&String::from_utf8_lossy(bytes)) {
            encode(&tokenizer);
        }
    });
    let seeds =
        vec![train(TokenizerKind::Unigram), train(TokenizerKind::Bpe), b"{\"kind\":\"characters\"}".to_vec()];
    targets.push(Target { name: "tokenizer", seeds, check });

    let path = folder.join("hyp.txt");
    let lines = "u1 we call it bear\nmy talk\tgood morning\n{\"id\": \"c\", \"text\": \"x\", \"words\": [{\"a\": [1, 2]}]}\n\"odd\\tid\"\ttext\n";
    let check: Check = Box::new(move |bytes| {
        std::fs::write(&path, bytes).unwrap();
        let Ok(texts) = read_hypotheses(&path, "text", &BTreeSet::from(["u1", "my talk"])) else { return };
        let reference = |id: &str| Scored {
            id: id.into(),
            speaker: None,
            reference: TEXTS[0].into(),
            hypothesis: String::new(),
        };
        asr::evaluate(vec![reference("u1"), reference("my talk")], texts).ok();
    });
    targets.push(Target { name: "hypotheses", seeds: vec![lines.into()], check });

    let frame = "<int:read> <slot:line> wake me up </slot> <slot:time> eight </slot>";
    let tree = "[IN:CREATE_ALARM wake me [SL:DATE_TIME at eight [IN:GET_TIME now ] ] ]";
    let check: Check = Box::new(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        if let Ok(frame) = Frame::parse(&text) {
            frame.to_text().ok();
        }
        Frame::read(&text);
        Tree::read_intent(&text);
        if let Ok(tree) = Tree::parse(&text) {
            assert_eq!(Tree::parse(&tree.to_text().unwrap()).unwrap(), tree);
            assert_eq!(tree.decoupled().sorted(), tree.sorted().decoupled().sorted());
        }
    });
    targets.push(Target { name: "meanings", seeds: vec![frame.into(), tree.into()], check });

    let pronouncer = Pronouncer::new(lexicon, Some(g2p));
    let check: Check = Box::new(move |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let said = spoken(&text);
        assert_eq!(normalise(&said), said);
        oddities(&text);
        let Ok(_) = sentences(&text, |words| Ok::<_, std::convert::Infallible>(Unit::Character.split(words)));
        if let Ok(prompt) = pronouncer.prompt(&text) {
            assert!(prompt.words.iter().all(|word| text.get(word.span.clone()).is_some()));
        }
        for label in text.split_whitespace() {
            Phone::parse(label);
            Slot::from_l2arctic(label).ok();
            Perceived::from_timit(label).ok();
            Perceived::from_speechocean(label).ok();
        }
    });
    let numbers = "On 12/25/2020 at 7:05 pm, Dr. Lee paid $3.50 (1,234 × 5%) for 22nd-hand R&B, 007, 1980s, ½ km; <s> don’t DH,D*,s AH0 </s>";
    let seeds = TEXTS.iter().map(|text| text.as_bytes().to_vec()).chain([numbers.into()]).collect();
    targets.push(Target { name: "texts and numbers", seeds, check });
    targets
}
