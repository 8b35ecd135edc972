//! How fast the search for words is, on noise around what a text would sound like:
//! `cargo run --release -p auricle-decode --example search_speed -- cmudict.dict book.txt [SPREAD]`, a sentence a line.

#![allow(clippy::unwrap_used)] // a measurement may fail like a test

use auricle_decode::graph::{Outputs, Topology};
use auricle_decode::search::{Hotword, LexiconTree, SearchConfig, WordDecoder, WordSearch};
use auricle_rng::{Key, Purpose};
use auricle_text::Lexicon;
use auricle_text::lm::{LmConfig, NgramLm};
use auricle_text::units::{SILENCE, UNITS, units_of};
use ndarray::{Array2, s};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Sentences for the model and to be said.
fn sentences(path: &str, most: usize) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap();
    let words = |line: &str| line.to_lowercase().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    text.lines().map(words).filter(|words| words.len() > 3).take(most).collect()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(lexicon), Some(text)) = (arguments.next(), arguments.next()) else {
        eprintln!("give a lexicon and a text with a sentence a line");
        std::process::exit(2);
    };
    let spread = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1.5f32);
    let lexicon = Lexicon::read(Path::new(&lexicon)).unwrap();
    let texts = sentences(&text, 40_000);
    let (said, learned) = texts.split_at(40);
    let lm =
        NgramLm::train(learned.iter().cloned(), &LmConfig { min_count: 1, ..LmConfig::default() }).unwrap();
    let (tree, coverage) = LexiconTree::from_lexicon(&lexicon, &lm).unwrap();
    println!("{} n-grams, {} words, {} nodes", lm.ngram_count(), coverage.words, tree.num_nodes());
    let outputs = Outputs::mono(Topology::Chain, UNITS);
    let mut stream = Key::new(1).stream(Purpose::Test);
    let mut frames: Vec<(u32, u32)> = Vec::new();
    for sentence in said {
        let mut phones = vec![SILENCE];
        for word in sentence {
            phones.extend(lexicon.lookup(word).first().into_iter().flat_map(|phones| units_of(phones)));
        }
        phones.push(SILENCE);
        for phone in phones {
            let [first, other] = outputs.of(None, phone);
            frames.push((first, phone.into()));
            frames.extend((0..1 + stream.below(4)).map(|_| (other, phone.into())));
        }
    }
    let mut scores =
        Array2::from_shape_fn((frames.len(), outputs.count()), |_| spread * stream.normal() as f32);
    for (t, (output, _)) in frames.iter().enumerate() {
        scores[[t, *output as usize]] += 4.0;
    }
    // Every tenth word that the model knows is expected, up to a thousand.
    let hotwords: Vec<Hotword> = lexicon
        .iter()
        .filter(|(word, _)| !lm.is_unknown(lm.unit(word)))
        .step_by(10)
        .take(1000)
        .map(|(word, _)| Hotword { words: vec![word.to_owned()], boost: 2.0 })
        .collect();
    let plain = SearchConfig::default();
    for (name, config, hotwords) in [
        ("beam 10", SearchConfig { beam: 10.0, ..plain.clone() }, &[][..]),
        ("beam 12", SearchConfig { beam: 12.0, ..plain.clone() }, &[]),
        ("beam 12, no look-ahead", SearchConfig { beam: 12.0, look_ahead: false, ..plain.clone() }, &[]),
        ("beam 12, lattice 8", SearchConfig { beam: 12.0, lattice_beam: Some(8.0), ..plain.clone() }, &[]),
        ("beam 12, hotwords", SearchConfig { beam: 12.0, ..plain.clone() }, &hotwords),
        ("beam 14, at most 3000", SearchConfig { max_active: 3000, ..plain.clone() }, &[]),
    ] {
        let decoder = Arc::new(WordDecoder::new(tree.clone(), lm.clone(), outputs.clone(), config).unwrap());
        let mut search = WordSearch::with_hotwords(decoder, hotwords).unwrap();
        let (begun, mut active) = (Instant::now(), 0);
        for t in 0..frames.len() {
            search.push(scores.slice(s![t..=t, ..])).unwrap();
            active += search.num_active();
        }
        let found = search.finish();
        let secs = begun.elapsed().as_secs_f64();
        let mut counts: HashMap<&str, i32> = HashMap::new();
        said.iter().flatten().for_each(|word| *counts.entry(word).or_default() += 1);
        let right = found.words.iter().filter(|word| {
            counts.get_mut(word.word.as_str()).is_some_and(|count| std::mem::replace(count, *count - 1) > 0)
        });
        println!(
            "{name}: {:.0} tokens a frame, {:.3} µs a token, RTF {:.4} at 30 ms, \
             score {:.1}, {} of {} words, {} arcs a frame",
            active as f64 / frames.len() as f64,
            secs * 1e6 / active as f64,
            secs / (frames.len() as f64 * 0.03),
            found.score,
            right.count(),
            said.iter().map(Vec::len).sum::<usize>(),
            found.lattice.as_ref().map_or(0, |lattice| lattice.arcs().len() / frames.len()),
        );
    }
}
