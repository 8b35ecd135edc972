//! JSONL manifests, sorted by id, with a byte-offset index.

use crate::list::{Collector, MAX_LINE_BYTES, budget, for_each_line, refuse_repeats};
use crate::{DataError, Utterance, json};
use auricle_io::{Budget, atomic_write};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// First bytes of an index file.
const INDEX_MAGIC: &[u8; 8] = b"auricle1";

/// A manifest opened for random access: only the line offsets are in memory.
///
/// The index stands beside the manifest as `<manifest>.idx`: the magic `auricle1`, the manifest's
/// length, and the offset of every line, as little-endian `u64`. An index that does not fit the
/// manifest is made again; one that cannot be written is only a lost second next time.
#[derive(Debug)]
pub struct Manifest {
    path: PathBuf,
    offsets: Vec<u64>,
    bytes: u64,
}

impl Manifest {
    /// Opens a manifest, by its index where that is current.
    ///
    /// # Errors
    /// A missing file, an over-long line, a zipped manifest.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        if path.extension().is_some_and(|extension| extension == "gz") {
            return Err(DataError::layout(path, "a zipped manifest has no random access; unpack it first"));
        }
        let bytes = std::fs::metadata(path).map_err(DataError::io(path))?.len();
        let index = index_path(path);
        let offsets = match read_index(&index, bytes, path) {
            Some(offsets) => offsets,
            None => {
                let offsets = scan(path)?;
                write_index(&index, bytes, &offsets).ok();
                offsets
            }
        };
        Ok(Self { path: path.to_owned(), offsets, bytes })
    }

    /// Number of utterances.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Utterance `index`, read from the file.
    ///
    /// # Errors
    /// A line that is no utterance; an index beyond the end.
    pub fn get(&self, index: usize) -> Result<Utterance, DataError> {
        let io = DataError::io;
        let &start = self.offsets.get(index).ok_or_else(|| {
            DataError::layout(&self.path, format!("has {} utterances, not {}", self.len(), index + 1))
        })?;
        let end = self.offsets.get(index + 1).copied().unwrap_or(self.bytes);
        let mut file = File::open(&self.path).map_err(io(&self.path))?;
        file.seek(SeekFrom::Start(start)).map_err(io(&self.path))?;
        let mut line = String::new();
        file.take(end.saturating_sub(start)).read_to_string(&mut line).map_err(io(&self.path))?;
        let mut budget = budget(&self.path);
        parse(&self.path, index + 1, auricle_io::strip_mark(&line), &mut budget)
    }

    /// The utterance with an id, by binary search.
    ///
    /// # Errors
    /// A line that is no utterance.
    pub fn find(&self, id: &str) -> Result<Option<Utterance>, DataError> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let utterance = self.get(middle)?;
            match utterance.id.as_str().cmp(id) {
                std::cmp::Ordering::Equal => return Ok(Some(utterance)),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// Reads all utterances, unzipped where the name ends in `.gz`; relative audio paths are resolved
    /// against the manifest's folder.
    ///
    /// # Errors
    /// A missing file; the first line that is no utterance, by number; an id that comes twice.
    pub fn read(path: &Path) -> Result<Vec<Utterance>, DataError> {
        let mut collector = Collector::strict();
        Self::read_into(path, &mut collector)?;
        refuse_repeats(path, &collector.reading.utterances)?;
        Ok(collector.reading.utterances)
    }

    pub(crate) fn read_into(path: &Path, collector: &mut Collector) -> Result<(), DataError> {
        let mut budget = budget(path);
        for_each_line(path, |number, line| {
            let utterance = line.and_then(|line| parse(path, number, line, &mut budget));
            let pushed = utterance.map(|utterance| collector.push(utterance));
            collector.take(pushed)
        })
    }

    /// Writes utterances sorted by id, and the index; atomically.
    ///
    /// Audio below the manifest's folder is written relative to it, so that the folder can move; other
    /// relative paths, which start at the working directory, are written as absolute ones.
    ///
    /// # Errors
    /// Anything the file system says; an utterance that could not be read back.
    pub fn write(path: &Path, utterances: &[Utterance]) -> Result<(), DataError> {
        let io = DataError::io;
        let folder = path.parent().unwrap_or(Path::new(""));
        // Reading starts relative paths at the manifest's folder, not at today's working directory.
        let absolute = |path: &Path| std::path::absolute(path).map_err(DataError::io(path));
        let home = absolute(path)?;
        let home = home.parent().unwrap_or(Path::new(""));
        let mut sorted: Vec<&Utterance> = utterances.iter().collect();
        sorted.sort_by(|a, b| a.id.cmp(&b.id));
        let mut text = Vec::new();
        let mut offsets = Vec::with_capacity(sorted.len());
        for utterance in sorted {
            offsets.push(text.len() as u64);
            let mut utterance =
                utterance.clone().validated().map_err(|error| DataError::layout(path, error.to_string()))?;
            let audio = absolute(&utterance.audio)?;
            if audio.to_str().is_none() {
                let reason = "the name is not UTF-8, which a manifest must be; rename the file";
                return Err(DataError::layout(&audio, reason));
            }
            utterance.audio = audio.strip_prefix(home).map(Path::to_owned).unwrap_or(audio);
            serde_json::to_writer(&mut text, &utterance)
                .map_err(|e| DataError::layout(path, e.to_string()))?;
            text.push(b'\n');
        }
        if !folder.as_os_str().is_empty() {
            std::fs::create_dir_all(folder).map_err(io(folder))?;
        }
        atomic_write(path, &text).map_err(io(path))?;
        write_index(&index_path(path), text.len() as u64, &offsets).map_err(io(&index_path(path)))
    }
}

/// What a manifest line is, for a message.
const FORM: &str = "; a manifest line is {\"id\", \"audio\", \"duration_secs\", …}";

fn parse(path: &Path, number: usize, line: &str, budget: &mut Budget) -> Result<Utterance, DataError> {
    let mut utterance: Utterance = json::parse(path, number, line.trim(), budget, FORM)?;
    if utterance.audio.is_relative() {
        utterance.audio = path.parent().unwrap_or(Path::new("")).join(&utterance.audio);
    }
    refuse_other_names(&utterance).map_err(|reason| DataError::line(path, number, reason))?;
    utterance.validated().map_err(|error| DataError::line(path, number, error.to_string()))
}

/// Refuses what other lists call a field of ours, where the line does not say ours: it would be passed over.
fn refuse_other_names(utterance: &Utterance) -> Result<(), String> {
    const OTHERS: [(&str, &[&str]); 3] = [
        ("start_secs", &["start", "offset", "begin", "start_time", "end", "stop", "end_time", "end_secs"]),
        ("text", &["sentence", "transcript", "transcription"]),
        ("speaker", &["speaker_id", "spk_id", "client_id"]),
    ];
    for (ours, others) in OTHERS {
        let is_said = match ours {
            "start_secs" => utterance.start_secs > 0.0,
            "text" => utterance.text.is_some(),
            _ => utterance.speaker.is_some(),
        };
        let is_zero = |value: &serde_json::Value| value.is_null() || value.as_f64() == Some(0.0);
        let other =
            others.iter().find(|name| utterance.extra.get(**name).is_some_and(|value| !is_zero(value)));
        if let (false, Some(other)) = (is_said, other) {
            return Err(format!(
                "utterance {}: `{other}` is no field of a manifest; write `{ours}` instead (and `duration_secs` for an \
                 end), or remove it",
                utterance.id
            ));
        }
    }
    Ok(())
}

fn index_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".idx");
    name.into()
}

/// Offsets of all non-empty lines.
fn scan(path: &Path) -> Result<Vec<u64>, DataError> {
    let mut reader = BufReader::new(File::open(path).map_err(DataError::io(path))?);
    let (mut offset, mut offsets, mut line) = (0u64, Vec::new(), Vec::new());
    loop {
        line.clear();
        let read = (&mut reader)
            .take(MAX_LINE_BYTES as u64 + 1)
            .read_until(b'\n', &mut line)
            .map_err(DataError::io(path))?;
        match read {
            0 => return Ok(offsets),
            n if n > MAX_LINE_BYTES => {
                return Err(DataError::line(
                    path,
                    offsets.len() + 1,
                    format!("longer than {MAX_LINE_BYTES} bytes"),
                ));
            }
            _ => {}
        }
        if !line.trim_ascii().is_empty() {
            offsets.push(offset);
        }
        offset += read as u64;
    }
}

/// The offsets of an index that is of this length of manifest and not older than it.
fn read_index(index: &Path, bytes: u64, manifest: &Path) -> Option<Vec<u64>> {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|m| m.modified()).ok();
    if modified(index)? < modified(manifest)? {
        return None;
    }
    // One number a line, and a line is a byte at least.
    let mut limit = Budget::new("an index", bytes.saturating_mul(8).saturating_add(16));
    let content = limit.read_to_end(File::open(index).ok()?).ok()?;
    let mut words = content
        .strip_prefix(INDEX_MAGIC)?
        .chunks_exact(8)
        .map(|w| u64::from_le_bytes(w.try_into().unwrap_or_default()));
    let offsets = (words.next()? == bytes).then(|| words.collect::<Vec<_>>())?;
    let increasing = offsets.windows(2).all(|pair| pair[0] < pair[1]);
    (increasing && offsets.last().is_none_or(|&last| last < bytes)).then_some(offsets)
}

fn write_index(index: &Path, bytes: u64, offsets: &[u64]) -> std::io::Result<()> {
    let words = std::iter::once(bytes).chain(offsets.iter().copied());
    let content: Vec<u8> = INDEX_MAGIC.iter().copied().chain(words.flat_map(u64::to_le_bytes)).collect();
    atomic_write(index, &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(ids: &[&str]) -> Vec<Utterance> {
        ids.iter()
            .map(|id| Utterance::new(*id, format!("/audio/{id}.wav"), 1.5).with_text("héllo \"w\"\n"))
            .collect()
    }

    #[test]
    fn written_sorted_and_read_back_by_position_and_id() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let mut utterances = some(&["c", "a", "b"]);
        utterances[0].audio = folder.path().join("wav/c.wav");
        Manifest::write(&path, &utterances).unwrap();
        assert!(
            std::fs::read_to_string(&path).unwrap().contains("\"wav/c.wav\""),
            "stays valid when the folder moves"
        );
        utterances.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(Manifest::read(&path).unwrap(), utterances);
        let manifest = Manifest::open(&path).unwrap();
        assert_eq!((manifest.len(), manifest.get(2).unwrap()), (3, utterances[2].clone()));
        assert_eq!(manifest.find("b").unwrap().as_ref(), utterances.get(1));
        assert_eq!(manifest.find("bb").unwrap(), None);
        assert!(manifest.get(3).is_err());
    }

    #[test]
    fn a_stale_or_broken_index_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        Manifest::write(&path, &some(&["a", "b"])).unwrap();
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.insert_str(0, "\n{\"id\":\"0\",\"audio\":\"x\",\"duration_secs\":1,\"room\":7}\n\n");
        std::fs::write(&path, text).unwrap();
        let manifest = Manifest::open(&path).unwrap();
        assert_eq!(manifest.len(), 3);
        let first = manifest.get(0).unwrap();
        assert_eq!((first.id.as_str(), &first.extra["room"]), ("0", &serde_json::json!(7)));
        std::fs::write(index_path(&path), b"auricle1 nonsense").unwrap();
        assert_eq!(Manifest::open(&path).unwrap().get(2).unwrap().id, "b");
    }

    #[test]
    fn errors_name_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let good = "{\"id\":\"a\",\"audio\":\"x\",\"duration_secs\":1}";
        for (text, expected) in [
            (format!("{good}\n{{\"id\":"), "line 2"),
            (format!("{good}\n{good}\n"), "`a` comes twice"),
            (good.replace("\"duration_secs\":1", "\"duration_secs\":-1"), "below zero"),
            (good.replace("duration_secs", "duration"), "duration_secs"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Manifest::read(&path).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("a.jsonl"), "{error}");
        }
        assert!(
            Manifest::read(&folder.path().join("none.jsonl")).unwrap_err().to_string().contains("none.jsonl")
        );
    }
}
