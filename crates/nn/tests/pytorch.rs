//! Checkpoints written by PyTorch itself, and checkpoints that mean harm.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_nn::pytorch::{StateTensor, read_state_dict};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn read_bytes(bytes: &[u8]) -> Result<BTreeMap<String, StateTensor>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ckpt");
    std::fs::write(&path, bytes).unwrap();
    read_state_dict(&path).map_err(|error| error.to_string())
}

#[test]
fn both_layouts_give_every_tensor() {
    for name in ["zip.ckpt", "legacy.ckpt"] {
        let tensors = read_state_dict(&data(name)).unwrap();
        let check = |key: &str, shape: &[usize], values: &[f32]| {
            let tensor = &tensors[key];
            assert_eq!((tensor.shape.as_slice(), tensor.data.as_slice()), (shape, values), "{name}: {key}");
        };
        let base = |row: usize, column: usize| (row * 6 + column) as f32 / 4.0;
        let grid = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| -> Vec<f32> {
            rows.flat_map(|r| columns.clone().map(move |c| base(r, c))).collect()
        };
        check("weight", &[4, 6], &grid(0..4, 0..6));
        let transposed: Vec<f32> = (0..6).flat_map(|c| (0..4).map(move |r| base(r, c))).collect();
        check("transposed", &[6, 4], &transposed);
        check("part", &[2, 3], &grid(1..3, 2..5));
        check("half", &[3], &[0.5, -2.0, 65504.0]);
        check("bfloat", &[2], &[1.5, -3.0]);
        check("double", &[1, 1], &[0.1]);
        check("count", &[], &[12_345_678_901_i64 as f32]);
        check("flags", &[3], &[1.0, 0.0, 1.0]);
        check("parameter", &[2], &[7.0, 8.0]);
        check("empty", &[0, 3], &[]);
        assert_eq!(tensors.len(), 10, "the optimiser's tensors are not weights");
    }
}

/// A checkpoint cut anywhere is an error that names it, not a panic and not fewer tensors.
#[test]
fn damaged_checkpoints_are_errors() {
    for name in ["zip.ckpt", "legacy.ckpt"] {
        let bytes = std::fs::read(data(name)).unwrap();
        for cut in (0..bytes.len()).step_by(13) {
            let error = read_bytes(&bytes[..cut]).expect_err("a cut checkpoint was read");
            assert!(error.contains("x.ckpt"), "{error}");
        }
    }
    assert!(read_bytes(b"RIFF....WAVE, which is no checkpoint").unwrap_err().contains("neither"));
    assert!(read_state_dict(Path::new("nowhere.ckpt")).unwrap_err().to_string().contains("nowhere.ckpt"));
}

/// Bytes changed anywhere do no harm: the reader comes back, whatever it says.
#[test]
fn flipped_bytes_do_no_harm() {
    for name in ["zip.ckpt", "legacy.ckpt"] {
        let bytes = std::fs::read(data(name)).unwrap();
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x5a;
            let _ = read_bytes(&damaged);
        }
    }
}

/// The older layout around a pickle of our own.
fn legacy(pickle: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];
    bytes.extend(b"\x80\x02M\xe9\x03.\x80\x02}.");
    bytes.extend(pickle);
    bytes.extend(b"\x80\x02]."); // No storages.
    bytes
}

#[test]
fn a_pickle_that_calls_the_system_calls_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let witness = folder.path().join("witness");
    let mut pickle = b"\x80\x02cposix\nsystem\nX".to_vec();
    let command = format!("touch {}", witness.display());
    pickle.extend((command.len() as u32).to_le_bytes());
    pickle.extend(command.as_bytes());
    pickle.extend(b"\x85R.");
    assert!(read_bytes(&legacy(&pickle)).unwrap_err().contains("no `state_dict`"));
    assert!(!witness.exists());
}

/// An older checkpoint of one storage, `a`, of `stored` numbers, and tensors that each are all of it.
fn shared(stored: u32, tensors: usize) -> Vec<u8> {
    let mut pickle = b"\x80\x02}".to_vec();
    for number in 0..tensors {
        pickle.extend(format!("X\x04\0\0\0{number:04}").bytes());
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n(");
        pickle.extend(b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0aX\x03\0\0\0cpuJ");
        pickle.extend(stored.to_le_bytes());
        pickle.extend(b"tQK\0J");
        pickle.extend(stored.to_le_bytes());
        pickle.extend(b"\x85K\x01\x85\x89}tRs");
    }
    pickle.push(b'.');
    let mut bytes = legacy(&pickle);
    bytes.truncate(bytes.len() - 4);
    bytes.extend(b"\x80\x02]X\x01\0\0\0aa.");
    bytes.extend(u64::from(stored).to_le_bytes());
    bytes.extend((0..stored).flat_map(|i| (i as f32).to_le_bytes()));
    bytes
}

/// Weights may be shared; thousands of tensors over one storage are an attack on memory.
#[test]
fn tensors_that_share_their_numbers_are_bounded() {
    let read = read_bytes(&shared(400_000, 4)).unwrap();
    assert_eq!((read.len(), read["0003"].data[399_999]), (4, 399_999.0));
    // 1.6 MB that would become 1.6 GB.
    let error = read_bytes(&shared(400_000, 1_000)).unwrap_err();
    assert!(
        error.contains("x.ckpt") && error.contains("more than the limit of") && error.contains("share"),
        "{error}"
    );
    let small = read_bytes(&shared(10, 1_000)).unwrap();
    assert_eq!(small.len(), 1_000);
}

#[test]
fn claims_of_huge_sizes_cost_nothing() {
    // A string of 4 GB, of which nothing is there.
    let error = read_bytes(&legacy(b"\x80\x02X\xff\xff\xff\xff")).unwrap_err();
    assert!(error.contains("4294967295"), "{error}");
    // An expanded view: one stored number, 2^31 claimed ones.
    let storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0aX\x03\0\0\0cpuK\x01tQ";
    let mut pickle = b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n(".to_vec();
    pickle.extend(storage);
    pickle.extend(b"K\0J\xff\xff\xff\x7f\x85K\0\x85\x89}tRs.");
    let mut bytes = legacy(&pickle);
    bytes.truncate(bytes.len() - 4);
    bytes.extend(b"\x80\x02]X\x01\0\0\0aa."); // One storage, `a`,
    bytes.extend(1u64.to_le_bytes()); // of one number.
    bytes.extend(1.0f32.to_le_bytes());
    let error = read_bytes(&bytes).unwrap_err();
    assert!(error.contains("`w`") && error.contains("2147483647"), "{error}");
    // A dictionary inside itself, a memo that was never written, an empty stack.
    for pickle in [&b"\x80\x02}q\0X\x01\0\0\0ah\0s."[..], b"h\x05.", b"R.", b"t.", b"(0.", b"I1\n."] {
        read_bytes(&legacy(pickle)).unwrap_err();
    }
}

/// Opcodes that copy again and again what others have made.
#[test]
fn small_pickles_cannot_take_much_memory() {
    let text = |text: &str| [b"X", (text.len() as u32).to_le_bytes().as_slice(), text.as_bytes()].concat();
    // Dictionaries of the same list of pairs.
    let mut dictionaries = b"\x80\x02]q\0(".to_vec();
    dictionaries.extend(b"NN\x86".repeat(2_000));
    dictionaries.extend(b"e");
    for _ in 0..20_000 {
        dictionaries.extend(b"ccollections\nOrderedDict\nh\0\x85R0");
    }
    dictionaries.push(b'.');
    // Storages and classes with names as long as the file.
    let mut names =
        [b"\x80\x02".as_slice(), &text("storage"), b"q\0", &text(&"a".repeat(60_000)), b"q\x01"].concat();
    for _ in 0..20_000 {
        names.extend(b"(h\0ctorch\nFloatStorage\nh\x01NK\x01tQ0");
    }
    names.push(b'.');
    let mut classes = [b"\x80\x02".as_slice(), &text(&"a".repeat(60_000)), b"q\0"].concat();
    classes.extend(b"h\0h\0\x930".repeat(20_000));
    classes.push(b'.');
    // A tensor of as many dimensions as there are bytes.
    let mut sizes = b"\x80\x02(".to_vec();
    sizes.extend(b"K\x01".repeat(50_000));
    sizes.extend(b"tq\x000ctorch._utils\n_rebuild_tensor_v2\n(");
    sizes.extend(
        [b"(".as_slice(), &text("storage"), b"ctorch\nFloatStorage\n", &text("a"), b"NK\x01tQ"].concat(),
    );
    sizes.extend(b"K\0h\0h\0tR.");
    for (what, pickle, expected) in [
        ("dictionaries", dictionaries, "would take more than"),
        ("names", names, "a storage whose name has 60000 bytes"),
        ("classes", classes, "no `state_dict`"),
        ("sizes", sizes, "a tensor of 50000 dimensions"),
        ("stack", [b"\x80\x02N".as_slice(), &b"2".repeat(1 << 20), b"."].concat(), "no `state_dict`"),
    ] {
        let error = read_bytes(&legacy(&pickle)).unwrap_err();
        assert!(error.contains(expected), "{what}: {error}");
    }
}
