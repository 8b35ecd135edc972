//! The search against the enumeration of all paths, and its laws.

use super::*;
use crate::graph::{Outputs, Topology};
use auricle_rng::{Key, Purpose, Stream};
use auricle_text::lm::{LmConfig, NgramLm};
use ndarray::{Array2, s};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

mod lattice;

const TOPOLOGIES: [Topology; 3] = [Topology::Chain, Topology::ChainOne, Topology::Ctc];
/// Units of the acoustic model: three phones and silence.
const UNITS: usize = 4;
const QUIET: u16 = 3;

fn lm() -> NgramLm {
    let text = ["a b c d", "b a c", "c c a", "d b a", "a b a", "c d"];
    NgramLm::train(text.iter().map(|line| line.split(' ').collect()), &LmConfig::default()).unwrap()
}

/// Four words: `a` begins `b`, `a` and `c` sound alike in one way, `c` has two ways, and phones are doubled.
fn entries() -> Vec<Entry> {
    let entry = |word: &str, phones: &[u16], log_weight| Entry {
        word: word.into(),
        phones: phones.into(),
        log_weight,
    };
    vec![
        entry("a", &[0], 0.0),
        entry("b", &[0, 1, 1], 0.0),
        entry("c", &[0], -0.7),
        entry("c", &[1, 2], -0.2),
        entry("d", &[2, 0], 0.0),
    ]
}

fn outputs(topology: Topology, has_context: bool) -> Outputs {
    if !has_context {
        return Outputs::mono(topology, UNITS);
    }
    let texts: [&[u16]; 3] = [&[0, 1, 1, 3, 0], &[2, 0, 0, 3, 1], &[3, 0]];
    Outputs::left(topology, UNITS, texts, 1)
}

fn exact(silence: bool) -> SearchConfig {
    SearchConfig {
        lm_weight: 0.8,
        word_bonus: 0.3,
        new_word_log: -5.0,
        silence: silence.then_some(Silence { unit: QUIET, probability: 0.3 }),
        beam: f32::INFINITY,
        max_active: usize::MAX,
        word_end_beam: f32::INFINITY,
        lattice_beam: None,
        look_ahead: true,
    }
}

fn decoder(outputs: &Outputs, config: SearchConfig) -> Arc<WordDecoder> {
    let tree = LexiconTree::new(entries(), &lm()).unwrap();
    Arc::new(WordDecoder::new(tree, lm(), outputs.clone(), config).unwrap())
}

fn scores(stream: &mut Stream, frames: usize, outputs: usize) -> Array2<f32> {
    Array2::from_shape_fn((frames, outputs), |_| 3.0 * stream.normal() as f32)
}

fn decode(decoder: &Arc<WordDecoder>, scores: &Array2<f32>) -> Found {
    let mut search = WordSearch::new(Arc::clone(decoder));
    search.push(scores.view()).unwrap();
    search.finish()
}

fn text(words: &[FoundWord]) -> String {
    words.iter().map(|word| word.word.as_str()).collect::<Vec<_>>().join(" ")
}

/// The best score of all ways to take phones through frames.
fn best_alignment(phones: &[u16], outputs: &Outputs, scores: &Array2<f32>) -> f64 {
    let is_ctc = outputs.topology() == Topology::Ctc;
    let step = if is_ctc { 1.0 } else { 0.5f64 }.ln();
    let output = |i: usize, which: usize| {
        outputs.of(i.checked_sub(1).map(|before| phones[before]), phones[i])[which] as usize
    };
    // (phones that have begun, whether the last frame was blank, score): one entry for every path.
    let mut paths = vec![(0usize, true, 0.0f64)];
    for row in scores.outer_iter() {
        let mut next = Vec::new();
        for (begun, is_blank, score) in paths {
            if let Some(blank) = outputs.blank() {
                next.push((begun, true, score + f64::from(row[blank as usize])));
            }
            if begun > 0 && !is_blank {
                next.push((begun, false, score + step + f64::from(row[output(begun - 1, 1)])));
            }
            let is_parted = !is_ctc || is_blank || phones.get(begun) != phones.get(begun - 1);
            if begun < phones.len() && is_parted {
                let leave = if begun > 0 { step } else { 0.0 };
                next.push((begun + 1, false, score + leave + f64::from(row[output(begun, 0)])));
            }
        }
        paths = next;
    }
    let whole = paths.into_iter().filter(|path| path.0 == phones.len()).map(|path| path.2);
    whole.fold(f64::NEG_INFINITY, f64::max)
}

/// The best score of each sequence of words, of all pronunciations and silences, one by one.
fn enumerate_all(outputs: &Outputs, config: &SearchConfig, scores: &Array2<f32>) -> BTreeMap<String, f64> {
    let lm = lm();
    let weight = f64::from(config.lm_weight);
    let mut best: BTreeMap<String, f64> = BTreeMap::new();
    // Words, phones and score so far; at a place between words.
    let mut open: Vec<(Vec<String>, Vec<u16>, f64)> = vec![(vec![], vec![], 0.0)];
    while let Some((words, phones, score)) = open.pop() {
        let mut places = vec![(phones.clone(), score)];
        if let Some(silence) = config.silence {
            places[0].1 += (1.0 - silence.probability).ln();
            places.push(([phones.as_slice(), &[silence.unit]].concat(), score + silence.probability.ln()));
        }
        for (phones, score) in places {
            let mut state = lm.begin();
            for word in &words {
                state = lm.score(state, lm.unit(word)).1;
            }
            let end = if words.is_empty() { 0.0 } else { weight * f64::from(lm.end(state)) };
            let total = score + end + best_alignment(&phones, outputs, scores);
            if total > f64::NEG_INFINITY {
                let own = best.entry(words.join(" ")).or_insert(total);
                *own = own.max(total);
            }
            for entry in entries() {
                if phones.len() + entry.phones.len() <= scores.nrows() {
                    let log = f64::from(lm.score(state, lm.unit(&entry.word)).0);
                    let own = weight * log + f64::from(entry.log_weight + config.word_bonus);
                    let words = [words.as_slice(), &[entry.word]].concat();
                    open.push((words, [phones.as_slice(), &entry.phones].concat(), score + own));
                }
            }
        }
    }
    best
}

/// The best of all.
fn enumerate(outputs: &Outputs, config: &SearchConfig, scores: &Array2<f32>) -> (f64, String) {
    let all = enumerate_all(outputs, config, scores);
    let best = all.into_iter().reduce(|a, b| if b.1 > a.1 { b } else { a });
    best.map(|(words, score)| (score, words)).unwrap()
}

#[test]
fn the_best_path_is_the_best_of_all() {
    let mut stream = Key::new(7).stream(Purpose::Test);
    let mut said = BTreeSet::new();
    for topology in TOPOLOGIES {
        for (has_context, has_silence) in [(false, false), (true, false), (false, true), (true, true)] {
            let outputs = outputs(topology, has_context);
            let config = exact(has_silence);
            let decoder = decoder(&outputs, config.clone());
            for frames in [0, 1, 2, 3, 4, 5, 6] {
                let scores = scores(&mut stream, frames, outputs.count());
                let found = decode(&decoder, &scores);
                let (score, words) = enumerate(&outputs, &config, &scores);
                let name = format!("{topology:?} context {has_context} silence {has_silence} {frames}");
                assert!(
                    (found.score - score).abs() < 1e-5 * (1.0 + score.abs()),
                    "{name}: {found:?} {score}"
                );
                assert!(!found.unfinished, "{name}");
                assert_eq!(text(&found.words), words, "{name}");
                said.insert(words);
            }
        }
    }
    assert!(said.len() > 15, "{said:?}");
}

#[test]
fn look_ahead_changes_nothing_without_a_beam() {
    let mut stream = Key::new(8).stream(Purpose::Test);
    for topology in TOPOLOGIES {
        let outputs = outputs(topology, true);
        let with = decoder(&outputs, exact(true));
        let without = decoder(&outputs, SearchConfig { look_ahead: false, ..exact(true) });
        for frames in [3, 30, 120] {
            let scores = scores(&mut stream, frames, outputs.count());
            let (a, b) = (decode(&with, &scores), decode(&without, &scores));
            assert_eq!(text(&a.words), text(&b.words));
            assert!((a.score - b.score).abs() < 1e-5 * (1.0 + a.score.abs()), "{} {}", a.score, b.score);
        }
    }
}

#[test]
fn a_wider_search_finds_no_worse() {
    let mut stream = Key::new(9).stream(Purpose::Test);
    let (mut narrow_lost, mut few_lost) = (0, 0);
    for topology in TOPOLOGIES {
        let outputs = outputs(topology, false);
        for _ in 0..5 {
            let scores = scores(&mut stream, 60, outputs.count());
            let at = |beam: f32, max_active: usize| {
                let config = SearchConfig { beam, max_active, word_end_beam: beam, ..exact(true) };
                decode(&decoder(&outputs, config), &scores)
            };
            let best = at(f32::INFINITY, usize::MAX).score;
            let mut last = f64::NEG_INFINITY;
            for beam in [2.0, 6.0, 12.0, 24.0, f32::INFINITY] {
                let found = at(beam, usize::MAX);
                let score = if found.unfinished { f64::NEG_INFINITY } else { found.score };
                assert!(score >= last - 1e-3 && score <= best + 1e-3, "{beam}: {score} {last} {best}");
                narrow_lost += usize::from(score < best - 1e-3);
                last = score;
            }
            let few = at(f32::INFINITY, 3);
            assert!(few.unfinished || few.score <= best + 1e-3);
            few_lost += usize::from(few.unfinished || few.score < best - 1e-3);
        }
    }
    assert!(narrow_lost > 0 && few_lost > 0, "neither beam nor bound has done anything");
}

#[test]
fn the_number_of_paths_is_bounded() {
    let mut stream = Key::new(10).stream(Purpose::Test);
    let outputs = outputs(Topology::Chain, true);
    for max_active in [1, 5, 20] {
        let mut search = WordSearch::new(decoder(&outputs, SearchConfig { max_active, ..exact(true) }));
        for _ in 0..40 {
            search.push(scores(&mut stream, 1, outputs.count()).view()).unwrap();
            assert!((1..=max_active).contains(&search.num_active()), "{}", search.num_active());
        }
    }
}

#[test]
fn the_order_of_the_lexicon_does_not_matter() {
    let mut stream = Key::new(11).stream(Purpose::Test);
    let outputs = outputs(Topology::Chain, true);
    let config = SearchConfig { beam: 8.0, max_active: 30, ..exact(true) };
    let scores = scores(&mut stream, 80, outputs.count());
    let expected = decode(&decoder(&outputs, config.clone()), &scores);
    assert!(expected.words.len() > 10);
    let mut entries = entries();
    for _ in 0..10 {
        stream.shuffle(&mut entries);
        let tree = LexiconTree::new(entries.clone(), &lm()).unwrap();
        let decoder = WordDecoder::new(tree, lm(), outputs.clone(), config.clone()).unwrap();
        assert_eq!(decode(&Arc::new(decoder), &scores), expected);
    }
}

#[test]
fn cuts_change_nothing_and_stable_words_stay() {
    let mut stream = Key::new(12).stream(Purpose::Test);
    let mut settled = 0;
    for topology in TOPOLOGIES {
        let outputs = outputs(topology, true);
        let decoder = decoder(&outputs, SearchConfig { beam: 12.0, max_active: 60, ..exact(true) });
        let scores = scores(&mut stream, 230, outputs.count());
        let expected = decode(&decoder, &scores);
        for _ in 0..6 {
            let mut search = WordSearch::new(Arc::clone(&decoder));
            let mut stable: Vec<FoundWord> = Vec::new();
            let mut at = 0;
            while at < scores.nrows() {
                let end = (at + stream.below(9)).min(scores.nrows());
                search.push(scores.slice(s![at..end, ..])).unwrap();
                at = end;
                let now = search.stable();
                assert_eq!(now.get(..stable.len()), Some(stable.as_slice()), "taken back at {at}");
                assert_eq!(search.partial().get(..now.len()), Some(now.as_slice()));
                stable = now;
                assert!(search.num_open_words() < 60 * 50, "{} records", search.num_open_words());
            }
            assert_eq!(search.num_frames(), 230);
            let found = search.finish();
            assert_eq!(found, expected);
            assert_eq!(found.words.get(..stable.len()), Some(stable.as_slice()));
            settled += stable.len();
            // The same search again.
            search.push(scores.view()).unwrap();
            assert_eq!(search.finish(), expected);
        }
    }
    assert!(settled > 100, "{settled} stable words");
}

#[test]
fn an_utterance_ends_by_the_rule_that_holds_first() {
    let far = 1e6;
    for topology in [Topology::Chain, Topology::Ctc] {
        let outputs = outputs(topology, false);
        let decoder = decoder(&outputs, SearchConfig { beam: 60.0, ..exact(true) });
        let ended = |rules: &EndRules, phones: &[(Option<u16>, u16, usize)]| {
            let scores = heard(&outputs, phones);
            let mut search = WordSearch::new(Arc::clone(&decoder));
            (0..scores.nrows()).find_map(|t| {
                search.push(scores.slice(s![t..=t, ..])).unwrap();
                rules.holds(&mut search, 0.04).map(|name| (name, t + 1))
            })
        };
        let rules = EndRules::default();
        assert!(rules.validate().is_ok());
        // Five seconds are 125 frames.
        assert_eq!(ended(&rules, &[(None, QUIET, 300)]), Some(("nothing_said", 125)));
        // Speech of 10 frames that may end a sentence, and silence: 0.5 or 1 s, by the language model.
        let said = [(None, 2, 5), (Some(2), 0, 5), (Some(0), QUIET, 200)];
        let mut sure = rules;
        sure.complete.most_cost = Some(far);
        assert_eq!(ended(&sure, &said), Some(("complete", 10 + 13)));
        let mut never = rules;
        (never.complete.most_cost, never.likely.most_cost) = (Some(0.0), Some(0.0));
        assert_eq!(ended(&never, &said), Some(("pause", 10 + 50)));
        never.likely.most_cost = Some(far);
        assert_eq!(ended(&never, &said), Some(("likely", 10 + 25)));
        // Speech without a pause.
        let long = [(None, 2, 400), (Some(2), 0, 400)];
        assert_eq!(ended(&rules, &long), Some(("too_long", 500)));
        assert_eq!(ended(&rules, &said[..2]), None);
    }
    let mut wrong = EndRules::default();
    wrong.pause.silence_secs = f64::NAN;
    assert!(wrong.validate().unwrap_err().to_string().contains("`pause`"));
    let mut search = WordSearch::new(decoder(&outputs(Topology::Chain, false), exact(true)));
    assert_eq!((search.trailing_silence(), EndRules::default().holds(&mut search, 0.03)), ((false, 0), None));
}

/// Scores that say which phone is heard in each frame.
fn heard(outputs: &Outputs, phones: &[(Option<u16>, u16, usize)]) -> Array2<f32> {
    let frames = phones.iter().map(|(_, _, frames)| frames).sum();
    let mut scores = Array2::from_elem((frames, outputs.count()), -20.0f32);
    let mut t = 0;
    for &(before, phone, frames) in phones {
        for i in 0..frames {
            let output = outputs.of(before, phone)[usize::from(i > 0)];
            scores[[t, output as usize]] = 0.0;
            t += 1;
        }
    }
    scores
}

#[test]
fn words_lie_where_they_are_heard() {
    let outputs = outputs(Topology::Chain, true);
    let said = [
        (None, QUIET, 4),
        (Some(QUIET), 2, 3),
        (Some(2), 0, 2),
        (Some(0), 0, 1),
        (Some(0), 1, 2),
        (Some(1), 1, 2),
        (Some(1), QUIET, 3),
    ];
    let decoder = decoder(&outputs, SearchConfig { beam: 60.0, ..exact(true) });
    let found = decode(&decoder, &heard(&outputs, &said));
    let words: Vec<_> =
        found.words.iter().map(|word| (word.word.as_str(), word.start_frame, word.end_frame)).collect();
    assert_eq!(words, [("d", 4, 9), ("b", 9, 14)]);
    assert!(!found.unfinished);
    // Behind the last word: silence, and the end of the sentence.
    let sum: f64 = found.words.iter().map(|word| word.score).sum();
    assert!(found.words.iter().all(|word| word.lm_score < 0.0) && sum > found.score);
}

#[test]
fn new_words_have_a_fixed_probability() {
    let outputs = outputs(Topology::Chain, false);
    let mut with_new = entries();
    with_new.push(Entry { word: "zeta".into(), phones: vec![2, 2, 1], log_weight: -0.25 });
    let tree = LexiconTree::new(with_new, &lm()).unwrap();
    let decoder = Arc::new(WordDecoder::new(tree, lm(), outputs.clone(), exact(true)).unwrap());
    let said = [(None, 0, 2), (Some(0), 2, 2), (Some(2), 2, 3), (Some(2), 1, 2), (Some(1), QUIET, 2)];
    let found = decode(&decoder, &heard(&outputs, &said));
    assert!(text(&found.words).ends_with(" zeta"), "{found:?}");
    let own = &found.words[1];
    assert_eq!((own.start_frame, own.end_frame), (2, 9));
    assert!((own.lm_score - (0.8 * -5.0 - 0.25 + 0.3)).abs() < 1e-5, "{}", own.lm_score);
}

#[test]
fn silence_gives_no_words() {
    for topology in TOPOLOGIES {
        let outputs = outputs(topology, false);
        for frames in [1, 5, 120] {
            let decoder =
                decoder(&outputs, SearchConfig { silence: exact(true).silence, ..SearchConfig::default() });
            let scores = heard(&outputs, &[(None, QUIET, frames)]);
            let found = decode(&decoder, &scores);
            assert_eq!((found.words, found.unfinished), (vec![], false), "{topology:?} {frames}");
        }
    }
    // So does nothing but the blank.
    let outputs = outputs(Topology::Ctc, false);
    let mut scores = Array2::from_elem((40, outputs.count()), -9.0f32);
    scores.column_mut(outputs.blank().unwrap() as usize).fill(0.0);
    let found = decode(&decoder(&outputs, exact(false)), &scores);
    assert_eq!((found.words, found.unfinished), (vec![], false));
}

#[test]
fn no_frames_and_too_few() {
    let outputs = outputs(Topology::Chain, false);
    let mut search = WordSearch::new(decoder(&outputs, exact(true)));
    search.push(Array2::zeros((0, outputs.count())).view()).unwrap();
    search.push(Array2::zeros((0, 0)).view()).unwrap();
    assert!(search.partial().is_empty() && search.stable().is_empty());
    let found = search.finish();
    assert_eq!((found.words, found.unfinished), (vec![], false));
    // One word of two phones, and a frame.
    let only = vec![entries()[4].clone()];
    let config = SearchConfig { silence: None, ..SearchConfig::default() };
    let tree = LexiconTree::new(only, &lm()).unwrap();
    let decoder = Arc::new(WordDecoder::new(tree, lm(), outputs.clone(), config).unwrap());
    let found = decode(&decoder, &Array2::zeros((1, outputs.count())));
    assert_eq!((found.words, found.unfinished), (vec![], true));
    let found = decode(&decoder, &Array2::zeros((2, outputs.count())));
    assert_eq!((text(&found.words).as_str(), found.unfinished), ("d", false));
}

#[test]
fn wrong_input_is_named_and_leaves_the_search_as_it_was() {
    let outputs = outputs(Topology::Chain, false);
    let mut stream = Key::new(13).stream(Purpose::Test);
    let good = scores(&mut stream, 20, outputs.count());
    let decoder = decoder(&outputs, exact(true));
    let expected = decode(&decoder, &good);
    let mut search = WordSearch::new(Arc::clone(&decoder));
    search.push(good.slice(s![..7, ..])).unwrap();
    let wide = search.push(Array2::zeros((1, 9)).view());
    assert_eq!(wide, Err(SearchError::Width { has: 9, needs: outputs.count() }));
    for value in [f32::NAN, f32::INFINITY] {
        let mut bad = scores(&mut stream, 4, outputs.count());
        bad[[2, 3]] = value;
        let error = search.push(bad.view()).unwrap_err().to_string();
        assert!(error.starts_with("frame 9, output 3"), "{error}");
    }
    search.push(good.slice(s![7.., ..])).unwrap();
    assert_eq!(search.finish(), expected);
    // Impossible outputs are no fault.
    let never = Array2::from_elem((5, outputs.count()), f32::NEG_INFINITY);
    assert!(decode(&decoder, &never).score.is_finite());
}

#[test]
fn settings_and_phones_out_of_range_are_refused() {
    let outputs = outputs(Topology::Chain, false);
    let tree = || LexiconTree::new(entries(), &lm()).unwrap();
    let refused = |config: SearchConfig| {
        WordDecoder::new(tree(), lm(), outputs.clone(), config).map(|_| ()).unwrap_err().to_string()
    };
    let good = exact(true);
    for (config, setting) in [
        (SearchConfig { beam: 0.0, ..good.clone() }, "beam"),
        (SearchConfig { beam: f32::NAN, ..good.clone() }, "beam"),
        (SearchConfig { word_end_beam: -1.0, ..good.clone() }, "word_end_beam"),
        (SearchConfig { lattice_beam: Some(0.0), ..good.clone() }, "lattice_beam"),
        (SearchConfig { max_active: 0, ..good.clone() }, "max_active"),
        (SearchConfig { lm_weight: f32::NAN, ..good.clone() }, "lm_weight"),
        (SearchConfig { word_bonus: f32::INFINITY, ..good.clone() }, "word_bonus"),
        (
            SearchConfig { silence: Some(Silence { unit: 3, probability: 1.0 }), ..good.clone() },
            "probability",
        ),
        (SearchConfig { silence: Some(Silence { unit: 4, probability: 0.5 }), ..good.clone() }, "number 4"),
        (SearchConfig { silence: Some(Silence { unit: 0, probability: 0.5 }), ..good.clone() }, "number 0"),
    ] {
        assert!(refused(config).contains(setting), "{setting}");
    }
    let small = Outputs::mono(Topology::Chain, 2);
    let config = SearchConfig { silence: None, ..good };
    let error = WordDecoder::new(tree(), lm(), small, config).map(|_| ());
    assert_eq!(error, Err(SearchError::Phone { phone: 2, units: 2 }));
}
