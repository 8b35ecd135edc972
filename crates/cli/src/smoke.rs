//! `auricle train --smoke`: does a recipe work from end to end?

use crate::lasyn::{BANK, BankOptions, make_bank};
use crate::lexicon::{LexiconArgs, pronouncer, shipped};
use crate::tasks::{load_model, manifests};
use anyhow::{Context as _, Result};
use auricle_data::{Manifest, Sentence};
use auricle_lasyn::{SplitRecogniser, TextTask};
use auricle_nn::weights::Metadata;
use auricle_text::{Tokenizer, TrainOptions};
use auricle_train::Recipe;
use std::path::Path;
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

fn smoke(recipe: &mut Recipe, folder: &Path, quiet: bool) -> Result<()> {
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
    if recipe.task.starts_with("lasyn") {
        lasyn(recipe, folder, quiet)?;
    }
    if recipe.task == "mmi" {
        // Dictionaries are files of the user; the letter-to-sound model comes with the program.
        recipe.model.remove("lexicon");
        recipe.model.remove("g2p");
        if let Some(path) = shipped() {
            recipe.model.insert("g2p".into(), Value::from(path.display().to_string()));
        }
        narrow_net(&mut recipe.model);
    }
    let run = folder.join("run");
    crate::train::train(recipe, &run, false, quiet, &AtomicBool::new(false))?;
    Ok(())
}

/// What a recipe of latent synthesis starts from: a recogniser of two steps, its bank, some texts.
fn lasyn(recipe: &mut Recipe, folder: &Path, quiet: bool) -> Result<()> {
    let ctc: Table = toml::from_str(include_str!("../../../recipes/quickstart/ctc_from_scratch.toml"))?;
    let mut ctc: Recipe = auricle_train::recipe::parse(&ctc, "quickstart")?;
    ctc.data = recipe.data.clone();
    ctc.batch.batch_secs = recipe.batch.batch_secs;
    (ctc.train.steps, ctc.train.validate_every, ctc.train.checkpoint_every) = (2, 2, 2);
    shrink(&mut ctc.model);
    let base = folder.join("base");
    crate::train::train(&ctc, &base, false, quiet, &AtomicBool::new(false))?;

    let device = auricle_tensor::device("cpu")?.without_autodiff();
    let (tensors, metadata) = load_model(&base)?;
    let split = SplitRecogniser::from_weights(tensors, &metadata, None, &device)?;
    let utterances = manifests(&recipe.data.train)?;
    let pronouncer = pronouncer(&LexiconArgs { lexicon: Vec::new(), g2p: None })?;
    let options = BankOptions { exemplar_secs: 60.0, rounds: 2 };
    let bank = make_bank(&split, &utterances, &pronouncer, options, &device)?;
    let path = base.join(BANK);
    auricle_train::files::atomic_write(&path, &bank.to_bytes(&Metadata::new())?)?;
    // What was said is what is meant: enough for a recipe of meanings.
    let meant = |text: &str| format!("<int:say> <slot:words> {text} </slot>");
    let text = folder.join("text.jsonl");
    let mut sentences = Vec::new();
    for (list, name) in [(&mut recipe.data.train, "train"), (&mut recipe.data.validation, "validation")] {
        let mut utterances = manifests(list)?;
        for utterance in &mut utterances {
            let text = utterance.text.clone().unwrap_or_default();
            utterance.audio = std::path::absolute(&utterance.audio)?;
            utterance.meaning = Some(meant(&text));
            sentences.push(
                Sentence::new(format!("{name}-{}", utterance.id), text)
                    .with_meaning(meant(utterance.text.as_deref().unwrap_or_default())),
            );
        }
        *list = vec![folder.join(format!("{name}.jsonl"))];
        Manifest::write(&list[0], &utterances)?;
    }
    Sentence::write(&text, &sentences)?;

    let model = &mut recipe.model;
    let name = |path: &Path| Value::from(path.display().to_string());
    model.insert("base".into(), name(&base));
    model.insert("bank".into(), name(&path));
    if recipe.task == "lasyn" {
        model.insert("text".into(), Value::Array(vec![name(&text)]));
    }
    if recipe.task == "lasyn" {
        let meanings = ["<int:say>", "<slot:words>", "</slot>"].map(String::from);
        let marks = meanings.into_iter().chain(TextTask::ALL.map(|task| task.mark().to_string())).collect();
        let options = TrainOptions { vocab_size: 43, marks, ..TrainOptions::default() };
        let texts: Vec<String> = sentences.into_iter().filter_map(|s| s.meaning).collect();
        let tokenizer = Tokenizer::train(texts.iter().map(String::as_str), &options)?;
        let path = folder.join("tokenizer.json");
        tokenizer.save(&path)?;
        if model.contains_key("target") {
            model.insert("tokenizer".into(), name(&path));
        }
    }
    // Two steps are fewer than those on real speech only.
    for absent in ["synthesizer", "lexicon", "g2p", "split", "exclude", "anneal_steps"] {
        model.remove(absent);
    }
    Ok(())
}

/// Sizes of a network that the recipe leaves at their defaults.
fn narrow_net(model: &mut Table) {
    let net = model.entry("net").or_insert_with(|| Value::Table(Table::new()));
    if let Some(net) = net.as_table_mut() {
        for (key, value) in
            [("front", WIDTH), ("width", WIDTH), ("bottleneck", 8), ("linear", 8), ("layers", 1)]
        {
            net.insert(key.into(), Value::Integer(value));
        }
    }
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
