//! Durations of many files, in parallel, and kept across a kill.

use crate::PrepError;
use crate::set::{Draft, Item, counted};
use auricle_audio::{AudioError, Limits, WarningKind, stream};
use auricle_data::load_ordered;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

const NAME: &str = "durations.partial.jsonl";

/// A kill loses less than this many results.
const FLUSH_EVERY: usize = 64;

/// A line of progress comes every so many files.
const REPORT_EVERY: usize = 5000;

/// An error names so many files beside the first.
const MAX_NAMES: usize = 4;

/// A line of the log: a file by path and size.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    audio: PathBuf,
    bytes: u64,
    /// Whole microseconds: read back as the same number, unlike a fraction of seconds.
    micros: u64,
}

/// Durations that are known, and the file that keeps them until the preparation is finished.
pub(crate) struct Durations {
    path: PathBuf,
    log: BufWriter<File>,
    known: HashMap<PathBuf, (u64, u64)>,
}

impl Durations {
    /// Opens the log in a folder, with what a stopped preparation left there.
    pub fn open(out: &Path) -> Result<Self, PrepError> {
        let path = out.join(NAME);
        let io = || PrepError::io(&path);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(io())?;
        let content = fs::read(&path).map_err(io())?;
        // The last line may be cut: it is passed over, and what follows begins on a line of its own.
        if content.last().is_some_and(|&byte| byte != b'\n') {
            file.write_all(b"\n").map_err(io())?;
        }
        let lines = content.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        let known = lines.map(|Line { audio, bytes, micros }| (audio, (bytes, micros))).collect();
        Ok(Self { path, log: BufWriter::new(file), known })
    }

    /// The durations in seconds of a set's items, in their order.
    ///
    /// # Errors
    /// All files that cannot be used, once every other has been looked at.
    pub fn of_set(&mut self, set: &Draft, report: &mut dyn FnMut(&str)) -> Result<Vec<f64>, PrepError> {
        let unknown: Vec<&Item> = set.items.iter().filter(|item| self.known_micros(item).is_none()).collect();
        let resumed = set.items.len() - unknown.len();
        if resumed > 0 {
            report(&format!("{}: {} known from before", set.name, counted(resumed, "duration")));
        }
        let jobs: Vec<_> = unknown.iter().map(|item| item.audio.path.clone()).collect();
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let results = load_ordered(jobs.into_iter(), workers, 16 * workers, |path| micros_of(&path));
        let mut broken = Vec::new();
        for (done, (item, result)) in unknown.iter().zip(results).enumerate() {
            match result? {
                Ok(micros) => self.keep(item, micros)?,
                Err(e) => broken.push((&item.audio.path, e)),
            }
            if (done + 1) % FLUSH_EVERY == 0 {
                self.log.flush().map_err(PrepError::io(&self.path))?;
            }
            if (done + 1) % REPORT_EVERY == 0 {
                report(&format!("{}: {} of {} durations", set.name, resumed + done + 1, set.items.len()));
            }
        }
        self.log.flush().map_err(PrepError::io(&self.path))?;

        let count = broken.len();
        let mut broken = broken.into_iter();
        if let Some((_, first)) = broken.next() {
            let names: Vec<_> = broken.map(|(path, _)| path.display().to_string()).take(MAX_NAMES).collect();
            let (sep, dots) =
                (if count > 1 { "; also " } else { "" }, if count > MAX_NAMES + 1 { ", …" } else { "" });
            return Err(PrepError::Audio {
                set: set.name.clone(),
                count,
                total: set.items.len(),
                first: Box::new(first),
                also: format!("{sep}{}{dots}", names.join(", ")),
            });
        }
        Ok(set
            .items
            .iter()
            .filter_map(|item| self.known_micros(item))
            .map(|micros| micros as f64 / 1e6)
            .collect())
    }

    fn known_micros(&self, item: &Item) -> Option<u64> {
        let &(bytes, micros) = self.known.get(&item.audio.path)?;
        (bytes == item.audio.bytes).then_some(micros)
    }

    fn keep(&mut self, item: &Item, micros: u64) -> Result<(), PrepError> {
        let (audio, bytes) = (item.audio.path.clone(), item.audio.bytes);
        let line = Line { audio: audio.clone(), bytes, micros };
        let written = serde_json::to_writer(&mut self.log, &line).map_err(std::io::Error::from);
        written.and_then(|()| self.log.write_all(b"\n")).map_err(PrepError::io(&self.path))?;
        self.known.insert(audio, (bytes, micros));
        Ok(())
    }

    /// Removes the log from a folder, if there is one: all manifests are there.
    pub fn remove(out: &Path) -> Result<(), PrepError> {
        let path = out.join(NAME);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(PrepError::io(&path)(e)),
            _ => Ok(()),
        }
    }
}

/// How long a file is, by its header or else by decoding it. A corpus is made of whole files: one whose end is missing
/// must be fetched again, though what there is of it could be used.
fn micros_of(path: &Path) -> Result<u64, AudioError> {
    let mut stream = stream(path, &Limits::unlimited_duration())?;
    let num_samples = match stream.info().exact_num_samples() {
        Some(samples) => samples,
        None => stream.try_fold(0, |sum, block| Ok::<_, AudioError>(sum + block?.len() as u64))?,
    };
    let sample_rate = stream.info().sample_rate.max(1);
    for warning in stream.warnings() {
        if let WarningKind::Truncated { position_samples, expected_samples, .. } = warning.kind {
            let path = path.to_owned();
            return Err(AudioError::Truncated { path, position_samples, expected_samples, sample_rate });
        }
    }
    if num_samples == 0 {
        return Err(AudioError::Empty { path: path.to_owned(), detail: "0 samples" });
    }
    Ok((num_samples as f64 / f64::from(sample_rate) * 1e6).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::SourceFile;

    /// Items whose files do not exist: only what is known can answer.
    fn draft(bytes: u64, ids: &[&str]) -> Draft {
        let audio = |id: &&str| SourceFile { path: format!("/nowhere/{id}.wav").into(), bytes };
        let item = |id: &&str| Item::new(*id, audio(id), None, None);
        Draft { items: ids.iter().map(item).collect(), ..Draft::new("set") }
    }

    #[test]
    fn a_cut_log_gives_what_is_whole_and_can_be_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path();
        let set = draft(7, &["a", "b"]);
        let mut durations = Durations::open(out).unwrap();
        durations.keep(&set.items[0], 1_234_567).unwrap();
        durations.keep(&set.items[1], 2).unwrap();
        drop(durations);
        let content = fs::read(out.join(NAME)).unwrap();
        fs::write(out.join(NAME), &content[..content.len() - 5]).unwrap();

        let mut durations = Durations::open(out).unwrap();
        let message = durations.of_set(&set, &mut |_| ()).unwrap_err().to_string();
        assert!(
            message.contains("1 of 2") && message.contains("b.wav") && !message.contains("a.wav"),
            "{message}"
        );
        durations.keep(&set.items[1], 3).unwrap();
        drop(durations);

        let mut durations = Durations::open(out).unwrap();
        let mut lines = Vec::new();
        let secs = durations.of_set(&set, &mut |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(secs, [1.234567, 3e-6]);
        assert_eq!(lines, ["set: 2 durations known from before"]);
        // Another size is another file.
        assert!(durations.of_set(&draft(8, &["a"]), &mut |_| ()).is_err());
        drop(durations);
        Durations::remove(out).unwrap();
        assert!(!out.join(NAME).exists());
    }

    #[test]
    fn joined_mp3s_are_as_long_as_all_of_them() {
        let one = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/audio/tests/fixtures/mono.mp3");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("four.mp3");
        let bytes = fs::read(one).unwrap().repeat(4);
        fs::write(&path, &bytes).unwrap();
        let secs = micros_of(&path).unwrap() as f64 / 1e6;
        assert!((2.3..2.8).contains(&secs), "the header says 0.6 s, decoded are {secs} s");
    }

    #[test]
    fn every_broken_file_is_counted_and_the_first_ones_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut durations = Durations::open(folder.path()).unwrap();
        let ids = ["a", "b", "c", "d", "e", "f", "g"];
        let message = durations.of_set(&draft(7, &ids), &mut |_| ()).unwrap_err().to_string();
        assert!(
            message.contains("7 of 7") && message.contains("e.wav, …") && !message.contains("f.wav"),
            "{message}"
        );
    }
}
