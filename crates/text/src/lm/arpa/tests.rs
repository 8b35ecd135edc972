use super::*;
use proptest::prelude::*;

const SMALL: &str = "header of another\n\\data\\\nngram 1=4\nngram 2=2\n\n\\1-grams:\n-99 <s> -0.30103\n-1 </s>\n\
    -0.69897\ta\t-0.1\n-0.5 b\n\n\\2-grams:\n-0.2 <s> a\n-0.3 a b\n\n\\end\\\n";

fn fault(text: &str) -> (usize, String) {
    match read(text.as_bytes(), MIN_BYTES) {
        Err(Fault::Line(line, reason)) => (line, reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_model_of_another_toolkit() {
    let lm = read(SMALL.as_bytes(), MIN_BYTES).unwrap();
    assert_eq!((lm.order(), lm.ngram_count()), (2, 7));
    let ln = |log10: f32| log10 * std::f32::consts::LN_10;
    let (a, state) = lm.score(lm.begin(), lm.unit("a"));
    assert_eq!(a, ln(-0.2));
    assert_eq!(lm.score(state, lm.unit("b")).0, ln(-0.3));
    assert!((lm.score(state, lm.unit("a")).0 - ln(-0.1 - 0.69897)).abs() < 1e-6, "backs off");
    assert_eq!(lm.score(lm.middle(), lm.unit("b")), (ln(-0.5), lm.middle()));
    assert!(lm.score(lm.middle(), lm.unit("c")).0 < -200.0);
    assert!(lm.is_unknown(lm.unit("</s>")) && !lm.is_unknown(lm.unit("a")));
}

#[test]
fn hostile_files_are_answered_by_line() {
    for (from, to, line, expected) in [
        ("\\data\\", "data", 17, "no `\\data\\`"),
        ("ngram 2=2", "ngram 3=2", 4, "`ngram 2=count`"),
        ("ngram 2=2", "ngram 2=99999999999999999999", 4, "`ngram 2=count`"),
        ("ngram 2=2", "ngram 2=3", 15, "2 n-grams of length 2, not the 3"),
        ("\\2-grams:", "\\3-grams:", 12, "`\\3-grams:`"),
        ("-0.5 b", "-0.5", 10, "1 fields"),
        ("-0.5 b", "0.5 b", 10, "`0.5`"),
        ("-0.5 b", "nan b", 10, "`nan`"),
        ("-0.5 b", "-0.5 b -1e30", 10, "`-1e30`"),
        ("-1 </s>", "-1 a", 9, "twice"),
        ("-0.3 a b", "-0.3 a c", 14, "`c` is not among"),
        ("-0.3 a b", "-0.3 <unk> b", 0, ""),
        ("\\end\\", "", 16, "ends too early"),
        ("\\end\\", "\\3-grams:", 16, "not `\\end\\`"),
    ] {
        let text = SMALL.replace(from, to);
        if line == 0 {
            assert!(read(text.as_bytes(), MIN_BYTES).is_ok());
            continue;
        }
        let found = fault(&text);
        assert!(found.1.contains(expected), "{to}: {found:?}");
        assert!(found.0.abs_diff(line) <= 1, "{to}: {found:?}");
    }
    let three = SMALL
        .replace("ngram 2=2", "ngram 2=2\nngram 3=1")
        .replace("\\end\\", "\\3-grams:\n-1 b a b\n\\end\\");
    assert!(fault(&three).1.contains("without the last"));
    assert!(fault(&format!("\\data\\\n{}", "x".repeat(70_000))).1.contains("longer than"));
    assert!(matches!(read(&b"\\data\\\n\xff\n"[..], MIN_BYTES), Err(Fault::Line(2, _))));
}

/// The same model, as other toolkits and editors leave it.
#[test]
fn files_of_the_wild_are_the_same_model() {
    let plain = read(SMALL.as_bytes(), MIN_BYTES).unwrap();
    let unknown = SMALL.replace("ngram 1=4", "ngram 1=5").replace("-0.5 b\n", "-0.5 b\n-2 <unk>\n");
    let with_unknown = read(unknown.as_bytes(), MIN_BYTES).unwrap();
    for (text, expected) in [
        (SMALL.replace('\n', "\r\n"), &plain),
        (format!("\u{feff}{SMALL}"), &plain),
        (
            SMALL.replace("-99 <s>", "-inf\t<s>"),
            &read(SMALL.replace("-99 <s>", "-100 <s>").as_bytes(), MIN_BYTES).unwrap(),
        ),
        (SMALL.replace("ngram 2=2", "ngram  2 = 2\nngram 3=0"), &NgramLm { order: 3, ..plain.clone() }),
        (
            SMALL.replace("ngram 2=2", "ngram 2=2\nngram 3=0").replace("\\end", "\\3-grams:\n\n\\end"),
            &NgramLm { order: 3, ..plain.clone() },
        ),
        (unknown.replace("<unk>", "<UNK>").replace("<s>", "<S>").replace("</s>", "</S>"), &with_unknown),
        (
            SMALL.replace("-1 </s>", "0.00001 </s>"),
            &read(SMALL.replace("-1 </s>", "0 </s>").as_bytes(), MIN_BYTES).unwrap(),
        ),
    ] {
        let found = read(text.as_bytes(), MIN_BYTES).unwrap_or_else(|fault| panic!("{fault:?} in {text}"));
        for words in [vec!["a", "b"], vec!["b", "a"], vec!["c"], vec![]] {
            assert_eq!(found.sentence(&words), expected.sentence(&words), "{words:?} of {text}");
        }
        let (mut once, mut again) = (Vec::new(), Vec::new());
        found.write(&mut once).unwrap();
        read(once.as_slice(), MIN_BYTES).unwrap().write(&mut again).unwrap();
        assert_eq!(once, again);
    }
    // Both `<unk>` and `<UNK>`: the second is a word.
    let both = unknown.replace("ngram 1=5", "ngram 1=6").replace("-0.5 b\n", "-0.5 b\n-3 <UNK>\n");
    let both = read(both.as_bytes(), MIN_BYTES).unwrap();
    assert!(!both.is_unknown(both.unit("<UNK>")));
}

#[test]
fn only_ascii_blanks_part_words() {
    for blank in ['\u{a0}', '\u{202f}', '\u{3000}', '\u{2028}', '\u{85}'] {
        let text = SMALL.replace(" b\n", &format!(" b{blank}c\n"));
        let lm = read(text.as_bytes(), MIN_BYTES).unwrap();
        assert!(!lm.is_unknown(lm.unit(&format!("b{blank}c"))));
    }
    let decomposed = SMALL.replace(" b\n", " e\u{301}\n");
    let lm = read(decomposed.as_bytes(), MIN_BYTES).unwrap();
    assert!(!lm.is_unknown(lm.unit("\u{e9}")));
}

#[test]
fn packed_files_are_read_or_named_and_bombs_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lm");
    let packed = |text: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(text).unwrap();
        packer.finish().unwrap()
    };
    std::fs::write(&path, packed(SMALL.as_bytes())).unwrap();
    assert_eq!(NgramLm::load(&path).unwrap(), read(SMALL.as_bytes(), MIN_BYTES).unwrap());
    for (start, expected) in [
        (&b"\xfd7zXZ\0\0"[..], "xz -d"),
        (b"BZh9", "bzip2"),
        (b"PK\x03\x04", "zip"),
        (b"mmap lm http://kheafield.com/code", "KenLM"),
    ] {
        std::fs::write(&path, start).unwrap();
        let error = NgramLm::load(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    // A header may claim anything; what comes is counted and charged.
    let many = SMALL.replace("ngram 1=4", "ngram 1=1152921504606846976");
    assert!(fault(&many).1.contains("not the 1152921504606846976"));
    let lines: String = (0..20_000).map(|i| format!("-1 w{i}\n")).collect();
    let bomb = format!("\\data\\\nngram 1=20000\n\n\\1-grams:\n{lines}\n\\end\\\n");
    match read(bomb.as_bytes(), 1 << 20) {
        Err(Fault::Line(line, reason)) => {
            assert!(line > 1000 && reason.contains("1 MiB"), "{line}: {reason}")
        }
        other => panic!("{:?}", other.map(|lm| lm.ngram_count())),
    }
}

#[test]
fn a_failed_save_leaves_the_old_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lm.arpa");
    let lm = read(SMALL.as_bytes(), MIN_BYTES).unwrap();
    lm.save(&path).unwrap();
    assert_eq!(NgramLm::load(&path).unwrap().ngram_count(), lm.ngram_count());
    assert!(lm.save(&folder.path().join("none/lm.arpa")).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half written stays");
}

proptest! {
    #[test]
    fn damaged_files_are_answered(changes in prop::collection::vec((0usize..300, prop::sample::select(b"0 -\\ab\n<>=.".to_vec())), 1..5)) {
        let mut bytes = SMALL.as_bytes().to_vec();
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        if let Ok(lm) = read(bytes.as_slice(), MIN_BYTES) {
            let score = lm.sentence(&["a", "b", "c"]);
            prop_assert!(score.log_probability.is_finite());
        }
    }
}
