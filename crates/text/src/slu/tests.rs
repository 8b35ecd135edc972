use super::*;
use auricle_rng::Key;
use proptest::prelude::*;

fn key() -> Key {
    Key::new(1)
}

fn close(found: f64, wanted: f64) {
    assert!((found - wanted).abs() < 1e-9, "{found}, not {wanted}");
}

fn entities(pairs: &[(&str, &str)]) -> Vec<Entity> {
    pairs.iter().map(|(kind, value)| Entity::new(*kind, value)).collect()
}

fn heard(id: &str, reference: &str, hypothesis: Option<&str>) -> Understood {
    Understood { id: id.into(), reference: reference.into(), hypothesis: hypothesis.map(str::to_owned) }
}

#[test]
fn frames_as_they_are_written() {
    let order =
        Frame::new(Intent::new("orderDrink")).with("size", " large ").with("coffeeDrink", "iced  latte");
    let text = "<int:orderDrink> <slot:size> large </slot> <slot:coffeeDrink> iced latte </slot>";
    assert_eq!(order.to_text().as_deref(), Ok(text));
    assert_eq!(
        Frame::parse(&text.replace(' ', "").replace("icedl", "iced l")),
        Ok(order),
        "marks need no spaces"
    );
    let plain = Frame::new(Intent::in_scenario("alarm", "query"));
    assert_eq!(plain.to_text().as_deref(), Ok("<scn:alarm> <act:query>"));
    assert_eq!(plain.intent_name(), "alarm_query");
    let odd = Frame::new(Intent::new("x")).with("price", "< 5 <b> and > 3");
    assert_eq!(Frame::parse(&odd.to_text().unwrap()), Ok(odd), "other angle brackets are words");
}

#[test]
fn what_could_not_be_read_back_is_not_written() {
    let frame = |kind: &str, value: &str| Frame {
        entities: vec![Entity { kind: kind.into(), value: value.into() }],
        ..Frame::new(Intent::new("x"))
    };
    for value in ["", "a  b", " a", "a </slot> b", "x<act:y>", "a\u{a0}b", "a\tb"] {
        assert!(matches!(frame("t", value).to_text(), Err(SluError::Value { .. })), "{value:?}");
    }
    for name in ["", "a b", "a>", "a[", "a\n"] {
        assert!(matches!(frame(name, "v").to_text(), Err(SluError::Name(_))), "{name:?}");
        assert!(matches!(Frame::new(Intent::in_scenario(name, "a")).to_text(), Err(SluError::Name(_))));
    }
    assert!(matches!(Frame::default().to_text(), Err(SluError::Name(_))));
    let many = Frame { entities: vec![Entity::new("t", "v"); MAX_NODES + 1], ..Frame::new(Intent::new("x")) };
    assert!(matches!(many.to_text(), Err(SluError::TooMuch { what: "slots", .. })));
    assert!(matches!(frame("t", &"v".repeat(MAX_BYTES)).to_text(), Err(SluError::TooMuch { .. })));
}

#[test]
fn broken_frames_keep_the_intent_and_lose_the_slots() {
    let intent = Some(Intent::in_scenario("alarm", "query"));
    let begin = "<scn:alarm> <act:query>";
    for (rest, fault) in [
        ("<slot:date> today", Fault::Open("<slot:date>".into())),
        ("<slot:date> </slot>", Fault::NoValue("date".into())),
        ("today <slot:date> now </slot>", Fault::Outside("today".into())),
        ("<slot:date> today <slot:time> now </slot>", Fault::Misplaced("<slot:time>".into())),
        ("</slot>", Fault::Misplaced("</slot>".into())),
        ("<act:set>", Fault::Misplaced("<act:set>".into())),
        ("<slot:date> today </slot> </slot>", Fault::Misplaced("</slot>".into())),
        ("<slot:da te> today </slot>", Fault::Outside("<slot:da".into())),
    ] {
        let (frame, found) = Frame::read(&format!("{begin} {rest}"));
        assert_eq!((frame.intent, frame.entities, found), (intent.clone(), vec![], Some(fault)), "{rest}");
    }
    let half = |scenario: &str, action: &str| Some(Intent::in_scenario(scenario, action));
    for (text, wanted) in [
        ("<scn:alarm>", half("alarm", "")),
        ("<act:query> <slot:x> y </slot>", half("", "query")),
        ("<act:query> <scn:alarm>", half("alarm", "query")),
        ("well <int:play>", Some(Intent::new("play"))),
        ("<slot:x> y </slot> <int:play>", None),
        ("play music", None),
        ("  ", None),
    ] {
        let (frame, fault) = Frame::read(text);
        assert!(fault.is_some() && frame.intent == wanted, "{text}: {frame:?}");
    }
    let long = format!("{begin} <slot:x> {} </slot>", "é ".repeat(MAX_BYTES));
    assert_eq!(Frame::read(&long).1, Some(Fault::Long));
    assert_eq!(Frame::read(&long).0.intent, intent);
    let many = format!("{begin}{}", " <slot:x> y </slot>".repeat(MAX_NODES + 1));
    assert_eq!(Frame::read(&many).1, Some(Fault::Nodes));
}

const DIRECTIONS: &str =
    "[IN:GET_DIRECTIONS [SL:SOURCE home ] [SL:DESTINATION [IN:GET_EVENT [SL:NAME_EVENT the game ] ] ] ]";

#[test]
fn trees_read_and_write() {
    let tree = Tree::parse(DIRECTIONS).unwrap();
    assert_eq!(tree.to_text().as_deref(), Ok(DIRECTIONS));
    let glued =
        "[in:get_directions[SL:SOURCE HOME][SL:DESTINATION [IN:GET_EVENT  [SL:NAME_EVENT the game]]]]";
    assert_eq!(Tree::parse(glued).as_ref(), Ok(&tree));
    assert_eq!(
        tree.slots(),
        entities(&[
            ("SOURCE", "home"),
            ("DESTINATION", "[IN:GET_EVENT [SL:NAME_EVENT the game ] ]"),
            ("NAME_EVENT", "the game"),
        ])
    );
    let full = "[IN:GET_DIRECTIONS how from [SL:SOURCE home ] to [SL:DESTINATION near [IN:GET_EVENT at \
                [SL:NAME_EVENT the game ] ] ] please ]";
    assert_eq!(Tree::parse(full).unwrap().decoupled(), tree);
}

#[test]
fn broken_trees_say_what_is_wrong() {
    for (text, fault) in [
        ("", Fault::Empty),
        ("play it", Fault::NoIntent),
        ("[SL:X y ]", Fault::NoIntent),
        ("[IN: x ]", Fault::NoIntent),
        ("]", Fault::Misplaced("]".into())),
        ("[IN:A [SL:B x ]", Fault::Open("[IN:A".into())),
        ("[IN:A [XX:B x ] ]", Fault::Misplaced("[XX:B".into())),
        ("[IN:A ] ]", Fault::Misplaced("]".into())),
        ("[IN:A ] [IN:B ]", Fault::Misplaced("[IN:B".into())),
        ("[IN:A ] so", Fault::Outside("so".into())),
    ] {
        assert_eq!(Tree::parse(text), Err(fault), "{text}");
    }
    let nested = |depth: usize| format!("{}{}", "[IN:A ".repeat(depth), "] ".repeat(depth));
    assert!(Tree::parse(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(Tree::parse(&nested(MAX_DEPTH + 1)), Err(Fault::Deep));
    assert_eq!(Tree::parse(&format!("[IN:A {} ]", "[SL:B ] ".repeat(MAX_NODES))), Err(Fault::Nodes));
    assert_eq!(Tree::parse(&"[".repeat(MAX_BYTES + 1)), Err(Fault::Long));
    assert_eq!(Tree::read_intent("so [in:play_music [SL:"), Some("IN:PLAY_MUSIC".into()));
    assert_eq!(Tree::read_intent("[ x"), None);
    let mut deep = Tree::new("IN:A");
    for _ in 0..MAX_DEPTH {
        deep = Tree { label: "IN:A".into(), children: vec![Node::Tree(deep)] };
    }
    assert!(matches!(deep.to_text(), Err(SluError::TooMuch { what: "levels", .. })));
    assert!(matches!(Tree::new("SL:A").to_text(), Err(SluError::Name(_))));
    let word = Tree { label: "IN:A".into(), children: vec![Node::Word("a]".into())] };
    assert!(matches!(word.to_text(), Err(SluError::Name(_))));
}

#[test]
fn distances_by_hand() {
    close(word_distance("next friday", "friday"), 0.5);
    close(word_distance("a", "b c d"), 3.0);
    close(word_distance("a b", ""), 1.0);
    close(char_distance("next friday", "friday"), 5.0 / 11.0);
    close(char_distance("ab", "abcd"), 0.5);
    close(char_distance("", ""), 0.0);
}

#[test]
fn slurp_counts_by_hand() {
    // One value nearly right, one slot too many, one missed.
    let reference = entities(&[("date", "next friday"), ("event_name", "dance class")]);
    let predicted = entities(&[("date", "friday"), ("person", "bob")]);
    let span = span_counts(&reference, &predicted);
    assert_eq!(total(&span), Counts { true_positives: 0.0, false_positives: 2.0, false_negatives: 2.0 });
    assert_eq!(span["date"], Counts { true_positives: 0.0, false_positives: 1.0, false_negatives: 1.0 });
    let word = total(&distance_counts(&reference, &predicted, word_distance));
    assert_eq!(word, Counts { true_positives: 1.0, false_positives: 1.5, false_negatives: 1.5 });
    close(word.f1(), 0.4);
    let characters = total(&distance_counts(&reference, &predicted, char_distance));
    close(characters.f1(), 1.0 / (1.0 + 1.0 + 5.0 / 11.0));
    // Pooled: 2 of 2 + 1.5 + 1.4545…, which is not the mean of the two F1s.
    close((word + characters).f1(), 2.0 / (2.0 + 1.5 + 1.0 + 5.0 / 11.0));
}

#[test]
fn slots_that_come_twice_are_used_up_in_order() {
    let reference = entities(&[("date", "today"), ("date", "tomorrow")]);
    let predicted = entities(&[("date", "tomorrow"), ("date", "tomorrow"), ("date", "today")]);
    let span = total(&span_counts(&reference, &predicted));
    assert_eq!(span, Counts { true_positives: 2.0, false_positives: 1.0, false_negatives: 0.0 });
    // The second `tomorrow` takes `today`, at distance 1, and leaves nothing for the third.
    let word = total(&distance_counts(&reference, &predicted, word_distance));
    assert_eq!(word, Counts { true_positives: 2.0, false_positives: 2.0, false_negatives: 1.0 });
    close(word.precision(), 0.5);
    close(word.recall(), 2.0 / 3.0);
    assert_eq!(total(&span_counts(&[], &[])).f1(), 0.0);
}

fn slurp_set() -> Vec<Understood> {
    let date = "<scn:alarm> <act:set> <slot:date> next friday </slot>";
    vec![
        heard("right", "<scn:alarm> <act:query>", Some("<scn:alarm> <act:query>")),
        heard("value", date, Some("<scn:alarm> <act:set> <slot:date> friday </slot>")),
        heard("broken", date, Some("<scn:alarm> <act:set> <slot:date> next friday")),
        heard("action", date, Some("<scn:alarm> <act:remove> <slot:date> next friday </slot>")),
        heard("missing", date, None),
    ]
}

#[test]
fn a_set_of_frames() {
    let report = evaluate_frames(&slurp_set(), 500, key()).unwrap();
    assert_eq!((report.utterances, report.missing, report.broken), (5, 1, 1));
    assert_eq!(report.faults, std::collections::BTreeMap::from([("something not closed".to_owned(), 1)]));
    close(report.intent_accuracy.value, 3.0 / 5.0);
    close(report.scenario_accuracy.value, 4.0 / 5.0);
    close(report.action_accuracy.value, 3.0 / 5.0);
    close(report.frame_accuracy.value, 1.0 / 5.0);
    assert_eq!(report.span, Counts { true_positives: 1.0, false_positives: 1.0, false_negatives: 3.0 });
    assert_eq!(report.word, Counts { true_positives: 2.0, false_positives: 0.5, false_negatives: 2.5 });
    close(report.span_f1.value, report.span.f1());
    close(report.slu_f1.value, (report.word + report.characters).f1());
    let pairs: Vec<_> = report.intents.iter().map(|c| (&*c.reference, &*c.hypothesis, c.count)).collect();
    assert_eq!(pairs, [("alarm_set", "", 1), ("alarm_set", "alarm_remove", 1)]);
    let date = &report.slots[0];
    let values: Vec<_> = date.values.iter().map(|c| (&*c.reference, &*c.hypothesis, c.count)).collect();
    assert_eq!(values, [("next friday", "", 2), ("next friday", "friday", 1)]);
    let interval = report.intent_accuracy.interval.unwrap();
    assert!(interval.low < 0.6 && 0.6 < interval.high && interval.low >= 0.0 && interval.high <= 1.0);
    assert_eq!(
        evaluate_frames(&slurp_set(), 500, key()).unwrap(),
        report,
        "the same seed, the same intervals"
    );
}

#[test]
fn a_set_of_trees() {
    let music = "[IN:PLAY_MUSIC [SL:ARTIST nina simone ] [SL:TYPE song ] ]";
    let set = [
        heard("same", music, Some("[in:play_music  [SL:ARTIST Nina simone] [SL:TYPE song ] ]")),
        heard("word", music, Some("[IN:PLAY_MUSIC [SL:ARTIST nina simon ] [SL:TYPE song ] ]")),
        heard("order", music, Some("[IN:PLAY_MUSIC [SL:TYPE song ] [SL:ARTIST nina simone ] ]")),
        heard("cut", music, Some("[IN:PLAY_MUSIC [SL:ARTIST nina simone ] [SL:TYPE song ]")),
        heard("other", music, Some("[IN:LOOP_MUSIC ]")),
        heard("missing", music, None),
    ];
    let report = evaluate_trees(&set, 200, key()).unwrap();
    assert_eq!((report.utterances, report.missing, report.broken), (6, 1, 1));
    close(report.exact_match.value, 1.0 / 6.0);
    close(report.tree_match.value, 2.0 / 6.0);
    close(report.unordered_match.value, 2.0 / 6.0);
    close(report.intent_accuracy.value, 4.0 / 6.0);
    let artist = report.slots.iter().find(|slot| slot.label == "ARTIST").unwrap();
    assert_eq!(artist.counts, Counts { true_positives: 2.0, false_positives: 1.0, false_negatives: 4.0 });
    assert_eq!((&*artist.values[0].hypothesis, artist.values[0].count), ("", 3));
}

#[test]
fn references_must_be_meanings() {
    let error = |reference: &str, kind| {
        evaluate(kind, &[heard("u7", reference, None)], 10, key()).unwrap_err().to_string()
    };
    let message = error("<int:x> <slot:y>", Kind::Frame);
    assert!(message.contains("u7") && message.contains("`<slot:y>` is not closed"), "{message}");
    assert!(error(&format!("[IN:A {}", "é".repeat(99)), Kind::Stop).contains("u7"));
    assert_eq!(evaluate(Kind::Slurp, &[], 10, key()), Err(SluError::Nothing));
    assert_eq!(Kind::of(DIRECTIONS), Kind::Stop);
    assert_eq!(Kind::of("<scn:a> <act:b>"), Kind::Slurp);
    assert_eq!(Kind::of("<int:b>"), Kind::Frame);
}

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_.:é-]{1,8}"
}

fn frame() -> impl Strategy<Value = Frame> {
    let value = "[a-z0-9'.<>@é\\[\\]]{1,6}( [a-z0-9'.<>/:slotact]{1,7}){0,3}";
    let intent =
        (proptest::option::of(name()), name()).prop_map(|(scenario, action)| Intent { scenario, action });
    (intent, proptest::collection::vec((name(), value), 0..5)).prop_map(|(intent, slots)| Frame {
        intent: Some(intent),
        entities: slots.into_iter().map(|(kind, value)| Entity { kind, value }).collect(),
    })
}

fn tree() -> impl Strategy<Value = Tree> {
    let label = |begin: &'static str| "[A-Z0-9_]{1,8}".prop_map(move |name| format!("{begin}:{name}"));
    let word = "[a-z0-9'.:<>é]{1,6}".prop_map(Node::Word);
    let children = proptest::collection::vec(word.clone(), 0..3);
    let leaf = (prop_oneof![label("IN"), label("SL")], children)
        .prop_map(|(label, children)| Tree { label, children });
    let inner = leaf.prop_recursive(5, 24, 4, move |below| {
        let node = prop_oneof![word.clone(), below.prop_map(Node::Tree)];
        (prop_oneof![label("IN"), label("SL")], proptest::collection::vec(node, 0..4))
            .prop_map(|(label, children)| Tree { label, children })
    });
    inner.prop_map(|tree| Tree { label: tree.label.replacen("SL:", "IN:", 1), ..tree })
}

proptest! {
    #[test]
    fn frames_read_back(frame in frame()) {
        match frame.to_text() {
            Ok(text) => {
                prop_assert_eq!(Frame::parse(&text), Ok(frame.clone()));
                // However it is cut off behind the marks of the intent, the intent stays.
                let head = text.find(" <slot:").unwrap_or(text.len());
                for cut in head..text.len() {
                    if text.is_char_boundary(cut) {
                        prop_assert_eq!(&Frame::read(&text[..cut]).0.intent, &frame.intent);
                    }
                }
            }
            Err(error) => prop_assert!(matches!(error, SluError::Value { .. }), "{error}"),
        }
    }

    #[test]
    fn trees_read_back(tree in tree()) {
        let text = tree.to_text().unwrap();
        prop_assert_eq!(Tree::parse(&text), Ok(tree.clone()));
        prop_assert_eq!(tree.sorted().sorted(), tree.sorted());
        prop_assert_eq!(tree.decoupled().decoupled(), tree.decoupled());
        prop_assert_eq!(Tree::read_intent(&text), Some(tree.label.clone()));
        let report = evaluate_trees(&[heard("a", &text, Some(&text))], 5, key()).unwrap();
        prop_assert_eq!(report.exact_match.value + report.tree_match.value + report.unordered_match.value, 3.0);
    }

    #[test]
    fn any_output_has_a_score(text in "(<(scn|act|int|slot):[a-z]{0,2}>?|</slot>|\\[|IN:|SL:|\\]|[a-zé]| |\\PC){0,40}") {
        let frame = [heard("a", "<scn:a> <act:b> <slot:c> d </slot>", Some(&text))];
        let report = evaluate_frames(&frame, 5, key()).unwrap();
        prop_assert!((0.0..=1.0).contains(&report.slu_f1.value));
        let report = evaluate_trees(&[heard("a", DIRECTIONS, Some(&text))], 5, key()).unwrap();
        prop_assert!(report.exact_match.value <= report.tree_match.value);
        let marks = marks([text.as_str()]);
        prop_assert!(marks.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn scores_are_those_of_the_definition(values in proptest::collection::vec(0u8..3, 0..5), others in proptest::collection::vec(0u8..3, 0..5)) {
        let of = |values: &[u8]| -> Vec<Entity> { values.iter().map(|v| Entity::new("t", ["a", "b c", "d"][usize::from(*v)])).collect() };
        let (reference, predicted) = (of(&values), of(&others));
        let counts = total(&span_counts(&reference, &predicted));
        prop_assert_eq!(counts.true_positives + counts.false_negatives, reference.len() as f64);
        prop_assert_eq!(counts.true_positives + counts.false_positives, predicted.len() as f64);
        // The order of exact matches does not matter.
        let turned: Vec<Entity> = predicted.iter().rev().cloned().collect();
        prop_assert_eq!(total(&span_counts(&reference, &turned)), counts);
        let word = total(&distance_counts(&reference, &predicted, word_distance));
        prop_assert_eq!(word.true_positives, reference.len().min(predicted.len()) as f64);
    }
}
