//! Recorded speech in memory.

use auricle_data::Utterance;
use std::sync::Arc;

/// An utterance with its samples, as the loader hands it to a task.
#[derive(Debug, Clone)]
pub struct Wave {
    /// Manifest entry.
    pub utterance: Utterance,
    /// Mono samples at the task's rate.
    pub samples: Arc<[f32]>,
}
