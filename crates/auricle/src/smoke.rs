//! Does a recipe work from end to end?

use crate::error::Doing as _;
use crate::latents::BANK;
use crate::{Error, Events, Pronunciations, Result, Training, models, train, utterances};
use auricle_data::{Manifest, Sentence};
use auricle_lasyn::{BankOptions, TextTask, make_bank};
use auricle_nn::weights::Metadata;
use auricle_text::{Tokenizer, TrainOptions};
use auricle_train::{Recipe, TaskKind};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use toml::{Table, Value};

/// Widths of the shrunken model.
const WIDTH: i64 = 16;

/// Runs two steps of the recipe with a shrunken model on the built-in corpus, in a temporary folder.
///
/// Everything else is the recipe's: task, head, tokens, perturbations, optimiser, schedule.
///
/// # Errors
/// Whatever would stop the recipe, too.
pub fn smoke(mut recipe: Recipe, events: &dyn Events) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("auricle-smoke-{}", std::process::id()));
    let result = run(&mut recipe, &folder, events);
    std::fs::remove_dir_all(&folder).ok();
    result.doing("smoke run")
}

fn run(recipe: &mut Recipe, folder: &Path, events: &dyn Events) -> Result<()> {
    let stop = AtomicBool::new(false);
    let training = Training { resume: false, events, stop: &stop };
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
    recipe.schedule.rescale(2);
    recipe.train.device = "cpu".into();
    shrink(&mut recipe.model);
    if matches!(recipe.task, TaskKind::Lasyn | TaskKind::LasynSynthesizer) {
        lasyn(recipe, folder, training)?;
    }
    if recipe.task == TaskKind::Mmi {
        phones(&mut recipe.model, folder)?;
    }
    train(recipe, &folder.join("run"), training)?;
    Ok(())
}

/// Dictionaries are files of the user, the letter-to-sound model comes with the program; sizes that the recipe leaves at their
/// defaults are narrowed, too.
fn phones(model: &mut Table, folder: &Path) -> Result<()> {
    model.remove("lexicon");
    model.remove("g2p");
    if let Some(bytes) = auricle_models::bytes("g2p-en/model.g2p") {
        let path = folder.join("model.g2p");
        auricle_io::atomic_write(&path, bytes).map_err(Error::io(&path))?;
        model.insert("g2p".into(), Value::from(path.display().to_string()));
    }
    let net = model.entry("net").or_insert_with(|| Value::Table(Table::new()));
    if let Some(net) = net.as_table_mut() {
        for (key, value) in
            [("front", WIDTH), ("width", WIDTH), ("bottleneck", 8), ("linear", 8), ("layers", 1)]
        {
            net.insert(key.into(), Value::Integer(value));
        }
    }
    Ok(())
}

/// What a recipe of latent synthesis starts from: a recogniser of two steps, its bank, some texts.
fn lasyn(recipe: &mut Recipe, folder: &Path, training: Training<'_>) -> Result<()> {
    let ctc: Table = toml::from_str(auricle_recipes::CTC_FROM_SCRATCH)?;
    let mut ctc: Recipe = auricle_train::recipe::parse(&ctc, "quickstart")?;
    ctc.data = recipe.data.clone();
    ctc.batch.batch_secs = recipe.batch.batch_secs;
    (ctc.train.steps, ctc.train.validate_every, ctc.train.checkpoint_every) = (2, 2, 2);
    ctc.schedule.rescale(2);
    shrink(&mut ctc.model);
    let base = folder.join("base");
    train(&ctc, &base, training)?;

    let device = auricle_tensor::device("cpu")?.without_autodiff();
    let split = models::split_recogniser(&base, None, &device)?;
    let speech = utterances(&recipe.data.train)?;
    let pronouncer = Pronunciations::default().pronouncer()?;
    let options = BankOptions { exemplar_secs: 60.0, rounds: 2 };
    let bank = make_bank(&split, &speech, &pronouncer, options, &device, &mut |_| ())?;
    let path = base.join(BANK);
    auricle_io::atomic_write(&path, &bank.to_bytes(&Metadata::new())?).map_err(Error::io(&path))?;
    // What was said is what is meant: enough for a recipe of meanings.
    let meant = |text: &str| format!("<int:say> <slot:words> {text} </slot>");
    let text = folder.join("text.jsonl");
    let mut sentences = Vec::new();
    for (list, name) in [(&mut recipe.data.train, "train"), (&mut recipe.data.validation, "validation")] {
        let mut speech = utterances(list)?;
        for utterance in &mut speech {
            let text = utterance.text.clone().unwrap_or_default();
            utterance.audio = std::path::absolute(&utterance.audio).map_err(Error::io(&utterance.audio))?;
            utterance.meaning = Some(meant(&text));
            sentences.push(
                Sentence::new(format!("{name}-{}", utterance.id), text)
                    .with_meaning(meant(utterance.text.as_deref().unwrap_or_default())),
            );
        }
        *list = vec![folder.join(format!("{name}.jsonl"))];
        Manifest::write(&list[0], &speech)?;
    }
    Sentence::write(&text, &sentences)?;

    let model = &mut recipe.model;
    let name = |path: &Path| Value::from(path.display().to_string());
    model.insert("base".into(), name(&base));
    model.insert("bank".into(), name(&path));
    if recipe.task == TaskKind::Lasyn {
        model.insert("text".into(), Value::Array(vec![name(&text)]));
    }
    if recipe.task == TaskKind::Lasyn {
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
