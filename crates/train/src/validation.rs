//! What a run's weights are worth: `validation.json`.

use crate::report::Section;
use crate::{Metric, TrainError};
use auricle_io::atomic_write;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The exported weights on the validation set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// The scores that select the best weights, the most important first; lower is better.
    pub selected_by: Vec<String>,
    /// All scores by name, as in the log; those that are not finite are left out.
    pub scores: BTreeMap<String, f64>,
    /// What the task says beside them.
    pub sections: Vec<Section>,
}

impl Validation {
    /// Its file in a run directory.
    pub const FILE: &'static str = "validation.json";

    /// Of a task's scores.
    pub fn new(selected_by: &[&str], metrics: &[Metric], sections: Vec<Section>) -> Self {
        let finite = metrics.iter().filter(|metric| metric.value.is_finite());
        Self {
            selected_by: selected_by.iter().map(|name| (*name).to_string()).collect(),
            scores: finite.map(|metric| (metric.name.to_string(), metric.value)).collect(),
            sections,
        }
    }

    /// The most important score that there is: its name and value.
    pub fn selecting(&self) -> Option<(&str, f64)> {
        self.selected_by.iter().find_map(|name| Some((name.as_str(), *self.scores.get(name)?)))
    }

    /// Reads a run's validation; `None` where it had none.
    ///
    /// # Errors
    /// A file that cannot be read or is none.
    pub fn read(run: &Path) -> Result<Option<Self>, TrainError> {
        let path = run.join(Self::FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(TrainError::io(&path)(error)),
        };
        let parsed = serde_json::from_slice(&bytes);
        parsed.map(Some).map_err(|e| TrainError::Data(format!("{}: {e}", path.display())))
    }

    /// Writes it into a run directory.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, run: &Path) -> Result<(), TrainError> {
        let path = run.join(Self::FILE);
        let json = serde_json::to_vec_pretty(self).map_err(|e| TrainError::Data(e.to_string()))?;
        atomic_write(&path, &json).map_err(TrainError::io(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_score_that_there_is_selects() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(Validation::read(run.path()).unwrap(), None);
        let metrics = [("validation/wer", f64::NAN), ("validation/loss", 2.0), ("validation/more", 0.0)];
        let metrics = metrics.map(|(name, value)| Metric { name, value });
        let written =
            Validation::new(&["validation/wer", "validation/loss"], &metrics, vec![Section::default()]);
        written.write(run.path()).unwrap();
        let read = Validation::read(run.path()).unwrap().unwrap();
        assert_eq!((read.selecting(), read.sections.len()), (Some(("validation/loss", 2.0)), 1));
        assert_eq!(read, written);
        std::fs::write(run.path().join(Validation::FILE), "[]").unwrap();
        assert!(Validation::read(run.path()).unwrap_err().to_string().contains("validation.json"));
    }
}
