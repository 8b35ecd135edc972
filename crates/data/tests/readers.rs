//! Lists of other toolkits: ids, times, channels, broken lines, lengths.
#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_audio::{Audio, read_at, write_wav};
use auricle_data::{Manifest, Reading, Utterance, read_all, read_any, read_leniently};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A folder with audio files of so many seconds, each with a sound of its own.
fn corpus(files: &[(&str, f64)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, (name, secs)) in files.iter().enumerate() {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let pitch = 0.02 * (number + 1) as f32;
        let samples = (0..(secs * 8000.0) as usize).map(|i| 0.5 * (i as f32 * pitch).sin()).collect();
        write_wav(&path, &Audio::new(samples, 8000)).unwrap();
    }
    folder
}

fn write_bytes(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

fn ids(utterances: &[Utterance]) -> Vec<&str> {
    utterances.iter().map(|u| u.id.as_str()).collect()
}

fn refused(path: &Path) -> String {
    read_any(path).unwrap_err().to_string()
}

#[test]
fn a_table_of_equal_file_names_gets_different_ids() {
    let folder = corpus(&[("a/x.wav", 0.1), ("b/x.wav", 0.1)]);
    let table = write(folder.path(), "t.csv", "path,duration\n./a/x.wav,0.1\nb/x.wav,0.1\n");
    assert_eq!(ids(&read_any(&table).unwrap()), ["a-x", "b-x"]);
    let table = write(folder.path(), "named.csv", "id,path,duration\nx,a/x.wav,0.1\nx,b/x.wav,0.1\n");
    assert!(refused(&table).contains("`x` comes twice"));
}

#[test]
fn nemo_numbers_never_meet_a_name() {
    let folder = corpus(&[]);
    let line = |file: &str| format!("{{\"audio_filepath\":\"{file}\",\"duration\":1}}\n");
    let list = write(folder.path(), "m.jsonl", &(line("x.wav") + &line("y/x.wav") + &line("x-2.wav")));
    assert_eq!(ids(&read_any(&list).unwrap()), ["x", "y-x", "x-2"]);
    // Of one file, number by number.
    let list = write(folder.path(), "s.jsonl", &(line("x.wav").repeat(2) + &line("x-2.wav")));
    assert_eq!(ids(&read_any(&list).unwrap()), ["x", "x-2", "x-2-2"]);
}

#[test]
fn an_id_in_two_lists_is_refused_by_the_names_of_both() {
    let folder = corpus(&[]);
    let list = |name: &str, ids: &[&str]| {
        let path = folder.path().join(name);
        let utterances: Vec<_> = ids.iter().map(|id| Utterance::new(*id, "/x.wav", 1.0)).collect();
        Manifest::write(&path, &utterances).unwrap();
        path
    };
    let (a, b, c) = (list("a.jsonl", &["1", "2"]), list("b.jsonl", &["3"]), list("c.jsonl", &["2"]));
    assert_eq!(ids(&read_all(&[a.clone(), b.clone()]).unwrap()), ["1", "2", "3"]);
    let error = read_all(&[a, b, c]).unwrap_err().to_string();
    assert!(error.contains("a.jsonl") && error.contains("c.jsonl") && error.contains("`2`"), "{error}");
}

#[test]
fn tree_ids_have_no_extension_and_transcripts_are_found_where_names_repeat() {
    let folder = corpus(&[("a/x.wav", 0.1), ("b/x.wav", 0.1)]);
    write(folder.path(), "a/a.trans.txt", "x IN A\n");
    write(folder.path(), "b/b.trans.txt", "x IN B\n");
    let utterances = read_any(folder.path()).unwrap();
    assert_eq!(ids(&utterances), ["a-x", "b-x"]);
    let texts: Vec<_> = utterances.iter().map(|u| u.text.as_deref().unwrap()).collect();
    assert_eq!(texts, ["IN A", "IN B"]);

    let folder = corpus(&[("wav/x.wav", 0.1), ("wav/y.wav", 0.1)]);
    write(folder.path(), "all.trans.txt", "x ONE\ny TWO\n");
    let utterances = read_any(folder.path()).unwrap();
    assert_eq!((utterances[0].id.as_str(), utterances[1].text.as_deref()), ("wav-x", Some("TWO")));

    // An id does not depend on its neighbours: one recording in two formats has it twice.
    fs::copy(folder.path().join("wav/x.wav"), folder.path().join("wav/x.mp3")).unwrap();
    let error = refused(folder.path());
    assert!(error.contains("`wav-x` comes twice") && error.contains("x.mp3"), "{error}");
    assert_eq!(ids(&read_any(&folder.path().join("wav/x.wav")).unwrap()), ["x"]);
}

#[test]
fn times_that_are_none_are_refused_by_line() {
    let folder = corpus(&[("x.wav", 0.5)]);
    for secs in ["nan", "inf", "-1"] {
        let table = write(folder.path(), "t.csv", &format!("path,duration\nx.wav,0.5\ny.wav,{secs}\n"));
        let error = refused(&table);
        assert!(error.contains("line 3") && error.contains("duration"), "{error}");
    }
    for line in [
        r#"{"audio_filepath":"x.wav","duration":-1}"#,
        r#"{"audio_filepath":"x.wav","duration":1,"offset":-0.5}"#,
        r#"{"id":"x","audio":"x.wav","duration_secs":1,"start_secs":-1}"#,
        r#"{"id":"","audio":"x.wav","duration_secs":1}"#,
        r#"{"id":"c","start":-1,"duration":1,"recording":{"sources":[{"source":"x.wav"}]}}"#,
    ] {
        let error = refused(&write(folder.path(), "m.jsonl", line));
        assert!(error.contains("line 1") && error.contains("m.jsonl"), "{error}");
    }
    let bad = Utterance::new("x", "/x.wav", f64::NAN);
    let error = Manifest::write(&folder.path().join("out.jsonl"), &[bad]).unwrap_err().to_string();
    assert!(error.contains("utterance x: the duration"), "{error}");
}

#[test]
fn a_kaldi_segment_can_go_to_the_end() {
    let folder = corpus(&[("x.wav", 2.0)]);
    write(folder.path(), "wav.scp", "x x.wav\n");
    write(folder.path(), "segments", "u1 x 0.5 1.25\nu2 x 1.5 -1\n");
    let utterances = read_any(folder.path()).unwrap();
    let times: Vec<_> = utterances.iter().map(|u| (u.start_secs, u.duration_secs)).collect();
    assert_eq!(times, [(0.5, 0.75), (1.5, 0.5)]);
    for end in ["-2", "0.5", "nan", "inf"] {
        write(folder.path(), "segments", &format!("u1 x 1.0 {end}\n"));
        assert!(refused(folder.path()).contains("segments, line 1"), "{end}");
    }
    // After the recording's end there is nothing left.
    write(folder.path(), "segments", "u1 x 3.0 -1\n");
    assert!(refused(folder.path()).contains("segments, line 1"));
}

#[test]
fn lhotse_channels_and_transforms_are_not_passed_over() {
    let folder = corpus(&[]);
    let cut = |cut: &str, recording: &str, channels: &str| {
        let line = format!(
            r#"{{"id":"c","start":0,"duration":1{cut},"recording":{{"sources":[{{"type":"file","channels":{channels},"source":"x.wav"}}]{recording}}}}}"#
        );
        read_any(&write(folder.path(), "cuts.jsonl", &line)).map_err(|e| e.to_string())
    };
    for (what, channels) in [
        ("", "[0]"),
        (r#","channel":0"#, "[0]"),
        (r#","channel":[0,1]"#, "[0,1]"),
        (r#","supervisions":[{"id":"s","channel":0}]"#, "[0]"),
    ] {
        assert_eq!(cut(what, r#","transforms":[]"#, channels).unwrap().len(), 1);
    }
    for (what, channels) in [
        (r#","channel":1"#, "[0]"),
        (r#","channel":1"#, "[0,1]"),
        (r#","channel":0"#, "[0,1]"),
        (r#","channel":[0,1],"supervisions":[{"id":"s","channel":1}]"#, "[0,1]"),
    ] {
        let error = cut(what, "", channels).unwrap_err();
        assert!(error.contains("line 1") && error.contains("channel"), "{error}");
    }
    let error = cut("", r#","transforms":[{"name":"Speed","kwargs":{"factor":0.9}}]"#, "[0]").unwrap_err();
    assert!(error.contains("transforms"), "{error}");
}

#[test]
fn a_zipped_manifest_is_read() {
    let folder = corpus(&[]);
    let path = folder.path().join("m.jsonl.gz");
    let mut zipped = flate2::write::GzEncoder::new(fs::File::create(&path).unwrap(), Default::default());
    zipped.write_all(b"{\"id\":\"a\",\"audio\":\"x.wav\",\"duration_secs\":1}\n").unwrap();
    zipped.finish().unwrap();
    let utterances = read_any(&path).unwrap();
    assert_eq!(utterances, [Utterance::new("a", folder.path().join("x.wav"), 1.0)]);
    assert!(Manifest::open(&path).unwrap_err().to_string().contains("unpack"));
}

#[test]
fn broken_lines_are_told_or_refused() {
    let folder = corpus(&[]);
    let ours = "{\"id\":\"a\",\"audio\":\"x\",\"duration_secs\":1}\n";
    let nemo = "{\"audio_filepath\":\"x.wav\",\"duration\":1}\n";
    for good in [ours, nemo] {
        let text = [b"{\"id\":\n".as_slice(), good.as_bytes(), b"\"\xff\"\n", b"\n", b"{}\n"].concat();
        let path = folder.path().join("m.jsonl");
        fs::write(&path, text).unwrap();
        assert!(refused(&path).contains("m.jsonl, line 1"));
        let Reading { utterances, broken, .. } = read_leniently(&path).unwrap();
        assert_eq!(utterances.len(), 1);
        assert_eq!(broken.iter().map(|b| b.line).collect::<Vec<_>>(), [1, 3, 5]);
        assert!(broken[1].reason.contains("UTF-8"), "{broken:?}");
    }
    let table = write(folder.path(), "t.csv", "path,duration\nx.wav,1\ny.wav\nz.wav,long\n");
    let Reading { utterances, broken, .. } = read_leniently(&table).unwrap();
    assert_eq!((ids(&utterances), broken[0].line, broken[1].line), (vec!["x"], 3, 4));
}

/// Four MP3 files in one: the header counts the first only.
#[test]
fn joined_mp3s_are_heard_to_their_end() {
    let one = concat!(env!("CARGO_MANIFEST_DIR"), "/../audio/tests/fixtures/mono.mp3");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("four.mp3");
    fs::write(&path, fs::read(one).unwrap().repeat(4)).unwrap();
    let utterances = read_any(folder.path()).unwrap();
    let all = read_at(&path, 16_000, &Default::default()).unwrap().samples;
    assert!(all.len() > 2 * 16_000, "{} samples", all.len());
    assert!(utterances[0].samples(16_000).unwrap() == all);
}

#[test]
fn what_comes_before_and_after_a_segment_is_not_decoded() {
    let folder = corpus(&[("x.wav", 10.0)]);
    let path = folder.path().join("x.wav");
    let segment = Utterance::segment("u", &path, 0.25, 0.5).unwrap();
    for rate in [8000, 16_000] {
        let whole = read_at(&path, rate, &Default::default()).unwrap().samples;
        let (start, end) = (rate as usize / 4, rate as usize * 3 / 4);
        assert!(segment.samples(rate).unwrap() == whole[start..end]);
    }
    // Nor is what comes before, and nothing in the samples tells: for whole and odd ratios of rates, from
    // everywhere, to the end.
    for rate in [8000, 11_025, 16_000, 44_100] {
        let whole = read_at(&path, rate, &Default::default()).unwrap().samples;
        for (start, secs) in [(0.01, 0.5), (1.37, 2.0), (5.5, 0.25), (9.9, 0.1), (9.0, 3.0)] {
            let segment = Utterance::segment("u", &path, start, secs).unwrap();
            let at = |secs: f64| (secs * f64::from(rate)).round() as usize;
            let end = (at(start) + at(secs)).min(whole.len());
            assert!(segment.samples(rate).unwrap() == whole[at(start)..end], "{start} s at {rate} Hz");
        }
    }
    let beyond = Utterance::segment("u", &path, 11.0, 1.0).unwrap().samples(8000).unwrap_err().to_string();
    assert!(beyond.contains("has 80000 samples") && beyond.contains("data check"), "{beyond}");
    // A number that is none, at 1 s: who begins after it does not meet it.
    let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x03\0\x01\0".to_vec();
    bytes.extend([8_000u32, 32_000].iter().flat_map(|n| n.to_le_bytes()));
    bytes.extend(b"\x04\0\x20\0data");
    bytes.extend((4 * 80_000u32).to_le_bytes());
    let value = |i: u32| if i == 8_000 { f32::NAN } else { (i as f32 * 0.02).sin() };
    bytes.extend((0..80_000).flat_map(|i| value(i).to_le_bytes()));
    let float = write_bytes(folder.path(), "float.wav", &bytes);
    for rate in [8_000, 16_000] {
        let part = |start| Utterance::segment("u", &float, start, 1.0).unwrap().samples(rate);
        assert_eq!(part(8.0).unwrap().len(), rate as usize);
        assert!(part(0.5).unwrap_err().to_string().contains("position 8000"));
    }
    // Half of the file is missing: what is there is used.
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(segment.samples(8000).unwrap().len(), 4000);
    let half = Utterance::new("w", &path, 10.0).samples(8000).unwrap().len();
    assert!((39_900..40_000).contains(&half), "{half}");
}
