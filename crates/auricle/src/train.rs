//! A recipe becomes a run.

use crate::{Result, Training, run, self_training};
use auricle_train::{Outcome, Recipe};
use std::path::Path;

/// Trains a recipe in a run directory, with its rounds of self-training where it asks for them, and writes the
/// run's report.
///
/// # Errors
/// A run directory that holds a run or is in use; a recipe, data or weights that cannot be used; a loss that is not
/// finite.
pub fn train(recipe: &Recipe, run: &Path, training: Training<'_>) -> Result<Outcome> {
    match &recipe.train.self_training {
        Some(config) => self_training::train(recipe, config, run, training),
        None => run::train(recipe, run, training),
    }
}
