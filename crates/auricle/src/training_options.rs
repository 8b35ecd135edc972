//! How a training is started, watched and stopped.

use crate::Events;
use std::sync::atomic::AtomicBool;

/// How a recipe is trained.
#[derive(Clone, Copy)]
pub struct Training<'a> {
    /// Whether a run that stands there already is gone on with; else it is refused.
    pub resume: bool,
    /// Who listens.
    pub events: &'a dyn Events,
    /// Set from elsewhere: the step is finished, a checkpoint is written, and training ends.
    pub stop: &'a AtomicBool,
}
