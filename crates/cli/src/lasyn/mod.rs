//! `auricle lasyn`: what latent synthesis needs from files.

mod compare;

use crate::lexicon::{LexiconArgs, pronouncer};
use crate::tasks::{find_model, load_model, manifests};
use anyhow::{Context as _, Result, bail};
use auricle_asr::Recogniser;
use auricle_audio::MelFrontEnd;
use auricle_data::Utterance;
use auricle_lasyn::align::{Paired, train};
use auricle_lasyn::{
    Bank, BankInfo, Durations, FixedProjection, LasynConfig, Projection, Sentence, SplitRecogniser,
    SynthesisConfig, Synthesizer, Target, TextPool, TrainedSynthesizer, units,
};
use auricle_nn::Context;
use auricle_nn::weights::Metadata;
use auricle_text::{Pronouncer, Tokenizer, normalise};
use burn::tensor::{Device, Tensor, TensorData};
use indicatif::ProgressBar;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// A bank beside a model's weights.
pub const BANK: &str = "bank.safetensors";

#[derive(clap::Subcommand)]
pub enum Command {
    /// Learn from transcribed speech what text becomes inside a recogniser.
    #[command(after_help = "Example:
  auricle lasyn fit --model runs/ctc data/mini_librispeech/train.jsonl --lexicon cmudict.dict

The transcripts are aligned with the recogniser's latents (from a flat start, nothing is trained by
gradients); means, variances, lengths and examples of every phone are written as a bank beside the model.")]
    Fit(Fit),
    /// Tell what synthesized latents lack beside those of speech.
    #[command(after_help = "Examples:
  auricle lasyn compare --model runs/ctc data/mini_librispeech/dev.jsonl --lexicon cmudict.dict
  auricle lasyn compare --model runs/ctc --synthesizer runs/flow data/mini_librispeech/dev.jsonl --json

Lengths, moments and smoothness of both, what the recogniser reads from both, and how well a classifier tells
them apart that was trained on half of the sentences (area under the ROC curve; 0.5: not at all).")]
    Compare(compare::Compare),
}

#[derive(clap::Args)]
pub struct Fit {
    /// Transcribed speech: a manifest, or anything that can be read as one.
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Recogniser of kind `ctc`: a folder, a file, a run directory, or the name of a shipped model.
    #[arg(long, default_value = "asr-en-small")]
    model: PathBuf,
    /// Transformer layers below the cut, over all stages. Default: those of the first stage.
    #[arg(long)]
    split: Option<usize>,
    #[command(flatten)]
    lexicon: LexiconArgs,
    /// Seconds of speech that are kept as examples.
    #[arg(long, default_value_t = 1200.0)]
    exemplar_secs: f64,
    /// Rounds of alignment.
    #[arg(long, default_value_t = 12)]
    rounds: usize,
    /// File to write. Default: `bank.safetensors` beside the model's weights.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Device.
    #[arg(long, default_value = "cpu")]
    device: String,
}

/// A recogniser, its bank and what makes latents, as commands name them.
#[derive(clap::Args)]
pub struct Source {
    /// Recogniser with a bank beside it (`auricle lasyn fit`).
    #[arg(long, default_value = "asr-en-small")]
    pub model: PathBuf,
    /// Bank of latents. Default: `bank.safetensors` beside the model.
    #[arg(long)]
    bank: Option<PathBuf>,
    /// Trained synthesizer, instead of a projection.
    #[arg(long)]
    pub synthesizer: Option<PathBuf>,
    /// What stands for a phone without a trained synthesizer. Default: exemplars.
    #[arg(long, value_enum)]
    projection: Option<Fixed>,
}

/// The fixed projections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fixed {
    /// Real examples from the bank.
    Exemplars,
    /// Means and variances of the bank, lengths as often as in real speech.
    Statistics,
}

impl Source {
    /// The bank and where it is.
    pub fn bank(&self) -> Result<(Bank, PathBuf)> {
        let path = match &self.bank {
            Some(path) => path.clone(),
            None => find_model(&self.model)?.with_file_name(BANK),
        };
        if !path.is_file() {
            bail!(
                "{} is not there: `auricle lasyn fit --model {} <transcribed speech>` makes it",
                path.display(),
                self.model.display()
            );
        }
        Ok((read_bank(&path)?, path))
    }

    /// The fixed projection that is asked for.
    pub fn projection(&self) -> Option<Projection> {
        Some(match self.projection? {
            Fixed::Exemplars => Projection::Exemplars,
            Fixed::Statistics => Projection::Statistics { noise: 1.0, durations: Durations::Empirical },
        })
    }

    /// What makes latents of text, with that bank.
    pub fn synthesizer(&self, bank: Bank) -> Result<Box<dyn Synthesizer>> {
        let Some(name) = &self.synthesizer else {
            let projection = self.projection().unwrap_or(Projection::Exemplars);
            return Ok(Box::new(FixedProjection::new(bank, projection)));
        };
        let (tensors, metadata) = load_model(name)?;
        let device = auricle_tensor::device("cpu")?.without_autodiff();
        Ok(Box::new(TrainedSynthesizer::from_weights(tensors, &metadata, bank, &device)?))
    }
}

pub fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Fit(args) => fit(args),
        Command::Compare(args) => compare::run(args),
    }
}

fn fit(args: &Fit) -> Result<ExitCode> {
    let device = auricle_tensor::device(&args.device)?;
    let (tensors, metadata) = load_model(&args.model)?;
    let base = SplitRecogniser::from_weights(tensors, &metadata, args.split, &device)?;
    let pronouncer = pronouncer(&args.lexicon)?;
    let utterances = manifests(&args.inputs)?;
    let options = BankOptions { exemplar_secs: args.exemplar_secs, rounds: args.rounds };
    let bank = make_bank(&base, &utterances, &pronouncer, options, &device)?;
    let out = match &args.out {
        Some(out) => out.clone(),
        None => find_model(&args.model)?.with_file_name(BANK),
    };
    auricle_train::files::atomic_write(&out, &bank.to_bytes(&Metadata::new())?)
        .with_context(|| out.display().to_string())?;
    println!(
        "{}: {} utterances, {:.1} min; {} examples of phones, a pause after {:.0} % of the words; {} utterances left out",
        out.display(),
        bank.info.utterances,
        bank.info.secs / 60.0,
        bank.exemplars.len(),
        100.0 * bank.info.pause,
        utterances.len() - bank.info.utterances
    );
    Ok(ExitCode::SUCCESS)
}

/// How a bank is made.
pub struct BankOptions {
    /// Seconds of speech that are kept as examples.
    pub exemplar_secs: f64,
    /// Rounds of alignment.
    pub rounds: usize,
}

/// A bank of a recogniser's latents, of transcribed speech.
pub fn make_bank(
    base: &SplitRecogniser,
    utterances: &[Utterance],
    pronouncer: &Pronouncer,
    options: BankOptions,
    device: &Device,
) -> Result<Bank> {
    let paired = paired(base, utterances, pronouncer, device)?;
    if paired.is_empty() {
        bail!("no utterance has a transcript that can be pronounced");
    }
    let (gaussians, paths) = train(base.width(), &paired, options.rounds);
    let info = BankInfo {
        split: base.split,
        width: base.width(),
        frame_secs: base.frame_secs(),
        base: base.lower_hash(),
        pause: 0.0,
        utterances: 0,
        secs: 0.0,
    };
    Ok(Bank::new(info, gaussians, &paired, &paths, options.exemplar_secs))
}

/// Longest utterance that is aligned at once.
const MAX_SECS: f64 = 60.0;

/// Latents and phones of utterances; some have none, and those that are longer than a minute are left out.
fn paired(
    base: &SplitRecogniser,
    utterances: &[Utterance],
    pronouncer: &Pronouncer,
    device: &Device,
) -> Result<Vec<Paired>> {
    let front_end = MelFrontEnd::new(base.config.front_end.clone())?;
    let bins = base.config.encoder.bins;
    let mut speakers: HashMap<String, u32> = HashMap::new();
    let mut paired = Vec::with_capacity(utterances.len());
    let bar = ProgressBar::new(utterances.len() as u64);
    for utterance in utterances {
        bar.inc(1);
        if utterance.duration_secs > MAX_SECS {
            continue;
        }
        let Some(words) = utterance.text.as_deref().and_then(|text| units::words(pronouncer, text).ok())
        else {
            continue;
        };
        let samples = utterance
            .samples(base.config.front_end.sample_rate)
            .with_context(|| format!("utterance {}", utterance.id))?;
        let features = Recogniser::features(&front_end, &samples)?;
        if features.num_frames == 0 {
            continue;
        }
        let frames = features.num_frames.next_multiple_of(16);
        let mut values = features.data;
        values.resize(frames * bins, 0.0);
        let mel = Tensor::<3>::from_data(TensorData::new(values, [1, frames, bins]), device);
        let (z, lengths) = base.model.lower(base.split, mel, &[features.num_frames], &mut Context::eval());
        let mut latents = z.into_data().try_to_vec::<f32>().map_err(|e| anyhow::anyhow!("{e:?}"))?;
        latents.truncate(lengths[0] * base.width());
        let next = speakers.len() as u32;
        let speaker = utterance.speaker.clone().unwrap_or_default();
        let speaker = *speakers.entry(speaker).or_insert(next);
        paired.push(Paired { id: utterance.id.clone(), speaker, latents, words });
    }
    bar.finish_and_clear();
    Ok(paired)
}

/// What a LaSyn recipe trains with.
pub struct Latents {
    /// The recogniser.
    pub base: SplitRecogniser,
    /// Another vocabulary than the recogniser's.
    pub tokenizer: Option<Tokenizer>,
    /// What makes latents of texts, and the texts.
    pub synthesizer: Option<(Arc<dyn Synthesizer>, TextPool)>,
    /// Real utterances, and those that stand for texts.
    pub train: Vec<Utterance>,
}

/// Reads what a recipe names.
///
/// Sentences of `validation` and of `model.exclude` are left out of the texts: what is measured must not be learnt.
pub fn prepare(
    config: &LasynConfig,
    mut train: Vec<Utterance>,
    validation: &[Utterance],
    device: &Device,
) -> Result<Latents> {
    let (tensors, metadata) = load_model(&config.base).context("model.base")?;
    let tokenizer = config.tokenizer.as_deref().map(Tokenizer::load).transpose()?;
    let Some(path) = &config.bank else {
        let base = SplitRecogniser::from_weights(tensors, &metadata, config.split, device)?;
        return Ok(Latents { base, tokenizer, synthesizer: None, train });
    };
    let bank = read_bank(path)?;
    let split = config.split.unwrap_or(bank.info.split);
    let base = SplitRecogniser::from_weights(tensors, &metadata, Some(split), device)?;
    check_bank(&bank, &base, path)?;
    let args = LexiconArgs { lexicon: config.lexicon.clone(), g2p: config.g2p.clone() };
    let writes = tokenizer.as_ref().unwrap_or(&base.tokenizer);
    let pronouncer = pronouncer(&args)?;
    let mut measured: Vec<String> = validation.iter().filter_map(|u| u.text.clone()).collect();
    for path in &config.exclude {
        measured.extend(auricle_data::Sentence::read(path)?.into_iter().map(|line| line.text));
    }
    let spoken = |text: &String| units::spoken(&pronouncer, text).ok().map(|(said, _)| said);
    let measured: HashSet<String> = measured.iter().filter_map(spoken).collect();
    let mut sentences = sentences(&config.text, config.target, &pronouncer, writes)?;
    let all = sentences.len();
    sentences.retain(|sentence| !measured.contains(&sentence.said));
    if sentences.len() < all {
        eprintln!(
            "{} sentences of model.text are said in data.validation or model.exclude; they are left out",
            all - sentences.len()
        );
    }
    let synthesizer: Arc<dyn Synthesizer> = match &config.synthesizer {
        Some(name) => {
            let (tensors, metadata) = load_model(name).context("model.synthesizer")?;
            let plain = device.clone().without_autodiff();
            Arc::new(TrainedSynthesizer::from_weights(tensors, &metadata, bank, &plain)?)
        }
        None => Arc::new(FixedProjection::new(bank, config.projection)),
    };
    let real_secs = train.iter().map(|u| u.duration_secs).sum();
    let pool = TextPool::new(sentences, synthesizer.as_ref(), config.pseudo_share, real_secs)?;
    train.extend(pool.utterances());
    Ok(Latents { base, tokenizer, synthesizer: Some((synthesizer, pool)), train })
}

/// The words of utterances as phones, by utterance id.
type Words = HashMap<String, Vec<Vec<u32>>>;

/// Reads what a recipe of a synthesizer names.
pub fn prepare_synthesis(
    config: &SynthesisConfig,
    sets: &[&[Utterance]],
    device: &Device,
) -> Result<(SplitRecogniser, Bank, Words)> {
    let bank = read_bank(&config.bank)?;
    let (tensors, metadata) = load_model(&config.base).context("model.base")?;
    let base = SplitRecogniser::from_weights(tensors, &metadata, Some(bank.info.split), device)?;
    check_bank(&bank, &base, &config.bank)?;
    let pronouncer = pronouncer(&LexiconArgs { lexicon: config.lexicon.clone(), g2p: config.g2p.clone() })?;
    let words_of = |utterance: &Utterance| {
        let words = units::words(&pronouncer, utterance.text.as_deref()?).ok()?;
        Some((utterance.id.clone(), words))
    };
    Ok((base, bank, sets.iter().flat_map(|set| set.iter()).filter_map(words_of).collect()))
}

/// A bank from a file.
pub fn read_bank(path: &Path) -> Result<Bank> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Bank::from_bytes(&bytes).with_context(|| path.display().to_string())
}

/// A bank belongs to the lower part it was made with.
pub fn check_bank(bank: &Bank, base: &SplitRecogniser, path: &Path) -> Result<()> {
    if bank.info.split != base.split || bank.info.width != base.width() || bank.info.base != base.lower_hash()
    {
        bail!(
            "{}: these latents are of another model or another cut; make a bank for this one with `auricle lasyn fit`",
            path.display()
        );
    }
    Ok(())
}

/// Sentences of text files (one per line) and text manifests; those that can't be pronounced or written are
/// counted and left out.
pub fn sentences(
    paths: &[PathBuf],
    target: Target,
    pronouncer: &Pronouncer,
    tokenizer: &Tokenizer,
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
        eprintln!(
            "warning: {failures} lines of text cannot be pronounced, or not be written by the recogniser, or have no meaning; they are left out"
        );
    }
    Ok(sentences)
}
