//! A manifest means the same from every working directory. A binary of its own: the working directory
//! is the whole process'.

use auricle_audio::{Audio, write_wav};
use auricle_data::{Manifest, read_any};
use std::fs;
use std::path::Path;

#[test]
fn what_was_read_from_relative_paths_can_be_read_from_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    fs::create_dir_all(root.join("corpus")).unwrap();
    fs::create_dir_all(root.join("elsewhere")).unwrap();
    let audio = Audio::new(vec![0.1; 800], 8000);
    write_wav(&root.join("corpus/x.wav"), &audio).unwrap();

    std::env::set_current_dir(&root).unwrap();
    let utterances = read_any(Path::new("corpus")).unwrap();
    for out in ["lists/far.jsonl", "corpus/near.jsonl", "here.jsonl"] {
        Manifest::write(Path::new(out), &utterances).unwrap();
    }
    let written = |out: &str| fs::read_to_string(root.join(out)).unwrap();
    assert!(written("corpus/near.jsonl").contains("\"audio\":\"x.wav\""), "can move with its audio");
    assert!(written("here.jsonl").contains("\"audio\":\"corpus/x.wav\""));

    std::env::set_current_dir(root.join("elsewhere")).unwrap();
    for out in ["lists/far.jsonl", "corpus/near.jsonl", "here.jsonl"] {
        let read = Manifest::read(&root.join(out)).unwrap();
        assert_eq!(read[0].samples(8000).unwrap().len(), 800, "{out}");
    }
}
