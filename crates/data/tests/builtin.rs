//! The built-in corpus is what its README says, and extraction is safe to repeat.
#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_audio::{Limits, read};
use auricle_data::{Manifest, Utterance, builtin};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const ARPABET: &str =
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH";

fn split(utterance: &Utterance) -> &str {
    utterance.extra["split"].as_str().unwrap()
}

#[test]
fn speakers_and_sentences_are_split_and_words_are_shared() {
    let all = builtin::utterances().unwrap();
    assert!(all.windows(2).all(|pair| pair[0].id < pair[1].id));
    let mut sizes = BTreeMap::<&str, usize>::new();
    let mut split_of_speaker = BTreeMap::new();
    for utterance in &all {
        *sizes.entry(split(utterance)).or_default() += 1;
        let before = split_of_speaker.insert(utterance.speaker.as_deref().unwrap(), split(utterance));
        assert!(before.is_none_or(|before| before == split(utterance)), "{} in two splits", utterance.id);
    }
    assert_eq!(sizes, BTreeMap::from([("train", 240), ("dev", 48), ("test", 48)]));
    assert_eq!(split_of_speaker.len(), 14);

    let texts: BTreeSet<&str> = all.iter().map(|u| u.text.as_deref().unwrap()).collect();
    assert_eq!(texts.len(), all.len(), "a sentence comes twice");
    let words = |name: &str| -> BTreeSet<&str> {
        all.iter().filter(|u| split(u) == name).flat_map(|u| u.text.as_deref().unwrap().split(' ')).collect()
    };
    assert_eq!(words("train").len(), 65);
    assert!(words("dev").is_subset(&words("train")) && words("test").is_subset(&words("train")));
}

#[test]
fn a_third_of_each_speaker_has_errors() {
    let known: BTreeSet<&str> = ARPABET.split(' ').collect();
    let mut erroneous = BTreeMap::<String, usize>::new();
    for utterance in builtin::utterances().unwrap() {
        let (phones, perceived) = (utterance.phones.unwrap(), utterance.perceived_phones.unwrap());
        assert!(
            phones.iter().chain(&perceived).all(|phone| known.contains(phone.as_str())),
            "{}",
            utterance.id
        );
        assert!(phones.len().abs_diff(perceived.len()) <= 3, "{}", utterance.id);
        *erroneous.entry(utterance.speaker.unwrap()).or_default() += usize::from(phones != perceived);
    }
    assert!(erroneous.values().all(|&count| count == 8), "{erroneous:?}");
}

#[test]
fn every_file_is_sound_and_as_long_as_the_manifest_says() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = builtin::extract(folder.path()).unwrap();
    let all: Vec<Utterance> = [corpus.train, corpus.dev, corpus.test]
        .iter()
        .flat_map(|path| Manifest::read(path).unwrap())
        .collect();
    assert_eq!(all.len(), 336);
    for utterance in all {
        let audio = read(&utterance.audio, &Limits::default()).unwrap();
        assert_eq!(audio.sample_rate, 16_000);
        assert_eq!(audio.samples.len() as f64 / 16_000.0, utterance.duration_secs, "{}", utterance.id);
        assert!((0.8..2.5).contains(&utterance.duration_secs), "{}", utterance.id);
        let peak = audio.samples.iter().fold(0f32, |peak, x| peak.max(x.abs()));
        let power =
            audio.samples.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / audio.samples.len() as f64;
        assert!(
            peak < 0.98 && (-27.0..-19.0).contains(&(10.0 * power.log10())),
            "{}: peak {peak}, power {power}",
            utterance.id
        );
        let begin = audio.samples.iter().position(|x| x.abs() > 0.02 * peak).unwrap();
        assert!(begin < 2400, "{}: silent for {begin} samples", utterance.id);
    }
}

/// Every file below a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut files(&path));
        } else {
            found.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    found
}

#[test]
fn extracting_again_mends_what_is_wrong_and_touches_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = builtin::extract(folder.path()).unwrap();
    let first = files(folder.path());
    assert_eq!(first.len(), 336 + 3 * 2, "audio, manifests and their indexes");
    let audio = |id: &str| folder.path().join("audio").join(id);
    fs::write(audio("m1-00.ogg"), b"OggS").unwrap();
    fs::remove_file(audio("m1-01.ogg")).unwrap();
    fs::write(&corpus.dev, b"{").unwrap();
    let untouched = [audio("m1-02.ogg"), corpus.train.clone()];
    let modified = || untouched.each_ref().map(|path| fs::metadata(path).unwrap().modified().unwrap());
    let before = modified();
    assert_eq!(builtin::extract(folder.path()).unwrap(), corpus);
    assert_eq!(files(folder.path()), first);
    assert_eq!(modified(), before);
}

#[test]
fn threads_can_extract_into_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| builtin::extract(folder.path()).unwrap())).collect();
        threads
            .into_iter()
            .for_each(|thread| assert_eq!(Manifest::read(&thread.join().unwrap().test).unwrap().len(), 48));
    });
}

#[test]
fn a_folder_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = builtin::extract(&file).unwrap_err().to_string();
    assert!(error.contains(file.to_str().unwrap()), "{error}");
}
