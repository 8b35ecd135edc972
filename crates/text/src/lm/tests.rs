use super::*;
use auricle_rng::{Key, Purpose};
use proptest::prelude::*;

fn train(text: &[&str], config: &LmConfig) -> NgramLm {
    NgramLm::train(text.iter().map(|line| Unit::Word.split(line)), config).unwrap()
}

/// Sentences in which each word mostly brings the next one.
pub(super) fn sentences() -> Vec<String> {
    let mut stream = Key::new(5).stream(Purpose::Test);
    let sentence = |_| {
        let mut last = stream.below(20);
        let length = 2 + stream.below(8);
        let words = (0..length).map(|_| {
            last = if stream.chance(0.7) { (last + 1) % 20 } else { stream.below(20) };
            format!("w{last}")
        });
        words.collect::<Vec<_>>().join(" ")
    };
    (0..300).map(sentence).collect()
}

pub(super) fn of_sentences(config: &LmConfig) -> NgramLm {
    NgramLm::train(sentences().iter().map(|line| Unit::Word.split(line)), config).unwrap()
}

#[test]
fn bigrams_by_hand() {
    // Too little for counts of counts: discounts are 0.5, 0.75 and 0.9. Of unigrams count the different units
    // before them: a 1, b 1, c 1, end 2, together 5; γ = (3·0.5 + 0.75)/5 = 0.45, over 5 outcomes.
    let lm = train(&["a b", "a c"], &LmConfig { order: 2, ..LmConfig::default() });
    let p = |log: f32| f64::from(log).exp();
    let close = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-6, "{found}, not {wanted}");
    let one = |unit: &str| p(lm.score(lm.middle(), lm.unit(unit)).0);
    close(one("a"), 0.5 / 5.0 + 0.09);
    close(one("never"), 0.09);
    close(p(lm.end(lm.middle())), 1.25 / 5.0 + 0.09);
    let (first, a) = lm.score(lm.begin(), lm.unit("a"));
    close(p(first), 1.25 / 2.0 + 0.375 * 0.19);
    let (second, b) = lm.score(a, lm.unit("b"));
    close(p(second), 0.25 + 0.5 * 0.19);
    close(p(lm.score(a, lm.unit("never")).0), 0.5 * 0.09);
    close(p(lm.end(b)), 0.5 + 0.5 * 0.34);
    let sentence = lm.sentence(&["a", "b"]);
    let wanted = (0.69625f64 * 0.345 * 0.67).ln();
    close(sentence.log_probability, wanted);
    close(sentence.perplexity(), (-wanted / 3.0).exp());
    let unknown = lm.sentence(&["a", "x"]);
    assert_eq!((unknown.units, unknown.unknown), (2, 1));
    close(unknown.known_log_probability, 0.69625f64.ln() + 0.34f64.ln());
}

#[test]
fn every_context_sums_to_one() {
    for config in [
        LmConfig::default(),
        LmConfig { order: 1, ..LmConfig::default() },
        LmConfig { order: 4, min_count: 60, ..LmConfig::default() },
        LmConfig { order: 4, prune_nats: 2.0, ..LmConfig::default() },
    ] {
        let lm = of_sentences(&config);
        assert_sums_to_one(&lm);
    }
}

/// Of every context of some sentences.
pub(super) fn assert_sums_to_one(lm: &NgramLm) {
    let mut states = vec![lm.begin(), lm.middle()];
    for line in sentences().iter().take(30) {
        let mut state = lm.begin();
        for word in line.split(' ') {
            state = lm.score(state, lm.unit(word)).1;
            states.push(state);
        }
    }
    for state in states {
        let units = lm.units().iter().map(|unit| lm.unit(unit)).skip(3).chain([lm.unit("never")]);
        let sum: f64 = units.map(|unit| f64::from(lm.score(state, unit).0).exp()).sum::<f64>()
            + f64::from(lm.end(state)).exp();
        assert!((sum - 1.0).abs() < 1e-4, "{state:?} of order {}: {sum}", lm.order());
    }
}

#[test]
fn longer_contexts_help_and_pruning_costs_little() {
    let of = |order, prune_nats| {
        let lm = of_sentences(&LmConfig { order, prune_nats, ..LmConfig::default() });
        let mut sums = Perplexity::default();
        for line in sentences() {
            sums += lm.sentence(&Unit::Word.split(&line));
        }
        (sums.perplexity(), lm.ngram_count())
    };
    let (unigram, bigram, trigram, pruned) = (of(1, 0.0), of(2, 0.0), of(3, 0.0), of(3, 3.0));
    assert!(bigram.0 < 0.6 * unigram.0 && trigram.0 < bigram.0, "{unigram:?} {bigram:?} {trigram:?}");
    assert!(pruned.1 * 2 < trigram.1 && pruned.0 < 1.3 * bigram.0, "{pruned:?} {trigram:?}");
}

#[test]
fn arpa_reads_back_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.arpa");
    for config in [LmConfig::default(), LmConfig { order: 5, prune_nats: 1.0, min_count: 3 }] {
        let lm = of_sentences(&config);
        lm.save(&path).unwrap();
        let back = NgramLm::load(&path).unwrap();
        assert_eq!(back.order(), lm.order());
        assert_eq!(back.ngram_count(), lm.ngram_count());
        for line in sentences() {
            let units = Unit::Word.split(&line);
            assert_eq!(back.sentence(&units), lm.sentence(&units), "{line}");
        }
        let text = std::fs::read_to_string(&path).unwrap();
        back.save(&path).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        let again = std::fs::read_to_string(&path).unwrap();
        let mut others: Vec<&str> = again.lines().collect();
        lines.sort_unstable();
        others.sort_unstable();
        assert_eq!(lines, others);
    }
    let message = NgramLm::load(&folder.path().join("none.arpa")).unwrap_err().to_string();
    assert!(message.contains("none.arpa"), "{message}");
    std::fs::write(&path, "\\data\\\nngram 1=x\n").unwrap();
    let message = NgramLm::load(&path).unwrap_err().to_string();
    assert!(message.contains("a.arpa, line 2"), "{message}");
}

#[test]
fn rare_units_are_the_unknown_one() {
    let lm = train(&["a a b", "a a c"], &LmConfig { min_count: 2, ..LmConfig::default() });
    assert!(lm.is_unknown(lm.unit("b")) && !lm.is_unknown(lm.unit("a")));
    let after = lm.score(lm.score(lm.begin(), lm.unit("a")).1, lm.unit("a")).1;
    assert!(lm.score(after, lm.unit("b")).0 > -1.0, "unknown units are learnt");
}

#[test]
fn characters_and_states() {
    assert_eq!(Unit::Character.split(" ab  c "), ["a", "b", "▁", "c"]);
    let lm = NgramLm::train(["ab ab", "ab"].map(|text| Unit::Character.split(text)), &LmConfig::default())
        .unwrap();
    let state = |text: &str| {
        Unit::Character.split(text).iter().fold(lm.begin(), |state, unit| lm.score(state, lm.unit(unit)).1)
    };
    assert_eq!(state("ab ab"), state("ab ab ab"), "two units of context decide");
    assert_ne!(state("ab"), state("ab a"));
    assert_eq!(std::mem::size_of::<State>(), 4);
}

#[test]
fn what_cannot_be_trained_is_told() {
    let error = |text: &[&str], config: &LmConfig| {
        NgramLm::train(text.iter().map(|line| vec![*line]), config).unwrap_err().to_string()
    };
    let config = LmConfig::default();
    assert!(error(&[], &config).contains("no text"));
    assert!(error(&["a b"], &config).contains("`a b`"));
    assert!(error(&[""], &config).contains("empty"));
    assert!(error(&["a"], &LmConfig { order: 11, ..config.clone() }).contains("`order` is 11"));
    assert!(error(&["a"], &LmConfig { min_count: 0, ..config.clone() }).contains("`min_count`"));
    assert!(error(&["a"], &LmConfig { prune_nats: f64::NAN, ..config }).contains("`prune_nats`"));
}

proptest! {
    #[test]
    fn any_text_trains_and_reads_back(lines in prop::collection::vec("([abc] |<s> |<unk> |</s> ){1,6}", 1..8), order in 1usize..5) {
        let split = |text: &str| Ok::<_, std::convert::Infallible>(Unit::Word.split(text));
        let units: Vec<Vec<String>> = lines.iter().flat_map(|line| {
            let Ok(found) = super::sentences(line, split);
            found
        }).collect();
        prop_assume!(!units.is_empty());
        let lm = NgramLm::train(units.clone(), &LmConfig { order, ..LmConfig::default() }).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.arpa");
        lm.save(&path).unwrap();
        let back = NgramLm::load(&path).unwrap();
        for sentence in &units {
            prop_assert!(lm.sentence(sentence).log_probability < 0.0);
            prop_assert_eq!(lm.sentence(sentence), back.sentence(sentence));
        }
    }
}
