//! Rounds of `train.self_training`: a model labels speech, keeps what it is sure of, learns from it.

use crate::error::Doing as _;
use crate::{Error, Result, Teacher, Training, run, utterances};
use auricle_augment::{mix_at_snr, speed, volume};
use auricle_data::{Manifest, Utterance};
use auricle_io::atomic_write;
use auricle_rng::{Key, Purpose, Stream};
use auricle_train::{Labelled, Outcome, Recipe, SelfTrainingConfig, Validation, select};
use serde_json::json;
use std::path::Path;
use std::sync::atomic::Ordering;

/// Changes of speed, in both directions, of a perturbed copy.
const SPEEDS: [f64; 3] = [0.95, 1.0, 1.05];

/// Trains the recipe, then its rounds, in folders of the run; the best round's weights become the run's.
pub fn train(
    recipe: &Recipe,
    config: &SelfTrainingConfig,
    folder: &Path,
    training: Training<'_>,
) -> Result<Outcome> {
    if folder.join("round-0").exists() && !training.resume {
        return Err(run::occupied(folder));
    }
    config.validate().map_err(Error::Refused)?;
    if recipe.data.validation.is_empty() {
        return Error::refused(
            "train.self_training needs data.validation: without it nobody knows when to stop",
        );
    }
    Teacher::check(recipe.task, config.lm.as_deref()).doing("train.self_training")?;
    let unlabelled = utterances(&config.unlabelled)?;
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let mut history = Vec::new();
    let mut best: Option<(f64, usize)> = None;
    for round in 0..=config.rounds {
        let own_folder = folder.join(format!("round-{round}"));
        let mut own = recipe.clone();
        own.train.self_training = None;
        let mut kept = 0;
        if round > 0 {
            let before = folder.join(format!("round-{}", round - 1));
            let manifest = folder.join(format!("round-{round}.jsonl"));
            if !manifest.is_file() {
                let labels = label(recipe, config, round, &before, &unlabelled, training)?;
                let Some(labels) = labels else { return Ok(Outcome::Interrupted) };
                Manifest::write(&manifest, &labels)?;
            }
            kept = Manifest::read(&manifest)?.len();
            if kept == 0 {
                training.events.note(&format!(
                    "round {round}: no label is sure enough; raise train.self_training.disagreement"
                ));
                break;
            }
            own.data.train.push(manifest);
            let from = toml::Value::from(before.display().to_string());
            own.model.insert("init_from".into(), from);
        }
        if !own_folder.join("model.safetensors").is_file() {
            let resume = own_folder.join("checkpoints/last.safetensors").exists();
            let training = Training { resume, ..training };
            if run::train(&own, &own_folder, training)? == Outcome::Interrupted {
                return Ok(Outcome::Interrupted);
            }
        }
        let score = validation(&own_folder)?;
        history.push(json!({ "round": round, "labels": kept, "of": unlabelled.len(), "validation": score }));
        training
            .events
            .note(&format!("round {round}: {kept} labels of {}, validation {score:.4}", unlabelled.len()));
        let worse = best.is_some_and(|(best, _)| score > best);
        if best.is_none_or(|(best, _)| score < best) {
            best = Some((score, round));
        }
        if worse {
            training
                .events
                .note(&format!("round {round} is worse on the validation set; the best round is kept"));
            break;
        }
    }
    let lines: String = history.iter().map(|line| format!("{line}\n")).collect();
    let path = folder.join("self_training.jsonl");
    atomic_write(&path, lines.as_bytes()).map_err(Error::io(&path))?;
    let Some((_, round)) = best else {
        return Error::refused("no round was finished");
    };
    let weights = folder.join(format!("round-{round}/model.safetensors"));
    let bytes = std::fs::read(&weights).map_err(Error::io(&weights))?;
    let path = folder.join("model.safetensors");
    atomic_write(&path, &bytes).map_err(Error::io(&path))?;
    Ok(Outcome::Finished)
}

/// What the weights of a run are worth, by the score that its task selects by.
fn validation(run: &Path) -> Result<f64> {
    let found = Validation::read(run)?.and_then(|validation| Some(validation.selecting()?.1));
    found.ok_or_else(|| Error::Refused(format!("{} has no validation", run.display())))
}

/// Labels of a round; `None` where it was asked to stop.
fn label(
    recipe: &Recipe,
    config: &SelfTrainingConfig,
    round: usize,
    before: &Path,
    unlabelled: &[Utterance],
    training: Training<'_>,
) -> Result<Option<Vec<Utterance>>> {
    let teacher =
        Teacher::load(before, Some(recipe.task), config.lm.as_deref()).doing("train.self_training")?;
    let events = training.events;
    events.begin("recordings", unlabelled.len());
    let mut given = Vec::with_capacity(unlabelled.len());
    let mut labels = Vec::with_capacity(unlabelled.len());
    for (index, utterance) in unlabelled.iter().enumerate() {
        if training.stop.load(Ordering::Relaxed) {
            events.end();
            return Ok(None);
        }
        events.advance();
        let speaker = utterance.speaker.clone().unwrap_or_default();
        let (label, disagreement) = match judged(&teacher, config, recipe.seed, round, utterance) {
            Ok(judged) => judged,
            Err(error) => {
                events.failure(&format!("utterance {}: {error}", utterance.id));
                (String::new(), f64::NAN)
            }
        };
        let disagreement = if teacher.is_usable(&label) { disagreement } else { f64::NAN };
        labels.push(Labelled { index, speaker, disagreement });
        given.push(label);
    }
    events.end();
    let kept = select(config, round, &labels).into_iter().map(|index| {
        let mut utterance = unlabelled[index].clone();
        utterance.id = format!("self-{}", utterance.id);
        utterance.audio = std::path::absolute(&utterance.audio).unwrap_or(utterance.audio);
        teacher.put(&mut utterance, std::mem::take(&mut given[index]));
        utterance
    });
    Ok(Some(kept.collect()))
}

/// The label of an utterance, and how far the other answers, to it or its perturbed copies, are from it.
fn judged(
    teacher: &Teacher,
    config: &SelfTrainingConfig,
    seed: u64,
    round: usize,
    utterance: &Utterance,
) -> Result<(String, f64)> {
    let samples = utterance.samples(teacher.sample_rate())?;
    let mut answers = vec![teacher.label(utterance, &samples)?];
    for copy in 0..config.copies {
        let key = Key::new(seed).epoch(round as u64).utterance(&format!("{}#{copy}", utterance.id));
        let perturbed = perturb(&samples, &mut key.stream(Purpose::Noise));
        answers.push(teacher.label(utterance, &perturbed)?);
    }
    let rate = |i: usize, j: usize| match answers[i].is_empty() {
        true => f64::INFINITY,
        false => teacher.error(&answers[i], &answers[j]),
    };
    let (chosen, disagreement) = config.refine.choose(answers.len(), rate);
    Ok((answers.swap_remove(chosen), disagreement))
}

/// Another level (±6 dB), perhaps another speed (±5 %), white noise at 15 to 30 dB.
fn perturb(samples: &[f32], stream: &mut Stream) -> Vec<f32> {
    let level = volume(samples, stream.uniform_in(-6.0, 6.0));
    let factor = SPEEDS[stream.below(SPEEDS.len())];
    let changed = if factor == 1.0 { level } else { speed(&level, factor) };
    let noise: Vec<f32> = changed.iter().map(|_| stream.normal() as f32).collect();
    mix_at_snr(&changed, &[&noise], stream.uniform_in(15.0, 30.0))
}
