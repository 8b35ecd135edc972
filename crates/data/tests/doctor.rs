//! What the doctor finds, and what is left after mending.
#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_audio::{Audio, write_wav};
use auricle_data::doctor::{
    CheckConfig, CheckReport, Set, Severity, advice, cannot_align, check, fix, read_sets, training_fault,
};
use auricle_data::{Manifest, Utterance};
use std::fs;
use std::path::PathBuf;

/// A WAV file of so many seconds with a sound of its own.
fn wav(folder: &tempfile::TempDir, name: &str, secs: f64, pitch: f32) -> PathBuf {
    let path = folder.path().join(name);
    let samples = (0..(secs * 8000.0) as usize).map(|i| 0.5 * (i as f32 * pitch).sin()).collect();
    write_wav(&path, &Audio::new(samples, 8000)).unwrap();
    path
}

fn set(utterances: Vec<Utterance>) -> Set {
    Set { name: "train".into(), utterances, ..Set::default() }
}

fn look(sets: &[Set]) -> CheckReport {
    check(sets, &CheckConfig { workers: 2, ..CheckConfig::default() }, || ())
}

fn kinds(report: &CheckReport) -> Vec<(&str, &str)> {
    report.findings.iter().map(|f| (f.id.as_str(), f.kind)).collect()
}

#[test]
fn of_a_repeated_line_the_first_stays() {
    let folder = tempfile::tempdir().unwrap();
    let utterance = Utterance::new("a", wav(&folder, "a.wav", 0.5, 0.1), 0.5);
    let other = Utterance::new("b", wav(&folder, "b.wav", 0.5, 0.2), 0.5);
    let copy = Utterance::new("c", wav(&folder, "c.wav", 0.5, 0.1), 0.5);
    let sets = [set(vec![utterance.clone(), utterance.clone(), other.clone(), copy])];
    let report = look(&sets);
    assert_eq!(kinds(&report), [("a", "duplicate-id"), ("c", "duplicate-audio")]);
    assert_eq!(fix(&sets, &report)[0].utterances, [utterance, other]);
}

#[test]
fn of_a_repeated_id_the_first_that_can_be_read_stays() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Utterance::new("a", folder.path().join("none.wav"), 0.5);
    let good = Utterance::new("a", wav(&folder, "a.wav", 0.5, 0.1), 0.5);
    let sets = [set(vec![missing, good.clone()])];
    assert_eq!(fix(&sets, &look(&sets))[0].utterances, [good]);
}

#[test]
fn two_sets_of_one_name_are_mended_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (number, name) in ["a", "b"].into_iter().enumerate() {
        let audio = wav(&folder, &format!("{name}.wav"), 0.5, 0.1 + number as f32);
        let path = folder.path().join(name).join("train.jsonl");
        Manifest::write(&path, &[Utterance::new(name, audio, 0.5)]).unwrap();
        paths.push(path);
    }
    let sets = read_sets(&paths).unwrap();
    let names: Vec<_> = fix(&sets, &look(&sets)).into_iter().map(|s| s.name).collect();
    assert_eq!(names, ["a-train", "b-train"]);
    let error = read_sets(&[paths[0].clone(), paths[0].clone()]).unwrap_err().to_string();
    assert!(error.contains("a/train.jsonl") && error.contains("once"), "{error}");
}

#[test]
fn a_duration_that_cuts_the_file_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = wav(&folder, "a.wav", 2.0, 0.1);
    let short = set(vec![Utterance::new("a", &path, 0.6)]);
    let report = look(&[short]);
    assert_eq!(kinds(&report), [("a", "shortened")]);
    let finding = &report.findings[0];
    assert_eq!(finding.severity, Severity::Warning);
    assert_eq!(finding.detail, "0.60 s in the manifest, 2.00 s in the file");
    // A copy of the line is no segment.
    let copied = set(vec![Utterance::new("a", &path, 0.6), Utterance::new("a", &path, 0.6)]);
    assert_eq!(look(&[copied]).counts()["shortened"], 2);
    // The first segment of several is meant to be short.
    let second = Utterance::segment("b", &path, 0.6, 1.0).unwrap();
    assert_eq!(kinds(&look(&[set(vec![Utterance::new("a", &path, 0.6), second])])), []);
}

/// Nothing that is only worth a look is dropped, and each kind is found where it is and nowhere else.
#[test]
fn what_is_worth_a_look_is_found_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let good = |id: &str, pitch| Utterance::new(id, wav(&folder, &format!("{id}.wav"), 0.5, pitch), 0.5);
    let loud = folder.path().join("loud.wav");
    let samples = (0..4000).map(|i| (4.0 * (i as f32 * 0.3).sin()).clamp(-1.0, 1.0)).collect();
    write_wav(&loud, &Audio::new(samples, 16_000)).unwrap();
    let train = vec![
        good("a", 0.1).with_speaker("anna").with_text("we saw two"),
        good("b", 0.2).with_speaker("bert").with_text("we saw 2 cafés"),
        Utterance::new("c", loud, 0.25).with_text("loud"),
    ];
    let dev = vec![good("d", 0.4).with_speaker("bert"), good("e", 0.5).with_speaker("bert"), good("f", 0.6)];
    let sets = [set(train), Set { name: "dev".into(), utterances: dev, ..Set::default() }];
    let config = CheckConfig { sample_rate: Some(8000), workers: 1, ..CheckConfig::default() };
    let report = check(&sets, &config, || ());
    let found: Vec<_> = report.findings.iter().map(|f| (f.set.as_str(), f.id.as_str(), f.kind)).collect();
    let expected = [
        ("train", "b", "odd-text"),
        ("train", "c", "sample-rate"),
        ("train", "c", "clipped"),
        // A speaker is told once a set.
        ("dev", "d", "shared-speaker"),
    ];
    assert_eq!(found, expected);
    let details: Vec<&str> = report.findings.iter().map(|f| f.detail.as_str()).collect();
    assert_eq!(details[0], "`2é` in `we saw 2 cafés`");
    assert_eq!(details[1], "16000 Hz instead of 8000 Hz");
    assert!(details[2].ends_with(" % of samples at full scale"), "{}", details[2]);
    assert_eq!(details[3], "speaker bert is also in train");
    for finding in &report.findings {
        assert_eq!(finding.severity, Severity::Warning);
        assert_ne!(advice(finding.kind), advice("a kind of which nothing is known"), "{}", finding.kind);
    }
    let kept: Vec<_> = fix(&sets, &report).into_iter().map(|s| s.utterances).collect();
    assert_eq!(kept, sets.map(|s| s.utterances));
}

#[test]
fn a_duration_that_is_not_known_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let path = wav(&folder, "a.wav", 2.0, 0.1);
    let sets = [set(vec![Utterance::new("a", &path, 0.0)])];
    let report = look(&sets);
    assert_eq!(kinds(&report), [("a", "duration")]);
    assert_eq!(fix(&sets, &report)[0].utterances, [Utterance::new("a", &path, 2.0)]);
}

#[test]
fn broken_lines_are_findings_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.jsonl");
    let good = Utterance::new("a", wav(&folder, "a.wav", 0.5, 0.1), 0.5);
    Manifest::write(&path, std::slice::from_ref(&good)).unwrap();
    let mut text = fs::read_to_string(&path).unwrap();
    text.insert_str(0, "{\"id\":\"0\",\n");
    fs::write(&path, text + "{\"id\":\"z\",\"audio\":\"z.wav\",\"duration_secs\":-2}\n").unwrap();
    let sets = read_sets(std::slice::from_ref(&path)).unwrap();
    let report = look(&sets);
    assert_eq!(kinds(&report), [("line 1", "broken-line"), ("line 3", "broken-line")]);
    assert!(report.has_errors() && report.findings[1].detail.contains("-2 s"));
    assert_eq!(fix(&sets, &report)[0].utterances, [good]);
    // Training goes on with no half of a list.
    assert!(Manifest::read(&path).unwrap_err().to_string().contains("train.jsonl, line 1"));
}

#[test]
fn segments_are_heard_apart_though_their_file_is_decoded_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = wav(&folder, "a.wav", 3.0, 0.1);
    let segment = |id: &str, start, secs| Utterance::segment(id, &path, start, secs).unwrap();
    let sets = [set(vec![
        segment("a", 0.0, 1.0),
        Utterance::new("b", folder.path().join("none.wav"), 1.0),
        segment("c", 1.0, 1.5),
        segment("d", 2.5, 1.0),
        segment("e", 4.0, 1.0),
        segment("f", 1.0, 1.5),
    ])];
    let expected =
        [("b", "unreadable"), ("d", "segment"), ("e", "silent"), ("e", "segment"), ("f", "duplicate-audio")];
    assert_eq!(kinds(&look(&sets)), expected);
}

#[test]
fn what_the_tokenizer_cannot_spell_is_a_finding() {
    let letters = |text: &str| match text.chars().find(|c| !matches!(c, 'a'..='z' | ' ')) {
        Some(c) => Err(format!("no token for `{c}`")),
        None => Ok(text.chars().map(u32::from).collect()),
    };
    let with_text = |id: &str, text: &str| Utterance::new(id, "/x.wav", 1.0).with_text(text);
    let texts = set(vec![
        with_text("a", "Fine, as IT is!"),
        with_text("b", "route 66"),
        with_text("c", "a text that is far too long for this"),
        Utterance::new("d", "/x.wav", 1.0),
    ]);
    let findings = cannot_align(&texts, &|secs| (20.0 * secs) as usize, &letters);
    let found: Vec<_> = findings.iter().map(|f| (f.id.as_str(), f.kind, f.severity)).collect();
    assert_eq!(found, [("b", "cannot-spell", Severity::Error), ("c", "cannot-align", Severity::Error)]);
    assert_eq!(findings[0].detail, "no token for `6`");
    let kept = fix(std::slice::from_ref(&texts), &CheckReport { findings, ..CheckReport::default() });
    assert_eq!(kept[0].utterances.len(), 2);
}

#[test]
fn what_training_needs_is_asked_for_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let whole = |id: &str, pitch| {
        let audio = wav(&folder, &format!("{id}.wav"), 0.5, pitch);
        let phones = Some(vec!["AH".to_owned()]);
        let utterance = Utterance::new(id, audio, 0.5).with_text("a").with_meaning("<int:x>");
        Utterance { phones: phones.clone(), perceived_phones: phones, ..utterance }
    };
    let sets = [set(vec![
        whole("a", 0.1),
        Utterance { text: None, ..whole("b", 0.2) },
        Utterance { perceived_phones: None, ..whole("c", 0.3) },
        Utterance { meaning: None, ..whole("d", 0.4) },
    ])];
    let config = CheckConfig {
        workers: 1,
        needs_text: true,
        needs_phones: true,
        needs_meaning: true,
        ..CheckConfig::default()
    };
    let report = check(&sets, &config, || ());
    assert_eq!(kinds(&report), [("b", "no-text"), ("c", "no-phones"), ("d", "no-meaning")]);
    for finding in &report.findings {
        assert_ne!(advice(finding.kind), advice("a kind of which nothing is known"), "{}", finding.kind);
    }
    assert_eq!(fix(&sets, &report)[0].utterances.len(), 1);
    assert_eq!(kinds(&look(&sets)), []);
}

/// Training asks the same function as the doctor.
#[test]
fn what_training_refuses_the_doctor_drops() {
    let letters = |text: &str| match text.chars().find(|c| !matches!(c, 'a'..='z' | ' ')) {
        Some(c) => Err(format!("no token for `{c}`")),
        None => Ok(text.chars().map(u32::from).collect()),
    };
    let frames = |secs: f64| (20.0 * secs) as usize;
    let folder = tempfile::tempdir().unwrap();
    let texts = [Some("café"), Some("three wo"), None, Some("hello"), Some("a b c d e f g h i")];
    let utterances = texts.iter().enumerate().map(|(number, text)| {
        let audio = wav(&folder, &format!("{number}.wav"), 0.5, 0.1 + number as f32);
        Utterance { text: text.map(str::to_owned), ..Utterance::new(number.to_string(), audio, 0.5) }
    });
    let sets = [set(utterances.collect())];
    let mut report = check(&sets, &CheckConfig { needs_text: true, ..CheckConfig::default() }, || ());
    report.findings.extend(cannot_align(&sets[0], &frames, &letters));
    let trainable = |u: &&Utterance| training_fault(u, &frames, &letters).is_none();
    let expected: Vec<&Utterance> = sets[0].utterances.iter().filter(trainable).collect();
    assert_eq!(expected.iter().map(|u| u.id.as_str()).collect::<Vec<_>>(), ["1", "3"]);
    assert_eq!(fix(&sets, &report)[0].utterances.iter().collect::<Vec<_>>(), expected);
}

/// Half a file can be used, and is said to be half.
#[test]
fn a_missing_end_is_found_and_the_utterance_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half.wav");
    let samples = (0..16_000).map(|n| 0.3 * (n as f32 * 0.05).sin()).collect();
    write_wav(&path, &Audio::new(samples, 16_000)).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..44 + 16_000]).unwrap();
    let utterance = Utterance::new("half", &path, 0.5);
    assert_eq!(utterance.samples(16_000).unwrap().len(), 8_000);
    // A label for all of it is wrong for half of it.
    assert_eq!(utterance.whole_samples(16_000).unwrap().len(), 8_000);
    let error = Utterance::new("whole", &path, 1.0).whole_samples(16_000).unwrap_err().to_string();
    assert!(error.contains("half.wav is truncated") && error.contains("fetch it again"), "{error}");
    let error = utterance.samples_within(16_000, 0.4).unwrap_err().to_string();
    assert!(error.contains("half lasts 0.5 s, more than 0.4 s"), "{error}");
    let report = look(&[set(vec![utterance])]);
    assert_eq!(kinds(&report), [("half", "damaged")]);
    assert_eq!(report.findings[0].severity, Severity::Warning);
    assert!(report.findings[0].detail.contains("0.500 s of 1.000 s"), "{}", report.findings[0].detail);
}
