//! Lexicon, letters to sounds and prompts on real data, where there is any: `AURICLE_DATA`, by default
//! `../shared/data` beside the repository.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests may fail like tests

use auricle_rng::{Key, Purpose};
use auricle_text::{ErrorCounts, G2p, G2pConfig, Lexicon, Perceived, Phone, Pronouncer, Pronunciation};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn data() -> Option<PathBuf> {
    let fallback = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("AURICLE_DATA").map_or_else(fallback, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: {} is not a folder (set AURICLE_DATA)", folder.display());
    None
}

fn dictionary(data: &Path) -> Lexicon {
    Lexicon::read(&data.join("text/cmudict/cmudict.dict")).unwrap()
}

#[test]
fn the_cmu_dictionary_is_read_and_stored_in_few_bytes() {
    let Some(data) = data() else { return };
    let lexicon = dictionary(&data);
    assert!(lexicon.len() > 125_000, "{} words", lexicon.len());
    assert_eq!(lexicon.lookup("aalto"), [[Phone::Aa, Phone::L, Phone::T, Phone::Ow]]);
    assert_eq!(lexicon.lookup("a").len(), 2);
    let bytes = lexicon.to_compact();
    println!("{} words in {} bytes", lexicon.len(), bytes.len());
    assert!(bytes.len() < 2_200_000, "{} bytes", bytes.len());
    assert_eq!(Lexicon::from_compact(&bytes).unwrap(), lexicon);
}

#[test]
fn prompts_of_speechocean762_have_the_canonical_phones_of_the_corpus() {
    let Some(data) = data() else { return };
    let corpus = data.join("speechocean762");
    let mut lexicon = dictionary(&data);
    let only_cmu = Pronouncer::new(lexicon.clone(), None);
    lexicon.overlay(&Lexicon::read(&corpus.join("resource/lexicon.txt")).unwrap());
    let pronouncer = Pronouncer::new(lexicon, None);
    let mut canonical = BTreeMap::<String, Pronunciation>::new();
    for line in std::fs::read_to_string(corpus.join("resource/text-phone")).unwrap().lines() {
        let (id, phones) = line.split_once(char::is_whitespace).unwrap();
        let phones = phones.split_whitespace().map(|label| Perceived::from_speechocean(label).unwrap());
        canonical.insert(id.into(), phones.map(|perceived| perceived.phone().unwrap()).collect());
    }
    let (mut words, mut found, mut found_by_cmu, mut utterances, mut unknown_to_cmu) = (0, 0, 0, 0, 0);
    for line in std::fs::read_to_string(corpus.join("train/text")).unwrap().lines() {
        let (id, text) = line.split_once('\t').unwrap();
        utterances += 1;
        let prompt = pronouncer.prompt(text).unwrap_or_else(|error| panic!("{id}: {error}"));
        for (k, word) in prompt.words.iter().enumerate() {
            let phones = &canonical[&format!("{id}.{k}")];
            words += 1;
            found += usize::from(word.pronunciations.contains(phones));
            match only_cmu.prompt(&word.text) {
                Ok(prompt) => found_by_cmu += usize::from(prompt.words[0].pronunciations.contains(phones)),
                Err(_) => unknown_to_cmu += 1,
            }
        }
    }
    println!(
        "{utterances} prompts, {words} words: canonical phones among ours for {found}, with CMU's dictionary alone for \
         {found_by_cmu} ({unknown_to_cmu} words not in it)"
    );
    assert_eq!((utterances, words), (2500, 15_849));
    assert_eq!(found, words);
    // The corpus mostly has British pronunciations ("for" as F AO): its lexicon is needed.
    assert!(found_by_cmu * 100 > words * 85);
}

#[test]
fn held_out_words_of_the_cmu_dictionary_are_pronounced() {
    let Some(data) = data() else { return };
    let lexicon = dictionary(&data);
    let (mut training, mut held_out) = (Lexicon::default(), Vec::new());
    for (word, pronunciations) in lexicon.iter() {
        if Key::new(1).utterance(word).stream(Purpose::Subset).chance(0.1) {
            held_out.push((word, pronunciations));
        } else {
            pronunciations.iter().for_each(|phones| training.insert(word, phones.clone()).unwrap());
        }
    }
    let model = G2p::train(&training, &G2pConfig::default()).unwrap();
    let mut errors = ErrorCounts::default();
    for (word, pronunciations) in
        held_out.iter().filter(|(word, _)| word.bytes().all(|b| b.is_ascii_lowercase()))
    {
        let best = &model.pronounce(word, 1).unwrap()[0];
        let nearest = pronunciations.iter().map(|reference| ErrorCounts::of(reference, best));
        errors += nearest.min_by(|a, b| a.rate().total_cmp(&b.rate())).unwrap();
    }
    let bytes = model.to_bytes();
    println!("PER {:.2} %, {} bytes", 100.0 * errors.rate(), bytes.len());
    assert!(errors.rate() < 0.07 && bytes.len() < 2_000_000);
    assert_eq!(G2p::from_bytes(&bytes).unwrap(), model);
}

#[test]
fn a_language_model_of_home_assistants_foretells_their_requests() {
    use auricle_text::lm::{LmConfig, NgramLm, Perplexity, Unit};
    let Some(data) = data() else { return };
    let folder = data.join("text/slurp");
    let content = std::fs::read_to_string(folder.join("lm.txt")).unwrap();
    let sentences = || content.lines().map(|line| Unit::Word.split(&auricle_text::spoken(line)));
    let devel = std::fs::read_to_string(folder.join("devel.jsonl")).unwrap();
    let devel: Vec<Vec<String>> = devel
        .lines()
        .map(|line| {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            Unit::Word.split(&auricle_text::spoken(entry["sentence"].as_str().unwrap()))
        })
        .collect();
    let measure = |lm: &NgramLm| {
        let mut sums = Perplexity::default();
        devel.iter().for_each(|units| sums += lm.sentence(units));
        println!(
            "{} n-grams: {:.2}, {:.2} without {} of {} words",
            lm.ngram_count(),
            sums.perplexity(),
            sums.known_perplexity(),
            sums.unknown,
            sums.units
        );
        sums.perplexity()
    };
    let of = |order, prune_nats| {
        measure(&NgramLm::train(sentences(), &LmConfig { order, prune_nats, ..LmConfig::default() }).unwrap())
    };
    let (unigram, bigram, trigram, pruned) = (of(1, 0.0), of(2, 0.0), of(3, 0.0), of(3, 1.0));
    assert!(
        bigram < unigram / 2.0 && trigram < bigram && pruned < 1.3 * trigram,
        "{unigram} {bigram} {trigram} {pruned}"
    );
}
