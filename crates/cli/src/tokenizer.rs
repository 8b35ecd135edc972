//! `auricle tokenizer`.

use anyhow::{Context as _, Result};
use auricle_data::{Sentence, read_any};
use auricle_lasyn::TextTask;
use auricle_text::{Tokenizer, TokenizerKind, TrainOptions, normalise, slu};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Learn sub-words from transcripts.
    #[command(after_help = "Examples:
  auricle tokenizer train data/mini/train.jsonl --vocab-size 256 --out data/mini/unigram256.json
  auricle tokenizer train corpus.txt --kind bpe --vocab-size 1000 --out bpe1000.json
  auricle tokenizer train data/slurp/train-text.jsonl --meanings --vocab-size 700 --out meanings700.json")]
    Train(Train),
    /// Show how texts are split.
    #[command(after_help = "Example:\n  auricle tokenizer encode data/mini/unigram256.json \"good morning\"")]
    Encode(Encode),
}

#[derive(clap::Args)]
pub struct Train {
    /// Manifests with transcripts, or plain text files (`.txt`), one sentence a line.
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Algorithm.
    #[arg(long, value_enum, default_value = "unigram")]
    kind: Kind,
    /// Size of the vocabulary, blank included.
    #[arg(long, default_value_t = 256)]
    vocab_size: usize,
    /// Learn from texts and meanings; names of intents and slots are one token each.
    #[arg(long)]
    meanings: bool,
    /// Add the tokens of the tasks that `model.tasks` of a LaSyn recipe names.
    #[arg(long, requires = "meanings")]
    tasks: bool,
    /// File to write.
    #[arg(long)]
    out: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// Unigram language model (Kudo 2018).
    Unigram,
    /// Byte-pair encoding over characters.
    Bpe,
}

#[derive(clap::Args)]
pub struct Encode {
    /// Tokenizer file, SentencePiece `.model`, or `characters`.
    tokenizer: PathBuf,
    /// Texts.
    #[arg(required = true)]
    texts: Vec<String>,
}

pub fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Train(args) => {
            let (mut texts, mut marks) = (Vec::new(), Vec::new());
            for input in &args.inputs {
                if args.meanings {
                    let sentences = Sentence::read(input)?;
                    texts.extend(sentences.iter().map(|sentence| normalise(&sentence.text)));
                    let meanings: Vec<String> = sentences.into_iter().filter_map(|s| s.meaning).collect();
                    marks.extend(slu::marks(meanings.iter().map(String::as_str)));
                    texts.extend(meanings);
                } else {
                    texts.extend(read_texts(input)?);
                }
            }
            if args.tasks {
                marks.extend(TextTask::ALL.map(|task| task.mark().to_string()));
            }
            marks.sort();
            marks.dedup();
            let kind = match args.kind {
                Kind::Unigram => TokenizerKind::Unigram,
                Kind::Bpe => TokenizerKind::Bpe,
            };
            let options = TrainOptions { kind, vocab_size: args.vocab_size, marks };
            let tokenizer = Tokenizer::train(texts.iter().map(String::as_str), &options)?;
            auricle_io::atomic_write(&args.out, tokenizer.to_json().as_bytes())
                .with_context(|| args.out.display().to_string())?;
            outln!("{}: {} tokens from {} texts", args.out.display(), tokenizer.vocab_size(), texts.len());
        }
        Command::Encode(args) => {
            let tokenizer = match args.tokenizer.to_str() {
                Some("characters") => Tokenizer::characters(),
                _ => Tokenizer::load(&args.tokenizer)?,
            };
            for text in &args.texts {
                let ids = tokenizer.encode(text)?;
                let pieces: Vec<&str> = ids.iter().map(|&id| tokenizer.piece(id).unwrap_or("?")).collect();
                outln!("{ids:?} {}", pieces.join("|"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read_texts(path: &Path) -> Result<Vec<String>> {
    let texts: Vec<String> = if path.extension().is_some_and(|e| e == "txt") {
        let content = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        content.lines().map(normalise).collect()
    } else {
        read_any(path)?.into_iter().filter_map(|u| u.text).map(|text| normalise(&text)).collect()
    };
    Ok(texts.into_iter().filter(|text| !text.is_empty()).collect())
}
