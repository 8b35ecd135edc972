//! What latent synthesis needs from files: recognisers, banks of their latents, texts, synthesizers.

use crate::error::Doing as _;
use crate::{Error, Events, Pronunciations, Result, models};
use auricle_data::Utterance;
use auricle_lasyn::{
    Bank, FixedProjection, LasynConfig, Projection, Sentence, SplitRecogniser, SynthesisConfig, Synthesizer,
    Target, TextPool, TrainedSynthesizer, units,
};
use auricle_nn::params::NamedTensors;
use auricle_nn::weights::Metadata;
use auricle_text::{Pronouncer, Tokenizer, normalise};
use auricle_train::Selection;
use burn::tensor::Device;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A bank beside a model's weights.
pub const BANK: &str = "bank.safetensors";

/// A recogniser, its bank and what makes latents of text.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Recogniser, by file, folder or name.
    pub model: PathBuf,
    /// Bank of its latents. `None`: `bank.safetensors` beside the model.
    pub bank: Option<PathBuf>,
    /// Trained synthesizer, instead of a projection.
    pub synthesizer: Option<PathBuf>,
    /// What stands for a phone without a trained synthesizer. `None`: exemplars.
    pub projection: Option<Projection>,
}

impl Source {
    /// A recogniser with its own bank, and exemplars of it.
    pub fn new(model: impl Into<PathBuf>) -> Self {
        Self { model: model.into(), bank: None, synthesizer: None, projection: None }
    }

    /// The bank and where it is.
    ///
    /// # Errors
    /// A bank that is not there or cannot be read.
    pub fn bank(&self) -> Result<(Bank, PathBuf)> {
        let path = match &self.bank {
            Some(path) => path.clone(),
            None => models::find(&self.model)?.with_file_name(BANK),
        };
        if !path.is_file() {
            return Error::refused(format!(
                "{} is not there: `auricle lasyn fit --model {} <transcribed speech>` makes it",
                path.display(),
                self.model.display()
            ));
        }
        Ok((read_bank(&path)?, path))
    }

    /// What makes latents of text, with that bank.
    ///
    /// # Errors
    /// A synthesizer that cannot be read or is another recogniser's.
    pub fn synthesizer(&self, bank: Bank) -> Result<Arc<dyn Synthesizer>> {
        let Some(name) = &self.synthesizer else {
            let projection = self.projection.unwrap_or(Projection::Exemplars);
            return Ok(Arc::new(FixedProjection::new(bank, projection)));
        };
        let (tensors, metadata) = models::load(name)?;
        let device = auricle_tensor::device("cpu")?.without_autodiff();
        Ok(Arc::new(TrainedSynthesizer::from_weights(tensors, &metadata, bank, &device)?))
    }
}

/// What a LaSyn recipe trains with.
pub(crate) struct Latents {
    /// The recogniser.
    pub base: SplitRecogniser,
    /// Another vocabulary than the recogniser's.
    pub tokenizer: Option<Tokenizer>,
    /// What makes latents of texts, and the texts.
    pub synthesizer: Option<(Arc<dyn Synthesizer>, TextPool)>,
}

/// What a LaSyn recipe names in files, where the caller has read it already.
pub(crate) struct Loaded {
    /// The recogniser's weights.
    pub tensors: NamedTensors,
    /// What they say of themselves.
    pub metadata: Metadata,
    /// The bank of its latents.
    pub bank: Bank,
    /// The texts.
    pub sentences: Vec<Sentence>,
}

/// Reads what a recipe names, as far as it is not `loaded`.
///
/// Sentences of the validation set and of `model.exclude` are left out of the texts: what is measured must not be
/// learnt.
pub(crate) fn prepare(
    config: &LasynConfig,
    selection: &Selection,
    loaded: Option<Loaded>,
    device: &Device,
    events: &dyn Events,
) -> Result<Latents> {
    let tokenizer = config.tokenizer.as_deref().map(Tokenizer::load).transpose()?;
    let pronunciations = Pronunciations { lexicons: config.lexicon.clone(), g2p: config.g2p.clone() };
    let pronouncer = || pronunciations.pronouncer();
    let Some(path) = &config.bank else {
        let (tensors, metadata) = models::load(&config.base).doing("model.base")?;
        let base = SplitRecogniser::from_weights(tensors, &metadata, config.split, device)?;
        return Ok(Latents { base, tokenizer, synthesizer: None });
    };
    let (tensors, metadata, bank, given) = match loaded {
        Some(Loaded { tensors, metadata, bank, sentences }) => (tensors, metadata, bank, Some(sentences)),
        None => {
            let (tensors, metadata) = models::load(&config.base).doing("model.base")?;
            (tensors, metadata, read_bank(path)?, None)
        }
    };
    let split = config.split.unwrap_or(bank.info.split);
    let base = SplitRecogniser::from_weights(tensors, &metadata, Some(split), device)?;
    check_bank(&bank, &base, path)?;
    let writes = tokenizer.as_ref().unwrap_or(&base.tokenizer);
    let mut sentences = match given {
        Some(sentences) => sentences,
        None => sentences(&config.text, config.target, &pronouncer()?, writes, events)?,
    };
    let synthesizer = synthesizer(config, bank, device)?;
    let mut measured: Vec<String> = selection.validation().iter().filter_map(|u| u.text.clone()).collect();
    for path in &config.exclude {
        measured.extend(auricle_data::Sentence::read(path)?.into_iter().map(|line| line.text));
    }
    if !measured.is_empty() {
        let pronouncer = pronouncer()?;
        let spoken = |text: &String| units::spoken(&pronouncer, text).ok().map(|(said, _)| said);
        let measured: HashSet<String> = measured.iter().filter_map(spoken).collect();
        let all = sentences.len();
        sentences.retain(|sentence| !measured.contains(&sentence.said));
        if sentences.len() < all {
            events.warning(&format!(
                "{} sentences of model.text are said in data.validation or model.exclude; they are left out",
                all - sentences.len()
            ));
        }
    }
    let real_secs = selection.train().iter().map(|u| u.duration_secs).sum();
    let pool = TextPool::new(sentences, synthesizer.as_ref(), config.pseudo_share, real_secs)?;
    Ok(Latents { base, tokenizer, synthesizer: Some((synthesizer, pool)) })
}

/// What a recipe makes latents of text with.
fn synthesizer(config: &LasynConfig, bank: Bank, device: &Device) -> Result<Arc<dyn Synthesizer>> {
    let Some(name) = &config.synthesizer else {
        return Ok(Arc::new(FixedProjection::new(bank, config.projection)));
    };
    let (tensors, metadata) = models::load(name).doing("model.synthesizer")?;
    let plain = device.clone().without_autodiff();
    Ok(Arc::new(TrainedSynthesizer::from_weights(tensors, &metadata, bank, &plain)?))
}

/// The words of utterances as phones, by utterance id.
type Words = HashMap<String, Vec<Vec<u32>>>;

/// Reads what a recipe of a synthesizer names.
pub(crate) fn prepare_synthesis(
    config: &SynthesisConfig,
    sets: &[&[Utterance]],
    device: &Device,
) -> Result<(SplitRecogniser, Bank, Words)> {
    let bank = read_bank(&config.bank)?;
    let (tensors, metadata) = models::load(&config.base).doing("model.base")?;
    let base = SplitRecogniser::from_weights(tensors, &metadata, Some(bank.info.split), device)?;
    check_bank(&bank, &base, &config.bank)?;
    let pronunciations = Pronunciations { lexicons: config.lexicon.clone(), g2p: config.g2p.clone() };
    let pronouncer = pronunciations.pronouncer()?;
    let words_of = |utterance: &Utterance| {
        let words = units::words(&pronouncer, utterance.text.as_deref()?).ok()?;
        Some((utterance.id.clone(), words))
    };
    Ok((base, bank, sets.iter().flat_map(|set| set.iter()).filter_map(words_of).collect()))
}

/// A bank from a file.
///
/// # Errors
/// A file that cannot be read or is none.
pub fn read_bank(path: &Path) -> Result<Bank> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    Bank::from_bytes(&bytes).doing(path.display())
}

/// A bank belongs to the lower part it was made with.
///
/// # Errors
/// Another one's.
pub fn check_bank(bank: &Bank, base: &SplitRecogniser, path: &Path) -> Result<()> {
    if bank.info.split != base.split || bank.info.width != base.width() || bank.info.base != base.lower_hash()
    {
        return Error::refused(format!(
            "{}: these latents are of another model or another cut; make a bank for this one with `auricle lasyn fit`",
            path.display()
        ));
    }
    Ok(())
}

/// Sentences of text files (one per line) and text manifests; those that can't be pronounced or written are
/// counted and left out.
///
/// # Errors
/// Files that cannot be read.
pub fn sentences(
    paths: &[PathBuf],
    target: Target,
    pronouncer: &Pronouncer,
    tokenizer: &Tokenizer,
    events: &dyn Events,
) -> Result<Vec<Sentence>> {
    let mut sentences = Vec::new();
    let mut failures = 0usize;
    for path in paths {
        for line in auricle_data::Sentence::read(path)? {
            let Ok((said, words)) = units::spoken(pronouncer, &line.text) else {
                failures += 1;
                continue;
            };
            let target = match target {
                Target::Text => Some(normalise(&said)),
                Target::Meaning => line.meaning,
            };
            match target.filter(|target| tokenizer.encode(target).is_ok()) {
                Some(target) => sentences.push(Sentence { said, target, words }),
                None => failures += 1,
            }
        }
    }
    if failures > 0 {
        events.warning(&format!(
            "{failures} lines of text cannot be pronounced, or not be written by the recogniser, or have no meaning; they are left out"
        ));
    }
    Ok(sentences)
}
