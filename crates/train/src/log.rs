//! What a run writes while it goes: `log.jsonl`, `speed.jsonl`, TensorBoard events, progress on the terminal.

mod progress;
mod speed;
mod tensorboard;

use crate::TrainError;
use auricle_io::atomic_write;
use progress::Progress;
use serde_json::{Map, Value};
use speed::Speed;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use tensorboard::EventWriter;

pub use speed::peak_memory_mib;

/// The logs of one run directory.
///
/// A file that cannot be written (a full disk) is an error with its path. What cannot be shown on the terminal is not:
/// nobody may be there to read it.
#[derive(Debug)]
pub struct RunLog {
    path: PathBuf,
    file: File,
    events: EventWriter,
    progress: Progress,
    speed: Speed,
}

impl RunLog {
    /// Opens (or goes on with) the logs of a run of `steps` steps.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn open(run: &Path, steps: u64, quiet: bool) -> Result<Self, TrainError> {
        let path = run.join("log.jsonl");
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(TrainError::io(&path))?;
        let events = EventWriter::create(&run.join("tensorboard"))?;
        let speed = Speed::open(run)?;
        Ok(Self { path, file, events, progress: Progress::new(steps, quiet), speed })
    }

    /// Drops the entries after a step: a resumed run writes them again.
    ///
    /// A line that was cut off by a crash goes with them.
    ///
    /// # Errors
    /// Files that cannot be read or written.
    pub fn resume_from(&mut self, step: u64) -> Result<(), TrainError> {
        self.file = keep_until(&self.path, step)?;
        self.speed.resume_from(step)?;
        self.progress.start_at(step);
        Ok(())
    }

    /// Named numbers at a step.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Result<(), TrainError> {
        let mut entry = Map::new();
        entry.insert("step".into(), step.into());
        for &(name, value) in values {
            // JSON has no NaN; a missing number would hide it.
            let number = serde_json::Number::from_f64(value)
                .map_or_else(|| Value::String(value.to_string()), Value::Number);
            entry.insert(name.to_string(), number);
            self.events.scalar(step, name, value)?;
        }
        // In one piece: a reader never meets half a line, short of a crash.
        let line = format!("{}\n", Value::Object(entry));
        self.file.write_all(line.as_bytes()).map_err(TrainError::io(&self.path))?;
        self.events.flush()
    }

    /// Makes `log.jsonl` durable up to here.
    ///
    /// # Errors
    /// A disk that is full or gone.
    pub fn sync(&self) -> Result<(), TrainError> {
        self.file.sync_all().map_err(TrainError::io(&self.path))
    }

    /// The clock starts: so many steps and seconds of audio were done before.
    pub fn start(&mut self, step: u64, audio_secs: f64) {
        self.speed.start(step, audio_secs);
    }

    /// How fast it went since the last call, into `speed.jsonl`: not into the log, which says the same
    /// for every run of a recipe.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn speed(&mut self, step: u64, audio_secs: f64) -> Result<(), TrainError> {
        self.speed.write(step, audio_secs)
    }

    /// One optimiser step is done.
    pub fn advance(&mut self, step: u64, audio_secs: f64, loss: f64) {
        self.progress.advance(step, audio_secs, loss);
    }

    /// Validation scores, for the terminal.
    pub fn validation(&mut self, step: u64, values: &[(&str, f64)]) {
        let scores: Vec<String> = values
            .iter()
            .map(|(name, value)| format!("{} {value:.4}", name.trim_start_matches("validation/")))
            .collect();
        self.progress.line(&format!("step {step}: validation {}", scores.join(", ")));
    }

    /// Ends the progress display and writes everything out.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn finish(&mut self) -> Result<(), TrainError> {
        self.progress.finish();
        self.sync()?;
        self.events.flush()
    }
}

/// The series of every number in a `log.jsonl`, by name, in order of steps.
pub fn read_series(path: &Path) -> io::Result<std::collections::BTreeMap<String, Vec<(f64, f64)>>> {
    let mut series = std::collections::BTreeMap::<String, Vec<(f64, f64)>>::new();
    for line in BufReader::new(File::open(path)?).lines() {
        let Ok(Value::Object(entry)) = serde_json::from_str(&line?) else { continue };
        let Some(step) = entry.get("step").and_then(Value::as_f64) else { continue };
        for (name, value) in &entry {
            if let Some(value) = value.as_f64().filter(|_| name != "step") {
                series.entry(name.clone()).or_default().push((step, value));
            }
        }
    }
    Ok(series)
}

/// Drops a file's lines after a step, and what is no whole line; opens it for more.
fn keep_until(path: &Path, step: u64) -> Result<File, TrainError> {
    let kept: Vec<String> = BufReader::new(File::open(path).map_err(TrainError::io(path))?)
        .lines()
        .map_while(Result::ok)
        .filter(|line| step_of(line).is_some_and(|own| own <= step))
        .collect();
    let text: String = kept.iter().map(|line| format!("{line}\n")).collect();
    atomic_write(path, text.as_bytes()).map_err(TrainError::io(path))?;
    OpenOptions::new().append(true).open(path).map_err(TrainError::io(path))
}

fn step_of(line: &str) -> Option<u64> {
    serde_json::from_str::<Value>(line).ok()?.get("step")?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full disk under any of the files of a run: the error says which one.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let full = Path::new("/dev/full");
        if !full.exists() {
            return;
        }
        let write = |name: &str| {
            let run = tempfile::tempdir().unwrap();
            std::os::unix::fs::symlink(full, run.path().join(name)).unwrap();
            let mut log = RunLog::open(run.path(), 10, true).unwrap();
            log.scalars(1, &[("train/loss", 1.0)]).and_then(|()| log.speed(1, 1.0)).unwrap_err().to_string()
        };
        for name in ["log.jsonl", "speed.jsonl"] {
            let error = write(name);
            assert!(error.contains(name) && error.contains("space"), "{error}");
        }
    }

    #[test]
    fn a_resumed_log_has_every_step_once() {
        let run = tempfile::tempdir().unwrap();
        let mut log = RunLog::open(run.path(), 10, true).unwrap();
        for step in 1..=5 {
            log.scalars(step, &[("train/loss", 1.0 / step as f64), ("train/bad", f64::NAN)]).unwrap();
        }
        drop(log);
        // A crash cuts the last line.
        let path = run.path().join("log.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 7]).unwrap();
        let mut log = RunLog::open(run.path(), 10, true).unwrap();
        log.resume_from(3).unwrap();
        log.scalars(4, &[("train/loss", 0.25)]).unwrap();
        log.finish().unwrap();
        let series = read_series(&path).unwrap();
        assert_eq!(series["train/loss"], [(1.0, 1.0), (2.0, 0.5), (3.0, 1.0 / 3.0), (4.0, 0.25)]);
        assert!(!series.contains_key("train/bad"));
    }
}
