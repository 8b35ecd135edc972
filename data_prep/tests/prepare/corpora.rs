//! Every corpus' layout, in small.

use crate::common::{Workbench, has_line, ids};
use auricle_data_prep::{Corpus, Options};
use std::path::Path;

#[test]
fn librispeech_gives_a_manifest_per_subset() {
    let bench = Workbench::new("librispeech");
    bench.chapter("train-clean-100", 19, 3);
    bench.chapter("train-clean-100", 103, 1);
    bench.chapter("dev-other", 116, 2);
    bench.text("SPEAKERS.TXT", "19 | F");
    bench.audio("intro/x.wav", 100);
    let (sets, lines) = bench.prepare().unwrap();
    let summary: Vec<_> =
        sets.iter().map(|s| (s.manifest.file_name().unwrap().to_str().unwrap(), s.utterances)).collect();
    assert_eq!(summary, [("dev-other.jsonl", 2), ("train-clean-100.jsonl", 4)]);
    assert!((sets[1].hours * 3600.0 - 0.7).abs() < 0.01, "{}", sets[1].hours);
    assert!(has_line(&lines, "note: dev-other", "2 utterances, the official set has 2864"), "{lines:?}");

    let utterances = bench.manifest("train-clean-100.jsonl");
    assert_eq!(ids(&utterances), ["103-7-0000", "19-7-0000", "19-7-0001", "19-7-0002"]);
    let last = &utterances[3];
    assert_eq!(last.text.as_deref(), Some("it's utterance abb"));
    assert_eq!(last.speaker.as_deref(), Some("19"));
    assert_eq!(last.duration_secs, 0.3);
    assert!(last.audio.is_absolute());
    assert_eq!(last.samples(16_000).unwrap().len(), 4800);
}

#[test]
fn a_folder_with_the_unpacked_archive_in_it_will_do() {
    let bench = Workbench::new("mini-librispeech");
    bench.chapter("LibriSpeech/train-clean-5", 19, 2);
    bench.chapter("LibriSpeech/dev-clean-5", 116, 1);
    let (sets, lines) = bench.prepare().unwrap();
    assert_eq!(sets.iter().map(|s| s.utterances).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(ids(&bench.manifest("train.jsonl")), ["19-7-0000", "19-7-0001"]);
    assert_eq!(bench.manifest("dev.jsonl")[0].speaker.as_deref(), Some("116"));
    assert!(has_line(&lines, "note: train", "1519") && has_line(&lines, "note: dev", "1089"), "{lines:?}");
}

#[test]
fn mini_librispeech_takes_the_official_validation_set_where_there_are_two() {
    let bench = Workbench::new("mini-librispeech");
    let message = bench.failure();
    assert!(message.contains("dev-clean-2 or dev-clean-5") && message.contains("--download"), "{message}");
    bench.chapter("train-clean-5", 19, 1);
    bench.chapter("dev-clean-5", 3, 1);
    bench.chapter("dev-clean-2", 2, 1);
    bench.prepare().unwrap();
    assert_eq!(bench.manifest("dev.jsonl")[0].speaker.as_deref(), Some("2"));
}

#[test]
fn transcripts_without_audio_are_errors_and_audio_without_transcript_is_left_out() {
    let bench = Workbench::new("librispeech");
    bench.chapter("dev-clean", 19, 1);
    bench.audio("dev-clean/19/7/19-7-0001.wav", 100);
    bench.audio("dev-clean/19/7/19-7-0002.wav", 100);
    bench.text("dev-clean/19/7/19-7.trans.txt", "19-7-0000 ONE\n19-7-0002\n");
    let (_, lines) = bench.prepare().unwrap();
    assert_eq!(ids(&bench.manifest("dev-clean.jsonl")), ["19-7-0000"]);
    assert!(has_line(&lines, "note: dev-clean: 1 audio file without", "19-7-0001.wav"), "{lines:?}");
    assert!(has_line(&lines, "note: dev-clean: 1 audio file", "empty transcript"), "{lines:?}");

    bench.text("dev-clean/19/7/19-7.trans.txt", "19-7-0000 ONE\n19-7-0008 TWO\n19-7-0009 THREE\n");
    let message = bench.failure();
    assert!(
        message.contains("19-7-0008") && message.contains("2 lines") && message.contains("unpack"),
        "{message}"
    );
    bench.text("dev-clean/19/7/19-7.trans.txt", "19-7-0000 ONE\n19-7-0000 TWO\n");
    let message = bench.failure();
    assert!(message.contains("19-7-0000") && message.contains("remove one line"), "{message}");
}

#[test]
fn musan_files_are_whole_utterances_without_text() {
    let bench = Workbench::new("musan");
    bench.audio("musan/noise/free-sound/noise-free-sound-0000.wav", 32_000);
    bench.audio("musan/noise/sound-bible/noise-sound-bible-0000.wav", 1600);
    bench.text("musan/noise/free-sound/LICENSE", "…");
    bench.audio("musan/speech/librivox/speech-librivox-0000.wav", 1600);
    let (sets, lines) = bench.prepare().unwrap();
    assert_eq!(sets.len(), 2);
    let noise = bench.manifest("noise.jsonl");
    assert_eq!(ids(&noise), ["noise-free-sound-0000", "noise-sound-bible-0000"]);
    assert_eq!((noise[0].duration_secs, noise[0].text.is_none()), (2.0, true));
    assert!(has_line(&lines, "note: noise", "930"), "{lines:?}");
}

#[test]
fn isotropic_noises_are_no_impulse_responses() {
    let bench = Workbench::new("rirs");
    bench.audio("RIRS_NOISES/simulated_rirs/smallroom/Room001/Room001-00001.wav", 160);
    bench.audio("RIRS_NOISES/simulated_rirs/largeroom/Room001/Room001-00001.wav", 160);
    bench.audio("RIRS_NOISES/real_rirs_isotropic_noises/RVB2014_type1_rir_simroom1_far_angla.wav", 160);
    bench.audio("RIRS_NOISES/real_rirs_isotropic_noises/RVB2014_type1_noise_simroom1_1.wav", 160);
    bench.audio("RIRS_NOISES/pointsource_noises/noise-free-sound-0000.wav", 160);
    let (sets, lines) = bench.prepare().unwrap();
    assert_eq!(sets[0].utterances, 3);
    let utterances = bench.manifest("rirs.jsonl");
    assert!(ids(&utterances).contains(&"simulated_rirs-smallroom-Room001-Room001-00001"));
    assert!(has_line(&lines, "note: rirs: 1 isotropic noise left out", ""), "{lines:?}");

    let bench = Workbench::new("rirs");
    bench.audio("mine/hall_noise_free.wav", 160);
    let (sets, lines) = bench.prepare().unwrap();
    assert_eq!((sets[0].utterances, lines.len()), (1, 0), "any folder, without a note on the official count");
}

#[test]
fn asterisk_prompts_are_those_with_words() {
    let bench = Workbench::new("asterisk");
    for name in
        ["hello-world", "digits/1", "1", "beep", "confbridge-join", "conf-menu", "test-500", "unlisted"]
    {
        bench.audio(&format!("sounds/en_US_f_Allison/{name}.wav"), 1600);
    }
    bench.text(
        "doc/core-sounds-en.txt",
        "; Core\n\nhello-world: Hello, World!\ndigits/1: one\n1: [tone]\nbeep: [beep]\n\
         confbridge-join: <beep>\nconf-menu: Press 1.\ntest-500: Dial 500.\ngone: Gone.\n",
    );
    let (_, lines) = bench.prepare().unwrap();
    let utterances = bench.manifest("all.jsonl");
    assert_eq!(ids(&utterances), ["conf-menu", "digits-1", "hello-world"]);
    assert_eq!(utterances[0].text.as_deref(), Some("press one"));
    assert_eq!(utterances[2].text.as_deref(), Some("hello world"));
    assert_eq!(utterances[2].speaker.as_deref(), Some("allison-smith"));
    for part in [
        "3 audio files left out: a sound",
        "1 prompt left out: numbers",
        "1 audio file without",
        "1 transcript without",
    ] {
        assert!(has_line(&lines, "note: all", part), "{part}: {lines:?}");
    }
}

#[test]
fn any_tree_with_transcripts_beside_the_audio() {
    let bench = Workbench::new("tree");
    bench.audio("anna/one.wav", 1600);
    bench.text("anna/one.txt", "One,\ntwo.\n");
    bench.audio("ben/monday/two.wav", 1600);
    bench.audio("three.wav", 1600);
    let (_, lines) = bench.prepare().unwrap();
    let utterances = bench.manifest("all.jsonl");
    assert_eq!(ids(&utterances), ["one", "three", "two"]);
    assert_eq!(utterances[0].text.as_deref(), Some("one two"));
    let speakers: Vec<_> = utterances.iter().map(|u| u.speaker.as_deref()).collect();
    assert_eq!(speakers, [Some("anna"), None, Some("ben")]);
    assert!(has_line(&lines, "note: all: 2 audio files without transcript", ""), "{lines:?}");

    // A name that comes twice: then ids are paths.
    bench.audio("ben/one.wav", 1600);
    bench.prepare().unwrap();
    assert_eq!(ids(&bench.manifest("all.jsonl")), ["anna-one", "ben-monday-two", "ben-one", "three"]);

    // Two paths that become one id.
    bench.audio("anna-one.wav", 1600);
    bench.audio("x/one.wav", 1600);
    let message = bench.failure();
    assert!(message.contains("anna-one") && message.contains("rename"), "{message}");
}

#[test]
fn a_source_without_the_corpus_says_what_is_missing() {
    for corpus in Corpus::all() {
        let message = Workbench::new(corpus.name()).failure();
        assert!(message.contains("corpus") && message.len() > 40, "{}: {message}", corpus.name());
        let nowhere =
            Options { source: "/nowhere/at/all".into(), out: "/nowhere/out".into(), ..Options::default() };
        let message = corpus.prepare(&nowhere, &mut |_| ()).unwrap_err().to_string();
        assert!(message.contains("/nowhere/at/all") && message.contains(corpus.about().source), "{message}");
    }
    let bench = Workbench::new("tree");
    let options = Options { source: bench.source(), out: bench.out(), download: true, ..Options::default() };
    let message = bench.corpus.prepare(&options, &mut |_| ()).unwrap_err().to_string();
    assert!(message.contains("without --download"), "{message}");
}

#[test]
fn the_real_corpus_where_it_is_at_hand() {
    let source = std::env::var_os("AURICLE_LIBRISPEECH").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/LibriSpeech"),
        Into::into,
    );
    if !source.is_dir() {
        println!("skipped: no real corpus");
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let options = Options { source, out: out.path().to_owned(), ..Options::default() };
    let corpus = Corpus::from_name("mini-librispeech").unwrap();
    let sets = corpus.prepare(&options, &mut |_| ()).unwrap();
    assert_eq!(sets.iter().map(|s| s.utterances).collect::<Vec<_>>(), [1135, 80]);
    assert!((sets[0].hours - 3.98).abs() < 0.01 && (sets[1].hours - 0.29).abs() < 0.01, "{sets:?}");
    assert_eq!(corpus.prepare(&options, &mut |_| ()).unwrap(), sets);
}

#[test]
fn ljspeech_takes_the_text_with_numbers_as_words() {
    let bench = Workbench::new("ljspeech");
    bench.audio("LJSpeech-1.1/wavs/LJ001-0001.wav", 1600);
    bench.text("LJSpeech-1.1/metadata.csv", "LJ001-0001|In 1866,|In eighteen sixty-six,\n");
    let (sets, lines) = bench.prepare().unwrap();
    assert_eq!((sets[0].utterances, has_line(&lines, "note: all", "13100")), (1, true));
    let utterance = &bench.manifest("all.jsonl")[0];
    assert_eq!(
        (utterance.id.as_str(), utterance.text.as_deref()),
        ("LJ001-0001", Some("in eighteen sixty six"))
    );
    // Both are told by line: what is missing, and what is no row.
    for (row, expected) in [("LJ9|a|b", "no audio wavs/LJ9.wav"), ("LJ9|a", "2 fields")] {
        bench.text("LJSpeech-1.1/metadata.csv", row);
        let message = bench.failure();
        assert!(message.contains(expected) && message.contains("metadata.csv: line 1"), "{message}");
    }
}

/// The page on adding a corpus shows the file as it is.
#[test]
fn the_page_shows_the_corpus_that_it_adds() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(page) = std::fs::read_to_string(root.join("../docs/add_a_corpus.md")) else {
        eprintln!("SKIPPED: docs/add_a_corpus.md is not in this package");
        return;
    };
    let file = std::fs::read_to_string(root.join("src/ljspeech.rs")).unwrap();
    assert!(page.contains(&file), "copy src/ljspeech.rs into docs/add_a_corpus.md");
    assert!(file.lines().count() <= 50);
}

#[test]
fn a_part_of_a_corpus_or_a_renamed_one_is_prepared() {
    // A subset of another name, a subset itself, and half of a corpus.
    let bench = Workbench::new("librispeech");
    bench.chapter("LibriSpeech/my-part", 19, 2);
    bench.text("LibriSpeech/notes/a/readme.txt", "x");
    let (sets, _) = bench.prepare().unwrap();
    assert_eq!((sets.len(), ids(&bench.manifest("my-part.jsonl")).len()), (1, 2));
    let bench = Workbench::new("librispeech");
    bench.chapter(".", 19, 2);
    let (sets, _) = bench.prepare().unwrap();
    assert_eq!((sets.len(), sets[0].utterances), (1, 2));
    let bench = Workbench::new("mini-librispeech");
    bench.chapter("train-clean-5", 19, 1);
    let (sets, lines) = bench.prepare().unwrap();
    assert_eq!(sets.len(), 1);
    assert!(has_line(&lines, "note: train", "no folder dev-clean-2"), "{lines:?}");
}

#[test]
fn a_tree_finds_transcripts_in_any_case() {
    let bench = Workbench::new("tree");
    bench.audio("a/x.wav", 160);
    bench.audio("a/y.WAV", 160);
    bench.text("a/x.TXT", "\u{feff}One");
    bench.text("a/y.Txt", "Two");
    bench.prepare().unwrap();
    let texts: Vec<_> = bench.manifest("all.jsonl").into_iter().filter_map(|u| u.text).collect();
    assert_eq!(texts, ["one", "two"]);
    bench.text("a/y.Txt", "x");
    std::fs::write(bench.source().join("a/y.Txt"), b"caf\xe9").unwrap();
    let message = bench.failure();
    assert!(message.contains("y.Txt") && message.contains("UTF-8"), "{message}");
}
