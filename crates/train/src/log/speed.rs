//! How fast a run goes and how much memory it takes: what differs from run to run.

use crate::TrainError;
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Writes `speed.jsonl`.
#[derive(Debug)]
pub(super) struct Speed {
    path: PathBuf,
    file: File,
    /// When the interval began, at which step, after how much audio.
    since: (Instant, u64, f64),
}

impl Speed {
    pub fn open(run: &Path) -> Result<Self, TrainError> {
        let path = run.join("speed.jsonl");
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(TrainError::io(&path))?;
        Ok(Self { path, file, since: (Instant::now(), 0, 0.0) })
    }

    pub fn resume_from(&mut self, step: u64) -> Result<(), TrainError> {
        self.file = super::keep_until(&self.path, step)?;
        Ok(())
    }

    pub fn start(&mut self, step: u64, audio_secs: f64) {
        self.since = (Instant::now(), step, audio_secs);
    }

    /// One line for the interval up to here, with all that was done in it: validations and checkpoints
    /// take their time, too.
    pub fn write(&mut self, step: u64, audio_secs: f64) -> Result<(), TrainError> {
        let (began, first, audio_before) = self.since;
        let secs = began.elapsed().as_secs_f64().max(1e-9);
        let mut line = json!({
            "step": step,
            "audio_hours_per_hour": (audio_secs - audio_before) / secs,
            "steps_per_sec": step.saturating_sub(first) as f64 / secs,
        });
        if let (Some(memory), Some(fields)) = (peak_memory_mib(), line.as_object_mut()) {
            fields.insert("peak_memory_mib".into(), memory.round().into());
        }
        self.start(step, audio_secs);
        writeln!(self.file, "{line}").map_err(TrainError::io(&self.path))
    }
}

/// The peak resident memory of this process, where the system tells it.
pub fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}
