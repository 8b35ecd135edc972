//! Lattices, other language models for them, and hotwords.

use super::*;

/// With everything in it, a lattice has the best score of every sequence that it has, and has the best sequences.
#[test]
fn a_lattice_holds_the_best_sequences_with_their_scores() {
    let mut stream = Key::new(14).stream(Purpose::Test);
    let (mut second, mut cases, mut sequences) = (0, 0, 0);
    for topology in TOPOLOGIES {
        for has_context in [false, true] {
            let outputs = outputs(topology, has_context);
            let config = SearchConfig { lattice_beam: Some(f32::INFINITY), ..exact(true) };
            let decoder = decoder(&outputs, config.clone());
            for frames in 0..=5 {
                let scores = scores(&mut stream, frames, outputs.count());
                let found = decode(&decoder, &scores);
                let lattice = found.lattice.clone().unwrap();
                let mut all: Vec<(String, f64)> =
                    enumerate_all(&outputs, &config, &scores).into_iter().collect();
                let listed = lattice.best(1000);
                assert!((listed[0].score - found.score).abs() < 1e-6, "{listed:?} {found:?}");
                assert_eq!(listed[0].words.join(" "), text(&found.words));
                let once: BTreeSet<_> = listed.iter().map(|sequence| sequence.words.clone()).collect();
                assert_eq!(once.len(), listed.len());
                assert!(listed.windows(2).all(|pair| pair[0].score >= pair[1].score - 1e-9));
                for sequence in &listed {
                    let own = sequence.words.join(" ");
                    let best = all.iter().find(|(words, _)| *words == own).unwrap().1;
                    // A rival's words may have begun elsewhere, had they been the best of their state.
                    assert!(sequence.score <= best + 1e-4, "{own}: {} {best}", sequence.score);
                }
                assert_eq!(lattice.best(2), listed[..listed.len().min(2)]);
                all.sort_by(|a, b| b.1.total_cmp(&a.1));
                if let Some((_, score)) = all.get(1) {
                    cases += 1;
                    second += usize::from(listed.get(1).is_some_and(|own| (own.score - score).abs() < 1e-4));
                }
                sequences += listed.len();
            }
        }
    }
    assert!(sequences > 300, "{sequences} sequences");
    assert!(second * 10 >= cases * 9, "the second best was found {second} of {cases} times");
}

#[test]
fn a_lattice_changes_no_word_and_its_posteriors_are_probabilities() {
    let mut stream = Key::new(15).stream(Purpose::Test);
    let mut unsure = 0;
    for topology in TOPOLOGIES {
        for beam in [2.0, 8.0] {
            let outputs = outputs(topology, true);
            let config = SearchConfig { beam: 12.0, max_active: 80, ..exact(true) };
            let plain = decoder(&outputs, config.clone());
            let rich = decoder(&outputs, SearchConfig { lattice_beam: Some(beam), ..config });
            let scores = scores(&mut stream, 170, outputs.count());
            let (expected, found) = (decode(&plain, &scores), decode(&rich, &scores));
            let lattice = found.lattice.clone().unwrap();
            assert_eq!(text(&found.words), text(&expected.words));
            assert!((found.score - expected.score).abs() < 1e-9);
            for (a, b) in found.words.iter().zip(&expected.words) {
                assert_eq!((a.start_frame, a.end_frame), (b.start_frame, b.end_frame));
                assert!((a.score - b.score).abs() < 1e-9 && (a.lm_score - b.lm_score).abs() < 1e-9);
            }
            let best = &lattice.best(5);
            assert_eq!(best[0].words.join(" "), text(&found.words));
            assert!(best[4].score >= best[0].score - f64::from(beam) - 1e-6);
            assert!(lattice.arcs().is_sorted_by_key(|arc| arc.to));
            assert!(lattice.arcs().iter().all(|arc| arc.from < arc.to));
            // In every frame somebody says something, or nothing.
            let posteriors = lattice.posteriors(0.7);
            let mut sums = vec![0.0; scores.nrows()];
            for (arc, posterior) in lattice.arcs().iter().zip(&posteriors) {
                let [start, end] = [arc.from, arc.to].map(|node| lattice.frames()[node as usize] as usize);
                sums[start..end].iter_mut().for_each(|sum| *sum += posterior);
            }
            assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-6), "{sums:?}");
            let confidences = lattice.confidences(&found.words, 0.7);
            assert_eq!(confidences.len(), found.words.len());
            assert!(confidences.iter().all(|own| (0.0..=1.0).contains(own) && *own > 0.0));
            unsure += confidences.iter().filter(|own| **own < 0.9).count();
            // Pieces make the same lattice.
            let mut search = WordSearch::new(Arc::clone(&rich));
            let mut at = 0;
            while at < scores.nrows() {
                let end = (at + stream.below(9)).min(scores.nrows());
                search.push(scores.slice(s![at..end, ..])).unwrap();
                assert!(text(&found.words).starts_with(&text(&search.stable())));
                at = end;
            }
            assert_eq!(search.finish(), found);
        }
    }
    assert!(unsure > 10, "{unsure}");
}

/// What is thrown away on the way would not have been in the lattice.
#[test]
fn a_narrow_lattice_is_the_best_part_of_a_wide_one() {
    let mut stream = Key::new(18).stream(Purpose::Test);
    let outputs = outputs(Topology::Chain, true);
    let scores = scores(&mut stream, 130, outputs.count());
    let lattice = |beam| {
        let config = SearchConfig { beam: 15.0, lattice_beam: Some(beam), ..exact(true) };
        decode(&decoder(&outputs, config), &scores).lattice.unwrap()
    };
    let (wide, narrow) = (lattice(12.0), lattice(3.0));
    assert!(narrow.arcs().len() < wide.arcs().len());
    let (wide, narrow) = (wide.best(200), narrow.best(200));
    let least = wide[0].score - 3.0 + 1e-3;
    let good = |all: &[WordSequence]| all.iter().filter(|own| own.score > least).cloned().collect::<Vec<_>>();
    let (wide, narrow) = (good(&wide), good(&narrow));
    assert!(wide.len() > 5 && wide.len() == narrow.len(), "{} {}", wide.len(), narrow.len());
    for (a, b) in wide.iter().zip(&narrow) {
        assert!((a.score - b.score).abs() < 1e-6);
    }
}

#[test]
fn rescoring_is_exact_within_the_lattice() {
    let mut stream = Key::new(16).stream(Purpose::Test);
    let text = ["a b c d a", "a b d d", "c c a b", "d b c", "d a b", "d d"];
    let sentences = || text.iter().map(|line| line.split(' ').collect());
    let other = NgramLm::train(sentences(), &LmConfig { order: 4, ..LmConfig::default() }).unwrap();
    let without_a =
        NgramLm::train(["b c d", "d c"].iter().map(|line| line.split(' ').collect()), &LmConfig::default());
    let others = [other, without_a.unwrap()];
    let mut changed = 0;
    for topology in TOPOLOGIES {
        let outputs = outputs(topology, true);
        let config = SearchConfig { lattice_beam: Some(f32::INFINITY), ..exact(true) };
        let decoder = decoder(&outputs, config);
        for frames in [0, 1, 3, 5] {
            let lattice = decode(&decoder, &scores(&mut stream, frames, outputs.count())).lattice.unwrap();
            let all = lattice.best(usize::MAX);
            let same = lattice.rescore(&lm(), 0.8).unwrap().best(usize::MAX);
            assert_eq!(same.len(), all.len());
            for (a, b) in same.iter().zip(&all) {
                assert!(a.words == b.words && (a.score - b.score).abs() < 1e-4, "{a:?} {b:?}");
            }
            for other in &others {
                let probability = |lm: &NgramLm, words: &[String]| {
                    if words.is_empty() { 0.0 } else { lm.sentence(words).log_probability }
                };
                let expected = all.iter().map(|own| {
                    own.score - 0.8 * probability(&lm(), &own.words) + 1.3 * probability(other, &own.words)
                });
                let expected = expected.fold(f64::NEG_INFINITY, f64::max);
                let found = &lattice.rescore(other, 1.3).unwrap().best(1)[0];
                assert!((found.score - expected).abs() < 1e-3, "{found:?} {expected}");
                changed += usize::from(found.words != all[0].words);
            }
        }
    }
    assert!(changed > 0);
}

#[test]
fn hotwords_add_their_boosts_exactly() {
    let mut stream = Key::new(17).stream(Purpose::Test);
    let hotwords = [("b", 1.5), ("d a", 4.0), ("a a a", 6.0), ("c a d", 9.0)]
        .map(|(text, boost)| Hotword { words: text.split(' ').map(str::to_owned).collect(), boost });
    let gain = |text: &str| -> f64 {
        let words: Vec<&str> = text.split(' ').collect();
        let count = |own: &Hotword| words.windows(own.words.len()).filter(|part| *part == own.words).count();
        hotwords.iter().map(|own| f64::from(own.boost) * count(own) as f64).sum()
    };
    let mut changed = 0;
    for topology in TOPOLOGIES {
        let outputs = outputs(topology, true);
        let config = exact(true);
        let decoder = decoder(&outputs, config.clone());
        for frames in [0, 1, 3, 5, 6] {
            let scores = scores(&mut stream, frames, outputs.count());
            let mut search = WordSearch::with_hotwords(Arc::clone(&decoder), &hotwords).unwrap();
            search.push(scores.view()).unwrap();
            let found = search.finish();
            let all = enumerate_all(&outputs, &config, &scores);
            let boosted = all.iter().map(|(words, score)| (score + gain(words), words));
            let best = boosted.reduce(|a, b| if b.0 > a.0 { b } else { a }).unwrap();
            assert!((found.score - best.0).abs() < 1e-5 * (1.0 + best.0.abs()), "{found:?} {best:?}");
            assert_eq!(text(&found.words), *best.1);
            changed += usize::from(text(&decode(&decoder, &scores).words) != *best.1);
        }
    }
    assert!(changed > 0);
    let unknown = [Hotword { words: vec!["zebra".into()], boost: 1.0 }];
    assert!(
        WordSearch::with_hotwords(decoder(&outputs(Topology::Ctc, false), exact(true)), &unknown).is_err()
    );
}
