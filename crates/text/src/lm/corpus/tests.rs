use super::*;
use crate::lm::{LmConfig, NgramLm, Unit};
use auricle_rng::{Key, Purpose};
use proptest::prelude::*;

fn estimate(lines: &[Vec<String>], config: CorpusConfig) -> Result<(NgramLm, CorpusReport), LmError> {
    let folder = tempfile::tempdir().unwrap();
    let mut corpus = Corpus::new(CorpusConfig { folder: folder.path().into(), ..config })?;
    for line in lines {
        corpus.push(line)?;
    }
    let out = tempfile::tempdir().unwrap();
    let report = corpus.write_arpa(&out.path().join("lm.arpa"))?;
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "temporary files stay");
    Ok((NgramLm::load(&out.path().join("lm.arpa")).unwrap(), report))
}

/// Every n-gram with its logarithms, by its units.
fn entries(lm: &NgramLm) -> std::collections::BTreeMap<Vec<String>, (f32, f32)> {
    let mut all = std::collections::BTreeMap::new();
    for (i, level) in lm.trie.levels().iter().enumerate() {
        for (entry, units) in level.units.chunks_exact(i + 1).enumerate() {
            let units = units.iter().map(|unit| lm.units[*unit as usize].clone()).collect();
            all.insert(units, (level.logs[entry], level.backoffs[entry]));
        }
    }
    all
}

fn assert_equal(found: &NgramLm, expected: &NgramLm) {
    let (found, expected) = (entries(found), entries(expected));
    assert_eq!(found.len(), expected.len());
    for (units, (log, backoff)) in &expected {
        let other = found.get(units).unwrap_or_else(|| panic!("no {units:?}"));
        assert!((other.0 - log).abs() < 1e-6 * log.abs().max(1.0), "{units:?}: {other:?}, not {log}");
        assert!(
            (other.1 - backoff).abs() < 1e-6 * backoff.abs().max(1.0),
            "{units:?}: {other:?}, not {backoff}"
        );
    }
}

/// Words with frequencies like those of a language, so that all discounts are estimated.
fn text(sentences: usize) -> Vec<Vec<String>> {
    let mut stream = Key::new(11).stream(Purpose::Test);
    let mut word = || {
        let scale = 1 + stream.below(60);
        format!("w{}", stream.below(scale))
    };
    (0..sentences).map(|i| (0..1 + i % 9).map(|_| word()).collect()).collect()
}

#[test]
fn runs_on_disk_give_the_model_of_memory() {
    let lines = text(1_000);
    for order in 1..=5 {
        let expected =
            NgramLm::train(lines.clone(), &LmConfig { order, min_count: 3, ..LmConfig::default() }).unwrap();
        let config = CorpusConfig {
            order,
            vocabulary: Vocabulary::MinCount(3),
            memory: 4096, // 20 runs of 256 n-grams
            ..CorpusConfig::default()
        };
        let (found, report) = estimate(&lines, config).unwrap();
        assert_equal(&found, &expected);
        assert_eq!(report.ngrams.iter().sum::<u64>(), expected.ngram_count() as u64);
        assert_eq!((report.sentences, report.vocabulary), (1_000, expected.units().len() - 3));
        assert!(report.unknown > 0 && report.units > 4_000, "{report:?}");
    }
}

#[test]
fn vocabularies() {
    let lines: Vec<Vec<String>> =
        ["a a a b b c c d", "b a <unk>"].iter().map(|line| Unit::Word.split(line)).collect();
    let of = |vocabulary| estimate(&lines, CorpusConfig { vocabulary, ..CorpusConfig::default() }).unwrap();
    let known = |lm: &NgramLm| {
        let mut units = lm.units()[3..].to_vec();
        units.sort();
        units.concat()
    };
    let (lm, report) = of(Vocabulary::MostFrequent(2));
    assert_eq!((known(&lm).as_str(), report.units, report.unknown, report.types), ("ab", 11, 4, 5));
    let (lm, report) = of(Vocabulary::MinCount(2));
    assert_eq!((known(&lm).as_str(), report.unknown), ("abc", 2));
    let listed = ["d", "x", "y", "d", "<unk>"].map(String::from).to_vec();
    let (lm, report) = of(Vocabulary::Listed(listed));
    assert_eq!((known(&lm).as_str(), report.unknown, report.vocabulary), ("dxy", 10, 3));
    let unseen = |unit| lm.score(lm.middle(), lm.unit(unit)).0;
    assert_eq!(unseen("x"), unseen("y"));
    let sum: f64 = ["d", "x", "y", "never"].map(|unit| f64::from(unseen(unit)).exp()).iter().sum::<f64>()
        + f64::from(lm.end(lm.middle())).exp();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
}

#[test]
fn what_cannot_be_estimated_is_told() {
    let error = |lines: &[&str], config: CorpusConfig| {
        let lines: Vec<Vec<String>> = lines.iter().map(|line| vec![(*line).to_owned()]).collect();
        estimate(&lines, config).unwrap_err().to_string()
    };
    let config = CorpusConfig::default;
    assert!(error(&[], config()).contains("no text"));
    assert!(error(&["a b"], config()).contains("`a b`"));
    assert!(error(&["</s>"], config()).contains("marks"));
    assert!(error(&["a"], CorpusConfig { order: 0, ..config() }).contains("`order` is 0"));
    assert!(error(&["a"], CorpusConfig { memory: 1, ..config() }).contains("`memory` is 1"));
    let listed = |unit: &str| Vocabulary::Listed(vec![unit.into()]);
    assert!(error(&["a"], CorpusConfig { vocabulary: listed("a b"), ..config() }).contains("`a b`"));
    let none = CorpusConfig { vocabulary: Vocabulary::MostFrequent(0), ..config() };
    assert!(error(&["a"], none).contains("`vocabulary` is 0"));
    let many: Vec<String> = (0..10_000).map(|i| format!("w{i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(error(&many, CorpusConfig { order: 10, ..config() }).contains("128 bits"));
    let missing = Corpus::new(CorpusConfig { folder: "/nowhere/at/all".into(), ..config() }).unwrap_err();
    assert!(missing.to_string().contains("/nowhere/at/all"), "{missing}");
}

proptest! {
    #[test]
    fn any_text_gives_the_model_of_memory(
        lines in prop::collection::vec(prop::collection::vec("[a-f]|<unk>", 1..7), 1..40),
        order in 1usize..5,
        min_count in 1usize..4,
    ) {
        let expected =
            NgramLm::train(lines.clone(), &LmConfig { order, min_count, ..LmConfig::default() }).unwrap();
        let vocabulary = Vocabulary::MinCount(min_count as u64);
        let (found, _) =
            estimate(&lines, CorpusConfig { order, vocabulary, memory: 4096, ..CorpusConfig::default() }).unwrap();
        assert_equal(&found, &expected);
    }
}
