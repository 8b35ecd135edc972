//! Where a checkpoint file keeps its pickle and its numbers.

use super::pickle::{Machine, Node, NodeId};
use super::{Kind, Storage};
use auricle_io::Budget;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use zip::ZipArchive;

/// First object of the older layout.
const LEGACY_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// A pickle without its numbers is far below this.
const MAX_PICKLE_BYTES: u64 = 256 << 20;

/// An opened checkpoint.
pub(super) struct Checkpoint<'f> {
    pub machine: Machine,
    pub root: NodeId,
    numbers: Numbers<'f>,
}

enum Numbers<'f> {
    Zip {
        archive: ZipArchive<BufReader<&'f mut File>>,
        prefix: String,
    },
    /// Where each storage's bytes begin, and how many numbers it has.
    Legacy {
        file: BufReader<&'f mut File>,
        places: BTreeMap<String, (u64, u64)>,
    },
}

/// Runs the pickle of a checkpoint of either layout.
pub(super) fn open(file: &mut File, budget: Budget) -> Result<Checkpoint<'_>, String> {
    let mut head = [0; 4];
    let found = file.read(&mut head).map_err(|e| e.to_string())?;
    file.rewind().map_err(|e| e.to_string())?;
    if &head[..found] == b"PK\x03\x04" { open_zip(file, budget) } else { open_legacy(file, budget) }
}

fn open_zip(file: &mut File, budget: Budget) -> Result<Checkpoint<'_>, String> {
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|e| e.to_string())?;
    // A member whose name is no text cannot be the one that is looked for.
    let pickle = archive.file_names().flatten().find(|name| name.ends_with("data.pkl"));
    let pickle = pickle.ok_or("the archive has no `data.pkl`")?.into_owned();
    let prefix = pickle.trim_end_matches("data.pkl").to_owned();
    if let Ok(order) = archive.by_name(&format!("{prefix}byteorder")) {
        let mut text = String::new();
        order.take(16).read_to_string(&mut text).map_err(|e| e.to_string())?;
        if text != "little" {
            return Err(format!("its byte order is `{text}`, only `little` is read"));
        }
    }
    let mut machine = Machine::new(budget);
    let root = {
        let entry = archive.by_name(&pickle).map_err(|e| e.to_string())?;
        machine.run(&mut BufReader::new(entry.take(MAX_PICKLE_BYTES)))?
    };
    Ok(Checkpoint { machine, root, numbers: Numbers::Zip { archive, prefix } })
}

/// Five pickles (magic number, version, machine, object, storage keys), then each storage's length
/// and numbers.
fn open_legacy(file: &mut File, budget: Budget) -> Result<Checkpoint<'_>, String> {
    let mut head = [0; 14];
    let size = file.metadata().map_err(|e| e.to_string())?.len();
    file.read_exact(&mut head).map_err(|_| "it is too short")?;
    file.rewind().map_err(|e| e.to_string())?;
    if !head.windows(LEGACY_MAGIC.len()).any(|window| window == LEGACY_MAGIC) {
        return Err("it begins neither as a zip archive nor as a pickle of PyTorch".into());
    }
    let mut file = BufReader::new(file);
    let mut machine = Machine::new(budget);
    let mut next = |machine: &mut Machine| machine.run(&mut (&mut file).take(MAX_PICKLE_BYTES));
    for _ in 0..3 {
        next(&mut machine)?;
    }
    let root = next(&mut machine)?;
    let keys = next(&mut machine)?;
    let Node::Sequence(keys) = machine.node(keys) else { return Err("it lists no storages".into()) };
    let widths = machine.storage_widths();
    let mut places = BTreeMap::new();
    for key in keys {
        // A name may stand in the list again and again.
        let Node::Text(key) = machine.node(*key) else { return Err("a storage without a name".into()) };
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(|_| format!("it ends before storage {key}"))?;
        let length = u64::from_le_bytes(length);
        let start = file.stream_position().map_err(|e| e.to_string())?;
        let width =
            *widths.get(key.as_str()).ok_or_else(|| format!("storage {key} is of an unknown kind"))?;
        let end = length.checked_mul(width as u64).and_then(|bytes| start.checked_add(bytes));
        let end = end.filter(|&end| end <= size).ok_or_else(|| format!("it ends within storage {key}"))?;
        file.seek(SeekFrom::Start(end)).map_err(|e| e.to_string())?;
        places.insert(key.clone(), (start, length));
    }
    Ok(Checkpoint { machine, root, numbers: Numbers::Legacy { file, places } })
}

impl Checkpoint<'_> {
    /// The numbers of a storage.
    pub fn read_storage(&mut self, storage: &Storage) -> Result<Vec<f32>, String> {
        let Storage { key, kind, length } = storage;
        let wanted = (*length as u64).saturating_mul(kind.bytes() as u64);
        let bytes = match &mut self.numbers {
            Numbers::Zip { archive, prefix } => {
                let entry = archive
                    .by_name(&format!("{prefix}data/{key}"))
                    .map_err(|e| format!("storage {key}: {e}"))?;
                read_exactly(entry, wanted)
            }
            Numbers::Legacy { file, places } => {
                let &(start, available) =
                    places.get(key).ok_or_else(|| format!("there is no storage {key}"))?;
                if available < *length as u64 {
                    return Err(format!("storage {key} has {available} numbers instead of {length}"));
                }
                file.seek(SeekFrom::Start(start)).map_err(|e| e.to_string())?;
                read_exactly(file, wanted)
            }
        };
        Ok(kind.values(&bytes.map_err(|reason| format!("storage {key}: {reason}"))?))
    }
}

/// Reads so many bytes; memory grows with what is there, not with what is claimed.
fn read_exactly(input: impl std::io::Read, count: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    input.take(count).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if (bytes.len() as u64) < count {
        return Err(format!("{} bytes instead of {count}", bytes.len()));
    }
    Ok(bytes)
}

impl Machine {
    /// Bytes a number of each storage, by its key.
    fn storage_widths(&self) -> BTreeMap<&str, usize> {
        self.nodes()
            .filter_map(|node| match node {
                Node::Storage(Storage { key, kind, .. }) => Some((key.as_str(), Kind::bytes(*kind))),
                _ => None,
            })
            .collect()
    }
}
