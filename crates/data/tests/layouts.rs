//! What users write in lists and folders is used, refused or named: nothing is passed over.
#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_audio::{Audio, write_wav};
use auricle_data::doctor::{CheckConfig, check, fix, read_sets};
use auricle_data::{Manifest, Reading, Utterance, read_leniently, read_noting};
use std::fs;
use std::path::{Path, PathBuf};

/// A folder with recordings of so many seconds.
fn corpus(files: &[(&str, f64)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, (name, secs)) in files.iter().enumerate() {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let pitch = 0.02 * (number + 1) as f32;
        let samples = (0..(secs * 8000.0) as usize).map(|i| 0.5 * (i as f32 * pitch).sin()).collect();
        // The name tells the extension only: all are WAV.
        write_wav(&path, &Audio::new(samples, 8000)).unwrap();
    }
    folder
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

fn read(path: &Path) -> Reading {
    read_noting(path).unwrap()
}

fn refused(path: &Path) -> String {
    read_noting(path).unwrap_err().to_string()
}

fn times(utterances: &[Utterance]) -> Vec<(f64, f64)> {
    let milli = |secs: f64| (secs * 1000.0).round() / 1000.0;
    utterances.iter().map(|u| (milli(u.start_secs), milli(u.duration_secs))).collect()
}

fn texts(utterances: &[Utterance]) -> Vec<Option<&str>> {
    utterances.iter().map(|u| u.text.as_deref()).collect()
}

fn speakers(utterances: &[Utterance]) -> Vec<Option<&str>> {
    utterances.iter().map(|u| u.speaker.as_deref()).collect()
}

#[test]
fn columns_of_times_are_used_whatever_they_are_called() {
    let folder = corpus(&[("long.wav", 4.0)]);
    let expected = [(0.0, 1.0), (1.5, 1.25), (3.0, 1.0)];
    for table in [
        "ID,duration,wav,start,stop,spk_id,wrd\na,1.0,long.wav,0.0,1.0,s,A\nb,1.25,long.wav,1.5,2.75,s,B\nc,1.0,long.wav,3,4,s,C\n",
        "id,path,start,end\na,long.wav,0,1\nb,long.wav,1.5,2.75\nc,long.wav,3,\n",
        "id,path,offset,duration\na,long.wav,,1\nb,long.wav,1.5,1.25\nc,long.wav,3,\n",
        "id,path,start_ms,end_ms\na,long.wav,0,1000\nb,long.wav,1500,2750\nc,long.wav,3000,4000\n",
        "id,path,end_time,length\na,long.wav,1,1\nb,long.wav,2.75,1.25\nc,long.wav,4,1\n",
    ] {
        for (separator, name) in
            [(",", "t.csv"), (";", "t.csv"), ("|", "t.csv"), ("\t", "t.tsv"), ("|", "t.psv")]
        {
            let reading = read(&write(folder.path(), name, table.replace(',', separator)));
            assert_eq!(times(&reading.utterances), expected, "{table} between `{separator}`");
            assert_eq!(reading.notes, Vec::<String>::new());
        }
    }
    for (table, expected) in [
        ("path,start,stop,duration\nlong.wav,0,16000,2\n", "samples"),
        ("path,start,stop\nlong.wav,2,1\n", "line 2"),
        ("path,start\nlong.wav,9\n", "ends at 4.00 s"),
        ("path,offset\nlong.wav,soon\n", "`offset`"),
        ("path,channel\nlong.wav,2\n", "channel 2"),
        ("path,duration\nlong.wav,1,5\n", "header has 2"),
        ("path,path\nlong.wav,1\n", "twice"),
    ] {
        let error = refused(&write(folder.path(), "bad.csv", table));
        assert!(error.contains(expected) && error.contains("bad.csv"), "{table}: {error}");
    }
}

#[test]
fn what_is_not_understood_is_kept_and_named_once() {
    let folder = corpus(&[("x.wav", 0.5), ("y.wav", 0.5)]);
    let table = "path,text,sentence,accent,age\nx.wav,a,b,scots,\ny.wav,c,d,welsh,\n";
    let reading = read(&write(folder.path(), "t.csv", table));
    assert_eq!(reading.notes.len(), 1, "{:?}", reading.notes);
    assert!(reading.notes[0].contains("`accent`, `sentence`") && !reading.notes[0].contains("age"));
    assert_eq!(reading.utterances[1].extra["accent"], "welsh");
    assert_eq!(texts(&reading.utterances), [Some("a"), Some("c")]);
    let lines = "{\"audio_filepath\":\"x.wav\",\"mood\":7}\n{\"audio_filepath\":\"y.wav\",\"mood\":8,\"lang\":\"de\"}\n";
    let reading = read(&write(folder.path(), "n.json", lines));
    assert!(reading.notes.len() == 1 && reading.notes[0].contains("`lang`, `mood`"), "{:?}", reading.notes);
    assert_eq!(reading.utterances[0].extra["mood"], 7);
    // In our own manifests every field is kept; one that means something elsewhere is refused.
    let line = |more: &str| format!("{{\"id\":\"a\",\"audio\":\"x.wav\",\"duration_secs\":0.5,{more}}}");
    let reading = read(&write(folder.path(), "m.jsonl", line("\"room\":1")));
    assert_eq!((reading.notes.len(), &reading.utterances[0].extra["room"]), (0, &1.into()));
    for field in ["\"start\":1.5", "\"offset\":1", "\"sentence\":\"x\"", "\"speaker_id\":\"x\""] {
        assert!(refused(&write(folder.path(), "m.jsonl", line(field))).contains("write `"), "{field}");
    }
}

#[test]
fn numbers_are_texts_and_texts_are_numbers() {
    let folder = corpus(&[("long.wav", 4.0), ("x.wav", 2.0)]);
    let lines = r#"{"audio_filepath": "long.wav", "offset": 2.5, "duration": null, "text": "a"}
{"audio_filepath": "long.wav", "offset": "1.0", "text": 123, "speaker": 17, "id": 7}
{"audio_filepath": "x.wav", "duration": "1.5", "offset": "0.5", "id": 8, "speaker_id": "s"}
"#;
    let reading = read(&write(folder.path(), "n.json", lines));
    assert_eq!(times(&reading.utterances), [(2.5, 1.5), (1.0, 3.0), (0.5, 1.5)]);
    assert_eq!(texts(&reading.utterances), [Some("a"), Some("123"), None]);
    assert_eq!(speakers(&reading.utterances), [None, Some("17"), Some("s")]);
    let ids: Vec<&str> = reading.utterances.iter().map(|u| u.id.as_str()).collect();
    assert_eq!(ids, ["long", "7", "8"]);
    for line in [
        r#"{"audio_filepath":"x.wav","text":["a"]}"#,
        r#"{"audio_filepath":"x.wav","duration":"long"}"#,
        r#"{"audio_filepath":"x.wav","offset":true}"#,
    ] {
        assert!(refused(&write(folder.path(), "n.json", line)).contains("line 1"), "{line}");
    }
}

#[test]
fn byte_order_marks_and_zipped_lists_are_read() {
    use std::io::Write as _;
    let folder = corpus(&[("x.wav", 0.5), ("y.wav", 0.5)]);
    for (name, text) in [
        ("m.jsonl", "{\"id\":\"x\",\"audio\":\"x.wav\",\"duration_secs\":0.5}\n"),
        ("n.json", "{\"audio_filepath\":\"x.wav\",\"duration\":0.5}\n"),
        ("t.csv", "path,duration\r\nx.wav,0.5\r\n"),
        ("t.tsv", "path\tduration\nx.wav\t0.5\n"),
    ] {
        let marked = format!("\u{feff}{text}");
        let path = write(folder.path(), name, &marked);
        assert_eq!(read(&path).utterances[0].id, "x", "{name}");
        let zipped = folder.path().join(format!("{name}.gz"));
        let mut packed =
            flate2::write::GzEncoder::new(fs::File::create(&zipped).unwrap(), Default::default());
        packed.write_all(marked.as_bytes()).unwrap();
        packed.finish().unwrap();
        assert_eq!(read(&zipped).utterances[0].id, "x", "{name}.gz");
        let wide: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(refused(&write(folder.path(), name, wide)).contains("UTF-16"), "{name}");
        let latin = text.replace("x.wav", "caf\u{e9}.wav").chars().map(|c| c as u8).collect::<Vec<_>>();
        assert!(refused(&write(folder.path(), name, latin)).contains("UTF-8"), "{name}");
    }
    let marked = format!("\u{feff}{}", "{\"id\":\"x\",\"audio\":\"x.wav\",\"duration_secs\":0.5}\n");
    let path = write(folder.path(), "open.jsonl", marked);
    assert_eq!(Manifest::open(&path).unwrap().get(0).unwrap().id, "x");
}

#[test]
fn kaldi_lists_are_used_or_named() {
    let kaldi = |files: &[(&str, &str)]| {
        let folder = corpus(&[("x.wav", 2.0), ("y.wav", 1.0)]);
        for (name, text) in files {
            write(folder.path(), name, text);
        }
        folder
    };
    let folder = kaldi(&[
        ("wav.scp", "\u{feff}r1 x.wav\nr2 y.wav\n"),
        ("text", "\u{feff}r1 chapter one\nr3 nobody\n"),
        ("utt2spk", "r1 anna\nr2 bert\n"),
        ("spk2gender", "anna f\nbert m\n"),
        ("utt2lang", "r1 en\n"),
        ("reco2dur", "r1 1.99\n"),
        ("reco2file_and_channel", "r1 x A\nr2 y 1\n"),
        ("spk2utt", "anna r1\nbert r2\n"),
        ("stm", "x\n"),
    ]);
    let reading = read(folder.path());
    assert_eq!(times(&reading.utterances), [(0.0, 1.99), (0.0, 1.0)]);
    assert_eq!(texts(&reading.utterances), [Some("chapter one"), None]);
    assert_eq!(speakers(&reading.utterances), [Some("anna"), Some("bert")]);
    assert_eq!(
        (&reading.utterances[0].extra["gender"], &reading.utterances[0].extra["language"]),
        (&"f".into(), &"en".into())
    );
    let notes = reading.notes.join("\n");
    assert_eq!(reading.notes.len(), 3, "{notes}");
    for expected in ["text: no line for `r2`", "`r3` belong to no utterance", "not read: `stm`"] {
        assert!(notes.contains(expected), "{expected}: {notes}");
    }
    // Segments, with a channel or to the end, and a recording that none is of.
    let folder = kaldi(&[("wav.scp", "r1 x.wav\nr2 y.wav\n"), ("segments", "a r1 0.5 1.0 0\nb r1 1.5 -1\n")]);
    let reading = read(folder.path());
    assert_eq!(times(&reading.utterances), [(0.5, 0.5), (1.5, 0.5)]);
    assert!(reading.notes[0].contains("recordings `r2`"), "{:?}", reading.notes);
    for (scp, segments, expected) in [
        ("r1 sph2pipe -f wav x.sph |\n", "", "sph2pipe -f wav x.sph > r1.wav"),
        ("r1 raw.ark:17\n", "", "archive"),
        ("r1\n", "", "has no path"),
        ("r1 x.wav\n", "a r1 1.0 1.0\n", "starts at 1 s and ends at 1 s"),
        ("r1 x.wav\n", "a r1 0 1 1 7\n", "<recording> <start> <end>"),
        ("r1 x.wav\n", "a r1 0 1 2\n", "channel 2"),
        ("r1 x.wav\n", "a r9 0 1\n", "`r9` is not in"),
        ("r1 x.wav\n", "a r1 zero 1\n", "`zero` is no number"),
        ("r1 x.wav\nr1 y.wav\n", "", "comes twice"),
    ] {
        let mut files = vec![("wav.scp", scp)];
        files.extend((!segments.is_empty()).then_some(("segments", segments)));
        let folder = kaldi(&files);
        let error = refused(folder.path());
        assert!(error.contains(expected) && error.contains("line"), "{scp}{segments}: {error}");
        // The doctor goes on with the others.
        let reading = read_leniently(folder.path()).unwrap();
        assert_eq!(reading.broken.len(), 1, "{scp}{segments}");
    }
    // The channel of a recording with two.
    let folder = kaldi(&[("wav.scp", "r1 s.wav\n"), ("reco2file_and_channel", "r1 s A\n")]);
    let mut wav = b"RIFF\x34\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0".to_vec();
    wav.extend([8000u32, 32_000].iter().flat_map(|n| n.to_le_bytes()));
    wav.extend(b"\x04\0\x10\0data\x10\0\0\0");
    wav.extend([1u8; 16]);
    write(folder.path(), "s.wav", wav);
    let error = refused(folder.path());
    assert!(error.contains("channel A") && error.contains("reco2file_and_channel, line 1"), "{error}");
}

#[test]
fn transcripts_beside_audio_are_found_in_any_case_and_refused_by_name() {
    let folder = corpus(&[("a.wav", 0.2), ("b.WAV", 0.2), ("c.wav", 0.2), ("d.wav", 0.2), ("e.wav", 0.2)]);
    write(folder.path(), "a.TXT", "\u{feff}one\r\n");
    write(folder.path(), "b.Lab", "two");
    write(folder.path(), "c.txt", b"caf\xe9");
    write(folder.path(), "d.txt", b"\xff\xfeo\0");
    let reading = read(folder.path());
    assert_eq!(texts(&reading.utterances), [Some("one"), Some("two"), None, None, None]);
    let notes = reading.notes.join("\n");
    for expected in
        ["c.txt, line 1: not UTF-8", "d.txt: the file is in UTF-16", "3 of 5 recordings have no transcript"]
    {
        assert!(notes.contains(expected), "{expected}: {notes}");
    }
    assert_eq!(texts(&read(&folder.path().join("a.wav")).utterances), [Some("one")]);
    // The doctor does not say "nothing wrong".
    let sets = read_sets(&[folder.path().to_owned()]).unwrap();
    let report = check(&sets, &CheckConfig::default(), || ());
    assert_eq!(report.counts()["list"], 3, "{:?}", report.findings);
}

#[test]
fn folders_of_known_corpora_keep_transcripts_and_speakers() {
    // Hugging Face, both ways.
    for (name, text) in [
        ("metadata.csv", "file_name,transcription,speaker_id\ndata/x.wav,one,s1\ndata/y.wav,two,s2\n"),
        (
            "metadata.jsonl",
            "{\"file_name\":\"data/x.wav\",\"text\":\"one\",\"speaker_id\":\"s1\"}\n{\"file_name\":\"data/y.wav\",\"text\":\"two\",\"speaker_id\":\"s2\"}\n",
        ),
    ] {
        let folder = corpus(&[("data/x.wav", 0.2), ("data/y.wav", 0.2), ("data/z.wav", 0.2)]);
        write(folder.path(), name, text);
        let reading = read(folder.path());
        assert_eq!(texts(&reading.utterances), [Some("one"), Some("two")], "{name}");
        assert_eq!(speakers(&reading.utterances), [Some("s1"), Some("s2")], "{name}");
        assert!(reading.notes[0].contains("does not name 1 audio files"), "{:?}", reading.notes);
    }
    let folder = corpus(&[("train/x.wav", 0.2), ("test/y.wav", 0.2)]);
    write(folder.path(), "train/metadata.csv", "file_name,text\nx.wav,one\n");
    assert_eq!(texts(&read(folder.path()).utterances), [Some("one")]);
    write(folder.path(), "test/metadata.csv", "file_name,text\ny.wav,two\n");
    assert!(refused(folder.path()).contains("several lists"));
    // Common Voice.
    let folder = corpus(&[("clips/a.mp3", 0.2), ("clips/b.mp3", 0.2)]);
    let header = "client_id\tpath\tsentence_id\tsentence\tup_votes\n";
    write(folder.path(), "train.tsv", format!("{header}c1\ta.mp3\t1\t\"Hello there\t2\n"));
    write(folder.path(), "reported.tsv", "sentence_id\tsentence\treason\n1\tx\ty\n");
    let reading = read(folder.path());
    assert_eq!(
        (texts(&reading.utterances), speakers(&reading.utterances)),
        (vec![Some("\"Hello there")], vec![Some("c1")])
    );
    write(folder.path(), "dev.tsv", format!("{header}c2\tb.mp3\t1\tYou\t2\n"));
    let error = refused(folder.path());
    assert!(
        error.contains("train.tsv") && error.contains("dev.tsv") && error.contains("several lists"),
        "{error}"
    );
    assert_eq!(texts(&read(&folder.path().join("dev.tsv")).utterances), [Some("You")]);
    // LJSpeech.
    let folder = corpus(&[("wavs/LJ1.wav", 0.2), ("wavs/LJ2.wav", 0.2)]);
    write(folder.path(), "metadata.csv", "LJ1|\"In 1866|\"In eighteen sixty-six\nLJ2|Yes|\n");
    let reading = read(folder.path());
    assert_eq!(texts(&reading.utterances), [Some("\"In eighteen sixty-six"), Some("Yes")]);
    assert_eq!(reading.utterances[0].id, "LJ1");
    // LibriSpeech.
    let folder = corpus(&[("84/121/84-121-0001.flac", 0.2), ("85/7/85-7-0000.flac", 0.2)]);
    write(folder.path(), "84/121/84-121.trans.txt", "84-121-0001 GO ON\n84-121-0002 GONE\n");
    write(folder.path(), "85/7/85-7.trans.txt", "85-7-0000 STOP\n");
    let reading = read(folder.path());
    assert_eq!(speakers(&reading.utterances), [Some("84"), Some("85")]);
    assert_eq!(texts(&reading.utterances), [Some("GO ON"), Some("STOP")]);
    assert_eq!(reading.utterances[0].id, "84-121-0001");
    assert!(reading.notes[0].contains("84-121-0002"), "{:?}", reading.notes);
    // Several lists of lhotse.
    let folder = corpus(&[]);
    for name in ["recordings_a", "recordings_b", "supervisions_a"] {
        write(folder.path(), &format!("{name}.jsonl"), "");
    }
    assert!(refused(folder.path()).contains("recordings_b"));
    // A table that is none beside audio.
    let folder = corpus(&[("x.wav", 0.2)]);
    write(folder.path(), "prices.csv", "what,price\na,1\n");
    assert!(read(folder.path()).notes[0].contains("not read"), "a table without audio");
}

#[test]
fn lists_in_other_forms_of_json_are_told_how_to_become_lines() {
    let folder = corpus(&[("x.wav", 0.5)]);
    for (text, expected) in [
        ("[\n {\"id\":\"x\"}\n]", "jq -c '.[]'"),
        ("[{\"id\":\"x\",\"audio\":\"x.wav\",\"duration_secs\":1}]", "jq -c '.[]'"),
        ("{\n \"x\": {\n  \"wav\": \"x.wav\"\n }\n}", "to_entries"),
        ("{\"x\": {\"wav\": \"x.wav\", \"length\": 2.0}}", "to_entries"),
        ("{\"id\": \"x\", \"words\": \"a\"}", "names no audio"),
        ("{\"id\": \"x\", \"sources\": []}", "one half of a lhotse corpus"),
    ] {
        let path = write(folder.path(), "j.json", text);
        let error = refused(&path);
        assert!(error.contains(expected) && error.contains("j.json"), "{text}: {error}");
    }
    // What the advice makes of SpeechBrain's file can be read.
    let reading = read(&write(
        folder.path(),
        "j.json",
        "{\"id\":\"x\",\"wav\":\"x.wav\",\"length\":0.5,\"words\":\"GO\"}",
    ));
    assert_eq!(texts(&reading.utterances), [Some("GO")]);
}

#[test]
fn an_empty_list_and_missing_files_are_told() {
    let folder = corpus(&[("x.wav", 1.0)]);
    let empty = write(folder.path(), "empty.jsonl", "");
    let report = check(&read_sets(&[empty]).unwrap(), &CheckConfig::default(), || ());
    assert_eq!(report.counts()["empty"], 1);
    assert!(report.has_errors());
    // One missing file does not hide the others.
    write(folder.path(), "k/wav.scp", "a ../x.wav\nb gone.wav\n");
    write(folder.path(), "k/segments", "a1 a 0.25 -1\nb1 b 0.5 -1\n");
    let sets = read_sets(&[folder.path().join("k")]).unwrap();
    assert_eq!(times(&sets[0].utterances), [(0.25, 0.75), (0.5, 0.0)]);
    let report = check(&sets, &CheckConfig::default(), || ());
    assert_eq!(report.counts().into_iter().collect::<Vec<_>>(), [("unreadable", 1)]);
    assert_eq!(fix(&sets, &report)[0].utterances, sets[0].utterances[..1]);
}

#[test]
fn a_segment_that_goes_a_little_past_the_end_is_clipped() {
    let folder = corpus(&[("x.wav", 2.0)]);
    let table = write(
        folder.path(),
        "t.csv",
        "id,path,start,end\na,x.wav,1,2.05\nb,x.wav,0.5,2.6\nc,x.wav,1.9,2.1\n",
    );
    let sets = read_sets(&[table]).unwrap();
    let report = check(&sets, &CheckConfig::default(), || ());
    let kinds: Vec<_> = report.findings.iter().map(|f| (f.id.as_str(), f.kind)).collect();
    assert_eq!(kinds, [("a", "segment-end"), ("b", "segment"), ("c", "segment-end")]);
    assert_eq!(times(&fix(&sets, &report)[0].utterances), [(1.0, 1.0), (1.9, 0.1)]);
}

#[cfg(unix)]
#[test]
fn a_name_that_is_not_utf8_is_named_when_a_manifest_is_written() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = corpus(&[("d/x.wav", 0.2)]);
    let latin = folder.path().join("d").join(std::ffi::OsStr::from_bytes(b"latin\xe9.wav"));
    fs::copy(folder.path().join("d/x.wav"), &latin).unwrap();
    let utterances = read(&folder.path().join("d")).utterances;
    assert_eq!(utterances.len(), 2);
    let error = Manifest::write(&folder.path().join("out.jsonl"), &utterances).unwrap_err().to_string();
    assert!(
        error.contains("latin") && error.contains("not UTF-8") && !error.contains("out.jsonl"),
        "{error}"
    );
}

/// The reported cases themselves, where they are at hand.
#[test]
fn reported_lists() {
    let faults = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/faults");
    if !faults.is_dir() {
        eprintln!("SKIPPED: no {}", faults.display());
        return;
    }
    let at = |path: &str| faults.join(path);
    let starts = times(&read(&at("04-csv-start-stop/seg.csv")).utterances);
    assert_eq!(starts, [(0.0, 3.0), (6.58, 3.2), (13.5, 1.5)]);
    let times_of = |path: &str| times(&read(&at(path)).utterances);
    assert_eq!(times_of("15-nemo-offset/a.json"), [(6.58, 3.0), (10.0, 5.275), (12.0, 3.275)]);
    assert_eq!(times_of("15-nemo-offset/b.json"), [(0.5, 2.0), (1.0, 1.5)]);
    let kept = read(&at("15-nemo-offset/c.json")).utterances;
    assert_eq!((kept[0].id.as_str(), kept[1].text.as_deref()), ("7", Some("123")));
    assert_eq!(texts(&read(&at("16-bom/bom.jsonl")).utterances)[0], Some("chapter fourteen"));
    assert_eq!(texts(&read(&at("16-bom/k")).utterances), [Some("chapter fourteen")]);
    for (path, expected) in [
        ("32-small-messages/array.json", "jq -c '.[]' array.json"),
        ("32-small-messages/sb.json", "to_entries"),
        ("32-small-messages/d", "starts at 1 s and ends at 1 s"),
    ] {
        assert!(refused(&at(path)).contains(expected), "{}", refused(&at(path)));
    }
}
