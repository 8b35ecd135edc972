//! `auricle lexicon`.

use crate::shared::args::LexiconArgs;
use anyhow::{Context as _, Result, bail};
use auricle_data::{Manifest, read_any};
use auricle_text::{G2p, G2pConfig, Lexicon, Source};
use std::path::PathBuf;
use std::process::ExitCode;

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
            auricle_io::atomic_write(&args.out, &model.to_bytes())
                .with_context(|| args.out.display().to_string())?;
            outln!("{}: {} words, {} n-grams", args.out.display(), lexicon.len(), model.ngram_count());
        }
        Command::Pronounce(args) => {
            let pronouncer = args.lexicon.pronouncer()?;
            for text in &args.texts {
                for word in pronouncer.prompt(text)?.words {
                    let guessed = if word.source == Source::LetterToSound { "  (guessed)" } else { "" };
                    for phones in &word.pronunciations {
                        let names: Vec<&str> = phones.iter().map(|phone| phone.name()).collect();
                        outln!("{:20} {}{guessed}", word.text, names.join(" "));
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
    let mut pronouncer = args.lexicon.pronouncer()?;
    (pronouncer.max_words, pronouncer.max_characters) = (MAX_WORDS, 20 * MAX_WORDS);
    let mut utterances = read_any(&args.input)?;
    let (mut words, mut guessed, mut failures) = (0, 0, 0);
    utterances.retain_mut(|utterance| {
        let Some(text) = utterance.text.as_deref() else {
            errln!("error: utterance {} has no transcript", utterance.id);
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
                errln!("error: utterance {}: {error}", utterance.id);
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
    outln!(
        "{}: {} utterances, {words} words, {guessed} of them by letter-to-sound rules, {failures} utterances left out",
        args.out.display(),
        utterances.len()
    );
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
