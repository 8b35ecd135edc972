//! Sentences of a new domain become an adapted recogniser.
//!
//! The sentences become latents as the recogniser's lower part would make them of speech, and its upper part is trained
//! on them, with real speech beside them where there is some.

use crate::error::Doing as _;
use crate::latents::{Loaded, Source, check_bank, sentences};
use crate::{Error, Pronunciations, Result, Training, models, run, utterances};
use auricle_asr::{Recogniser, TranscribeConfig, transcribe};
use auricle_io::atomic_write;
use auricle_lasyn::{Sentence, SplitRecogniser, Synthesizer, Target, read_sentences};
use auricle_nn::params::NamedTensors;
use auricle_nn::weights::Metadata;
use auricle_rng::{Key, Purpose};
use auricle_text::{Scored, normalise};
use auricle_train::{Outcome, Recipe, recipe};
use burn::tensor::Device;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Most sentences that are kept aside.
const MAX_HELD: usize = 200;

/// An adaptation by text.
#[derive(Debug, Clone)]
pub struct Adaptation {
    /// The recogniser, its bank, and what makes latents of text.
    pub source: Source,
    /// Texts of the new domain: a sentence per line, or text manifests.
    pub text: Vec<PathBuf>,
    /// Transcribed speech to train on beside the text.
    pub audio: Vec<PathBuf>,
    /// Transcribed speech of the new domain to measure with; it is not trained on.
    pub eval: Option<PathBuf>,
    /// Pronunciations of the texts' words.
    pub pronunciations: Pronunciations,
    /// Training steps.
    pub steps: u64,
    /// Overrides of the recipe, `key.path=value`.
    pub set: Vec<String>,
}

impl Adaptation {
    /// 500 steps on a text, with everything else as it comes.
    pub fn new(model: impl Into<PathBuf>, text: impl Into<PathBuf>) -> Self {
        Self {
            source: Source::new(model),
            text: vec![text.into()],
            audio: Vec::new(),
            eval: None,
            pronunciations: Pronunciations::default(),
            steps: 500,
            set: Vec::new(),
        }
    }
}

/// What a recogniser reads of one kind of input.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Of which, in words.
    pub what: &'static str,
    /// What should be read and what is.
    pub sentences: Vec<Scored>,
}

/// What came of an adaptation. The recogniser is the run directory's `model.safetensors`.
#[derive(Debug, Clone)]
pub struct Adapted {
    /// What the recogniser read before.
    pub before: Vec<Reading>,
    /// What it reads now.
    pub after: Vec<Reading>,
}

/// Adapts a recogniser in a run directory; goes on where the same adaptation was stopped before. `None` where it was
/// asked to stop.
///
/// One sentence in ten is kept aside and read before and after, from synthesised latents; `eval` does the same with
/// real recordings.
///
/// # Errors
/// A model without a bank, texts without a sentence that can be pronounced, and whatever stops a training.
pub fn adapt(adaptation: &Adaptation, out: &Path, training: Training<'_>) -> Result<Option<Adapted>> {
    let device = auricle_tensor::device("cpu")?.without_autodiff();
    let source = &adaptation.source;
    let (bank, bank_path) = source.bank()?;
    let split = bank.info.split;
    let weights = models::load(&source.model)?;
    let base = SplitRecogniser::from_weights(weights.0.clone(), &weights.1, Some(split), &device)?;
    check_bank(&bank, &base, &bank_path)?;
    let pronouncer = adaptation.pronunciations.pronouncer()?;
    let all = sentences(&adaptation.text, Target::Text, &pronouncer, &base.tokenizer, training.events)?;
    let (train_on, held) = hold_out(all);
    if train_on.is_empty() {
        return Error::refused("there is no sentence to learn from in the texts");
    }
    let synthesizer = source.synthesizer(bank.clone())?;

    // The record of what was learnt: the run's recipe names it. The task is given the sentences themselves.
    std::fs::create_dir_all(out).map_err(Error::io(out))?;
    let text = out.join("text.txt");
    let lines: String = train_on.iter().map(|sentence| sentence.target.clone() + "\n").collect();
    atomic_write(&text, lines.as_bytes()).map_err(Error::io(&text))?;

    let read = |weights: &(NamedTensors, Metadata), model: &SplitRecogniser| {
        readings(weights, model, &*synthesizer, &held, adaptation.eval.as_deref(), &device)
    };
    let before = read(&weights, &base)?;
    let recipe = recipe_of(&Plan {
        model: &source.model,
        text: Some(Text { bank: &bank_path, file: &text, source: Some(source) }),
        audio: adaptation.audio.clone(),
        eval: adaptation.eval.iter().cloned().collect(),
        pronunciations: &adaptation.pronunciations,
        steps: adaptation.steps,
        set: &adaptation.set,
    })?;
    let resume = out.join("checkpoints/last.safetensors").exists();
    let (tensors, metadata) = weights;
    let loaded = Loaded { tensors, metadata, bank, sentences: train_on };
    let training = Training { resume, ..training };
    if run::train_loaded(&recipe, out, training, Some(loaded))? == Outcome::Interrupted {
        return Ok(None);
    }
    let weights = models::load(out)?;
    let adapted = SplitRecogniser::from_weights(weights.0.clone(), &weights.1, Some(split), &device)?;
    Ok(Some(Adapted { before, after: read(&weights, &adapted)? }))
}

/// One sentence in ten is kept aside, the same ones every time.
fn hold_out(all: Vec<Sentence>) -> (Vec<Sentence>, Vec<Sentence>) {
    let (mut train, mut held) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for sentence in all {
        let key = Key::new(0).utterance(&sentence.target);
        // Whatever is repeated must not be on both sides.
        let is_held = key.stream(Purpose::Subset).below(10) == 0
            && (held.len() < MAX_HELD || seen.contains(&sentence.target));
        if !is_held {
            train.push(sentence);
        } else if seen.insert(sentence.target.clone()) {
            held.push(sentence);
        }
    }
    (train, held)
}

/// What an adaptation trains with.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// Recogniser to start from.
    pub model: &'a Path,
    /// Texts; without them speech alone: the control.
    pub text: Option<Text<'a>>,
    /// Transcribed speech to train on.
    pub audio: Vec<PathBuf>,
    /// Transcribed speech to validate on.
    pub eval: Vec<PathBuf>,
    /// Pronunciations.
    pub pronunciations: &'a Pronunciations,
    /// Training steps.
    pub steps: u64,
    /// Overrides.
    pub set: &'a [String],
}

/// What text becomes latents, and how.
#[derive(Debug, Clone)]
pub struct Text<'a> {
    /// Bank of the recogniser's latents.
    pub bank: &'a Path,
    /// A sentence per line.
    pub file: &'a Path,
    /// Another synthesizer than the recipe's.
    pub source: Option<&'a Source>,
}

/// The recipe of an adaptation: that of `recipes/lasyn/adapt.toml` with models, texts and data put in.
///
/// # Errors
/// Overrides that the recipe does not take.
pub fn recipe_of(plan: &Plan<'_>) -> Result<Recipe> {
    let mut table: toml::Table = toml::from_str(auricle_recipes::ADAPT).doing("the built-in recipe")?;
    for set in plan.set {
        recipe::set(&mut table, set)?;
    }
    let mut recipe: Recipe = recipe::parse(&table, "adapt")?;
    recipe.data.train.clone_from(&plan.audio);
    recipe.data.validation.clone_from(&plan.eval);
    recipe.train.steps = plan.steps;
    recipe.schedule.rescale(plan.steps);
    let path = |path: &Path| toml::Value::from(path.display().to_string());
    let list = |paths: &[PathBuf]| toml::Value::Array(paths.iter().map(|p| path(p)).collect());
    let model = &mut recipe.model;
    model.insert("base".into(), path(plan.model));
    match &plan.text {
        Some(Text { bank, file, source }) => {
            model.insert("bank".into(), path(bank));
            model.insert("text".into(), list(&[file.to_path_buf()]));
            if let Some(projection) = source.and_then(|source| source.projection) {
                model.insert("projection".into(), toml::Value::try_from(projection)?);
            }
            // Networks are slower than training: what they make is used more than once.
            if let Some(name) = source.and_then(|source| source.synthesizer.as_deref()) {
                model.insert("synthesizer".into(), path(name));
                model.entry("cached_takes").or_insert(toml::Value::from(2));
            }
        }
        None => {
            model.remove("bank");
            model.remove("text");
        }
    }
    if !plan.pronunciations.lexicons.is_empty() {
        model.insert("lexicon".into(), list(&plan.pronunciations.lexicons));
    }
    if let Some(g2p) = &plan.pronunciations.g2p {
        model.insert("g2p".into(), path(g2p));
    }
    Ok(recipe)
}

/// What a recogniser reads from the sentences kept aside, and from real recordings.
fn readings(
    (tensors, metadata): &(NamedTensors, Metadata),
    model: &SplitRecogniser,
    synthesizer: &dyn Synthesizer,
    held: &[Sentence],
    eval: Option<&Path>,
    device: &Device,
) -> Result<Vec<Reading>> {
    let mut readings = Vec::new();
    if !held.is_empty() {
        let read = read_sentences(model, synthesizer, held, 1, device)?;
        let read_back = |(i, (sentence, hypothesis)): (usize, (&Sentence, String))| Scored {
            id: format!("text {i}"),
            speaker: None,
            reference: sentence.target.clone(),
            hypothesis,
        };
        let sentences = held.iter().zip(read).enumerate().map(read_back).collect();
        readings.push(Reading { what: "new sentences, synthesised", sentences });
    }
    if let Some(manifest) = eval {
        let recogniser = Recogniser::from_weights(tensors.clone(), metadata, device)?;
        let sentences = scored(&recogniser, &[manifest.to_path_buf()])?;
        readings.push(Reading { what: "recordings", sentences });
    }
    Ok(readings)
}

/// What a recogniser reads from transcribed recordings, beside their transcripts.
///
/// # Errors
/// A model or a recording that cannot be read.
pub fn transcripts(model: &Path, manifests: &[PathBuf], device: &Device) -> Result<Vec<Scored>> {
    scored(&models::recogniser(model, device)?, manifests)
}

fn scored(recogniser: &Recogniser, manifests: &[PathBuf]) -> Result<Vec<Scored>> {
    let utterances = utterances(manifests)?;
    let mut sentences = Vec::with_capacity(utterances.len());
    transcribe(recogniser, &utterances, &TranscribeConfig::default(), |i, transcript| -> Result<()> {
        sentences.push(Scored {
            id: utterances[i].id.clone(),
            speaker: utterances[i].speaker.clone(),
            reference: normalise(utterances[i].text.as_deref().unwrap_or_default()),
            hypothesis: transcript?.text,
        });
        Ok(())
    })?;
    Ok(sentences)
}
