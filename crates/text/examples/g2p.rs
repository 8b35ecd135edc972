//! Trains a letter-to-sound model on a dictionary and measures it on words held out by their hash.
//!
//! ```sh
//! cargo run --release -p auricle-text --example g2p -- cmudict.dict [order] [prune_nats] [model.g2p]
//! ```
//!
//! A word is wrong if its best pronunciation is none of the dictionary's; phone errors are counted
//! against the nearest of these. The saved model is the one without the held-out words.

use auricle_rng::{Key, Purpose};
use auricle_text::{ErrorCounts, G2p, G2pConfig, Lexicon};
use std::path::Path;
use std::time::Instant;

/// Seed of the split: every run holds out the same words.
const SPLIT_SEED: u64 = 1;
const HELD_OUT_SHARE: f64 = 0.1;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = arguments.first().ok_or("usage: g2p DICTIONARY [ORDER] [PRUNE_NATS] [MODEL]")?;
    let mut config = G2pConfig::default();
    if let Some(order) = arguments.get(1) {
        config.order = order.parse()?;
    }
    if let Some(nats) = arguments.get(2) {
        config.prune_nats = nats.parse()?;
    }
    let lexicon = Lexicon::read(Path::new(path))?;
    let (mut training, mut held_out) = (Lexicon::default(), Vec::new());
    for (word, pronunciations) in lexicon.iter() {
        if !word.chars().all(|c| c.is_ascii_lowercase() || c == '\'') {
            continue;
        }
        if Key::new(SPLIT_SEED).utterance(word).stream(Purpose::Subset).chance(HELD_OUT_SHARE) {
            held_out.push((word, pronunciations));
        } else {
            for pronunciation in pronunciations {
                training.insert(word, pronunciation.clone())?;
            }
        }
    }
    let start = Instant::now();
    let model = G2p::train(&training, &config)?;
    let seconds = start.elapsed().as_secs_f64();
    let bytes = model.to_bytes();
    println!("order {}, pruned at {} nats, {} words", config.order, config.prune_nats, training.len());
    println!(
        "trained in {seconds:.1} s: {} graphones, {} n-grams, {} bytes",
        model.graphone_count(),
        model.ngram_count(),
        bytes.len()
    );
    let start = Instant::now();
    let (mut wrong, mut among_four, mut unread) = (0usize, 0usize, 0usize);
    let mut phones = ErrorCounts::default();
    for (word, pronunciations) in &held_out {
        let found = model.pronounce(word, 4).unwrap_or_default();
        unread += usize::from(found.is_empty());
        let best = found.first().cloned().unwrap_or_default();
        wrong += usize::from(!pronunciations.contains(&best));
        among_four += usize::from(pronunciations.iter().any(|pronunciation| found.contains(pronunciation)));
        let nearest = pronunciations.iter().map(|reference| ErrorCounts::of(reference, &best));
        phones += nearest.min_by(|a, b| a.rate().total_cmp(&b.rate())).unwrap_or_default();
    }
    let words = held_out.len().max(1) as f64;
    println!(
        "{} words held out, {unread} without answer: PER {:.2} %, WER {:.2} %, right among four {:.2} %; {:.2} ms a word",
        held_out.len(),
        100.0 * phones.rate(),
        100.0 * wrong as f64 / words,
        100.0 * among_four as f64 / words,
        start.elapsed().as_secs_f64() * 1e3 / words,
    );
    if let Some(path) = arguments.get(3) {
        model.save(Path::new(path))?;
    }
    Ok(())
}
