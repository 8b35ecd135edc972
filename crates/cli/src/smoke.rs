//! `auricle train --smoke`: does a recipe work from end to end?

use anyhow::{Context as _, Result};
use auricle_train::Recipe;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use toml::{Table, Value};

/// Widths of the shrunken model.
const WIDTH: i64 = 16;

/// Runs two steps of the recipe with a shrunken model on the built-in corpus, in a temporary folder.
///
/// Everything else is the recipe's: task, head, tokens, perturbations, optimiser, schedule.
pub fn run(mut recipe: Recipe, quiet: bool) -> Result<ExitCode> {
    let folder = std::env::temp_dir().join(format!("auricle-smoke-{}", std::process::id()));
    let result = smoke(&mut recipe, &folder, quiet);
    std::fs::remove_dir_all(&folder).ok();
    result.context("smoke run")?;
    println!("{}: ok", if recipe.description.is_empty() { &recipe.task } else { &recipe.description });
    Ok(ExitCode::SUCCESS)
}

fn smoke(recipe: &mut Recipe, folder: &std::path::Path, quiet: bool) -> Result<()> {
    let corpus = auricle_data::builtin::extract(&folder.join("corpus"))?;
    recipe.data.train = vec![corpus.dev.clone()];
    recipe.data.validation = vec![corpus.test];
    if !recipe.data.noise.is_empty() {
        recipe.data.noise = vec![corpus.dev.clone()];
    }
    if !recipe.data.rirs.is_empty() {
        recipe.data.rirs = vec![corpus.dev];
    }
    (recipe.data.min_secs, recipe.data.max_secs, recipe.data.subset_minutes) = (0.0, 30.0, None);
    recipe.batch.batch_secs = recipe.batch.batch_secs.min(10.0);
    recipe.train.steps = 2;
    recipe.train.accumulate = recipe.train.accumulate.min(2);
    recipe.train.validate_every = 2;
    recipe.train.checkpoint_every = 2;
    recipe.train.device = "cpu".into();
    shrink(&mut recipe.model);
    let run = folder.join("run");
    crate::train::train(recipe, &run, false, quiet, &AtomicBool::new(false))?;
    Ok(())
}

/// Narrows every width that the model's table names; its structure stays.
fn shrink(model: &mut Table) {
    // Weights and vocabularies of other runs are not there.
    model.remove("init_from");
    model.remove("tokenizer");
    narrow(model);
}

fn narrow(table: &mut Table) {
    for (key, value) in table.iter_mut() {
        match (key.as_str(), value) {
            ("channels" | "width" | "projection", Value::Integer(width)) => *width = WIDTH,
            ("feed_forward", Value::Integer(width)) => *width = 2 * WIDTH,
            ("layers", Value::Integer(layers)) => *layers = 1,
            ("heads" | "groups", Value::Integer(parts)) => *parts = 2,
            (_, Value::Table(inner)) => narrow(inner),
            (_, Value::Array(items)) => items.iter_mut().filter_map(Value::as_table_mut).for_each(narrow),
            _ => {}
        }
    }
}
