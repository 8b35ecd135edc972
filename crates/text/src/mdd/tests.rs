use super::*;
use crate::phones::{Perceived, Phone, Slot};
use crate::score::ErrorCounts;
use auricle_rng::Key;
use proptest::prelude::*;

fn phones(text: &str) -> Vec<Phone> {
    text.split_whitespace().map(|name| Phone::parse(name).unwrap()).collect()
}

fn counts(ta: usize, fr: usize, fa: usize, cd: usize, de: usize) -> MddCounts {
    MddCounts {
        true_acceptances: ta,
        false_rejections: fr,
        false_acceptances: fa,
        correct_diagnoses: cd,
        diagnosis_errors: de,
        undiagnosed: 0,
    }
}

fn percent(rate: Option<f64>) -> f64 {
    (rate.unwrap() * 1e4).round() / 100.0
}

#[test]
fn published_rates_follow_from_published_counts() {
    // CoCA-MDD on L2-ARCTIC (arXiv 2111.08191), streaming.
    let streaming = counts(24_517, 1197, 2102, 1772, 417);
    assert_eq!(percent(streaming.precision()), 64.65);
    assert_eq!(percent(streaming.recall()), 51.01);
    assert_eq!(percent(streaming.f1()), 57.03);
    assert_eq!(percent(streaming.false_rejection_rate()), 4.66);
    assert_eq!(percent(streaming.false_acceptance_rate()), 48.99);
    assert_eq!(percent(streaming.correct_diagnosis_rate()), 80.95);
    assert_eq!(percent(streaming.diagnosis_error_rate()), 19.05);
    assert_eq!(percent(streaming.detection_accuracy()), 89.01);
    // With fusion; diagnosis is not judged there.
    let fusion = MddCounts { undiagnosed: 2896, ..counts(23_372, 2342, 1395, 0, 0) };
    assert_eq!(percent(fusion.precision()), 55.29);
    assert_eq!(percent(fusion.recall()), 67.49);
    assert_eq!(percent(fusion.f1()), 60.78);
    assert_eq!(fusion.diagnosis_error_rate(), None);
    assert_eq!(fusion.total(), streaming.total());
}

#[test]
fn rates_without_cases_are_none() {
    let none = MddCounts::default();
    assert_eq!(
        (none.f1(), none.precision(), none.recall(), none.detection_accuracy()),
        (None, None, None, None)
    );
    // Nothing is wrong, nothing is rejected.
    let right = counts(10, 0, 0, 0, 0);
    assert_eq!(
        (right.f1(), right.detection_accuracy(), right.false_rejection_rate()),
        (None, Some(1.0), Some(0.0))
    );
    // All is wrong and found.
    let wrong = counts(0, 0, 0, 3, 1);
    assert_eq!(
        (wrong.f1(), wrong.false_rejection_rate(), wrong.diagnosis_error_rate()),
        (Some(1.0), None, Some(0.25))
    );
}

#[test]
fn she_went_to_bed() {
    let canonical = phones("W EH N T T UW B EH D");
    let heard = phones("SH IY W EH N T T UW B EY D");
    let hypothesis = phones("SH IY W EH N T T UW B EH");
    let streaming = Verdicts::from_hypothesis(&canonical, &hypothesis);
    let mut expected = vec![Verdict::Correct; 9];
    expected[8] = Verdict::Deleted;
    assert_eq!(streaming.phones, expected);
    let inserted = |before, phone| Insertion { before, phone };
    assert_eq!(streaming.insertions, [inserted(0, Phone::Sh), inserted(0, Phone::Iy)]);

    let mut probabilities = [0.05f32; 9];
    (probabilities[3], probabilities[7], probabilities[8]) = (0.63, 0.92, 0.44);
    let fused = streaming.clone().fuse(&canonical, &probabilities, None, 0.5).unwrap();
    (expected[3], expected[7]) = (Verdict::Error(None), Verdict::Error(None));
    assert_eq!(fused.phones, expected);
    assert_eq!(fused.insertions, streaming.insertions);
    assert!(fused.rejects(3) && fused.rejects(8) && !fused.rejects(0) && !fused.rejects(99));

    // The phone predictor says EY for EH, and for T what was to be said: no diagnosis there.
    let mut predicted: Vec<_> = canonical.iter().map(|phone| Said::Phone(*phone)).collect();
    predicted[7] = Said::Phone(Phone::Ey);
    let fused = streaming.fuse(&canonical, &probabilities, Some(&predicted), 0.5).unwrap();
    (expected[3], expected[7]) = (Verdict::Error(None), Verdict::Error(Some(Said::Phone(Phone::Ey))));
    assert_eq!(fused.phones, expected);

    // As strings with a symbol for errors.
    let symbols = |phones: &[Phone]| phones.iter().copied().map(Perceived::from).collect::<Vec<_>>();
    let (c, a, h) = (symbols(&canonical), symbols(&heard), symbols(&hypothesis));
    let annotation = Slot::pair(&c, &a);
    // CTC: both insertions found and diagnosed, EY taken for EH, D wrongly missing.
    assert_eq!(Scorer::Mpl.count(&annotation, &h), counts(7, 1, 1, 2, 0));
    // F looks at EY D against EH: of the two ways to align them it takes the one in which EH stands
    // for D and EY is missing, and so calls EY found.
    assert_eq!(Scorer::Fu.count(&annotation, &h), counts(7, 1, 0, 2, 1));
    let fused = Verdicts::from_hypothesis(&c, &h).fuse(&c, &probabilities, None, 0.5).unwrap();
    let with_errors = fused.to_hypothesis(&c, &Perceived::Error);
    assert_eq!(
        with_errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        "sh iy w eh n err t uw b err"
    );
    // EH is found now (without diagnosis), at the price of the T.
    for scorer in [Scorer::Fu, Scorer::Mpl] {
        assert_eq!(scorer.count(&annotation, &with_errors), counts(6, 2, 0, 2, 1));
    }
}

#[test]
fn fusion_never_clears_a_rejection_and_keeps_to_its_bounds() {
    let verdicts = Verdicts::from_hypothesis(&[1, 2, 3], &[1, 9]);
    let fused = verdicts.clone().fuse(&[1, 2, 3], &[0.5, 0.0, 0.0], None, 0.5).unwrap();
    assert_eq!(fused, verdicts);
    let gone = [Said::Nothing, Said::Nothing, Said::Nothing];
    let fused = verdicts.clone().fuse(&[1, 2, 3], &[0.6, 1.0, 1.0], Some(&gone), 0.5).unwrap();
    assert_eq!(fused.phones[0], Verdict::Error(Some(Said::Nothing)));
    assert_eq!(fused.phones[1..], verdicts.phones[1..]);
    let error =
        |probabilities: &[f32]| verdicts.clone().fuse(&[1, 2, 3], probabilities, None, 0.5).unwrap_err();
    assert_eq!(error(&[0.1]), MddError::Length { what: "error probabilities", found: 1, phones: 3 });
    assert!(matches!(error(&[0.1, f32::NAN, 0.1]), MddError::Probability { index: 1, .. }));
    // While the prompt is still being said there is nothing to fuse.
    let partial = Verdicts::from_partial_hypothesis(&[1, 2, 3], &[1]);
    assert_eq!(partial.phones, [Verdict::Correct]);
    assert!(partial.fuse(&[1, 2, 3], &[0.0; 3], None, 0.5).is_err());
}

/// What each scorer says about one case by hand.
#[test]
fn scorers_by_hand() {
    // (canonical, perceived, hypothesis, F, M), one letter a phone.
    let cases = [
        ("abc", "abc", "abc", counts(3, 0, 0, 0, 0), counts(3, 0, 0, 0, 0)),
        // Right, but heard as something else, as nothing.
        ("abc", "abc", "axc", counts(2, 1, 0, 0, 0), counts(2, 1, 0, 0, 0)),
        ("abc", "abc", "ac", counts(2, 1, 0, 0, 0), counts(2, 1, 0, 0, 0)),
        // Substituted: diagnosed, found, missed, heard as nothing.
        ("abc", "axc", "axc", counts(2, 0, 0, 1, 0), counts(2, 0, 0, 1, 0)),
        ("abc", "axc", "ayc", counts(2, 0, 0, 0, 1), counts(2, 0, 0, 0, 1)),
        ("abc", "axc", "abc", counts(2, 0, 1, 0, 0), counts(2, 0, 1, 0, 0)),
        ("abc", "axc", "ac", counts(2, 0, 0, 0, 1), counts(2, 0, 0, 0, 1)),
        // Deleted: diagnosed, heard as something else, missed.
        ("abc", "ac", "ac", counts(2, 0, 0, 1, 0), counts(2, 0, 0, 1, 0)),
        ("abc", "ac", "axc", counts(2, 0, 0, 0, 1), counts(2, 0, 0, 0, 1)),
        ("abc", "ac", "abc", counts(2, 0, 1, 0, 0), counts(2, 0, 1, 0, 0)),
        // Inserted: diagnosed, heard as something else, missed.
        ("abc", "abxc", "abxc", counts(3, 0, 0, 1, 0), counts(3, 0, 0, 1, 0)),
        ("abc", "abxc", "abyc", counts(3, 0, 0, 0, 1), counts(3, 0, 0, 0, 1)),
        ("abc", "abxc", "abc", counts(3, 0, 1, 0, 0), counts(3, 0, 1, 0, 0)),
        // Only the hypothesis has more: F does not charge it, M does.
        ("abc", "abc", "abxc", counts(3, 0, 0, 0, 0), counts(3, 1, 0, 0, 0)),
        ("abc", "abc", "abcxy", counts(3, 0, 0, 0, 0), counts(3, 2, 0, 0, 0)),
        ("abc", "abcx", "abcxy", counts(3, 0, 0, 1, 0), counts(3, 1, 0, 1, 0)),
        // All wrong, nothing said, nothing to say, nothing at all.
        ("ab", "xy", "xy", counts(0, 0, 0, 2, 0), counts(0, 0, 0, 2, 0)),
        ("ab", "ab", "", counts(0, 2, 0, 0, 0), counts(0, 2, 0, 0, 0)),
        ("ab", "", "", counts(0, 0, 0, 2, 0), counts(0, 0, 0, 2, 0)),
        ("", "x", "x", counts(0, 0, 0, 1, 0), counts(0, 0, 0, 1, 0)),
        ("", "", "x", counts(0, 0, 0, 0, 0), counts(0, 1, 0, 0, 0)),
        ("", "", "", counts(0, 0, 0, 0, 0), counts(0, 0, 0, 0, 0)),
    ];
    for (c, a, h, fu, mpl) in cases {
        let annotation = Slot::pair(c.as_bytes(), a.as_bytes());
        assert_eq!(Scorer::Fu.count(&annotation, h.as_bytes()), fu, "F {c} {a} {h}");
        assert_eq!(Scorer::Mpl.count(&annotation, h.as_bytes()), mpl, "M {c} {a} {h}");
    }
}

#[test]
fn curves_by_hand() {
    let detections: Vec<Detection> = [(0.9, true), (0.8, false), (0.7, true), (0.7, false), (0.1, true)]
        .map(|(probability, wrong)| Detection { probability, wrong })
        .into();
    let curve = precision_recall(&detections).unwrap();
    let points: Vec<(f64, f64)> = curve.points.iter().map(|p| (p.precision, p.recall)).collect();
    let third = 1.0 / 3.0;
    assert_eq!(points, [(1.0, third), (0.5, third), (0.5, 2.0 * third), (0.6, 1.0)]);
    let area = third + 0.5 * third + 0.6 * third;
    assert!((curve.average_precision().unwrap() - area).abs() < 1e-12);
    let best = curve.best_f1().unwrap();
    assert!((best.f1() - 0.75).abs() < 1e-12 && best.threshold < 0.1);
    assert!((curve.points[0].threshold - 0.85).abs() < 1e-12);

    let curve = reliability(&detections, 2).unwrap();
    assert_eq!((curve.bins[0].count, curve.bins[1].count), (1, 4));
    assert!((curve.bins[1].mean_probability - 0.775).abs() < 1e-12 && curve.bins[1].share_wrong == 0.5);
    assert!((curve.calibration_error.unwrap() - (0.9 + 4.0 * 0.275) / 5.0).abs() < 1e-12);
    let brier = (0.01 + 0.64 + 0.09 + 0.49 + 0.81) / 5.0;
    assert!((curve.brier.unwrap() - brier).abs() < 1e-12);
}

#[test]
fn curves_without_cases() {
    let right = [Detection { probability: 1.0, wrong: false }];
    let curve = precision_recall(&right).unwrap();
    assert_eq!((curve.average_precision(), curve.best_f1()), (None, None));
    assert_eq!(precision_recall(&[]).unwrap(), PrCurve::default());
    // All wrong, all alike: one point with all of them.
    let wrong = [Detection { probability: 0.0, wrong: true }; 3];
    let curve = precision_recall(&wrong).unwrap();
    assert_eq!((curve.points.len(), curve.average_precision()), (1, Some(1.0)));
    assert_eq!(MddCounts::of_detections(&wrong, curve.points[0].threshold).recall(), Some(1.0));
    let empty = reliability(&[], 3).unwrap();
    assert_eq!((empty.bins.len(), empty.calibration_error, empty.brier), (3, None, None));
    assert_eq!(reliability(&right, 3).unwrap().bins[2].count, 1);
    assert_eq!(reliability(&right, 0), Err(MddError::NoBins));
    for bad in [f64::NAN, -0.1, 1.1] {
        let bad = [Detection { probability: bad, wrong: true }];
        assert!(matches!(precision_recall(&bad), Err(MddError::Probability { index: 0, .. })));
        assert!(reliability(&bad, 3).is_err());
    }
}

#[test]
fn phone_scores() {
    let line = [(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)];
    assert!((correlation(&line).unwrap() - 1.0).abs() < 1e-12);
    let falling = line.map(|(x, y)| (x, -y));
    assert!((correlation(&falling).unwrap() + 1.0).abs() < 1e-12);
    // By hand: sums of squares 2 and 14/3, product 3.
    let bent = [(1.0, 1.0), (2.0, 1.0), (3.0, 4.0)];
    assert!((correlation(&bent).unwrap() - 3.0 / (2.0f64 * 6.0).sqrt()).abs() < 1e-12);
    assert_eq!(correlation(&[]), None);
    assert_eq!(correlation(&line[..1]), None);
    assert_eq!(correlation(&[(0.1, 1.0), (0.1, 2.0), (0.1, 3.0)]), None);
    assert_eq!(correlation(&[(0.1, f64::NAN), (0.2, 2.0)]), None);
    assert_eq!(mean_squared_error(&bent), Some(2.0 / 3.0));
    assert_eq!(mean_squared_error(&[]), None);
    assert_eq!(score_from_error_probability(0.25), 1.5);
}

#[test]
fn intervals_cover_and_narrow_and_need_groups() {
    let speakers = |n: usize| -> Vec<MddCounts> { (0..n).map(|i| counts(50, i % 4, i % 5, 4, 1)).collect() };
    let f1 = |drawn: &[&MddCounts]| drawn.iter().copied().sum::<MddCounts>().f1();
    let width = |n| {
        let speakers = speakers(n);
        let interval = bootstrap(&speakers, 1000, Key::new(1), f1).unwrap();
        let all = speakers.iter().sum::<MddCounts>().f1().unwrap();
        assert!(interval.low <= all && all <= interval.high);
        interval.high - interval.low
    };
    assert!(width(500) < width(20) / 3.0);
    // A share of one half of 100: ±1.96·0.05.
    let coins: Vec<f64> = (0..100).map(|i| f64::from(i % 2)).collect();
    let mean = |drawn: &[&f64]| Some(drawn.iter().copied().sum::<f64>() / drawn.len() as f64);
    let interval = bootstrap(&coins, 4000, Key::new(2), mean).unwrap();
    assert!((interval.low - 0.402).abs() < 0.02 && (interval.high - 0.598).abs() < 0.02, "{interval:?}");
    let again = |seed| bootstrap(&speakers(9), 300, Key::new(seed), f1);
    assert_eq!(again(3), again(3));
    assert_ne!(again(3), again(4));
    assert_eq!(bootstrap(&speakers(1), 300, Key::new(1), f1), None);
    assert_eq!(bootstrap(&speakers(9), 0, Key::new(1), f1), None);
    assert_eq!(bootstrap(&[MddCounts::default(); 9], 300, Key::new(1), f1), None);
}

#[test]
fn the_report_breaks_down() {
    let judged = |id: &str, speaker: Option<&str>, group: Option<&str>, c: &str, a: &str, h: &str| Judged {
        id: id.into(),
        speaker: speaker.map(Into::into),
        group: group.map(Into::into),
        annotation: Slot::pair(c.as_bytes(), a.as_bytes()),
        hypothesis: h.as_bytes().to_vec(),
    };
    let utterances = [
        judged("1", Some("s"), Some("Hindi"), "abc", "axc", "axc"),
        judged("2", Some("s"), Some("Hindi"), "abc", "abc", "ayc"),
        judged("3", Some("t"), Some("Arabic"), "bb", "b", "bbz"),
        // Its id is a speaker's name; neither speaker nor group.
        judged("s", None, None, "a", "a", "a"),
    ];
    let report = evaluate(&utterances, Scorer::Mpl, 200, Key::new(1));
    assert_eq!(report.speakers["s"], counts(4, 1, 0, 1, 0));
    assert_eq!(report.groups["Arabic"], counts(1, 1, 1, 0, 0));
    assert_eq!((report.speakers.len(), report.groups.len()), (2, 2));
    assert_eq!(report.counts, counts(6, 2, 1, 1, 0));
    assert_eq!(
        report.counts,
        report.phones.values().map(|row| &row.counts).sum::<MddCounts>().plus_insertions(1)
    );
    // "ayc" for "abc", "bbz" for "b".
    let errors = ErrorCounts { substitutions: 1, deletions: 0, insertions: 2, reference: 3 + 3 + 1 + 1 };
    assert_eq!(report.phone_errors, errors);
    let b = &report.phones[&b'b'];
    assert_eq!(b.perceived[&Some(b'x')], 1);
    assert_eq!(b.perceived[&None], 1);
    assert_eq!(b.hypothesis[&Some(b'b')], 2);
    assert_eq!(b.counts, counts(1, 1, 1, 1, 0));
    assert!(report.f1_interval.is_some());
    assert!(
        report.phone_error_interval.low <= errors.rate() && errors.rate() <= report.phone_error_interval.high
    );
    let empty = evaluate::<u8>(&[], Scorer::Fu, 200, Key::new(1));
    assert_eq!(
        (empty.counts, empty.f1_interval, empty.phone_errors.rate()),
        (MddCounts::default(), None, 0.0)
    );
}

impl MddCounts {
    /// With what M charges for insertions of the hypothesis.
    fn plus_insertions(mut self, surplus: usize) -> Self {
        self.false_rejections += surplus;
        self
    }
}

fn strings() -> impl Strategy<Value = (Vec<u8>, Vec<u8>, Vec<u8>)> {
    let string = || prop::collection::vec(0u8..4, 0..9);
    (string(), string(), string())
}

proptest! {
    #[test]
    fn scorers_count_every_phone_once((c, a, h) in strings()) {
        let annotation = Slot::pair(&c, &a);
        let right = annotation.iter().filter(|slot| slot.is_correct()).count();
        let wrong = annotation.len() - right;
        let fu = Scorer::Fu.count(&annotation, &h);
        prop_assert_eq!(fu.true_acceptances + fu.false_rejections, right);
        prop_assert_eq!(fu.false_acceptances + fu.true_rejections(), wrong);
        let mpl = Scorer::Mpl.count(&annotation, &h);
        prop_assert_eq!(mpl.false_acceptances + mpl.true_rejections(), wrong);
        prop_assert!(mpl.true_acceptances + mpl.false_rejections >= right);
        // What the annotator heard is a perfect hypothesis.
        for scorer in [Scorer::Fu, Scorer::Mpl] {
            prop_assert_eq!(scorer.count(&annotation, &a), counts(right, 0, 0, wrong, 0));
        }
        // What should be said finds nothing; F may align A–H otherwise than C–A and see it otherwise.
        prop_assert_eq!(Scorer::Mpl.count(&annotation, &c), counts(right, 0, wrong, 0, 0));
    }

    #[test]
    fn rates_fit_together(ta in 0usize..50, fr in 0usize..50, fa in 0usize..50, cd in 0usize..50, de in 0usize..50) {
        let counts = counts(ta, fr, fa, cd, de);
        if let (Some(p), Some(r), Some(f1)) = (counts.precision(), counts.recall(), counts.f1()) {
            prop_assert!((f1 * (p + r) - 2.0 * p * r).abs() < 1e-12);
            prop_assert!((counts.false_acceptance_rate().unwrap() - (1.0 - r)).abs() < 1e-12);
        }
    }

    #[test]
    fn every_point_is_what_its_threshold_gives(
        raw in prop::collection::vec((0u8..6, any::<bool>()), 0..30), squeeze in any::<bool>(),
    ) {
        // Squeezed: neighbouring floating-point numbers.
        let detections: Vec<Detection> = raw.iter().map(|(step, wrong)| Detection {
            probability: if squeeze { f64::from_bits(0.5f64.to_bits() + u64::from(*step)) } else { f64::from(*step) / 5.0 },
            wrong: *wrong,
        }).collect();
        let curve = precision_recall(&detections).unwrap();
        for point in &curve.points {
            let counts = MddCounts::of_detections(&detections, point.threshold);
            prop_assert_eq!(counts.true_rejections(), point.true_rejections);
            prop_assert_eq!(counts.false_rejections, point.false_rejections);
            prop_assert_eq!(counts.precision(), Some(point.precision));
            prop_assert_eq!(counts.recall(), Some(point.recall));
        }
        prop_assert!(curve.points.last().is_none_or(|last| last.recall == 1.0));
        prop_assert!(curve.average_precision().is_none_or(|area| (0.0..=1.0 + 1e-12).contains(&area)));
        let best = curve.best_f1().map(PrPoint::f1);
        prop_assert!(curve.points.iter().all(|point| Some(point.f1()) <= best));
    }

    #[test]
    fn verdicts_spell_the_hypothesis((c, _, h) in strings(), threshold in 0.0f64..1.0) {
        let verdicts = Verdicts::from_hypothesis(&c, &h);
        prop_assert_eq!(verdicts.phones.len(), c.len());
        prop_assert_eq!(verdicts.to_hypothesis(&c, &99), h);
        // Fusion only adds rejections, and a higher threshold fewer.
        let probabilities: Vec<f32> = c.iter().map(|phone| f32::from(*phone) / 4.0).collect();
        let fuse = |threshold| verdicts.clone().fuse(&c, &probabilities, None, threshold).unwrap();
        let (low, high) = (fuse(threshold / 2.0), fuse(threshold));
        for (i, probability) in probabilities.iter().enumerate() {
            prop_assert!(!verdicts.rejects(i) || high.rejects(i));
            prop_assert!(!high.rejects(i) || low.rejects(i));
            prop_assert_eq!(high.rejects(i), verdicts.rejects(i) || f64::from(*probability) > threshold);
        }
        prop_assert_eq!(&high.insertions, &verdicts.insertions);
    }
}
