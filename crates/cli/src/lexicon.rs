//! `auricle lexicon`.

use crate::tasks::model_roots;
use anyhow::{Context as _, Result, bail};
use auricle_data::{Manifest, read_any};
use auricle_text::{G2p, G2pConfig, Lexicon, Pronouncer, Source};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The letter-to-sound model that comes with the program.
const SHIPPED: &str = "g2p-en/model.g2p";

/// Where pronunciations come from.
#[derive(clap::Args)]
pub struct LexiconArgs {
    /// Lexicons in the format of the CMU dictionary, beside the built-in one of 560 common words; later ones go before
    /// earlier ones.
    #[arg(long)]
    pub lexicon: Vec<PathBuf>,
    /// Letter-to-sound model for words that no lexicon has. Default: the one that comes with the program.
    #[arg(long)]
    pub g2p: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
pub enum Command {
    /// Learn a letter-to-sound model from a lexicon.
    #[command(after_help = "Example:\n  auricle lexicon train cmudict.dict --out runs/english.g2p")]
    Train(Train),
    /// Show the phones of words or sentences.
    #[command(
        after_help = "Example:\n  auricle lexicon pronounce --lexicon cmudict.dict \"Dr. Who's 42 daleks\""
    )]
    Pronounce(Pronounce),
    /// Add canonical phones to the utterances of a manifest, from their transcripts.
    #[command(
        after_help = "Example:\n  auricle lexicon phones data/mini_librispeech/train.jsonl --lexicon cmudict.dict --out data/mini_librispeech_phones/train.jsonl"
    )]
    Phones(Phones),
}

#[derive(clap::Args)]
pub struct Train {
    /// Lexicon in the format of the CMU dictionary.
    lexicon: PathBuf,
    /// File to write.
    #[arg(long)]
    out: PathBuf,
}

#[derive(clap::Args)]
pub struct Pronounce {
    #[command(flatten)]
    lexicon: LexiconArgs,
    /// Texts.
    #[arg(required = true)]
    texts: Vec<String>,
}

#[derive(clap::Args)]
pub struct Phones {
    /// Manifest, or anything that can be read as one.
    input: PathBuf,
    #[command(flatten)]
    lexicon: LexiconArgs,
    /// Manifest to write.
    #[arg(long)]
    out: PathBuf,
}

pub fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Train(args) => {
            let lexicon = Lexicon::read(&args.lexicon)?;
            let model = G2p::train(&lexicon, &G2pConfig::default())?;
            auricle_train::files::atomic_write(&args.out, &model.to_bytes())
                .with_context(|| args.out.display().to_string())?;
            println!("{}: {} words, {} n-grams", args.out.display(), lexicon.len(), model.ngram_count());
        }
        Command::Pronounce(args) => {
            let pronouncer = pronouncer(&args.lexicon)?;
            for text in &args.texts {
                for word in pronouncer.prompt(text)?.words {
                    let guessed = if word.source == Source::LetterToSound { "  (guessed)" } else { "" };
                    for phones in &word.pronunciations {
                        let names: Vec<&str> = phones.iter().map(|phone| phone.name()).collect();
                        println!("{:20} {}{guessed}", word.text, names.join(" "));
                    }
                }
            }
        }
        Command::Phones(args) => return phones(args),
    }
    Ok(ExitCode::SUCCESS)
}

/// A sentence of a corpus may be longer than a prompt that a learner reads.
const MAX_WORDS: usize = 2_000;

fn phones(args: &Phones) -> Result<ExitCode> {
    let mut pronouncer = pronouncer(&args.lexicon)?;
    (pronouncer.max_words, pronouncer.max_characters) = (MAX_WORDS, 20 * MAX_WORDS);
    let mut utterances = read_any(&args.input)?;
    let (mut words, mut guessed, mut failures) = (0, 0, 0);
    utterances.retain_mut(|utterance| {
        let Some(text) = utterance.text.as_deref() else {
            eprintln!("error: utterance {} has no transcript", utterance.id);
            failures += 1;
            return false;
        };
        match pronouncer.prompt(text) {
            Ok(prompt) => {
                words += prompt.words.len();
                guessed += prompt.words.iter().filter(|word| word.source == Source::LetterToSound).count();
                let counts = prompt.boundaries(&[]).into_iter().map(|word| word.len()).collect::<Vec<_>>();
                utterance.extra.insert("word_phones".into(), counts.into());
                utterance.phones = Some(prompt.phones().iter().map(|phone| phone.symbol()).collect());
                let absolute = std::path::absolute(&utterance.audio);
                utterance.audio = absolute.unwrap_or_else(|_| utterance.audio.clone());
                true
            }
            Err(error) => {
                eprintln!("error: utterance {}: {error}", utterance.id);
                failures += 1;
                false
            }
        }
    });
    if utterances.is_empty() {
        bail!("{}: no utterance has phones", args.input.display());
    }
    if let Some(folder) = args.out.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    Manifest::write(&args.out, &utterances)?;
    println!(
        "{}: {} utterances, {words} words, {guessed} of them by letter-to-sound rules, {failures} utterances left out",
        args.out.display(),
        utterances.len()
    );
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What turns a text into phones.
pub fn pronouncer(args: &LexiconArgs) -> Result<Pronouncer> {
    let model = match &args.g2p {
        Some(path) => Some(G2p::load(path)?),
        None => shipped().map(|path| G2p::load(&path)).transpose()?,
    };
    if model.is_none() && args.lexicon.is_empty() {
        bail!(
            "no pronunciations: give --lexicon (the CMU dictionary, for example) or --g2p; `{SHIPPED}` was not found"
        );
    }
    let mut pronouncer = Pronouncer::new(Lexicon::common(), model);
    for path in &args.lexicon {
        pronouncer = pronouncer.with_overlay(Lexicon::read(path)?);
    }
    Ok(pronouncer)
}

/// The letter-to-sound model that comes with the program.
pub fn shipped() -> Option<PathBuf> {
    model_roots().iter().map(|root: &PathBuf| root.join(Path::new(SHIPPED))).find(|path| path.is_file())
}
